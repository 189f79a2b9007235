"""Giving way, and room: what asks, who looks, and what is left where nothing new may be started."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra import lock
from infra.errors import NightError
from infra.lock import AlreadyRunningError, backfill_lock, night_lock, night_waits
from lake.keys import Place
from tasks import embed, embedding, limits
from tasks.camera import DAYS_OF_A_ROUND, rounds
from tasks.decisions import counting_steps
from tasks.embed import embed_shards
from tasks.forecast import forecast
from tasks.left_days import keeps_its_results
from tasks.limits import DEADLINE, GAVE_WAY, GaveWayError, Grace, going_on, reason_to_stop
from tasks.plan import DayPlan
from tests.tasks.conftest import Processed
from tests.tasks.nights import EAST, MONDAY, NORTH, configure, ingest, new_site, table_of
from tests.tasks.planned import EVERYTHING, plan, shards_of
from workspace.opened import Workspace
from workspace.room import Room

ROOT = Path(__file__).resolve().parents[2]
NIGHT = (
    "import sys\nfrom pathlib import Path\nfrom infra.lock import night_lock\n"
    "with night_lock(Path(sys.argv[1]), asking=lambda line: print(line, flush=True)):\n    print('begun', flush=True)\n"
)


@contextmanager
def waiting_night(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A night in a process of its own that has asked the backfill which holds the lock."""
    night = subprocess.Popen([sys.executable, "-c", NIGHT, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert night.stdout is not None
    try:
        assert f"a backfill is running (process {os.getpid()})" in night.stdout.readline()
        yield night
    finally:
        night.kill()
        night.wait()
        night.stdout.close()


def test_a_night_asks_a_backfill_to_give_way_and_begins_when_it_has(tmp_path: Path) -> None:
    assert not night_waits(tmp_path)
    with backfill_lock(tmp_path):
        assert not night_waits(tmp_path)
        with waiting_night(tmp_path) as night:
            assert night_waits(tmp_path)
            with (
                pytest.raises(AlreadyRunningError, match="a night is already running") as refused,
                night_lock(tmp_path, asking=print),
            ):
                pytest.fail("two nights wait")
            assert refused.value.what == "night"
            night.kill()
            night.wait()
            assert not night_waits(tmp_path), "a night that was killed asks no more"
    with night_lock(tmp_path):
        assert not night_waits(tmp_path)


def test_the_night_has_the_lock_once_the_backfill_lets_go_and_no_other_backfill_comes_between(tmp_path: Path) -> None:
    held = backfill_lock(tmp_path)
    held.__enter__()
    with waiting_night(tmp_path) as night:
        with pytest.raises(AlreadyRunningError, match="a night is already running"), backfill_lock(tmp_path):
            pytest.fail("a backfill begins while a night waits")
        held.__exit__(None, None, None)
        assert night.stdout is not None
        assert night.stdout.readline() == "begun\n"
        assert night.wait(20) == 0


def test_two_backfills_and_whoever_does_not_ask_are_refused(tmp_path: Path) -> None:
    with backfill_lock(tmp_path):
        for other in (backfill_lock(tmp_path), night_lock(tmp_path)):
            with pytest.raises(AlreadyRunningError, match="a backfill is already running") as refused, other:
                pytest.fail("two at once")
            assert (refused.value.what, refused.value.process) == ("backfill", str(os.getpid()))
    with night_lock(tmp_path), pytest.raises(AlreadyRunningError, match="a night is"), backfill_lock(tmp_path):
        pytest.fail("a backfill beside a night")


def test_a_night_that_waited_long_enough_says_which_process_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE_S", 0.5)
    monkeypatch.setattr(lock, "TELL_S", 0.0)
    told: list[str] = []
    with (
        backfill_lock(tmp_path),
        pytest.raises(NightError, match=f"process {os.getpid()} has not given way"),
        night_lock(tmp_path, asking=told.append),
    ):
        pytest.fail("it is held")
    assert "it is asked to give way" in told[0]
    assert any("finishes what it has in hand" in line for line in told)
    assert not night_waits(tmp_path)


def _asked(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], bool]) -> None:
    monkeypatch.setattr(limits, "night_waits", lambda _: answer())


