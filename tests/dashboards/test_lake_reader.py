"""The snapshot that threads share: one is taken at a time, nobody waits for it, and a block reads one from end to end."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboards import snapshot
from dashboards.first_runs import FirstRuns
from dashboards.snapshot import LakeReader
from infra.errors import LakeError
from lake.catalogue import connect, select
from lake.keys import Place
from lake.ledger import Ledger
from lake.matrix import Matrices
from tests.dashboards.small_site import CAMERA, CAMPAIGN, DAY, Workspace
from tests.dashboards.written_nights import day_tables, write_night
from workspace.known_recordings import KnownRecordings

NIGHTS = "SELECT count(*) AS nights FROM runs WHERE step = 'night'"
SCORES = "SELECT count(*) AS scores FROM scores"
WAIT_S = 20.0


def count(lake: LakeReader, sql: str = NIGHTS) -> int:
    return int(lake.rows(sql).to_numpy()[0, 0])


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each snapshot that readers take from now on."""
    taken: list[int] = []

    def take(*arguments: Any) -> Any:
        taken.append(1)
        return connect(*arguments)

    monkeypatch.setattr(snapshot, "connect", take)
    return taken


def between_readings(monkeypatch: pytest.MonkeyPatch, workspace: Workspace) -> None:
    """From now on a night is written after each reading of a ledger."""
    read, nights = Ledger.rows, iter(range(2, 50))

    def rows(ledger: Ledger, table: str) -> Any:
        found = read(ledger, table)
        write_night(workspace, next(nights))
        return found

    monkeypatch.setattr(Ledger, "rows", rows)


def test_a_held_block_reads_one_snapshot_and_the_next_read_a_fresh_one(empty_site: Workspace) -> None:
    lake = LakeReader(empty_site.store, refresh_s=0.0)
    write_night(empty_site, 1)
    with lake.held():
        assert count(lake) == 1
        write_night(empty_site, 2)
        with lake.held():
            assert (count(lake), count(lake, SCORES)) == (1, 300)
        assert (count(lake), count(lake, SCORES)) == (1, 300)
        seen: list[int] = []
        other = threading.Thread(target=lambda: seen.append(count(lake)))
        other.start()
        other.join()
        assert seen == [2], "another thread reads what is there"
    assert (count(lake), count(lake, SCORES)) == (2, 600)


def test_a_held_block_goes_on_where_a_file_of_its_snapshot_has_gone(empty_site: Workspace) -> None:
    lake = LakeReader(empty_site.store, refresh_s=3600.0)
    write_night(empty_site, 1)
    path = f"scores/{Place(CAMPAIGN, CAMERA, DAY + timedelta(days=1)).folder}/night-1.parquet"
    with lake.held():
        assert (count(lake, SCORES), count(lake)) == (300, 1)
        write_night(empty_site, 1, {"scores": day_tables(1)["scores"].slice(0, 200)}, suffix="again")
        assert (count(lake, SCORES), count(lake)) == (300, 1)
        empty_site.store.delete(path)
        assert (count(lake, SCORES), count(lake)) == (200, 2), "both of the fresh one"


def test_readers_go_on_with_the_snapshot_before_while_one_takes_the_next(
    empty_site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = LakeReader(empty_site.store, refresh_s=0.0)
    write_night(empty_site, 1)
    assert count(lake) == 1
    taking, may_go_on = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        taking.set()
        assert may_go_on.wait(WAIT_S)
        return connect(*arguments)

    monkeypatch.setattr(snapshot, "connect", slow)
    write_night(empty_site, 2)
    seen: list[int] = []
    looking = threading.Thread(target=lambda: seen.append(count(lake)))
    looking.start()
    try:
        assert taking.wait(WAIT_S)
        assert count(lake) == 1, "who does not take the snapshot does not wait for it"
    finally:
        may_go_on.set()
        looking.join()
    assert seen == [2]


def test_of_many_first_readers_one_takes_the_snapshot(empty_site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    write_night(empty_site, 1)
    taken = counted(monkeypatch)
    lake, together, seen = LakeReader(empty_site.store, refresh_s=3600.0), threading.Barrier(6), []

    def look() -> None:
        together.wait(WAIT_S)
        seen.append(count(lake))

    readers = [threading.Thread(target=look) for _ in range(6)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert seen == [1] * 6 and taken == [1]


def test_of_many_reads_that_fail_together_one_takes_a_fresh_snapshot(
    empty_site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = LakeReader(empty_site.store, refresh_s=3600.0)
    write_night(empty_site, 1)
    assert count(lake) == 1
    old, taken = lake._current(), counted(monkeypatch)
    assert lake._renewed(old) is not old
    assert lake._renewed(old) is lake._current(), "the snapshot that failed was renewed already"
    assert taken == [1]


def test_a_row_entered_while_a_snapshot_is_taken_is_in_all_of_it_or_in_none(
    empty_site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`runs` tells of no file that the views do not show, however the ledger is read."""
    write_night(empty_site, 1)
    between_readings(monkeypatch, empty_site)
    for _ in range(3):
        shown = connect(empty_site.store)
        scored = select(shown, "SELECT count(*) AS n FROM runs WHERE step = 'score'").to_pylist()[0]["n"]
        assert select(shown, SCORES).to_pylist()[0]["scores"] == 300 * scored


def test_recordings_entered_while_they_are_looked_up_are_known_or_not(
    empty_site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_night(empty_site, 1)
    between_readings(monkeypatch, empty_site)
    assert len(KnownRecordings(empty_site.ledger).of_camera(CAMPAIGN, CAMERA)) == 1


def test_vectors_of_a_run_that_begins_while_they_are_looked_up_are_found_or_not(
    empty_site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_night(empty_site, 1)
    between_readings(monkeypatch, empty_site)
    drawn = {(CAMERA, ""): datetime(2020, 1, 1, tzinfo=UTC)}
    matrices = Matrices(empty_site.store, empty_site.ledger, empty_site.root / "matrices", outlines=lambda: drawn)
    assert matrices.names("") == [(CAMPAIGN, CAMERA, "")]


def test_a_ledger_that_was_read_before_is_not_read_again(
    empty_site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = LakeReader(empty_site.store, refresh_s=0.0)
    for number in range(1, 4):
        write_night(empty_site, number)
    assert count(lake) == 3
    read: list[str] = []
    whole = type(empty_site.store).read_table

    def told(store: Any, path: str, columns: Any = None) -> Any:
        read.append(path)
        return whole(store, path, columns)

    monkeypatch.setattr(type(empty_site.store), "read_table", told)
    write_night(empty_site, 4)
    read.clear()
    assert count(lake) == 4
    assert sorted(path.split("/", 1)[0] for path in read) == ["recordings", "runs", "runs", "runs"], (
        "those of the last night"
    )


def test_first_runs_are_alone_and_others_are_not_held_up() -> None:
    runs, began, may_end = FirstRuns(), threading.Event(), threading.Event()
    with runs.of("known"):
        pass
    order: list[str] = []

    def first() -> None:
        with runs.of("one"):
            began.set()
            assert may_end.wait(WAIT_S)
            order.append("one")

    def second() -> None:
        with runs.of("two"):
            order.append("two")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert began.wait(WAIT_S)
    threads[1].start()
    with runs.of("known"):
        order.append("known")
    may_end.set()
    for thread in threads:
        thread.join()
    assert order == ["known", "one", "two"]


def test_a_first_run_that_fails_lets_the_next_one_in() -> None:
    runs = FirstRuns()
    with pytest.raises(LakeError), runs.of("day"):
        raise LakeError("gone")
    with runs.of("day"), runs.of("night"):
        pass
