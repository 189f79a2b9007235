"""Whether the night that was to run has run: what the clock of the settings says against what the ledger says."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.compute as pc

from infra.cron import last_start
from infra.lock import NIGHT, REFIT, night_waits, what_runs
from tasks.schedule_file import read_schedule
from workspace.opened import Workspace

EARLY = timedelta(minutes=1)
"""What a night's own clock may be behind the scheduler's."""


@dataclass(frozen=True)
class MissedNight:
    """A night that has not begun, or has ended without a report.

    Attributes:
        due_at: when it was to begin.
        late_s: how long ago that was, in seconds.
        began_at: when a run began that did not end as a night does; None where none began.
        last_at: when the last night began that did; None where there was none.
    """

    due_at: datetime
    late_s: float
    began_at: datetime | None
    last_at: datetime | None

    def words(self, zone: ZoneInfo) -> str:
        """In one line, with times in `zone`."""
        last = "there was none before" if self.last_at is None else f"the last one began {_clock(self.last_at, zone)}"
        due = f"the night of {_clock(self.due_at, zone)}"
        if self.began_at is not None:
            return f"{due} began at {_clock(self.began_at, zone)} and ended without its report; {last}"
        return f"{due} has not begun; {last}"

    def as_json(self) -> dict[str, Any]:
        return {
            "due_at": self.due_at.isoformat(),
            "late_s": round(self.late_s, 3),
            "began_at": None if self.began_at is None else self.began_at.isoformat(),
            "last_at": None if self.last_at is None else self.last_at.isoformat(),
        }


def missed_night(
    due_at: datetime | None,
    now: datetime,
    since: datetime,
    nights: Iterable[datetime],
    others: Iterable[datetime] = (),
) -> MissedNight | None:
    """The night that was to begin at `due_at`, if it did not.

    What the ledger dates later than `now` was written while a clock was wrong: it neither is that night nor any before it.

    Args:
        due_at: newest time at which a night was to have begun by now; None: there was none.
        now: the moment of asking. All times have a zone.
        since: nights are expected from then on, and none before.
        nights: when the nights began that ended, with whatever result.
        others: when the runs began that have not ended.
    """
    if due_at is None or due_at < since:
        return None
    past = [began for began in nights if began <= now + EARLY]
    if any(began >= due_at - EARLY for began in past):
        return None
    began = [moment for moment in others if due_at - EARLY <= moment <= now + EARLY]
    late_s = (now - due_at).total_seconds()
    return MissedNight(due_at, late_s, max(began, default=None), max(past, default=None))


def due_before(workspace: Workspace, now: datetime) -> datetime | None:
    """When the newest night was to begin that is missed where it has not begun by `now`."""
    table = workspace.settings.schedule
    return last_start(table.cron, workspace.settings.zone, now - timedelta(seconds=table.late_after_s))


def missed_now(workspace: Workspace, now: datetime | None = None) -> MissedNight | None:
    """The night of the settings' schedule that is missed now; None where all is well, one is at work, or nights are not expected.

    Nights are expected of a workspace whose nights a schedule serves, or has served.
    """
    now = datetime.now(UTC) if now is None else now
    served = read_schedule(workspace.site.state_folder)
    if served is None or not served.is_of(workspace.settings):
        return None
    due_at = due_before(workspace, now)
    if due_at is None or due_at < served.since:
        return None
    missed = missed_night(due_at, now, served.since, *begun(workspace))
    return None if missed is None or _is_at_work(workspace.site.state_folder) else missed


def begun(workspace: Workspace) -> tuple[list[datetime], list[datetime]]:
    """When whole nights began that have ended, with whatever result, and when runs began that have not."""
    rows = workspace.ledger.rows("runs").select(["run_id", "step", "started_at", "message"])
    is_closing = pc.equal(rows["step"], "night")
    closing = rows.filter(is_closing).to_pylist()
    nights = [row["started_at"] for row in closing if _is_night(json.loads(row["message"] or "{}"))]
    closed = {row["run_id"] for row in closing}
    steps = rows.filter(pc.invert(pc.or_(is_closing, pc.equal(rows["step"], REFIT))))
    firsts = steps.group_by("run_id").aggregate([("started_at", "min")]).to_pylist()
    return nights, [row["started_at_min"] for row in firsts if row["run_id"] not in closed]


def _is_night(report: dict[str, Any]) -> bool:
    """Whether a report is of a whole night: no backfill, and no run by hand of one camera, say. Older reports do not tell."""
    return report.get("kind", NIGHT) == NIGHT and not report.get("limited_to")


def _is_at_work(state_folder: Path) -> bool:
    """Whether a night is at work, or waits for a backfill to give way."""
    return what_runs(state_folder) == NIGHT or night_waits(state_folder)


def _clock(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"
