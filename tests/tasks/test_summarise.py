"""What a summary shows of a day, and why."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pytest

from lake.store import rows_of
from lake.weight_sets import save_weight_set, use_weight_set
from models.summary.scores import Weights
from models.summary.selection import EventSpan
from tasks import retrieve as retrieving
from tasks.rows import place_columns
from tasks.segment import segment_day
from tasks.step_plans import DaySteps, HeadPlan
from tasks.summarise import read_day, read_segments, select, select_day, summarise_day
from tasks.summary_steps import standing_summarise
from tests.tasks.conftest import Processed
from tests.tasks.heads import serve
from tests.tasks.nights import EAST, MONDAY, TUESDAY, configure, new_site, run
from tests.tasks.segmented import Row, day_of, days_of
from tests.tasks.test_segmentation import film_of
from workspace.opened import Workspace
from workspace.published_summaries import read_summary
from workspace.summaries import Difference, difference, rank_day, read_measured
from workspace.weight_sets import NamedWeights, weights_in_use

TWICE = {"segment_s": 1.0, "budget_s": 30.0, "similarity_limit": 1.0}
"""Of recordings one second apart, segments begin at the same moments, and all that score are shown."""
BUSY = {"anomaly": 0.0, "memorability": 0.0, "entropy": 0.0, "dynamics": 1.0}


def chosen_of(workspace: Workspace, steps: DaySteps) -> list[Row]:
    return list(workspace.store.read_table(steps.summarise.outputs[0]).to_pylist())


def events_of(workspace: Workspace, steps: DaySteps) -> list[Row]:
    return list(workspace.store.read_table(steps.score.outputs[1]).sort_by("rank").to_pylist())


def spans_of(workspace: Workspace, steps: DaySteps) -> tuple[EventSpan, ...]:
    return read_day(workspace, steps, read_segments(workspace, steps)).events


def end_of(segment: Row) -> datetime:
    end: datetime = segment["taken_at"] + timedelta(microseconds=segment["to_us"] - segment["from_us"])
    return end


def length_us(segments: list[Row]) -> int:
    return sum(segment["to_us"] - segment["from_us"] for segment in segments)


@pytest.fixture(params=[12.0, 4.0, 2.0, 1.0, 500.0])
def budgeted(request: pytest.FixtureRequest, copied: Workspace) -> tuple[Workspace, float]:
    """The processed site, summarised anew within a budget."""
    workspace = configure(copied.site.root, {"summary": {"budget_s": request.param}})
    for day, steps in days_of(workspace):
        assert steps.segment.exists, "no segment depends on the budget"
        assert summarise_day(workspace, day, steps).status in ("done", "skipped")
    return workspace, float(request.param)


def test_a_summary_keeps_its_budget_and_tells_every_event_it_has_room_for(budgeted: tuple[Workspace, float]) -> None:
    workspace, budget_s = budgeted
    for _, steps in days_of(workspace):
        segments = read_segments(workspace, steps).to_pylist()
        chosen, events = chosen_of(workspace, steps), events_of(workspace, steps)
        assert length_us(chosen) <= budget_s * 1e6
        left_us = budget_s * 1e6 - length_us([segment for segment in chosen if segment["event_id"]])
        spans = {(row["recording_id"], row["segment"]) for row in chosen}
        for event in events:
            showing = [s for s in segments if s["taken_at"] < event["ended_at"] and end_of(s) > event["started_at"]]
            shown = any((s["recording_id"], s["segment"]) in spans for s in showing)
            assert shown or all(s["to_us"] - s["from_us"] > left_us for s in showing)
        moments = [segment["taken_at"] for segment in chosen]
        assert moments == sorted(moments)
        if budget_s == 500.0:
            assert events
            assert any(segment["event_id"] for segment in chosen)


def test_a_reason_names_the_head_and_rank_of_its_event(budgeted: tuple[Workspace, float]) -> None:
    workspace, _ = budgeted
    for _, steps in days_of(workspace):
        events = events_of(workspace, steps)
        by_rank = {f"novelty {event['rank']}": event for event in events}
        for segment in chosen_of(workspace, steps):
            if segment["reason"] == "score":
                assert segment["event_id"] == ""
                continue
            event = by_rank[segment["reason"]]
            assert segment["event_id"] == event["event_id"]
            assert segment["taken_at"] < event["ended_at"]
            assert end_of(segment) > event["started_at"]
        told = sorted(span.peak_us for span in spans_of(workspace, steps))
        assert told == sorted(round(event["peak_at"].timestamp() * 1e6) for event in events)


def test_the_highest_event_comes_first_where_regions_have_other_scales(copied: Workspace) -> None:
    workspace = configure(copied.site.root, {"summary": {"budget_s": 2.0}})
    day, steps = day_of(workspace)
    path = steps.score.outputs[1]
    table = workspace.store.read_table(path)
    events = table.sort_by("rank").to_pylist()
    assert len(events) >= 2
    # A region whose scores are large by nature: what ranks low there has a higher peak than what ranks first.
    for number, event in enumerate(events):
        event["peak_score"] = float(number)
    workspace.store.write_table(path, type(table).from_pylist(events, table.schema))
    receipt = summarise_day(workspace, day, steps)
    assert (receipt.status, receipt.rows) == ("done", 1)
    assert receipt.message.startswith("no room for novelty")
    (only,) = chosen_of(workspace, steps)
    assert only["reason"] == "novelty 1"
    assert only["taken_at"] <= events[0]["peak_at"] < end_of(only)


def test_weights_decide_what_is_shown_without_anything_before_it(copied: Workspace) -> None:
    workspace = configure(copied.site.root, {"summary": {"weights": BUSY}})
    for day, steps in days_of(workspace):
        assert {step.name for step in steps.all if not step.exists} == {"summarise", "publish"}
        assert summarise_day(workspace, day, steps).status == "done"
        segments = {(row["recording_id"], row["segment"]): row for row in read_segments(workspace, steps).to_pylist()}
        for row in chosen_of(workspace, steps):
            assert row["score"] == segments[row["recording_id"], row["segment"]]["dynamics"]
            assert row["weights"] == "settings"


def test_a_weight_set_in_use_takes_the_place_of_the_settings(copied: Workspace) -> None:
    assert weights_in_use(copied) == NamedWeights("settings", Weights(1.0, 0.3, 0.1, 0.3))
    before = {steps.place: steps for _, steps in days_of(copied)}
    save_weight_set(copied.ledger, "busy", **BUSY, author="ann")
    assert all(steps.exist for _, steps in days_of(copied)), "it is not in use yet"
    use_weight_set(copied.ledger, "busy", "ann")
    assert weights_in_use(copied) == NamedWeights("busy/1", Weights(**BUSY))
    night = run(copied)
    assert {step for camera, _, step, _ in night.done() if camera} == {"summarise", "publish"}
    for _, steps in days_of(copied):
        assert steps.segment == before[steps.place].segment
        assert {row["weights"] for row in chosen_of(copied, steps)} == {"busy/1"}
    use_weight_set(copied.ledger, None, "ann")
    after = {steps.place: steps.summarise for _, steps in days_of(copied)}
    assert after == {place: steps.summarise for place, steps in before.items()}


def test_a_night_goes_by_the_weights_that_it_was_planned_with(copied: Workspace) -> None:
    save_weight_set(copied.ledger, "busy", **BUSY, author="ann")
    use_weight_set(copied.ledger, "busy", "ann")
    planned = days_of(copied)
    use_weight_set(copied.ledger, None, "ann")
    for day, steps in planned:
        assert summarise_day(Workspace(copied.site.root), day, steps).status == "done"
        assert {row["weights"] for row in chosen_of(copied, steps)} == {"busy/1"}


def test_events_of_every_head_have_a_segment_and_share_it_where_they_can(copied: Workspace) -> None:
    served = serve(configure(copied.site.root, {"summary": {"budget_s": 500.0, "segment_s": 2.0}}), EAST)
    run(served)
    _, steps = day_of(served)
    heads = {event.name.rsplit(" ", 1)[0] for event in spans_of(served, steps)}
    assert heads == {"novelty", "busy"}
    chosen = chosen_of(served, steps)
    segments = {(row["recording_id"], row["segment"]) for row in chosen}
    assert len(segments) == len(chosen)
    for event in spans_of(served, steps):
        peak = datetime.fromtimestamp(event.peak_us / 1e6, tz=chosen[0]["taken_at"].tzinfo)
        assert any(row["taken_at"] <= peak < end_of(row) for row in chosen), event.name


def test_alarms_come_before_other_events_and_better_ranks_before_worse(copied: Workspace) -> None:
    served = serve(copied, EAST)
    run(served)
    _, steps = day_of(served)
    tables = [steps.score.outputs[1], *(head.step.outputs[1] for head in steps.heads)]
    rows = {row["event_id"]: row for path in tables for row in served.store.read_table(path).to_pylist()}
    found = [rows[event.event_id] for event in spans_of(served, steps)]
    keys = [(not row["alarm"], row["rank"], row["head"] != "novelty") for row in found]
    assert keys == sorted(keys)
    assert len(keys) == len(rows)


def test_a_head_that_failed_has_no_events_until_the_next_night(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(workspace: Workspace, plan: HeadPlan) -> Any:
        raise MemoryError

    served = serve(copied, EAST)
    with monkeypatch.context() as patched:
        patched.setattr(retrieving, "_load", broken)
        night = run(served)
    _, steps = day_of(served)
    assert steps.segment.exists, "no segment depends on a retrieval head"
    (receipt,) = (item for item in night.receipts if (item.place, item.step) == (steps.place, "summarise"))
    standing = standing_summarise(served.store, steps)
    assert (receipt.key, receipt.outputs) == (standing.key, standing.outputs)
    assert standing.key != steps.summarise.key and standing.exists
    assert receipt.message.startswith(f"without the events of {steps.heads[0].name}, which failed")
    assert {event.name.rsplit(" ", 1)[0] for event in spans_of(served, steps)} == {"novelty"}
    assert {step for camera, _, step, _ in run(served).done() if camera} == {"retrieve", "summarise", "publish"}
    assert all(steps.exist for _, steps in days_of(served))


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
    segments = read_segments(workspace, steps).to_pylist()
    assert segments
    assert {segment["keyframe_us"] for segment in segments} == {None}
    assert not any(segment["reason"] == "score" for segment in chosen_of(workspace, steps))


def test_summarising_again_gives_the_same_bytes(copied: Workspace) -> None:
    for day, steps in days_of(copied):
        (path,) = steps.summarise.outputs
        before = copied.store.read_bytes(path)
        assert summarise_day(copied, day, steps).status == "skipped"
        assert select_day(copied, day, steps).equals(copied.store.read_table(path))
        copied.store.delete(path)
        ((again_day, again),) = (item for item in days_of(copied) if item[0].place == day.place)
        assert summarise_day(copied, again_day, again).status == "done"
        assert copied.store.read_bytes(path) == before


def test_the_order_of_the_segments_decides_nothing(processed: Processed) -> None:
    workspace = processed.workspace
    for day, steps in days_of(workspace):
        segments = read_segments(workspace, steps)
        mixed = segments.take(np.random.default_rng(1).permutation(segments.num_rows))
        assert select_day(workspace, day, steps, mixed).equals(select_day(workspace, day, steps))
        assert select_day(workspace, day, steps, segments).equals(select_day(workspace, day, steps))


def test_a_day_without_segments_has_an_empty_summary(processed: Processed) -> None:
    workspace = processed.workspace
    day, steps = day_of(workspace)
    nothing = read_segments(workspace, steps).slice(0, 0)
    selection, scores = select(workspace, steps, nothing)
    assert (selection.choices, len(scores)) == ((), 0)
    assert {event.event_id for event in selection.omitted} == {
        event["event_id"] for event in events_of(workspace, steps)
    }
    assert select_day(workspace, day, steps, nothing).num_rows == 0


def shown_by_page(workspace: Workspace, steps: DaySteps) -> list[tuple[str, int, int, str, str]]:
    """What the page and the verbs choose of a day, by the settings that a night goes by."""
    summary = workspace.settings.summary
    day = read_measured(workspace, steps.place)
    ranked = rank_day(day, weights_in_use(workspace).weights, summary.budget_s, summary.similarity_limit)
    published = read_summary(workspace.site, steps.place)
    assert difference(day, ranked, published.segments) == Difference((), ())
    return [(*day.span(one.index), one.reason, one.event_id) for one in ranked.selection.choices]


def shown_by_night(workspace: Workspace, steps: DaySteps) -> list[tuple[str, int, int, str, str]]:
    names = ("recording_id", "from_us", "to_us", "reason", "event_id")
    return [tuple(row[name] for name in names) for row in chosen_of(workspace, steps)]


def test_night_and_page_choose_the_same(processed: Processed) -> None:
    workspace = processed.workspace
    for _, steps in days_of(workspace):
        assert shown_by_night(workspace, steps)
        assert shown_by_page(workspace, steps) == shown_by_night(workspace, steps)


@pytest.fixture(scope="module")
def recorded_twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera's day of which two recordings hold the same time, one second apart."""
    workspace = new_site(tmp_path_factory.mktemp("twice") / "site", changes={"summary": TWICE})
    folder = workspace.site.footage_root / "demo/hall"
    film_of(folder / "2026-03-02T08-00-00.mp4", [(20, 60), (140, 20), (20, 60)])
    film_of(folder / "2026-03-02T08-00-01.mp4", [(150, 90), (30, 20), (150, 30)])
    assert run(workspace).failed() == []
    return workspace.site.root


