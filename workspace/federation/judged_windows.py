"""What people judged at this site, as windows that the head of an alarm is trained on: the lake's own vectors, no decoding.

Judged are the events of alarms of the classifier, and moments of use cases that are called as its classes are. A stretch is a
clip; its source is the recording.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.federation.base import SiteError
from models.federation.plan import FederatedPlan
from models.federation.plan_settings import classes_of
from models.heads.classifier_samples import ClassifierSamples
from workspace.clip_vectors import Inputs
from workspace.federation.encoders import check_space, described
from workspace.labelled_windows import LabelledSpan, LakeWindows, alarms_about, spans_of_heads, targets_of
from workspace.opened import Workspace


def judged_windows(
    workspace: Workspace,
    plan: FederatedPlan,
    inputs: Inputs,
    *,
    campaign: str | None,
    cameras: Sequence[str] | None,
    region: str,
) -> tuple[ClassifierSamples, dict[str, Any]]:
    """Windows of what people judged, and what is told of them.

    Args:
        workspace: whose lake.
        plan: of the classifier.
        inputs: what a window's vector is made of.
        campaign, cameras: only these; None: all.
        region: whose labels and vectors.

    Raises:
        SiteError: nothing is judged there, or the encoders' vectors are not in the lake.
    """
    for item in inputs.items:
        check_space(described(workspace, item.encoder)[0], item.space)
    classes = classes_of(plan)
    spans = [
        span
        for span in judged_spans(workspace, plan)
        if span.label.use_case.region == region
        and campaign in (None, span.recording.campaign)
        and (cameras is None or span.recording.camera in cameras)
    ]
    lake = LakeWindows(workspace, inputs)
    windows = [lake.of_span(span) for span in spans]
    kept = [number for number, vectors in enumerate(windows) if len(vectors)]
    if not kept:
        raise SiteError(
            "no-footage",
            f"{len(spans)} moments are judged for {', '.join(classes)} in region {region}, and the lake has vectors of "
            f"{', '.join(item.encoder for item in inputs.items)} for none of them; judge events or label moments, let a night "
            "embed them, or give --data",
        )
    recordings = tuple(spans[number].recording.recording_id for number in kept)
    samples = ClassifierSamples(
        classes,
        np.concatenate([windows[number] for number in kept]),
        np.repeat(np.arange(len(kept)), [len(windows[number]) for number in kept]),
        targets_of(spans, classes)[kept],
        recordings,
        tuple(spans[number].content for number in kept),
        tuple(spans[number].name for number in kept),
    )
    shown = {name: int(column.sum()) for name, column in zip(classes, samples.targets.T, strict=True)}
    none = int((~samples.targets.any(axis=1)).sum())
    left_out = [f"{span.name}: nothing of it is embedded" for at, span in enumerate(spans) if not len(windows[at])]
    return samples, {"judged": True, "region": region, "clips": {**shown, "none of them": none}, "left_out": left_out}


def judged_spans(workspace: Workspace, plan: FederatedPlan) -> list[LabelledSpan]:
    """What people said of the classifier's alarms, and under the names of its classes, in order of place and time.

    A site may judge moments before it has a classifier to raise alarms.
    """
    classes = classes_of(plan)
    alarms = alarms_about(workspace, plan.name, classes)
    taken = {alarm.name for alarm in workspace.settings.alarms if alarm.classifier_version[0] == plan.name}
    return spans_of_heads(workspace, [*alarms, *((name, name) for name in classes if name not in taken)])
