"""What the Summaries page draws and asks: thinned curves, small bars, reasons in words, files that count, digests."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.clock import Clock
from dashboards.jobs import day_command
from dashboards.summary_charts import DayLine, bars_html, legend_html, nines, summary_timeline, thinned
from dashboards.summary_queries import day_events, keyframes, recording_paths
from dashboards.summary_rows import chosen_segments, day_line, numbered, read_digest, spans_of, why_text
from infra.errors import LakeError
from lake.keys import Place
from lake.ledger import RunRow
from lake.weight_sets import COLUMNS
from models.summary.scores import combine
from tests.dashboards.measured_site import DARK, PLACES, SEGMENT_S, SETTINGS, chosen_by, measured, measured_night
from tests.dashboards.small_site import CAMERA, CAMPAIGN, DAY, NIGHT, OTHER, RUN, Workspace, at
from tests.dashboards.test_dashboard_queries import reader
from workspace.opened import Workspace as Opened
from workspace.published_summaries import ShownSegment, read_summary
from workspace.summaries import measured_files, read_measured

__all__ = ["measured", "measured_night"]  # fixtures

ROME = ZoneInfo("Europe/Rome")
GATE = PLACES[CAMERA]


def curve_of(scores: list[float], probability: list[float] | None = None) -> pd.DataFrame:
    moments = pd.to_datetime([at(4.0 * number) for number in range(len(scores))], utc=True)
    told = scores if probability is None else probability
    return pd.DataFrame({"taken_at": moments, "seconds": 4.0, "score": scores, "probability": told})


# The chart.


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300), st.integers(1, 50))
def test_a_thinned_curve_keeps_the_highest_of_each_bin(scores: list[float], maximum: int) -> None:
    whole = curve_of(scores, list(reversed(scores)))
    thin = thinned(whole, maximum)
    assert len(thin) == min(len(scores), maximum)
    assert thin["score"].max() == whole["score"].max()
    assert thin["probability"].max() == whole["probability"].max()
    assert thin["taken_at"].is_monotonic_increasing
    if len(scores) > maximum:
        edges = np.linspace(0, len(scores), maximum + 1).round().astype(int)
        bins = [scores[first:last] for first, last in pairwise(edges)]
        assert list(thin["score"]) == [max(part) for part in bins]


def test_of_equal_scores_in_a_bin_the_earlier_stands_for_it() -> None:
    assert list(thinned(curve_of([0.5] * 6), 2)["taken_at"]) == [pd.Timestamp(at(0)), pd.Timestamp(at(12))]


def test_a_bin_without_any_probability_has_none() -> None:
    thin = thinned(curve_of([0.1, 0.2, 0.3, 0.4], [np.nan, np.nan, np.nan, 0.9]), 2)
    assert np.isnan(thin["probability"][0]) and thin["probability"][1] == 0.9


def test_a_probability_is_drawn_in_nines() -> None:
    assert nines(np.array([0.0, 0.9, 0.99, 0.999, 1.0])) == pytest.approx([0, 1, 2, 3, 4])


def test_the_timeline_is_a_valid_chart_with_and_without_data() -> None:
    clock = Clock(ROME, at(0), at(400))
    scores = [0.1, 0.2, 0.9, 0.2, 0.1]
    curve = pd.concat(
        [curve_of(scores), curve_of(scores).assign(taken_at=lambda rows: rows["taken_at"] + timedelta(200))]
    )
    curve["taken_at"] = [at(second) for second in (0, 4, 8, 12, 16, 200, 204, 208, 212, 216)]
    curve["taken_at"] = pd.to_datetime(curve["taken_at"], utc=True)
    marks = pd.DataFrame(
        {
            "taken_at": pd.to_datetime([at(8), at(208)], utc=True),
            "seconds": 4.0,
            "segment": [1, 2],
            "kind": ["event", "score"],
            "told": ["novelty 1 0.90", "score 0.90"],
        }
    )
    truths = pd.DataFrame(
        {
            "started_at": pd.to_datetime([at(6)], utc=True),
            "ended_at": pd.to_datetime([at(12)], utc=True),
            "verdict": ["dismissed"],
            "told": ["novelty 1"],
        }
    )
    drawn = summary_timeline(DayLine(curve.reset_index(drop=True), truths, marks), clock, 2).to_dict()
    rows = [row for rows in drawn["datasets"].values() for row in rows]
    assert [row["piece"] for row in rows if "piece" in row][:10] == [0] * 5 + [1] * 5, "no line over the gap"
    assert [row["size"] for row in rows if "size" in row] == [90, 220]
    assert [row["at"] for row in rows if "size" in row] == ["09:00:08", "09:03:28"], "on the site's clock"
    assert [row["verdict"] for row in rows if "verdict" in row] == ["dismissed"]
    nothing = summary_timeline(DayLine(curve.iloc[:0], truths.iloc[:0], marks.iloc[:0]), clock).to_dict()
    assert nothing["layer"]


def test_bars_are_as_long_as_the_columns_and_faint_where_they_do_not_count() -> None:
    columns = {"anomaly": 0.25, "memorability": 1.5, "entropy": -1.0, "dynamics": 0.5}
    drawn = bars_html(columns, {"anomaly": 1.0, "dynamics": 0.0}).split("<div title=")[1:]
    assert [part.split("width:")[2].split("%")[0] for part in drawn] == ["25", "100", "0", "50"]
    assert ["opacity:0.35" in part for part in drawn] == [False, True, True, True]
    assert "opacity:0.35" not in bars_html(columns)


def test_a_legend_tells_what_is_there() -> None:
    told = legend_html(["in", "stays"], ["confirmed"])
    assert "comes in" in told and "stays" in told and "confirmed" in told
    assert "goes out" not in told and "dismissed" not in told


# Words and rows.


def shown_segment(**changes: object) -> ShownSegment:
    columns = {"anomaly": 0.2, "memorability": 0.2, "entropy": 0.2, "dynamics": 0.4}
    told = ShownSegment(1, "a.mp4", "a", 0, 4_000_000, at(0), 0.0, 0.25, columns, "score", "", None, "", {})
    return replace(told, **changes)  # type: ignore[arg-type]  # of the test's own


def test_why_names_the_event_or_what_makes_most_of_the_score() -> None:
    even = dict.fromkeys(COLUMNS, 1.0)
    assert why_text(shown_segment(reason="fight 2"), even) == "for the event fight 2"
    assert why_text(shown_segment(), even) == "for its score, 40% of which is how much moves"
    assert why_text(shown_segment(), even | {"dynamics": 0.0}).endswith("33% of which is how unusual it is")
    assert why_text(shown_segment(), {}) == "for its score", "an older night did not say its weights"


def test_segments_are_numbered_in_order_of_time() -> None:
    late, early = shown_segment(taken_at=at(9)), shown_segment(taken_at=at(1), number=7)
    assert [(one.number, one.taken_at) for one in numbered([late, early])] == [(1, at(1)), (2, at(9))]


def test_a_selection_is_told_as_a_publication_would(measured: Workspace) -> None:
    day, ranked = chosen_by(measured, GATE)
    published = read_summary(measured.site, GATE).segments
    stills = keyframes(reader(measured), [GATE], spans_of(day, ranked.selection.indices))
    proposed = chosen_segments(day, ranked, {f"{CAMERA}-0": "x.mp4"}, stills)
    assert list(proposed) == list(ranked.selection.indices)
    for mine, theirs in zip(proposed.values(), published, strict=True):
        assert (mine.number, mine.span, mine.taken_at) == (theirs.number, theirs.span, theirs.taken_at)
        assert (mine.reason, mine.event_id) == (theirs.reason, theirs.event_id)
        assert mine.score == pytest.approx(theirs.score, abs=1e-6)
        assert mine.columns == pytest.approx(dict(theirs.columns), abs=1e-6)
        assert mine.told["keyframe_us"] == theirs.told["keyframe_us"]
    assert {one.recording for one in proposed.values()} == {"x.mp4", ""}


def test_the_line_of_a_day_has_every_segment_and_every_event(measured: Workspace) -> None:
    day, _ = chosen_by(measured, GATE)
    events = day_events(reader(measured), GATE)
    scores = combine(day.columns, SETTINGS)
    line = day_line(day, scores, events, {events[0].event_id: "confirmed"}, [(shown_segment(), "in")])
    assert len(line.curve) == len(day.segments) == len(scores)
    assert line.curve["taken_at"][0] == pd.Timestamp(at(0))
    assert list(line.truths["verdict"]) == ["confirmed", "not judged", "not judged"]
    assert list(line.truths["told"]) == ["novelty 1", "novelty 2", "novelty 3"]
    assert list(line.marks["kind"]) == ["in"]


# What is asked of the lake.


def test_segments_whose_pictures_are_black_have_no_still(measured: Workspace) -> None:
    black, clear = (f"{CAMERA}-0", DARK * SEGMENT_S * 1_000_000), (f"{CAMERA}-1", 8_000_000)
    there = (f"{OTHER}-0", 0)
    lake = reader(measured)
    assert keyframes(lake, [GATE], [black, clear, there]) == {clear: 9_000_000}, "of that camera only"
    assert keyframes(lake, PLACES.values(), [black, clear, there]) == {clear: 9_000_000, there: 1_000_000}


def test_recordings_are_found_by_content_unless_they_are_gone(measured: Workspace) -> None:
    found = recording_paths(reader(measured), [f"{CAMERA}-0", f"{CAMERA}-1", "nobody", ""])
    assert found == {
        f"{CAMERA}-0": f"{CAMPAIGN}/{CAMERA}/2026-03-02T08-00-00.mp4",
        f"{CAMERA}-1": f"{CAMPAIGN}/{CAMERA}/2026-03-02T08-12-00.mp4",
    }


def test_events_of_a_day_come_in_order_of_time(measured: Workspace) -> None:
    found = day_events(reader(measured), GATE)
    assert [one.event_id for one in found] == [f"{CAMERA}-event-{number}" for number in range(3)]
    assert day_events(reader(measured), Place(CAMPAIGN, "nobody", DAY)) == []


def test_files_that_count_change_with_what_a_night_writes(measured: Workspace) -> None:
    ledger = measured.ledger
    before = measured_files(ledger, CAMPAIGN, DAY)
    assert set(before) == {CAMERA, OTHER}
    assert before[CAMERA] == (f"events/{GATE.folder}/score.parquet", f"segments/{GATE.folder}/measured.parquet")
    later, again = NIGHT + timedelta(hours=1), f"segments/{GATE.folder}/zz-again.parquet"
    measured.store.write_bytes(again, measured.store.read_bytes(before[CAMERA][1]))
    failed = RunRow(
        RUN, "segment", CAMPAIGN, CAMERA, DAY, "", "f", "failed", later, later, outputs=("segments/no.parquet",)
    )
    measured.ledger.record([failed])
    assert measured_files(ledger, CAMPAIGN, DAY) == before
    measured.ledger.record([replace(failed, status="done", outputs=(again,))])
    after = measured_files(ledger, CAMPAIGN, DAY)
    assert after[OTHER] == before[OTHER]
    assert after[CAMERA] == (f"events/{GATE.folder}/score.parquet", again)


def test_segments_of_older_nights_are_no_measured_ones(full_site: Workspace) -> None:
    old = RunRow(
        RUN, "summarise", CAMPAIGN, CAMERA, DAY, "", "k", "done", NIGHT, NIGHT, outputs=("segments/old.parquet",)
    )
    full_site.ledger.record([old])
    assert measured_files(full_site.ledger, CAMPAIGN, DAY) == {}


def test_what_is_ranked_is_what_the_newest_summary_was_made_of(measured: Workspace) -> None:
    ledger = measured.ledger
    before = measured_files(ledger, CAMPAIGN, DAY)
    events, segments = before[CAMERA]
    found = f"events/{GATE.folder}/opening.parquet"
    measured.store.write_bytes(found, measured.store.read_bytes(events))

    def enter(step: str, key: str, hour: int, status: str = "done", **told: Any) -> None:
        moment = NIGHT + timedelta(hours=hour)
        ledger.record(
            [RunRow(RUN, step, CAMPAIGN, CAMERA, DAY, told.pop("scope", ""), key, status, moment, moment, **told)]
        )

    enter("segment", "seg", 1, outputs=(segments,))
    enter("score", "score", 1, scope="novelty", outputs=(events,))
    enter("retrieve", "old", 1, scope="opening", outputs=(found,))
    enter("summarise", "with", 1, inputs=("seg", "score", "old"))
    assert measured_files(ledger, CAMPAIGN, DAY)[CAMERA] == tuple(sorted((events, found, segments)))
    events_with = len(read_measured(Opened(measured.root), GATE).events)

    enter("retrieve", "new", 2, "failed", scope="opening")
    enter("summarise", "without", 2, inputs=("seg", "score"))
    assert measured_files(ledger, CAMPAIGN, DAY) == {**before, CAMERA: (events, segments)}
    assert len(read_measured(Opened(measured.root), GATE).events) == events_with // 2

    enter("summarise", "full", 3, "failed", inputs=("seg", "score", "new"))
    assert measured_files(ledger, CAMPAIGN, DAY)[CAMERA] == (events, segments), "a summary that failed says nothing"
    enter("summarise", "with", 4, "skipped", inputs=("seg", "score", "old"))
    assert found in measured_files(ledger, CAMPAIGN, DAY)[CAMERA]


# The digest, and the job.


def test_a_digest_is_read_as_it_was_written(measured: Workspace) -> None:
    digest = read_digest(measured.site, CAMPAIGN, DAY)
    assert digest is not None
    assert (digest.video, digest.duration_s, digest.omitted) == ("summary.mp4", 20.0, ((OTHER, "novelty 1"),))
    assert [entry.segment.at_s for entry in digest.entries] == [0.0, 4.0, 8.0, 12.0, 16.0]
    assert [entry.segment.number for entry in digest.entries] == [1, 2, 3, 4, 5]
    assert digest.entries[0].place == GATE
    spans = {one.span for place in PLACES.values() for one in read_summary(measured.site, place).segments}
    assert {entry.segment.span for entry in digest.entries} <= spans


def test_there_is_no_digest_before_one_was_made_or_outside_their_folder(measured: Workspace) -> None:
    assert read_digest(measured.site, CAMPAIGN, DAY + timedelta(days=1)) is None
    (measured.root / DAY.isoformat()).mkdir()
    (measured.root / DAY.isoformat() / "summary.json").write_text('{"entries": []}', encoding="utf-8")
    assert read_digest(measured.site, "..", DAY) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"entries": [{}]}', '{"entries": [], "left_out": [1]}'])
def test_a_digest_that_cannot_be_read_is_told_with_its_remedy(measured: Workspace, content: str) -> None:
    file = measured.site.digests_folder / CAMPAIGN / DAY.isoformat() / "summary.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(LakeError, match="make the digest again with"):
        read_digest(measured.site, CAMPAIGN, DAY)


def in_first(**wrong: Any) -> Callable[[dict[str, Any]], None]:
    """Make a file's first entry say something else."""
    return lambda told: told["entries"][0].update(wrong)


