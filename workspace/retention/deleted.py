"""What retention has deleted, as the ledger's `deletions` say it."""

import json
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

import pyarrow as pa

from infra.errors import LakeError
from lake.keys import Place
from lake.ledger import Ledger, Statement, newest

TABLE = "deletions"
ENTERED, GONE, CLOSED = "entered", "gone", "closed"
Where = Literal["lake", "workspace", "footage"]
LAKE: Where = "lake"
SITE: Where = "workspace"
FOOTAGE: Where = "footage"
Row = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A file that retention enters before it deletes it.

    Attributes:
        where, path: relative to the lake, the workspace or the footage folder.
        place: camera's day that it is of; the camera is empty where it is of all of them.
        policy: that names it, and `days` of it.
        reason: why it is due.
        bytes, sha256: of its content.
        state: entered, or gone: deleted, and seen to be gone.
        author, run: who deleted it, in which run of retention.
        said_at: when the state was told.
    """

    where: Where
    path: str
    place: Place
    policy: str
    days: int
    reason: str
    bytes: int
    sha256: str
    author: str
    run: str
    said_at: datetime
    state: str = ENTERED

    @property
    def key(self) -> str:
        """What the ledger calls it."""
        return f"{self.where}/{self.path}"

    def statement(self) -> Statement:
        """As the ledger keeps it."""
        value = {name: getattr(self, name) for name in _TOLD}
        place = self.place
        return Statement(self.key, self.author, value, place.campaign, place.camera, place.day, self.said_at)


_TOLD = ("where", "path", "policy", "days", "reason", "bytes", "sha256", "run", "state")


def closing(place: Place, contents: list[str], author: str, run: str, said_at: datetime) -> Statement:
    """That all that was made of recordings of a camera's day is deleted, and is not to be made again."""
    value = {"state": CLOSED, "recordings": sorted(contents), "run": run}
    return Statement(f"{CLOSED}/{place.folder}", author, value, place.campaign, place.camera, place.day, said_at)


@dataclass(frozen=True)
class Deleted:
    """What was deleted, for the nights that come after.

    Attributes:
        closed: contents of the recordings of which all results were deleted: none are made again.
        outputs: files of the lake that were deleted with them.
        published: camera days whose published videos and pictures were deleted: none are published again.
        digests: campaign days, without a camera, whose digest was.
        footage: when each recording was deleted, by its path.
    """

    closed: frozenset[str] = frozenset()
    outputs: frozenset[str] = frozenset()
    published: frozenset[Place] = frozenset()
    digests: frozenset[Place] = frozenset()
    footage: dict[str, date] = field(default_factory=dict)


def deleted_now(ledger: Ledger) -> Deleted:
    """What retention has deleted, or has entered and is about to delete.

    Raises:
        LakeError: the ledger's `deletions` cannot be read.
    """
    found: Deleted = ledger.derived(TABLE, _derive)
    return found


def entries_now(ledger: Ledger) -> list[Entry]:
    """The newest word on each file, in the order in which they were said.

    Raises:
        LakeError: one cannot be read.
    """
    rows = newest(ledger.rows(TABLE).to_pylist(), ("key",), "said_at")
    found = [entry for row in rows if (entry := _entry(row)) is not None]
    return sorted(found, key=lambda entry: (entry.said_at, entry.key))


def _derive(rows: pa.Table) -> Deleted:
    told = newest(rows.to_pylist(), ("key",), "said_at")
    entries = [entry for row in told if (entry := _entry(row)) is not None]
    closed = {content for row in told for content in _closed(row)}
    published = [entry for entry in entries if entry.policy == "published"]
    return Deleted(
        frozenset(closed),
        frozenset(entry.path for entry in entries if entry.policy == "results"),
        frozenset(entry.place for entry in published if entry.place.camera),
        frozenset(entry.place for entry in published if not entry.place.camera),
        {entry.path: entry.said_at.date() for entry in entries if entry.where == FOOTAGE and entry.state == GONE},
    )


def _entry(row: Row) -> Entry | None:
    """An entry of the ledger; None of a row that says something else, or takes it back."""
    try:
        value = json.loads(row["value"])
        if value is None or value["state"] == CLOSED:
            return None
        place = Place(row["campaign"], row["camera"], row["day"])
        return Entry(**{name: value[name] for name in _TOLD}, place=place, author=row["author"], said_at=row["said_at"])
    except (ValueError, KeyError, TypeError) as error:
        raise LakeError(
            f"the deletion {row['key']} of the ledger cannot be read ({type(error).__name__}: {error})"
        ) from None


def _closed(row: Row) -> list[str]:
    value = json.loads(row["value"])
    return list(value["recordings"]) if value is not None and value["state"] == CLOSED else []
