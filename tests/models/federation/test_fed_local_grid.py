"""A federation in one place: ids, replies, refusals, and sites that do not come back in time."""

from collections.abc import Iterator, MutableMapping
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from flwr.app import Message, RecordDict

from infra.errors import ConfigurationError
from models.federation.base import Evaluation, SiteError, rounds_kept
from models.federation.local_grid import LocalGrid, SiteClient, memory_before, node_id
from models.federation.messages import (
    EVALUATE,
    TRAIN,
    Stage,
    arrays_of,
    evaluate_reply,
    read_evaluate_reply,
    read_train_reply,
    request,
    word_of,
)
from models.federation.rounds import run_rounds
from tests.models.federation.made_sites import LineSite, made_plan, made_tensors, threads

PLAN = made_plan()


def asked(grid: LocalGrid, stage: Stage = TRAIN, number: int = 1) -> list[Message]:
    record = request(PLAN, number, arrays_of(made_tensors(PLAN)))
    return [Message(record, node, stage) for node in grid.get_node_ids()]


def test_ids_come_from_names_alone() -> None:
    assert node_id("north") == node_id("north") != node_id("south")
    assert 0 < node_id("") < 2**63
    with threads() as pool:
        grid = LocalGrid({"north": SiteClient(LineSite(0)), "south": SiteClient(LineSite(1))}, pool)
        assert {grid.name_of(node) for node in grid.get_node_ids()} == {"north", "south"}
        assert set(grid.get_node_ids()) == {node_id("north"), node_id("south")}
        with pytest.raises(ConfigurationError):
            LocalGrid({}, pool)


def test_every_site_answers_for_itself() -> None:
    sites = {"north": LineSite(0, 10), "south": LineSite(1, 30)}
    with threads() as pool:
        grid = LocalGrid({name: SiteClient(site) for name, site in sites.items()}, pool)
        replies = grid.send_and_receive(asked(grid))
        told = {
            grid.name_of(reply.metadata.src_node_id): read_train_reply(reply.content, PLAN).samples for reply in replies
        }
        assert told == {"north": 10, "south": 30}
        for reply in grid.send_and_receive(asked(grid, EVALUATE)):
            assert read_evaluate_reply(reply.content, PLAN).samples in (10, 30)


