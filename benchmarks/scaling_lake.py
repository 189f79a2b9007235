"""A lake as large as one likes, to ask how DuckDB takes to it: real schemas, drawn values, one camera-day laid down over and over.

A file is immutable, so a camera-day that is the same as another may be the same file under a second name: the lake takes the room of
one day, and is read as if it were thousands.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.child import peak_bytes
from lake.catalogue import connect, select
from lake.ledger import Ledger, RunRow
from lake.schema import TABLES, embedding_schema
from lake.store import Store

CHECKOUT = Path(__file__).resolve().parents[1]
CAMPAIGN, FIRST, HOURS = "plan", date(2026, 3, 2), 24
BEGUN = datetime(2026, 3, 3, tzinfo=UTC)
HOUR_ROWS = {"frames": 3600, "coverage": 1, "stills": 6}
"""Rows of a camera's hour at one picture a second."""
DAY_ROWS = {"scores": 43_200, "segments": 21_600, "events": 4, "health": 1, "reasons": 12, "standards": 1, "unusual": 4}
"""Rows of a camera's day: snippets of 2 s, segments of 4 s."""
SUMMARY_ROWS = 15
OWN = ("scores",)
STILL_BYTES = 320 * 180
ASKED = {
    "count all pictures": "SELECT count(*) FROM frames",
    "scores of a camera's day": "SELECT max(score), count(*) FROM scores WHERE camera = 'camera-0' AND day = DATE '2026-03-02'",
    "highest scores of each camera": "SELECT camera, max(score) FROM scores GROUP BY camera",
}


@dataclass(frozen=True)
class Asked:
    """How a lake of some size answers, in a process of its own.

    Attributes:
        camera_days: in the lake.
        files: that count.
        rows: of `frames`.
        connect_s: to open it: the ledger read, a view made of each table.
        answers_s: of each question of `ASKED`, in order; the footers are read with the first.
        peak_bytes: largest resident memory of the process.
    """

    camera_days: int
    files: int
    rows: int
    connect_s: float
    answers_s: tuple[float, ...]
    peak_bytes: int


def drawn(schema: pa.Schema, count: int, seed: int = 0) -> pa.Table:
    """Rows of a schema with drawn values: hashes and vectors that no compression shortens, times that rise."""
    chance = np.random.default_rng(seed)
    return pa.table([_column(field, count, chance) for field in schema], schema=schema)


def _column(field: pa.Field, count: int, chance: np.random.Generator) -> pa.Array:
    kind = field.type
    if pa.types.is_fixed_size_list(kind):
        values = chance.standard_normal(count * kind.list_size).astype(np.float16)
        return pa.FixedSizeListArray.from_arrays(pa.array(values, kind.value_type), type=kind)
    if pa.types.is_list(kind) or pa.types.is_struct(kind):
        return pa.nulls(count, kind)
    if pa.types.is_boolean(kind):
        return pa.array(chance.random(count) < 0.1)
    if pa.types.is_timestamp(kind):
        moments = np.arange(count, dtype=np.int64) * 1_000_000 + int(BEGUN.timestamp()) * 1_000_000
        return pa.array(moments, pa.int64()).cast(pa.timestamp("us")).cast(kind, safe=False)
    if pa.types.is_date(kind):
        return pa.array([FIRST] * count, kind)
    if pa.types.is_integer(kind):
        return pa.array(np.arange(count) * (1 if field.name == "index" else 1000)).cast(kind, safe=False)
    if pa.types.is_floating(kind):
        return pa.array(chance.standard_normal(count)).cast(kind)
    if pa.types.is_binary(kind):
        return pa.array([chance.bytes(STILL_BYTES) for _ in range(count)], kind)
    hashed = field.name == "digest"
    return pa.array([chance.bytes(10).hex() for _ in range(count)] if hashed else [field.name] * count, kind)


def _of_camera(rows: pa.Table, camera: str) -> pa.Table:
    told = {"campaign": CAMPAIGN, "camera": camera}
    for name, value in told.items():
        rows = rows.set_column(
            rows.schema.get_field_index(name), rows.schema.field(name), pa.array([value] * rows.num_rows)
        )
    return rows


