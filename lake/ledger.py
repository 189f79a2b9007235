"""What was done and what was said: append-only rows, of which the newest of a key counts."""

import json
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from infra.errors import LakeError, UnknownNameError
from lake.schema import STATEMENTS, TABLES
from lake.store import Store, rows_of

FINISHED = ("done", "skipped", "partial")
COMPACT_ABOVE = 64
"""Files of a ledger above which a night merges them into one."""
MERGED = b"merged"
READS = 20
"""Times that a ledger is listed again when files go while it is read; each time a whole merge has come between."""
JUST_NOW = timedelta(minutes=1)
"""What was said so short a while ago is said now; what is older was said elsewhere, and is only entered."""
FOUND_AGAIN = ("runs", "recordings")
"""Ledgers of what a night can find out again; what people said in the others, nobody can."""
ASIDE = "damaged"
"""Folder of the lake for files that were set aside."""
SEALED = ("audit",)
"""Statements whose moment stands in their hash."""


@dataclass(frozen=True)
class RunRow:
    """One step of a run over one camera's day (or over the site, where campaign and camera are empty)."""

    run_id: str
    step: str
    campaign: str
    camera: str
    day: date
    scope: str
    key: str
    status: str
    started_at: datetime
    finished_at: datetime
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    rows: int = 0
    seconds: float = 0.0
    decoded_s: float = 0.0
    message: str = ""

    def __post_init__(self) -> None:
        if self.status not in (*FINISHED, "failed"):
            raise ValueError(f"status is one of {FINISHED} or failed, got {self.status!r}")


