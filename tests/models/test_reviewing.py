import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest, hypergeom

from infra.errors import ConfigurationError
from models.reviewing import MissedBound, clopper_pearson_upper, cohen_kappa, missed_upper_bound, recall_by_minutes

MINUTE = 60_000_000


def spans(*pairs: tuple[int, int]) -> NDArray[np.int64]:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def yes_no(text: str) -> NDArray[np.bool_]:
    return np.array([letter == "y" for letter in text])


@pytest.mark.parametrize(("unflagged", "share", "sampled"), [(60, 0.05, 20), (400, 0.02, 59), (400, 0.2, 30)])
def test_the_bound_holds_in_95_of_100_audits(unflagged: int, share: float, sampled: int) -> None:
    random = np.random.default_rng(0)
    truth = np.arange(unflagged) < round(share * unflagged)
    audits = [int(truth[random.permutation(unflagged)[:sampled]].sum()) for _ in range(2000)]
    bounds = {found: missed_upper_bound(found, sampled, unflagged) for found in set(audits)}
    holds = np.mean([bounds[found].count >= truth.sum() for found in audits])
    assert holds >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 2000)


def test_the_bound_covers_whatever_the_truth_is() -> None:
    unflagged, sampled = 40, 12
    bounds = [missed_upper_bound(found, sampled, unflagged).count for found in range(sampled + 1)]
    for relevant in range(unflagged + 1):
        found = np.arange(sampled + 1)
        chance = hypergeom.pmf(found, unflagged, relevant, sampled)
        assert chance[np.array(bounds) >= relevant].sum() >= 0.95


@settings(max_examples=60)
@given(st.data())
def test_the_bound_is_the_largest_number_that_the_audit_does_not_contradict(data: st.DataObject) -> None:
    unflagged = data.draw(st.integers(1, 60))
    sampled = data.draw(st.integers(0, unflagged))
    relevant = data.draw(st.integers(0, sampled))
    possible = range(relevant, unflagged - sampled + relevant + 1)
    likely = [number for number in possible if hypergeom.cdf(relevant, unflagged, number, sampled) > 0.05]
    bound = missed_upper_bound(relevant, sampled, unflagged)
    assert bound.count == max(likely)
    assert bound.share == bound.count / unflagged
    assert bound.share <= clopper_pearson_upper(relevant, sampled) + 1e-9


def test_nothing_found_in_59_means_at_most_5_percent() -> None:
    bound = missed_upper_bound(0, 59, 1_000_000)
    assert bound.share == pytest.approx(1 - 0.05 ** (1 / 59), abs=1e-4)
    assert bound.share < 0.05
    assert clopper_pearson_upper(0, 59) == pytest.approx(1 - 0.05 ** (1 / 59))


def test_what_was_wholly_audited_is_known_and_what_was_not_is_unbounded() -> None:
    assert missed_upper_bound(3, 50, 50) == MissedBound(0.06, 3)
    assert missed_upper_bound(0, 0, 50) == MissedBound(1.0, 50)
    assert missed_upper_bound(0, 0, 0) == MissedBound(0.0, 0)


@pytest.mark.parametrize(("relevant", "sampled"), [(0, 1), (1, 10), (5, 59), (10, 10), (0, 0)])
def test_clopper_pearson_is_scipys(relevant: int, sampled: int) -> None:
    expected = 1.0
    if sampled:
        expected = binomtest(relevant, sampled, alternative="less").proportion_ci(0.95, "exact").high
    assert clopper_pearson_upper(relevant, sampled) == pytest.approx(expected)


def test_an_audit_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="relevant <= sampled <= unflagged"):
        missed_upper_bound(1, 20, 10)
    with pytest.raises(ConfigurationError, match="confidence"):
        missed_upper_bound(0, 5, 10, confidence=1.0)


def test_kappa_of_the_textbook() -> None:
    # Two readers of 50 grant proposals, both yes 20, both no 15, 5 and 10 apart: κ = (0.7 - 0.5) / (1 - 0.5).
    first, second = yes_no("y" * 25 + "n" * 25), yes_no("y" * 20 + "n" * 5 + "y" * 10 + "n" * 15)
    moments = spans(*((at, at + 1) for at in range(50)))
    told = cohen_kappa(moments, first, moments, second)
    assert told.kappa == pytest.approx(0.4)
    assert told.share == pytest.approx(0.7)
    assert told.conflicts.tolist() == [[at, at] for at in range(20, 35)]


def test_labels_are_paired_by_the_longest_overlap_and_once() -> None:
    first = spans((0, 10), (20, 30), (50, 60))
    second = spans((25, 28), (8, 12), (0, 9), (21, 25), (60, 70))
    told = cohen_kappa(first, yes_no("yny"), second, yes_no("nnyyy"))
    assert told.pairs.tolist() == [[0, 2], [1, 3]]
    assert told.conflicts.tolist() == [[1, 3]]
    assert told.share == 0.5


def test_kappa_is_not_known_without_pairs_or_without_two_answers() -> None:
    one, other = spans((0, 1)), spans((5, 6))
    apart = cohen_kappa(one, yes_no("y"), other, yes_no("y"))
    assert math.isnan(apart.kappa)
    assert math.isnan(apart.share)
    assert apart.conflicts.shape == (0, 2)
    same = cohen_kappa(one, yes_no("y"), one, yes_no("y"))
    assert math.isnan(same.kappa)
    assert same.share == 1
    none = cohen_kappa(spans(), yes_no(""), one, yes_no("y"))
    assert len(none.pairs) == 0


def test_recall_rises_with_the_first_look_at_each_true_span() -> None:
    true = spans((0, MINUTE), (10 * MINUTE, 12 * MINUTE))
    looked = spans((5 * MINUTE, 6 * MINUTE), (11 * MINUTE, 13 * MINUTE), (12 * MINUTE, 14 * MINUTE), (0, 1))
    told = recall_by_minutes(true, looked)
    np.testing.assert_allclose(told.minutes, [0, 1, 3, 4, 4], atol=1e-6)
    assert told.recall.tolist() == [0, 0, 0.5, 0.5, 1]


def test_a_span_that_is_only_touched_at_its_end_is_not_found() -> None:
    assert recall_by_minutes(spans((0, 10)), spans((10, 20))).recall.tolist() == [0, 0]


def test_recall_without_true_spans_is_unknown_and_without_looks_nothing() -> None:
    assert np.isnan(recall_by_minutes(spans(), spans((0, MINUTE))).recall).all()
    told = recall_by_minutes(spans((0, 1)), spans())
    assert (told.minutes.tolist(), told.recall.tolist()) == ([0], [0])
    with pytest.raises(ValueError, match="from < to"):
        recall_by_minutes(spans((3, 3)), spans())


some_spans = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)), max_size=8)


@settings(max_examples=80)
@given(some_spans, some_spans)
def test_the_review_curve_is_that_of_counting_moments(
    true: list[tuple[int, int]], looked: list[tuple[int, int]]
) -> None:
    true_spans = spans(*((at, at + length) for at, length in true))
    looked_spans = spans(*((at, at + length) for at, length in looked))
    told = recall_by_minutes(true_spans, looked_spans)
    seen: set[int] = set()
    for look, (begin, end) in enumerate(looked_spans.tolist(), start=1):
        seen |= set(range(begin, end))
        assert told.minutes[look] * MINUTE == pytest.approx(len(seen))
        if true:
            found = [bool(seen & set(range(a, b))) for a, b in true_spans.tolist()]
            assert told.recall[look] == pytest.approx(np.mean(found))
