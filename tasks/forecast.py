"""What a run would do, before it does anything: files, hours, steps, time and disk."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from footage.index import MICROSECONDS
from infra.errors import AfterwatchError, FootageError
from lake.current import recordings_now
from lake.keys import Place
from tasks.alarms import STEP as CLASSIFY
from tasks.camera import best_first, embed_receipts, step_receipts
from tasks.camera_summaries import digests_due
from tasks.causes import Cause, causes_of, in_short
from tasks.decisions import Decisions, Planned, keep_decisions
from tasks.digest import digest_day
from tasks.inventory import USABLE, Inventory, Row, known_inventory, name_of, report, take_inventory
from tasks.plan import DayPlan, Selection, plan_days, recordings_of
from tasks.queue import queue_campaign, queues_due
from tasks.receipts import Receipt, reason_of, record
from tasks.report import NightReport, close_night
from tasks.standing import suspended_alarms
from tasks.step_plans import DaySteps
from tasks.steps import plan_whole_camera
from tasks.telling import tell
from workspace.opened import Workspace
from workspace.room import Room, room_left

GUESSED_SECONDS = 0.2
"""Work in seconds per second of footage where no earlier run tells: handcrafted encoders on one core at 640 × 360."""
GUESSED_BYTES = 6_000
"""Lake and published bytes per second of footage where nothing is there to measure."""


@dataclass(frozen=True)
class DayForecast:
    """What a run would do for a camera's day, and why; `alarms` are those of its `classify` steps, in their order.

    `why` tells what is different, in short; `causes` that of each scope to embed and of each step.
    """

    place: Place
    shards: int
    seconds: float
    steps: tuple[str, ...]
    why: str
    alarms: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()

    @property
    def told(self) -> str:
        """The steps in words; of those that apply an alarm, which."""
        alarms = iter(self.alarms)
        return ", ".join(f"{name} {next(alarms)}" if name == CLASSIFY else name for name in self.steps)


@dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Attributes:
        inventory: the footage folder today.
        days: camera days with something to do.
        recorded_s: seconds of known footage in the selection.
        new_bytes: size of files that have not been examined; how long they are is known only then.
        work_s: estimated wall time; measured says whether earlier runs told it.
        disk_bytes: estimated growth of the workspace.
        cameras: of each camera of the selection all days, once they are embedded, and their steps.
        chosen: camera days of the selection.
        room: on the disk.
    """

    inventory: Inventory
    days: tuple[DayForecast, ...]
    recorded_s: float
    new_bytes: int
    work_s: float
    disk_bytes: int
    measured: bool
    cameras: tuple[tuple[Planned, ...], ...]
    chosen: frozenset[Place]
    room: Room

    @property
    def plans(self) -> list[Planned]:
        """The chosen days and their steps."""
        return [(day, steps) for camera in self.cameras for day, steps in camera if day.place in self.chosen]

    @property
    def is_empty(self) -> bool:
        return not (self.days or self.inventory.new or self.inventory.gone)

    @property
    def todo_s(self) -> float:
        return sum(day.seconds for day in self.days)

    @property
    def suspended(self) -> list[str]:
        """A line for each alarm that will not be applied to the newest day of cameras, or not to all of it, and why."""
        receipts = [
            Receipt(steps.place, CLASSIFY, alarm.step.scope, alarm.step.key, "skipped", message=alarm.suspended)
            for _, steps in self.plans
            for alarm in steps.alarms
        ]
        return suspended_alarms(receipts)

    @property
    def short_of_room(self) -> str:
        """Why a run would start nothing, or is likely to stop before its end; empty where there is room for all of it."""
        if not self.room.enough:
            return f"a run starts nothing new: {self.room.words}"
        if self.room.free_bytes - self.disk_bytes >= self.room.reserve_bytes:
            return ""
        return f"there may be no room for all of it: {self.room.words}"

    def as_json(self) -> dict[str, Any]:
        return {
            "files": {
                "new": len(self.inventory.new),
                "present": len(self.inventory.present),
                "gone": len(self.inventory.gone),
            },
            "new_bytes": self.new_bytes,
            "recorded_hours": round(self.recorded_s / 3600, 4),
            "hours_to_decode": round(self.todo_s / 3600, 4),
            "shards": sum(day.shards for day in self.days),
            "estimated_s": round(self.work_s, 1),
            "estimated_from": "earlier runs" if self.measured else "a guess",
            "estimated_disk_bytes": self.disk_bytes,
            "suspended": self.suspended,
            "short_of_room": self.short_of_room,
            "days": [
                {
                    "campaign": day.place.campaign,
                    "camera": day.place.camera,
                    "day": day.place.day.isoformat(),
                    "shards": day.shards,
                    "seconds": round(day.seconds, 3),
                    "steps": list(day.steps),
                    "why": day.why,
                    "causes": [asdict(cause) for cause in day.causes],
                }
                for day in self.days
            ],
        }


