import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from infra.errors import ConfigurationError
from models.summary import scores
from models.summary.scores import (
    RAREST,
    Columns,
    RobustScale,
    Weights,
    anomaly,
    combine,
    mean_over_frames,
    memorability,
    memorability_within,
    robust_scale,
    segment_vectors,
    surprise,
)
from models.summary.segments import cut_segments


def gaussian(rows: int, dimension: int = 6, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)


@st.composite
def items(draw: st.DrawFn) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    rows = draw(st.integers(0, 15))
    from_us = np.array(draw(st.lists(st.integers(0, 60), min_size=rows, max_size=rows)), dtype=np.int64)
    length = np.array(draw(st.lists(st.integers(1, 25), min_size=rows, max_size=rows)), dtype=np.int64)
    scores = np.array(draw(st.lists(st.integers(-9, 9), min_size=rows, max_size=rows)), dtype=np.float64)
    return from_us, from_us + length, scores


SEGMENTS = cut_segments([(0, 30), (40, 75)], 10)
SPANS = list(zip(SEGMENTS.from_us.tolist(), SEGMENTS.to_us.tolist(), strict=True))


@given(items(), st.sampled_from([0.0, 0.5, 0.9, 1.0]))
def test_anomaly_is_a_quantile_of_the_snippets_that_overlap(
    items: tuple[NDArray[Any], NDArray[Any], NDArray[Any]], quantile: float
) -> None:
    from_us, to_us, scores = items
    told = anomaly(SEGMENTS, from_us, to_us, scores, quantile)
    for (start, end), value in zip(SPANS, told, strict=True):
        over = scores[(from_us < end) & (to_us > start)]
        if len(over):
            assert value == np.quantile(over, quantile, method="higher")
        else:
            assert math.isnan(value)


@given(items())
def test_frames_are_averaged_in_their_own_segment(items: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]) -> None:
    t_us, _, values = items
    values[values < -7] = np.nan
    told = mean_over_frames(SEGMENTS, t_us, values)
    for (start, end), value in zip(SPANS, told, strict=True):
        own = values[(start <= t_us) & (t_us < end) & np.isfinite(values)]
        assert value == pytest.approx(own.mean()) if len(own) else math.isnan(value)


def test_a_segments_vector_is_the_mean_direction_of_its_snippets() -> None:
    vectors = np.array([[2, 0], [0, 5], [-1, 0]], dtype=np.float32)
    from_us, to_us = np.array([0, 5, 12]), np.array([8, 11, 20])
    told = segment_vectors(cut_segments([(0, 30)], 10), from_us, to_us, vectors)
    np.testing.assert_allclose(told[0], [0.5**0.5, 0.5**0.5], rtol=1e-6)
    np.testing.assert_allclose(told[1], [-(0.5**0.5), 0.5**0.5], rtol=1e-6)
    assert np.isnan(told[2]).all() and told.dtype == np.float32


def test_memorability_is_one_minus_the_mean_cosine_to_the_nearest_normals() -> None:
    vectors, normals = gaussian(20), gaussian(50, seed=1)
    expected = np.sort(cdist(vectors, normals, "cosine"), axis=1)[:, :5].mean(axis=1)
    np.testing.assert_allclose(memorability(vectors, normals, 5), expected, atol=1e-6)
    np.testing.assert_allclose(memorability(normals[:1], normals, 1), 0, atol=1e-6)


def test_memorability_of_what_is_missing() -> None:
    vectors = np.stack([np.zeros(6), np.full(6, np.nan), np.ones(6)]).astype(np.float32)
    told = memorability(vectors, gaussian(3))
    assert told[0] == pytest.approx(1) and math.isnan(told[1]) and not math.isnan(told[2])
    assert np.isnan(memorability(vectors, gaussian(0))).all()


def test_memorability_within_a_day_leaves_out_what_is_near_in_time() -> None:
    segments = cut_segments([(0, 400)], 10)
    vectors = np.abs(gaussian(40)) + 3
    vectors[20:23] = np.array([1, -1, 1, -1, 1, -1], dtype=np.float32)
    apart = memorability_within(vectors, segments, 30, 5)
    assert set(np.argsort(apart)[-3:]) == {20, 21, 22}
    assert memorability_within(vectors, segments, 0, 2)[21] < 1e-6
    assert np.isnan(memorability_within(vectors, segments, 1000)).all()


@pytest.mark.parametrize("block_bytes", [1, 1000, 2**25])
@pytest.mark.parametrize("exclusion_us", [0, 35, 120])
def test_blocks_and_the_order_of_segments_decide_nothing(
    monkeypatch: pytest.MonkeyPatch, block_bytes: int, exclusion_us: int
) -> None:
    monkeypatch.setattr(scores, "BLOCK_BYTES", block_bytes)
    segments, vectors = cut_segments([(0, 400), (1000, 1200)], 10), gaussian(60)
    apart = cdist(vectors, vectors, "cosine")
    near = (segments.from_us < segments.to_us[:, None] + exclusion_us) & (
        segments.to_us > segments.from_us[:, None] - exclusion_us
    )
    expected = np.sort(np.where(near, np.inf, apart), axis=1)[:, :7].mean(axis=1)
    order = np.random.default_rng(3).permutation(60)
    told = memorability_within(vectors, segments, exclusion_us, 7)
    np.testing.assert_allclose(told, expected, atol=1e-6)
    np.testing.assert_array_equal(
        memorability_within(vectors[order], segments.take(order), exclusion_us, 7), told[order]
    )
    monkeypatch.undo()
    np.testing.assert_array_equal(told, memorability_within(vectors, segments, exclusion_us, 7))


