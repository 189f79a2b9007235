"""Matching events of two versions, and whether their difference can be chance: known answers and reference implementations."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.stats import binomtest, permutation_test

from models.flips import McNemar, Spans, match_events, sign_flip_test, temporal_iou

spans_of_any = some.lists(
    some.tuples(some.integers(0, 30), some.integers(1, 12)).map(lambda one: (one[0], one[0] + one[1])), max_size=5
)


def spans(*told: tuple[int, int]) -> Spans:
    return np.array(sorted(told), np.int64).reshape(-1, 2)


def test_events_are_kept_moved_lost_and_gained() -> None:
    current = spans((0, 10), (20, 30), (50, 60))
    candidate = spans((1, 10), (26, 40), (80, 90))
    matching = match_events(current, candidate)
    assert [(pair.current, pair.candidate, pair.moved) for pair in matching.pairs] == [(0, 0, False), (1, 1, True)]
    assert matching.pairs[0].iou == pytest.approx(0.9)
    assert matching.pairs[1].iou == pytest.approx(4 / 20)
    assert (matching.lost, matching.gained) == ((2,), (2,))


def test_half_is_kept_and_what_only_touches_is_not_the_same() -> None:
    (pair,) = match_events(spans((0, 10)), spans((0, 20))).pairs
    assert pair.iou == 0.5 and not pair.moved
    assert match_events(spans((0, 10)), spans((10, 20))).pairs == ()


def test_one_event_that_falls_apart_is_one_event_and_one_more() -> None:
    matching = match_events(spans((0, 100)), spans((0, 60), (65, 100)))
    assert [(pair.current, pair.candidate) for pair in matching.pairs] == [(0, 0)]
    assert matching.gained == (1,)


def test_the_sum_of_the_overlaps_decides_and_not_the_first_that_fits() -> None:
    # Taking the best pair first, (0, 10) with (1, 10), would leave the other two without a partner.
    matching = match_events(spans((0, 10), (9, 30)), spans((1, 10), (8, 25)))
    assert [(pair.current, pair.candidate) for pair in matching.pairs] == [(0, 0), (1, 1)]
    greedy_trap = match_events(spans((0, 12), (6, 13)), spans((4, 14), (10, 40)))
    assert sum(pair.iou for pair in greedy_trap.pairs) == pytest.approx(
        _best(spans((0, 12), (6, 13)), spans((4, 14), (10, 40)))
    )


def test_nothing_matches_nothing_and_an_empty_event_is_refused() -> None:
    nothing = spans()
    assert match_events(nothing, nothing).pairs == ()
    assert match_events(spans((0, 1)), nothing).lost == (0,)
    assert match_events(nothing, spans((0, 1))).gained == (0,)
    with pytest.raises(ValueError, match="ends after it begins"):
        match_events(spans((3, 3)), nothing)
    with pytest.raises(ValueError, match=r"\(N, 2\)"):
        match_events(np.zeros(3, np.int64), nothing)


def _best(current: Spans, candidate: Spans) -> float:
    """The largest sum of IoU of any one-to-one matching, by trying them all."""
    iou = temporal_iou(current, candidate)
    if len(current) > len(candidate):
        iou = iou.T
    return max(
        (
            sum(iou[row, column] for row, column in enumerate(chosen))
            for chosen in itertools.permutations(range(iou.shape[1]), iou.shape[0])
        ),
        default=0.0,
    )


@settings(max_examples=150, deadline=None)
@given(spans_of_any, spans_of_any)
def test_the_matching_is_the_best_there_is(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    current, candidate = spans(*first), spans(*second)
    matching = match_events(current, candidate)
    assert sum(pair.iou for pair in matching.pairs) == pytest.approx(_best(current, candidate))
    assert sorted([*matching.lost, *(pair.current for pair in matching.pairs)]) == list(range(len(current)))
    assert sorted([*matching.gained, *(pair.candidate for pair in matching.pairs)]) == list(range(len(candidate)))
    for pair in matching.pairs:
        begin, end = (
            step(current[pair.current, at], candidate[pair.candidate, at]) for at, step in ((0, max), (1, min))
        )
        assert begin < end


# Differences of counts


def test_of_four_units_that_all_differ_alike_two_of_sixteen_exchanges_are_as_large() -> None:
    test = sign_flip_test([1, 2, 1, 3])
    assert (test.units, test.differing, test.difference, test.method) == (4, 4, 7, "exact")
    assert test.p == pytest.approx(2 / 16)
    assert test.too_few
    assert not sign_flip_test([1] * 6).too_few
    assert sign_flip_test([1] * 6).p == pytest.approx(2 / 64)


def test_units_that_do_not_differ_say_nothing() -> None:
    assert sign_flip_test([0, 0, 0]).p == 1.0
    assert sign_flip_test([]).p == 1.0
    assert sign_flip_test([2, 0, -1, 0, 0]).p == sign_flip_test([2, -1]).p


@settings(max_examples=60, deadline=None)
@given(some.lists(some.integers(-6, 6), min_size=1, max_size=9))
def test_the_exact_test_counts_every_exchange(differences: list[int]) -> None:
    sums = [
        abs(sum(sign * value for sign, value in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    expected = sum(one >= abs(sum(differences)) for one in sums) / len(sums)
    assert sign_flip_test(differences).p == pytest.approx(expected, abs=1e-12)
    assert sign_flip_test([-value for value in differences]).p == pytest.approx(expected, abs=1e-12)


def test_the_exact_test_is_that_of_scipy() -> None:
    differences = np.array([3, -1, 2, 2, 0, 5, -2, 1, 1])

    def total(values: Any, axis: int) -> Any:
        return values.sum(axis=axis)

    reference = permutation_test((differences,), total, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_test(differences.tolist()).p == pytest.approx(reference.pvalue)


def test_where_there_are_too_many_to_count_some_are_drawn_by_the_seed() -> None:
    differences = [3, -1, 2, 2, 4, 5, -2, 1, 1, 2]
    drawn = sign_flip_test(differences, exact_cells=0, samples=20_000, seed=7)
    assert (drawn.method, drawn.samples, drawn.seed) == ("sampled", 20_000, 7)
    assert drawn == sign_flip_test(differences, exact_cells=0, samples=20_000, seed=7)
    assert drawn.p == pytest.approx(sign_flip_test(differences).p, abs=0.01)
    assert sign_flip_test([9] * 40, exact_cells=0, samples=50).p == pytest.approx(1 / 51)


def test_many_units_are_counted_exactly_without_leaving_what_a_float_can_hold() -> None:
    test = sign_flip_test([1] * 2000 + [-1] * 1900)
    assert test.method == "exact"
    assert test.p == pytest.approx(binomtest(2000, 3900).pvalue, rel=1e-6)


# Verdicts


def test_mcnemar_is_the_binomial_of_the_discordant() -> None:
    current = [True] * 12 + [False] * 9
    candidate = [True] * 10 + [False] * 2 + [True] * 7 + [False] * 2
    counted = McNemar.of(current, candidate)
    assert (counted.both, counted.only_current, counted.only_candidate, counted.neither) == (10, 2, 7, 2)
    assert (counted.judged, counted.discordant, counted.too_few) == (21, 9, False)
    assert counted.p == pytest.approx(binomtest(2, 9).pvalue)


@given(some.integers(0, 60), some.integers(0, 60))
def test_mcnemar_agrees_with_scipy_and_does_not_mind_which_is_which(first: int, second: int) -> None:
    counted = McNemar(5, 5, first, second)
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert counted.p == pytest.approx(expected)
    assert counted.p == McNemar(1, 9, second, first).p
    assert counted.too_few == (first + second < 6)