def forecast(
    workspace: Workspace, selection: Selection, workers: int, *, retry: bool = False, known_only: bool = False
) -> Forecast:
    """Look at footage and lake and say what a run would do; nothing is opened, decoded or written.

    Args:
        workspace: the site.
        selection: what the run is about.
        workers: that share the work.
        retry: as of a run that takes up what failed.
        known_only: as of a backfill, which takes in no new files.
    """
    inventory = known_inventory(workspace) if known_only else take_inventory(workspace, retry=retry)
    gone = ({**row, "status": "gone"} for row in inventory.gone)
    all_days = plan_days(workspace, recordings_of(workspace, [*inventory.present, *gone]))
    mine = [day for day in all_days if selection.takes(day.place)]
    decisions = Decisions(workspace)
    cameras: list[tuple[Planned, ...]] = []
    days: list[DayForecast] = []
    for camera in best_first(mine):
        planned, found = _forecast_camera(workspace, camera, all_days, decisions)
        cameras.append(planned)
        days += found
    recorded_s = sum(shard.seconds for day in mine for shard in day.shards)
    new_bytes = sum(file.bytes for file in inventory.new)
    new_s = _seconds_of(new_bytes, inventory.present)
    work_s, measured = _work(workspace, days, new_s)
    return Forecast(
        inventory=inventory,
        days=tuple(days),
        recorded_s=recorded_s,
        new_bytes=new_bytes,
        work_s=work_s / workers,
        disk_bytes=round((sum(day.seconds for day in days) + new_s) * GUESSED_BYTES),
        measured=measured,
        cameras=tuple(cameras),
        chosen=frozenset(day.place for day in mine),
        room=room_left(workspace),
    )


def idle_night(
    workspace: Workspace, found: Forecast, selection: Selection, report_of: NightReport, *, notify: bool = False
) -> NightReport:
    """Close a night that has nothing to do: what is there is entered as what counts, nothing is decoded or inferred.

    Args:
        workspace: the site; the caller holds its lock.
        found: what there is to do: nothing.
        selection: what the run is about.
        report_of: of the run.
        notify: as of a night, which tells the alarms that are still to be told; a backfill tells nobody.
    """
    try:
        for planned in found.cameras:
            keep_decisions(workspace, planned, found.chosen)
    except (AfterwatchError, OSError) as error:  # what they explain is there all the same
        report_of.failures.setdefault(f"decisions: {reason_of(error)}")
    receipts = [receipt for day, _ in found.plans for receipt in embed_receipts(day, day, ())]
    receipts += [receipt for _, steps in found.plans for receipt in step_receipts(steps)]
    # Digests are no steps of a plan: one that failed, or is to be of another length, is made here.
    due: dict[tuple[str, date], tuple[str, ...]] = {}
    try:
        due = digests_due(workspace, [day.place for day, _ in found.plans])
    except OSError as error:  # the night is to be reported all the same; the next one makes the digests
        report_of.failures.setdefault(f"digests: {reason_of(error)}")
    made = [digest_day(workspace, campaign, day, cameras=cameras) for (campaign, day), cameras in due.items()]
    failed = (item for item in made if item.status in ("failed", "partial"))
    report_of.failures |= {
        f"{item.place.campaign} · {item.place.day}: digest failed — {item.message}": None for item in failed
    }
    receipts += made
    record(workspace.ledger, report_of.run, receipts)
    receipts += _ask(workspace, found, report_of)
    if notify:
        report_of.untold += tell(workspace, in_flow=False)
    report_of.ingested = {"done": 0, "skipped": len(found.inventory.present), "failed": 0, "seconds": 0.0}
    report_of.ingest = report(found.inventory, (), workspace.settings.footage.gap_s)
    close_night(workspace, report_of, selection, found.inventory.present, receipts, 0)
    return report_of


