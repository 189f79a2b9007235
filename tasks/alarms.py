"""Which classes of [[alarms]] are switched on for a camera, and what they are to make of its days."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from infra.alarm_settings import AlarmTable
from infra.errors import AfterwatchError
from infra.settings import AtRate, EveryNth, KeyFrames
from lake.keys import Place, step_key
from tasks.camera_runs import CameraRuns
from tasks.heads import SUSPENDED, SUSPENDED_FOR
from tasks.plan import AlarmPlan, AlarmRegion, DayPlan, Step, keys_of, made, paths_of
from workspace.opened import Workspace

if TYPE_CHECKING:
    from workspace.clip_vectors import ClassifierInput, Inputs

STEP = "classify"
SWITCHED_OFF = "switched off in the settings"
SAME = 1e-6
"""Share within which two lengths or rates are the same."""


@dataclass(frozen=True, eq=False)
class _Alarm:
    """An entry of [[alarms]] and the classifier it names; `unusable` says why there is none, and is empty where there is."""

    table: AlarmTable
    version: str = ""
    class_name: str = ""
    threshold: float | None = None
    inputs: "Inputs | None" = None
    unusable: str = ""


class CameraAlarms:
    """The alarms of one camera, as settings, registry and ledger have them at the moment: read when first needed, and once.

    Args:
        workspace: the site.
        camera: whose alarms.
        runs: what the ledger says of the camera's steps.
    """

    def __init__(self, workspace: Workspace, camera: str, runs: CameraRuns) -> None:
        self._workspace, self._camera, self._runs = workspace, camera, runs

    def plan(self, day: DayPlan) -> tuple[AlarmPlan, ...]:
        """Plan what the alarms switched on for the camera make of its day, in the order of the settings.

        An alarm whose classifier does not fit what the night embeds is suspended: its step makes nothing, and says why.

        Args:
            day: as far as it is embedded.
        """
        return tuple(self._plan_alarm(day, alarm) for alarm in self._alarms)

    def retired(self, place: Place) -> tuple[Step, ...]:
        """Steps of the alarms no longer switched on whose scores and events of a day still count, in order of name.

        They give no files and are done as they are: once they are in the ledger, nothing of such an alarm counts.
        """
        named = {alarm.table.name for alarm in self._alarms}
        return tuple(
            Step(STEP, name, step_key(STEP, {"place": _told(place), "retired": name}, ()), (), (), True, SWITCHED_OFF)
            for name in self._counting.get(place, ())
            if name not in named
        )

    def _plan_alarm(self, day: DayPlan, alarm: _Alarm) -> AlarmPlan:
        workspace, place, table = self._workspace, day.place, alarm.table
        unfit: dict[str, str] = {}
        regions: list[AlarmRegion] = []
        made_from: list[str] = []
        for name in dict.fromkeys(table.regions):
            why = "" if alarm.inputs is None else _unfit(workspace, day, alarm.inputs, name)
            if why or alarm.inputs is None:
                unfit[name] = alarm.unusable or why
                continue
            scopes = tuple(f"{item.space}/{name}" for item in alarm.inputs.items)
            products = [made(day, scope) for scope in scopes]
            regions.append(AlarmRegion(name, scopes, tuple(paths_of(mine) for mine in products)))
            made_from += [key for mine in products for key in keys_of(mine)]
        suspended = _suspended(unfit, bool(regions))
        rule = table.model_dump(mode="json", include={"name", "smooth_s", "minimum_s", "merge_gap_s"})
        told: dict[str, Any] = {
            "place": _told(place),
            "alarm": rule,
            "classifier": [table.classifier_version[0], alarm.version, alarm.class_name],
            "threshold": alarm.threshold,
            "regions": [region.name for region in regions],
            "suspended": suspended,
        }
        key = step_key(STEP, told, made_from)
        outputs = tuple(f"{name}/{place.folder}/{key}.parquet" for name in ("scores", "events"))
        exists = all(workspace.store.exists(path) for path in outputs)
        remark = self._said.get(key, suspended) if exists else ""
        step = Step(STEP, table.name, key, tuple(made_from), outputs, exists, remark)
        classifier = table.classifier_version[0]
        return AlarmPlan(classifier, alarm.version, alarm.class_name, alarm.threshold, step, tuple(regions), suspended)

    @cached_property
    def _alarms(self) -> tuple[_Alarm, ...]:
        tables = (table for table in self._workspace.settings.alarms if table.runs_for(self._camera))
        return tuple(_find(self._workspace, table) for table in tables)

    @cached_property
    def _said(self) -> dict[str, str]:
        return self._runs.said(STEP)

    @cached_property
    def _counting(self) -> dict[Place, list[str]]:
        return self._runs.counting(STEP)


def _find(workspace: Workspace, table: AlarmTable) -> _Alarm:
    # They bring scikit-learn along, and a night without alarms is planned without it.
    from workspace.classifiers import find_classifier, threshold_of
    from workspace.clip_vectors import Inputs

    name, version = table.classifier_version
    try:
        found = find_classifier(workspace, name, version)
        class_name = found.class_named(table.class_name)
        threshold = table.threshold
        if threshold is None:
            threshold = threshold_of(workspace, found, class_name).threshold
        return _Alarm(table, found.version, class_name, threshold, Inputs.from_card(found.card))
    except AfterwatchError as error:
        return _Alarm(table, unusable=str(error))
    except (KeyError, TypeError, ValueError) as error:
        return _Alarm(table, unusable=f"the card of classifier {name} cannot be used ({error}); fit it again")


def _unfit(workspace: Workspace, day: DayPlan, inputs: "Inputs", region: str) -> str:
    """Why a classifier cannot be applied to a region of a day as it is embedded; empty where it can."""
    camera = day.place.camera
    if region not in {known.name for known in workspace.regions(camera)}:
        return f"the camera has no region {region}; draw it, or leave the camera out of the alarm's cameras"
    for item in inputs.items:
        why = _not_embedded(workspace, camera, item, region) or _other_times(workspace, camera, inputs, item)
        if why:
            return why
        if not day.products(f"{item.space}/{region}"):
            return f"its recordings are gone, and {item.encoder} has not embedded region {region} of them"
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


def _suspended(unfit: dict[str, str], applied: bool) -> str:
    """What the receipt tells of regions that are left out, by region; empty where there are none."""
    if not unfit:
        return ""
    reasons = set(unfit.values())
    if not applied and len(reasons) == 1:
        return f"{SUSPENDED}: {reasons.pop()}"
    told = "; ".join(f"region {name}, as {why}" for name, why in unfit.items())
    return f"{SUSPENDED_FOR} {told}" if applied else f"{SUSPENDED}: {told}"


def _told(place: Place) -> list[str]:
    return [place.campaign, place.camera, place.day.isoformat()]
