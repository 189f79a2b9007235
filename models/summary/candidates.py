"""Which segments may be shown for their score: the best that look unlike one another."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.summary.segments import Rows, Times

Looks = NDArray[np.floating[Any]]

BLOCK_ROWS = 1024


def best_first(scores: NDArray[Any], order_us: Times, rows: Rows) -> Rows:
    """`rows` by falling score; of equal scores the earlier first, then the lower row."""
    by_time = rows[np.argsort(order_us[rows], kind="stable")]
    return by_time[np.argsort(-scores[by_time], kind="stable")]


def gather_candidates(
    rows: Rows, durations_us: Times, budget_us: int, looks: Looks | None, maximum_cosine: float, shown: Rows
) -> Rows:
    """The segments worth choosing from, best first.

    A segment is left out where it looks like one that is shown or like a better candidate, and where the better
    candidates that are no longer than it fill the budget without it: whatever is chosen with it, one of those is not,
    and can take its place at no loss.

    Args:
        rows: int64 (R,), numbers of the segments, best first.
        durations_us: int64 (S,).
        budget_us: what the candidates share.
        looks: floating (S, L); a nan row is like no other. None: all are unlike.
        maximum_cosine: above it two segments look alike.
        shown: int64 (K,), segments that are shown in any case.
    """
    shortest = int(durations_us[rows].min(initial=np.iinfo(np.int64).max))
    left_of_shortest = budget_us - shortest
    kept: list[int] = []
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        better = durations_us[kept]
        left = budget_us - durations_us[block] - (durations_us[block][:, None] >= better) @ better
        block, left = block[left >= 0], left[left >= 0]
        unlike = _Unlike(block, looks, maximum_cosine, [*shown.tolist(), *kept])
        place = 0
        while (following := (left[place:] >= 0) & unlike.mask[place:]).any():
            place += int(following.argmax())
            kept.append(int(block[place]))
            taken = int(durations_us[block[place]])
            left[durations_us[block] >= taken] -= taken
            left_of_shortest -= taken if taken <= shortest else 0
            unlike.bar_those_like(place)
            place += 1
        if left_of_shortest < 0:
            break
    return np.array(kept, dtype=np.int64)


class _Unlike:
    """Which of some segments look unlike all of others, and unlike those of themselves that were barred with."""

    def __init__(self, rows: Rows, looks: Looks | None, maximum_cosine: float, others: list[int]) -> None:
        self.mask = np.ones(len(rows), dtype=np.bool_)
        self._maximum_cosine = maximum_cosine
        self._unit = None if looks is None else _unit(looks[rows])
        if looks is not None and self._unit is not None and others:
            self.mask[:] = ~(self._unit @ _unit(looks[others]).T > maximum_cosine).any(axis=1)

    def bar_those_like(self, place: int) -> None:
        if self._unit is not None:
            self.mask &= ~(self._unit @ self._unit[place] > self._maximum_cosine)


def _unit(vectors: Looks) -> NDArray[np.float32]:
    """float32 (N, L) of length 1; a zero vector stays zero. Within a few 1e-7, at a fifth of the cost of float64."""
    told = vectors.astype(np.float32)
    lengths = np.sqrt(np.einsum("nl,nl->n", told, told))
    told /= np.where(lengths > 0, lengths, np.float32(1))[:, None]
    return told
