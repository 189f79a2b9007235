from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from infra.errors import ConfigurationError, UnknownNameError
from models.events import EventRule, ScoredSpans, ScoreSeries, Smoothing, find_events, speaks_until

Spans = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]

SECOND = 1_000_000
DAY = 1_700_000_000_000_000


def tiled(scores: ArrayLike, length_s: float = 1.0, stride_s: float | None = None, start_us: int = DAY) -> Spans:
    told = np.array(scores, dtype=np.float32)
    stride = round((stride_s or length_s) * SECOND)
    from_us = start_us + np.arange(len(told), dtype=np.int64) * stride
    return from_us, from_us + round(length_s * SECOND), told


def found(spans: Spans, rule: EventRule) -> list[tuple[float, float]]:
    return [((e.from_us - DAY) / SECOND, (e.to_us - DAY) / SECOND) for e in find_events(*spans, rule)]


@st.composite
def scored(draw: st.DrawFn, most: int = 25) -> Spans:
    """Snippets that overlap, have gaps and share their times, with scores that tie."""
    rows = draw(st.integers(0, most))
    from_us = np.array(draw(st.lists(st.integers(0, 40), min_size=rows, max_size=rows)), dtype=np.int64) * SECOND
    length = np.array(draw(st.lists(st.integers(1, 4), min_size=rows, max_size=rows)), dtype=np.int64) * SECOND
    scores = np.array(draw(st.lists(st.integers(0, 8), min_size=rows, max_size=rows)), dtype=np.float32) / 8
    return from_us, from_us + length, scores


rules = st.builds(
    lambda threshold, drop, count, minimum_s, gap, smooth, how: EventRule(
        threshold, threshold - drop, count, minimum_s, gap, smooth, how
    ),
    st.sampled_from([0.2, 0.5, 0.75]),
    st.sampled_from([0.0, 0.2]),
    st.integers(1, 3),
    st.sampled_from([0.0, 2.0, 5.0]),
    st.sampled_from([0.0, 1.0, 3.0]),
    st.sampled_from([0.0, 3.0, 8.0]),
    st.sampled_from(["mean", "median"]),
)


