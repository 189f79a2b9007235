import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score, roc_auc_score

from infra.errors import ConfigurationError
from models.metrics import (
    RankedScores,
    event_metrics,
    frame_ap,
    frame_auc,
    label_runs,
    match_events,
    match_frames,
    merge_spans,
)

labels = st.lists(st.booleans(), min_size=1, max_size=40).map(lambda flags: np.array(flags))
spans = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=12).map(
    lambda pairs: np.array([(start, start + length) for start, length in pairs], dtype=np.int64).reshape(-1, 2)
)


def covered(spans: NDArray[Any]) -> set[int]:
    return {t for start, end in spans.tolist() for t in range(start, end)}


def test_frame_metrics_by_hand() -> None:
    truth, scores = np.array([True, False, True, False]), np.array([0.9, 0.8, 0.7, 0.1])
    assert frame_auc(truth, scores) == 0.75
    assert frame_ap(truth, scores) == pytest.approx((1 + 2 / 3) / 2)


def test_a_metric_without_its_class_is_undefined() -> None:
    scores = np.array([0.1, 0.2])
    assert math.isnan(frame_auc(np.array([True, True]), scores)) and math.isnan(frame_auc(np.zeros(2, bool), scores))
    assert math.isnan(frame_ap(np.zeros(2, bool), scores))
    assert math.isnan(frame_auc(np.zeros(0, bool), np.zeros(0)))


@given(labels)
def test_runs_are_maximal_and_cover_exactly_the_true_frames(flags: NDArray[Any]) -> None:
    runs = label_runs(flags)
    assert covered(runs) == set(np.flatnonzero(flags).tolist())
    assert (runs[1:, 0] > runs[:-1, 1]).all()


@given(spans, st.integers(0, 5))
def test_merged_spans_are_apart_and_lose_nothing(given_spans: NDArray[Any], gap: int) -> None:
    merged = merge_spans(given_spans, gap)
    assert (merged[1:, 0] - merged[:-1, 1] > gap).all()
    assert covered(given_spans) <= covered(merged)
    assert gap > 0 or covered(given_spans) == covered(merged)


def test_the_seeds_example_of_twenty_frames() -> None:
    """18 of 20 frames predicted right is found at 90 %, 17 is not."""
    truth = np.zeros(60, bool)
    truth[20:40] = True
    for right, expected in ((18, True), (17, False)):
        predicted = np.zeros(60, bool)
        predicted[20 : 20 + right] = True
        assert match_frames(truth, predicted, 0.9).found.tolist() == [expected]


def test_a_true_event_found_in_pieces_is_found_and_its_pieces_are_no_false_alarms() -> None:
    match = match_events(np.array([[0, 100]]), np.array([[0, 40], [50, 95]]), 0.7)
    assert match.coverage.tolist() == [0.85] and match.found.all() and not match.false_positive.any()


def test_one_prediction_over_everything_finds_all_and_is_false() -> None:
    told = event_metrics([match_events(np.array([[0, 10], [90, 100]]), np.array([[0, 100]]), 0.5)], 3600)
    assert (told.recall, told.precision, told.f1, told.false_events_per_hour) == (1, 0, 0, 1)


def test_merging_over_a_gap_of_frames() -> None:
    truth, predicted = np.ones(10, bool), np.array([1, 1, 1, 1, 0, 1, 1, 1, 1, 1], bool)
    assert len(match_frames(truth, predicted, 0.7).agreement) == 2
    match = match_frames(truth, predicted, 0.95, merge_gap_frames=1)
    assert len(match.agreement) == 1 and match.found.all()


def test_metrics_are_pooled_over_matches() -> None:
    good = match_events(np.array([[0, 10]]), np.array([[0, 10]]), 0.7)
    bad = match_events(np.array([[0, 10], [20, 30], [40, 50]]), np.array([[60, 70]]), 0.7)
    told = event_metrics([good, bad], 7200)
    assert (told.recall, told.precision, told.false_events_per_hour) == (0.25, 0.5, 0.5)
    assert told.f1 == pytest.approx(1 / 3) and (told.true_events, told.predicted_events) == (4, 2)


