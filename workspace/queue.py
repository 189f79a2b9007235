"""What to look at next in a review."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from infra.errors import UnknownNameError
from models.labelling import disputed, middles, suggest
from workspace.progress import audit_of, looked_slices
from workspace.session import Ranking, Review
from workspace.training import Rows

Order = Literal["suggested", "most relevant", "in time", "audit", "disputed"]
ORDERS: tuple[Order, ...] = get_args(Order)
DISPUTED_MARGIN = 0.5
"""How far on the wrong side of the boundary a label is disputed: half way to where the other class lies."""


def next_rows(review: Review, order: Order, count: int, ranking: Ranking, skipped: Sequence[int] = ()) -> list[int]:
    """Rows to look at next, at most `count`, one of a slice; labelled slices are left out.

    Args:
        order: `suggested` mixes uncertain and diverse; `most relevant` goes down the ranking; `in time` shows what
            was not looked at yet; `audit` the random sample of unflagged slices; `disputed` the labels that the
            cross-validated head disagrees with most.
        count: at least 1.
        ranking: of the newest label.
        skipped: rows whose slices are left out as well.
    """
    slices = review.samples.slices
    done = np.unique(slices[np.concatenate([ranking.marks.rows, np.array(skipped, dtype=np.int64)])])
    match order:
        case "disputed":
            return [row for row in _disputed(review, ranking) if row not in skipped][:count]
        case "audit":
            audit = audit_of(review)
            return [row for row in audit.left if slices[row] not in done][:count] if audit else []
        case "suggested":
            scores = ranking.scores
            if scores is None or ranking.threshold is None:
                return _first_looks(review, scores, done, count)
            found = suggest(scores - np.float32(ranking.threshold), review.block.vectors, slices, done, count)
            return [int(row) for row in found]
        case "most relevant":
            best = _best_of_slices(review, ranking.scores, done)
            return [int(row) for row in best[:count]]
        case "in time":
            looked = np.union1d(done, looked_slices(review))
            rows = middles(slices)
            return [int(row) for row in rows[~np.isin(slices[rows], looked)][:count]]
    raise UnknownNameError("order", order, ORDERS)


def _first_looks(review: Review, scores: NDArray[np.float32] | None, done: Rows, count: int) -> list[int]:
    """Before there are two classes: by turns what looks unlike all else, and what looks most like the examples."""
    likely = [] if scores is None else [int(row) for row in _best_of_slices(review, scores, done)[: count // 2]]
    done = np.union1d(done, review.samples.slices[np.array(likely, dtype=np.int64)])
    flat = np.zeros(len(review.samples.slices), dtype=np.float32)
    varied = suggest(flat, review.block.vectors, review.samples.slices, done, count - len(likely), uncertain_share=0.0)
    by_turns = zip_longest((int(row) for row in varied), likely)
    return [row for pair in by_turns for row in pair if row is not None]


def _best_of_slices(review: Review, scores: NDArray[np.float32] | None, done: Rows) -> Rows:
    """The highest row of each slice not yet done, best first."""
    if scores is None:
        rows = middles(review.samples.slices)
        return rows[~np.isin(review.samples.slices[rows], done)]
    order = np.lexsort((np.arange(len(scores)), -scores))
    _, first = np.unique(review.samples.slices[order], return_index=True)
    best = order[np.sort(first)]
    return np.asarray(best[~np.isin(review.samples.slices[best], done)], dtype=np.int64)


def _disputed(review: Review, ranking: Ranking) -> list[int]:
    if ranking.trained is None:
        return []
    margins = ranking.trained.margins(review.campaign)
    if not len(margins):
        return []
    found = disputed(ranking.marks.relevant, margins, least=DISPUTED_MARGIN)
    return [int(ranking.marks.rows[position]) for position in found]
