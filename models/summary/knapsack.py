"""An exact knapsack: the most score within a budget of time."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.summary.segments import Rows, Times

FINEST_GRID_US = 1000
MOST_CELLS = 200_000
"""Of a table over what can be filled: 200 s in milliseconds."""
MOST_ENTRIES = 20_000_000
"""Of the tables of all lengths together: 160 MB."""
ROUNDING = 1e-9
"""Relative difference of two sums of scores that means nothing."""


def fill_budget(durations_us: Times, scores: NDArray[Any], rows: Rows, budget_us: int) -> Rows:
    """The segments with the largest sum of scores within the budget.

    Lengths count in their greatest common divisor, or in milliseconds, rounded up, where that is finer. Most segments
    are decided by Dantzig's bound: those that every best choice has and those that none has. A table decides the rest;
    where what is left for these is longer than `MOST_CELLS` of that unit, in so many parts of it, and in fewer where the
    tables of so many different lengths would have more than `MOST_ENTRIES`.

    Args:
        durations_us: int64 (S,).
        scores: (S,), above 0 for `rows`.
        rows: int64 (R,), numbers of the segments to choose from, best first.
        budget_us: at least 0.

    Returns:
        int64 (C,), those chosen; of equally long ones the earlier in `rows`.
    """
    if not len(rows):
        return rows
    grid = max(math.gcd(*durations_us[rows].tolist()), FINEST_GRID_US)
    lengths, values = -(-durations_us[rows] // grid), scores[rows].astype(np.float64)
    capacity = budget_us // grid
    sure, open_ = _decided(lengths, values, capacity)
    left = capacity - int(lengths[sure].sum())
    chosen = _by_table(lengths[open_], values[open_], left)
    return np.concatenate([rows[sure], rows[open_][chosen]])


def _decided(lengths: Times, values: NDArray[np.float64], capacity: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which items are in every best choice, and which are neither that nor in none.

    Dantzig (1957): with λ the value per length of the first item that does not fit when the densest come first, no
    choice is worth more than λ · capacity + Σ max(0, value − λ · length). To leave an item out that has value − λ ·
    length > 0, or to take one in that has less, costs that difference; where it costs more than what lies between the
    bound and a choice already known, no best choice does so.
    """
    order = np.argsort(-values / lengths, kind="stable")
    beyond = np.flatnonzero(np.cumsum(lengths[order]) > capacity)
    if not len(beyond):
        return np.ones(len(lengths), dtype=np.bool_), np.zeros(len(lengths), dtype=np.bool_)
    density = values[order[beyond[0]]] / lengths[order[beyond[0]]]
    known, left = 0.0, capacity
    for item in order.tolist():
        if lengths[item] <= left:
            known, left = known + float(values[item]), left - int(lengths[item])
    worth = values - density * lengths
    bound = density * capacity + float(np.maximum(worth, 0).sum())
    between = bound - known + ROUNDING * (1 + bound)
    return worth > between, np.abs(worth) <= between


def _by_table(lengths: Times, values: NDArray[np.float64], capacity: int) -> Rows:
    """Places of the chosen, by a table over length and capacity.

    Items are given best first; so of one length the first are taken, and the only question is how many.
    """
    if not len(lengths):
        return np.empty(0, dtype=np.int64)
    grid = _grid(lengths, capacity)
    capacity //= grid
    groups: dict[int, list[int]] = {}
    for place, length in enumerate((-(-lengths // grid)).tolist()):
        groups.setdefault(length, []).append(place)
    tables = [np.zeros(capacity + 1)]
    sums = [np.cumsum(values[members]) for members in groups.values()]
    for length, own in zip(groups, sums, strict=True):
        tables.append(_with_group(tables[-1], length, own))
    chosen: list[int] = []
    for (length, members), own in zip(reversed(groups.items()), reversed(sums), strict=True):
        reached = tables.pop()[capacity]
        filled = capacity - length * np.arange(1, min(len(members), capacity // length) + 1)
        taking = np.append(tables[-1][capacity], tables[-1][filled] + own[: len(filled)])
        count = int(np.argmax(taking == reached))
        chosen += members[:count]
        capacity -= count * length
    return np.array(chosen, dtype=np.int64)


def _grid(lengths: Times, capacity: int) -> int:
    """The finest unit in which the tables of all lengths stay within their bounds; lengths round up to it."""
    grid = max(math.gcd(*lengths.tolist()), -(-capacity // MOST_CELLS))
    while (len(np.unique(-(-lengths // grid))) + 1) * (capacity // grid + 1) > MOST_ENTRIES:
        grid += -(-grid // 8)
    return grid


def _with_group(best: NDArray[np.float64], length: int, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """The highest value at each capacity, with a group of items of one length: float64 (capacity + 1,)."""
    extended = best.copy()
    for count in range(1, min(len(sums), (len(best) - 1) // length) + 1):
        with_count = extended[count * length :]
        np.maximum(with_count, best[: len(with_count)] + sums[count - 1], out=with_count)
    return extended
