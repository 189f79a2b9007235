"""When a run starts nothing new: its deadline came, its disk has no room, or a night waits for a backfill to give way.

What is left then is made by the next run. Workers look for themselves, before each shard and each camera's day, since what a flow
sends them may wait for hours.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from infra.errors import AfterwatchError
from infra.lock import GRACE_S, night_waits
from workspace.opened import Workspace
from workspace.room import room_left

DEADLINE = "the deadline came first"
GAVE_WAY = "gave way to a night"
NO_ROOM = "no room"
"""First words where the disk is the reason."""
LOOK_S = 1.0
"""Time between two looks at whether a night waits."""

Day = TypeVar("Day")


class GaveWayError(AfterwatchError):
    """A shard of a backfill was left undone, because a night waited for longer than the grace."""


def reason_to_stop(workspace: Workspace, until: datetime | None = None) -> str:
    """Why nothing new may be started; empty where it may.

    Only a backfill is ever asked to give way, so that a night sees no request.

    Args:
        workspace: the site.
        until: moment after which nothing new starts, if there is one.
    """
    if until is not None and datetime.now(UTC) >= until:
        return DEADLINE
    if night_waits(workspace.site.state_folder):
        return GAVE_WAY
    room = room_left(workspace)
    return "" if room.enough else f"{NO_ROOM}: {room.words}"


def going_on(workspace: Workspace, days: Sequence[Day]) -> Iterator[Day]:
    """The days of a task, one after the other, as long as something new may be started."""
    for day in days:
        if reason_to_stop(workspace):
            return
        yield day


class Grace:
    """Lets the work in hand be finished for a while after a night has asked.

    Args:
        workspace: the site.
        grace_s: how long.
    """

    def __init__(self, workspace: Workspace, grace_s: float = GRACE_S) -> None:
        self._state_folder, self._grace_s = workspace.site.state_folder, grace_s
        self._looked_at = float("-inf")
        self._asked_at: float | None = None

    def check(self) -> None:
        """Look, once a second at most.

        Raises:
            GaveWayError: a night has been waiting for longer than the grace.
        """
        now = time.monotonic()
        if now - self._looked_at < min(LOOK_S, self._grace_s):
            return
        self._looked_at = now
        if not night_waits(self._state_folder):
            self._asked_at = None
            return
        self._asked_at = now if self._asked_at is None else self._asked_at
        if now - self._asked_at >= self._grace_s:
            raise GaveWayError(GAVE_WAY)
