"""The night's queue: what it is chosen from, when it is made anew, and what it costs a night with nothing else to do."""

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lake.catalogue import connect, select
from lake.keys import Place
from lake.labels import UseCase, labels_now, say_labels
from lake.ledger import Ledger, RunRow
from lake.promotions import retire
from tasks.forecast import forecast, idle_night
from tasks.heads import KIND
from tasks.plan import Selection
from tasks.queue import queue_campaign, queues_due
from tasks.receipts import Receipt, record
from tasks.report import NightReport, new_report
from tests.footage.films import Film, make
from tests.tasks.alarmed import LIVELY, lively, switch_on
from tests.tasks.conftest import Processed
from tests.tasks.heads import serve
from tests.tasks.nights import EAST, MONDAY, NORTH, TUESDAY, Night, configure, new_site, run
from tests.tasks.planned import EVERYTHING
from workspace.opened import Workspace
from workspace.queue_items import QueueItem, answer, queue_files, queue_now, read_queue, skip

ROOT = Path(__file__).resolve().parents[2]


def queued(night: Night) -> list[Receipt]:
    return [receipt for receipt in night.receipts if receipt.step == "queue"]


def idle(workspace: Workspace, selection: Selection = EVERYTHING) -> tuple[NightReport, dict[str, int]]:
    """A night that has nothing else to do; its report, and what it did of queues."""
    found = forecast(workspace, selection, workers=1)
    assert found.is_empty
    told = idle_night(workspace, found, selection, new_report())
    steps = {step["step"]: step for step in told.steps}
    return told, {name: steps["queue"][name] for name in ("done", "skipped", "failed")} if "queue" in steps else {}


def files_of(workspace: Workspace) -> list[Path]:
    return sorted(Path(workspace.store.url("queue")).rglob("*.parquet"))


def overlap(first: QueueItem, second: QueueItem) -> bool:
    return (
        first.use_case == second.use_case
        and first.recording_id == second.recording_id
        and first.from_us < second.to_us
        and first.to_us > second.from_us
    )


def test_a_night_asks_about_its_newest_days_within_the_budget(processed: Processed) -> None:
    (receipt,) = queued(processed.night)
    assert (receipt.place.told, receipt.status, receipt.rows) == (["demo", "", TUESDAY.isoformat()], "done", 20)
    assert processed.night.report.queued == 20
    workspace = processed.workspace
    items = queue_now(workspace)
    assert [item.rank for item in items] == list(range(1, 21))
    assert {item.day for item in items} == {MONDAY, TUESDAY}
    shares = Counter((item.camera, item.region) for item in items)
    assert shares == {(NORTH, "frame"): 10, (EAST, "frame"): 5, (EAST, "hatch"): 5}, "by cameras, then by regions"
    assert {(item.kind, item.head, item.reason) for item in items} == {("novelty", "novelty", "diverse")}
    assert len({(item.use_case, item.day, item.slice) for item in items}) == 20
    assert not any(overlap(a, b) for a in items for b in items if a is not b)


def test_every_question_is_a_score_of_the_lake_and_says_how_far_it_is_from_its_threshold(processed: Processed) -> None:
    sql = """
        SELECT q.queue_rank, s.score - q.score, t.threshold - q.threshold, (s.score - t.threshold) / t.spread - q.distance
        FROM (SELECT *, rank AS queue_rank FROM queue) q
        JOIN scores s USING (campaign, camera, day, head, version, region, recording_id, from_us, to_us, taken_at)
        JOIN standards t USING (campaign, camera, day, head, version, region)"""
    rows = select(connect(processed.workspace.store), sql)
    assert sorted(rows["queue_rank"].to_pylist()) == list(range(1, 21))
    differences = np.array([rows.column(place).to_numpy() for place in (1, 2, 3)], dtype=np.float64)
    assert np.abs(differences).max() < 1e-3


def test_a_night_with_nothing_to_do_changes_nothing(copied: Workspace) -> None:
    before, files = queue_now(copied), files_of(copied)
    sys.modules.pop("tasks.queue_choice", None)
    told, counts = idle(copied)
    assert (told.status, told.queued, counts) == ("complete", 20, {"done": 0, "skipped": 1, "failed": 0})
    assert "tasks.queue_choice" not in sys.modules, "what chooses is not even loaded"
    assert (queue_now(Workspace(copied.site.root)), files_of(copied)) == (before, files)


def test_after_skips_the_next_night_asks_anew_and_not_about_these(copied: Workspace) -> None:
    items = queue_now(copied)
    for item in items[:3]:
        skip(copied, item, "ann")
    told, counts = idle(copied)
    assert (told.status, told.decoded_s, told.queued, counts["done"]) == ("complete", 0.0, 20, 1)
    now = read_queue(Workspace(copied.site.root))
    assert now.answers == {} and not any(overlap(new, old) for new in now.items for old in items[:3])
    assert idle(copied)[1] == {"done": 0, "skipped": 1, "failed": 0}


