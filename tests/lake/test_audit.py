"""The audit: rows that name the rows before them, so that what is altered or gone shows."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from infra.errors import LakeError
from lake import audit, ledger
from lake.audit import About, AuditRow, audit_rows, enter, verify
from lake.ledger import Ledger
from lake.store import Store


@pytest.fixture
def head(tmp_path: Path) -> Path:
    return tmp_path / "state" / "audit-head"


def act(store: Store, head: Path | None, number: int) -> str:
    row = AuditRow("vera", "engineer", "dashboard", "set thresholds", True, About((f"gate/{number}",)))
    return enter(Ledger(store), row, head)


def drop(store: Store, key: str) -> None:
    """Delete the file with the row, as somebody does who wants it forgotten."""
    (path,) = [path for path in store.names("audit") if store.read_table(path)["key"].to_pylist() == [key]]
    store.delete(path)


def test_rows_come_back_as_they_were_entered(store: Store, head: Path) -> None:
    hashes = [act(store, head, number) for number in range(3)]
    rows = audit_rows(Ledger(store))
    assert [row.hash for row in rows] == hashes
    assert [row.previous for row in rows] == [(), (hashes[0],), (hashes[1],)]
    assert rows[2].about.on == ("gate/2",) and rows[2].who == "vera"
    assert verify(Ledger(store), head) == audit.Verdict(3, (hashes[2],), ())


def test_without_a_row_nothing_is_wrong(store: Store, head: Path) -> None:
    assert verify(Ledger(store), head) == audit.Verdict(0, (), ())


def test_a_row_that_is_gone_shows_by_the_row_that_follows_it(store: Store, head: Path) -> None:
    hashes = [act(store, head, number) for number in range(4)]
    drop(store, hashes[1])
    (problem,) = verify(Ledger(store), head).problems
    assert hashes[1] in problem and hashes[2] in problem


def test_the_last_row_that_is_gone_shows_by_what_this_machine_noted_and_goes_on_to_show(
    store: Store, head: Path
) -> None:
    hashes = [act(store, head, number) for number in range(3)]
    drop(store, hashes[2])
    (problem,) = verify(Ledger(store), head).problems
    assert "last one written from this machine" in problem
    act(store, head, 9)
    assert any(hashes[2] in problem for problem in verify(Ledger(store), None).problems)


def test_an_audit_that_was_begun_anew_shows(store: Store, head: Path) -> None:
    noted = act(store, head, 1)
    for path in store.names("audit"):
        store.delete(path)
    head.unlink()
    act(store, head, 2)
    assert verify(Ledger(store), head).problems == ()
    (problem,) = verify(Ledger(store), head, noted).problems
    assert "written anew" in problem
    act(store, None, 3)
    assert verify(Ledger(store), head, audit_rows(Ledger(store))[0].hash).problems == ()


@pytest.mark.parametrize("column", ["author", "value", "said_at", "camera"])
def test_a_row_that_was_altered_shows(store: Store, head: Path, column: str) -> None:
    for number in range(2):
        act(store, head, number)
    path = store.names("audit")[0]
    (row,) = store.read_table(path).to_pylist()
    row[column] = {
        "author": "somebody else",
        "value": json.dumps({**json.loads(row["value"]), "allowed": False}),
        "said_at": row["said_at"].replace(year=2020),
        "camera": "yard",
    }[column]
    store.write_table(path, pa.Table.from_pylist([row], store.read_table(path).schema))
    (problem,) = verify(Ledger(store), head).problems
    assert "was altered" in problem


@pytest.mark.parametrize("value", ["", "7", "null", "[]", '{"previous": 3}', "{", '{"on": null, "previous": [1]}'])
def test_a_row_that_cannot_be_read_is_told_and_stops_nothing(store: Store, head: Path, value: str) -> None:
    act(store, head, 0)
    path = store.names("audit")[0]
    (row,) = store.read_table(path).to_pylist()
    store.write_table(path, pa.Table.from_pylist([{**row, "value": value}], store.read_table(path).schema))
    assert audit_rows(Ledger(store)) == []
    assert any("altered" in problem for problem in verify(Ledger(store), head).problems)
    act(store, head, 1)
    assert len(audit_rows(Ledger(store))) == 1


def test_several_who_write_at_once_make_forks_that_close_again(store: Store, head: Path) -> None:
    act(store, head, 0)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: act(store, head, number), range(1, 33)))
    last = act(store, head, 99)
    verdict = verify(Ledger(store), head)
    assert verdict.rows == 34 and verdict.problems == ()
    assert verdict.heads == (last,)


def test_merging_the_files_loses_no_row(store: Store, head: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "COMPACT_ABOVE", 3)
    hashes = [act(store, head, number) for number in range(10)]
    assert len(store.names("audit")) < 10
    assert [row.hash for row in audit_rows(Ledger(store))] == hashes
    assert verify(Ledger(store), head).problems == ()


def test_only_the_newest_rows_are_searched_for_those_that_nothing_follows(
    store: Store, head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "LOOKED_AT", 2)
    for number in range(8):
        act(store, head, number)
    assert verify(Ledger(store), head).problems == ()


def test_what_cannot_be_noted_is_told(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeError, match="grant access"):
        act(store, tmp_path / "file" / "audit-head", 0)
