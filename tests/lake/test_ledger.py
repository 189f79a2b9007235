"""What was done and said is never lost, and the newest word counts."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import LakeError, UnknownNameError
from lake import ledger as ledgers
from lake.current import current_outputs, recordings_now, statements_now
from lake.ledger import Ledger, RunRow, Statement, newest
from lake.schema import TABLES
from lake.store import Store, rows_of
from tests.lake.conftest import DAY, START

RunMaker = Callable[..., RunRow]


def said(key: str, value: object, second: int = 0, **place: str) -> Statement:
    return Statement(key, "ann", value, said_at=START + timedelta(seconds=second), **place)  # type: ignore[arg-type]


def runs(store: Store) -> list[str]:
    return [str(run) for run in Ledger(store).rows("runs")["run_id"].to_pylist()]


def test_an_empty_ledger_has_the_table_s_columns(store: Store) -> None:
    for name in ("runs", "recordings", "labels"):
        rows = Ledger(store).rows(name)
        assert rows.num_rows == 0
        assert rows.schema == TABLES[name].schema


def test_rows_come_back_as_they_were_recorded(store: Store, run_row: RunMaker) -> None:
    row = run_row(5, inputs=("a", "b"), outputs=("x/1.parquet",), rows=3, seconds=1.5, message="é")
    Ledger(store).record([row])
    (found,) = Ledger(store).rows("runs").to_pylist()
    assert {**found, "inputs": tuple(found["inputs"]), "outputs": tuple(found["outputs"])} == {
        name: getattr(row, name) for name in TABLES["runs"].schema.names
    }


def test_nothing_recorded_is_nothing_written(store: Store) -> None:
    Ledger(store).record([])
    Ledger(store).say("labels", [])
    assert store.names("runs") == store.names("labels") == []


def test_rows_are_read_oldest_first_whoever_wrote_them(store: Store, run_row: RunMaker) -> None:
    for second in (30, 10, 20):
        Ledger(store).record([run_row(second)])
    assert runs(store) == ["run-10", "run-20", "run-30"]


def test_a_status_nobody_knows_is_refused(run_row: RunMaker) -> None:
    with pytest.raises(ValueError, match="status"):
        run_row(0, status="perhaps")


def test_statements_are_of_known_tables(store: Store) -> None:
    with pytest.raises(UnknownNameError, match='did you mean "labels"'):
        Ledger(store).say("lables", [said("k", 1)])
    with pytest.raises(UnknownNameError):
        Ledger(store).say("runs", [said("k", 1)])


@pytest.mark.parametrize("value", [True, 0, "text", [1, {"x": None}], {"outline": [[0.1, 0.2]]}, False, ""])
def test_whatever_json_holds_can_be_said(value: object, store: Store) -> None:
    Ledger(store).say("labels", [said("k", value)])
    (row,) = statements_now(Ledger(store), "labels")
    assert row["value"] == value
    assert row["author"] == "ann"


def test_the_newest_word_on_a_key_counts_and_none_takes_it_back(store: Store) -> None:
    ledger = Ledger(store)
    ledger.say("labels", [said("a", 1, 10), said("b", 1, 10)])
    ledger.say("labels", [said("a", 2, 20), said("b", None, 20), said("c", None, 20)])
    ledger.say("labels", [said("a", 0, 5)])  # an older word that was written late
    assert {row["key"]: row["value"] for row in statements_now(ledger, "labels")} == {"a": 2}
    ledger.say("labels", [said("b", 3, 30)])
    assert {row["key"]: row["value"] for row in statements_now(ledger, "labels")} == {"a": 2, "b": 3}


def test_a_key_is_of_its_camera(store: Store) -> None:
    ledger = Ledger(store)
    ledger.say("labels", [said("a", 1, campaign="c", camera="x"), said("a", 2, campaign="c", camera="y")])
    assert [row["value"] for row in statements_now(ledger, "labels")] == [1, 2]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers())))
def test_newest_is_the_last_of_the_latest(told: list[tuple[str, int, int]]) -> None:
    rows: list[dict[str, Any]] = [{"key": key, "at": at, "value": value} for key, at, value in told]
    expected: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: int(row["at"])):  # stable: of equals, the later stays later
        expected[row["key"]] = row
    assert newest(rows, ("key",), "at") == [expected[key] for key in sorted(expected)]


def test_outputs_that_count_are_those_of_the_newest_finished_run(store: Store, run_row: RunMaker) -> None:
    ledger = Ledger(store)
    ledger.record([run_row(10, outputs=("health/old.parquet",)), run_row(11, scope="x", outputs=("scores/a.parquet",))])
    ledger.record([run_row(20, outputs=("health/new.parquet", "events/new.parquet"), status="skipped")])
    ledger.record([run_row(30, outputs=("health/never.parquet",), status="failed")])
    ledger.record([run_row(15, outputs=("health/late.parquet",))])
    found = current_outputs(ledger)
    assert [(o.table, o.path) for o in found] == [
        ("events", "events/new.parquet"),
        ("health", "health/new.parquet"),
        ("scores", "scores/a.parquet"),
    ]
    assert {(o.campaign, o.camera, o.day) for o in found} == {("c1", "hall", DAY)}


def recording(path: str, second: int, status: str) -> pa.Table:
    moment = START + timedelta(seconds=second)
    columns = dict.fromkeys(TABLES["recordings"].schema.names, 0) | {
        **dict.fromkeys(("campaign", "camera", "recording_id", "reason", "codec"), ""),
        "path": path,
        "status": status,
        "day": date(2026, 3, 2),
        "started_at": START,
        "seen_at": moment,
        "variable_rate": False,
    }
    return rows_of("recordings", columns)


def test_the_newest_row_of_a_path_counts_gone_ones_too(store: Store) -> None:
    ledger = Ledger(store)
    for path, second, status in (("a", 1, "ready"), ("b", 1, "quarantined"), ("a", 3, "gone"), ("b", 2, "ready")):
        ledger.append_recordings(recording(path, second, status), START + timedelta(seconds=second))
    assert [(row["path"], row["status"]) for row in recordings_now(ledger)] == [("a", "gone"), ("b", "ready")]


def fill(store: Store, run_row: RunMaker, count: int = ledgers.COMPACT_ABOVE + 6) -> list[str]:
    for second in range(count):
        Ledger(store).record([run_row(second)])
    return [f"run-{second}" for second in range(count)]


def test_many_files_become_one_with_every_row_once(store: Store, run_row: RunMaker) -> None:
    expected = fill(store, run_row)
    Ledger(store).compact("runs")
    assert len(store.names("runs")) == 1
    assert runs(store) == expected
    Ledger(store).record([run_row(1000)])
    assert runs(store) == [*expected, "run-1000"]
    for second in range(2000, 2000 + ledgers.COMPACT_ABOVE):
        Ledger(store).record([run_row(second)])
    Ledger(store).compact("runs")
    assert len(store.names("runs")) == 1
    assert len(runs(store)) == len(expected) + 1 + ledgers.COMPACT_ABOVE


def test_few_files_stay(store: Store, run_row: RunMaker) -> None:
    fill(store, run_row, ledgers.COMPACT_ABOVE)
    Ledger(store).compact("runs")
    assert len(store.names("runs")) == ledgers.COMPACT_ABOVE


@pytest.mark.parametrize("deleted", [0, 1, 40])
def test_a_compaction_that_is_cut_short_loses_and_doubles_nothing(
    deleted: int, store: Store, run_row: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, delete, left = fill(store, run_row), Store.delete, [deleted]

    def die(self: Store, path: str) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        delete(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "delete", die)
        with pytest.raises(KeyboardInterrupt):
            Ledger(store).compact("runs")
    assert sorted(runs(store)) == sorted(expected)
    for second in range(3000, 3000 + deleted):  # enough files for the next night to compact again
        Ledger(store).record([run_row(second)])
    Ledger(store).compact("runs")
    assert sorted(runs(store)) == sorted([*expected, *(f"run-{n}" for n in range(3000, 3000 + deleted))])
    assert len(store.names("runs")) == 1


def test_a_reader_in_the_middle_of_a_compaction_sees_every_row_once(
    store: Store, run_row: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, read, reads = fill(store, run_row), Store.read_table, [0]

    def read_slowly(self: Store, path: str, columns: list[str] | None = None) -> pa.Table:
        reads[0] += 1
        if reads[0] == 30:
            monkeypatch.setattr(Store, "read_table", read)
            Ledger(store).compact("runs")
        return read(self, path, columns)

    monkeypatch.setattr(Store, "read_table", read_slowly)
    assert runs(store) == expected


def test_two_compactions_at_once_lose_and_double_nothing(
    store: Store, run_row: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, write = fill(store, run_row), Store.write_table

    def meanwhile(self: Store, path: str, rows: pa.Table) -> None:
        monkeypatch.setattr(Store, "write_table", write)
        Ledger(store).compact("runs")  # the other is quicker, from the first file to the last
        write(self, path, rows)

    monkeypatch.setattr(Store, "write_table", meanwhile)
    Ledger(store).compact("runs")
    assert sorted(runs(store)) == sorted(expected)


def test_a_row_appended_during_a_compaction_stays(
    store: Store, run_row: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, write = fill(store, run_row), Store.write_table

    def meanwhile(self: Store, path: str, rows: pa.Table) -> None:
        monkeypatch.setattr(Store, "write_table", write)
        Ledger(store).record([run_row(9000)])
        write(self, path, rows)

    monkeypatch.setattr(Store, "write_table", meanwhile)
    Ledger(store).compact("runs")
    assert sorted(runs(store)) == sorted([*expected, "run-9000"])


def test_a_ledger_that_never_holds_still_is_an_error_in_the_end(
    store: Store, run_row: RunMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, run_row, 2)

    def gone(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(Store, "read_table", gone)
    with pytest.raises(LakeError, match="faster than it can be read"):
        Ledger(store).rows("runs")
