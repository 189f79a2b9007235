import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from infra.errors import ConfigurationError
from models.calibration import NormalDistribution, NormalScale, alarm_threshold, expected_alarms, robust_spread
from models.events import EventRule, ScoredSpans, find_events

SECOND = 1_000_000


def night(scores: ArrayLike) -> ScoredSpans:
    told = np.array(scores, dtype=np.float32)
    from_us = np.arange(len(told), dtype=np.int64) * SECOND
    return ScoredSpans(from_us, from_us + SECOND, told)


def alarms(nights: list[ScoredSpans], rule: EventRule) -> list[int]:
    return [len(find_events(one.from_us, one.to_us, one.scores, rule)) for one in nights]


def gaussian_nights(count: int = 4, rows: int = 2000, seed: int = 0) -> list[ScoredSpans]:
    random = np.random.default_rng(seed)
    return [night(1 + 0.1 * random.standard_normal(rows)) for _ in range(count)]


score_lists = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=25), min_size=1, max_size=3)
rules = st.builds(
    lambda drop, count, gap, smooth: EventRule(0.0, -drop, count, 0.0, gap, smooth),
    st.sampled_from([0.0, 1.0, 1.5]),
    st.integers(1, 3),
    st.sampled_from([0.0, 2.0]),
    st.sampled_from([0.0, 2.0]),
)


@settings(deadline=None)
@given(score_lists, rules, st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.sampled_from([0.0, 1.0]))
def test_the_threshold_is_the_lowest_at_and_above_which_the_budget_holds(
    scores: list[list[int]], rule: EventRule, budget: float, floor_deviations: float
) -> None:
    nights = [night(one) for one in scores]
    told = alarm_threshold(nights, rule, budget, floor_deviations)
    assert told.alarms_by_night == tuple(alarms(nights, rule.at(told.threshold)))
    above = [told.threshold + step for step in np.arange(0, 9, 1 / 16)]
    assert all(sum(alarms(nights, rule.at(t))) <= budget * len(nights) for t in above)
    assert told.threshold >= told.floor
    if not told.at_floor:  # 1e-9: lower than rounding, higher than any other score
        assert sum(alarms(nights, rule.at(max(told.floor, told.threshold - 1e-9)))) > budget * len(nights)


