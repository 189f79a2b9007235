"""Two versions on the same footage: scikit-learn's metrics beside ours, and intervals that are known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.stats import ttest_rel
from sklearn import metrics as reference

from workspace.comparisons import (
    LEVEL,
    Comparison,
    HeldOut,
    MetricPair,
    Pairs,
    Weights,
    chosen_words,
    compare_errors,
    compare_scores,
    paired,
    verdict,
)

NAMES = ["auc", "average_precision", "recall", "precision"]


def of_both(pairs: dict[str, tuple[float, float]], side: int) -> list[float]:
    return [pairs[name][side] for name in NAMES]


@settings(max_examples=15, deadline=None)
@given(some.integers(0, 2**32 - 1), some.integers(1, 6))
def test_metrics_are_scikit_learns_whatever_the_recordings(seed: int, recordings: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.append(random.random(40) < 0.4, [True, False])
    scores = random.normal(size=(2, 42)).round(1)
    found = compare_scores(truth, (scores[0], scores[1]), (0.0, 0.5), random.integers(0, recordings, 42))
    assert [one.name for one in found] == NAMES
    for side, threshold in enumerate((0.0, 0.5)):
        above = scores[side] > threshold
        expected = [
            reference.roc_auc_score(truth, scores[side]),
            reference.average_precision_score(truth, scores[side]),
            reference.recall_score(truth, above),
            reference.precision_score(truth, above) if above.any() else math.nan,
        ]
        told = [one.current if side == 0 else one.candidate for one in found]
        assert told == pytest.approx(expected, nan_ok=True)
    for one in found:
        assert math.isnan(one.low) == math.isnan(one.high)
        if not math.isnan(one.low):
            assert one.low <= one.high


def test_the_same_scores_differ_by_nothing_in_every_resample() -> None:
    random = np.random.default_rng(1)
    truth, scores, of = random.random(60) < 0.5, random.normal(size=60), np.repeat(np.arange(6), 10)
    for one in compare_scores(truth, (scores, scores), (0.1, 0.1), of):
        assert (one.difference, one.low, one.high) == (0.0, 0.0, 0.0)


def test_what_is_hard_in_a_recording_is_so_for_both() -> None:
    """Errors vary much between recordings, and the candidate is better by the same in all: the interval is that difference."""
    of = np.repeat(np.arange(5), 8)
    errors = of * 100.0 + np.tile(np.arange(8.0), 5)
    (found,) = compare_errors((errors, errors - 2.0), of)
    assert (found.name, found.better) == ("mean_error", "lower")
    assert [found.difference, found.low, found.high] == pytest.approx([-2.0, -2.0, -2.0])
    assert found.current == pytest.approx(errors.mean())


def test_the_interval_of_a_mean_is_students_over_recordings() -> None:
    random = np.random.default_rng(2)
    of = np.repeat(np.arange(20), 5)
    errors = random.normal(10, 1, (2, 100)) + np.arange(20)[of]
    (found,) = compare_errors((errors[0], errors[1]), of)
    means = np.array([np.bincount(of, side) / 5 for side in errors])
    expected = ttest_rel(means[1], means[0]).confidence_interval(LEVEL)
    assert [found.low, found.high] == pytest.approx([expected.low, expected.high], abs=0.05)


def test_of_one_recording_there_is_no_interval() -> None:
    (found,) = compare_errors((np.ones(3), np.zeros(3)), np.zeros(3, np.int64))
    assert found.difference == -1 and math.isnan(found.low)
    told = found.to_card()
    assert (told["difference"], told["low"], told["high"]) == (-1.0, None, None)


def test_where_all_are_of_one_kind_only_recall_is_defined() -> None:
    found = {
        one.name: one
        for one in compare_scores(
            np.ones(4, np.bool_), (np.arange(4.0), np.arange(4.0)[::-1]), (1.5, 0.5), np.array([0, 0, 1, 1])
        )
    }
    assert math.isnan(found["auc"].current)
    assert (found["recall"].current, found["recall"].candidate) == (0.5, 0.75)
    assert found["auc"].to_card()["difference"] is None


def test_no_resample_lacks_a_kind_of_recording() -> None:
    """Three recordings show what is looked for, three show none of it: AUC is defined in all resamples."""
    truth = np.arange(6) < 3
    seen: list[int] = []

    def statistic(weights: Weights) -> Pairs:
        seen.append(int(weights[:3].sum()))
        return {"x": (0.0, 0.0)}

    paired(statistic, truth.tolist())
    assert set(seen) == {3}
    best = np.array([3.0, 4, 5, 0, 1, 2])
    found = compare_scores(truth, (best, -best), (0, 0), np.arange(6))
    assert (found[0].current, found[0].candidate, found[0].low, found[0].high) == (1.0, 0.0, -1.0, -1.0)


@pytest.mark.parametrize(
    "shows", [[1], [1, 0], [1, 0, 1, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0]], ids=str
)
def test_of_too_few_recordings_of_a_kind_nothing_is_called_better(shows: list[int]) -> None:
    """One that stands alone in its stratum would be in every resample: the interval would have no width."""
    truth = np.array(shows, np.bool_)
    scores = np.arange(len(shows), dtype=float)
    for metric in compare_scores(truth, (scores, truth.astype(float)), (0.5, 0.5), np.arange(len(shows))):
        assert math.isnan(metric.low) and math.isnan(metric.high)
        held = HeldOut({str(one): str(one) for one in range(len(shows))}, len(shows), sum(shows))
        assert verdict(metric.to_card(), Comparison("v", held, ()).to_card()) == "too few recordings to tell"


def test_of_two_equally_good_versions_few_are_called_better_or_worse() -> None:
    """What is hard differs by recording and version. Percentiles as they are would speak of one in six of five recordings."""
    random, clear, trials = np.random.default_rng(5), 0, 60
    of = np.repeat(np.arange(5), 4)
    for _ in range(trials):
        errors = random.normal(0, 0.2, (2, len(of))) + random.normal(0, 1, (2, 5))[:, of]
        (found,) = compare_errors((errors[0], errors[1]), of)
        clear += found.low > 0 or found.high < 0
    assert clear <= 0.1 * trials


def test_what_the_current_scores_chose_is_never_called_better() -> None:
    """Labels lie where it errs then; that the candidate is worse all the same does count."""
    better, worse = MetricPair("auc", 0.5, 0.9, 0.1, 0.6), MetricPair("auc", 0.9, 0.5, -0.6, -0.1)
    recordings = {f"{one}.mp4": str(one) for one in range(6)}
    by_lot = Comparison("v", HeldOut(recordings, 20, 9), (better,)).to_card()
    asked = Comparison("v", HeldOut(recordings, 20, 9, chosen=7), (better,)).to_card()
    assert verdict(better.to_card(), by_lot) == "better" and chosen_words(by_lot) == ""
    assert "cannot be told" in verdict(better.to_card(), asked)
    assert verdict(worse.to_card(), asked) == verdict(worse.to_card(), by_lot) == "worse"
    assert "7 of the 20 held-out samples" in chosen_words(asked) and "favours the candidate" in chosen_words(asked)


def test_an_older_card_of_few_recordings_is_not_believed() -> None:
    """Cards of before have intervals of width 0 on two recordings."""
    metric = MetricPair("auc", 0.5, 0.9, 0.4, 0.4).to_card()
    assert verdict(metric, {"held_out": {"recordings": ["a", "b"]}}) == "too few recordings to tell"


def test_a_class_stands_before_the_names() -> None:
    found = compare_scores(
        np.array([True, False]), (np.array([1.0, 0]), np.array([1.0, 0])), (0.5, 0.5), np.array([0, 1]), of="fight"
    )
    assert [one.name for one in found] == [f"fight {name}" for name in NAMES]


def test_a_card_tells_recordings_by_path_and_content() -> None:
    told = Comparison("v1", HeldOut({"b.mp4": "1", "a.mp4": "2"}, 5, 2), ()).to_card()
    assert told["held_out"] == {
        "recordings": ["a.mp4", "b.mp4"],
        "recording_ids": ["1", "2"],
        "samples": 5,
        "positives": 2,
        "chosen": 0,
    }
    assert Comparison("v1", None, (), "why").to_card()["held_out"] is None