class FolderMemories(MutableMapping[int, bytes]):
    """Memories as files of a folder: the same for every copy of a site."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, number: int) -> bytes:
        return (self._folder / str(number)).read_bytes()

    def __setitem__(self, number: int, memory: bytes) -> None:
        (self._folder / str(number)).write_bytes(memory)

    def __delitem__(self, number: int) -> None:
        (self._folder / str(number)).unlink()

    def __iter__(self) -> Iterator[int]:
        return iter([int(file.name) for file in self._folder.iterdir()])

    def __len__(self) -> int:
        return len(list(self._folder.iterdir()))


def test_sites_run_in_other_processes(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("forkserver")) as pool:
        grid = LocalGrid({"north": SiteClient(LineSite(0), FolderMemories(tmp_path))}, pool)
        there = run_rounds(PLAN, made_tensors(PLAN), grid, round_s=60, wait_s=0)
        with_none = LocalGrid({"north": SiteClient(LineSite(0))}, pool)
        with_none.send_and_receive(asked(with_none))
    with threads() as pool:
        here = run_rounds(
            PLAN, made_tensors(PLAN), LocalGrid({"north": SiteClient(LineSite(0))}, pool), round_s=60, wait_s=0
        )
    assert all(there.shared[name].tobytes() == value.tobytes() for name, value in here.shared.items())
    assert isinstance(with_none.errors["north"], ConfigurationError) and "would be lost" in str(
        with_none.errors["north"]
    )


def test_a_site_that_raises_is_a_word_and_its_error_stays_here() -> None:
    def broken(_message: Message) -> RecordDict:
        raise OSError("/footage/yard")

    def empty(_message: Message) -> RecordDict:
        raise SiteError("no-footage", "/footage/gate is empty")

    with threads() as pool:
        grid = LocalGrid({"broken": broken, "empty": empty}, pool)
        replies = grid.send_and_receive(asked(grid))
    told = {grid.name_of(reply.metadata.src_node_id): reply.error for reply in replies}
    assert {name: word_of(error) for name, error in told.items()} == {"broken": "failed", "empty": "no-footage"}
    assert not any("footage/" in str(error.reason) for error in told.values())
    assert isinstance(grid.errors["broken"], OSError) and isinstance(grid.errors["empty"], SiteError)


def test_a_site_that_is_late_is_left_out_and_away_until_it_is_done() -> None:
    go, held = Event(), 0

    def slow(_message: Message) -> RecordDict:
        nonlocal held
        held += 1
        go.wait(30)
        return evaluate_reply(Evaluation(1, 0.5), PLAN)

    with threads() as pool:
        grid = LocalGrid({"slow": slow, "north": SiteClient(LineSite(0))}, pool)
        (reply,) = grid.send_and_receive(asked(grid), timeout=1.0)
        assert reply.metadata.src_node_id == node_id("north")
        assert grid.get_node_ids() == [node_id("north")]
        go.set()
        late = grid._running[node_id("slow")]
        late.result(30)
        assert set(grid.get_node_ids()) == {node_id("slow"), node_id("north")} and held == 1
        assert len(grid.send_and_receive(asked(grid, EVALUATE), timeout=30)) == 2


def test_a_site_that_was_not_begun_in_time_is_not_begun_later() -> None:
    go, site = Event(), LineSite(0)

    def slow(_message: Message) -> RecordDict:
        go.wait(30)
        raise SiteError("failed", "")

    with threads(1) as pool:
        grid = LocalGrid({"slow": slow, "north": SiteClient(site)}, pool)
        assert grid.send_and_receive(asked(grid), timeout=0.1) == []
        assert grid.get_node_ids() == [node_id("north")]
        go.set()
    assert site.asked == []


def test_a_site_goes_on_from_its_newest_memory_and_keeps_two() -> None:
    site, memories = LineSite(0), {1: b"", 7: b"of another run"}
    del memories[1]
    with threads() as pool:
        grid = LocalGrid({"north": SiteClient(site, memories)}, pool)
        for number in (1, 2, 3, 3):
            grid.send_and_receive(asked(grid, TRAIN, number))
    assert site.asked == [(1, False), (2, True), (3, True), (3, True)]
    assert set(memories) == {2, 3}


def test_a_round_asked_for_again_after_one_sat_out_begins_with_the_same_memory() -> None:
    site = LineSite(0)
    with threads() as pool:
        grid = LocalGrid({"north": SiteClient(site)}, pool)
        for number in (1, 3, 3, 2):
            grid.send_and_receive(asked(grid, TRAIN, number))
    assert site.asked == [(1, False), (3, True), (3, True), (2, True)]


def test_the_memories_that_are_kept() -> None:
    assert rounds_kept([1, 3], 3) == {1, 3} and rounds_kept([1, 3, 4], 4) == {3, 4}
    assert rounds_kept([1, 4, 5], 4) == {1, 4} and rounds_kept([5, 6], 6) == {5, 6} and rounds_kept([3], 3) == {3}


class Garbling(ThreadPoolExecutor):
    """Gives other bytes in the place of those of one node."""

    def __init__(self, node: int, raw: bytes) -> None:
        super().__init__(2)
        self._node, self._raw = node, raw

    def submit(self, function: Any, *args: Any, **more: Any) -> Any:  # type: ignore[override]
        found = super().submit(function, *args, **more)
        if self._node not in args:
            return found
        garbled: Future[bytes] = Future()
        garbled.set_result(self._raw)
        return garbled


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x0a\x00" * 2**20], ids=["junk", "too many bytes"])
def test_bytes_that_are_no_reply_are_named_and_the_rounds_go_on(raw: bytes) -> None:
    with Garbling(node_id("bad"), raw) as pool:
        grid = LocalGrid({"bad": SiteClient(LineSite(0)), "good": SiteClient(LineSite(1))}, pool)
        found = run_rounds(PLAN, made_tensors(PLAN), grid, round_s=30, wait_s=0)
    for record in found.rounds:
        bad, good = record.clients
        assert (bad.refused, bad.not_evaluated) == ("unreadable", "unreadable") and good.loss is not None
    assert len(raw) < 100 or "bytes, the most is" in str(grid.errors["bad"])


def test_the_memory_before_a_round() -> None:
    memories = {2: b"two", 3: b"three", 6: b"six"}
    told = [memory_before(memories, number) for number in (1, 2, 3, 4, 6, 9)]
    assert told == [None, None, b"two", b"three", b"three", b"six"]
