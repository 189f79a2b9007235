"""Lakes written before a table or a column was there can still be read."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lake.catalogue import connect, select
from lake.ledger import Ledger, RunRow
from lake.schema import LOOK, LOOK_VALUES, TABLES
from lake.store import Store

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
NEW = {"events": ("deviations",), "scores": ("normalised",)}


def write(store: Store, name: str, day: int, absent: tuple[str, ...] = ()) -> None:
    """A row without values but its place, as one night of the ledger; `absent` columns are not in the file."""
    place: dict[str, Any] = {"campaign": "c", "camera": "hall", "day": date(2026, 3, day)}
    rows = TABLES[name].schema.empty_table().from_pylist([place], schema=TABLES[name].schema).drop_columns(list(absent))
    path = f"{name}/{day}.parquet"
    store.write_table(path, rows)
    run = RunRow(
        "r", f"s{name}", scope="", key="k", status="done", started_at=NOW, finished_at=NOW, outputs=(path,), **place
    )
    Ledger(store).record([run])


@pytest.mark.parametrize(("name", "columns"), NEW.items())
def test_a_column_that_no_file_has_is_null(tmp_path: Path, name: str, columns: tuple[str, ...]) -> None:
    store = Store(str(tmp_path / "lake"))
    write(store, name, 2, columns)
    rows = select(connect(store), f"SELECT * FROM {name}")
    assert rows.column_names == TABLES[name].schema.names
    assert rows.num_rows == 1
    assert all(rows[column].to_pylist() == [None] for column in columns)
    write(store, name, 3)
    assert select(connect(store), f"SELECT count(*) AS n, max(day) AS last FROM {name}").to_pylist() == [
        {"n": 2, "last": date(2026, 3, 3)}
    ]


@pytest.mark.parametrize(
    "name", ["reasons", "standards", "unusual", "thresholds", "segments", "summaries", "weight_sets"]
)
def test_a_table_that_an_older_lake_has_not_is_empty(tmp_path: Path, name: str) -> None:
    store = Store(str(tmp_path / "lake"))
    write(store, "events", 2, NEW["events"])
    rows = select(connect(store), f"SELECT * FROM {name}")
    assert rows.num_rows == 0
    assert rows.column_names == TABLES[name].schema.names


def test_segments_that_were_written_with_their_summary_do_not_count(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "lake"))
    place: dict[str, Any] = {"campaign": "c", "camera": "hall", "day": date(2026, 3, 2), "scope": "", "key": "k"}
    for name, (step, segment) in enumerate((("summarise", 1), ("segment", 2))):
        columns = {key: place[key] for key in ("campaign", "camera", "day")} | {"segment": segment}
        row = columns | {LOOK: np.full(LOOK_VALUES, 0.125, np.float16)} if step == "segment" else columns
        schema = TABLES["segments"].schema
        path = f"segments/{name}.parquet"
        store.write_table(path, pa.Table.from_pylist([row], schema=schema))
        outputs = (path,)
        told: dict[str, Any] = {"status": "done", "started_at": NOW, "finished_at": NOW}
        Ledger(store).record([RunRow("r", step, **place, **told, outputs=outputs)])
        (counted,) = select(connect(store), "SELECT count(*) AS n FROM segments").to_pylist()
        assert counted["n"] == (step == "segment")
    (row,) = select(connect(store), "SELECT segment, look, begins_at FROM segments").to_pylist()
    assert row == {"segment": 2, "look": [0.125] * LOOK_VALUES, "begins_at": None}
