import tracemalloc
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.summary import knapsack
from models.summary.candidates import best_first, gather_candidates
from models.summary.knapsack import fill_budget

MS = 1000


def every_row(count: int) -> NDArray[np.int64]:
    return np.arange(count, dtype=np.int64)


def by_table_over_all(lengths: NDArray[np.int64], values: NDArray[np.float64], capacity: int) -> float:
    """The textbook's table, item by item."""
    best = np.zeros(capacity + 1)
    for length, value in zip(lengths.tolist(), values.tolist(), strict=True):
        if length <= capacity:
            best[length:] = np.maximum(best[length:], best[: capacity + 1 - length] + value)
    return float(best[capacity])


items = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 20)), max_size=9)


@settings(deadline=None)
@given(items, st.integers(0, 30))
def test_no_other_choice_within_the_budget_is_worth_more(items: list[tuple[int, int]], budget: int) -> None:
    lengths, values = (np.array(column, dtype=np.int64) for column in np.array(items).reshape(-1, 2).T)
    rows = best_first(values, np.zeros(len(items), dtype=np.int64), every_row(len(items)))
    chosen = fill_budget(lengths * MS, values / 20, rows, budget * MS).tolist()
    assert len(set(chosen)) == len(chosen) and lengths[chosen].sum() <= budget
    ways = (way for size in range(len(items) + 1) for way in combinations(range(len(items)), size))
    best = max(values[list(way)].sum() for way in ways if lengths[list(way)].sum() <= budget)
    assert values[chosen].sum() == best


@pytest.mark.parametrize("seed", range(12))
def test_many_of_odd_lengths_are_chosen_as_the_textbook_does(seed: int) -> None:
    random = np.random.default_rng(seed)
    lengths = random.choice([4000, 4000, 4000, 2777, 5191, 6013], 400) if seed % 2 else random.integers(900, 9000, 400)
    values = random.random(400) if seed % 3 else random.integers(1, 6, 400) / 5
    capacity = int(random.integers(0, 60_000))
    rows = best_first(values, np.zeros(400, dtype=np.int64), every_row(400))
    chosen = fill_budget(lengths * MS, values, rows, capacity * MS + 999)
    assert lengths[chosen].sum() <= capacity
    assert values[chosen].sum() == pytest.approx(by_table_over_all(lengths, values, capacity), abs=1e-9)


@settings(deadline=None)
@given(items, st.integers(0, 40))
def test_candidates_lose_nothing(items: list[tuple[int, int]], budget: int) -> None:
    lengths, values = (np.array(column, dtype=np.int64) for column in np.array(items).reshape(-1, 2).T)
    none = np.empty(0, dtype=np.int64)
    rows = best_first(values, np.zeros(len(items), dtype=np.int64), every_row(len(items)))
    candidates = gather_candidates(rows, lengths * MS, budget * MS, None, 1.0, none)
    assert candidates.tolist() == [row for row in rows.tolist() if row in candidates]
    some, all_of_them = (fill_budget(lengths * MS, values, given_, budget * MS) for given_ in (candidates, rows))
    assert values[some].sum() == values[all_of_them].sum()


def test_of_one_length_no_more_are_candidates_than_fit() -> None:
    rows = every_row(5000)
    lengths = np.full(5000, 4 * MS)
    assert gather_candidates(rows, lengths, 19 * MS, None, 1.0, rows[:0]).tolist() == [0, 1, 2, 3]
    assert gather_candidates(rows, lengths, 3 * MS, None, 1.0, rows[:0]).tolist() == []
    lengths[4500] = 3 * MS
    assert gather_candidates(rows, lengths, 19 * MS, None, 1.0, rows[:0]).tolist() == [0, 1, 2, 3, 4500]


@settings(deadline=None)
@given(st.integers(0, 60), st.floats(-0.5, 0.95), st.integers(0, 200), st.integers(2, 9))
def test_candidates_are_those_of_a_pass_row_by_row(count: int, maximum_cosine: float, seed: int, block: int) -> None:
    random = np.random.default_rng(seed)
    looks = random.standard_normal((count + 2, 3)).astype(np.float32)
    looks[random.random(count + 2) < 0.1] = np.nan
    unit = looks / np.linalg.norm(looks, axis=1, keepdims=True)
    lengths = random.integers(1, 5, count + 2)
    rows, shown, budget = every_row(count), np.array([count, count + 1]), 20
    kept: list[int] = []
    for row in rows.tolist():
        alike = any(unit[row] @ unit[other] > maximum_cosine for other in [*shown.tolist(), *kept])
        no_longer = sum(int(lengths[other]) for other in kept if lengths[other] <= lengths[row])
        if not alike and no_longer + lengths[row] <= budget:
            kept.append(row)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.summary.candidates.BLOCK_ROWS", block)
        told = gather_candidates(rows, lengths, budget, looks, maximum_cosine, shown)
    assert told.tolist() == kept


def test_a_long_budget_is_counted_coarser_but_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    lengths, values = random.integers(900, 9000, 60), random.integers(1, 4, 60) / 3
    rows = best_first(values, every_row(60), every_row(60))
    exact = fill_budget(lengths * MS, values, rows, 100_000 * MS)
    monkeypatch.setattr(knapsack, "MOST_CELLS", 500)
    coarse = fill_budget(lengths * MS, values, rows, 100_000 * MS)
    assert lengths[coarse].sum() <= 100_000
    assert 0.9 * values[exact].sum() <= values[coarse].sum() <= values[exact].sum()


def test_many_lengths_of_one_density_take_bounded_memory() -> None:
    # Worth is length, so no bound decides anything, and every length has a table.
    lengths = np.random.default_rng(0).permutation(np.arange(4000, 4400))
    rows = best_first(lengths, every_row(400), every_row(400))
    budget = 150_000
    tracemalloc.start()
    chosen = fill_budget(lengths * MS, lengths / lengths.max(), rows, budget * MS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * knapsack.MOST_ENTRIES * 1.2
    assert len(set(chosen.tolist())) == len(chosen)
    assert 0.99 * budget <= lengths[chosen].sum() <= budget


def test_what_stays_within_the_memory_is_chosen_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    lengths = random.permutation(np.arange(40, 80)) * 11
    rows = best_first(lengths, every_row(40), every_row(40))
    budget = 3001
    exact = by_table_over_all(lengths, lengths.astype(np.float64), budget)
    assert lengths[fill_budget(lengths * MS, lengths * 1.0, rows, budget * MS)].sum() == exact
    monkeypatch.setattr(knapsack, "MOST_ENTRIES", 2000)
    assert 0.9 * exact <= lengths[fill_budget(lengths * MS, lengths * 1.0, rows, budget * MS)].sum() <= exact
