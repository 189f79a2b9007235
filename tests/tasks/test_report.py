"""The night's report: sums, failures, status."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footage.sampling import STATES
from lake.keys import Place
from tasks.limits import DEADLINE
from tasks.plan import Selection
from tasks.receipts import Receipt, record
from tasks.report import (
    STEPS,
    NightReport,
    attention_of,
    close_night,
    count_steps,
    coverage_of,
    is_covered,
    new_report,
)
from tests.tasks.conftest import Processed
from tests.tasks.nights import EAST, MONDAY, NORTH, configure, run
from tests.tasks.planned import EVERYTHING, plan
from workspace.opened import Workspace

PLACE = Place("demo", EAST, MONDAY)


def line(recorded_s: float, **states: float) -> dict[str, Any]:
    told = {f"{state}_s": states.get(state, 0.0) for state in STATES}
    return {"campaign": "demo", "camera": EAST, "day": "2026-03-02", "recorded_s": recorded_s, **told}


def closed(workspace: Workspace, processed: Processed, **changes: Any) -> NightReport:
    """The processed night closed again, on the site as it is now."""
    told = new_report()
    told.failures = dict.fromkeys(changes.get("failures", ()))
    rows = changes.get("rows", processed.night.rows)
    close_night(workspace, told, changes.get("selection", EVERYTHING), rows, (), changes.get("late", 0))
    return told


def test_a_whole_night_is_complete_and_its_sums_match(processed: Processed) -> None:
    told = processed.night.report
    assert told.status == "complete"
    assert all(is_covered(item) for item in told.coverage)
    recorded = sum(row["duration_us"] for row in processed.night.rows) / 1e6
    assert sum(item["recorded_s"] for item in told.coverage) == pytest.approx(recorded, abs=1e-5)
    assert {item["step"]: item["done"] for item in told.steps}["ingest"] == len(processed.night.rows)
    assert told.decoded_s == pytest.approx(recorded), "every recording is decoded once for all that is made of it"
    shown_s = sum(item.decoded_s for item in processed.night.receipts if item.step == "publish")
    assert told.shown_s == pytest.approx(shown_s)
    assert shown_s > 0


def test_events_and_alarms_are_counted_as_the_lake_holds_them(processed: Processed) -> None:
    paths = [path for item in processed.night.receipts for path in item.outputs if path.startswith("events/")]
    alarms = [row["alarm"] for path in paths for row in processed.workspace.store.read_table(path).to_pylist()]
    assert (processed.night.report.events, processed.night.report.alarms) == (len(alarms), sum(alarms))
    assert sum(alarms) > 0


def test_a_second_that_nobody_accounts_for_makes_the_night_incomplete(copied: Workspace, processed: Processed) -> None:
    shard = plan(copied)[0].shards[0]
    copied.store.delete(shard.products[0].paths[1])
    told = closed(copied, processed)
    assert told.status == "incomplete"
    short = [item for item in told.coverage if not is_covered(item)]
    assert [(item["camera"], item["day"]) for item in short] == [(EAST, "2026-03-02")]
    missing = short[0]["recorded_s"] - sum(short[0][f"{state}_s"] for state in STATES)
    assert missing == pytest.approx(shard.seconds, abs=1e-5)
    assert any("recorded seconds are accounted for" in item for item in told.attention)


@pytest.mark.parametrize(
    ("failures", "late", "lost", "status"),
    [
        ((), 0, False, "complete"),
        ((), 0, True, "incomplete"),
        ((), 3, True, "partial"),
        (("it failed",), 0, False, "incomplete"),
        (("it failed",), 3, True, "incomplete"),
    ],
)
def test_status_follows_from_failures_deadline_and_coverage(
    copied: Workspace, processed: Processed, failures: Sequence[str], late: int, lost: bool, status: str
) -> None:
    if lost:
        copied.store.delete(plan(copied)[0].shards[0].products[0].paths[1])
    told = closed(copied, processed, failures=failures, late=late)
    assert told.status == status
    row = copied.ledger.rows("runs").to_pylist()[-1]
    assert (row["step"], row["run_id"], row["key"]) == ("night", told.run, told.run)
    assert row["status"] == {"complete": "done", "partial": "partial"}.get(status, "failed")
    assert json.loads(row["message"])["status"] == status
    assert (f"the deadline came before {late} shards" in " ".join(told.attention)) == bool(late)


def test_only_the_selection_is_judged(copied: Workspace, processed: Processed) -> None:
    shard = next(day for day in plan(copied) if day.place.camera == NORTH).shards[0]
    copied.store.delete(shard.products[0].paths[1])
    assert closed(copied, processed).status == "incomplete"
    east = closed(copied, processed, selection=Selection(camera=EAST))
    assert east.status == "complete"
    assert {item["camera"] for item in east.coverage} == {EAST}


def test_failures_are_told_once_and_first() -> None:
    told = NightReport("run", datetime.now(UTC))
    for _ in range(2):
        told.failures.setdefault("hall: embed failed — disk full")
    told.coverage = [line(10.0, analysed=6.0, corrupt=1.0)]
    told.ingest = {"problems": [{"path": "a.mp4", "status": "quarantined", "reason": "the file is empty"}]}
    told.left_shards = {DEADLINE: 2}
    lines = attention_of(told, list(told.failures))
    assert lines == [
        "hall: embed failed — disk full",
        "the deadline came before 2 shards; the next run takes them up",
        f"demo · {EAST} · 2026-03-02: 7.0 of 10.0 recorded seconds are accounted for",
        f"demo · {EAST} · 2026-03-02: 1.0 s corrupt, 0.0 s missing",
        "a.mp4: quarantined — the file is empty",
    ]


@pytest.mark.parametrize("applied", [(), ("retrieve",), ("classify",), ("classify", "retrieve")])
def test_what_is_applied_is_told_after_the_scores_where_there_is_any(applied: tuple[str, ...]) -> None:
    receipts = [Receipt(PLACE, step, "", "", "done") for step in applied]
    told = [item["step"] for item in count_steps(receipts, {})]
    after = STEPS.index("score") + 1
    assert told == [*STEPS[:after], *sorted(applied, reverse=True), *STEPS[after:]]


def test_what_kept_people_from_being_told_wants_attention_and_fails_no_night(processed: Processed) -> None:
    told = new_report()
    told.untold = ["desk: refused"]
    close_night(processed.workspace, told, EVERYTHING, processed.night.rows, (), 0)
    assert (told.status, told.attention[0]) == ("complete", "desk: refused")


@given(
    st.lists(
        st.tuples(st.sampled_from([*STEPS[1:], "digest"]), st.sampled_from(["done", "skipped", "failed", "partial"]))
    )
)
def test_steps_are_counted_by_what_became_of_them(steps: list[tuple[str, str]]) -> None:
    receipts = [Receipt(PLACE, step, "", "", status, seconds=0.5) for step, status in steps]
    counted = count_steps(receipts, {"done": 4, "skipped": 3, "failed": 2, "seconds": 1.0})
    digested = ["digest"] if any(step == "digest" for step, _ in steps) else []
    assert [item["step"] for item in counted] == [*STEPS, *digested], "there are digests where there are summaries"
    assert counted[0] == {"step": "ingest", "done": 4, "skipped": 3, "failed": 2, "seconds": 1.0}
    for item in counted[1:]:
        mine = [status for step, status in steps if step == item["step"]]
        assert item["done"] == mine.count("done")
        assert item["skipped"] == mine.count("skipped")
        assert item["failed"] == mine.count("failed") + mine.count("partial")
        assert item["seconds"] == 0.5 * len(mine)


def test_skipped_cameras_and_quarantined_footage_are_accounted_for(processed: Processed, copied: Workspace) -> None:
    changed = configure(copied.site.root, {"cameras": {NORTH: {"skip": True}}})
    rows = [
        {**row, "status": "quarantined"} if row["path"].endswith("2026-03-02T08-00-00.mp4") else row
        for row in processed.night.rows
    ]
    days = [day for day in plan(changed, rows) if day.place.camera == EAST]
    told = {(item["camera"], item["day"]): item for item in coverage_of(changed, days, rows)}
    assert all(is_covered(item) for item in told.values())
    assert told[NORTH, "2026-03-03"]["skipped_s"] == told[NORTH, "2026-03-03"]["recorded_s"] == 24.0
    assert told[EAST, "2026-03-02"]["corrupt_s"] == 8.0
    assert told[NORTH, "2026-03-02"]["corrupt_s"] == 8.0
    assert sum(row["status"] == "quarantined" for row in rows) == 2


def test_a_failed_step_makes_the_night_incomplete_and_is_told_in_report_and_ledger(copied: Workspace) -> None:
    workspace = configure(copied.site.root, {"summary": {"segment_s": 4.0}})
    day = plan(workspace)[0]
    (scores,) = workspace.store.names(f"scores/{day.place.folder}")
    workspace.store.write_bytes(scores, b"a disk that forgets")
    night = run(workspace)
    assert night.report.status == "incomplete"
    failed = {receipt.step: receipt.message for receipt in night.failed()}
    assert "summarise" in failed
    assert any(f"{day.place}: summarise failed" in item for item in night.report.attention)
    told = [row for row in workspace.ledger.rows("runs").to_pylist() if row["run_id"] == night.report.run]
    assert failed == {row["step"]: row["message"] for row in told if row["status"] == "failed" and row["camera"]}
    assert {item["step"]: item["failed"] for item in night.report.steps}["summarise"] == 1
    others = {receipt.place for receipt in night.receipts if receipt.step == "publish" and receipt.status == "done"}
    assert len(others) == 3, "the other days are published"


def test_a_report_is_plain_json(processed: Processed) -> None:
    told = processed.night.report.as_json()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert set(told) >= {"run", "status", "steps", "decoded_s", "coverage", "attention"}
    assert replace(processed.night.report, status="failed").row().status == "failed"


def test_runs_are_named_apart() -> None:
    assert len({new_report().run for _ in range(50)}) == 50


def test_ledgers_are_merged_when_they_are_many(copied: Workspace, processed: Processed) -> None:
    receipt = Receipt(PLACE, "summarise", "", "k", "done")
    for number in range(70):
        record(copied.ledger, f"run{number}", [receipt])
    closed(copied, processed)
    assert len(copied.store.names("runs")) < 10
    assert sum(row["run_id"].startswith("run") for row in copied.ledger.rows("runs").to_pylist()) == 70
