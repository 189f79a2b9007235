"""Tables made again are compared value by value, and what they are made in is thrown away."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from infra.errors import LakeError
from lake.schema import TABLES
from lake.store import Store, rows_of
from tasks.verify_recordings import furthest, same_number
from tasks.verify_tables import MOST_LINES, ScratchStore, compare_rows, judged_again
from tests.tasks.conftest import Processed
from tests.tasks.planned import plan, steps_of
from workspace.opened import Workspace

VALUES = st.floats(-1000, 1000, width=32)
PATH = "summaries/campaign=demo/camera=hall/day=2026-03-02/key.parquet"


def rows(count: int = 3, **changes: Any) -> pa.Table:
    columns: dict[str, Any] = {
        "campaign": "demo",
        "camera": "hall",
        "day": None,
        "recording_id": [f"{number:032x}" for number in range(count)],
        "segment": list(range(count)),
        "from_us": [number * 4_000_000 for number in range(count)],
        "to_us": [(number + 1) * 4_000_000 for number in range(count)],
        "taken_at": [None] * count,
        "score": [0.25] * count,
        "reason": ["score"] * count,
        "event_id": [""] * count,
        "weights": "settings",
    }
    return rows_of("summaries", columns | changes)


@pytest.mark.parametrize(
    ("kept", "now", "same"),
    [
        (1.0, 1.0, True),
        (1.0, 1.0 + 1e-7, True),
        (1.0, 1.001, False),
        (0.0, 1e-3, False),
        (None, None, True),
        (None, 0.0, False),
        (math.nan, math.nan, True),
        (math.nan, 0.0, False),
        (math.inf, math.inf, True),
        (math.inf, 1e30, False),
    ],
)
def test_numbers_are_the_same_but_for_rounding(kept: float | None, now: float | None, same: bool) -> None:
    assert same_number(kept, now) is same
    assert same_number(now, kept) is same


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=VALUES))
def test_rounding_to_16_bits_is_no_difference_and_more_is(vector: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    halves = vector.astype(np.float16)
    assert furthest(halves, vector) is None
    altered = vector.copy()
    altered[-1] += 0.01 * max(1.0, float(np.abs(vector).max()))
    assert furthest(altered, vector) == len(vector) - 1


def test_vectors_that_are_not_numbers_are_the_same_as_themselves_alone() -> None:
    nan, one = np.full(3, np.nan), np.array([1.0, np.nan, 3.0])
    assert furthest(nan, nan.copy()) is None
    assert furthest(one, np.array([1.0, 2.0, 3.0])) == 1
    assert furthest(one, one[:2]) == 0


def test_equal_rows_have_no_differences() -> None:
    assert compare_rows(PATH, rows(), rows()) == []


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("score", [0.25, 0.5, 0.25], "score of recording 00000000 at 4.000 s is 0.5 in the lake, 0.25 made again"),
        (
            "reason",
            ["score", "novelty 1", "score"],
            "reason of recording 00000000 at 4.000 s is novelty 1 in the lake, ",
        ),
        (
            "to_us",
            [4_000_000, 8_000_001, 12_000_000],
            "to_us of recording 00000000 at 4.000 s is 8000001 in the lake, ",
        ),
        (
            "weights",
            ["settings", "busy/1", "settings"],
            "weights of recording 00000000 at 4.000 s is busy/1 in the lake, ",
        ),
    ],
)
def test_a_value_that_differs_is_named_with_both(column: str, value: list[Any], told: str) -> None:
    (line,) = compare_rows(PATH, rows(3, **{column: value}), rows())
    assert line.startswith(f"summaries: {told}")


def test_rows_that_are_lacking_are_counted() -> None:
    assert compare_rows(PATH, rows(3), rows(2)) == ["summaries has 3 rows in the lake, 2 made again"]


def test_columns_that_are_lacking_are_named() -> None:
    (line,) = compare_rows(PATH, rows().drop_columns(["reason"]), rows())
    assert "reason" in line.split("made again")[0].split("lake, ")[1]


def test_of_many_differences_the_first_are_told_and_the_rest_counted() -> None:
    count = MOST_LINES + 5
    lines = compare_rows(PATH, rows(count, score=[0.5] * count), rows(count))
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "summaries: 5 more values differ"


def test_a_value_of_a_list_is_named_by_its_position() -> None:
    look = np.zeros((1, 64), np.float16)
    other = look.copy()
    other[0, 7] = 0.5
    kept, now = (pa.table({"look": list(item), "from_us": [0], "recording_id": ["a" * 32]}) for item in (look, other))
    assert compare_rows("segments/x", kept, now) == [
        "segments: look[7] of recording aaaaaaaa at 0.000 s is 0.0 in the lake, 0.5 made again"
    ]


def test_what_is_written_beside_a_lake_does_not_reach_it(tmp_path: Path) -> None:
    lake = Store(str(tmp_path))
    lake.write_bytes("scores/a", b"kept")
    beside = ScratchStore(lake)
    beside.write_bytes("scores/a", b"made again")
    beside.write_bytes("scores/b", b"new")
    assert (beside.read_bytes("scores/a"), lake.read_bytes("scores/a")) == (b"made again", b"kept")
    assert (beside.names("scores"), lake.names("scores")) == (["scores/a", "scores/b"], ["scores/a"])
    assert beside.exists("scores/b") and not lake.exists("scores/b")
    with pytest.raises(LakeError, match="deletes nothing"):
        beside.delete("scores/a")


def test_a_day_that_is_judged_again_gives_what_the_lake_holds(processed: Processed) -> None:
    workspace = processed.workspace
    days = {day.place: day for day in plan(workspace)}
    for steps in steps_of(workspace, list(days.values())):
        assert judged_again(workspace, days[steps.place], steps) == []


@pytest.mark.parametrize(
    ("table", "column", "told"),
    [
        (0, "score", "scores: score of novelty"),
        (0, "probability", "scores: probability of novelty"),
        (1, "rank", "events: rank of novelty"),
        (1, "peak_us", "events: peak_us of novelty"),
    ],
)
def test_an_altered_score_or_event_is_found(copied: Workspace, table: int, column: str, told: str) -> None:
    days = {day.place: day for day in plan(copied)}
    steps = next(steps for steps in steps_of(copied, list(days.values())) if _rows_of(copied, steps.score.outputs[1]))
    path = steps.score.outputs[table]
    before = copied.store.read_table(path)
    values = before[column].to_pylist()
    values[-1] = values[-1] * 0.5 if isinstance(values[-1], float) else values[-1] + 1
    position, kind = before.schema.get_field_index(column), TABLES[path.split("/")[0]].schema.field(column).type
    copied.store.write_table(path, before.set_column(position, column, pa.array(values, kind)))
    lines = judged_again(copied, days[steps.place], steps)
    assert len(lines) == 1
    assert lines[0].startswith(told) and f"is {values[-1]}" in lines[0]


def _rows_of(workspace: Workspace, path: str) -> int:
    return int(workspace.store.read_table(path).num_rows)