def tables_of_a_day(dimensions: Sequence[int]) -> dict[str, list[pa.Table]]:
    """The tables of one camera's day, by the beginning of their paths; those of an hour stand there 24 times.

    Args:
        dimensions: of the spaces; the first of pictures, each second, the others of snippets of two.
    """
    found = {name: [drawn(TABLES[name].schema, rows)] * HOURS for name, rows in HOUR_ROWS.items()}
    for number, dimension in enumerate(dimensions):
        rows = HOUR_ROWS["frames"] // (1 if number == 0 else 2)
        found[f"embeddings/space=space-{number}"] = [drawn(embedding_schema(dimension), rows)] * HOURS
    found |= {name: [drawn(TABLES[name].schema, rows)] for name, rows in DAY_ROWS.items()}
    found["summaries"] = [drawn(TABLES["summaries"].schema, SUMMARY_ROWS)]
    return found


def make_lake(folder: Path, camera_days: int, dimensions: Sequence[int]) -> dict[str, int]:
    """Lay a lake of so many camera-days, a day each of as many cameras.

    Returns:
        Bytes of one camera-day, by table.
    """
    store = Store(str(folder))
    day = tables_of_a_day(dimensions)
    rows = [_row(camera, _lay_day(store, folder, camera, day)) for camera in range(camera_days)]
    Ledger(store).record(rows)
    sizes: dict[str, int] = {}
    for file in folder.rglob("camera=camera-0/**/*.parquet"):
        name = file.relative_to(folder).parts[0]
        sizes[name] = sizes.get(name, 0) + file.stat().st_size
    return dict(sorted(sizes.items()))


def _lay_day(store: Store, folder: Path, camera: int, day: Mapping[str, Sequence[pa.Table]]) -> tuple[str, ...]:
    """Paths of a camera's day. Its scores are its own, for questions tell cameras apart by them; the rest is the first camera's."""
    outputs = []
    for begin, parts in day.items():
        model = folder / _path(begin, 0 if begin not in OWN else camera, 0)
        for number, part in enumerate(parts):
            path = _path(begin, camera, number)
            outputs.append(path)
            if folder / path == model:
                store.write_table(path, _of_camera(part, f"camera-{camera}"))
                continue
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            os.link(model, folder / path)
    return tuple(outputs)


def _path(begin: str, camera: int, number: int) -> str:
    return f"{begin}/campaign={CAMPAIGN}/camera=camera-{camera}/day={FIRST}/{number:020x}.parquet"


def _row(camera: int, outputs: tuple[str, ...]) -> RunRow:
    at = BEGUN + timedelta(seconds=camera)
    return RunRow(
        "bench", "embed", CAMPAIGN, f"camera-{camera}", FIRST, "all", "0" * 20, "done", at, at, (), outputs, 1, 1.0
    )


def ask(folder: Path) -> dict[str, Any]:
    """Open a lake and ask it everything; run in a process of its own for its memory."""
    began = time.perf_counter()
    connection = connect(Store(str(folder)))
    opened_s, answers = time.perf_counter() - began, []
    rows = 0
    for question in ASKED.values():
        began = time.perf_counter()
        answer = select(connection, question)
        answers.append(time.perf_counter() - began)
        rows = rows or int(answer.column(0)[0].as_py())
    peak = peak_bytes()
    return {"rows": rows, "connect_s": opened_s, "answers_s": tuple(answers), "peak_bytes": peak}


def measure_lake(camera_days: int, dimensions: Sequence[int]) -> tuple[Asked, dict[str, int]]:
    """How a lake of so many camera-days answers, and the bytes of one of them by table."""
    with tempfile.TemporaryDirectory(prefix="scaling-") as name:
        folder = Path(name)
        sizes = make_lake(folder, camera_days, dimensions)
        files = sum(1 for _ in folder.rglob("*.parquet"))
        command = [sys.executable, "-m", "benchmarks.scaling_lake", name]
        done = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    return Asked(
        camera_days, files, told["rows"], told["connect_s"], tuple(told["answers_s"]), told["peak_bytes"]
    ), sizes


if __name__ == "__main__":
    print(json.dumps(ask(Path(sys.argv[1]))))
