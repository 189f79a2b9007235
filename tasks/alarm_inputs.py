"""Whether what a camera's day has embedded is what a classifier was fitted on, region by region."""

import math
from typing import TYPE_CHECKING

from infra.settings import AtRate, EveryNth, KeyFrames
from tasks.plan import DayPlan
from workspace.opened import Workspace

if TYPE_CHECKING:
    from workspace.clip_vectors import ClassifierInput, Inputs

GONE = "its recordings are gone"
"""First words where nobody can mend it."""
SAME = 1e-6
"""Share within which two lengths or rates are the same."""


def unfit_for(workspace: Workspace, day: DayPlan, inputs: "Inputs", region: str) -> str:
    """Why a classifier cannot be applied to a region of a day as it is embedded; empty where it can."""
    camera = day.place.camera
    if region not in {known.name for known in workspace.regions(camera)}:
        return f"the camera has no region {region}; draw it, or leave the camera out of the alarm's cameras"
    for item in inputs.items:
        why = _not_embedded(workspace, camera, item, region) or _other_times(workspace, camera, inputs, item)
        if why:
            return why
        if not day.products(f"{item.space}/{region}"):
            return f"{GONE}, and {item.encoder} has not embedded region {region} of them"
    return ""


def _not_embedded(workspace: Workspace, camera: str, item: "ClassifierInput", region: str) -> str:
    """Why the settings do not ask for an encoder's vectors of a region; empty where they do."""
    encoder = next((one for one in workspace.encoders if one.spec.space == item.space), None)
    if encoder is None:
        return (
            f"its encoder {item.encoder} is not among [[encoders]] as it was when the classifier was fitted; "
            "add it, or fit the classifier again on one that is"
        )
    if not encoder.table.runs_for(camera):
        return f"its encoder {item.encoder} does not run for the camera; name the camera under that [[encoders]]"
    if encoder.table.regions != "all" and region not in encoder.table.regions:
        return f"its encoder {item.encoder} does not embed region {region}; name the region under that [[encoders]]"
    return ""


def _other_times(workspace: Workspace, camera: str, inputs: "Inputs", item: "ClassifierInput") -> str:
    """Why an encoder's vectors are not of the times that the classifier was fitted on; empty where they are."""
    if item.kind == "snippet":
        encoder = next(one for one in workspace.encoders if one.spec.space == item.space)
        # Snippets that are averaged over a window adjoin; those that are the windows begin as often as the card says.
        stride_s = inputs.stride_s if item == inputs.window_item else encoder.spec.snippet_s
        if math.isclose(encoder.stride_s, stride_s, rel_tol=SAME):
            return ""
        return (
            f"{item.encoder} takes a snippet every {encoder.stride_s:g} s, and the classifier was fitted on one every "
            f"{stride_s:g} s; set stride_s = {stride_s:g} under that [[encoders]], or fit it again"
        )
    sampling, rate_hz = workspace.settings.sampling_of(camera), inputs.frame_rate_hz
    if rate_hz is None:
        return f"its card does not say how often it wants pictures of {item.encoder}; fit it again"
    if isinstance(sampling, AtRate) and math.isclose(sampling.rate_hz, rate_hz, rel_tol=SAME):
        return ""
    return (
        f"the camera is sampled {_sampled(sampling)}, and the classifier was fitted on pictures at {rate_hz:g} Hz; "
        f'set the sampling to {{ policy = "rate", rate_hz = {rate_hz:g} }}, or fit it again'
    )


def _sampled(sampling: EveryNth | AtRate | KeyFrames) -> str:
    match sampling:
        case EveryNth(n=n):
            return f"at one picture in {n}"
        case AtRate(rate_hz=rate_hz):
            return f"at {rate_hz:g} Hz"
        case KeyFrames():
            return "at key frames"
