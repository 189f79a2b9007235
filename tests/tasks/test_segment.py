"""Segments are what their tables say, whatever is made of them later, and measured from what is embedded."""

import math
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from lake.catalogue import connect, select
from lake.keys import Place
from lake.ledger import RunRow
from lake.schema import LOOK, TABLES
from lake.store import rows_of
from lake.vectors import read_embeddings
from models.calibration import robust_spread
from tasks import classify as classifying
from tasks import day_material
from tasks.day_material import read_material
from tasks.plan import FRAMES_SCOPE, DayPlan, Selection, made, paths_of
from tasks.segment import measure_day, segment_day
from tasks.step_plans import AlarmPlan, DaySteps
from tasks.summarise import recordings_of_day, summarise_day
from tasks.summary_steps import standing_segment, standing_summarise
from tests.tasks.alarmed import LIVELY, lively, switch_on
from tests.tasks.conftest import Processed
from tests.tasks.nights import EAST, MONDAY, NORTH, TUESDAY, configure, run
from tests.tasks.planned import plan, steps_of
from tests.tasks.segmented import day_of, days_of, frames_of, inside, rows_of_day
from workspace.opened import Workspace

MADE = {"segment", "summarise", "publish", "digest"}
SCALED = {"anomaly": "surprise", "memorability": "distinctiveness", "entropy": "entropy_bits", "dynamics": "motion"}


def test_segments_hold_every_sampled_picture_once(processed: Processed) -> None:
    workspace = processed.workspace
    for day, steps in days_of(workspace):
        segments = rows_of_day(workspace, steps)
        recordings = {recording.recording_id: recording for recording in recordings_of_day(day)}
        for frame in frames_of(workspace, day):
            assert len([segment for segment in segments if inside(segment, frame, "t_us")]) == 1
        for segment in segments:
            recording = recordings[segment["recording_id"]]
            assert 0 <= segment["from_us"] < segment["to_us"] <= recording.duration_us
            assert segment["taken_at"] == recording.started_at + timedelta(microseconds=segment["from_us"])
            assert segment["from_us"] <= segment["keyframe_us"] < segment["to_us"]
            assert segment["begins_at"] == ("length" if segment["from_us"] else "recording")
        moments = [(segment["taken_at"], segment["recording_id"]) for segment in segments]
        assert moments == sorted(moments)


def test_raw_columns_are_what_the_tables_say(processed: Processed) -> None:
    workspace = processed.workspace
    for day, steps in days_of(workspace):
        frames = frames_of(workspace, day)
        scores = workspace.store.read_table(steps.score.outputs[0]).to_pylist()
        norms = {row["region"]: row for row in workspace.store.read_table(steps.score.outputs[3]).to_pylist()}
        first = {row["recording_id"]: row["t_us"] for row in reversed(frames)}
        for segment in rows_of_day(workspace, steps):
            mine = [frame for frame in frames if inside(segment, frame, "t_us")]
            moving = [frame["motion"] for frame in mine if frame["t_us"] != first[frame["recording_id"]]]
            assert segment["entropy_bits"] == pytest.approx(np.mean([frame["entropy_bits"] for frame in mine]))
            assert segment["motion"] == (pytest.approx(np.mean(moving), rel=1e-6) if moving else None)
            told = [
                score
                for score in scores
                if score["recording_id"] == segment["recording_id"]
                and score["from_us"] < segment["to_us"]
                and score["to_us"] > segment["from_us"]
            ]
            assert segment["probability"] == (max(score["probability"] for score in told) if told else None)
            surprises = []
            for score in told:
                norm, rarity = norms[score["region"]], 1 - score["probability"]
                above = (score["score"] - norm["median"]) / norm["spread"]
                surprises.append(-math.log10(rarity) if rarity > 1e-7 else 7 + math.log10(1 + above))
            assert segment["surprise"] == (pytest.approx(max(surprises), abs=1e-4) if told else None)
            keyframe = next(frame for frame in mine if frame["t_us"] == segment["keyframe_us"])
            assert keyframe["sharpness"] >= 0.5 * max(frame["sharpness"] for frame in mine)


