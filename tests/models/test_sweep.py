"""The sweep of a threshold: counts by hand, curves against scikit-learn, and what each criterion chooses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    fbeta_score,
    precision_recall_curve,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from infra.errors import ConfigurationError
from models.sweep import F2, Confusion, Criterion, Sweep, choose_inside, sweep

TRUTH = np.array([True, True, False, True, False, False])
SCORES = np.array([0.9, 0.8, 0.6, 0.6, 0.3, 0.1], np.float32)

scored = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=40).map(
    lambda rows: (np.array([row[0] for row in rows]), np.array([row[1] / 20 for row in rows]))
)


def test_counts_by_hand() -> None:
    told = sweep(TRUTH, SCORES)
    assert told.thresholds == pytest.approx([0.95, 0.85, 0.7, 0.45, 0.2, 0.05], abs=1e-6)
    assert told.true_positives.tolist() == [0, 1, 2, 3, 3, 3]
    assert told.false_positives.tolist() == [0, 0, 0, 1, 2, 3]
    assert told.false_negatives.tolist() == [3, 2, 1, 0, 0, 0]
    assert told.true_negatives.tolist() == [3, 3, 3, 2, 1, 0]
    assert told.precision == pytest.approx([np.nan, 1, 1, 3 / 4, 3 / 5, 1 / 2], nan_ok=True)
    assert told.recall == pytest.approx([0, 1 / 3, 2 / 3, 1, 1, 1])
    assert told.f_beta(1)[3] == pytest.approx(6 / 7)
    assert told.cost(1, 5).tolist() == [15, 10, 5, 1, 2, 3]
    assert told.at(float(SCORES[2])) == Confusion(2, 0, 1, 3), "at a score itself, the clip is not above it"
    assert told.at(0.59) == Confusion(3, 1, 0, 2)


@settings(deadline=None, max_examples=25)
@given(scored, st.floats(0.01, 0.99))
def test_every_threshold_is_what_scikit_learn_makes_of_its_predictions(
    rows: tuple[np.ndarray, np.ndarray], at: float
) -> None:
    truth, scores = rows
    told = sweep(truth, scores)
    places = [int(np.flatnonzero(told.thresholds == value)[0]) for value in told.thresholds.tolist()]
    for place, value in [*zip(places, told.thresholds.tolist(), strict=True), (None, at)]:
        predicted = scores > value
        one = told.at(value)
        assert one.precision == pytest.approx(precision_score(truth, predicted, zero_division=np.nan), nan_ok=True)
        assert one.recall == pytest.approx(recall_score(truth, predicted, zero_division=np.nan), nan_ok=True)
        assert one.f_beta(2) == pytest.approx(fbeta_score(truth, predicted, beta=2, zero_division=np.nan), nan_ok=True)
        assert one.accuracy == pytest.approx(np.mean(predicted == truth))
        if place is not None:
            assert (one.true_positives, one.false_positives) == (
                told.true_positives[place],
                told.false_positives[place],
            )


@settings(deadline=None, max_examples=25)
@given(scored)
def test_curves_and_areas_are_those_of_scikit_learn(rows: tuple[np.ndarray, np.ndarray]) -> None:
    truth, scores = rows
    told = sweep(truth, scores)
    if truth.any():
        assert told.average_precision == pytest.approx(average_precision_score(truth, scores))
        precision, recall, _ = precision_recall_curve(truth, scores)
        ours_recall, ours_precision = told.precision_recall()
        assert ours_recall == pytest.approx(recall[:-1][::-1])
        assert ours_precision == pytest.approx(precision[:-1][::-1])
    if truth.any() and not truth.all():
        assert told.auc == pytest.approx(roc_auc_score(truth, scores))
        across, up, _ = roc_curve(truth, scores, drop_intermediate=False)
        assert told.roc()[0] == pytest.approx(across) and told.roc()[1] == pytest.approx(up)


@settings(deadline=None, max_examples=25)
@given(scored, st.sampled_from(["f1", "f2", "f0.5", "recall=0.8", "cost=1,5", "cost=3,1"]))
def test_no_threshold_does_better_than_the_chosen_one(rows: tuple[np.ndarray, np.ndarray], said: str) -> None:
    truth, scores = rows
    scores = np.clip(scores, 0.01, 1)  # at 0 no threshold on a probability lets a clip pass
    if not truth.any():
        truth[0] = True
    told, criterion = sweep(truth, scores), Criterion.parse(said)
    chosen = told.choose(criterion)
    assert 0 < chosen < 1
    inside = [told.at(value) for value in np.linspace(0.005, 0.999, 200)]
    at = told.at(chosen)
    match criterion.kind:
        case "f_beta":
            assert at.f_beta(criterion.values[0]) >= max(one.f_beta(criterion.values[0]) for one in inside) - 1e-12
        case "recall":
            assert at.recall >= criterion.values[0]
            precise = [one.precision for one in inside if one.recall >= criterion.values[0]]
            assert at.precision >= max(precise) - 1e-12
        case _:
            assert at.cost(*criterion.values) <= min(one.cost(*criterion.values) for one in inside)


@pytest.mark.parametrize(
    ("said", "threshold"),
    [
        ("f2", 0.45),
        ("recall=0.6", 0.7),
        ("recall=0.7", 0.45),
        ("precision=0.8", 0.7),
        ("cost=1,5", 0.45),
        ("f0.1", 0.7),
    ],
)
def test_what_criteria_choose_by_hand(said: str, threshold: float) -> None:
    assert sweep(TRUTH, SCORES).choose(Criterion.parse(said)) == pytest.approx(threshold, abs=1e-6)


def test_of_thresholds_as_good_the_one_with_the_greater_recall_is_taken() -> None:
    told = sweep(np.array([True, False, False, True]), np.array([0.9, 0.5, 0.5, 0.2]))
    assert told.cost(2, 1).tolist() == [2, 1, 5, 4]
    assert sweep(np.array([True, False]), np.array([0.5, 0.5])).choose(Criterion("cost", (1, 1))) == 0.25


def test_clips_of_equal_score_share_one_step() -> None:
    told = sweep(np.array([True, False, True]), np.full(3, 0.5))
    assert told.thresholds.tolist() == [0.75, 0.25]
    assert told.auc == 0.5


def test_an_empty_class_is_undefined_not_zero() -> None:
    nothing = sweep(np.zeros(3, np.bool_), np.array([0.1, 0.2, 0.3]))
    assert np.isnan(nothing.recall).all() and np.isnan(nothing.auc) and np.isnan(nothing.average_precision)
    assert np.isnan(nothing.at(0.99).precision) and nothing.at(0.99).accuracy == 1
    with pytest.raises(ConfigurationError, match="no clip is of the class"):
        nothing.choose(F2)
    assert nothing.choose(Criterion("cost", (1, 5))) > 0.3, "costs need no clip of the class"
    everything = sweep(np.ones(3, np.bool_), np.array([0.1, 0.2, 0.3]))
    assert np.isnan(everything.auc) and everything.average_precision == 1


def test_scores_of_nought_and_one_are_told_apart_by_thresholds_between_them_only() -> None:
    told = sweep(np.array([True, False]), np.array([1.0, 0.0]))
    assert told.thresholds.tolist() == [1.0, 0.5, -1.0]
    assert told.at(-1.0) == Confusion(1, 1, 0, 0) and told.at(1.0) == Confusion(0, 0, 1, 1)
    assert told.choose(F2) == 0.5
    with pytest.raises(ConfigurationError, match=r"the greatest is 0\.500; ask for less"):
        sweep(np.array([True, True]), np.array([1.0, 0.0])).choose(Criterion("recall", (0.9,)))


def test_a_precision_out_of_reach_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"no threshold has a precision 0\.9 or more, the greatest is 0\.500"):
        sweep(np.array([False, True]), np.array([0.9, 0.5])).choose(Criterion("precision", (0.9,)))


def test_a_threshold_chosen_inside_each_fold_sees_nothing_of_it() -> None:
    truth = np.array([True, False, True, False])
    fold = np.array([0, 0, 1, 1])
    inner = np.array([[np.nan, np.nan, 0.9, 0.1], [0.3, 0.1, np.nan, np.nan]])
    thresholds, confusion = choose_inside(truth, np.array([0.6, 0.55, 0.6, 0.4]), fold, inner)
    assert thresholds == pytest.approx([0.5, 0.2])
    assert confusion == Confusion(2, 2, 0, 0)
    one_class = np.array([True, True, False, False])
    thresholds, confusion = choose_inside(one_class, np.full(4, 0.9), fold, np.where(np.isnan(inner), inner, 0.2))
    assert np.isnan(thresholds[0]) and thresholds[1] == pytest.approx(0.1)
    assert confusion == Confusion(0, 2, 2, 0), "a fold without the class in its training part predicts nothing"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("f2", "f_beta 2"),
        ("f0.5", "f_beta 0.5"),
        ("f_beta=2", "f_beta 2"),
        ("recall=0.80", "recall 0.8"),
        ("precision 0.9", "precision 0.9"),
        ("cost=1,5", "cost 1 5"),
    ],
)
def test_criteria_are_read_and_told_in_words(said: str, words: str) -> None:
    assert Criterion.parse(said).words == words
    assert Criterion.parse(words) == Criterion.parse(said)


@pytest.mark.parametrize(
    "said", ["", "f", "f0", "best", "recall", "recall=0", "recall=1.2", "cost=1", "cost=0,0", "recall=0.8,1", "f1.2.3"]
)
def test_what_is_no_criterion_is_refused_with_examples(said: str) -> None:
    with pytest.raises(ConfigurationError, match=r'"f2", "recall=0[.]8"'):
        Criterion.parse(said)


@pytest.mark.parametrize(
    ("truth", "scores"),
    [
        (TRUTH, SCORES[:-1]),
        (TRUTH[:0], SCORES[:0]),
        (TRUTH, SCORES + 1),
        (TRUTH, np.full(6, np.nan)),
        (TRUTH.astype(int), SCORES),
    ],
)
def test_what_cannot_be_swept_is_refused(truth: np.ndarray, scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"truth is bool|probabilities"):
        sweep(truth, scores)


def test_a_sweep_is_made_of_its_parts() -> None:
    told = sweep(TRUTH, SCORES)
    again = Sweep(told.scores, told.true_positives, told.false_positives, told.positives, told.negatives)
    assert np.array_equal(again.thresholds, told.thresholds)
