"""Rows and stores that lake tests share."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lake.ledger import RunRow
from lake.store import Store, rows_of

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
DAY = date(2026, 3, 2)

RunMaker = Callable[..., RunRow]
Spans = Callable[..., pa.Table]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "lake"))


@pytest.fixture
def run_row() -> RunMaker:
    """Makes a row of `runs` that finished `second` seconds after the start."""

    def make(second: int = 0, **told: Any) -> RunRow:
        given: dict[str, Any] = {
            "run_id": f"run-{second}",
            "step": "health",
            "campaign": "c1",
            "camera": "hall",
            "day": DAY,
            "scope": "frames",
            "key": "k",
            "status": "done",
            "started_at": START,
            "finished_at": START + timedelta(seconds=second),
        }
        return RunRow(**(given | told))

    return make


@pytest.fixture
def spans() -> Spans:
    """Makes rows of `coverage`."""

    def make(count: int = 3, recording_id: str = "r", state: str = "analysed") -> pa.Table:
        return rows_of(
            "coverage",
            {
                "campaign": "c1",
                "camera": "hall",
                "day": DAY,
                "recording_id": recording_id,
                "from_us": [number * 10 for number in range(count)],
                "to_us": [number * 10 + 10 for number in range(count)],
                "state": state,
                "reason": "",
            },
        )

    return make