def _full(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Room(1, 2, False, "0.00 GB free at /, less than watch.reserve_gb (5); free space there")
    monkeypatch.setattr(limits, "room_left", lambda _: full)


def test_what_stops_a_run_and_in_which_order_it_is_told(processed: Processed, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, now = processed.workspace, datetime.now(UTC)
    assert reason_to_stop(workspace) == ""
    assert reason_to_stop(workspace, now + timedelta(hours=1)) == ""
    _full(monkeypatch)
    assert reason_to_stop(workspace).startswith("no room: 0.00 GB free")
    _asked(monkeypatch, lambda: True)
    assert reason_to_stop(workspace) == GAVE_WAY
    assert reason_to_stop(workspace, now) == DEADLINE
    assert list(going_on(workspace, [1, 2, 3])) == []


def test_days_go_on_until_something_stops_them(processed: Processed, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([False, False, True])
    _asked(monkeypatch, lambda: next(looks))
    assert list(going_on(processed.workspace, [1, 2, 3])) == [1, 2]


def test_a_reserve_that_is_not_free_stops_a_run_and_is_told_by_the_plan(copied: Workspace) -> None:
    greedy = configure(copied.site.root, {"watch": {"reserve_gb": 1e9}})
    assert "less than watch.reserve_gb" in reason_to_stop(greedy)
    assert "a run starts nothing new" in forecast(greedy, EVERYTHING, workers=1).short_of_room


def test_work_in_hand_has_a_grace(processed: Processed, monkeypatch: pytest.MonkeyPatch) -> None:
    _asked(monkeypatch, lambda: True)
    Grace(processed.workspace, grace_s=60.0).check()
    with pytest.raises(GaveWayError):
        Grace(processed.workspace, grace_s=0.0).check()
    answers = iter([True, False, True, True])
    _asked(monkeypatch, lambda: next(answers))
    monkeypatch.setattr(limits, "LOOK_S", 0.0)
    grace = Grace(processed.workspace, grace_s=0.05)
    grace.check()
    time.sleep(0.06)
    grace.check()  # asked no more
    grace.check()
    time.sleep(0.06)
    with pytest.raises(GaveWayError):
        grace.check()


def test_a_shard_that_is_given_up_leaves_nothing_and_the_next_run_makes_it(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = configure(copied.site.root, {"reach_s": 0.5})
    shards = shards_of(plan(changed))[:3]
    asked = [False]
    _asked(monkeypatch, lambda: asked[0])
    monkeypatch.setattr(embed, "Grace", lambda workspace: Grace(workspace, grace_s=0.0))
    prepare = embedding.prepare

    def asking(*arguments: object) -> object:
        asked[0] = len(seen) >= 1
        seen.append(arguments)
        return prepare(*arguments)  # type: ignore[arg-type]  # passed on as it came

    seen: list[object] = []
    monkeypatch.setattr(embedding, "prepare", asking)
    outcomes = embed_shards(changed, shards, 1)
    assert [outcome.status for outcome in outcomes] == ["done", "late", "late"]
    assert {outcome.message for outcome in outcomes[1:]} == {GAVE_WAY}
    left = shards_of(plan(changed))[:3]
    assert [bool(shard.todo) for shard in left] == [False, True, True]
    asked[0] = False
    seen.clear()
    monkeypatch.setattr(embedding, "prepare", prepare)
    assert [outcome.status for outcome in embed_shards(changed, left, 1)] == ["done"] * 3
    assert not any(shard.todo for shard in shards_of(plan(changed))[:3])


def test_no_network_is_loaded_for_what_is_not_begun(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "load_encoder", lambda *_: pytest.fail("loaded for nothing"))
    changed = configure(
        copied.site.root, {"encoders": [{"name": "handcrafted/appearance"}, {"name": "handcrafted/motion"}]}
    )
    shards = shards_of(plan(changed))
    outcomes = embed_shards(changed, shards, 1, datetime.now(UTC))
    assert {(outcome.status, outcome.message) for outcome in outcomes} == {("late", DEADLINE)}


def test_rounds_take_some_days_of_some_cameras_oldest_first(processed: Processed) -> None:
    day = plan(processed.workspace)[0]

    def days_of(camera: str, count: int) -> list[DayPlan]:
        return [replace(day, place=Place("demo", camera, MONDAY + timedelta(days=n))) for n in range(count)]

    many = [*days_of("a", 2 * DAYS_OF_A_ROUND + 1), *days_of("b", 3), *days_of("c", 1)]
    found = list(rounds(many, 2))
    assert sorted(item.place for some in found for item in some) == sorted(item.place for item in many)
    assert [{item.place.camera for item in some} for some in found] == [{"a", "b"}, {"a"}, {"a"}, {"c"}]
    for camera in "abc":
        mine = [item.place.day for some in found for item in some if item.place.camera == camera]
        assert mine == sorted(mine)
    assert list(rounds([], 2)) == []


def test_a_day_that_was_known_keeps_its_results_until_all_of_it_is_made_anew(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = configure(copied.site.root, {"reach_s": 0.5})
    before = counting_steps(changed)
    days = plan(changed)
    shards = [shard for day in days if day.place.camera == EAST for shard in day.shards]
    outcomes = embed_shards(changed, shards, 1, datetime.now(UTC))
    assert all(keeps_its_results(changed, day, outcomes) for day in days if day.place.camera == EAST)
    assert not any(keeps_its_results(changed, day, outcomes) for day in days if day.place.camera == NORTH), (
        "nothing is late"
    )
    assert counting_steps(changed) == before
    place = next(day.place for day in days if day.place.camera == EAST)
    coverage = [path for path in before["embed", place, "frames"]["outputs"] if path.startswith("coverage/")]
    assert table_of(changed, coverage).num_rows


def test_a_new_day_is_published_as_far_as_it_is_done(tmp_path: Path, small_footage: Path) -> None:
    workspace = new_site(tmp_path / "site", small_footage)
    ingest(workspace)
    days = plan(workspace)
    outcomes = embed_shards(workspace, shards_of(days), 1, datetime.now(UTC))
    assert {outcome.status for outcome in outcomes} == {"late"}
    assert not any(keeps_its_results(workspace, day, outcomes) for day in days)
