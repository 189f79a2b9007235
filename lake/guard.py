"""A ledger, a registry and a store that ask before they write, and enter what people do in the audit.

Asked is whoever acts at that moment, not whoever opened them: they may be kept and shared by any number of people.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from infra.access import Action, Actor
from infra.errors import AccessError, UnknownNameError
from lake import audit
from lake.audit import NOTHING, About, AuditRow
from lake.ledger import ASIDE, Ledger, RunRow, Statement
from lake.registry import Registry
from lake.store import Store

ACTIONS: Mapping[str, Action] = {
    "labels": "label and judge",
    "reviews": "label and judge",
    "skips": "label and judge",
    "regions": "draw regions",
    "promotions": "put models into service",
    "thresholds": "set thresholds",
    "operating_points": "set thresholds",
    "weight_sets": "set weights",
    "signoffs": "sign flip reports",
    "holds": "hold footage",
    "deletions": "delete",
    "deliveries": "tell of alarms",
}
"""What somebody does who says something, by table of statements; nobody says anything in `audit` but the guard."""
BY_THE_NIGHT = ("deliveries",)
"""Statements that the night makes by itself, thousands in a year: they are their own record."""
FITTED_BY_THE_NIGHT = ("novelty",)
"""Kinds of models that a night fits for every camera: `runs` tells of them."""


class Guard:
    """Asks whether who acts may do something, and enters it in the audit.

    Args:
        ledger: of the lake, itself unguarded.
        who: says who acts at that moment.
        head: file beside the lake that keeps the hash of the audit's last row.
    """

    def __init__(self, ledger: Ledger, who: Callable[[], Actor], head: Path | None) -> None:
        self._ledger, self._who, self._head = ledger, who, head

    @property
    def actor(self) -> Actor:
        """Who acts now."""
        return self._who()

    def for_actor(self, actor: Actor) -> "Guard":
        """The same, for somebody who is known beforehand."""
        return Guard(self._ledger, lambda: actor, self._head)

    def ask(self, action: Action, about: About = NOTHING, *, enter: bool = True) -> Actor:
        """Refuse what the role of who acts does not allow; enter it in the audit, refused or not.

        Args:
            action: what is about to be done.
            about: what to.
            enter: False: only a refusal is entered.

        Returns:
            Who acts.

        Raises:
            AccessError: the role does not allow it.
            LakeError: it cannot be entered; what is not entered is not done.
        """
        actor = self._who()
        try:
            actor.require(action)
        except AccessError:
            self.note(actor, action, about, allowed=False)
            raise
        if enter:
            self.note(actor, action, about)
        return actor

    def note(self, actor: Actor, action: str, about: About = NOTHING, *, allowed: bool = True) -> None:
        """Enter something that was done, or refused, without asking."""
        audit.enter(self._ledger, AuditRow(actor.name, actor.role, actor.via, action, allowed, about), self._head)


class GuardedLedger(Ledger):
    """A ledger in which everybody says what their role allows, in their own name.

    Args:
        store: of the lake, itself unguarded.
        guard: is asked.
    """

    def __init__(self, store: Store, guard: Guard) -> None:
        super().__init__(store)
        self._guard = guard

    def record(self, rows: Sequence[RunRow]) -> None:
        if rows:
            self._guard.ask("write results", enter=False)
        super().record(rows)

    def say(self, table: str, statements: Sequence[Statement]) -> None:
        if table == audit.TABLE:
            raise AccessError("nobody writes into the audit: what is done enters itself")
        if table not in ACTIONS:
            raise UnknownNameError("table of statements", table, ACTIONS)
        if not statements:
            return
        actor = self._guard.ask(ACTIONS[table], About.of(statements), enter=table not in BY_THE_NIGHT)
        own = [replace(said, author=actor.name) for said in statements] if actor.signed_in else statements
        super().say(table, own)

    def set_aside(self) -> dict[str, str]:
        self._guard.ask("delete", About((ASIDE,)))
        return super().set_aside()

    def append_recordings(self, rows: pa.Table, seen_at: datetime) -> str:
        self._guard.ask("write results", enter=False)
        return super().append_recordings(rows, seen_at)


class GuardedRegistry(Registry):
    """A registry in which those train whose role allows it, in their own name.

    Args:
        folder: of the models.
        guard: is asked.
    """

    def __init__(self, folder: Path, guard: Guard) -> None:
        super().__init__(folder)
        self._guard = guard

    def save(
        self,
        kind: str,
        name: str,
        version: str,
        card: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        *,
        author: str,
    ) -> Path:
        enter = kind not in FITTED_BY_THE_NIGHT and not self.exists(kind, name, version)
        actor = self._guard.ask("train models", About((f"{kind}/{name}/{version}",)), enter=enter)
        return super().save(kind, name, version, card, arrays, author=actor.name if actor.signed_in else author)

    def revise(self, kind: str, name: str, version: str, entries: Mapping[str, Any]) -> dict[str, Any]:
        self._guard.ask("train models", About((f"{kind}/{name}/{version}",)))
        return super().revise(kind, name, version, entries)


class GuardedStore(Store):
    """The lake's files, which those write and delete whose role allows it: in a page, hardly anybody.

    Args:
        location, options: as `Store` has them.
        guard: is asked.
    """

    def __init__(self, location: str, options: Mapping[str, Any] | None, guard: Guard) -> None:
        super().__init__(location, options)
        self._guard = guard

    def write_bytes(self, path: str, content: bytes) -> None:
        self._guard.ask("write results", About((path,)), enter=False)
        super().write_bytes(path, content)

    def delete(self, path: str) -> None:
        self._guard.ask("delete", About((path,)), enter=False)
        super().delete(path)
