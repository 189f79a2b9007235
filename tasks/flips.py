"""Comparing two versions of a model by the very rules of the night; nothing is written to the lake.

Both versions are planned as a night would plan them, and what each step would make is made and kept from nobody's files. So
the events of the version in service are those that count, as long as nothing else has changed since.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from infra.alarm_settings import AlarmTable
from infra.errors import AfterwatchError, UnknownNameError
from infra.table import NAME
from lake.current import recordings_now
from tasks.alarms import CameraAlarms
from tasks.camera_runs import CameraRuns
from tasks.classify import event_rows, score_alarm
from tasks.flip_autoencoders import compare_autoencoders
from tasks.heads import KIND as RETRIEVAL
from tasks.heads import CameraHeads
from tasks.plan import FRAMES_SCOPE, DayPlan, made, plan_days, recordings_of
from tasks.references import find_references, references_within
from tasks.retrieve import score_head
from tasks.step_plans import AlarmPlan, HeadPlan, Reference
from workspace.classifiers import find_classifier, threshold_of
from workspace.counted_events import counted_events
from workspace.flip_reports import Identity, make_report
from workspace.flip_sides import RunSides, VersionSides
from workspace.flips import Compared, ComparedDay, FlipReport, FoundEvent, events_in_order
from workspace.opened import Workspace
from workspace.serving import AUTOENCODER

COUNTED = "counted"
"""Kind of a report that compares runs of the ledger."""
STAGE = "compare"
MOST_REMARKS = 12
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class _Made:
    """What a version makes of a day.

    Attributes:
        events: that it finds.
        keys: of the steps that a night would take for it.
        stays: whether what was found before stays, whichever version serves, since the recordings are gone.
        lacking: why it is not applied, or not to all of the day.
        applied: whether anything of the day was held against it.
    """

    events: tuple[FoundEvent, ...]
    keys: tuple[str, ...]
    stays: bool
    lacking: tuple[str, ...]
    applied: bool


Make = Callable[[DayPlan, Sequence[Reference]], _Made]


class _Method(Protocol):
    """How versions of a kind are applied."""

    heads: tuple[str, ...]
    words: tuple[str, ...]

    def runs_for(self, camera: str) -> bool: ...

    def of_camera(self, camera: str) -> tuple[Make, Make]: ...


def compare(
    workspace: Workspace,
    sides: VersionSides | RunSides,
    campaign: str,
    progress: Progress = lambda _stage, _done, _total: None,
) -> FlipReport:
    """Make the flip report of two versions, or of a head after two runs.

    Raises:
        UnknownNameError: no recording of such a campaign is known.
        ConfigurationError: there is no camera-day to hold them against each other on.
        LakeError: a model of the registry, or a file of events, is damaged.
    """
    known = {str(row["campaign"]) for row in recordings_now(workspace.ledger)}
    if campaign not in known:
        raise UnknownNameError("campaign", campaign, known)
    if isinstance(sides, RunSides):
        counted = counted_events(workspace, sides, campaign)
        identity = Identity(COUNTED, sides.head, sides.current.run_id, sides.candidate.run_id, campaign)
        return make_report(workspace, identity, counted)
    apply = compare_autoencoders if sides.kind == AUTOENCODER else _compare_versions
    compared = apply(workspace, sides, campaign, progress)
    identity = Identity(sides.kind, sides.name, sides.current, sides.candidate, campaign)
    return make_report(workspace, identity, compared)


def _compare_versions(workspace: Workspace, sides: VersionSides, campaign: str, progress: Progress) -> Compared:
    method: _Method = _Heads(workspace, sides) if sides.kind == RETRIEVAL else _Alarms(workspace, sides)
    recordings = [
        recording
        for recording in recordings_of(workspace, recordings_now(workspace.ledger))
        if method.runs_for(recording.place.camera)
    ]
    cameras = sorted({recording.place.camera for recording in recordings if recording.place.campaign == campaign})
    total = len({recording.place for recording in recordings if recording.place.campaign == campaign})
    days: list[ComparedDay] = []
    keys: set[str] = set()
    remarks: Counter[str] = Counter()
    done = 0
    for camera in cameras:
        planned = plan_days(workspace, [recording for recording in recordings if recording.place.camera == camera])
        references = find_references(workspace, planned)
        makers = method.of_camera(camera)
        for day in (day for day in planned if day.place.campaign == campaign):
            progress(STAGE, done, total)
            done += 1
            if not made(day, FRAMES_SCOPE):
                remarks["not embedded yet"] += 1
                continue
            current, candidate = (make(day, references_within(references, day)) for make in makers)
            if current.stays or candidate.stays:
                remarks[
                    "left out: the recordings are gone, and what was found in them stays whichever version serves"
                ] += 1
                continue
            if not (current.applied or candidate.applied):
                remarks[f"left out, neither is applied: {'; '.join(current.lacking) or 'no head looks at it'}"] += 1
                continue
            for version, side in ((sides.current, current), (sides.candidate, candidate)):
                remarks.update(f"{version}: {why}" for why in side.lacking)
            days.append(ComparedDay(day.place, current.events, candidate.events))
            keys.update((*current.keys, *candidate.keys))
    progress(STAGE, total, total)
    models = tuple((sides.kind, sides.name, version) for version in (sides.current, sides.candidate))
    return Compared(tuple(days), method.heads, models, method.words, _told(remarks), tuple(sorted(keys)))


def _told(remarks: Counter[str]) -> tuple[str, ...]:
    """What there is to know, the most frequent first, and of how many camera-days."""
    ranked = sorted(remarks.items(), key=lambda item: (-item[1], item[0]))
    told = [f"{why} ({count} camera-day{'s' if count > 1 else ''})" for why, count in ranked[:MOST_REMARKS]]
    more = len(ranked) - MOST_REMARKS
    return (*told, *([f"{more} more remarks of single days"] if more > 0 else []))


class _Alarms:
    """A classifier: as every alarm of the settings that a promotion of it reaches, or else as one for each of its classes."""

    def __init__(self, workspace: Workspace, sides: VersionSides) -> None:
        self._workspace = workspace
        self._versions = (sides.current, sides.candidate)
        tables = [
            table for table in workspace.settings.alarms if table.classifier_version == (sides.name, None)
        ] or _default_alarms(workspace, sides)
        self._tables = {version: [_pinned(table, version) for table in tables] for version in self._versions}
        self.heads = tuple(table.name for table in tables)
        self.words = tuple(_alarm_words(workspace, table, self._versions) for table in tables)

    def runs_for(self, camera: str) -> bool:
        return any(table.runs_for(camera) for table in self._tables[self._versions[0]])

    def of_camera(self, camera: str) -> tuple[Make, Make]:
        runs = CameraRuns(self._workspace, camera)
        first, second = (
            CameraAlarms(self._workspace, camera, runs, self._tables[version]) for version in self._versions
        )
        return self._making(first), self._making(second)

    def _making(self, alarms: CameraAlarms) -> Make:
        def make(day: DayPlan, references: Sequence[Reference]) -> _Made:
            plans = alarms.plan(day, references)
            scored = [(plan, *score_alarm(self._workspace, day, references, plan)) for plan in plans]
            rows = [row for plan, found, _ in scored for row in event_rows(day, plan, found)]
            return _Made(
                events_in_order(FoundEvent.of(row) for row in rows),
                tuple(plan.step.key for plan in plans),
                any(_stays(plan) for plan in plans),
                tuple(f"alarm {plan.step.scope}: {why}" for plan, _, why in scored if why),
                any(len(one.windows) for _, found, _ in scored for one in found),
            )

        return make


def _stays(plan: AlarmPlan) -> bool:
    """Whether the step is the one that an earlier version left: nobody can apply another to what is gone."""
    return plan.step.exists and not plan.regions and not plan.suspended


def _pinned(table: AlarmTable, version: str) -> AlarmTable:
    return table.model_copy(update={"classifier": f"{table.classifier_version[0]}/{version}"})


def _default_alarms(workspace: Workspace, sides: VersionSides) -> list[AlarmTable]:
    """An alarm over the whole picture of every camera for each class, where no alarm of the settings takes what serves."""
    versions = (sides.current, sides.candidate)
    found = [find_classifier(workspace, sides.name, version).classes for version in versions]
    classes = sorted(set().union(*found))
    names = [one if NAME.fullmatch(one) else str(number) for number, one in enumerate(classes)]
    return [
        AlarmTable(name=f"{sides.name}.{name}", classifier=sides.name, class_name=one)
        for name, one in zip(names, classes, strict=True)
    ]


def _alarm_words(workspace: Workspace, table: AlarmTable, versions: tuple[str, str]) -> str:
    thresholds = " and ".join(f"above {_threshold(workspace, table, version)} of {version}" for version in versions)
    return (
        f"alarm {table.name}: class {table.class_name or '(its only one)'}, region {', '.join(table.regions)}, {thresholds}; "
        f"smoothed over {table.smooth_s:g} s, at least {table.minimum_s:g} s, {table.merge_gap_s:g} s apart"
    )


def _threshold(workspace: Workspace, table: AlarmTable, version: str) -> str:
    if table.threshold is not None:
        return f"{table.threshold:.4f}"
    try:
        found = find_classifier(workspace, table.classifier_version[0], version)
        return f"{threshold_of(workspace, found, found.class_named(table.class_name)).threshold:.4f}"
    except AfterwatchError:
        return "no threshold"


class _Heads:
    """A retrieval head: over its own region of its own camera, by the rule of its card."""

    def __init__(self, workspace: Workspace, sides: VersionSides) -> None:
        self._workspace, self._name = workspace, sides.name
        self._versions = (sides.current, sides.candidate)
        cards = [workspace.registry.card(RETRIEVAL, sides.name, version) for version in self._versions]
        cases = [card.get("use_case") or {} for card in cards]
        self._cameras = {str(case.get("camera", "")) for case in cases}
        self.heads = tuple(sorted({str(case.get("name", "")) for case in cases}))
        self.words = tuple(_head_words(card, version) for card, version in zip(cards, self._versions, strict=True))

    def runs_for(self, camera: str) -> bool:
        return camera in self._cameras

    def of_camera(self, camera: str) -> tuple[Make, Make]:
        runs = CameraRuns(self._workspace, camera)
        first, second = (
            CameraHeads(self._workspace, camera, runs, {self._name: version}) for version in self._versions
        )
        return self._making(first), self._making(second)

    def _making(self, heads: CameraHeads) -> Make:
        def make(day: DayPlan, references: Sequence[Reference]) -> _Made:
            plans = heads.plan(day, references)
            scored = [(plan, *score_head(self._workspace, day, references, plan)) for plan in plans]
            return _Made(
                events_in_order(FoundEvent.of(row) for _, _, rows, _ in scored for row in rows),
                tuple(plan.step.key for plan in plans),
                False,
                tuple(why for plan, _, _, message in scored if (why := message or _not_embedded(plan))),
                any(plan.snippets and not plan.suspended for plan in plans),
            )

        return make


def _not_embedded(plan: HeadPlan) -> str:
    return "" if plan.snippets else "nothing is embedded in its space yet; run the night"


def _head_words(card: dict[str, Any], version: str) -> str:
    rule = card.get("rule") or {}
    seconds = ", ".join(f"{name} {rule[name]:g}" for name in ("smooth_s", "minimum_s", "merge_gap_s") if name in rule)
    return f"{version}: {card.get('encoder')}, above {rule.get('threshold')}; {seconds}"
