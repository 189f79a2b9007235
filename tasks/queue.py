"""Queue: which snippets of a campaign's newest days people should judge next, a list for each campaign.

It is made of what the heads in use have scored and of what people have said. Where none of that has changed the list
stands; after answers, the next night asks anew. Nothing here loads what chooses the snippets (`tasks.queue_choice`), so that a
night with nothing to do stays cheap.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lake.keys import Place, short_hash, step_key
from lake.labels import Label, labels_now
from lake.ledger import FINISHED, Ledger, newest
from lake.promotions import in_service
from tasks.alarms import STEP as CLASSIFY
from tasks.heads import KIND as RETRIEVAL
from tasks.heads import STEP as RETRIEVE
from tasks.inventory import known_inventory
from tasks.plan import Recording, recordings_of
from tasks.receipts import Receipt, reason_of
from workspace.opened import Workspace
from workspace.queue_items import STEP, queue_files, skips_now

SCORE = "score"
CLASSIFIER = "classifier"
"""Kind of an alarm's head in the registry (`workspace.classifiers.KIND`, which brings scikit-learn along)."""


@dataclass(frozen=True)
class ScoredDay:
    """What a head in use made of a camera's day, as the ledger says: the step, its scope, key and files.

    `version` is the one in use; the scores may still be those of another. A novelty head, which has one for each day, has none.
    """

    step: str
    scope: str
    place: Place
    key: str
    outputs: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class QueuePlan:
    """A campaign's queue, and what it is chosen from.

    Attributes:
        place: the campaign and its newest recorded day; its camera is empty.
        scored: scores of the newest days, in order of step, scope, camera and day; none where nothing is to be asked.
        recordings: contents that can be shown.
        turn: how many earlier days of the campaign were asked about; whose turn it is goes by it.
        key: of the list.
        path: its file.
        exists: whether it is there.
        stale: days of which an older list still counts.
    """

    place: Place
    scored: tuple[ScoredDay, ...]
    recordings: frozenset[str]
    turn: int
    key: str
    path: str
    exists: bool
    stale: tuple[date, ...]

    @property
    def is_new(self) -> bool:
        """Whether there is a list to be made."""
        return bool(self.key) and not self.exists


def queues_due(workspace: Workspace, chosen: Iterable[Place]) -> list[QueuePlan]:
    """Plan the queue of each campaign that a run is about, in order of name.

    A run about everything also looks at campaigns that have a queue and no camera day any more. Where the budget is 0, no
    queue is planned but those that take back what an earlier night asked.

    Args:
        workspace: the site.
        chosen: camera days that the run is about.
    """
    counting: dict[str, list[Recording]] = {}
    for recording in recordings_of(workspace, known_inventory(workspace).present):
        counting.setdefault(recording.place.campaign, []).append(recording)
    places = set(chosen)
    files = queue_files(workspace.ledger)
    due = {place.campaign for place in places}
    if {recording.place for mine in counting.values() for recording in mine} <= places:
        due |= set(files)
    plans = []
    for campaign in sorted(due):
        asked = {day for day, _ in files.get(campaign, ())}
        recordings = counting.get(campaign, [])
        if recordings and workspace.settings.queue.budget:
            plans.append(_plan(workspace, campaign, recordings, asked))
        elif asked:
            plans.append(
                QueuePlan(Place(campaign, "", max(asked)), (), frozenset(), 0, "", "", False, tuple(sorted(asked)))
            )
    return plans


def queue_campaign(workspace: Workspace, plan: QueuePlan) -> list[Receipt]:
    """The task's work, without an orchestrator: the list where it is not there, and the end of older ones."""
    receipts = [_retired(plan.place.campaign, day) for day in plan.stale]
    return receipts if not plan.key else [_make(workspace, plan), *receipts]


def _make(workspace: Workspace, plan: QueuePlan) -> Receipt:
    began = time.perf_counter()
    status, rows, message = "skipped", 0, ""
    if not plan.exists:
        try:
            from tasks.queue_choice import write_queue  # it brings SciPy and scikit-learn along

            (rows, message), status = write_queue(workspace, plan), "done"
        except Exception as error:  # noqa: BLE001 — one campaign must not stop the others: it is reported, and tried again
            status, message = "failed", reason_of(error)
    outputs = (plan.path,) if status != "failed" else ()
    inputs = tuple(day.key for day in plan.scored)
    seconds = time.perf_counter() - began
    return Receipt(plan.place, STEP, "", plan.key, status, outputs, inputs, rows, seconds, 0.0, message)


def _retired(campaign: str, day: date) -> Receipt:
    """Once it is in the ledger, nothing of that day's list counts."""
    place = Place(campaign, "", day)
    key = step_key(STEP, {"place": place.told, "retired": True}, ())
    return Receipt(place, STEP, "", key, "skipped", message="not asked any more")


