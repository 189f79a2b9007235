"""What a run would do, before it does anything: files, hours, steps, time and disk."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from footage.index import MICROSECONDS
from infra.errors import AfterwatchError, FootageError
from lake.current import recordings_now
from lake.keys import Place
from tasks.alarms import STEP as CLASSIFY
from tasks.camera import best_first, embed_receipts, step_receipts
from tasks.camera_summaries import digests_due
from tasks.digest import digest_day
from tasks.inventory import USABLE, Inventory, Row, known_inventory, name_of, report, take_inventory
from tasks.plan import DayPlan, Selection, plan_days, recordings_of
from tasks.queue import queue_campaign, queues_due
from tasks.receipts import Receipt, reason_of, record
from tasks.report import NightReport, close_night
from tasks.standing import suspended_alarms
from tasks.step_plans import DaySteps
from tasks.steps import plan_camera
from tasks.telling import tell
from workspace.opened import Workspace

GUESSED_SECONDS = 0.2
"""Work in seconds per second of footage where no earlier run tells: handcrafted encoders on one core at 640 × 360."""
GUESSED_BYTES = 6_000
"""Lake and published bytes per second of footage where nothing is there to measure."""


@dataclass(frozen=True)
class DayForecast:
    """What a run would do for a camera's day, and why; `alarms` are those of its `classify` steps, in their order."""

    place: Place
    shards: int
    seconds: float
    steps: tuple[str, ...]
    why: str
    alarms: tuple[str, ...] = ()

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
    """

    inventory: Inventory
    days: tuple[DayForecast, ...]
    recorded_s: float
    new_bytes: int
    work_s: float
    disk_bytes: int
    measured: bool
    plans: tuple[tuple[DayPlan, DaySteps], ...]

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
            "days": [
                {
                    "campaign": day.place.campaign,
                    "camera": day.place.camera,
                    "day": day.place.day.isoformat(),
                    "shards": day.shards,
                    "seconds": round(day.seconds, 3),
                    "steps": list(day.steps),
                    "why": day.why,
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
    plans = [pair for camera in best_first(mine) for pair in _plan_camera(workspace, camera, all_days)]
    days = tuple(found for day, steps in plans if (found := _forecast_day(day, steps)) is not None)
    recorded_s = sum(shard.seconds for day in mine for shard in day.shards)
    rate, measured = _work_per_second(workspace)
    new_bytes = sum(file.bytes for file in inventory.new)
    todo_s = sum(day.seconds for day in days) + _seconds_of(new_bytes, inventory.present)
    disk = round(todo_s * GUESSED_BYTES)
    return Forecast(inventory, days, recorded_s, new_bytes, todo_s * rate / workers, disk, measured, tuple(plans))


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


def _plan_camera(
    workspace: Workspace, mine: Sequence[DayPlan], all_days: Sequence[DayPlan]
) -> list[tuple[DayPlan, DaySteps]]:
    chosen = {day.place: day for day in mine}
    same = [day for day in all_days if day.place.camera == mine[0].place.camera]
    return [(chosen[steps.place], steps) for steps in plan_camera(workspace, same, chosen)]


def _forecast_day(day: DayPlan, steps: DaySteps) -> DayForecast | None:
    todo = [shard for shard in day.shards if shard.todo]
    left = [step for step in steps.all if not step.exists]
    if not todo and not left:
        return None
    scopes = Counter(product.scope for shard in todo for product in shard.todo)
    partly = [scope for scope in scopes if scope in {p.scope for s in day.shards for p in s.products if p.exists}]
    if not todo:
        why = "its footage is embedded; what follows depends on something that changed"
    elif len(scopes) < len(day.scopes) or partly:
        why = "not embedded yet: " + ", ".join(sorted(scopes))
    else:
        why = "not embedded yet"
    after = steps.all if todo else left
    names = (*(["embed"] if todo else []), *(step.name for step in after))
    alarms = tuple(step.scope for step in after if step.name == CLASSIFY)
    return DayForecast(day.place, len(todo), day.todo_s, names, why, alarms)


def _work_per_second(workspace: Workspace) -> tuple[float, bool]:
    """Seconds of work per second of footage in the embedding of earlier runs."""
    rows = workspace.ledger.rows("runs").select(["step", "seconds", "decoded_s"]).to_pylist()
    embedded = [row for row in rows if row["step"] == "embed" and row["decoded_s"] > 0]
    decoded_s = sum(row["decoded_s"] for row in embedded)
    if decoded_s <= 0:
        return GUESSED_SECONDS, False
    work_s = sum(row["seconds"] for row in rows if row["step"] not in ("night", "ingest"))
    return work_s / decoded_s, True


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
