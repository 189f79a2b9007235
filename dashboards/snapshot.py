"""The lake as pages read it: a snapshot that is taken again when a run has written, or when a file has gone."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import pandas as pd

from infra.errors import LakeError
from lake.catalogue import connect, select
from lake.store import Store

LEDGERS = ("runs", "recordings")


class LakeReader:
    """Reads a lake that others may be writing.

    All threads share one snapshot. It is renewed when the ledgers have new files, looked for at most every
    `refresh_s` seconds, and when a read fails: a night may replace or merge the files of a snapshot under its reader.

    Args:
        store: the lake.
        refresh_s: seconds for which a snapshot is believed without looking.
    """

    def __init__(self, store: Store, refresh_s: float = 2.0) -> None:
        self._store = store
        self._refresh_s = refresh_s
        self._lock = threading.Lock()
        self._looked_at = 0.0
        self._seen: tuple[str, ...] | None = None
        self._connection: Any = None

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        """Run one SELECT; times come back as UTC timestamps, days as `datetime.date`.

        Raises:
            LakeError: the lake cannot be read, on a second try with a fresh snapshot either.
        """
        try:
            return self._select(sql, parameters, renew=False)
        except LakeError:
            return self._select(sql, parameters, renew=True)

    def _select(self, sql: str, parameters: Sequence[Any], *, renew: bool) -> pd.DataFrame:
        with self._lock:
            # A cursor of its own for each read: connections are not shared by threads, their database is.
            cursor = self._current(renew=renew).cursor()
        try:
            return _in_utc(select(cursor, sql, parameters).to_pandas())
        finally:
            cursor.close()

    def _current(self, *, renew: bool) -> Any:
        now = time.monotonic()
        if renew or self._connection is None or now - self._looked_at >= self._refresh_s:
            try:
                seen = tuple(name for ledger in LEDGERS for name in self._store.names(ledger))
                if renew or self._connection is None or seen != self._seen:
                    self._connection = connect(self._store)
            except Exception as error:  # what an object store or DuckDB raises has no name outside lake/
                self._connection = None
                raise LakeError(f"the lake {self._store.location} cannot be read: {error}") from error
            self._seen, self._looked_at = seen, now
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