def test_night_and_page_choose_the_same_of_a_day_that_was_recorded_twice(recorded_twice: Path) -> None:
    workspace = Workspace(recorded_twice)
    ((day, steps),) = days_of(workspace)
    night = shown_by_night(workspace, steps)
    assert len({recording for recording, *_ in night}) == 2
    assert shown_by_page(workspace, steps) == night
    segments = read_segments(workspace, steps)
    mixed = segments.take(np.random.default_rng(2).permutation(segments.num_rows))
    assert select_day(workspace, day, steps, mixed).equals(workspace.store.read_table(steps.summarise.outputs[0]))


def event_found(steps: DaySteps, recording_id: str, peak_at: datetime) -> pa.Table:
    """An event of two seconds around its peak, found in a recording."""
    return rows_of(
        "events",
        {
            **place_columns(steps.place),
            "head": "novelty",
            "version": "v",
            "region": "frame",
            "event_id": ["e"],
            "rank": 1,
            "alarm": True,
            "recording_id": recording_id,
            "started_at": [peak_at - timedelta(seconds=1)],
            "ended_at": [peak_at + timedelta(seconds=1)],
            "peak_at": [peak_at],
            "peak_us": 0,
            "peak_score": 4.0,
            "threshold": 3.0,
            "deviations": None,
            "keyframe": "",
            "clip": "",
        },
    )


