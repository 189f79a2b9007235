"""Counts and metrics, by hand."""

import math

import numpy as np
import pytest

from evaluation.tallies import Summary, Tally, measures, pooled

SECOND = 1_000_000


def spans(*seconds: tuple[int, int]) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    return np.array(seconds, dtype=np.int64).reshape(-1, 2) * SECOND


def flags(length: int, *seconds: tuple[int, int]) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    told = np.zeros(length, dtype=np.bool_)
    for first, last in seconds:
        told[first:last] = True
    return told


def tally(length: int, truth: list[tuple[int, int]], predicted: list[tuple[int, int]]) -> Tally:
    return Tally.of(flags(length, *truth), flags(length, *predicted), spans(*truth), spans(*predicted), float(length))


def test_metrics_by_hand() -> None:
    told = measures(tally(20, [(0, 4), (10, 20)], [(0, 3), (5, 7), (9, 20)]))
    assert told["accuracy"] == pytest.approx(16 / 20)
    assert told["precision"] == pytest.approx(13 / 16)
    assert told["recall"] == pytest.approx(13 / 14)
    assert (told["event_recall_50"], told["event_recall_70"], told["event_recall_90"]) == (1.0, 1.0, 0.5)
    assert told["event_precision_70"] == told["event_precision_90"] == pytest.approx(2 / 3)
    assert told["event_f1_90"] == pytest.approx(2 * 0.5 * (2 / 3) / (0.5 + 2 / 3))
    assert told["false_events_per_hour"] == pytest.approx(3600 / 20)


def test_the_overlap_counts_by_its_share() -> None:
    told = measures(tally(20, [(0, 10)], [(3, 17)]))  # 7 of 10 found, 7 of 14 right
    assert (told["event_recall_70"], told["event_recall_90"]) == (1.0, 0.0)
    assert (told["event_precision_50"], told["event_precision_70"]) == (1.0, 0.0)
    assert (told["false_events_per_hour_50"], told["false_events_per_hour"]) == (0.0, 180.0)


def test_micro_pools_and_macro_averages() -> None:
    one, other = tally(10, [(0, 10)], [(0, 10)]), tally(30, [(0, 10)], [])
    micro = measures(pooled([one, other]))
    assert micro["recall"] == 0.5 and micro["accuracy"] == pytest.approx(30 / 40)
    assert micro["event_recall_70"] == 0.5 and micro["event_precision_70"] == 1.0
    macro = Summary.of(measures(part)["accuracy"] for part in (one, other))
    assert macro.mean == pytest.approx((1 + 2 / 3) / 2) and macro.n == 2


def test_what_is_undefined_is_left_out() -> None:
    quiet = measures(tally(10, [], []))
    assert quiet["accuracy"] == 1.0 and math.isnan(quiet["recall"]) and math.isnan(quiet["event_recall_70"])
    lost = measures(Tally.of(flags(0), flags(0), spans((0, 4)), spans(), 0.0))
    assert math.isnan(lost["accuracy"]) and math.isnan(lost["false_events_per_hour"]) and lost["event_recall_70"] == 0
    assert Summary.of([math.nan, 0.5]).mean == 0.5
    assert Summary.of([math.nan]).n == 0


def test_deviation_is_that_of_the_published_tables() -> None:
    # S0, table 2: .7143 ± .4554 is 5 days of 7 found in each of 9 runs, deviation with n - 1.
    found = Summary.of([1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0] * 9)
    assert (round(found.mean, 4), round(found.deviation, 4), found.n) == (0.7143, 0.4554, 63)


def test_frames_of_two_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="same frames"):
        Tally.of(flags(3), flags(4), spans(), spans(), 1.0)
