"""Arithmetic of summaries held against people's: keyshots by knapsack, F1, rank correlation, and what blind choices show.

- **Keyshots** (Song et al., CVPR 2015; Zhang et al., ECCV 2016): of shots with a value each, those with the largest sum of values
  within 15 % of the video's frames.
- **F1** of frames in a summary against those in a person's.
- **Rank correlation** (Otani, Nakashima, Rahtu and Heikkilä, CVPR 2019) of frame scores with a person's: Kendall's τ-b and Spearman's ρ,
  ties sharing their mean rank. People say one of five values, so most pairs of frames are ties.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from models.summary.knapsack import FINEST_GRID_US, fill_budget

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


def keyshots(values: Floats, lengths: Numbers, capacity: int) -> Flags:
    """The shots with the largest sum of values that fit: the exact 0/1 knapsack that chooses at night (`fill_budget`).

    A frame stands for a millisecond, the finest that one counts in; so it is exact for summaries of up to 200 000 frames
    (`MOST_CELLS`). Of equally long shots worth the same the earlier one is taken; of other sets worth the same, which one
    is the knapsack's choice.

    Args:
        values: (S,), finite, at least 0; a shot worth nothing is not taken.
        lengths: int64 (S,), at least 1.
        capacity: frames that the summary may have, at least 0.

    Returns:
        bool (S,).
    """
    if values.shape != lengths.shape or not np.isfinite(values).all() or (values < 0).any() or (lengths < 1).any():
        raise ValueError("each shot has a finite value of at least 0 and a length of at least 1")
    best_first = np.argsort(-values, kind="stable")
    rows = best_first[values[best_first] > 0]
    chosen = np.zeros(len(values), dtype=np.bool_)
    chosen[fill_budget(lengths * FINEST_GRID_US, values, rows, capacity * FINEST_GRID_US)] = True
    return chosen


def drawn_by_lot(lengths: Numbers, capacity: int, random: np.random.Generator) -> Flags:
    """Shots in a random order, each taken that fits what is left: bool (S,)."""
    chosen, left = np.zeros(len(lengths), dtype=np.bool_), capacity
    for number in random.permutation(len(lengths)).tolist():
        if lengths[number] <= left:
            chosen[number] = True
            left -= int(lengths[number])
    return chosen


def evenly_spaced(lengths: Numbers, capacity: int) -> Flags:
    """As many shots as fit, those that hold the middles of equal parts of the video: bool (S,)."""
    ends = np.cumsum(lengths)
    for count in range(len(lengths), 0, -1):
        middles = (np.arange(count) + 0.5) * (ends[-1] / count)
        chosen = np.zeros(len(lengths), dtype=np.bool_)
        chosen[np.searchsorted(ends, middles, side="right")] = True
        if int(lengths[chosen].sum()) <= capacity:
            return chosen
    return np.zeros(len(lengths), dtype=np.bool_)


def shot_means(frame_scores: NDArray[np.floating], shots: Numbers) -> Floats:
    """float64 (…, S): mean over the frames of each shot, from (…, N) and (S + 1,) beginnings."""
    sums = np.add.reduceat(frame_scores.astype(np.float64), shots[:-1], axis=-1)
    return np.asarray(sums / np.diff(shots))


def f1_of_frames(summaries: Flags, references: Flags) -> Floats:
    """F1 = 2 · |both| / (|one| + |other|), float64 (M, A), of bool (M, N) against bool (A, N); 0 where both are empty."""
    both = summaries.astype(np.float32) @ references.astype(np.float32).T
    sizes = np.count_nonzero(summaries, axis=1)[:, None] + np.count_nonzero(references, axis=1)[None, :]
    return np.asarray(2 * both.astype(np.float64) / np.maximum(sizes, 1))


@dataclass(frozen=True, eq=False)
class Rankings:
    """Frames as each of A people ranks them, ready to be compared with other rankings.

    Attributes:
        levels: for each person int64 (N,), the place of each frame's score among the person's different ones.
        ranks: float64 (A, N), ranks less their mean; equal scores share their mean rank.
    """

    levels: tuple[Numbers, ...]
    ranks: Floats

    @classmethod
    def of(cls, scores: NDArray[np.floating]) -> "Rankings":
        """Of scores (A, N)."""
        levels = tuple(np.unique(row, return_inverse=True)[1] for row in scores)
        ranks = rankdata(scores, axis=-1)
        return cls(levels, ranks - ranks.mean(axis=-1, keepdims=True))

    def kendall_tau_b(self, other: "Rankings") -> Floats:
        """Kendall's τ-b of each ranking (M) of another with each here: float64 (M, A), nan where a side is constant.

        τ-b = (C - D) / √((P - T) (P - U)), with C and D the concordant and discordant pairs of P = N (N - 1) / 2, T and U
        those tied on one side (Kendall 1945). Counted from the table of how often each pair of values occurs: exact, and quick
        where one side has few values, as people's scores have.
        """
        return np.array([[_tau_b(one, mine) for mine in self.levels] for one in other.levels], dtype=np.float64)

    def spearman_rho(self, other: "Rankings") -> Floats:
        """Spearman's ρ of each ranking (M) of another with each here: float64 (M, A), nan where a side is constant."""
        sizes = np.sqrt((other.ranks**2).sum(axis=1)[:, None] * (self.ranks**2).sum(axis=1)[None, :])
        products = other.ranks @ self.ranks.T
        return np.asarray(np.divide(products, sizes, out=np.full(sizes.shape, np.nan), where=sizes > 0))


def _tau_b(x: Numbers, y: Numbers) -> float:
    many, few = int(x.max()) + 1, int(y.max()) + 1
    counts = np.bincount(y * many + x, minlength=few * many).reshape(few, many)
    before = np.cumsum(counts, axis=1) - counts
    running = np.cumsum(before, axis=0)
    # Of frames with a lower x, those with a lower y are concordant, those with a higher one discordant.
    difference = int(np.vdot(counts, 2 * running - before - running[-1]))
    pairs = _pairs(counts.sum(keepdims=True).ravel())
    free = [pairs - _pairs(counts.sum(axis=axis)) for axis in (0, 1)]
    return difference / float(np.sqrt(float(free[0]) * float(free[1]))) if min(free) > 0 else np.nan


def _pairs(counts: Numbers) -> int:
    return int((counts * (counts - 1) // 2).sum())