def test_an_event_is_the_span_of_its_snippets_and_says_where_its_peak_is() -> None:
    spans = tiled([0, 0, 2, 5, 3, 0, 0, 4, 0])
    one, other = find_events(*spans, EventRule(1.0))
    assert (one.from_us - DAY, one.to_us - DAY) == (2 * SECOND, 5 * SECOND)
    assert (one.first_index, one.peak_index, one.last_index) == (2, 3, 4)
    assert (one.peak_us - DAY, one.peak_score) == (3 * SECOND + SECOND // 2, 5.0)
    assert (other.from_us - DAY, other.to_us - DAY) == (7 * SECOND, 8 * SECOND)


def test_a_score_at_the_threshold_is_not_above_it() -> None:
    assert found(tiled([0, 1, 0]), EventRule(1.0)) == []
    assert found(tiled([0, 1, 0]), EventRule(np.nextafter(1.0, 0))) == [(1, 2)]


def test_hysteresis_reaches_to_the_low_threshold_but_needs_the_high_one() -> None:
    spans = tiled([0, 2, 5, 2, 0, 2, 2, 0])
    assert found(spans, EventRule(4, 1)) == [(1, 4)]
    assert found(spans, EventRule(4)) == [(2, 3)]


@pytest.mark.parametrize(("count", "expected"), [(1, [(1, 2), (3, 5), (6, 9)]), (2, [(3, 5), (6, 9)]), (3, [(6, 9)])])
def test_an_event_needs_lambda_consecutive_snippets(count: int, expected: list[tuple[int, int]]) -> None:
    assert found(tiled([0, 9, 0, 9, 9, 0, 9, 9, 9, 0]), EventRule(0.5, minimum_count=count)) == expected


def test_merging_comes_before_the_minimum_length_and_after_the_minimum_count() -> None:
    spans = tiled([0, 9, 0, 9, 0, 9, 0, 0, 0, 9])
    assert found(spans, EventRule(0.5, minimum_s=3, merge_gap_s=1)) == [(1, 6)]
    assert found(spans, EventRule(0.5, minimum_s=3)) == []
    assert found(spans, EventRule(0.5, minimum_count=2, merge_gap_s=1)) == []


def test_overlapping_snippets_never_give_overlapping_events() -> None:
    assert found(tiled([9, 0, 9, 0, 0, 9], length_s=2, stride_s=1), EventRule(0.5)) == [(0, 4), (5, 7)]


def test_a_hole_breaks_an_event_and_a_short_one_does_not() -> None:
    from_us = DAY + np.array([0, 1, 4, 5], dtype=np.int64) * SECOND
    spans = from_us, from_us + SECOND, np.ones(4)
    assert found(spans, EventRule(0.5, merge_gap_s=1.9)) == [(0, 2), (4, 6)]
    assert found(spans, EventRule(0.5, merge_gap_s=2)) == [(0, 6)]
    assert found(spans, EventRule(0.5, minimum_count=3, merge_gap_s=1.9)) == []


def test_a_hole_that_a_long_snippet_covers_is_none() -> None:
    from_us = DAY + np.array([0, 0, 8], dtype=np.int64) * SECOND
    to_us = DAY + np.array([1, 10, 9], dtype=np.int64) * SECOND
    assert found((from_us, to_us, np.ones(3)), EventRule(0.5)) == [(0, 10)]


def test_smoothing_never_crosses_a_hole() -> None:
    from_us = DAY + np.array([0, 1, 2, 60, 61, 62], dtype=np.int64) * SECOND
    scores = np.array([0, 0, 0, 9, 9, 9], dtype=np.float32)
    for how in ("mean", "median"):
        series = ScoreSeries.of(
            ScoredSpans(from_us, from_us + SECOND, scores), EventRule(1, smooth_s=500, smoothing=how)
        )
        np.testing.assert_array_equal(series.smoothed, scores)


@pytest.mark.parametrize("how", ["mean", "median"])
def test_smoothing_is_the_mean_or_median_of_a_centred_window(how: Smoothing) -> None:
    scores = np.random.default_rng(0).random(40)
    smoothed = ScoreSeries.of(ScoredSpans(*tiled(scores)), EventRule(1, smooth_s=4, smoothing=how)).smoothed
    for i in range(40):
        reach = min(2, i, 39 - i)
        window = scores.astype(np.float32)[i - reach : i + reach + 1].astype(np.float64)
        assert smoothed[i] == pytest.approx(getattr(np, how)(window))


@pytest.mark.parametrize("at", range(9))
def test_smoothing_leaves_a_peak_where_it_is(at: int) -> None:
    scores = np.zeros(9)
    scores[at] = 1
    (event,) = find_events(*tiled(scores), EventRule(0.1, smooth_s=3))
    assert event.peak_index == at


def test_a_single_spike_does_not_survive_the_median() -> None:
    assert found(tiled([0, 0, 0, 9, 0, 0, 0]), EventRule(1, smooth_s=3, smoothing="median")) == []


@pytest.mark.parametrize("how", ["mean", "median"])
def test_a_constant_score_stays_exactly_constant(how: Smoothing) -> None:
    series = ScoreSeries.of(ScoredSpans(*tiled([0.1] * 50)), EventRule(1, smooth_s=7, smoothing=how))
    assert set(series.smoothed) == {float(np.float32(0.1))}


def test_no_snippets_no_events() -> None:
    assert find_events(*tiled([]), EventRule(0, smooth_s=3, smoothing="median")) == []


@pytest.mark.parametrize(
    "wrong", [{"low_threshold": 2.0}, {"minimum_count": 0}, {"minimum_s": -1.0}, {"merge_gap_s": float("nan")}]
)
def test_a_rule_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        EventRule(1.0, **wrong)


def test_an_unknown_smoothing_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="median"):
        EventRule(1.0, smoothing="medain")  # type: ignore[arg-type]


def test_spans_and_scores_that_do_not_fit_are_refused() -> None:
    from_us, to_us, scores = tiled([1, 2, 3])
    for ends, told in ((from_us, scores), (to_us, scores[:2]), (to_us, scores * np.nan)):
        with pytest.raises(ValueError):
            find_events(from_us, ends, told, EventRule(0))