@dataclass(frozen=True)
class Statement:
    """What a person says of something; a `value` of None takes back what was said of the key before."""

    key: str
    author: str
    value: Any
    campaign: str = ""
    camera: str = ""
    day: date = date(1970, 1, 1)
    said_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Ledger:
    """The append-only tables of a lake. What was read once is remembered: files never change."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[str, dict[str, pa.Table]] = {}
        self._derived: dict[tuple[str, Callable[[pa.Table], Any]], tuple[tuple[str, ...], Any]] = {}

    def record(self, rows: Sequence[RunRow]) -> None:
        """Append rows to `runs`, all at once."""
        if rows:
            columns = {name: [getattr(row, name) for row in rows] for name in TABLES["runs"].schema.names}
            self._append("runs", rows_of("runs", columns), max(row.finished_at for row in rows))

    def say(self, table: str, statements: Sequence[Statement]) -> None:
        """Append statements to `table`, all at once.

        What is said now counts, though the clock may have been ahead when another word was said and be right by now: it is dated
        after all that the table holds.
        """
        if table not in STATEMENTS:
            raise UnknownNameError("table of statements", table, STATEMENTS)
        if statements:
            statements = statements if table in SEALED else self._dated(table, statements)
            names = [name for name in TABLES[table].schema.names if name != "value"]
            columns: dict[str, Any] = {name: [getattr(said, name) for said in statements] for name in names}
            columns["value"] = [json.dumps(said.value, sort_keys=True) for said in statements]
            self._append(table, rows_of(table, columns), max(said.said_at for said in statements))

    def _dated(self, table: str, statements: Sequence[Statement]) -> Sequence[Statement]:
        """The statements, in their order in time; those that are said now come after all that the table holds."""
        now = datetime.now(UTC)
        said_now = [said.said_at for said in statements if abs(now - said.said_at) <= JUST_NOW]
        newest: datetime | None = pc.max(self.rows(table)["said_at"]).as_py() if said_now else None
        if newest is None or newest <= now:
            return statements
        ahead = newest + timedelta(microseconds=1) - min(said_now)
        return [
            replace(said, said_at=said.said_at + ahead) if abs(now - said.said_at) <= JUST_NOW else said
            for said in statements
        ]

    def append_recordings(self, rows: pa.Table, seen_at: datetime) -> str:
        """Append what an ingest found; returns the file."""
        return self._append("recordings", rows, seen_at)

    def rows(self, table: str) -> pa.Table:
        """All rows of a ledger table, oldest first; empty where nothing was written yet."""
        for _ in range(READS):
            try:
                return self._rows(table, self._store.names(table))
            except FileNotFoundError:
                continue  # merged into a file that was not there when we listed
        raise LakeError(f"the ledger {table} changes faster than it can be read; try again")

    def derived(self, table: str, make: Callable[[pa.Table], Any]) -> Any:
        """`make` of the rows of a ledger table; made again when there are other files, and only then."""
        names = tuple(self._store.names(table))
        known = self._derived.get((table, make))
        if known is None or known[0] != names:
            known = names, make(self.rows(table))
            self._derived[table, make] = known
        return known[1]

    def _rows(self, table: str, names: Sequence[str]) -> pa.Table:
        schema = TABLES[table].schema
        known = self._read.get(table, {})
        parts = {name: known[name] if name in known else self._store.read_table(name) for name in names}
        self._read[table] = parts
        merges = {name: _merged(part) for name, part in parts.items() if _merged(part)}
        # What stands in a merged file counts no more by itself, were it never deleted; of equal merges one counts.
        gone = frozenset[str]().union(*merges.values())
        gone |= {
            name
            for name, sources in merges.items()
            for other, others in merges.items()
            if sources < others or (sources == others and name > other)
        }
        counting = [part.select(schema.names).cast(schema) for name, part in parts.items() if name not in gone]
        return pa.concat_tables(counting) if counting else schema.empty_table()

    def compact(self, table: str) -> None:
        """Merge a ledger's many files into one; readers meanwhile see every row once, also should this be cut short."""
        names = self._store.names(table)
        if len(names) <= COMPACT_ABOVE:
            return
        try:
            rows = self._rows(table, names)
        except FileNotFoundError:
            return  # another run is merging them
        # Named after the newest file it holds, so that order by name stays order by time.
        newest_stem = names[-1].removesuffix(".parquet").split("-merged", 1)[0]
        target = f"{newest_stem}-merged-{secrets.token_hex(4)}.parquet"
        self._store.write_table(target, rows.replace_schema_metadata({MERGED: json.dumps(names)}))
        for name in names:
            with suppress(FileNotFoundError):
                self._store.delete(name)

    def set_aside(self) -> dict[str, str]:
        """Move what is damaged of the ledgers that a night can find out again to where nobody reads it.

        Nothing is deleted: put back whole, a file counts again, and the newest word of each key as ever. The caller holds the
        workspace's lock.

        Returns:
            Where each file is now, by the path that it had.

        Raises:
            LakeError: one cannot be moved.
        """
        moved = {}
        for name in (name for table in FOUND_AGAIN for name in self._store.names(table)):
            if self._is_damaged(name) and self._is_damaged(name):  # a disk may stumble once
                target = f"{ASIDE}/{name}"
                content = self._store.read_bytes(name)
                self._store.write_bytes(target, content)
                if self._store.read_bytes(target) != content:
                    raise LakeError(
                        f"{self._store.url(target)} is not what was written there; see to the disk of the lake first"
                    )
                self._store.delete(name)
                moved[name] = target
        return moved

    def _is_damaged(self, name: str) -> bool:
        try:
            self._store.read_table(name)
        except LakeError:
            return True
        return False

    def _append(self, table: str, rows: pa.Table, moment: datetime) -> str:
        stamp = moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%f")
        path = f"{table}/{stamp}-{secrets.token_hex(4)}.parquet"
        self._store.write_table(path, rows)
        return path


def _merged(part: pa.Table) -> frozenset[str]:
    return frozenset(json.loads((part.schema.metadata or {}).get(MERGED, b"[]")))


def newest(rows: Sequence[dict[str, Any]], keys: Sequence[str], moment: str) -> list[dict[str, Any]]:
    """The newest row of each key, in order of key; of equals, the later in `rows`."""
    latest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple(row[name] for name in keys)
        if key not in latest or row[moment] >= latest[key][moment]:
            latest[key] = row
    return [latest[key] for key in sorted(latest, key=repr)]
