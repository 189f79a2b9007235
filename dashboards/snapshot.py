"""The lake as pages read it: a snapshot that is taken again when a run has written, or when a file has gone."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd

from infra.errors import LakeError
from lake.catalogue import connect, select
from lake.ledger import Ledger
from lake.store import Store

LEDGERS = ("runs", "recordings")


class LakeReader:
    """Reads a lake that others may be writing.

    All threads share one snapshot. It is renewed when the ledgers have new files, looked for at most every
    `refresh_s` seconds, and when a read fails: a night may replace or merge the files of a snapshot under its reader. One
    thread renews it; the others go on with the one before, so that a night that writes keeps nobody waiting.

    Args:
        store: the lake.
        refresh_s: seconds for which a snapshot is believed without looking.
    """

    def __init__(self, store: Store, refresh_s: float = 2.0) -> None:
        self._store = store
        self._ledger = Ledger(store)
        self._refresh_s = refresh_s
        self._looking, self._cursors = threading.Lock(), threading.Lock()
        self._looked_at = 0.0
        self._seen: tuple[str, ...] | None = None
        self._connection: Any = None
        self._held = threading.local()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        """Run one SELECT; times come back as UTC timestamps, days as `datetime.date`.

        Raises:
            LakeError: the lake cannot be read, on a second try with a fresh snapshot either.
        """
        held = getattr(self._held, "connection", None)
        connection = self._current() if held is None else held
        try:
            return self._select(connection, sql, parameters)
        except LakeError:
            fresh = self._renewed(connection)
            if held is not None:
                self._held.connection = fresh
            return self._select(fresh, sql, parameters)

    @contextmanager
    def held(self) -> Iterator[None]:
        """All that this thread reads in the block is of one snapshot: what one answer names, the next one finds.

        Only where a file of it has gone meanwhile does the block go on with a fresh one.
        """
        before = getattr(self._held, "connection", None)
        self._held.connection = self._current() if before is None else before
        try:
            yield
        finally:
            self._held.connection = before

    def _select(self, connection: Any, sql: str, parameters: Sequence[Any]) -> pd.DataFrame:
        with self._cursors:
            # A cursor of its own for each read: connections are not shared by threads, their database is.
            cursor = connection.cursor()
        try:
            return _in_utc(select(cursor, sql, parameters).to_pandas())
        finally:
            cursor.close()

    def _current(self) -> Any:
        """The snapshot, looked after if it is time to."""
        shown = self._connection
        if shown is not None and time.monotonic() - self._looked_at < self._refresh_s:
            return shown
        if not self._looking.acquire(blocking=shown is None):
            return shown
        try:
            if shown is None and self._connection is not None:  # another thread took the first while this one waited
                return self._connection
            return self._look(anew=False)
        finally:
            self._looking.release()

    def _renewed(self, failed: Any) -> Any:
        """A snapshot that is not the one that failed; of many readers whose reads fail together one takes it."""
        with self._looking:
            return self._look(anew=self._connection is failed)

    def _look(self, *, anew: bool) -> Any:
        """Take a snapshot where there are other files than those of the last, or where it is asked for."""
        try:
            seen = tuple(name for ledger in LEDGERS for name in self._store.names(ledger))
            if anew or self._connection is None or seen != self._seen:
                self._connection = connect(self._store, self._ledger)
        except Exception as error:  # what an object store or DuckDB raises has no name outside lake/
            self._connection = None
            raise LakeError(f"the lake {self._store.location} cannot be read: {error}") from error
        self._seen, self._looked_at = seen, time.monotonic()
        return self._connection


def _in_utc(rows: pd.DataFrame) -> pd.DataFrame:
    """A cursor tells times in the machine's zone, whatever its connection was set to; the moments are the same."""
    for name in rows.columns:
        if isinstance(rows[name].dtype, pd.DatetimeTZDtype):
            rows[name] = rows[name].dt.tz_convert("UTC")
    return rows


def records(rows: pd.DataFrame) -> list[Any]:
    """The rows of a frame, with a field for each column."""
    return list(rows.itertuples(index=False))
