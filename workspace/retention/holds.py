"""Holds: footage of which no retention may delete anything, until somebody removes the hold and says why.

A hold is a statement of the lake's ledger. It covers recordings, by their content: what a recording was called, or which day it
was reckoned to, when the hold was said, makes no difference afterwards.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from infra.errors import ConfigurationError, LakeError, UnknownNameError
from infra.table import NAME
from lake.current import statements_now
from lake.keys import Place
from lake.ledger import Ledger, Statement

TABLE = "holds"
_LOCK = "deleting.lock"

Row = dict[str, Any]


@dataclass(frozen=True)
class Hold:
    """Recordings of a campaign, a camera and a span of days that are kept, whatever the settings say.

    Attributes:
        name: of the hold, such as a case's number.
        campaign, camera: None: all of them.
        from_day, to_day: both included; None: from the beginning, without an end.
        reason: why.
        author: who says so.
        said_at: when.
    """

    name: str
    campaign: str | None
    camera: str | None
    from_day: date | None
    to_day: date | None
    reason: str
    author: str
    said_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ConfigurationError(
                f'a hold has a name of letters, digits, blanks, dots, "_" and "-", 64 at most, got "{self.name}"; call it as its case is called'
            )
        if not self.reason.strip() or not self.author.strip():
            raise ConfigurationError("a hold has a reason and an author; say both")
        if self.from_day and self.to_day and self.from_day > self.to_day:
            raise ConfigurationError(f"a hold begins before it ends, got {self.from_day} to {self.to_day}")

    def covers(self, place: Place) -> bool:
        """Whether a camera's day is held."""
        return (
            self.campaign in (None, place.campaign)
            and self.camera in (None, place.camera)
            and (self.from_day is None or self.from_day <= place.day)
            and (self.to_day is None or place.day <= self.to_day)
        )

    @property
    def told(self) -> str:
        """What it covers, in words."""
        first, last = self.from_day or "the beginning", self.to_day or "now on"
        days = "all days" if self.from_day is None and self.to_day is None else f"{first} to {last}"
        return f"{self.campaign or 'all campaigns'} · {self.camera or 'all cameras'} · {days}"

    def as_json(self) -> dict[str, Any]:
        """As the command line tells it."""
        return {
            "name": self.name,
            "campaign": self.campaign,
            "camera": self.camera,
            "from": None if self.from_day is None else self.from_day.isoformat(),
            "to": None if self.to_day is None else self.to_day.isoformat(),
            "reason": self.reason,
            "author": self.author,
            "said_at": self.said_at.isoformat(),
        }


def holds_now(ledger: Ledger) -> list[Hold]:
    """The holds that count, in order of name.

    Raises:
        LakeError: one of them cannot be read: then nobody knows what it covers.
    """
    try:
        told = statements_now(ledger, TABLE)
        return [_read(row) for row in told if "removed" not in row["value"]]
    except (ValueError, KeyError, TypeError, ConfigurationError) as error:
        raise LakeError(
            f"a hold of the ledger cannot be read ({error}); say it again by its name, and nothing is deleted until then"
        ) from None


def add_hold(ledger: Ledger, state_folder: Path, hold: Hold, known: Sequence[Place]) -> None:
    """Say a hold. When this comes back, nothing that it covers is deleted any more, by no process of this machine.

    Args:
        ledger: of the workspace.
        state_folder: likewise.
        hold: that is new.
        known: the camera days that the lake knows.

    Raises:
        ConfigurationError: a hold of that name is there.
        UnknownNameError: its campaign or camera is none that is known: it would hold nothing.
    """
    for what, name, names in (
        ("campaign", hold.campaign, {place.campaign for place in known}),
        ("camera", hold.camera, {place.camera for place in known}),
    ):
        if name is not None and name not in names:
            raise UnknownNameError(what, name, names)
    with deletion_lock(state_folder):
        if any(other.name == hold.name for other in holds_now(ledger)):
            raise ConfigurationError(f"there is a hold {hold.name} already; remove it first, or choose another name")
        value = {name: told for name, told in hold.as_json().items() if name not in ("name", "author", "said_at")}
        ledger.say(TABLE, [Statement(hold.name, hold.author, value, said_at=hold.said_at)])
        if hold.name not in {other.name for other in holds_now(ledger)}:
            raise LakeError(
                f"something later than {hold.said_at:%Y-%m-%d %H:%M} was said of the hold {hold.name}; see whether the clock is right"
            )


def remove_hold(ledger: Ledger, state_folder: Path, name: str, reason: str, author: str) -> None:
    """Take a hold back, and say why.

    Raises:
        UnknownNameError: there is no hold of that name.
        ConfigurationError: no reason is said.
    """
    if not reason.strip():
        raise ConfigurationError("say with --reason why the hold may go")
    with deletion_lock(state_folder):
        names = {hold.name for hold in holds_now(ledger)}
        if name not in names:
            raise UnknownNameError("hold", name, names)
        ledger.say(TABLE, [Statement(name, author, {"removed": reason})])
        if name in {hold.name for hold in holds_now(ledger)}:
            raise LakeError(
                f"the hold {name} was said later than now by this machine's clock, and stays; put the clock right"
            )


@contextmanager
def deletion_lock(state_folder: Path) -> Iterator[None]:
    """Held for the deletion of one file, and while a hold is said: so no file goes that was held the moment before."""
    state_folder.mkdir(parents=True, exist_ok=True)
    with (state_folder / _LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Held:
    """What the holds of a ledger cover, by all that was ever said of each recording.

    Args:
        recordings: rows of `recordings`, of all times.
        holds: that count.
    """

    def __init__(self, recordings: Sequence[Row], holds: Sequence[Hold]) -> None:
        self.holds = tuple(holds)
        self._by_recording: dict[str, Hold] = {}
        self._by_place: dict[Place, Hold] = {}
        known = [(Place(row["campaign"], row["camera"], row["day"]), row["recording_id"]) for row in recordings]
        for place, content in known:
            hold = next((hold for hold in holds if hold.covers(place)), None)
            if hold is not None and content:
                self._by_recording.setdefault(content, hold)
        for place, content in known:
            if content in self._by_recording:
                self._by_place.setdefault(place, self._by_recording[content])

    def of(self, place: Place, contents: Sequence[str] = ()) -> Hold | None:
        """The hold on a camera's day, or on any of some recordings; None where nothing holds them.

        What is of all cameras of a campaign, and does not say of which recordings, is held where anything of the campaign is.
        """
        if not place.camera and not contents:
            return next((hold for hold in self.holds if hold.campaign in (None, place.campaign)), None)
        direct = next((hold for hold in self.holds if hold.covers(place)), None)
        of_content = (self._by_recording[content] for content in contents if content in self._by_recording)
        return direct or self._by_place.get(place) or next(of_content, None)


def _read(row: Row) -> Hold:
    value = row["value"]
    first, last = (None if value[name] is None else date.fromisoformat(value[name]) for name in ("from", "to"))
    for name in ("campaign", "camera"):
        if value[name] is not None and not isinstance(value[name], str):
            raise TypeError(f"{name} is no name")
    return Hold(
        row["key"],
        value["campaign"],
        value["camera"],
        first,
        last,
        str(value["reason"]),
        row["author"],
        row["said_at"],
    )
