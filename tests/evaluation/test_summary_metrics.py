"""Knapsack, rank correlation and blind choices, held against brute force and against SciPy."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import kendalltau, spearmanr

from evaluation.summary_metrics import (
    Rankings,
    drawn_by_lot,
    evenly_spaced,
    f1_of_frames,
    keyshots,
    shot_means,
)

shots = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), min_size=1, max_size=9)


@settings(deadline=None, max_examples=150)
@given(shots, st.integers(0, 40))
def test_keyshots_are_worth_as_much_as_the_best_of_all_sets(told: list[tuple[int, int]], capacity: int) -> None:
    values, lengths = np.array(told).T
    best = max(
        sum(value for value, taken in zip(values, chosen, strict=True) if taken)
        for chosen in product((False, True), repeat=len(told))
        if sum(length for length, taken in zip(lengths, chosen, strict=True) if taken) <= capacity
    )
    found = keyshots(values.astype(np.float64), lengths, capacity)
    assert values[found].sum() == best
    assert lengths[found].sum() <= capacity


def test_of_sets_worth_the_same_the_earlier_shots_stay() -> None:
    assert keyshots(np.array([1.0, 1.0, 1.0]), np.array([2, 2, 2]), 4).tolist() == [True, True, False]


def test_keyshots_refuse_what_is_no_value() -> None:
    with pytest.raises(ValueError, match="finite value"):
        keyshots(np.array([np.nan]), np.array([2]), 4)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(1, 6))
def test_rank_correlations_are_scipys(seed: int, frames: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    people = random.integers(1, 1 + levels, (3, frames)).astype(np.float64)
    methods = np.stack([random.random(frames), random.integers(0, 4, frames), np.ones(frames)])
    taus = Rankings.of(people).kendall_tau_b(Rankings.of(methods))
    rhos = Rankings.of(people).spearman_rho(Rankings.of(methods))
    assert taus.shape == rhos.shape == (3, 3)
    for row, method in enumerate(methods):
        for column, person in enumerate(people):
            constant = len(set(method)) == 1 or len(set(person)) == 1
            tau = np.nan if constant else kendalltau(method, person).statistic
            rho = np.nan if constant else spearmanr(method, person).statistic
            assert_allclose((taus[row, column], rhos[row, column]), (tau, rho), atol=1e-12)


def test_the_same_order_is_one_and_the_opposite_minus_one() -> None:
    frames = np.arange(50.0)
    mine = Rankings.of(frames[None, :])
    other = Rankings.of(np.stack([frames**3, -frames]))
    assert_allclose(mine.kendall_tau_b(other), [[1.0], [-1.0]])
    assert_allclose(mine.spearman_rho(other), [[1.0], [-1.0]])


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(0, 60), st.integers(0, 99))
def test_blind_choices_keep_to_the_length(lengths: list[int], capacity: int, seed: int) -> None:
    told = np.array(lengths)
    drawn = drawn_by_lot(told, capacity, np.random.default_rng(seed))
    assert told[drawn].sum() <= capacity
    assert not (told[~drawn] <= capacity - told[drawn].sum()).any()
    assert told[evenly_spaced(told, capacity)].sum() <= capacity


def test_equal_distances_on_equal_shots() -> None:
    chosen = evenly_spaced(np.full(20, 5), 20)
    assert np.flatnonzero(chosen).tolist() == [2, 7, 12, 17]
    assert evenly_spaced(np.full(20, 5), 100).all()
    assert not evenly_spaced(np.full(20, 5), 4).any()


def test_every_shot_is_drawn_as_often_as_another() -> None:
    counts = sum(drawn_by_lot(np.full(10, 3), 9, np.random.default_rng(seed)).astype(np.int64) for seed in range(2000))
    assert_allclose(counts, 600, atol=90)


def test_means_of_shots_and_f1_of_frames() -> None:
    assert_allclose(shot_means(np.array([[1, 3, 5, 5], [0, 0, 0, 2]]), np.array([0, 2, 3, 4])), [[2, 5, 5], [0, 0, 2]])
    mine = np.array([[True, True, False, False], [False, False, False, False]])
    theirs = np.array([[True, False, False, False], [False, False, True, True]])
    assert_allclose(f1_of_frames(mine, theirs), [[2 / 3, 0.0], [0.0, 0.0]])
