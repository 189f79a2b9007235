"""Which version of a head is in service: said by people, append-only; the newest word on a head counts, all of them are its
history."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from infra.errors import LakeError
from lake.current import statements_now
from lake.ledger import Ledger, Statement

TABLE = "promotions"
PROMOTED = "promoted"
RETIRED = "retired"
ROLLED_BACK = "rolled back"

Action = Literal["promoted", "retired", "rolled back", "unreadable"]


@dataclass(frozen=True)
class Review:
    """What a promotion rests on: a flip report that somebody signed, or the reason why nobody did.

    Attributes:
        report: its id; empty where there is none.
        signed_by: who signed it.
        unreviewed: why the version is to serve without one; empty where it was signed, or where none is asked for.
    """

    report: str = ""
    signed_by: str = ""
    unreviewed: str = ""

    def to_value(self) -> dict[str, str]:
        """As a promotion keeps it; what there is not is left out."""
        told = {"report": self.report, "signed_by": self.signed_by, "unreviewed": self.unreviewed}
        return {name: text for name, text in told.items() if text}


NO_REVIEW = Review()


@dataclass(frozen=True)
class Promotion:
    """A word on which version of a head serves.

    Attributes:
        kind, name: of the head.
        action: `promoted`, `retired`, `rolled back`, or `unreadable` of a row that says none of them, as rows written by hand
            may not.
        before, after: version in service before and after; None where none was, or is.
        author, said_at: who said so, and when.
        reason: why, where somebody said it.
        review: what it rests on.
    """

    kind: str
    name: str
    action: Action
    before: str | None
    after: str | None
    author: str
    said_at: datetime
    reason: str = ""
    review: Review = NO_REVIEW


def promote(
    ledger: Ledger,
    kind: str,
    name: str,
    version: str,
    author: str,
    camera: str,
    *,
    before: str | None = None,
    review: Review = NO_REVIEW,
    rolled_back: bool = False,
    reason: str = "",
) -> None:
    """Put a version of a head into service in place of any other: from the next night on it scores its camera's days.

    Args:
        ledger: of the lake.
        kind, name, version: as the registry knows the head.
        author: who says so.
        camera: whose days it scores.
        before: version that it takes the place of.
        review: what it rests on.
        rolled_back: whether it served before and is put back.
        reason: why.
    """
    value: dict[str, Any] = {"version": version, "state": PROMOTED, "before": before, **review.to_value()}
    if rolled_back:
        value["action"] = ROLLED_BACK
    if reason:
        value["reason"] = reason
    ledger.say(TABLE, [Statement(f"{kind}/{name}", author, value, camera=camera)])


def retire(
    ledger: Ledger, kind: str, name: str, author: str, camera: str, *, before: str | None = None, reason: str = ""
) -> None:
    """Take a head out of service; what it found counts no more from the next night on.

    Its versions stay in the registry, and its files in the lake: put into service again, they count again.

    Args:
        ledger: of the lake.
        kind, name: as the registry knows the head.
        author: who says so.
        camera: whose days it scored.
        before: the version that served; None: what was said before is taken back, and no reason is kept.
        reason: why.
    """
    value = None if before is None else {"version": before, "state": RETIRED, **({"reason": reason} if reason else {})}
    ledger.say(TABLE, [Statement(f"{kind}/{name}", author, value, camera=camera)])


def in_service(ledger: Ledger, kind: str, camera: str | None = None) -> dict[str, str]:
    """Version in service of each head of a kind, by name; of one camera's heads where one is named.

    Raises:
        LakeError: what counts of a head is no promotion, as rows written by hand may not be.
    """
    serving = {}
    for row in statements_now(ledger, TABLE):
        if not row["key"].startswith(f"{kind}/") or camera not in (None, row["camera"]):
            continue
        value, name = row["value"], row["key"].split("/", 1)[1]
        if not isinstance(value, dict) or not isinstance(value.get("version"), str):
            raise LakeError(
                f'the ledger {TABLE} says {value!r} of {row["key"]}, which names no version; say it again with "afterwatch '
                f'models promote {name} VERSION"'
            )
        if value.get("state") == PROMOTED:
            serving[name] = value["version"]
    return serving


def history(ledger: Ledger, kind: str, name: str) -> list[Promotion]:
    """Every word on which version of a head serves, oldest first."""
    rows = [row for row in ledger.rows(TABLE).to_pylist() if row["key"] == f"{kind}/{name}"]
    found: list[Promotion] = []
    for row in sorted(rows, key=lambda row: row["said_at"]):
        found.append(_promotion(kind, name, row, found[-1].after if found else None))
    return found


def served(words: Sequence[Promotion]) -> list[str]:
    """Versions in the order in which they came to serve, those that were rolled back taken out again.

    The last one serves, or was the last to serve; the one before it is what a roll-back puts back.

    Args:
        words: history of a head.
    """
    versions: list[str] = []
    for word in words:
        if word.before is not None and versions[-1:] != [word.before]:
            versions.append(word.before)  # put there by other means than a promotion
        if word.after is None:
            continue
        if word.action == ROLLED_BACK and word.after in versions:
            while versions[-1] != word.after:
                versions.pop()
        elif versions[-1:] != [word.after]:
            versions.append(word.after)
    return versions


def _promotion(kind: str, name: str, row: dict[str, Any], serving: str | None) -> Promotion:
    """A row of the ledger; what served before it is what the row says, or else what the row before left there."""
    value = json.loads(row["value"])
    told: dict[str, Any] = value if isinstance(value, dict) else {}
    version, state = told.get("version"), told.get("state")
    readable = value is None or (isinstance(version, str) and state in (PROMOTED, RETIRED))
    action: Action = "retired" if value is None or state == RETIRED else "promoted"
    if told.get("action") == ROLLED_BACK:
        action = "rolled back"
    before = told.get("before") if state == PROMOTED else told.get("version") if state == RETIRED else None
    return Promotion(
        kind,
        name,
        action if readable else "unreadable",
        before if isinstance(before, str) else serving,
        version if readable and state == PROMOTED else None,
        row["author"],
        row["said_at"],
        str(told.get("reason") or ""),
        Review(*(str(told.get(entry) or "") for entry in ("report", "signed_by", "unreviewed"))),
    )
