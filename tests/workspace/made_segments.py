"""Annotated segments that were never decoded, and a segment classifier that is fitted on them."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

from footage.index import FrameIndex
from models.heads.classifier import ClassifierSettings
from models.heads.segment_training import SegmentSamples
from models.losses import LOSSES
from models.sweep import Criterion
from workspace.classifier_fitting import FittedClassifier
from workspace.clip_sets.base import LabelledClip
from workspace.clip_vectors import ClassifierInput, Inputs
from workspace.opened import Workspace
from workspace.segment_fitting import fit_segments
from workspace.segment_parts import Parts
from workspace.segment_sets import AnnotatedSegments, SegmentVideos

S = 1_000_000
LENGTH = 6
"""Segments of a video, a second each."""
QUICK = ClassifierSettings(hidden=(), learning_rate=0.05, epochs=3, batch_size=16, members=1, class_weights="none")
INPUTS = Inputs((ClassifierInput("handcrafted/motion", "m", "snippet", "window"),), 1.0, 1.0, None)
PARTS: Parts = {"a": "train", "b": "train", "c": "validation", "d": "validation", "e": "test", "f": "test"}


def annotated(anomalous: Mapping[str, tuple[int, ...]], short: tuple[str, ...] = ()) -> AnnotatedSegments:
    """Videos by name, and which of their segments are anomalous; their vectors lie a little apart."""
    index = FrameIndex(np.arange(LENGTH * 25), np.ones(LENGTH * 25, np.bool_), Fraction(1, 25))
    names = sorted(anomalous)
    videos = SegmentVideos(
        tuple(LabelledClip(name, Path(name), name, name, f"{place:032x}", index) for place, name in enumerate(names)),
        tuple(np.array([[n * S, (n + 1) * S] for n in anomalous[name]], np.int64).reshape(-1, 2) for name in names),
        "annotations",
    )
    place = np.tile(np.arange(LENGTH), len(names))
    positive = np.concatenate([np.isin(np.arange(LENGTH), anomalous[name]) for name in names])
    vectors = np.random.default_rng(0).normal(size=(len(place), 4)).astype(np.float32)
    vectors[positive, 0] += 1.5
    samples = SegmentSamples(vectors, np.repeat(np.arange(len(names)), LENGTH), place > 0, positive)
    return AnnotatedSegments(videos, samples, place * S, (place + 1) * S, 0, short)


SHOWN = {"a": (1, 2), "b": (), "c": (0, 3), "d": (), "e": (4, 5), "f": ()}


def fit(
    workspace: Workspace,
    name: str = "trouble",
    segments: AnnotatedSegments | None = None,
    parts: Parts = PARTS,
    criterion: Criterion | None = None,
) -> FittedClassifier:
    """A segment classifier in the registry."""
    return fit_segments(
        workspace,
        name,
        "street",
        annotated(SHOWN) if segments is None else segments,
        INPUTS,
        parts,
        QUICK,
        LOSSES["mil"],
        overlap=0.5,
        criterion=criterion,
        author="ada",
    )