def test_asking_anew_needs_neither_networks_nor_an_orchestrator() -> None:
    script = (
        "import sys, tasks.queue_choice\n"
        "print(sorted({'torch', 'prefect', 'dask', 'distributed', 'streamlit', 'flwr'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["[]"]), done.stderr


def test_a_novelty_head_that_was_told_both_asks_what_it_doubts_too(copied: Workspace) -> None:
    frame = UseCase(NORTH, "frame", "novelty")
    first, second = [item for item in queue_now(copied) if item.use_case == frame][:2]
    answer(copied, first, True, "ann")
    answer(copied, second, False, "ann")
    night = run(Workspace(copied.site.root))
    assert night.report.status == "complete"
    items = queue_now(Workspace(copied.site.root))
    assert {item.reason for item in items if item.use_case != frame} == {"diverse"}
    mine = [item for item in items if item.use_case == frame]
    assert Counter(item.reason for item in mine) == {"uncertain": 5, "diverse": 5}
    assert not any(overlap(item, judged) for item in mine for judged in (first, second))
    doubts = [abs(item.distance) for item in mine if item.reason == "uncertain" and item.distance is not None]
    assert doubts == sorted(doubts) and len(doubts) == 5


def test_a_retrieval_head_asks_for_its_use_case_until_it_is_out_of_service(copied: Workspace) -> None:
    served = configure(serve(copied, EAST).site.root, {"queue": {"budget": 12, "uncertain_share": 1.0}})
    run(served)
    items = queue_now(served)
    mine = [item for item in items if item.head == "busy"]
    assert Counter(item.head for item in items) == {"busy": 6, "novelty": 6}
    assert {(item.kind, item.camera, item.region, item.reason, item.threshold) for item in mine} == {
        ("retrieval", EAST, "frame", "uncertain", 0.0)
    }
    assert all(np.sign(item.distance or 0) == np.sign(item.score) for item in mine)
    said = answer(served, mine[0], True, "ann")
    assert said.use_case == UseCase(EAST, "frame", "busy")
    _, counts = idle(served)
    assert counts["done"] == 1
    again = [item for item in queue_now(Workspace(served.site.root)) if item.head == "busy"]
    assert len(again) == 6 and not any(overlap(item, mine[0]) for item in again)
    retire(served.ledger, KIND, f"{EAST}.frame.busy", "tests", EAST)
    run(Workspace(served.site.root))
    assert {item.head for item in queue_now(Workspace(served.site.root))} == {"novelty"}


def test_an_alarm_asks_in_logits_and_by_the_vectors_of_its_windows(copied: Workspace) -> None:
    told = {"heads": [LIVELY], "uncertain_share": 1.0, "budget": 6}
    alarmed = switch_on(lively(copied, EAST), {"cameras": [EAST], "threshold": 0.4}, queue=told)
    night = run(alarmed)
    assert [receipt.message for receipt in queued(night)] == [""]
    items = queue_now(alarmed)
    assert {(item.kind, item.head, item.camera, item.reason) for item in items} == {
        ("alarm", LIVELY, EAST, "uncertain")
    }
    assert len(items) == 6
    for item in items:
        assert item.threshold == pytest.approx(0.4)
        expected = np.log(item.score / (1 - item.score)) - np.log(0.4 / 0.6)
        assert item.distance == pytest.approx(expected, abs=1e-4)
    switched_off = configure(alarmed.site.root, {"queue": told})
    run(switched_off)
    assert queue_now(switched_off) == ()


def test_after_a_promotion_only_the_days_that_are_scored_anew_are_asked_about(copied: Workspace) -> None:
    told = {"queue": {"heads": ["busy"]}}
    serve(copied, EAST)
    run(configure(copied.site.root, told))
    assert {item.day for item in queue_now(Workspace(copied.site.root))} == {MONDAY, TUESDAY}
    serve(Workspace(copied.site.root), EAST, version="v2")
    night = run(Workspace(copied.site.root), Selection(camera=EAST, day=MONDAY))
    items = queue_now(Workspace(copied.site.root))
    assert {(item.day, item.version) for item in items} == {(MONDAY, "v2")}
    (receipt,) = queued(night)
    assert f"on {TUESDAY}: scored by version v1" in receipt.message


def test_with_a_budget_below_their_number_all_are_asked_in_turn(copied: Workspace) -> None:
    asked = []
    for days in range(4):
        begin = datetime(2026, 2, 1 + days, tzinfo=UTC)
        earlier = RunRow("run", "queue", "demo", "", begin.date(), "", "key", "skipped", begin, begin)
        copied.ledger.record([earlier])
        idle(configure(copied.site.root, {"queue": {"budget": 1}}))
        asked += [(item.camera, item.region) for item in queue_now(Workspace(copied.site.root))]
    assert Counter(asked) == {(NORTH, "frame"): 2, (EAST, "frame"): 1, (EAST, "hatch"): 1}


def test_only_the_heads_that_are_named_ask(copied: Workspace) -> None:
    serve(copied, EAST)
    run(configure(copied.site.root, {"queue": {"heads": ["novelty"]}}))
    assert {item.head for item in queue_now(Workspace(copied.site.root))} == {"novelty"}
    named = configure(copied.site.root, {"queue": {"heads": ["busy"]}})
    idle(named)
    assert {item.head for item in queue_now(named)} == {"busy"}


def test_a_budget_of_0_makes_nothing_and_ends_what_was_asked(copied: Workspace) -> None:
    files = files_of(copied)
    off = configure(copied.site.root, {"queue": {"budget": 0}})
    told, counts = idle(off)
    assert (told.status, told.queued, counts) == ("complete", 0, {"done": 0, "skipped": 1, "failed": 0})
    assert (queue_now(off), queue_files(off.ledger)) == ((), {})
    told, counts = idle(Workspace(off.site.root))
    assert (counts, files_of(off)) == ({}, files), "nothing is made, and nothing is left to end"
    idle(configure(copied.site.root, {}))
    assert len(queue_now(Workspace(copied.site.root))) == 20, "switched on again, it is there"


def test_a_queue_is_of_all_cameras_whatever_the_run_is_about(copied: Workspace) -> None:
    skip(copied, queue_now(copied)[0], "ann")
    _, counts = idle(copied, Selection(camera=EAST, day=MONDAY))
    assert counts["done"] == 1
    assert {item.camera for item in queue_now(Workspace(copied.site.root))} == {EAST, NORTH}


def test_fewer_days_are_the_newest_ones(copied: Workspace) -> None:
    narrow = configure(copied.site.root, {"queue": {"days": 1}})
    idle(narrow)
    assert {item.day for item in queue_now(narrow)} == {TUESDAY}


def test_what_was_judged_by_others_is_not_asked(copied: Workspace) -> None:
    items = queue_now(copied)
    whole = [answer(copied, item, True, "ann") for item in items[:1]]
    case, recording = items[0].use_case, items[0].recording_id
    long = [type(label)(case, "demo", label.day, recording, 0, 10**9, True, "bob") for label in whole]
    say_labels(copied.ledger, long)
    run(Workspace(copied.site.root))
    now = queue_now(Workspace(copied.site.root))
    assert now and not any((item.use_case, item.recording_id) == (case, recording) for item in now)


def test_footage_that_is_gone_is_not_asked_about(copied: Workspace) -> None:
    known, items = copied.ledger.rows("recordings"), queue_now(copied)
    gone = items[0].recording_id
    (row,) = (row for row in known.to_pylist() if row["recording_id"] == gone and row["status"] == "ready")
    seen_at = row["seen_at"] + timedelta(days=1)
    copied.ledger.append_recordings(
        pa.Table.from_pylist([{**row, "status": "gone", "seen_at": seen_at}], schema=known.schema), seen_at
    )
    (plan,) = queues_due(copied, [Place("demo", EAST, MONDAY)])
    record(copied.ledger, "later", queue_campaign(copied, plan))
    assert gone not in {item.recording_id for item in queue_now(copied)}
    assert len(queue_now(copied)) == len(items)


def test_a_queue_that_cannot_be_made_is_reported_and_the_last_one_stands(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = queue_now(copied)
    skip(copied, before[0], "ann")

    def lost(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("tasks.queue_choice.write_queue", lost)
        told, counts = idle(copied)
        assert (told.status, counts["failed"]) == ("incomplete", 1)
        assert any("queue failed" in line and "Input/output error" in line for line in told.attention)
        assert queue_now(Workspace(copied.site.root)) == before[1:]
        patch.setattr("tasks.forecast.queues_due", lost)
        told, _ = idle(copied)
        assert any(line.startswith("queue: ") for line in told.attention)
    assert idle(copied)[1]["done"] == 1


def test_of_a_new_day_only_one_list_counts_and_labels_alone_change_no_other_step(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site")
    folder = workspace.site.footage_root / "demo" / "hall"
    folder.mkdir(parents=True)
    for number, day in enumerate(("02", "03")):
        make(folder / f"2026-03-{day}T08-00-00.mp4", Film(count=200, seed=number))
        night = run(Workspace(workspace.site.root))
        assert night.report.status == "complete"
        ((_, path),) = queue_files(Ledger(workspace.store))["demo"]
        assert f"day=2026-03-{day}" in path
    assert {item.day.day for item in queue_now(Workspace(workspace.site.root))} == {2, 3}
    assert labels_now(workspace.ledger) == []


def test_two_nights_that_know_the_same_ask_the_same(processed: Processed, copied: Workspace) -> None:
    for path in files_of(copied):
        path.unlink()
    _, counts = idle(copied)
    assert counts["done"] == 1
    (mine,), (theirs,) = files_of(copied), files_of(processed.workspace)
    assert mine.name == theirs.name and mine.read_bytes() == theirs.read_bytes()