def test_of_many_that_look_the_same_each_has_been_seen() -> None:
    same = np.repeat(gaussian(3), 200, axis=0)
    np.testing.assert_allclose(memorability(same, same), 0, atol=1e-6)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_a_robust_scale_keeps_order_and_lies_in_the_unit_range(values: list[float]) -> None:
    column = np.sort(values)
    told = RobustScale.fit(column).apply(column)
    assert ((told >= 0) & (told <= 1)).all() and (np.diff(told) >= 0).all()
    if column[0] == column[-1]:
        assert (told == 0).all()


def test_the_scale_at_the_median_and_three_deviations_above() -> None:
    scale = RobustScale(10, 2)
    assert scale.apply(np.array([10, 16, 4, np.nan])).tolist() == [0.5, 0.75, 0.25, 0.0]
    assert (np.diff(scale.apply(np.array([1e3, 1e4, 1e5]))) > 0).all()


def test_a_column_of_nothing_known_scales_to_nought() -> None:
    told = robust_scale(Columns(np.full(3, np.nan), np.ones(3), np.array([1.0, 2, 3]), np.array([0.0, 0, np.nan])))
    assert told.anomaly.tolist() == told.memorability.tolist() == told.dynamics.tolist() == [0, 0, 0]
    assert told.entropy[1] == 0.5


def test_weights_are_proportions_and_move_without_recompute() -> None:
    columns = Columns(*(np.array([a, b]) for a, b in [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.0, 0.0)]))
    assert combine(columns, Weights(1, 0, 0, 0)).tolist() == [1, 0]
    assert combine(columns, Weights(1, 3, 0, 0)).tolist() == [0.25, 0.75]
    np.testing.assert_allclose(combine(columns, Weights(2, 6, 0, 0)), combine(columns, Weights(1, 3, 0, 0)))
    assert combine(columns, Weights()).tolist() == [0.375, 0.375]


@pytest.mark.parametrize("wrong", [(-1, 1, 1, 1), (0, 0, 0, 0), (math.nan, 1, 1, 1), (math.inf, 1, 1, 1)])
def test_weights_out_of_range_are_refused(wrong: tuple[float, float, float, float]) -> None:
    with pytest.raises(ConfigurationError):
        Weights(*wrong)


def test_a_quantile_out_of_range_and_columns_of_two_lengths_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        anomaly(SEGMENTS, np.array([0]), np.array([1]), np.array([1.0]), 95)
    with pytest.raises(ValueError):
        Columns(np.ones(2), np.ones(3), np.ones(2), np.ones(2))


def test_surprise_counts_the_noughts_of_how_rare_a_score_is() -> None:
    told = surprise(np.array([0.0, 0.9, 0.999, 1.0, np.nan], dtype=np.float32))
    np.testing.assert_allclose(told[:4], [0, 1, 3, -math.log10(RAREST)], rtol=1e-4)
    assert math.isnan(told[4]) and not np.signbit(told[0])


def test_of_scores_rarer_than_any_past_tells_the_farther_one_is_more_surprising() -> None:
    probability = np.array([1.0, 1.0, 0.5, 1.0, 1.0], dtype=np.float32)
    told = surprise(probability, np.array([9.0, 99.0, 99.0, np.nan, np.inf]))
    assert told == pytest.approx([8, 9, -np.log10(0.5), 7, 16])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_surprise_rises_with_the_probability(probabilities: list[float]) -> None:
    assert (np.diff(surprise(np.sort(probabilities))) >= 0).all()


def raw(values: list[float]) -> Columns:
    return Columns(*(np.array(values),) * 4)


def test_a_quiet_day_is_measured_by_the_days_before() -> None:
    quiet, eventful = [0.0, 0.1, 0.2], [float(value) for value in range(10)]
    alone, beside = robust_scale(raw(quiet)), robust_scale(raw(quiet), raw(eventful))
    assert alone.anomaly[2] > 0.5 > beside.anomaly[2]
    scale = RobustScale.fit(np.array(quiet + eventful))
    np.testing.assert_array_equal(beside.dynamics, scale.apply(np.array(quiet)))


@given(st.lists(st.floats(-1e3, 1e3), max_size=8), st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8))
def test_the_past_moves_the_scale_but_keeps_the_order(past: list[float], today: list[float]) -> None:
    told = robust_scale(raw(sorted(today)), raw(past)).entropy
    assert len(told) == len(today) and ((told >= 0) & (told <= 1)).all() and (np.diff(told) >= 0).all()
    shuffled = robust_scale(raw(sorted(today)), raw(past[::-1])).entropy
    np.testing.assert_array_equal(told, shuffled)


def test_a_past_of_nothing_known_changes_nothing() -> None:
    alone, beside = robust_scale(raw([1.0, 2.0, 4.0])), robust_scale(raw([1.0, 2.0, 4.0]), raw([math.nan] * 5))
    np.testing.assert_array_equal(alone.anomaly, beside.anomaly)


def test_columns_that_were_not_scaled_are_not_combined() -> None:
    columns = Columns(np.array([1.0, math.nan]), np.ones(2), np.ones(2), np.zeros(2))
    with pytest.raises(ValueError, match="robust_scale"):
        combine(columns, Weights())
    assert combine(columns, Weights(anomaly=0, memorability=1, entropy=1, dynamics=2)).tolist() == [0.5, 0.5]


@given(st.lists(st.tuples(*(st.floats(0, 1),) * 4), max_size=6), st.tuples(*(st.floats(0.01, 9),) * 4))
def test_a_combined_score_is_the_weighted_mean(rows: list[tuple[float, ...]], weights: tuple[float, ...]) -> None:
    values = np.array(rows).reshape(-1, 4)
    told = combine(Columns(*values.T), Weights(*weights))
    np.testing.assert_allclose(told, [np.average(row, weights=weights) for row in values], atol=1e-12)
