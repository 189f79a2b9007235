"""Moments that order what the ledgers hold: a clock that was set back must not let an old word count for the newest."""

from datetime import UTC, datetime, timedelta

import pyarrow.compute as pc

from lake.ledger import Ledger

STEP = timedelta(microseconds=1)


def moment_after(ledger: Ledger, table: str, column: str) -> datetime:
    """Now, or just after the newest row of a table where the clock shows less than that row says.

    Args:
        ledger: of the lake.
        table: of the ledger.
        column: that says which row of a key is the newest.
    """
    now = datetime.now(UTC)
    newest: datetime | None = pc.max(ledger.rows(table)[column]).as_py()
    return now if newest is None else max(now, newest + STEP)
