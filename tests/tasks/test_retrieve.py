"""Heads in service: what they make of a camera's days, and when they are suspended."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from lake.catalogue import connect, select
from lake.ledger import Ledger
from lake.promotions import in_service, promote, retire
from lake.registry import Registry
from models.events import find_events
from models.heads.retrieval import retrieval_head
from tasks import retrieve as retrieving
from tasks.camera import step_receipts
from tasks.heads import KIND
from tasks.kept_files import Published, published
from tasks.receipts import Receipt
from tasks.retrieve import retrieve_day
from tasks.step_plans import DaySteps, HeadPlan
from tests.tasks.conftest import Processed
from tests.tasks.heads import ENCODER, RULE, serve, vectors_of
from tests.tasks.nights import EAST, HATCH, MONDAY, NORTH, Night, configure, run, say_region, table_of
from tests.tasks.planned import keys_of, plan, steps_of
from tests.tasks.views import shifted, stills_of, turn_away
from workspace.opened import Workspace

BUSY = f"{EAST}.frame.busy"


def retrieved(night: Night) -> list[Receipt]:
    return [receipt for receipt in night.receipts if receipt.step == "retrieve"]


def found(workspace: Workspace, table: str, head: str = "busy") -> list[dict[str, Any]]:
    sql = f"SELECT * EXCLUDE (campaign) FROM {table} WHERE head = ? ORDER BY ALL"
    return list(select(connect(workspace.store), sql, [head]).to_pylist())


def steps_by_day(workspace: Workspace, camera: str = EAST) -> list[DaySteps]:
    return [steps for steps in steps_of(workspace, plan(workspace)) if steps.place.camera == camera]


def test_without_heads_nothing_is_planned_and_keys_are_as_before(copied: Workspace) -> None:
    before = keys_of(copied)
    assert not any(step == "retrieve" for _, _, step, _ in before)
    served = serve(copied, EAST)
    after = keys_of(served)
    changed = {(name[0], name[2]) for name in after if before.get(name) != after[name]}
    assert changed == {(EAST, step) for step in ("retrieve", "summarise", "publish")}
    retire(served.ledger, KIND, BUSY, "tests", EAST)
    assert keys_of(Workspace(served.site.root)) == before


def test_a_night_applies_a_head_to_every_day_of_its_camera_and_decodes_only_what_it_shows(
    copied: Workspace, decoded: list[str]
) -> None:
    served = serve(copied, EAST)
    night = run(served)
    assert decoded == []
    assert {(item.place.camera, item.scope, item.status, item.message) for item in retrieved(night)} == {
        (EAST, BUSY, "done", "")
    }
    assert {step for _, _, step, _ in night.done()} == {"retrieve", "summarise", "publish"}
    assert night.report.status == "complete"
    assert [item["step"] for item in night.report.steps].count("retrieve") == 1
    again = run(Workspace(served.site.root))
    assert again.done() == set()


def test_scores_and_events_are_those_of_the_head_and_its_rule(copied: Workspace) -> None:
    served = serve(copied, EAST)
    run(served)
    card, arrays = served.registry.load(KIND, BUSY, "v1")
    head = retrieval_head(card["kind"], {name[5:]: value for name, value in arrays.items() if name.startswith("head.")})
    for steps in steps_by_day(served):
        (step,) = steps.retrieves
        snippets = vectors_of(served, EAST)
        snippets = snippets.take(np.flatnonzero(np.asarray(snippets.rows["day"].to_pylist()) == steps.place.day))
        scores = table_of(served, [step.outputs[0]]).to_pandas()
        margins = head.score(snippets.vectors)
        np.testing.assert_array_equal(scores["score"], margins)
        np.testing.assert_array_equal(scores["flagged"], margins > 0)
        assert scores["flagged"].any()
        known = scores["probability"].dropna()
        assert known.between(0, 1).all()
        events = table_of(served, [step.outputs[1]]).to_pylist()
        expected = find_events(snippets.from_us, snippets.to_us, margins, RULE)
        assert len(events) == len(expected) > 0
        assert {event["head"] for event in events} == {"busy"}
        assert {event["version"] for event in events} == {"v1"}
        assert not any(event["alarm"] for event in events)
        assert [event["rank"] for event in events] == list(range(1, len(events) + 1))
        assert all(before["peak_score"] >= after["peak_score"] for before, after in pairwise(events))


def test_events_of_heads_are_published_beside_the_anomalies(copied: Workspace) -> None:
    served = serve(copied, EAST)
    run(served)
    for steps in steps_by_day(served):
        folder = served.site.published_folder / "demo" / EAST / steps.place.day.isoformat()
        told = json.loads((folder / "summary.json").read_text())
        assert published(served, steps.place) == Published(steps.publish.key, steps.summarise.key)
        mine = [event for event in told["events"] if event["head"] == "busy"]
        assert mine
        assert {event["head"] for event in told["events"]} == {"busy", "novelty"}
        for event in told["events"]:
            assert (folder / event["clip"]).stat().st_size > 0
            assert (folder / event["keyframe"]).stat().st_size > 0
        assert told["versions"]["retrieve"] == {BUSY: steps.retrieves[0].key}


def test_segments_do_not_depend_on_heads(copied: Workspace) -> None:
    before = {steps.place: steps.segment for steps in steps_by_day(copied)}
    night = run(serve(copied, EAST))
    after = {steps.place: steps.segment for steps in steps_by_day(copied)}
    assert before == after
    assert not any(step == "segment" for _, _, step, _ in night.done())


def test_another_version_takes_the_place_of_the_one_before(copied: Workspace) -> None:
    run(serve(copied, EAST))
    count = len(found(copied, "scores"))
    newer = serve(copied, EAST, version="v2")
    run(newer)
    rows = found(newer, "scores")
    assert len(rows) == count
    assert {row["version"] for row in rows} == {"v2"}


SUSPENDED = {
    "its region drawn anew": ({}, [[0.3, 0.4], *HATCH[1:]], "was drawn anew"),
    "its region taken back": ({}, None, "was taken back"),
    "a space that is not embedded": ({"space": "other-0000"}, HATCH, "is not used any more"),
    "a head that only ranks": ({"kind": "similarity"}, HATCH, "not tell relevant ones"),
}


@pytest.mark.parametrize(("changes", "outline", "why"), SUSPENDED.values(), ids=SUSPENDED)
def test_a_head_that_does_not_fit_its_camera_is_suspended_and_told_of_each_night(
    copied: Workspace, changes: dict[str, Any], outline: list[list[float]] | None, why: str
) -> None:
    served = say_region(serve(copied, EAST, "hatch", **changes), EAST, "hatch", outline)
    for _ in range(2):
        night = run(Workspace(served.site.root))
        assert {receipt.status for receipt in retrieved(night)} <= {"done", "skipped"}
        assert all(why in receipt.message for receipt in retrieved(night))
        assert len(retrieved(night)) == 2
        lines = [line for line in night.report.attention if why in line]
        assert len(lines) == 1
        assert lines[0].startswith(f"camera {EAST}: {EAST}.hatch.busy suspended: ")
        assert night.report.status == "complete"
    told = [row for row in served.ledger.rows("runs").to_pylist() if row["step"] == "retrieve"]
    assert all(why in row["message"] for row in told)
    assert found(served, "scores") == found(served, "events") == []


def test_a_head_that_fits_again_takes_up_where_it_was(copied: Workspace) -> None:
    served = serve(copied, EAST, "hatch")
    run(served)
    rows = found(served, "scores")
    other = say_region(served, EAST, "hatch", [[0.3, 0.4], *HATCH[1:]])
    run(other)
    assert found(other, "scores") == []
    night = run(say_region(other, EAST, "hatch", HATCH))
    assert not any(step in ("embed", "retrieve", "score") for _, _, step, _ in night.done())
    assert found(other, "scores") == rows


def test_a_head_whose_files_are_lost_does_not_stop_the_night(copied: Workspace) -> None:
    served = serve(copied, EAST)
    (served.registry.folder(KIND, BUSY, "v1") / "card.json").unlink()
    night = run(served)
    assert night.report.status == "complete"
    assert any("there is no retrieval model" in line for line in night.report.attention)


def test_what_was_recorded_under_a_moved_view_is_not_scored(copied: Workspace) -> None:
    stills = stills_of(copied, EAST)
    usual = stills[0].picture
    served = serve(copied, EAST, reference=usual)
    run(served)
    assert len(found(served, "scores")) == len(vectors_of(served, EAST))
    elsewhere = serve(served, EAST, version="v2", reference=shifted(usual, 0.05 * usual.shape[1]))
    night = run(elsewhere)
    assert found(elsewhere, "scores") == []
    for receipt in retrieved(night):
        assert "suspended for" in receipt.message
        share = float(receipt.message.split("moved by ")[1].split(" %")[0])
        assert share == pytest.approx(5.0, abs=0.5)
    assert any(line.startswith(f"camera {EAST}: {BUSY} suspended for") for line in night.report.attention)


def test_only_the_stills_of_the_moved_view_are_left_out(copied: Workspace) -> None:
    served = serve(copied, EAST)
    run(served)
    moved = [still for still in stills_of(served, EAST) if still.taken_at.date() == MONDAY][-1]
    turn_away(served, EAST, 20, moved.taken_at, moved.until)
    steps = steps_by_day(served)[0]
    again = tuple(replace(head, step=replace(head.step, exists=False)) for head in steps.heads)
    day = next(day for day in plan(served) if day.place == steps.place)
    (receipt,) = retrieve_day(served, day, replace(steps, heads=again))
    rows = table_of(served, [steps.retrieves[0].outputs[0]]).to_pylist()
    assert {row["recording_id"] for row in rows} == {
        still.recording_id for still in stills_of(served, EAST) if still.taken_at.date() == MONDAY
    } - {moved.recording_id}
    assert f"from {moved.taken_at:%H:%M} on" in receipt.message


def test_what_a_head_out_of_service_found_counts_no_more_until_it_serves_again(copied: Workspace) -> None:
    before = keys_of(copied)
    served = serve(copied, EAST)
    run(served)
    rows = found(served, "events")
    assert rows
    retire(served.ledger, KIND, BUSY, "tests", EAST)
    night = run(Workspace(served.site.root))
    assert found(served, "scores") == found(served, "events") == []
    assert {(item.scope, item.outputs, item.message) for item in retrieved(night)} == {
        (BUSY, (), "taken out of service")
    }
    assert {step for _, _, step, _ in night.done()} == {"publish"}
    assert not any(BUSY in line for line in night.report.attention), "who took it out knows"
    assert keys_of(Workspace(served.site.root)) == before, "it is said once"
    assert retrieved(run(Workspace(served.site.root))) == []
    promote(served.ledger, KIND, BUSY, "v1", "tests", EAST)
    assert {item.status for item in retrieved(run(Workspace(served.site.root)))} == {"skipped"}
    assert found(served, "events") == rows


def test_a_head_taken_out_of_service_beside_another_goes_alone(copied: Workspace) -> None:
    served = serve(serve(copied, EAST), EAST, name="calm")
    run(served)
    retire(served.ledger, KIND, f"{EAST}.frame.calm", "tests", EAST)
    newer = serve(served, EAST, version="v2")
    run(newer)
    assert found(newer, "scores", "calm") == found(newer, "events", "calm") == []
    assert found(newer, "scores")


OTHERS = {
    "another camera": ({"camera": NORTH, "region": "frame", "name": "busy"}, f"was trained on camera {NORTH}"),
    "another region": ({"camera": EAST, "region": "hatch", "name": "busy"}, f"is that of {EAST}.hatch.busy"),
    "another name": ({"camera": EAST, "region": "frame", "name": "calm"}, f"is that of {EAST}.frame.calm"),
    "none": ({"camera": EAST}, "names no use case"),
}


@pytest.mark.parametrize(("use_case", "why"), OTHERS.values(), ids=OTHERS)
def test_a_head_of_another_use_case_is_suspended(copied: Workspace, use_case: dict[str, str], why: str) -> None:
    served = serve(copied, EAST, use_case=use_case)
    night = run(served)
    assert retrieved(night)
    assert all(item.message.startswith("suspended: ") and why in item.message for item in retrieved(night))
    assert found(served, "scores") == []


def test_planning_a_camera_reads_each_head_and_the_ledger_once(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve(serve(copied, EAST), EAST, name="calm")
    run(served)
    days = [day for day in plan(served) if day.place.camera == EAST]
    assert len(days) > 1
    calls: Counter[str] = Counter()
    load, rows = Registry.load, Ledger.rows

    def counted_load(registry: Registry, kind: str, name: str, version: str) -> Any:
        calls[name] += kind == KIND
        return load(registry, kind, name, version)

    def counted_rows(ledger: Ledger, table: str) -> Any:
        calls[table] += 1
        return rows(ledger, table)

    monkeypatch.setattr(Registry, "load", counted_load)
    monkeypatch.setattr(Ledger, "rows", counted_rows)
    steps_of(served, days)
    assert calls[BUSY] == calls[f"{EAST}.frame.calm"] == calls["runs"] == 1
    assert calls["promotions"] == 2, "the heads, and the weights of summaries"


def test_a_day_is_published_without_a_head_that_failed_and_again_when_it_comes(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve(serve(copied, EAST), EAST, name="calm")
    calm = f"{EAST}.frame.calm"

    def heads_shown() -> list[set[str]]:
        told = [
            json.loads(
                (served.site.published_folder / "demo" / EAST / f"{steps.place.day}" / "summary.json").read_text()
            )
            for steps in steps_by_day(served)
        ]
        return [{event["head"] for event in day["events"]} for day in told]

    def broken(workspace: Workspace, steps: HeadPlan) -> Any:
        if steps.name == calm:
            raise MemoryError
        return load(workspace, steps)

    load = retrieving._load
    with monkeypatch.context() as patched:
        patched.setattr(retrieving, "_load", broken)
        night = run(served)
        assert {(item.step, item.scope) for item in night.failed()} == {("retrieve", calm)}
        assert heads_shown() == [{"busy", "novelty"}] * 2
        assert not any(steps.publish.exists for steps in steps_by_day(served)), "it may come tonight"
        assert not any(step == "publish" for _, _, step, _ in run(served).done()), "nothing else to show so far"
    made = {("retrieve", calm), ("summarise", ""), ("publish", "")}
    assert {(step, scope) for _, _, step, scope in run(served).done()} == made
    assert heads_shown() == [{"busy", "calm", "novelty"}] * 2
    assert all(steps.exist for steps in steps_by_day(served))


def test_a_failing_head_is_reported_and_the_others_go_on(copied: Workspace) -> None:
    served = serve(serve(copied, EAST), EAST, name="calm", rule={"threshold": "high"})
    night = run(served)
    assert night.report.status == "incomplete"
    assert {receipt.scope for receipt in night.failed() if receipt.step == "retrieve"} == {f"{EAST}.frame.calm"}
    assert found(served, "scores")


def test_receipts_of_what_was_there_say_what_was_said_then(copied: Workspace) -> None:
    served = serve(copied, EAST, space="other-0000")
    run(served)
    receipts = [receipt for steps in steps_by_day(served) for receipt in step_receipts(steps)]
    assert {receipt.status for receipt in receipts} == {"skipped"}
    assert all("is not used any more" in receipt.message for receipt in receipts if receipt.step == "retrieve")


def test_heads_of_other_cameras_are_none_of_this_cameras_business(processed: Processed, copied: Workspace) -> None:
    served = serve(copied, NORTH)
    assert all(steps.heads == () for steps in steps_by_day(served))
    assert in_service(served.ledger, KIND) == {f"{NORTH}.frame.busy": "v1"}
    assert in_service(served.ledger, KIND, EAST) == {}


def test_an_encoder_that_is_left_out_suspends_its_heads(copied: Workspace) -> None:
    served = serve(copied, EAST)
    encoders = [{"name": "handcrafted/appearance"}, {"name": ENCODER, "stride_s": 0.5, "regions": ["hatch"]}]
    changed = configure(served.site.root, {"encoders": encoders, "novelty": {"regions": ["hatch"]}})
    assert all("is not used any more" in head.suspended for steps in steps_by_day(changed) for head in steps.heads)
