"""The queries against a night whose answers are known, on an empty lake, and while somebody writes."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from dashboards import queries, runs
from dashboards.snapshot import LakeReader
from infra.errors import LakeError
from lake.keys import Place
from tests.dashboards.small_site import (
    CAMERA,
    CAMPAIGN,
    DAY,
    NIGHT,
    OTHER,
    PEAKS_S,
    RECORDED_S,
    RUN,
    THRESHOLD,
    Workspace,
    at,
    fill,
    running_row,
)

GATE, HALL = Place(CAMPAIGN, CAMERA, DAY), Place(CAMPAIGN, OTHER, DAY)


def reader(workspace: Workspace) -> LakeReader:
    return LakeReader(workspace.store, refresh_s=0.0)


def test_camera_days_are_listed_with_what_was_found(full_site: Workspace) -> None:
    days = queries.camera_days(reader(full_site))
    assert list(days["camera"]) == [CAMERA, OTHER]
    assert list(days["recorded_s"]) == [2 * RECORDED_S, 2 * RECORDED_S]
    assert list(days["events"]) == [3, 1]
    assert list(days["alarms"]) == [1, 1]


def test_an_empty_lake_answers_every_question_with_nothing(empty_site: Workspace) -> None:
    lake = reader(empty_site)
    assert queries.camera_days(lake).empty
    assert queries.gaps(lake, 2.0).empty
    assert queries.recordings(lake, GATE).empty
    assert sum(queries.coverage_seconds(queries.coverage_spans(lake, GATE)).values()) == 0
    assert queries.score_series(lake, GATE) == []
    assert queries.top_events(lake, [GATE]).empty
    assert queries.event_counts(lake, []) == (0, 0)
    assert queries.health_spans(lake, [GATE]).empty
    assert runs.run_history(lake).empty
    assert runs.night(lake) is None
    assert runs.open_run(lake) is None


def test_gaps_are_measured_from_the_latest_end_within_a_day(full_site: Workspace) -> None:
    found = queries.gaps(reader(full_site), 2.0, GATE)
    assert list(found["gap_s"]) == [120.0]
    assert found["started_at"][0] == pd.Timestamp(at(600))
    assert found["ended_at"][0] == pd.Timestamp(at(720))
    assert queries.gaps(reader(full_site), 121.0, GATE).empty
    assert len(queries.gaps(reader(full_site), 2.0)) == 2


def test_coverage_spans_join_neighbours_and_keep_all_recorded_time(full_site: Workspace) -> None:
    spans = queries.coverage_spans(reader(full_site), GATE)
    assert list(spans["state"]) == ["analysed", "analysed", "corrupt", "missing"]
    assert list(spans["started_at"]) == [pd.Timestamp(at(t)) for t in (0, 720, 1200, 1260)]
    seconds = queries.coverage_seconds(spans)
    assert seconds == {"analysed": 1080.0, "skipped": 0.0, "corrupt": 60.0, "missing": 60.0, "waiting": 0.0}


def test_recordings_nobody_looked_at_wait_or_are_skipped(full_site: Workspace) -> None:
    table = full_site.store.read_table(full_site.store.names("recordings")[0]).slice(0, 1)
    later = table.set_column(table.schema.get_field_index("started_at"), "started_at", [[at(3000)]])
    later = later.set_column(later.schema.get_field_index("path"), "path", [["spring/gate/late.mp4"]])
    later = later.set_column(later.schema.get_field_index("recording_id"), "recording_id", [["late"]])
    full_site.ledger.append_recordings(later.cast(table.schema), NIGHT)
    lake = reader(full_site)
    assert queries.coverage_seconds(queries.coverage_spans(lake, GATE))["waiting"] == RECORDED_S
    assert queries.coverage_seconds(queries.coverage_spans(lake, GATE, skipped=True))["skipped"] == RECORDED_S


def test_a_long_curve_is_thinned_and_keeps_its_peaks(full_site: Workspace) -> None:
    lake = reader(full_site)
    (series,) = queries.score_series(lake, GATE)
    whole = queries.scores(lake, GATE, series)
    thin = queries.scores(lake, GATE, series, maximum=60)
    assert len(whole) == 1080
    assert len(thin) <= 60
    assert thin["score"].max() == whole["score"].max()
    assert thin["taken_at"].is_monotonic_increasing
    highest = whole["taken_at"].iloc[int(whole["score"].argmax())]
    assert thin["taken_at"].iloc[int(thin["score"].argmax())] == highest
    assert abs((highest - pd.Timestamp(at(PEAKS_S[CAMERA][0]))).total_seconds()) <= 2
    # Each point of the thinned curve is the highest score of its sixtieth of the time.
    since_us = (whole["taken_at"].astype("int64") - whole["taken_at"].astype("int64").min()).to_numpy()
    bins = since_us * 60 // (since_us.max() + 1)
    assert list(thin["score"]) == list(whole["score"].groupby(bins).max())


def test_scores_of_a_window_only(full_site: Workspace) -> None:
    lake = reader(full_site)
    (series,) = queries.score_series(lake, GATE)
    assert len(queries.scores(lake, GATE, series, (at(10), at(20)))) == 10


def test_events_come_alarms_first_and_across_cameras_by_threshold(full_site: Workspace) -> None:
    lake = reader(full_site)
    mine = queries.events(lake, GATE)
    assert list(mine["event_id"]) == [f"{CAMERA}-event-{number}" for number in range(3)]
    assert queries.threshold_of(mine, queries.score_series(lake, GATE)[0]) == THRESHOLD
    top = queries.top_events(lake, [GATE, HALL], limit=3)
    assert list(top["alarm"]) == [True, True, False]
    assert queries.event_counts(lake, [GATE, HALL]) == (4, 2)
    assert queries.event_counts(lake, [HALL]) == (1, 1)


def test_the_last_night_is_read_from_its_closing_row(full_site: Workspace) -> None:
    last = runs.night(reader(full_site))
    assert last is not None
    assert (last.run_id, last.status, last.decoded_s, last.readable) == (RUN, "incomplete", 2400.0, True)
    assert last.places == [GATE, HALL]
    assert last.ingest == {"new": 4, "present": 0, "duplicate": 1, "broken": 1, "gone": 0, "gaps": 2, "overlaps": 0}
    assert list(last.problems["status"]) == ["quarantined", "duplicate"]
    assert len(last.attention) == 2
    summed = runs.cameras_of(last.coverage)
    assert list(summed["analysed_s"]) == [1080.0, 1140.0]
    assert list(summed["days"]) == [1, 1]


def test_a_closing_row_that_cannot_be_read_still_has_its_status(full_site: Workspace) -> None:
    row = running_row("odd", timedelta(minutes=1), step="night", status="failed", message="{cut sh", camera="")
    full_site.ledger.record([row])
    last = runs.night(reader(full_site))
    assert last is not None
    assert (last.run_id, last.status, last.readable) == ("odd", "failed", False)
    assert last.coverage.empty


def test_a_run_is_open_until_closed(full_site: Workspace) -> None:
    lake = reader(full_site)
    assert runs.open_run(lake) is None
    done, failed = running_row("now", timedelta(seconds=5)), running_row("now", timedelta(seconds=4), status="failed")
    full_site.ledger.record([done, failed])
    going = runs.open_run(lake)
    assert going is not None
    assert (going.run_id, going.step, going.done, going.failed) == ("now", "embed", 1, 1)
    assert not going.is_silent()
    assert going.is_silent(datetime.now(UTC) + timedelta(hours=2))
    history = runs.run_history(lake)
    assert list(history["status"]) == ["open", "incomplete"]
    assert list(history["run_id"]) == ["now", RUN]


def test_steps_of_a_run_are_counted_in_the_order_of_the_night(full_site: Workspace) -> None:
    lake = reader(full_site)
    steps = runs.steps_of(lake, RUN)
    assert list(steps["step"]) == ["ingest", "embed", "health", "score", "publish"]
    assert list(steps["done"]) == [1, 2, 2, 2, 0]
    assert list(steps["skipped"]) == [0, 0, 0, 0, 2]
    assert runs.rows_of_run(lake, RUN).shape[0] == 9


def test_rows_of_a_merge_that_was_seen_twice_count_once(full_site: Workspace) -> None:
    name = full_site.store.names("runs")[0]
    full_site.store.write_bytes(f"{name.removesuffix('.parquet')}-merged.parquet", full_site.store.read_bytes(name))
    assert list(runs.steps_of(reader(full_site), RUN)["done"]) == [1, 2, 2, 2, 0]


def test_a_reader_sees_what_a_night_writes_meanwhile(empty_site: Workspace) -> None:
    lake = reader(empty_site)
    assert queries.camera_days(lake).empty
    fill(empty_site)
    assert len(queries.camera_days(lake)) == 2


def test_a_snapshot_is_kept_for_a_while(empty_site: Workspace) -> None:
    lake = LakeReader(empty_site.store, refresh_s=3600.0)
    assert runs.run_history(lake).empty
    empty_site.ledger.record([running_row("now", timedelta(seconds=5))])
    assert runs.run_history(lake).empty


def test_a_file_replaced_under_the_reader_is_found_in_a_fresh_snapshot(full_site: Workspace) -> None:
    lake = LakeReader(full_site.store, refresh_s=3600.0)
    assert len(queries.events(lake, GATE)) == 3
    path = f"events/{GATE.folder}/score.parquet"
    moved = path.replace("score", "score-again")
    full_site.store.write_bytes(moved, full_site.store.read_bytes(path))
    scores = f"scores/{GATE.folder}/score.parquet"
    row = running_row("again", timedelta(seconds=1), step="score")
    full_site.ledger.record([type(row)(**{**row.__dict__, "scope": "", "outputs": (scores, moved)})])
    full_site.store.delete(path)
    assert len(queries.events(lake, GATE)) == 3


def test_a_file_that_has_gone_for_good_is_told(full_site: Workspace) -> None:
    lake = reader(full_site)
    queries.events(lake, GATE)
    full_site.store.delete(f"events/{GATE.folder}/score.parquet")
    with pytest.raises(LakeError, match=r"score\.parquet"):
        queries.events(lake, GATE)
