"""Two versions on the same footage: scikit-learn's metrics beside ours, and intervals that are known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sklearn import metrics as reference

from workspace.comparisons import (
    LEVEL,
    Comparison,
    HeldOut,
    Pairs,
    Weights,
    compare_errors,
    compare_scores,
    paired,
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


def test_the_interval_is_the_percentile_one_over_recordings() -> None:
    random = np.random.default_rng(2)
    of = np.repeat(np.arange(4), 25)
    errors = random.normal(10, 1, (2, 100)) + np.array([0, 1, 2, 3])[of]
    (found,) = compare_errors((errors[0], errors[1]), of)
    drawn = np.random.default_rng(3).integers(0, 4, (20_000, 4))
    means = np.array([[side[of == number].mean() for number in range(4)] for side in errors])
    differences = (means[1] - means[0])[drawn].mean(axis=1)
    tail = (1 - LEVEL) / 2
    assert [found.low, found.high] == pytest.approx(np.quantile(differences, [tail, 1 - tail]).tolist(), abs=0.05)


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
    """One recording shows what is looked for, three show none of it: AUC is defined in all resamples."""
    truth = np.array([True, False, False, False])
    seen: list[int] = []

    def statistic(weights: Weights) -> Pairs:
        seen.append(int(weights[0]))
        return {"x": (0.0, 0.0)}

    paired(statistic, [2, 1, 1, 1])
    assert set(seen) == {1}
    found = compare_scores(truth, (np.array([3.0, 1, 2, 0]), np.array([0.0, 1, 2, 3])), (0, 0), np.arange(4))
    assert (found[0].current, found[0].candidate, found[0].low, found[0].high) == (1.0, 0.0, -1.0, -1.0)


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
    }
    assert Comparison("v1", None, (), "why").to_card()["held_out"] is None