def test_an_event_of_a_day_that_was_recorded_twice_is_shown_by_its_own_recording(
    recorded_twice: Path, tmp_path: Path
) -> None:
    shutil.copytree(recorded_twice, tmp_path / "site", symlinks=True)
    workspace = configure(tmp_path / "site", {"summary": {**TWICE, "budget_s": 1.0}})
    ((day, steps),) = days_of(workspace)
    segments = read_segments(workspace, steps).to_pylist()
    recordings = {row["recording_id"] for row in segments}
    assert len(recordings) == 2
    for recording_id in recordings:
        peak_at = segments[0]["taken_at"] + timedelta(seconds=4.5)
        workspace.store.write_table(steps.score.outputs[1], event_found(steps, recording_id, peak_at))
        (shown,) = select_day(workspace, day, steps).to_pylist()
        assert (shown["reason"], shown["recording_id"]) == ("novelty 1", recording_id)
        assert shown["taken_at"] <= peak_at < end_of(shown)
        ranked = rank_day(read_measured(workspace, steps.place), weights_in_use(workspace).weights, 1.0, 1.0)
        (choice,) = ranked.selection.choices
        assert read_measured(workspace, steps.place).span(choice.index)[0] == recording_id


def test_events_without_a_segment_are_told_apart_from_those_without_room(copied: Workspace) -> None:
    workspace = configure(copied.site.root, {"summary": {"budget_s": 1.0}})
    day, steps = day_of(workspace)
    path = steps.score.outputs[1]
    table = workspace.store.read_table(path)
    first = table.sort_by("rank").to_pylist()[0]
    late = {name: first[name] + timedelta(hours=9) for name in ("started_at", "ended_at", "peak_at")}
    events = [{**first, "rank": 1}] + [{**first, **late, "rank": rank, "event_id": str(rank)} for rank in range(2, 15)]
    workspace.store.write_table(path, type(table).from_pylist(events, table.schema))
    receipt = summarise_day(workspace, day, steps)
    none = ", ".join(f"novelty {rank}" for rank in range(2, 12))
    assert receipt.message == f"no room for novelty 1; no segment for {none}, 3 more"


def test_steps_of_another_day_are_refused(processed: Processed) -> None:
    workspace = processed.workspace
    days = {day.place.day: (day, steps) for day, steps in days_of(workspace) if day.place.camera == EAST}
    with pytest.raises(ValueError, match="not of"):
        select_day(workspace, days[MONDAY][0], days[TUESDAY][1])


def test_segments_that_were_measured_first_are_summarised_after(copied: Workspace) -> None:
    changed = configure(copied.site.root, {"summary": {"segment_s": 1.0}})
    for day, steps in days_of(changed):
        assert segment_day(changed, day, steps).status == "done"
        assert summarise_day(changed, day, steps).status == "done"
    assert {step.name for _, steps in days_of(changed) for step in steps.all if not step.exists} == {"publish"}
