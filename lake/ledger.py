"""What was done and what was said: append-only rows, of which the newest of a key counts."""

import json
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from infra.errors import LakeError, UnknownNameError
from lake.schema import STATEMENTS, TABLES
from lake.store import Store, rows_of

FINISHED = ("done", "skipped", "partial")
COMPACT_ABOVE = 64
"""Files of a ledger above which a night merges them into one."""
MERGED = b"merged"
READS = 20
"""Times that a ledger is listed again when files go while it is read; each time a whole merge has come between."""


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
        """Append statements to `table`, all at once."""
        if table not in STATEMENTS:
            raise UnknownNameError("table of statements", table, STATEMENTS)
        if statements:
            names = [name for name in TABLES[table].schema.names if name != "value"]
            columns: dict[str, Any] = {name: [getattr(said, name) for said in statements] for name in names}
            columns["value"] = [json.dumps(said.value, sort_keys=True) for said in statements]
            self._append(table, rows_of(table, columns), max(said.said_at for said in statements))

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
