"""Whether the clock can be trusted with a deletion: it is held against what the ledger says happened, and when."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from infra.errors import ConfigurationError
from workspace.opened import Workspace

AHEAD = timedelta(days=1)
"""What the ledger may be ahead of the clock: machines of one workspace, not put right to the second."""


def check_clock(workspace: Workspace, now: datetime) -> None:
    """Refuse to delete by a clock that may be wrong.

    A clock that jumped ahead shows as a pause in the ledger: between its newest row and now, or, where a night has run since,
    between two of its rows. After a pause of more than `retention.idle_days` nothing is deleted for as many days of nights, in
    which people have time to see that a date is wrong. One that jumped back shows as rows and recordings of the future.

    Raises:
        ConfigurationError: it is not to be trusted; the message says what was found, and what to do.
    """
    idle = timedelta(days=workspace.settings.retention.idle_days)
    moments = sorted({*_moments(workspace, "runs", "finished_at"), *_moments(workspace, "recordings", "seen_at")})
    if not moments:
        raise ConfigurationError("nothing was ever run in this workspace: there is nothing that retention could delete")
    newest = moments[-1]
    if newest > now + AHEAD:
        raise ConfigurationError(
            f"the ledger's newest row is of {newest:%Y-%m-%d %H:%M} UTC, and the clock shows {now:%Y-%m-%d %H:%M}: nothing is "
            "deleted by a clock that is behind; put it right"
        )
    if now - newest > idle:
        raise ConfigurationError(
            f"the ledger's newest row is {(now - newest).days} days old ({newest:%Y-%m-%d %H:%M} UTC), more than "
            f"retention.idle_days ({idle.days}): the clock may have jumped ahead, so nothing is deleted; see that it is right and "
            f"run nights again for {idle.days} days, or raise retention.idle_days if nothing runs here for so long"
        )
    paused = _newest_pause(moments, idle)
    if paused is not None and now - paused[1] < idle:
        raise ConfigurationError(
            f"nothing ran from {paused[0]:%Y-%m-%d} to {paused[1]:%Y-%m-%d}, longer than retention.idle_days ({idle.days}): the clock "
            f"may have jumped ahead, so nothing is deleted before {paused[1] + idle:%Y-%m-%d}; see that it is right, or raise "
            "retention.idle_days if nothing runs here for so long"
        )
    _check_recordings(workspace, now + idle)


def _check_recordings(workspace: Workspace, latest: datetime) -> None:
    columns = ["path", "started_at", "status"]
    rows = [row for row in workspace.ledger.rows("recordings").select(columns).to_pylist() if row["started_at"]]
    newest: dict[str, Any] = max(rows, key=lambda row: row["started_at"], default={"started_at": latest})
    if newest["started_at"] > latest:
        raise ConfigurationError(
            f"recording {newest['path']} begins at {newest['started_at']:%Y-%m-%d %H:%M} UTC, later than the clock by more than "
            "retention.idle_days: one of the two clocks is wrong, so nothing is deleted; put the machine's clock right, or the "
            "camera's with cameras.NAME.clock_offset_s"
        )


def _newest_pause(moments: Sequence[datetime], idle: timedelta) -> tuple[datetime, datetime] | None:
    pauses = [(before, after) for before, after in pairwise(moments) if after - before > idle]
    return pauses[-1] if pauses else None


def _moments(workspace: Workspace, table: str, column: str) -> list[datetime]:
    return [moment for moment in workspace.ledger.rows(table)[column].to_pylist() if moment is not None]