def test_what_is_undefined_is_said() -> None:
    none, one = np.empty((0, 2), np.int64), np.array([[0, 10]])
    nothing = event_metrics([match_events(none, none, 0.7)], 60)
    assert math.isnan(nothing.recall) and math.isnan(nothing.precision) and math.isnan(nothing.f1)
    missed = event_metrics([match_events(one, none, 0.7)], 60)
    assert missed.recall == 0 and math.isnan(missed.precision) and missed.f1 == 0
    false = event_metrics([match_events(none, one, 0.7)], 60)
    assert math.isnan(false.recall) and false.precision == 0 and false.f1 == 0 and false.false_events_per_hour == 60


@pytest.mark.parametrize("overlap", [0.0, 1.1, math.nan])
def test_an_overlap_out_of_range_is_refused(overlap: float) -> None:
    with pytest.raises(ConfigurationError):
        match_events(np.array([[0, 1]]), np.array([[0, 1]]), overlap)


def test_an_empty_span_is_refused() -> None:
    with pytest.raises(ValueError, match="not empty"):
        match_events(np.array([[3, 3]]), np.array([[0, 1]]), 0.5)


@given(spans, spans, st.sampled_from([0.5, 0.7, 0.9, 1.0]))
def test_matching_follows_the_definition(truth: NDArray[Any], predicted: NDArray[Any], overlap: float) -> None:
    match = match_events(truth, predicted, overlap)
    said = covered(predicted)
    for span, coverage in zip(truth, match.coverage, strict=True):
        frames = covered(span[None])
        assert coverage == len(frames & said) / len(frames)
    for span, false in zip(predicted, match.false_positive, strict=True):
        frames = covered(span[None])
        shares = [len(frames & covered(true[None])) / len(frames) for true in truth]
        assert false == all(share < overlap for share in shares)


@given(labels, st.data())
def test_frames_and_spans_agree(truth: NDArray[Any], data: st.DataObject) -> None:
    predicted = np.array(data.draw(st.lists(st.booleans(), min_size=len(truth), max_size=len(truth))))
    by_frame = match_frames(truth, predicted, 0.7)
    by_span = match_events(label_runs(truth) * 40_000, label_runs(predicted) * 40_000, 0.7)
    np.testing.assert_array_equal(by_frame.found, by_span.found)
    np.testing.assert_array_equal(by_frame.false_positive, by_span.false_positive)


@given(st.lists(st.booleans(), min_size=1, max_size=20), st.data())
def test_events_of_one_frame_give_scikit_learns_frame_metrics(flags: list[bool], data: st.DataObject) -> None:
    """With every frame apart from the next, an event is a frame."""
    guesses = data.draw(st.lists(st.booleans(), min_size=len(flags), max_size=len(flags)))
    truth, predicted = np.zeros(2 * len(flags), bool), np.zeros(2 * len(flags), bool)
    truth[::2], predicted[::2] = flags, guesses
    told = event_metrics([match_frames(truth, predicted, 0.7)], 1)
    if any(flags) and any(guesses):
        assert told.recall == pytest.approx(recall_score(flags, guesses))
        assert told.precision == pytest.approx(precision_score(flags, guesses))
        assert told.f1 == pytest.approx(f1_score(flags, guesses))


@given(
    truth=st.lists(st.booleans(), min_size=2, max_size=60),
    data=st.data(),
)
def test_ranked_scores_are_those_of_scikit_learn_with_weights(truth: list[bool], data: st.DataObject) -> None:
    count = len(truth)
    flags = np.array(truth)
    scores = np.array(data.draw(st.lists(st.integers(0, 6), min_size=count, max_size=count)), dtype=np.float64)
    groups = np.array(data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)))
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=4, max_size=4)))
    auc, ap = RankedScores.of(flags, scores, groups).auc_and_ap(weights)
    each = weights[groups].astype(np.float64)
    positives, negatives = each[flags].sum(), each[~flags].sum()
    if positives:
        assert ap == pytest.approx(average_precision_score(flags, scores, sample_weight=each))
    else:
        assert math.isnan(ap)
    if positives and negatives:
        assert auc == pytest.approx(roc_auc_score(flags, scores, sample_weight=each))
    else:
        assert math.isnan(auc)


def test_the_curve_of_ranked_scores_begins_at_nothing_and_ends_at_all() -> None:
    ranked = RankedScores.of(
        np.array([True, False, True, False]), np.array([3.0, 2.0, 2.0, 1.0]), np.zeros(4, np.int64)
    )
    true, false = ranked.curve(np.array([2]))
    assert true.tolist() == [0, 2, 4, 4] and false.tolist() == [0, 0, 2, 4]