def test_a_threshold_so_low_that_all_merges_into_one_event_is_not_taken() -> None:
    scores = [1, 5, 1, 5, 1, 5, 1, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    assert sum(alarms([night(scores)], EventRule(0.5))) == 1
    told = alarm_threshold([night(scores)], EventRule(0.0), 1, floor_deviations=0)
    assert told.threshold == 5 and told.alarms_by_night == (0,)


def test_the_budget_is_met_on_average_over_nights() -> None:
    quiet = [0.0] * 20
    nights = [night([*quiet, 7, 0, 8, 0, 9]), night(quiet)]
    assert alarm_threshold(nights, EventRule(0.0), 1).alarms_by_night == (2, 0)
    assert alarm_threshold(nights, EventRule(0.0), 0.5).alarms_by_night == (1, 0)
    assert alarm_threshold(nights, EventRule(0.0), 0).threshold == 9


def test_a_larger_budget_never_raises_the_threshold() -> None:
    thresholds = [alarm_threshold(gaussian_nights(), EventRule(0.0), k, 0).threshold for k in (0, 1, 2, 5, 20)]
    assert thresholds == sorted(thresholds, reverse=True) and len(set(thresholds)) == 5


def test_a_quiet_camera_does_not_spend_its_budget_on_its_noise() -> None:
    told = alarm_threshold(gaussian_nights(), EventRule(0.0), 10)
    assert told.at_floor and told.expected_per_night == 0
    assert told.floor == pytest.approx(1 + 5 * 0.1, abs=0.02)
    assert alarm_threshold(gaussian_nights(), EventRule(0.0), 10, floor_deviations=0).expected_per_night == 10


def test_equal_scores_do_not_alarm_nor_does_their_rounding() -> None:
    told = alarm_threshold([night([2.0] * 50)], EventRule(0.0), 3)
    assert told.threshold == pytest.approx(2, rel=1e-5) and told.alarms_by_night == (0,)
    assert alarms([night([np.nextafter(np.float32(2), np.float32(3))])], EventRule(told.threshold)) == [0]
    assert alarms([night([2.001])], EventRule(told.threshold)) == [1]


def test_without_a_normal_score_nothing_alarms() -> None:
    for nights in ([], [night([])]):
        told = alarm_threshold(nights, EventRule(0.0, -1.0), 3)
        assert told.threshold == math.inf and told.expected_per_night == 0
        assert alarms([night([1e30])], EventRule(0.0, -1.0).at(told.threshold)) == [0]


def test_nights_without_a_snippet_do_not_widen_the_budget() -> None:
    nights = [night([0.0] * 20 + [7, 0, 8])]
    assert alarm_threshold([*nights, night([]), night([])], EventRule(0.0), 1) == alarm_threshold(
        nights, EventRule(0.0), 1
    )


def test_the_low_threshold_keeps_its_distance() -> None:
    told = alarm_threshold([night([0.0] * 30 + [5, 4, 5])], EventRule(0.0, -2.0), 1, 0)
    assert told.alarms_by_night == (1,)
    assert alarm_threshold([night([0.0] * 30 + [5, 4, 5])], EventRule(0.0), 1, 0).alarms_by_night == (0,)


@pytest.mark.parametrize(("budget", "deviations"), [(-1, 5), (math.nan, 5), (1, -1), (1, math.inf)])
def test_a_budget_out_of_range_is_refused(budget: float, deviations: float) -> None:
    with pytest.raises(ConfigurationError):
        alarm_threshold([night([1.0])], EventRule(0.0), budget, deviations)


def test_the_spread_is_a_gaussians_deviation_and_falls_back_where_most_values_are_equal() -> None:
    values = np.random.default_rng(0).normal(3, 2, 20_000)
    assert robust_spread(values) == pytest.approx((3, 2), rel=0.03)
    assert robust_spread(np.append(values, [1e9] * 100)) == pytest.approx((3, 2), rel=0.05)
    assert robust_spread(np.array([1.0, 1, 1, 1, 5])) == pytest.approx((1.0, 0.8 * math.sqrt(math.pi / 2)))
    assert robust_spread(np.array([4.0, 4.0])) == (4.0, 0.0)


def test_the_fraction_below_is_the_share_of_normal_scores_below() -> None:
    normal = np.random.default_rng(0).exponential(size=20_000)
    told = NormalDistribution.fit(normal).fraction_below(np.linspace(0, 6, 50))
    np.testing.assert_allclose(told, [(normal < s).mean() for s in np.linspace(0, 6, 50)], atol=0.002)
    assert len(NormalDistribution.fit(normal).scores) <= 512


def test_beyond_everything_seen_the_exponential_tail_is_recovered() -> None:
    normal = np.random.default_rng(1).exponential(size=50_000)
    beyond = np.array([12.0, 14.0, 16.0])
    told = 1 - NormalDistribution.fit(normal).fraction_below(beyond)
    np.testing.assert_allclose(np.log(told), -beyond, atol=1.5)
    assert (np.diff(told) < 0).all()


@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=60),
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=20),
)
def test_the_fraction_rises_with_the_score_and_does_not_depend_on_order(
    normal: list[float], scores: list[float]
) -> None:
    distribution = NormalDistribution.fit(np.array(normal), knots=8)
    told = distribution.fraction_below(np.sort(scores))
    assert ((told >= 0) & (told <= 1)).all() and (np.diff(told) >= 0).all()
    again = NormalDistribution.from_arrays(NormalDistribution.fit(np.array(normal[::-1]), knots=8).to_arrays())
    np.testing.assert_array_equal(again.fraction_below(np.sort(scores)), told)


