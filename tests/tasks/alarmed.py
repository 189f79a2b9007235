"""Classifiers for tests of the night: tiny heads put straight into a site's registry, as fitted ones would be."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lake.promotions import promote
from models.arrays import prefixed
from models.encoders.base import EncoderSpec
from models.heads.classifier import ClassifierHead
from models.windows import joined_dimension
from tests.tasks.heads import vectors_of
from tests.tasks.nights import configure
from workspace.classifiers import EVERY_CAMERA, KIND
from workspace.clip_vectors import Inputs, inputs_of
from workspace.opened import Workspace

MOTION, APPEARANCE = "handcrafted/motion", "handcrafted/appearance"
LIVELY = "lively"
"""Name of the alarm and of the classifier of these tests."""


def head_of(offset: NDArray[Any], direction: NDArray[Any], bias: float = 0.0) -> ClassifierHead:
    """A logistic regression with one class: how far a vector is from `offset` along `direction`."""
    scale = np.ones(len(offset), np.float32)
    layer = (direction[None, :, None].astype(np.float32), np.full((1, 1), bias, np.float32))
    return ClassifierHead((LIVELY,), offset.astype(np.float32), scale, (layer,))


def keep(
    workspace: Workspace,
    head: ClassifierHead,
    looks_at: Inputs,
    *,
    name: str = LIVELY,
    version: str = "v1",
    threshold: float = 0.5,
    serving: bool = True,
    **changes: Any,
) -> Workspace:
    """Put a classifier into the registry, and into service; returns the workspace opened anew.

    `changes` are entries of the card as they are to be instead.
    """
    card = {
        **looks_at.to_card(),
        "classes": list(head.classes),
        "normal": "Normal",
        "thresholds": {one: {"threshold": threshold, "criterion": "f_beta 2"} for one in head.classes},
        "author": "tests",
        "made_at": f"2026-03-0{1 + int(version[1:])}T00:00:00+00:00",
        **changes,
    }
    workspace.registry.save(KIND, name, version, card, prefixed("head", head.to_arrays()), author="ada")
    if serving:
        promote(workspace.ledger, KIND, name, version, "tests", EVERY_CAMERA)
    return Workspace(workspace.site.root)


def motion_inputs(workspace: Workspace, **changes: Any) -> Inputs:
    """Of a classifier on the site's snippets of motion, as they are."""
    encoder = workspace.encoder(MOTION)
    return inputs_of([encoder.spec], **{"stride_s": encoder.stride_s, **changes})


def lively(workspace: Workspace, camera: str, share: float = 0.8, **options: Any) -> Workspace:
    """A classifier of motion in service: its probability is above 0.5 for the liveliest 1 - `share` of a camera's snippets."""
    vectors = vectors_of(workspace, camera).vectors
    direction = vectors.mean(axis=0)
    along = (vectors - vectors.mean(axis=0)) @ direction
    head = head_of(vectors.mean(axis=0), direction, -float(np.quantile(along, share)))
    return keep(workspace, head, motion_inputs(workspace), **options)


def flat(workspace: Workspace, specs: Sequence[EncoderSpec], dimensions: Sequence[int], **options: Any) -> Workspace:
    """A classifier in service whose probability is 0.5 whatever it sees."""
    inputs = inputs_of(list(specs), **options.pop("inputs", {}))
    poolings = [item.pooling for item in inputs.items]
    width = joined_dimension(list(zip(poolings, dimensions, strict=True)))
    return keep(workspace, head_of(np.zeros(width), np.zeros(width)), inputs, **options)


def switch_on(workspace: Workspace, *entries: Mapping[str, Any], **changes: Any) -> Workspace:
    """Write [[alarms]] into a small site's settings; an entry names the alarm and the classifier as these tests do."""
    alarms = [{"name": LIVELY, "classifier": LIVELY, "merge_gap_s": 1.0, **entry} for entry in entries]
    return configure(workspace.site.root, {"alarms": alarms, **changes})