def test_scales_are_those_of_the_days_before_and_this_one(processed: Processed) -> None:
    workspace = processed.workspace
    for camera in (EAST, NORTH):
        monday, tuesday = (rows_of_day(workspace, day_of(workspace, camera, day)[1]) for day in (MONDAY, TUESDAY))
        for own, past in ((monday, []), (tuesday, monday)):
            for scaled, raw in SCALED.items():
                known = np.array([row[raw] for row in [*past, *own] if row[raw] is not None], np.float64)
                median, spread = robust_spread(known)
                for row in own:
                    if row[raw] is None:
                        assert row[scaled] == 0
                        continue
                    off = (row[raw] - median) / spread
                    assert row[scaled] == pytest.approx(0.5 * (1 + off / (3 + abs(off))), abs=1e-6)


def test_looks_tell_how_pictures_differ_from_the_usual_one(processed: Processed) -> None:
    workspace = processed.workspace
    day, steps = day_of(workspace)
    space = workspace.encoder("handcrafted/appearance").spec.space
    pictures = read_embeddings(workspace.store, paths_of(made(day, f"{space}/frame")))
    usual = read_embeddings(workspace.store, steps.normals).vectors.mean(axis=0)
    segments = rows_of_day(workspace, steps)
    looks = np.array([segment[LOOK] for segment in segments], np.float64)
    assert np.linalg.norm(looks, axis=1) == pytest.approx(np.ones(len(looks)), abs=0.01)
    means = []
    for segment in segments:
        mine = [inside(segment, row, "from_us") for row in pictures.rows.to_pylist()]
        apart = pictures.vectors[np.array(mine)].astype(np.float64) - usual
        mean = (apart / np.linalg.norm(apart, axis=1, keepdims=True)).sum(axis=0)
        means.append(mean / np.linalg.norm(mean))
    exact = np.array(means) @ np.array(means).T
    assert np.corrcoef((looks @ looks.T).ravel(), exact.ravel())[0, 1] > 0.9


STILL, LEAST = 1.0, 2.0**-10
"""A value of 16 bits, and the least that can be added to it."""


def _past_of(workspace: Workspace, vectors: Sequence[NDArray[np.float16]]) -> tuple[str, ...]:
    """Files of embeddings of an earlier day, one of each array (N, D)."""
    files = []
    for number, own in enumerate(vectors):
        start, at_us = datetime(2026, 2, 20, number, tzinfo=UTC), np.arange(len(own)) * 10_000
        columns: dict[str, Any] = {
            "campaign": "demo",
            "camera": EAST,
            "day": start.date(),
            "recording_id": f"r{number}",
            "space": "s",
            "region": "frame",
            "index": np.arange(len(own)),
            "from_us": at_us,
            "to_us": at_us + 10_000,
            "taken_at": pa.array(at_us + int(start.timestamp() * 1e6)).cast(pa.timestamp("us", tz="UTC")),
            "digest": "",
            "vector": own,
        }
        files.append(f"embeddings/{number}.parquet")
        workspace.store.write_table(files[-1], rows_of("embeddings", columns, own.shape[1]))
    return tuple(files)