def _plan(workspace: Workspace, campaign: str, recordings: list[Recording], asked: set[date]) -> QueuePlan:
    settings = workspace.settings
    days = sorted({recording.place.day for recording in recordings})[-settings.queue.days :]
    mine = [recording for recording in recordings if recording.place.day in days]
    place = Place(campaign, "", days[-1])
    there = frozenset(recording.recording_id for recording in mine if recording.there)
    scored = _scored(workspace, {recording.place for recording in mine})
    labels = labels_now(workspace.ledger)
    skips = [
        [skip.use_case.name, skip.use_case.camera, skip.use_case.region, *_told_span(skip.span)]
        for skip in skips_now(workspace.ledger)
        if skip.campaign == campaign and skip.day in days
    ]
    turn = sum(day < place.day for day in _asked_days(workspace.ledger, campaign))
    parameters = {
        "place": place.told,
        "turn": turn,
        "versions": [day.version for day in scored],
        "queue": settings.queue.model_dump(mode="json"),
        "reach_s": settings.reach_s,
        "recordings": short_hash(sorted(there)),
        "labels": short_hash([_told(label) for label in labels if label.campaign == campaign and label.day in days]),
        "skips": short_hash(skips),
        "answered": sorted(
            [case.camera, case.region]
            for case, answers in answers_of(labels, settings.novelty.name).items()
            if len(answers) > 1
        ),
    }
    key = step_key(STEP, parameters, [day.key for day in scored])
    path = f"{STEP}/{place.folder}/{key}.parquet"
    stale = tuple(sorted(asked - {place.day}))
    return QueuePlan(place, scored, there, turn, key, path, workspace.store.exists(path), stale)


def _asked_days(ledger: Ledger, campaign: str) -> set[date]:
    """The days of which a list was made, whether it still counts or not."""
    days: dict[str, set[date]] = ledger.derived("runs", _days_by_campaign)
    return days.get(campaign, set())


def _days_by_campaign(runs: pa.Table) -> dict[str, set[date]]:
    finished = pc.and_(pc.equal(runs["step"], STEP), pc.is_in(runs["status"], pa.array(FINISHED)))
    found: dict[str, set[date]] = {}
    for row in runs.filter(finished).select(["campaign", "day"]).to_pylist():
        found.setdefault(row["campaign"], set()).add(row["day"])
    return found


def answers_of(labels: Iterable[Label], head: str) -> dict[Any, set[bool]]:
    """The answers that were given for each use case of a name."""
    found: dict[Any, set[bool]] = {}
    for label in labels:
        if label.use_case.name == head:
            found.setdefault(label.use_case, set()).add(label.relevant)
    return found


def _scored(workspace: Workspace, places: set[Place]) -> tuple[ScoredDay, ...]:
    """What counts of these days' scores, of the heads in use that are to be asked about.

    Of a retrieval head only the registry knows which use case it is of: all of them are here.
    """
    runs = workspace.ledger.rows("runs")
    steps = pc.is_in(runs["step"], pa.array([SCORE, RETRIEVE, CLASSIFY]))
    finished = runs.filter(pc.and_(steps, pc.is_in(runs["status"], pa.array(FINISHED))))
    rows = [
        row
        for row in newest(finished.to_pylist(), ("step", "campaign", "camera", "day", "scope"), "finished_at")
        if row["outputs"]
    ]
    versions = _versions(workspace, {place.camera for place in places})
    scored = (
        ScoredDay(
            row["step"],
            row["scope"],
            Place(row["campaign"], row["camera"], row["day"]),
            row["key"],
            tuple(row["outputs"]),
            versions.get((row["step"], row["camera"], row["scope"]), ""),
        )
        for row in rows
    )
    asked = (day for day in scored if day.place in places and _is_asked(workspace, day))
    return tuple(sorted(asked, key=lambda day: (day.step, day.scope, day.place.camera, day.place.day)))


def _versions(workspace: Workspace, cameras: set[str]) -> dict[tuple[str, str, str], str]:
    """Version in use of each head that has one, by step, camera and scope."""
    versions: dict[tuple[str, str, str], str] = {}
    classifiers = in_service(workspace.ledger, CLASSIFIER, "")
    for camera in sorted(cameras):
        for head, version in in_service(workspace.ledger, RETRIEVAL, camera).items():
            versions[RETRIEVE, camera, head] = version
        for alarm in workspace.settings.alarms:
            name, fixed = alarm.classifier_version
            versions[CLASSIFY, camera, alarm.name] = fixed or classifiers.get(name, "")
    return versions


def _is_asked(workspace: Workspace, day: ScoredDay) -> bool:
    settings = workspace.settings
    if day.step == RETRIEVE:
        return bool(day.version)
    if settings.queue.heads != "all" and day.scope not in settings.queue.heads:
        return False
    if day.step == SCORE:
        return day.scope == settings.novelty.name
    return any(alarm.name == day.scope and alarm.runs_for(day.place.camera) for alarm in settings.alarms)


def _told(label: Label) -> list[Any]:
    case = label.use_case
    return [case.name, case.camera, case.region, *_told_span(label.span), label.relevant]


def _told_span(span: Any) -> list[Any]:
    return [span.recording_id, span.from_us, span.to_us]
