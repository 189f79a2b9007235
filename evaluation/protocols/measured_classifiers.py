"""Classifiers of the registry beside action-recognition networks: what each takes a clip for, and how long it takes.

A clip scores the mean probability of its windows in each alarm class, and in the normal class one less the highest of those:
it is taken for its highest alarm class where that reaches 0.5, and for normal otherwise. How well a classifier does at its
threshold, on clips that its head has not seen, `evaluate classifier` says.
"""

import math
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluation.class_index import indices_or_rest
from evaluation.protocols.action_recognition import Entry, Measured, tested_clips
from infra.errors import ConfigurationError
from models.encoders.base import Encoder, EncoderSpec, Pixels, Vectors
from models.encoders.torch_runner import TorchEncoder
from models.heads.classifier import ClassifierHead
from workspace.classifiers import FoundClassifier, find_classifier, load_head
from workspace.clip_sets.base import ClipSet
from workspace.clip_vectors import Inputs, clip_windows
from workspace.export import input_encoder
from workspace.opened import Workspace

NORMAL: Final = "normal"
NAMED: Final = 3

Progress = Callable[[str, float, float], None]


class TimedEncoder:
    """An encoder that counts the seconds it takes."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.seconds = 0.0

    @property
    def spec(self) -> EncoderSpec:
        return self.encoder.spec

    @property
    def dimension(self) -> int:
        return self.encoder.dimension

    def encode(self, pixels: Pixels) -> Vectors:
        """See `Encoder.encode`."""
        before = perf_counter()
        vectors = self.encoder.encode(pixels)
        self.seconds += perf_counter() - before
        return vectors


def measure_classifier(
    workspace: Workspace,
    name: str,
    clip_set: ClipSet,
    *,
    version: str | None = None,
    device: str = "auto",
    threads: int = 0,
    progress: Progress = lambda _stage, _done, _total: None,
) -> tuple[Measured, tuple[str, ...]]:
    """Measure a classifier on labelled clips.

    Args:
        workspace: whose registry and weights.
        name, version: of the classifier; None: the version in service.
        clip_set: labelled clips; of an official split the test side is measured. What is no alarm class of the
            classifier's is normal.
        device: for its networks.
        threads: of the decoder; 0 for one per core.
        progress: called with `vectors`, the clips that are finished and all.

    Returns:
        What came of it, and the clips that were left out, in words.

    Raises:
        ConfigurationError: there is no such classifier, it was fitted on some of these clips, or no clip is of one of
            its alarm classes.
        LakeError: the workspace's weights make other vectors than it was fitted on.
    """
    found = find_classifier(workspace, name, version)
    tested = clip_set.narrowed(tested_clips(clip_set), ())
    _refuse_seen(found, tested)
    indices = indices_or_rest(tested.classes, found.classes)
    if set(indices.values()) == {len(found.classes)}:
        raise ConfigurationError(
            f"none of the classes {', '.join(tested.classes)} is one that classifier {name} knows "
            f"({', '.join(found.classes)}); rename the folders"
        )
    head, inputs = load_head(workspace, found), Inputs.from_card(found.card)
    encoders = [TimedEncoder(input_encoder(workspace, found, item, device=device)) for item in inputs.items]
    start = perf_counter()
    windows = clip_windows(tested, encoders, inputs, threads=threads, progress=progress)
    before = perf_counter()
    scores = clip_scores(head.probabilities(windows.vectors), windows.clip)
    head_s, elapsed_s = perf_counter() - before, perf_counter() - start
    clips = windows.clip_set.clips
    entry = Entry(
        f"classifier {found.name}/{found.version}",
        (*found.classes, str(found.card.get("normal") or NORMAL)),
        f"{' + '.join(item.encoder for item in inputs.items)}, windows of {inputs.window_s:g} s",
        device,
        1,
        parameters(head, encoders),
        math.nan,
    )
    measured = Measured(
        entry,
        clips,
        np.array([indices[clip.label] for clip in clips], np.int64),
        scores,
        (sum(encoder.seconds for encoder in encoders) + head_s) / len(clips),
        elapsed_s / len(clips),
        math.nan,
    )
    return measured, windows.clip_set.left_out[len(tested.left_out) :]


def clip_scores(probabilities: Vectors, clip: NDArray[np.int64]) -> Vectors:
    """What clips score, from what their windows do.

    Args:
        probabilities: float32 (M, K), of each window in the alarm classes.
        clip: int64 (M,), number of the clip of each window, 0 … C - 1, each at least once.

    Returns:
        float32 (C, K + 1): the mean over a clip's windows, then one less the highest of them.
    """
    sums = np.zeros((int(clip.max()) + 1, probabilities.shape[1]))
    np.add.at(sums, clip, probabilities)
    means = sums / np.bincount(clip)[:, None]
    return np.asarray(np.column_stack([means, 1 - means.max(axis=1)]), np.float32)


def parameters(head: ClassifierHead, encoders: Sequence[TimedEncoder]) -> int:
    """Weights of a head's layers, over its members, and of the networks before it."""
    layers = sum(weight.size + bias.size for weight, bias in head.layers)
    return layers + sum(timed.encoder.parameters for timed in encoders if isinstance(timed.encoder, TorchEncoder))


def _refuse_seen(found: FoundClassifier, tested: ClipSet) -> None:
    """Clips are known by their bytes, wherever they lie and whatever they are called."""
    seen = set(found.card.get("contents", ()))
    both = sorted(clip.name for clip in tested.clips if clip.content in seen)
    if both:
        raise ConfigurationError(
            f"classifier {found.name} {found.version} was fitted on {len(both)} of these {len(tested)} clips "
            f"({', '.join(both[:NAMED])}{', …' if len(both) > NAMED else ''}): what it names them tells nothing of others. "
            'Give clips that it has not seen, or measure it by folds with "afterwatch evaluate classifier"'
        )