def test_the_usual_picture_of_a_long_past_is_exact_and_read_a_file_at_a_time(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    day, steps = day_of(copied)
    today = read_material(copied, day, steps).looks
    dimension = today.vectors.shape[1]
    still = np.full((4_000, dimension), STILL + LEAST, dtype=np.float16)
    past = replace(steps, normals=_past_of(copied, [still] * 10))
    monkeypatch.setattr(day_material, "MOST_NORMALS", 500)
    tracemalloc.start()
    looks = read_material(copied, day, past).looks
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    usual = read_embeddings(copied.store, steps.normals).vectors.mean(axis=0)
    np.testing.assert_allclose(looks.vectors, today.vectors + usual - np.float32(STILL + LEAST), atol=1e-6)
    assert not looks.normals.any(), "nothing differs from what is always the same"
    assert len(looks.normals) == 500
    assert peak < 10 * still.size * np.dtype(np.float32).itemsize / 2


@pytest.mark.parametrize("counts", [(7, 0, 40, 1, 30), (3, 2), (0,), ()])
def test_pictures_of_the_past_are_spread_evenly_over_its_files(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch, counts: tuple[int, ...]
) -> None:
    monkeypatch.setattr(day_material, "MOST_NORMALS", 12)
    day, steps = day_of(copied)
    dimension = read_material(copied, day, steps).looks.vectors.shape[1]
    random = np.random.default_rng(0)
    files = [random.standard_normal((count, dimension)).astype(np.float16) for count in counts]
    looks = read_material(copied, day, replace(steps, normals=_past_of(copied, files))).looks
    whole = np.concatenate([np.empty((0, dimension), np.float16), *files]).astype(np.float32)
    chosen = np.linspace(0, len(whole) - 1, min(len(whole), 12)).round().astype(np.int64)
    expected = whole[chosen] - (whole.mean(axis=0) if len(whole) else 0)
    np.testing.assert_allclose(looks.normals, expected, atol=1e-5)


def test_segmenting_again_gives_the_same_bytes(copied: Workspace) -> None:
    for day, steps in days_of(copied):
        (path,) = steps.segment.outputs
        before = copied.store.read_bytes(path)
        receipt = segment_day(copied, day, steps)
        assert (receipt.status, receipt.outputs, receipt.message) == ("skipped", (path,), "")
        assert measure_day(copied, day, steps).equals(copied.store.read_table(path))
        copied.store.delete(path)
        again_day, again = day_of(copied, day.place.camera, day.place.day)
        assert (again.segment.key, again.segment.exists) == (steps.segment.key, False)
        assert segment_day(copied, again_day, again).status == "done"
        assert copied.store.read_bytes(path) == before


def test_a_run_for_one_day_asks_for_the_same_segments(processed: Processed) -> None:
    workspace = processed.workspace
    for _, steps in days_of(workspace):
        only = Selection("demo", steps.place.camera, steps.place.day)
        (alone,) = steps_of(workspace, plan(workspace), only)
        assert alone.segment == steps.segment
        assert alone.summary == steps.summary
        assert alone.exist


def test_an_earlier_day_that_could_not_be_segmented_is_told_and_taken_up_later(copied: Workspace) -> None:
    changed = configure(copied.site.root, {"summary": {"segment_s": 1.0}})
    (monday, before), (tuesday, after) = (day_of(changed, EAST, day) for day in (MONDAY, TUESDAY))
    assert [item.path for item in after.summary.past] == [before.segment.outputs[0]]
    receipt = segment_day(changed, tuesday, after)
    assert receipt.status == "done"
    assert receipt.message == "the segments of 1 earlier days are not there, and not in the scales"
    assert receipt.key == standing_segment(changed.store, after).key != after.segment.key
    assert segment_day(changed, tuesday, after).status == "skipped", "as long as there is nothing more"
    assert segment_day(changed, monday, before).status == "done"
    whole = segment_day(changed, tuesday, after)
    assert (whole.status, whole.key, whole.message) == ("done", after.segment.key, "")


def test_what_an_earlier_day_was_scaled_by_decides_nothing_of_a_later_one(copied: Workspace) -> None:
    day, steps = day_of(copied)
    (past,) = steps.summary.past
    table = copied.store.read_table(past.path)
    zeros = pa.array(np.zeros(table.num_rows, np.float32))
    for name in SCALED:
        table = table.set_column(table.schema.get_field_index(name), name, zeros)
    copied.store.write_table(past.path, table)
    assert measure_day(copied, day, steps).equals(copied.store.read_table(steps.segment.outputs[0]))
    doubled = pa.array(2 * np.asarray(table["motion"]))
    copied.store.write_table(past.path, table.set_column(table.schema.get_field_index("motion"), "motion", doubled))
    changed = measure_day(copied, day, steps)
    assert changed.column("motion") == copied.store.read_table(steps.segment.outputs[0]).column("motion")
    assert changed.column("dynamics") != copied.store.read_table(steps.segment.outputs[0]).column("dynamics")


@pytest.fixture
def alarmed(copied: Workspace) -> Workspace:
    """The processed site, where segments of one camera are as anomalous as its head or an alarm says, before its night."""
    return switch_on(lively(copied, EAST), {"cameras": [EAST]}, summary={**SUMMARY, "anomaly": ["novelty", LIVELY]})


SUMMARY = {"segment_s": 2.0, "budget_s": 12.0, "proxy_width": 128, "proxy_margin_s": 1.0, "keyframes": 4}


def test_an_alarm_counts_beside_the_novelty_head_where_it_is_named(alarmed: Workspace, decoded: list[str]) -> None:
    night = run(alarmed)
    assert (night.failed(), decoded) == ([], [])
    assert {(camera, step) for camera, _, step, _ in night.done() if step == "segment"} == {(EAST, "segment")}
    for day in (MONDAY, TUESDAY):
        _, steps = day_of(alarmed, EAST, day)
        assert steps.segment.exists
        (classify,) = steps.classifies
        assert classify.key in steps.segment.inputs
        tables = (alarmed.store.read_table(path) for path in (steps.score.outputs[0], classify.outputs[0]))
        scores = [row for table in tables for row in table.to_pylist()]
        for segment in rows_of_day(alarmed, steps):
            told = [
                row["probability"]
                for row in scores
                if row["recording_id"] == segment["recording_id"]
                and row["from_us"] < segment["to_us"]
                and row["to_us"] > segment["from_us"]
            ]
            assert segment["probability"] == (max(told) if told else None)
    only = configure(alarmed.site.root, {"summary": {"anomaly": ["novelty"]}})
    assert day_of(only)[1].segment.key == day_of(configure(alarmed.site.root))[1].segment.key


def test_a_run_for_one_day_asks_for_the_same_segments_where_alarms_count(alarmed: Workspace) -> None:
    run(alarmed)
    for _, steps in days_of(alarmed):
        (alone,) = steps_of(alarmed, plan(alarmed), Selection("demo", steps.place.camera, steps.place.day))
        assert alone.segment == steps.segment


def test_an_alarm_that_failed_is_left_out_and_taken_up_by_the_next_night(
    alarmed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(workspace: Workspace, day: DayPlan, steps: DaySteps, plan: AlarmPlan) -> Any:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(classifying, "_apply", broken)
        night = run(alarmed)
        assert {receipt.step for receipt in night.failed()} == {"classify"}
        told = {receipt.step: receipt for receipt in night.receipts if receipt.place == Place("demo", EAST, TUESDAY)}
        assert told["segment"].message.startswith(f"alarm {LIVELY} failed, and counts for nothing")
        assert told["summarise"].message.startswith(f"without the events of {LIVELY}, which failed")
        _, steps = day_of(alarmed)
        assert not steps.segment.exists and not steps.summarise.exists
        assert told["segment"].key == standing_segment(alarmed.store, steps).key != steps.segment.key
        assert told["summarise"].key == standing_summarise(alarmed.store, steps).key != steps.summarise.key
        assert told["segment"].outputs == standing_segment(alarmed.store, steps).outputs
        again = {
            receipt.step: receipt
            for receipt in run(Workspace(alarmed.site.root)).receipts
            if receipt.place == steps.place
        }
        assert (again["segment"].status, again["summarise"].status) == ("skipped", "skipped")
        assert again["segment"].message == told["segment"].message, "what was said of it is said again"
    whole = run(Workspace(alarmed.site.root))
    assert {step for camera, _, step, _ in whole.done() if camera} == {"classify", "segment", "summarise", "publish"}
    assert all(steps.exist for _, steps in days_of(alarmed))


def test_a_suspended_alarm_is_told(alarmed: Workspace) -> None:
    off = switch_on(
        alarmed, {"cameras": [EAST], "classifier": "livly"}, summary={**SUMMARY, "anomaly": ["novelty", LIVELY]}
    )
    night = run(off)
    told = {receipt.message for receipt in night.receipts if (receipt.step, receipt.place.camera) == ("segment", EAST)}
    (message,) = told
    assert message.startswith(f"alarm {LIVELY} suspended: unknown classifier")
    assert {
        receipt.message for receipt in night.receipts if (receipt.step, receipt.place.camera) == ("segment", NORTH)
    } == {""}
    assert night.report.status == "complete"


def test_segments_without_any_head_have_no_anomaly(alarmed: Workspace) -> None:
    only = switch_on(alarmed, {"cameras": [EAST]}, summary={**SUMMARY, "anomaly": [LIVELY]})
    run(only)
    _, steps = day_of(only, NORTH)
    assert steps.score.key not in steps.segment.inputs
    for segment in rows_of_day(only, steps):
        assert (segment["surprise"], segment["probability"], segment["anomaly"]) == (None, None, 0.0)
    assert any(segment["surprise"] for segment in rows_of_day(only, day_of(only, EAST)[1]))


def test_without_scores_the_step_fails_and_says_so(copied: Workspace) -> None:
    workspace = configure(copied.site.root, {"summary": {"segment_s": 3.0}})
    day, steps = days_of(workspace)[0]
    workspace.store.delete(steps.score.outputs[0])
    receipt = segment_day(workspace, day, steps)
    assert (receipt.status, receipt.outputs) == ("failed", ())
    assert receipt.message == "the scores of head novelty are not there; the next night makes them"
    summarised = summarise_day(workspace, day, steps)
    assert (summarised.status, summarised.outputs) == ("failed", ())
    assert summarised.message == "the day has no segments to choose among; the next night makes them"


def test_a_day_of_which_no_picture_could_be_decoded_has_no_segments(copied: Workspace) -> None:
    changed = configure(copied.site.root, {"summary": {"segment_s": 1.0, "cuts": "all"}})
    day, steps = day_of(changed)
    for product in (product for scope in day.scopes for product in made(day, scope)):
        _empty(changed, product.paths[0])
    _empty(changed, steps.score.outputs[0])
    segmented, summarised = segment_day(changed, day, steps), summarise_day(changed, day, steps)
    assert (segmented.status, segmented.rows, segmented.decoded_s) == ("done", 0, 0.0)
    assert (summarised.status, summarised.rows) == ("done", 0)


def test_what_was_scored_is_in_segments_that_nothing_stands_for_where_no_picture_is(copied: Workspace) -> None:
    changed = configure(copied.site.root, {"summary": {"segment_s": 1.0}})
    day, steps = day_of(changed)
    for product in made(day, FRAMES_SCOPE):
        _empty(changed, product.paths[0])
    rows = measure_day(changed, day, steps).to_pylist()
    for score in changed.store.read_table(steps.score.outputs[0]).to_pylist():
        assert any(inside(row, score, "from_us") and row["surprise"] is not None for row in rows)
    told = {(row["keyframe_us"], row["entropy_bits"], row["motion"], row["entropy"]) for row in rows}
    assert told == {(None, None, None, 0.0)}


def _empty(workspace: Workspace, path: str) -> None:
    workspace.store.write_table(path, workspace.store.read_table(path).slice(0, 0))


def test_days_of_an_older_lake_are_segmented_anew_without_decoding(copied: Workspace, decoded: list[str]) -> None:
    _make_old(copied)
    for table in ("segments", "summaries"):
        rows = select(connect(copied.store), f"SELECT * FROM {table}")
        assert rows.num_rows == 0
        assert rows.column_names == TABLES[table].schema.names
    night = run(copied)
    assert (decoded, night.report.decoded_s, night.failed()) == ([], 0.0, [])
    assert {step for _, _, step, _ in night.done()} <= MADE
    assert {(camera, step) for camera, _, step, _ in night.done() if camera} >= {
        (EAST, "segment"),
        (NORTH, "summarise"),
    }
    expected = sum(len(rows_of_day(copied, steps)) for _, steps in days_of(copied))
    counted = select(connect(copied.store), "SELECT count(*) AS n, count(motion) AS measured FROM segments").to_pylist()
    assert counted[0]["n"] == expected
    assert counted[0]["measured"] > 0


def _make_old(workspace: Workspace) -> None:
    """Leave a lake as it was when segments were written with their summary."""
    now = datetime.now(UTC)
    later = ("segment", "summarise", "publish", "digest")
    rows = workspace.ledger.rows("runs")
    kept = rows.filter(pa.array([step not in later for step in rows["step"].to_pylist()]))
    old = []
    for _, steps in days_of(workspace):
        place, (path,) = steps.place, steps.segment.outputs
        table = workspace.store.read_table(path)
        names = [name for name in table.column_names if name in SCALED or name in TABLES["summaries"].schema.names]
        table = table.select([*names, "keyframe_us"]).append_column("chosen", pa.array([""] * table.num_rows))
        for file in (path, *steps.summarise.outputs):
            workspace.store.delete(file)
        output = f"segments/{place.folder}/0123456789.parquet"
        workspace.store.write_table(output, table)
        told = (place.campaign, place.camera, place.day, "", "0123456789", "done", now, now, (), (output,))
        old.append(RunRow("old", "summarise", *told))
    for name in workspace.store.names("runs"):
        workspace.store.delete(name)
    workspace.store.write_table("runs/20260301T000000.000000-0000.parquet", kept)
    workspace.ledger.record(old)
