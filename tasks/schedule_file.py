"""What a workspace's schedule remembers: since when its nights are expected, and what people are still to be told of them.

It is a file of the state folder, `schedule.json`. Without it no night is expected and nobody is told of one, so deleting it
tells nothing twice.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.errors import ConfigurationError
from infra.settings import Settings
from workspace.notifications.nights import NightNews

FILE = "schedule.json"
LOCK = "schedule.lock"
REMEMBERED = 100
"""Missed nights that were told, of which the newest are remembered."""
MOST_PENDING = 10
"""News that wait for a channel; the newest are kept, so that a channel that comes back tells no flood of old ones."""


@dataclass(frozen=True)
class PendingNews:
    """News of a night that channels are still to be told.

    Attributes:
        news: what.
        channels: names of those that were not told yet.
        tried_at: when that was tried last; None: not yet.
    """

    news: NightNews
    channels: tuple[str, ...]
    tried_at: datetime | None = None


@dataclass(frozen=True)
class ScheduleFile:
    """What the file says.

    Attributes:
        since: nights are expected from then on.
        cron, time_zone: by which.
        told: times of missed nights that were told, or are pending, the oldest first.
        pending: news to be told, the oldest first.
    """

    since: datetime
    cron: str
    time_zone: str
    told: tuple[datetime, ...] = ()
    pending: tuple[PendingNews, ...] = field(default=())

    def is_of(self, settings: Settings) -> bool:
        """Whether nights are expected by the times that the settings name."""
        return (self.cron, self.time_zone) == (settings.schedule.cron, settings.site.time_zone)

    def with_news(self, news: NightNews, channels: tuple[str, ...]) -> "ScheduleFile":
        """The same, with news for channels; without a channel there is nobody to tell."""
        if not channels or any(known.news.news_id == news.news_id for known in self.pending):
            return self
        return replace(self, pending=(*self.pending, PendingNews(news, channels))[-MOST_PENDING:])

    def with_missed(self, due_at: datetime) -> "ScheduleFile":
        """The same, a missed night counting as told."""
        return replace(self, told=(*self.told, due_at)[-REMEMBERED:])


def read_schedule(state_folder: Path) -> ScheduleFile | None:
    """What the file says; None where there is none.

    Raises:
        ConfigurationError: it is damaged.
    """
    path = state_folder / FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        pending = tuple(
            PendingNews(NightNews.from_json(one["news"]), tuple(one["channels"]), _moment(one["tried_at"]))
            for one in told["pending"]
        )
        return ScheduleFile(
            datetime.fromisoformat(told["since"]),
            told["cron"],
            told["time_zone"],
            tuple(datetime.fromisoformat(text) for text in told["told"]),
            pending,
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{path} is damaged ({type(error).__name__}); delete it, and nights are expected again from the next start of "
            '"afterwatch schedule" on'
        ) from None


def write_schedule(state_folder: Path, schedule: ScheduleFile) -> None:
    """Put the file in place, whole or not at all; the caller holds `schedule_lock`."""
    text = json.dumps(asdict(schedule), default=_plain, indent=1, allow_nan=False)
    temporary = state_folder / f"{FILE}.{secrets.token_hex(4)}"
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, state_folder / FILE)


def expect_nights(state_folder: Path, settings: Settings) -> None:
    """Say that nights are expected from now on; where they were already, by the same times, from then on."""
    with schedule_lock(state_folder):
        known = read_schedule(state_folder)
        if known is not None and known.is_of(settings):
            return
        table, now = settings.schedule, datetime.now(UTC)
        fresh = ScheduleFile(now, table.cron, settings.site.time_zone)
        if known is not None:
            fresh = replace(known, since=now, cron=table.cron, time_zone=settings.site.time_zone)
        write_schedule(state_folder, fresh)


@contextmanager
def schedule_lock(state_folder: Path) -> Iterator[None]:
    """Hold the file for oneself; waits for whoever holds it."""
    state_folder.mkdir(parents=True, exist_ok=True)
    with (state_folder / LOCK).open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def turn(state_folder: Path, what: str) -> Iterator[bool]:
    """Whether it is this process's turn to run what a schedule runs, for as long as the block lasts.

    Where two schedules serve one workspace, both begin at one moment, before either holds the workspace's lock.
    """
    state_folder.mkdir(parents=True, exist_ok=True)
    with (state_folder / f"scheduled-{what}.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _moment(told: str | None) -> datetime | None:
    return None if told is None else datetime.fromisoformat(told)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} does not stand in {FILE}")
