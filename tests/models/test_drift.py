"""Drift of scores: SciPy's statistic beside ours, and shifts that are known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy import stats

from infra.errors import TooLittleFootageError
from models.drift import kolmogorov_smirnov, score_drift

SCORES = some.lists(some.integers(-20, 20), min_size=1, max_size=40)


@given(SCORES, SCORES)
def test_the_statistic_is_scipys_also_where_values_are_tied(one: list[int], other: list[int]) -> None:
    found = kolmogorov_smirnov(np.array(one, np.float32), np.array(other, np.float32))
    assert found == pytest.approx(stats.ks_2samp(one, other).statistic)
    assert found == kolmogorov_smirnov(np.array(other, np.float32), np.array(one, np.float32))


@given(SCORES, some.integers(1, 5))
def test_the_same_scores_again_have_not_drifted(scores: list[int], times: int) -> None:
    drift = score_drift(np.array(scores, float), np.array(scores * times, float))
    assert (drift.statistic, drift.shift) == (0.0, 0.0)
    assert "where they were" in drift.words
    assert (drift.before, drift.now) == (len(scores), len(scores) * times)


def test_a_shift_is_told_in_robust_deviations_of_the_scores_before() -> None:
    before = np.random.default_rng(0).normal(10, 2, 20_001)
    drift = score_drift(before, before + 3.6)
    assert drift.shift == pytest.approx(1.8, abs=0.05)
    assert "rose by 1.8 deviations" in drift.words
    assert "fell by" in score_drift(before, before - 3.6).words
    assert "by more than 100 deviations of the old ones" in score_drift(before, before + 1e6).words
    # Of Gaussian scores the shares differ most halfway: 2 Φ(0.9) - 1.
    assert drift.statistic == pytest.approx(2 * stats.norm.cdf(0.9) - 1, abs=0.02)
    assert drift.to_card() == {
        "statistic": round(drift.statistic, 4),
        "shift": round(drift.shift, 4),
        "before": 20_001,
        "now": 20_001,
        "words": drift.words,
    }


def test_one_score_that_is_far_off_moves_neither_median_nor_deviation() -> None:
    before = np.arange(101.0)
    drift = score_drift(before, np.append(before, 1e9))
    assert abs(drift.shift) < 0.05 and drift.statistic < 0.02


def test_where_all_scores_were_equal_any_shift_is_without_measure() -> None:
    drift = score_drift(np.ones(5), np.full(5, 2.0))
    assert drift.shift == math.inf and drift.to_card()["shift"] is None
    assert "rose from one value" in drift.words
    assert score_drift(np.ones(5), np.ones(3)).shift == 0


def test_nothing_and_no_number_are_refused() -> None:
    with pytest.raises(TooLittleFootageError):
        score_drift(np.empty(0), np.ones(3))
    with pytest.raises(ValueError, match="finite"):
        kolmogorov_smirnov(np.array([1.0, np.nan]), np.ones(3))
