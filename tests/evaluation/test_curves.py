"""Curves: every frame gets a score, smoothed in time and not in rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from evaluation.curves import fill, smooth
from infra.errors import ConfigurationError


def test_gaps_are_filled_in_time() -> None:
    times = np.array([0, 10, 20, 40, 50])
    filled = fill(times, np.array([1, 3]), np.array([1.0, 4.0], np.float32))
    assert filled.tolist() == [1.0, 1.0, 2.0, 4.0, 4.0]
    with pytest.raises(ValueError, match="at least one"):
        fill(times, np.empty(0, np.int64), np.empty(0))


def test_at_an_even_rate_it_is_a_gaussian_filter() -> None:
    scores = np.random.default_rng(0).normal(size=200)
    times = np.arange(200) * 100_000
    ours = smooth(times, scores, 0.5)
    theirs = gaussian_filter1d(scores, 5.0, truncate=3.0)
    assert np.allclose(ours[15:-15], theirs[15:-15], atol=1e-12)


@given(
    steps=st.lists(st.integers(1, 3_000_000), min_size=1, max_size=40),
    level=st.floats(-5, 5),
    deviation=st.floats(0, 3),
)
def test_a_constant_stays_and_nothing_leaves_its_range(steps: list[int], level: float, deviation: float) -> None:
    times = np.cumsum(steps)
    assert np.allclose(smooth(times, np.full(len(times), level), deviation), level)
    scores = np.random.default_rng(len(steps)).normal(size=len(times))
    smoothed = smooth(times, scores, deviation)
    assert smoothed.min() >= scores.min() - 1e-9 and smoothed.max() <= scores.max() + 1e-9


def test_nothing_is_smoothed_across_a_long_hole() -> None:
    times = np.array([0, 100_000, 10_000_000, 10_100_000])
    smoothed = smooth(times, np.array([0.0, 0.0, 1.0, 1.0]), 0.5)
    assert smoothed.tolist() == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("wrong", [-1.0, float("inf"), float("nan")])
def test_a_window_is_finite(wrong: float) -> None:
    with pytest.raises(ConfigurationError, match="smoothing"):
        smooth(np.arange(3), np.zeros(3), wrong)
