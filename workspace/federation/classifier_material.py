"""What the head of an alarm is trained on in a federation at this site: a folder of labelled clips, or what people judged here."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.federation.base import Progress, SiteError
from models.federation.classifier_site import ClassifierSite
from models.federation.plan import FederatedPlan
from models.federation.plan_settings import classes_of
from models.federation.sites import classifier_site
from models.heads.classifier_samples import ClassifierSamples
from workspace.classifier_fitting import training_part
from workspace.clip_sets.base import ClipSet
from workspace.clip_sets.read import read_clip_set
from workspace.clip_vectors import ClipWindows, Inputs, clip_windows
from workspace.federation.encoders import encoder_of
from workspace.federation.folders import material_folder
from workspace.federation.judged_windows import judged_windows
from workspace.federation.plan_inputs import windows_of
from workspace.finetuning import unseen_part
from workspace.opened import Workspace

Rows = NDArray[np.int64]

HELD_OUT = 0.2
"""Share of the sources of each kind of clip that are held out."""
LEAST_OF_KIND = 3
"""Sources of a kind of clip below which none of them is held out."""
NEARLY = 1e-9
"""Of a stride, by which two lengths that are the same may differ."""
LEAST_HELD, LEAST_SOURCES = 2, 4
"""Sources held out at least, to choose a threshold by one and tell by another how it does; and sources in all."""


@dataclass(frozen=True, eq=False)
class ClassifierMaterial:
    """A site's labelled clips and the training made of them.

    Attributes:
        site: the training.
        inputs: what a window's vector is made of.
        training, held_out: clips in windows, of different sources.
        data: where they come from, for the card.
    """

    site: ClassifierSite
    inputs: Inputs
    training: ClassifierSamples
    held_out: ClassifierSamples
    data: dict[str, Any]

    @property
    def distinct(self) -> int:
        """Windows that are trained on and do not overlap: every k-th of a clip, where k strides are a window."""
        step = max(1, ceil(self.inputs.window_s / self.inputs.stride_s - NEARLY))
        return sum(ceil(count / step) for count in np.bincount(self.training.clip).tolist())


def gather_classifier(
    workspace: Workspace,
    plan: FederatedPlan,
    *,
    data: Path | None,
    campaign: str | None,
    cameras: Sequence[str] | None,
    region: str,
    progress: Progress,
) -> ClassifierMaterial:
    """Labelled clips of a folder, or what people judged here, and the training made of them.

    Args:
        workspace: whose lake and encoders.
        plan: of a classifier.
        data: a folder of labelled clips; without one it is what people judged of the recordings.
        campaign, cameras: whose judgements; None: all.
        region: part of the picture that was judged.
        progress: called with a stage, what is done and all of it.

    Raises:
        SiteError: there are too few clips, none of the plan's classes, or an encoder is not here.
        ConfigurationError: there are no clips.
    """
    inputs, classes = windows_of(plan), classes_of(plan)
    if data is not None:
        samples, told = folder_windows(workspace, plan, inputs, data, progress)
    else:
        samples, told = judged_windows(workspace, plan, inputs, campaign=campaign, cameras=cameras, region=region)
    training, held_out = (samples.of(clips) for clips in part_by_source(samples, plan.seed))
    site = classifier_site(plan, training, held_out, progress=progress)
    absent = [name for name, shown in zip(classes, samples.targets.T, strict=True) if not shown.any()]
    return ClassifierMaterial(site, inputs, training, held_out, {**told, "classes_absent": absent})


def folder_windows(
    workspace: Workspace, plan: FederatedPlan, inputs: Inputs, data: Path, progress: Progress
) -> tuple[ClassifierSamples, dict[str, Any]]:
    """Windows of a folder of labelled clips, but for those of an official test side; and what is told of them.

    A class of the folder that the plan does not name counts as normal, as in `fit classifier`.

    Raises:
        ConfigurationError: the folder holds no clips of two classes.
        SiteError: none of its classes is the plan's, or an encoder is not here.
    """
    classes, suffixes = classes_of(plan), workspace.settings.footage.suffixes
    clip_set = training_part(read_clip_set(data, suffixes=suffixes, progress=progress))
    if not set(classes) & set(clip_set.classes):
        raise SiteError(
            "no-footage",
            f"{data} holds clips of {', '.join(clip_set.classes)}, and the plan is about {', '.join(classes)}; call the "
            "folders of its classes so",
        )
    encoders = [encoder_of(workspace, item.encoder, item.space) for item in inputs.items]
    clip_set = unseen_part(workspace.registry, clip_set, [encoder.spec for encoder in encoders])
    windows = clip_windows(
        clip_set,
        encoders,
        inputs,
        cache=material_folder(workspace, plan.name, plan.digest),
        threads=workspace.settings.compute.decode_threads,
        progress=progress,
    )
    return windows.samples(classes), _data_told(data, windows.clip_set, windows)


def part_by_source(samples: ClassifierSamples, seed: int) -> tuple[Rows, Rows]:
    """Clips to train on and held-out ones, by number: a fifth of the sources of each kind of clip is held out, two at least.

    A source's kind is the set of classes that its clips show together. Unlike the folds of `fit classifier` this takes what
    there is: a kind of fewer than three sources is trained on whole, as long as others can be held out.

    Args:
        samples: clips in windows.
        seed: decides which sources.

    Returns:
        int64 numbers, rising, of clips to train on and of held-out ones.

    Raises:
        SiteError: there are fewer than four sources.
    """
    kinds = _kinds(samples)
    count = sum(len(sources) for sources in kinds)
    if count < LEAST_SOURCES:
        raise SiteError(
            "too-few-samples",
            f"all {len(samples)} clips are of {count} source videos: at least {LEAST_SOURCES} are needed, to hold some out",
        )
    random = np.random.default_rng(seed)
    held: set[str] = set()
    left: list[list[str]] = []
    for sources in kinds:
        order = [sources[at] for at in random.permutation(len(sources)).tolist()]
        taken = max(1, round(len(order) * HELD_OUT)) if len(order) >= LEAST_OF_KIND else 0
        held |= set(order[:taken])
        left.append(order[taken:])
    while len(held) < LEAST_HELD:
        # Of the kind that has most left, so that no kind is held out whole where another could be.
        held.add(max(left, key=len).pop())
    is_held = np.array([source in held for source in samples.sources])
    return np.flatnonzero(~is_held).astype(np.int64), np.flatnonzero(is_held).astype(np.int64)


def _kinds(samples: ClassifierSamples) -> list[list[str]]:
    """Sources, in order of name, by the classes that their clips show."""
    shown: dict[str, frozenset[int]] = {}
    for source, target in zip(samples.sources, samples.targets, strict=True):
        shown[source] = shown.get(source, frozenset()) | frozenset(np.flatnonzero(target).tolist())
    kinds: dict[tuple[int, ...], list[str]] = {}
    for source in sorted(shown):
        kinds.setdefault(tuple(sorted(shown[source])), []).append(source)
    return [sources for _, sources in sorted(kinds.items())]


def _data_told(data: Path, clip_set: ClipSet, windows: ClipWindows) -> dict[str, Any]:
    return {
        "folder": data.resolve().name,
        "layout": clip_set.layout,
        "clips": dict(clip_set.counts),
        "windows_lost": windows.lost,
        "left_out": list(clip_set.left_out),
    }