def test_equal_normal_scores_are_a_step() -> None:
    told = NormalDistribution.fit(np.full(9, 2.0)).fraction_below(np.array([1.0, 2.0, 3.0]))
    assert told.tolist() == [0.0, 0.5, 1.0]


def test_nothing_to_calibrate_with_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="normal footage"):
        NormalDistribution.fit(np.array([]))


def test_without_a_normal_score_there_is_a_threshold_that_raises_nothing_and_no_scale() -> None:
    for nights in ([], [night([])]):
        found = alarm_threshold(nights, EventRule(0.0, -1.0), 3.0)
        assert found.threshold == math.inf
        assert found.expected_per_night == 0
        rule = EventRule(0.0, -1.0).at(found.threshold)
        assert rule.hysteresis == 0
        assert expected_alarms([night([1e30])], rule) == 0
        assert expected_alarms(nights, EventRule(0.0)) == 0
    for fit in (NormalScale.fit, NormalDistribution.fit, robust_spread):
        with pytest.raises(ConfigurationError, match="gather normal footage"):
            fit(np.empty(0))


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=400).filter(lambda told: len(set(told)) > 1))
def test_the_scale_is_that_of_the_normal_quantiles_and_a_threshold_on_it_is_one_in_scores(told: list[int]) -> None:
    scores = np.array(told, dtype=np.float32)
    scale = NormalScale.fit(scores)
    assert scale.low == pytest.approx(np.quantile(scores, 0.001))
    assert scale.high == pytest.approx(np.quantile(scores, 0.999))
    probe = np.array([scale.low, scale.high, 2 * scale.high - scale.low])
    assert scale.normalised(probe) == pytest.approx([0, 1, 2])
    for mu in (0.25, 0.5, 1.5):
        assert scale.normalised(np.array([scale.score_at(mu)])) == pytest.approx([mu])
        above = scale.normalised(scores) > mu + 1e-9
        assert (above == (scores > scale.score_at(mu + 1e-9))).all()


def test_a_video_has_no_say_in_the_scale_of_its_camera() -> None:
    scale = NormalScale.fit(np.linspace(0, 10, 10_001))
    quiet = scale.normalised(np.array([1.0, 2.0]))
    assert quiet == pytest.approx([0.1, 0.2], abs=2e-3), "its highest score is no 1"
    assert scale.normalised(np.array([1.0, 2.0, 100.0]))[:2] == pytest.approx(quiet)


def test_normal_scores_that_are_all_equal_make_a_scale_on_which_rounding_is_no_alarm() -> None:
    scale = NormalScale.fit(np.full(50, 7.0, dtype=np.float32))
    probe = np.array([7.0, 7.0 * (1 + 1e-7), 7.1, 6.0])
    assert scale.normalised(probe).tolist() == [0, 0, math.inf, -math.inf]
    assert 7.0 < scale.score_at(0.5) < 7.001


def test_expected_alarms_are_what_the_rule_finds_in_a_normal_night() -> None:
    nights = gaussian_nights()
    rule = EventRule(1.2, 1.1, minimum_count=1)
    assert expected_alarms(nights, rule) == sum(alarms(nights, rule)) / len(nights) > 1
    assert expected_alarms([*nights, night([])], rule) == expected_alarms(nights, rule)
    found = alarm_threshold(nights, EventRule(0.0, -0.1), 2.0)
    assert expected_alarms(nights, EventRule(0.0, -0.1).at(found.threshold)) == found.expected_per_night


def test_lambda_counts_in_cuboids_and_in_seconds() -> None:
    scores = [0.0] * 5 + [9.0] * 8 + [0.0] * 5 + [9.0] * 9 + [0.0] * 3
    assert alarms([night(scores)], EventRule(0.5, minimum_count=9)) == [1]
    assert alarms([night(scores)], EventRule(0.5, minimum_s=9.0)) == [1]
    assert alarms([night(scores)], EventRule(0.5, minimum_count=8, minimum_s=8.0)) == [2]
    assert alarms([night(scores)], EventRule(0.5, minimum_count=10)) == [0]
