"""Classifiers of alarms beside action-recognition networks: what each takes a clip for, and how long it takes.

There are heads of the registry, which look at the windows of a clip, and fine-tuned networks with a logit for each alarm
class, which look at its views as any network does. A clip scores the mean probability of its windows or views in each alarm
class, and in the normal class one less the highest of those: it is taken for its highest alarm class where that reaches 0.5,
and for normal otherwise. How well a classifier does at its threshold, on clips that its head has not seen,
`evaluate classifier` says.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, Final

import numpy as np
from scipy.special import expit

from evaluation.class_index import indices_or_rest
from evaluation.protocols.action_recognition import Entry, Measured, tested_clips
from infra.errors import ConfigurationError
from models.encoders.base import Encoder, EncoderSpec, Pixels, Vectors
from models.encoders.torch_runner import TorchEncoder, choose_device
from models.heads.classifier import ClassifierHead
from models.heads.classifier_training import score_clips
from models.networks.base import VideoNetwork
from models.recognition.flow import RecognitionFlow
from models.recognition.recogniser import ClipSample, Recogniser
from models.recognition.scoring import Scores
from workspace.classifiers import find_classifier, load_head
from workspace.clip_sets.base import ClipSet
from workspace.clip_vectors import Inputs, clip_windows
from workspace.export import input_encoder
from workspace.finetuning import clips_of_seen_sources, contents_seen
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
        ConfigurationError: there is no such classifier, it or a network that it looks through was fitted on some of these
            clips, or no clip is of one of its alarm classes.
        LakeError: the workspace's weights make other vectors than it was fitted on.
    """
    found = find_classifier(workspace, name, version)
    tested = clip_set.narrowed(tested_clips(clip_set), ())
    refuse_seen(f"classifier {found.name} {found.version}", found.card.get("contents", ()), clip_set)
    indices = _indices(f"classifier {name}", tested.classes, found.classes)
    head, inputs = load_head(workspace, found), Inputs.from_card(found.card)
    encoders = [TimedEncoder(input_encoder(workspace, found, item, device=device)) for item in inputs.items]
    for one in encoders:
        refuse_seen(one.spec.name, contents_seen(workspace.registry, [one.spec]), clip_set)
    start = perf_counter()
    windows = clip_windows(tested, encoders, inputs, threads=threads, progress=progress)
    before = perf_counter()
    scores = with_normal(score_clips(head, windows.samples(found.classes)))
    head_s, elapsed_s = perf_counter() - before, perf_counter() - start
    clips = windows.clip_set.clips
    entry = Entry(
        f"classifier {found.name}/{found.version}",
        classes_of(found.card),
        f"{' + '.join(item.encoder for item in inputs.items)}, windows of {inputs.window_s:g} s",
        _device_used(encoders, device),
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


class AlarmRecogniser(Recogniser):
    """A fine-tuned network with a logit for each alarm class; `classes` counts the normal class as well."""

    def __init__(
        self, spec: EncoderSpec, network: VideoNetwork, flow: RecognitionFlow, *, device: str = "auto"
    ) -> None:
        """See `Recogniser`."""
        super().__init__(spec, network, flow, device=device)
        self.classes += 1

    def probabilities(self, sample: ClipSample) -> Scores:
        """float32 (K + 1,): the mean over all views of the sigmoid of each class, then the normal class.

        Raises:
            FootageError: no picture of the clip was added.
        """
        logits = np.concatenate([self._logits(batch) for batch in self._batches(sample.views())])
        means = np.asarray(expit(logits.astype(np.float64)).mean(axis=0), np.float32)
        return np.asarray(with_normal(means[None])[0], np.float32)


def with_normal(probabilities: Scores) -> Scores:
    """float32 (C, K + 1): what clips score in the alarm classes, (C, K), then one less the highest of them."""
    return np.asarray(np.column_stack([probabilities, 1 - probabilities.max(axis=1)]), np.float32)


def classes_of(card: Mapping[str, Any]) -> tuple[str, ...]:
    """The alarm classes that a classifier's or a fine-tuned network's card tells, then the normal one."""
    classes = tuple(card["classes"])
    normal = str(card.get("normal") or NORMAL)
    # An alarm may be raised for the folder that was taken for the normal class.
    return (*classes, normal if normal not in classes else f"not {normal}")


def told_apart(clip_set: ClipSet, name: str, classes: Sequence[str]) -> ClipSet:
    """The clips under the classes that a network tells apart: what is no alarm class of its own is normal.

    Args:
        clip_set: labelled clips.
        name: of the network.
        classes: see `classes_of`.

    Raises:
        ConfigurationError: none of the clips to be measured is of an alarm class.
    """
    _indices(name, sorted({clip.label for clip in tested_clips(clip_set)}), classes[:-1])
    indices = indices_or_rest(clip_set.classes, classes[:-1])
    clips = tuple(replace(clip, label=classes[indices[clip.label]]) for clip in clip_set.clips)
    labels = {clip.label for clip in clips}
    normal = classes[-1] if classes[-1] in labels else None
    return replace(clip_set, clips=clips, classes=tuple(sorted(labels)), normal=normal)


def parameters(head: ClassifierHead, encoders: Sequence[TimedEncoder]) -> int:
    """Weights of a head's layers, over its members, and of the networks before it."""
    layers = sum(weight.size + bias.size for weight, bias in head.layers)
    return layers + sum(timed.encoder.parameters for timed in encoders if isinstance(timed.encoder, TorchEncoder))


def refuse_seen(what: str, contents: Collection[str], clip_set: ClipSet) -> None:
    """Raise ConfigurationError where clips to be measured are of source videos that were fitted on.

    Clips are known by their bytes, wherever they lie and whatever they are called.

    Args:
        what: a classifier or a network, for the message.
        contents: hashes of the clips that it was fitted on.
        clip_set: labelled clips; of an official split the test side is measured.
    """
    seen = {clip.name for clip in clips_of_seen_sources(clip_set, contents)}
    tested = tested_clips(clip_set)
    both = sorted(clip.name for clip in tested if clip.name in seen)
    if both:
        raise ConfigurationError(
            f"{what} was fitted on the source videos of {len(both)} of these {len(tested)} clips "
            f"({', '.join(both[:NAMED])}{', …' if len(both) > NAMED else ''}): what it names them tells nothing of others. "
            'Give clips that it has not seen, or measure a classifier by folds with "afterwatch evaluate classifier"'
        )


def _indices(what: str, labels: Iterable[str], classes: Sequence[str]) -> dict[str, int]:
    """Index of each label's alarm class, or the count of them: normal."""
    indices = indices_or_rest(labels, classes)
    if set(indices.values()) == {len(classes)}:
        raise ConfigurationError(
            f"none of the classes {', '.join(indices)} is one that {what} knows ({', '.join(classes)}); rename the folders"
        )
    return indices


def _device_used(encoders: Sequence[TimedEncoder], said: str) -> str:
    """Of the networks; what is no network runs on the CPU."""
    networks = any(isinstance(timed.encoder, TorchEncoder) for timed in encoders)
    return str(choose_device(said)) if networks else "cpu"
