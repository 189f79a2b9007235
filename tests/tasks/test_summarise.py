"""What a summary shows of a day, and why."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from lake.keys import Place
from tasks.plan import FRAMES_SCOPE, DayPlan, DaySteps
from tasks.summarise import read_events, recordings_of_day, summarise_day
from tests.footage.films import Film, make
from tests.tasks.conftest import Processed
from tests.tasks.nights import TUESDAY, configure, new_site, run
from tests.tasks.planned import plan, steps_of
from workspace.opened import Workspace

Row = dict[str, Any]


def days_of(workspace: Workspace) -> list[tuple[DayPlan, DaySteps]]:
    days = {day.place: day for day in plan(workspace)}
    return [(days[steps.place], steps) for steps in steps_of(workspace, list(days.values()))]


def rows_of_day(workspace: Workspace, steps: DaySteps) -> tuple[list[Row], list[Row]]:
    """Segments in order of time, and events by rank."""
    segments = workspace.store.read_table(steps.summarise.outputs[0]).sort_by("taken_at").to_pylist()
    return segments, workspace.store.read_table(steps.score.outputs[1]).sort_by("rank").to_pylist()


def end_of(segment: Row) -> datetime:
    end: datetime = segment["taken_at"] + timedelta(microseconds=segment["to_us"] - segment["from_us"])
    return end


@pytest.fixture(params=[12.0, 4.0, 2.0, 1.0, 500.0])
def budgeted(request: pytest.FixtureRequest, copied: Workspace) -> tuple[Workspace, float]:
    """The processed site, summarised anew within a budget."""
    workspace = configure(copied.site.root, {"summary": {"budget_s": request.param}})
    for day, steps in days_of(workspace):
        assert summarise_day(workspace, day, steps).status in ("done", "skipped")
    return workspace, float(request.param)


def test_a_summary_keeps_its_budget_and_tells_every_event_it_has_room_for(budgeted: tuple[Workspace, float]) -> None:
    workspace, budget_s = budgeted
    for _, steps in days_of(workspace):
        segments, events = rows_of_day(workspace, steps)
        chosen = [segment for segment in segments if segment["chosen"]]
        shown_us = sum(segment["to_us"] - segment["from_us"] for segment in chosen)
        assert shown_us <= budget_s * 1e6
        left_us = budget_s * 1e6 - sum(s["to_us"] - s["from_us"] for s in chosen if s["chosen"].startswith("event"))
        for event in events:
            showing = [s for s in segments if s["taken_at"] < event["ended_at"] and end_of(s) > event["started_at"]]
            assert any(s["chosen"] for s in showing) or all(s["to_us"] - s["from_us"] > left_us for s in showing)
        if budget_s == 500.0:
            assert {segment["chosen"].split()[0] for segment in chosen} <= {"event", "score"}
            assert events
            assert len({segment["chosen"] for segment in chosen if segment["chosen"] != "score"}) > 0


def test_a_reason_names_the_event_by_its_rank(budgeted: tuple[Workspace, float]) -> None:
    workspace, _ = budgeted
    for _, steps in days_of(workspace):
        segments, events = rows_of_day(workspace, steps)
        by_rank = {f"event {event['rank']}": event for event in events}
        for segment in segments:
            if segment["chosen"] not in ("", "score"):
                event = by_rank[segment["chosen"]]
                assert segment["taken_at"] < event["ended_at"]
                assert end_of(segment) > event["started_at"]
        told = [event.peak_us for event in read_events(workspace, steps)]
        assert told == [round(event["peak_at"].timestamp() * 1e6) for event in events]


def test_the_highest_event_comes_first_where_regions_have_other_scales(copied: Workspace) -> None:
    workspace = configure(copied.site.root, {"summary": {"budget_s": 2.0}})
    (day, steps) = next(item for item in days_of(workspace) if item[0].place == Place("demo", "hall-east", TUESDAY))
    path = steps.score.outputs[1]
    table = workspace.store.read_table(path)
    events = table.sort_by("rank").to_pylist()
    assert len(events) >= 2
    # A region whose scores are large by nature: what ranks low there has a higher peak than what ranks first.
    for number, event in enumerate(events):
        event["peak_score"] = float(number)
    workspace.store.write_table(path, type(table).from_pylist(events, table.schema))
    assert summarise_day(workspace, day, steps).status == "done"
    segments, _ = rows_of_day(workspace, steps)
    (only,) = (segment for segment in segments if segment["chosen"])
    assert only["chosen"] == "event 1"
    assert only["taken_at"] <= events[0]["peak_at"] < end_of(only)


def test_segments_hold_every_sampled_picture_once(processed: Processed) -> None:
    workspace = processed.workspace
    for day, steps in days_of(workspace):
        segments, _ = rows_of_day(workspace, steps)
        lengths = {recording.recording_id: recording.duration_us for recording in recordings_of_day(day)}
        for product in day.products(FRAMES_SCOPE):
            for frame in workspace.store.read_table(product.paths[0]).to_pylist():
                holding = [
                    segment
                    for segment in segments
                    if segment["recording_id"] == frame["recording_id"]
                    and segment["from_us"] <= frame["t_us"] < segment["to_us"]
                ]
                assert len(holding) == 1
        for segment in segments:
            assert 0 <= segment["from_us"] < segment["to_us"] <= lengths[segment["recording_id"]]
            assert segment["from_us"] <= segment["keyframe_us"] < segment["to_us"]
            assert all(0.0 <= segment[name] <= 1.0 for name in ("anomaly", "memorability", "entropy", "dynamics"))


def test_weights_decide_what_is_shown_without_anything_before_it(copied: Workspace) -> None:
    only = {"anomaly": 0.0, "memorability": 0.0, "entropy": 0.0, "dynamics": 1.0}
    workspace = configure(copied.site.root, {"summary": {"weights": only}})
    for day, steps in days_of(workspace):
        before = {receipt.step for receipt in [summarise_day(workspace, day, steps)] if receipt.status == "done"}
        assert before == {"summarise"}
        segments, _ = rows_of_day(workspace, steps)
        assert [segment["score"] for segment in segments] == [segment["dynamics"] for segment in segments]


def test_a_black_picture_is_not_worth_showing(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site")
    path = workspace.site.footage_root / "demo/hall/2026-03-02T08-00-00.mp4"
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(100):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    night = run(workspace)
    assert night.failed() == []
    ((_, steps),) = days_of(workspace)
    segments, _ = rows_of_day(workspace, steps)
    assert segments
    assert {segment["score"] for segment in segments} == {0.0}
    assert not any(segment["chosen"] == "score" for segment in segments)


def test_summarising_twice_gives_the_same_bytes(copied: Workspace) -> None:
    for day, steps in days_of(copied):
        (path,) = steps.summarise.outputs
        before = copied.store.read_bytes(path)
        assert summarise_day(copied, day, steps).status == "skipped"
        copied.store.delete(path)
        ((again_day, again),) = (item for item in days_of(copied) if item[0].place == day.place)
        assert summarise_day(copied, again_day, again).status == "done"
        assert copied.store.read_bytes(path) == before


def test_without_scores_the_step_fails_and_says_so(copied: Workspace) -> None:
    workspace = configure(copied.site.root, {"summary": {"budget_s": 3.0}})
    day, steps = days_of(workspace)[0]
    workspace.store.delete(steps.score.outputs[0])
    receipt = summarise_day(workspace, day, steps)
    assert (receipt.status, receipt.outputs) == ("failed", ())
    assert receipt.message


def test_a_recording_of_one_picture_is_summarised(tmp_path: Path) -> None:
    workspace = new_site(tmp_path / "site")
    path = workspace.site.footage_root / "demo/hall/2026-03-02T08-00-00.mp4"
    path.parent.mkdir(parents=True)
    make(path, Film(count=1))
    night = run(workspace)
    assert night.failed() == []
    assert night.report.status == "complete"
    ((_, steps),) = days_of(workspace)
    segments, events = rows_of_day(workspace, steps)
    assert (len(segments), events) == (1, [])
