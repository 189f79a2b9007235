"""What people did, or were refused: rows that each name the rows before them by hash, so that a row that is gone shows.

Several write at once and nobody waits for anybody: a row follows every row that its writer saw and that nothing follows
yet, and the last one that was written from the same machine. So the rows form a chain with short forks. Whoever can write
to the lake can also write the whole chain anew; a head of it that is noted elsewhere tells that.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from infra.errors import LakeError
from lake.ledger import Ledger, Statement

TABLE = "audit"
LOOKED_AT = 256
"""Newest rows among which a writer looks for those that nothing follows."""
MOST_TOLD = 20
"""Things that a row names; of more, only their number."""


@dataclass(frozen=True)
class About:
    """What something is done to.

    Attributes:
        on: its names, at most `MOST_TOLD` of them.
        count: how much it is.
        campaign, camera, day: where, if it is of one place.
    """

    on: tuple[str, ...] = ()
    count: int = 1
    campaign: str = ""
    camera: str = ""
    day: date = date(1970, 1, 1)

    @classmethod
    def of(cls, statements: Sequence[Statement]) -> "About":
        """What statements are about: their keys, how many they are, and where, if all are of one place."""
        on = tuple(dict.fromkeys(said.key for said in statements))[:MOST_TOLD]
        places = {(said.campaign, said.camera, said.day) for said in statements}
        return cls(on, len(statements), *places.pop()) if len(places) == 1 else cls(on, len(statements))


NOTHING = About()


@dataclass(frozen=True)
class AuditRow:
    """One thing that somebody did, or was refused.

    Attributes:
        who: name of the person; empty where nobody was signed in.
        role, via: as which they acted, and from where.
        action: what they did.
        allowed: False: it was refused.
        about: what it was done to.
        previous: hashes of the rows that it follows.
        said_at: when.
    """

    who: str
    role: str
    via: str
    action: str
    allowed: bool
    about: About = NOTHING
    previous: tuple[str, ...] = ()
    said_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def value(self) -> dict[str, Any]:
        """What the statement says, beside its author, its moment and its place."""
        return {
            "role": self.role,
            "via": self.via,
            "action": self.action,
            "allowed": self.allowed,
            "on": list(self.about.on),
            "count": self.about.count,
            "previous": sorted(self.previous),
        }

    @property
    def hash(self) -> str:
        """SHA-256 of everything that the row says, in hexadecimal."""
        place = [self.about.campaign, self.about.camera, self.about.day.isoformat()]
        told = [self.who, self.said_at.astimezone(UTC).isoformat(timespec="microseconds"), *place, self.value]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode("utf-8")).hexdigest()

    @property
    def statement(self) -> Statement:
        """The row as the ledger keeps it, its hash as its key."""
        about = self.about
        return Statement(self.hash, self.who, self.value, about.campaign, about.camera, about.day, self.said_at)


@dataclass(frozen=True)
class Verdict:
    """What the audit's own hashes say of it.

    Attributes:
        rows: how many there are.
        heads: hashes of the rows that nothing follows yet.
        problems: what was altered or is gone; empty where nothing was.
    """

    rows: int
    heads: tuple[str, ...]
    problems: tuple[str, ...]


def enter(ledger: Ledger, row: AuditRow, head: Path | None) -> str:
    """Append a row, after those that nothing follows yet; returns its hash.

    Args:
        ledger: of the lake.
        row: what was done; what it follows is filled in here.
        head: file beside the lake that keeps the hash of the last row from this machine; None keeps none.

    Raises:
        LakeError: it cannot be written.
    """
    known = ledger.rows(TABLE)
    rows = known.slice(max(0, known.num_rows - LOOKED_AT)).to_pylist()
    followed = {previous for one in rows for previous in _previous(one["value"])}
    # The last of this machine may not be listed yet, or may be gone: either way the new row names it.
    before = {one["key"] for one in rows} - followed | ({_noted(head)} - {""})
    entered = replace(row, previous=tuple(sorted(before)))
    ledger.say(TABLE, [entered.statement])
    if head is not None:
        _note(head, entered.hash)
    ledger.compact(TABLE)
    return entered.hash


def audit_rows(ledger: Ledger) -> list[AuditRow]:
    """Every readable row, oldest first."""
    found = {row.hash: row for row in (_row(one) for one in ledger.rows(TABLE).to_pylist()) if row is not None}
    return sorted(found.values(), key=lambda row: (row.said_at, row.hash))


def verify(ledger: Ledger, head: Path | None, expected: str = "") -> Verdict:
    """Hold every row against its hash, and look for every row that another follows.

    Args:
        ledger: of the lake.
        head: as `enter` has it.
        expected: hash of a row that was noted elsewhere; empty where none was.
    """
    told = ledger.rows(TABLE).to_pylist()
    problems = [
        f"the row of {one['said_at']:%Y-%m-%d %H:%M:%S} UTC by {one['author']} was altered: it is not what its hash says"
        for one in told
        if (row := _row(one)) is None or row.hash != one["key"]
    ]
    known = {one["key"] for one in told}
    followed: dict[str, str] = {}
    for one in told:
        for previous in _previous(one["value"]):
            followed.setdefault(previous, one["key"])
    problems += [
        f"row {gone} is gone: row {after} follows it" for gone, after in sorted(followed.items()) if gone not in known
    ]
    noted = _noted(head)
    if noted and noted not in known and noted not in followed:
        problems.append(f"row {noted}, the last one written from this machine, is gone, and so may be others before it")
    if expected and expected not in known:
        problems.append(
            f"row {expected}, which was noted elsewhere, is not there: rows are gone, or all was written anew"
        )
    roots = [one["key"] for one in told if not _previous(one["value"])]
    if told and len(roots) != 1:
        problems.append(f"{len(roots)} rows follow none, where the first alone does: the audit was begun anew")
    return Verdict(len(known), tuple(sorted(known - set(followed))), tuple(problems))


def _row(told: Mapping[str, Any]) -> AuditRow | None:
    try:
        value = json.loads(told["value"])
        return AuditRow(
            who=told["author"],
            role=str(value["role"]),
            via=str(value["via"]),
            action=str(value["action"]),
            allowed=bool(value["allowed"]),
            about=About(
                tuple(str(one) for one in value["on"]),
                int(value["count"]),
                told["campaign"],
                told["camera"],
                told["day"],
            ),
            previous=tuple(str(one) for one in value["previous"]),
            said_at=told["said_at"],
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _previous(value: str) -> list[str]:
    try:
        told = json.loads(value)["previous"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return [one for one in told if isinstance(one, str)] if isinstance(told, list) else []


def _noted(head: Path | None) -> str:
    try:
        return "" if head is None else head.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise LakeError(f"{head} cannot be read ({error}), and keeps the last row of the audit; grant access") from None


def _note(head: Path, told: str) -> None:
    unfinished = head.with_name(f".{head.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        head.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(told + "\n", encoding="ascii")
        os.replace(unfinished, head)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise LakeError(f"{head} cannot be written: {error.strerror}; free space or grant access") from error
