"""Whether a head of one campaign serves the next: how the footage has drifted, and how many new labels it takes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score

from infra.errors import ConfigurationError
from models.heads.neighbours import TimeExclusion, nearest
from models.heads.retrieval import RetrievalSettings, fit_retrieval
from models.metrics import frame_ap

Vectors = NDArray[np.float32]
Labels = NDArray[np.bool_]
Rows = NDArray[np.int64]

DRIFT_ROWS = 2000
"""Most rows of a campaign, evenly spaced, that drift is computed on."""
FARTHEST = 12
"""Rows that are named as the reason of a drift."""


@dataclass(frozen=True, eq=False)
class Drift:
    """How a campaign differs from an earlier one in one space.

    Attributes:
        far_share: of the new rows, those farther from their nearest old row than `limit`; about `expected_share` where
            nothing has changed.
        expected_share: the share of the old rows that are beyond it among themselves, as 0.05.
        limit: that distance.
        farthest: int64 (at most 12,), rows of the new campaign, the farthest first, one of a block: what is new.
        statistic: Kolmogorov and Smirnov's, the largest difference between the shares of old and of new margins below
            any value, 0 … 1; nan without margins.
        p_value: how often blocks shuffled between the campaigns differ as much; nan without margins.
    """

    far_share: float
    expected_share: float
    limit: float
    farthest: Rows
    statistic: float
    p_value: float


def drift(
    old: Vectors,
    old_blocks: Rows,
    new: Vectors,
    new_blocks: Rows,
    margins: tuple[NDArray[Any], NDArray[Any]] | None = None,
    *,
    expected_share: float = 0.05,
    shuffles: int = 199,
    seed: int = 0,
) -> Drift:
    """Compare two campaigns: is there anything to be seen that was not before, and does the head see it otherwise?

    1. Every old row's distance to its nearest old row of another block is taken; a frame is no news to its neighbours in
       time. Above the quantile 1 - `expected_share` of these lies what is unusual. The share of the new rows whose
       nearest old row is farther than that says how much of the campaign looks like nothing before.
    2. The Kolmogorov–Smirnov statistic of the head's margins. Rows near in time are not independent, so its p-value is
       that of a permutation test over whole blocks (add-one rule of Phipson & Smyth 2010), not the textbook's.

    Of each campaign at most 2000 rows are used, evenly spaced; the result depends on `seed` by the shuffles alone.

    Args:
        old, new: float32 (M, D) and (N, D) of one space, in order of time.
        old_blocks, new_blocks: int64 (M,) and (N,), temporal blocks within each campaign: days, or hours where there are
            no two days. Of minutes, old rows have look-alikes in the next one and everything new seems far.
        margins: the head's scores of the old and of the new rows; None without a head.
        expected_share: between 0 and 1.
        shuffles: of the permutation test, at least 1.

    Raises:
        ConfigurationError: the old campaign has fewer than two blocks, or the new one no row.
    """
    if not 0 < expected_share < 1 or shuffles < 1:
        raise ConfigurationError(
            f"expected_share is between 0 and 1 and shuffles at least 1, got {expected_share} and {shuffles}"
        )
    before, after = _evenly(len(old), DRIFT_ROWS), _evenly(len(new), DRIFT_ROWS)
    if len(np.unique(old_blocks[before])) < 2 or not len(after):
        raise ConfigurationError(
            f"drift needs two blocks of the old campaign and a row of the new one, got "
            f"{len(np.unique(old_blocks[before]))} and {len(after)}; take shorter blocks or a longer campaign"
        )
    reference, of_block = old[before], old_blocks[before]
    among_old = nearest(reference, reference, 1, TimeExclusion(of_block, of_block + 1, 0))[1][:, 0]
    to_old = nearest(new[after], reference, 1)[1][:, 0]
    limit = float(np.quantile(among_old, 1 - expected_share, method="higher"))
    order = np.argsort(-to_old, kind="stable")
    _, first = np.unique(new_blocks[after][order], return_index=True)
    farthest = after[order[np.sort(first)[:FARTHEST]]]
    statistic, p_value = math.nan, math.nan
    if margins is not None:
        of_old, of_new = (values[rows] for values, rows in zip(margins, (before, after), strict=True))
        statistic, p_value = _block_permutation(of_old, of_block, of_new, new_blocks[after], shuffles, seed)
    return Drift(
        far_share=float((to_old > limit).mean()),
        expected_share=float((among_old > limit).mean()),
        limit=limit,
        farthest=farthest,
        statistic=statistic,
        p_value=p_value,
    )


@dataclass(frozen=True)
class BudgetPoint:
    """What a number of labels is worth on blocks that were held out: mean and standard deviation over the runs.

    Attributes:
        budget: labels asked for.
        relevant, irrelevant: labels used, on average.
        average_precision, average_precision_sd: of ranking the held-out rows.
        balanced_accuracy, balanced_accuracy_sd: mean of the recalls of both classes, at the boundary.
        runs: random subsets.
    """

    budget: int
    relevant: float
    irrelevant: float
    average_precision: float
    average_precision_sd: float
    balanced_accuracy: float
    balanced_accuracy_sd: float
    runs: int


Measure = Literal["average_precision", "balanced_accuracy"]


def label_budget_curve(
    vectors: Vectors,
    relevant: Labels,
    blocks: Rows,
    budgets: Sequence[int],
    *,
    settings: RetrievalSettings | None = None,
    known: tuple[Vectors, Labels] | None = None,
    runs: int = 9,
    seed: int = 0,
) -> list[BudgetPoint]:
    """How good a head becomes with the number of its labels.

    In each run whole blocks are dealt at random to two halves such that both classes are in both (`_halves`); labels are
    drawn from the one and the head is judged on the other. A budget of n takes n // 2 relevant ones and n - n // 2
    others; where a class has fewer, the other fills up. Within a run a larger budget holds the smaller ones.

    Args:
        vectors: float32 (N, D), labelled rows, one of a temporal slice.
        relevant: bool (N,).
        blocks: int64 (N,), temporal blocks.
        budgets: numbers of labels, each at least 2; with `known` of both classes at least 0.
        settings: of the head; None: the defaults.
        known: vectors and answers that every head is given besides: an earlier campaign's, to see what new labels add.
        runs: random subsets, at least 1.
        seed: decides them.

    Returns:
        A point for each budget that the drawn halves of all runs can fill, in rising order.

    Raises:
        ConfigurationError: a budget is too small, or a class is in fewer than two blocks.
    """
    settings = settings or RetrievalSettings()
    extra, answers = known or (vectors[:0], relevant[:0])
    least = 0 if 0 < np.count_nonzero(answers) < len(answers) else 2
    if runs < 1 or not budgets or min(budgets) < least:
        raise ConfigurationError(f"budgets and runs: at least {least} labels and 1 run, got {list(budgets)} and {runs}")
    rising = sorted(set(budgets))
    found: dict[int, list[tuple[float, float, float, float]]] = {budget: [] for budget in rising}
    for run in range(runs):
        random = np.random.default_rng([seed, run])
        pool = _halves(relevant, blocks, random)
        order = random.permutation(np.flatnonzero(pool))
        positive, negative = order[relevant[order]], order[~relevant[order]]
        for budget in rising:
            chosen = _balanced(positive, negative, budget)
            if chosen is None:
                continue
            taught = np.concatenate([relevant[chosen], answers])
            # One block: the head is wanted, not its calibration.
            one_block = np.zeros(len(taught), dtype=np.int64)
            head = fit_retrieval(settings, np.concatenate([vectors[chosen], extra]), taught, one_block).head
            scores, truth = head.score(vectors[~pool]), relevant[~pool]
            ranked, parted = frame_ap(truth, scores), float(balanced_accuracy_score(truth, scores > 0))
            count = int(relevant[chosen].sum())
            found[budget].append((count, len(chosen) - count, ranked, parted))
    points = []
    for budget, values in found.items():
        if len(values) == runs:
            mean, deviation = np.mean(values, axis=0).tolist(), np.std(values, axis=0).tolist()
            points.append(BudgetPoint(budget, mean[0], mean[1], mean[2], deviation[2], mean[3], deviation[3], runs))
    return points


def labels_needed(
    curve: Sequence[BudgetPoint],
    *,
    tolerance: float = 0.02,
    goal: float | None = None,
    by: Measure = "average_precision",
) -> int | None:
    """The fewest labels from which on the curve stays within `tolerance` of the goal.

    Args:
        curve: see `label_budget_curve`, in rising order of budget.
        tolerance: at least 0.
        goal: a value of the measure, such as the last campaign's; None: the best of the curve. The largest budget alone
            does not answer then: the curve may still be rising.
        by: the measure.

    Returns:
        None where the curve does not show it.
    """
    if tolerance < 0:
        raise ConfigurationError(f"tolerance is at least 0, got {tolerance}")
    values = [getattr(point, by) for point in curve]
    if not values:
        return None
    aim = (max(values) if goal is None else goal) - tolerance
    enough = len(values)
    while enough > 0 and values[enough - 1] >= aim:
        enough -= 1
    last = len(values) if goal is not None else len(values) - 1
    return curve[enough].budget if enough < last else None


def _block_permutation(
    old: NDArray[Any], old_blocks: Rows, new: NDArray[Any], new_blocks: Rows, shuffles: int, seed: int
) -> tuple[float, float]:
    """Kolmogorov–Smirnov statistic of two samples, and its p-value where whole blocks are exchangeable."""
    # Numbers of blocks are each campaign's own.
    _, of_old = np.unique(old_blocks, return_inverse=True)
    _, of_new = np.unique(new_blocks, return_inverse=True)
    blocks = np.concatenate([of_old, of_new + of_old.max() + 1])
    values, place = np.unique(np.concatenate([old, new]), return_inverse=True)
    counts = np.zeros((int(blocks.max()) + 1, len(values)))
    np.add.at(counts, (blocks, place), 1)
    below = np.cumsum(counts, axis=1)
    is_old = np.arange(len(counts)) <= of_old.max()

    def statistic(mine: Labels) -> float:
        first, second = below[mine].sum(axis=0), below[~mine].sum(axis=0)
        return float(np.abs(first / first[-1] - second / second[-1]).max())

    seen = statistic(is_old)
    random = np.random.default_rng(seed)
    as_much = sum(statistic(random.permutation(is_old)) >= seen - 1e-12 for _ in range(shuffles))
    return seen, (1 + as_much) / (1 + shuffles)


def _halves(relevant: Labels, blocks: Rows, random: np.random.Generator) -> Labels:
    """bool (N,): one half of the blocks, at random; both classes are in it and in the rest.

    Blocks of both classes are dealt out first, by turns, then those of either class, each going on where they ended.
    """
    names, of_row = np.unique(blocks, return_inverse=True)
    has = [np.bincount(of_row, weights=relevant == answer, minlength=len(names)) > 0 for answer in (False, True)]
    if min(int(there.sum()) for there in has) < 2:
        raise ConfigurationError(
            "a label-budget curve holds whole blocks out: relevant and irrelevant labels are needed in two stretches of "
            "time each; label moments that lie apart"
        )
    both = has[0] & has[1]
    half = np.zeros(len(names), dtype=np.bool_)
    for group, start in ((both, 0), (has[0] & ~both, int(both.sum())), (has[1] & ~both, int(both.sum()))):
        order = random.permutation(np.flatnonzero(group))
        half[order] = (start + np.arange(len(order))) % 2 == 0
    return np.asarray(half[of_row] ^ bool(random.integers(2)))


def _balanced(positive: Rows, negative: Rows, budget: int) -> Rows | None:
    """The first rows of both orders, half of each where there are as many; None where there are too few in all."""
    if len(positive) + len(negative) < budget:
        return None
    count = min(max(budget // 2, budget - len(negative)), len(positive))
    return np.concatenate([positive[:count], negative[: budget - count]])


def _evenly(rows: int, most: int) -> Rows:
    if rows <= most:
        return np.arange(rows, dtype=np.int64)
    return np.linspace(0, rows - 1, most).round().astype(np.int64)
