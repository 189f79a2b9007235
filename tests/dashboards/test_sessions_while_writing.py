"""Sessions of the dashboards while nights are written: no error on a page, no half row in a snapshot."""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.chaos_house import environment, kill_tree
from benchmarks.sessions import Crowd, look_around
from benchmarks.sessions_checker import RULES, Checker
from benchmarks.sessions_client import PageRun, Tab
from benchmarks.sessions_page import Outcome, Phase, page
from benchmarks.sessions_site import Tour
from lake.keys import Place
from tests.dashboards.small_site import CAMERA, CAMPAIGN, DAY, Workspace
from tests.dashboards.written_nights import SECONDS, day_tables, write_night

PEOPLE, NIGHTS = 3, 8
MOST_NIGHTS, PAUSE_S = 24, 0.3
PLACE = {"campaign": CAMPAIGN, "camera": CAMERA, "day": str(DAY + timedelta(days=1))}
TOUR: Tour = (
    ("night", {}),
    ("day", {**PLACE, "event": "event-1"}),
    ("anomalies", {"campaign": CAMPAIGN}),
    ("summaries", PLACE),
)


@pytest.fixture
def address(empty_site: Workspace) -> Iterator[str]:
    """Where the dashboards of a workspace with one written night are served."""
    write_night(empty_site, 1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = f"from pathlib import Path; from dashboards.serve import serve; serve(Path({str(empty_site.root)!r}), port={port})"
    server = subprocess.Popen([sys.executable, "-c", code], env=environment(), stdout=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        kill_tree(server)


async def _answers(address: str) -> None:
    port = int(address.rsplit(":", 1)[1])
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        await asyncio.sleep(0.1)
    raise AssertionError(f"nothing serves at {address}")


class Visits:
    """Counts the pages that people go to, until each could have been to all of them."""

    def __init__(self) -> None:
        self.left = PEOPLE * len(TOUR)

    def go_on(self) -> bool:
        self.left -= 1
        return self.left >= 0


async def _people(address: str, visits: Visits) -> list[PageRun]:
    await _answers(address)
    return await look_around(address, [TOUR], Crowd(PEOPLE, 0.2, 7), visits.go_on)


async def _one_more(address: str, newest: int) -> tuple[PageRun, PageRun]:
    async with Tab(PEOPLE, address, 7) as tab:
        place = PLACE | {"day": str(DAY + timedelta(days=newest)), "event": f"event-{newest}"}
        return await tab.open("day", place), await tab.open("nowhere", {})


def test_sessions_see_whole_nights_and_no_error_while_nights_are_written(empty_site: Workspace, address: str) -> None:
    checker, visits, written, failed = Checker(empty_site.root), Visits(), [1], []

    def write() -> None:
        try:
            while visits.left > 0 and len(written) < MOST_NIGHTS:
                time.sleep(PAUSE_S)
                written.append(written[-1] + 1)
                write_night(empty_site, written[-1])
                for table in ("runs", "recordings"):
                    empty_site.ledger.compact(table)
                checker.look()
        except Exception as error:  # noqa: BLE001 — a thread's error is this test's
            failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        runs = asyncio.run(_people(address, visits))
    finally:
        visits.left = 0
        writer.join()
    newest, nowhere = asyncio.run(_one_more(address, written[-1]))
    assert failed == []
    assert {error for run in runs for error in run.errors} == set()
    assert {run.page for run in runs} == {page_name for page_name, _ in TOUR}
    assert newest.errors == () and newest.elements > 20  # it shows what was written last
    assert nowhere.errors[0] == "there is no page nowhere"
    assert checker.wrong == {} and checker.states == len(written) - 1 > 1
    told = page(_outcome(runs, checker.as_json()), "a command", (1.0,))
    assert "1.50 times as long" in told and "What went wrong" not in told


def _outcome(runs: Sequence[PageRun], checked: dict[str, Any], wrong: tuple[str, ...] = ()) -> Outcome:
    return Outcome(PEOPLE, 0.2, runs[:1], Phase([], 0.0), Phase(runs, 1.0), 2.0, 3.0, checked, 5, wrong, 0)


def test_a_snapshot_taken_while_a_night_writes_is_a_state_of_the_ledger(empty_site: Workspace) -> None:
    """Rows entered while a snapshot is being taken are all in it, or none of them."""
    checker, over = Checker(empty_site.root), threading.Event()

    def write() -> None:
        for number in range(1, 2 * NIGHTS):
            write_night(empty_site, number)
        over.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not over.is_set():
        checker.look()
    writer.join()
    checker.look()
    assert checker.wrong == {} and checker.states > 1


HALF = {
    "coverage that does not add up": lambda made: {**made, "coverage": _later(made["coverage"], "to_us", -1)},
    "coverage of a recording that nobody": lambda made: {
        **made,
        "coverage": _renamed(made["coverage"], "recording_id"),
    },
    "scores of what is not embedded": lambda made: {**made, "embeddings": made["embeddings"].slice(0, SECONDS // 2)},
    "a score told twice": lambda made: {**made, "scores": pa.concat_tables([made["scores"]] * 2)},
    "an event without its scores": lambda made: {name: rows for name, rows in made.items() if name != "scores"},
    "an event told twice": lambda made: {**made, "events": pa.concat_tables([made["events"]] * 2)},
    "an event of a recording that nobody": lambda made: {**made, "events": _renamed(made["events"], "recording_id")},
    "a reason for no event": lambda made: {name: rows for name, rows in made.items() if name != "events"},
}


def _later(rows: pa.Table, column: str, by: int) -> pa.Table:
    changed = [value + by for value in rows[column].to_pylist()]
    return rows.set_column(rows.schema.get_field_index(column), rows.schema.field(column), pa.array(changed))


def _renamed(rows: pa.Table, column: str) -> pa.Table:
    other = pa.array(["another"] * len(rows))
    return rows.set_column(rows.schema.get_field_index(column), rows.schema.field(column), other)


@pytest.mark.parametrize("half", HALF)
def test_a_state_that_no_snapshot_may_have_is_named(half: str, empty_site: Workspace) -> None:
    write_night(empty_site, 1)
    write_night(empty_site, 2, HALF[half](day_tables(2)))
    checker = Checker(empty_site.root)
    checker.look()
    assert any(what.startswith(half) for what in checker.wrong), checker.wrong
    assert any(rule.startswith(half) for rule in RULES)


def test_rows_that_no_receipt_names_are_told(empty_site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    write_night(empty_site, 1)
    checker = Checker(empty_site.root)
    checker.look()
    assert checker.wrong == {}
    place = Place(CAMPAIGN, CAMERA, DAY + timedelta(days=1))
    path = f"scores/{place.folder}/night-1.parquet"
    empty_site.store.write_table(path, day_tables(1)["scores"].slice(0, 5))
    fresh = Checker(empty_site.root)
    monkeypatch.setattr(fresh, "_rows_of", checker._rows_of)  # what the file held when its receipt was written
    fresh.look()
    assert any("5 rows shown, 300 in the files that count" in what for what in fresh.wrong)


def test_a_tab_tells_exceptions_and_errors_of_its_page() -> None:
    tab = Tab(0, "http://127.0.0.1:1", 7)
    for number, text in enumerate(("KeyError", "told", "fine")):
        message = ForwardMsg()
        message.metadata.delta_path.extend([0, number])
        if number == 0:
            message.delta.new_element.exception.type, message.delta.new_element.exception.message = text, "x"
        else:
            alert = message.delta.new_element.alert
            alert.body, alert.format = text, Alert.ERROR if number == 1 else Alert.INFO
        tab._take(message)
    assert tab._told_errors() == ["KeyError: x", "told"]


def test_a_page_of_results_names_what_went_wrong() -> None:
    run = PageRun(0, "day", "opened", 0.0, 0.5, 3, ("KeyError: x",))
    outcome = _outcome([run, run], {"looks": 1, "states": 1, "wrong": ["half"]}, ("rows",))
    told = page(outcome, "a command", (1.0,))
    assert not outcome.is_right
    assert "- day, opened: KeyError: x (3 times)" in told and "- half" in told and "- rows" in told
    assert "| day | 0 | – | – | – | 2 | 0.50 | 0.50 | 0.50 |" in told
