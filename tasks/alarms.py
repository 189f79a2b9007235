"""Which classes of [[alarms]] are switched on for a camera, and what they are to make of its days."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from footage.regions import WHOLE
from infra.alarm_settings import AlarmTable
from infra.errors import AfterwatchError
from infra.table import NAME
from lake.keys import Place, step_key
from lake.labels import UseCase, labels_now
from lake.promotions import in_service
from models.events import EventRule
from tasks.alarm_inputs import GONE, unfit_for
from tasks.camera_runs import CameraRuns, Row
from tasks.heads import KIND as RETRIEVAL
from tasks.heads import SUSPENDED, SUSPENDED_FOR
from tasks.plan import FRAMES_SCOPE, DayPlan, keys_of, made, paths_of
from tasks.step_plans import AlarmPlan, AlarmRegion, Reference, Step
from workspace.opened import Workspace

if TYPE_CHECKING:
    from workspace.clip_vectors import Inputs

STEP = "classify"
SWITCHED_OFF = "switched off in the settings"
OTHER_NAME = "give the alarm another name, since labels of the use case would count as verdicts on its events"


@dataclass(frozen=True, eq=False)
class _Alarm:
    """An entry of [[alarms]] and the classifier it names; `unusable` says why there is none, and is empty where there is."""

    table: AlarmTable
    version: str = ""
    class_name: str = ""
    rule: EventRule | None = None
    inputs: "Inputs | None" = None
    unusable: str = ""

    @property
    def made_by(self) -> str:
        """The classifier, as the inputs of a step name it."""
        return "/".join(("classifier", self.table.classifier_version[0], self.version, self.class_name))

    def version_of(self, made_by: str) -> str:
        """Version that an input of a step names, where it is of this classifier and class; else empty."""
        kind, _, told = made_by.partition("/")
        name, _, told = told.partition("/")
        version, _, class_name = told.partition("/")
        mine = ("classifier", self.table.classifier_version[0], self.class_name)
        return version if (kind, name, class_name) == mine else ""


class CameraAlarms:
    """The alarms of one camera, as settings, registry and ledger have them at the moment: read when first needed, and once.

    Args:
        workspace: the site.
        camera: whose alarms.
        runs: what the ledger says of the camera's steps.
        tables: the alarms, such as those of another version of a classifier; None: those of the settings.
    """

    def __init__(
        self, workspace: Workspace, camera: str, runs: CameraRuns, tables: Sequence[AlarmTable] | None = None
    ) -> None:
        self._workspace, self._camera, self._runs = workspace, camera, runs
        self._tables = workspace.settings.alarms if tables is None else tuple(tables)

    def plan(self, day: DayPlan, references: Sequence[Reference]) -> tuple[AlarmPlan, ...]:
        """Plan what the alarms switched on for the camera make of its day, in the order of the settings.

        An alarm whose classifier does not fit what the night embeds is suspended: its step makes nothing, and says why.
        Where that is because the recordings are gone, what the classifier's earlier version found in them stays.

        Args:
            day: as far as it is embedded.
            references: the camera's own stills, by which regions under a moved view are told.
        """
        return tuple(self._plan_alarm(day, references, alarm) for alarm in self._alarms)

    def retired(self, place: Place) -> tuple[Step, ...]:
        """Steps of the alarms no longer switched on whose scores and events of a day still count; see `CameraRuns.retired`."""
        return self._runs.retired(STEP, place, {alarm.table.name for alarm in self._alarms}, SWITCHED_OFF)

    def _plan_alarm(self, day: DayPlan, references: Sequence[Reference], alarm: _Alarm) -> AlarmPlan:
        table, inputs = alarm.table, alarm.inputs
        unfit: dict[str, str] = {}
        regions: list[AlarmRegion] = []
        for name in dict.fromkeys(table.regions):
            why = "" if inputs is None else unfit_for(self._workspace, day, inputs, name)
            if why or inputs is None:
                unfit[name] = alarm.unusable or why
                continue
            scopes = tuple(f"{item.space}/{name}" for item in inputs.items)
            regions.append(AlarmRegion(name, scopes, tuple(paths_of(made(day, scope)) for scope in scopes)))
        suspended = _suspended(unfit, bool(regions))
        gone = next((why for why in unfit.values() if why.startswith(GONE)), "")
        step = self._kept(day.place, alarm, gone) if gone and not regions else None
        if step is not None:
            suspended = ""
        else:
            step = self._step(day, references, alarm, regions, suspended)
        name = table.classifier_version[0]
        return AlarmPlan(name, alarm.version, alarm.class_name, alarm.rule, step, tuple(regions), suspended)

    def _step(
        self,
        day: DayPlan,
        references: Sequence[Reference],
        alarm: _Alarm,
        regions: Sequence[AlarmRegion],
        suspended: str,
    ) -> Step:
        place, table = day.place, alarm.table
        told: dict[str, Any] = {
            "place": place.told,
            "alarm": table.model_dump(mode="json", include={"name", "smooth_s", "minimum_s", "merge_gap_s"}),
            "classifier": [table.classifier_version[0], alarm.version, alarm.class_name],
            "threshold": None if alarm.rule is None else alarm.rule.threshold,
            "regions": [region.name for region in regions],
            "suspended": suspended,
        }
        made_from = [key for region in regions for scope in region.scopes for key in keys_of(made(day, scope))]
        if any(region.name != WHOLE.name for region in regions):
            told["references"] = [[reference.key, reference.from_us] for reference in references]
            made_from += keys_of(made(day, FRAMES_SCOPE))
        key = step_key(STEP, told, made_from)
        outputs = tuple(f"{name}/{place.folder}/{key}.parquet" for name in ("scores", "events"))
        exists = all(self._workspace.store.exists(path) for path in outputs)
        remark = (self._runs.said(STEP, key) or suspended) if exists else ""
        inputs = (*made_from, *([alarm.made_by] if regions else []))
        return Step(STEP, table.name, key, inputs, outputs, exists, remark)

    def _kept(self, place: Place, alarm: _Alarm, why: str) -> Step | None:
        """The step as it was done last by a version of the classifier that could be applied; None where there is none."""
        for row in reversed(self._applied(alarm.table.name)):
            if Place(row["campaign"], row["camera"], row["day"]) != place:
                continue
            version = next((found for made_by in row["inputs"] if (found := alarm.version_of(made_by))), "")
            if version and all(self._workspace.store.exists(path) for path in row["outputs"]):
                remark = f"kept as version {version} found it: {why}"
                inputs, outputs = tuple(row["inputs"]), tuple(row["outputs"])
                return Step(STEP, alarm.table.name, row["key"], inputs, outputs, True, remark)
        return None

    @cached_property
    def _alarms(self) -> tuple[_Alarm, ...]:
        tables = (table for table in self._tables if table.runs_for(self._camera))
        return tuple(self._find(table) for table in tables)

    def _find(self, table: AlarmTable) -> _Alarm:
        if self._is_use_case(table.name):
            return _Alarm(table, unusable=f"a use case of the camera is called {table.name} too; {OTHER_NAME}")
        return _find(self._workspace, table)

    def _is_use_case(self, name: str) -> bool:
        """Whether an alarm is called as a use case of the camera is: labels of the one would count for both.

        Labels that were said before the alarm was ever applied cannot be verdicts on it. Later ones cannot be told apart,
        so a use case is known by its head then, once that serves.
        """
        ledger = self._workspace.ledger
        if not NAME.fullmatch(self._camera):
            return False  # no use case can be of a camera that is called so
        heads = {UseCase(self._camera, region.name, name).head_name for region in self._workspace.regions(self._camera)}
        if not heads.isdisjoint(in_service(ledger, RETRIEVAL, self._camera)):
            return True
        since = next((row["finished_at"] for row in self._applied(name)), None)
        return any(
            (label.use_case.camera, label.use_case.name) == (self._camera, name)
            and (since is None or label.said_at < since)
            for label in labels_now(ledger)
        )

    def _applied(self, name: str) -> list[Row]:
        """When an alarm was applied, whatever the day and the classifier; oldest first."""
        finished = self._runs.finished(STEP, name)
        return [row for row in finished if not row["message"].startswith(f"{SUSPENDED}:")]


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
        rule = EventRule(threshold, minimum_s=table.minimum_s, merge_gap_s=table.merge_gap_s, smooth_s=table.smooth_s)
        return _Alarm(table, found.version, class_name, rule, Inputs.from_card(found.card))
    except AfterwatchError as error:
        return _Alarm(table, unusable=str(error))
    except (KeyError, TypeError, ValueError) as error:
        return _Alarm(table, unusable=f"the card of classifier {name} cannot be used ({error}); fit it again")


def _suspended(unfit: dict[str, str], applied: bool) -> str:
    """What the receipt tells of regions that are left out, by region; empty where there are none."""
    if not unfit:
        return ""
    reasons = set(unfit.values())
    if not applied and len(reasons) == 1:
        return f"{SUSPENDED}: {reasons.pop()}"
    told = "; ".join(f"region {name}, as {why}" for name, why in unfit.items())
    return f"{SUSPENDED_FOR} {told}" if applied else f"{SUSPENDED}: {told}"