@given(scored(), rules)
def test_events_are_in_order_apart_and_begin_and_end_at_snippets(spans: Spans, rule: EventRule) -> None:
    from_us, to_us, _ = spans
    events = find_events(*spans, rule)
    for event in events:
        assert event.from_us in from_us and event.to_us in to_us
        assert event.to_us - event.from_us >= rule.minimum_s * SECOND
        assert event.peak_score > rule.threshold
        assert event.from_us <= from_us[event.peak_index] and to_us[event.peak_index] <= event.to_us
    for before, after in pairwise(events):
        assert after.from_us - before.to_us > rule.merge_gap_us


@given(scored(), rules, st.randoms())
def test_the_order_of_rows_does_not_matter(spans: Spans, rule: EventRule, random: Random) -> None:
    order = np.array(random.sample(range(len(spans[0])), len(spans[0])), dtype=np.int64)
    from_us, to_us, scores = (array[order] for array in spans)
    told = [(e.from_us, e.to_us, e.peak_us, e.peak_score) for e in find_events(*spans, rule)]
    assert [(e.from_us, e.to_us, e.peak_us, e.peak_score) for e in find_events(from_us, to_us, scores, rule)] == told


@given(scored(), rules, st.sampled_from([0.0, 0.1, 0.3]))
def test_a_higher_threshold_finds_nothing_outside_the_events_of_a_lower_one(
    spans: Spans, rule: EventRule, higher: float
) -> None:
    rule = replace(rule, minimum_s=0.0)
    lower = find_events(*spans, rule)
    for event in find_events(*spans, rule.at(rule.threshold + higher)):
        assert any(one.from_us <= event.from_us and event.to_us <= one.to_us for one in lower)


@given(scored(), rules, st.sampled_from([1.0, 4.0]))
def test_merging_loses_no_event(spans: Spans, rule: EventRule, wider: float) -> None:
    rule = replace(rule, smooth_s=0.0)
    merged = find_events(*spans, replace(rule, merge_gap_s=rule.merge_gap_s + wider))
    for event in find_events(*spans, rule):
        assert any(one.from_us <= event.from_us and event.to_us <= one.to_us for one in merged)


@settings(deadline=None)
@given(scored(), rules, st.integers(-50, 50))
def test_events_move_with_the_clock(spans: Spans, rule: EventRule, shift: int) -> None:
    from_us, to_us, scores = spans
    moved = find_events(from_us + shift * SECOND, to_us + shift * SECOND, scores, rule)
    assert [(e.from_us - shift * SECOND, e.to_us - shift * SECOND, e.peak_index) for e in moved] == [
        (e.from_us, e.to_us, e.peak_index) for e in find_events(*spans, rule)
    ]


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 3))
def test_snippets_that_tile_give_the_runs_a_loop_finds(scores: Sequence[float], count: int) -> None:
    expected, run = [], []
    for i, score in enumerate([*scores, 0]):
        if score > 1:
            run.append(i)
        else:
            expected += [(run[0], run[-1] + 1)] if len(run) >= count else []
            run = []
    assert found(tiled(scores), EventRule(1, minimum_count=count)) == expected


def test_a_sample_speaks_until_the_next_but_no_further_than_it_reaches() -> None:
    starts = np.array([0, 1, 2, 3, 9, 10]) * 1_000_000
    ends = starts + 40_000
    # Four samples a second apart, a hole, two more: at the hole and at the end a sample speaks for the usual second.
    assert speaks_until(starts, ends, 2_000_000).tolist() == [
        1_000_000,
        2_000_000,
        3_000_000,
        4_000_000,
        10_000_000,
        11_000_000,
    ]


def test_sparse_samples_speak_for_their_reach_and_snippets_keep_their_own_end() -> None:
    starts = np.array([0, 10, 20]) * 1_000_000
    assert speaks_until(starts, starts + 40_000, 2_000_000).tolist() == [2_000_000, 12_000_000, 22_000_000]
    overlapping = np.array([0, 1, 2]) * 1_000_000
    assert speaks_until(overlapping, overlapping + 2_000_000, 500_000).tolist() == [2_000_000, 3_000_000, 4_000_000]
    assert len(speaks_until(starts[:0], starts[:0], 1)) == 0 and speaks_until(
        starts[:1], starts[:1] + 5, 7
    ).tolist() == [7]