def _ask(workspace: Workspace, found: Forecast, report_of: NightReport) -> list[Receipt]:
    """Choose anew what is asked next where people have answered since; what the night counts is in the ledger by now."""
    try:
        plans = queues_due(workspace, [day.place for day, _ in found.plans])
    except (AfterwatchError, OSError) as error:  # the night is to be reported all the same; the next one asks
        report_of.failures.setdefault(f"queue: {reason_of(error)}")
        return []
    asked = [receipt for plan in plans for receipt in queue_campaign(workspace, plan)]
    record(workspace.ledger, report_of.run, asked)
    failed = (item for item in asked if item.status == "failed")
    report_of.failures |= {
        f"{item.place.campaign} · {item.place.day}: queue failed — {item.message}": None for item in failed
    }
    return asked


def _forecast_camera(
    workspace: Workspace, mine: Sequence[DayPlan], all_days: Sequence[DayPlan], decisions: Decisions
) -> tuple[tuple[Planned, ...], list[DayForecast]]:
    """All days of a camera, as they will be once the chosen ones are embedded, and what is to be done of these.

    Keys depend on nothing but content and parameters, so what follows is known before anything is embedded.
    """
    chosen = {day.place: day for day in mine}
    same = [day for day in all_days if day.place.camera == mine[0].place.camera]
    planned = plan_whole_camera(workspace, [day.foreseen if day.place in chosen else day for day in same], chosen)
    plans = [(chosen[steps.place], steps) for _, steps in planned if steps.place in chosen]
    due = {day.place.day for day, steps in plans if day.todo_s or not steps.exist}
    days = []
    for day, steps in plans:
        causes = causes_of(workspace, day, steps, planned, due, decisions) if day.place.day in due else ()
        if causes:
            days.append(_forecast_day(day, steps, causes))
    return tuple(planned), days


def _forecast_day(day: DayPlan, steps: DaySteps, causes: tuple[Cause, ...]) -> DayForecast:
    todo = [shard for shard in day.shards if shard.todo]
    left = [step for step in steps.all if not step.exists]
    names = (*(["embed"] if todo else []), *(step.name for step in left))
    alarms = tuple(step.scope for step in left if step.name == CLASSIFY)
    return DayForecast(day.place, len(todo), day.todo_s, names, in_short(causes), alarms, causes)


def _work(workspace: Workspace, days: Iterable[DayForecast], new_s: float) -> tuple[float, bool]:
    """Seconds of work, and whether earlier runs told them.

    Args:
        workspace: the site.
        days: what is to be done.
        new_s: seconds of footage that has not been examined, and takes every step.
    """
    rows = workspace.ledger.rows("runs").select(["step", "status", "seconds", "decoded_s"]).to_pylist()
    done = [row for row in rows if row["status"] in ("done", "partial") and row["step"] not in ("night", "ingest")]
    decoded_s = sum(row["decoded_s"] for row in done if row["step"] == "embed")
    todo_s = sum(day.seconds for day in days)
    if decoded_s <= 0:
        return (todo_s + new_s) * GUESSED_SECONDS, False
    seconds: dict[str, list[float]] = defaultdict(list)
    for row in done:
        seconds[row["step"]].append(row["seconds"])
    per_step: Mapping[str, float] = {name: sum(told) / len(told) for name, told in seconds.items()}
    counts = Counter(name for day in days for name in day.steps)
    steps_s = sum(per_step.get(name, 0.0) * count for name, count in counts.items() if name != "embed")
    whole_s = sum(sum(told) for told in seconds.values())
    return todo_s * sum(seconds["embed"]) / decoded_s + steps_s + new_s * whole_s / decoded_s, True


def _seconds_of(new_bytes: int, rows: Sequence[Row]) -> float:
    """Seconds that files not examined yet are likely to hold, by the bytes per second of those that are."""
    usable = [row for row in rows if row["status"] in USABLE and row["duration_us"]]
    if not usable:
        return new_bytes / 250_000  # 2 Mbit/s, a usual fixed camera
    per_second = sum(row["bytes"] for row in usable) / (sum(row["duration_us"] for row in usable) / MICROSECONDS)
    return float(new_bytes / per_second)


def known_places(workspace: Workspace) -> list[Place]:
    """Places that the lake or the footage folder knows, for checking what a person typed."""
    places = {Place(row["campaign"], row["camera"], row["day"]) for row in recordings_now(workspace.ledger)}
    for file in take_inventory(workspace).new:
        try:
            named = name_of(workspace, file.path)
        except FootageError:
            continue
        places.add(Place(named.campaign, named.camera, named.started_at.astimezone(workspace.settings.zone).date()))
    return sorted(place for place in places if place.camera)