NOT_QUITE_RIGHT: dict[str, Callable[[dict[str, Any]], None]] = {
    "text for a number": in_first(score="0.5"),
    "truth for a number": in_first(anomaly=True),
    "a score above 1": in_first(score=1.5),
    "a column that is nan": in_first(entropy=float("nan")),
    "a probability below 0": in_first(probability=-0.1),
    "text for a raw value": in_first(surprise="boo"),
    "a raw value that is nan": in_first(motion=float("nan")),
    "a place before the video": in_first(at_s=-4.0),
    "a number beyond floats": in_first(at_s=10**400),
    "a segment that ends before it begins": in_first(from_us=5, to_us=4),
    "a part of a microsecond": in_first(from_us=0.5),
    "text for a picture's time": in_first(keyframe_us="soon"),
    "a time without a zone": in_first(taken_at="2026-03-02T08:00:00"),
    "a time of no calendar": in_first(taken_at="9999-12-31T23:59:59+00:00"),
    "a length that is infinite": lambda told: told.update(duration_s=float("inf")),
}


@pytest.mark.parametrize("wrong", NOT_QUITE_RIGHT.values(), ids=NOT_QUITE_RIGHT)
def test_a_file_that_is_not_quite_right_is_told_with_its_remedy(
    measured: Workspace, wrong: Callable[[dict[str, Any]], None]
) -> None:
    summary = measured.day_folder() / "summary.json"
    digest = measured.site.digests_folder / CAMPAIGN / DAY.isoformat() / "summary.json"
    for file in (summary, digest):
        told = json.loads(file.read_text(encoding="utf-8"))
        wrong(told)
        file.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(LakeError, match="publish it again with"):
        read_summary(measured.site, GATE)
    with pytest.raises(LakeError, match="make the digest again with"):
        read_digest(measured.site, CAMPAIGN, DAY)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"speed": 1.0}, "weights are those of anomaly, memorability, entropy, dynamics, got {'speed': 1.0}"),
        ({"anomaly": 1.0}, "got {'anomaly': 1.0}"),
        (dict.fromkeys(COLUMNS, 0.0), "not all 0"),
        ({**asdict(SETTINGS), "anomaly": 1.7e308}, "at most 1,000,000"),
        ({**asdict(SETTINGS), "entropy": "much"}, "entropy is a number"),
        ([1.0], r"got \[1.0\]"),
    ],
)
def test_a_summary_by_weights_that_are_none_is_told(measured: Workspace, values: Any, rule: str) -> None:
    file = measured.day_folder() / "summary.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(told | {"weights": {"label": "x", "values": values}}), encoding="utf-8")
    with pytest.raises(LakeError, match=rule):
        read_summary(measured.site, GATE)


def test_what_is_nested_too_deep_is_told(measured: Workspace) -> None:
    (measured.day_folder() / "summary.json").write_text("[" * 200_000, encoding="utf-8")
    with pytest.raises(LakeError, match="publish it again with"):
        read_summary(measured.site, GATE)


def test_a_day_is_published_for_one_camera_or_for_all(measured: Workspace) -> None:
    one, every = day_command(measured.site, GATE), day_command(measured.site, GATE, every_camera=True)
    assert one[one.index("--camera") + 1] == CAMERA
    assert [part for part in one if part not in ("--camera", CAMERA)] == every
    told = json.dumps(every)
    assert DAY.isoformat() in told and CAMPAIGN in told
