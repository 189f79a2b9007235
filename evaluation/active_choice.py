"""What is asked about in a simulation of active learning: a pool on one clock, and what each strategy takes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from evaluation.samples import EmbeddedSlice
from infra.errors import ConfigurationError
from models.heads.retrieval import RetrievalHead
from models.queueing import Owner, ask, deal, margin_distances, slices_of, threshold_distances

Strategy = Literal["queue", "uncertain", "random"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
APART_US = 60_000_000
"""Time between two videos on the clock that all share: more than ends a slice."""
BOUNDARY = 0.0
"""Margin from which a frame counts as relevant."""

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Rows:
    """Looked-at frames of some videos on one clock, in order of time.

    Attributes:
        vectors: float32 (N, D), of unit length or zero.
        from_us, to_us: int64 (N,), what a vector was made of: the snippet around a frame, or the time that a frame lasts.
        relevant: bool (N,), truth of the frames.
    """

    vectors: NDArray[np.float32]
    from_us: Numbers
    to_us: Numbers
    relevant: Flags

    @classmethod
    def of(cls, videos: Sequence[EmbeddedSlice], snippet_s: float) -> "Rows":
        """Frames of whole videos, one video after another; `snippet_s` is 0 where vectors are of single frames."""
        reach_us = round(snippet_s / 2 * 1e6)
        lengths = [rows.slice.video.index.extent_us + 2 * reach_us + APART_US for rows in videos]
        offsets = [
            begin - rows.slice.from_us for begin, rows in zip(accumulate(lengths, initial=0), videos, strict=False)
        ]
        from_us = np.concatenate([rows.from_us + offset for rows, offset in zip(videos, offsets, strict=True)])
        to_us = np.concatenate([rows.to_us + offset for rows, offset in zip(videos, offsets, strict=True)])
        if reach_us:
            from_us, to_us = from_us - reach_us, from_us + reach_us
        vectors, relevant = (
            np.concatenate([getattr(rows, name) for rows in videos]) for name in ("vectors", "relevant")
        )
        return cls(vectors, from_us, to_us, relevant)

    def __len__(self) -> int:
        return len(self.relevant)

    @property
    def slices(self) -> Numbers:
        """int64 (S,), the row in the middle of each temporal slice."""
        return _slices(self, np.full(len(self), np.nan), ())[0]

    def said_of(self, labelled: Sequence[int]) -> Flags:
        """bool (N,), rows that share time with a labelled one: an answer speaks of its whole span."""
        done = np.zeros(len(self), dtype=np.bool_)
        for row in labelled:
            done |= (self.from_us < self.to_us[row]) & (self.to_us > self.from_us[row])
        return done


def first_labels(pool: Rows, start: int, seed: int) -> list[int]:
    """Rows of either class by lot, the same for every strategy; none share time.

    Raises:
        ConfigurationError: there are too few.
    """
    rows = pool.slices
    random = np.random.default_rng((seed, 1))
    chosen: list[int] = []
    for answer in (True, False):
        mine = _apart(pool, random.permutation(rows[pool.relevant[rows] == answer]), start, chosen)
        if len(mine) < start:
            raise ConfigurationError(
                f"the pool of seed {seed} has {len(mine)} moments apart that are {'relevant' if answer else 'normal'}, and begins "
                f"with {start} labels of each class; give fewer with --start, or label more footage"
            )
        chosen += mine
    return chosen


def choose(
    strategy: Strategy,
    head: RetrievalHead,
    pool: Rows,
    labelled: Sequence[int],
    count: int,
    uncertain_share: float,
    seed: int,
) -> list[int]:
    """Rows of the pool to ask about next, at most `count`; none where nothing is left."""
    if count < 1:
        return []
    if strategy == "random":
        rows, done = _slices(pool, np.full(len(pool), np.nan), labelled)
        random = np.random.default_rng((seed, 2, len(labelled)))
        return _apart(pool, random.permutation(rows[~done]), count, [])
    distances = threshold_distances(head.score(pool.vectors), BOUNDARY, 1.0)
    rows, done = _slices(pool, distances, labelled)
    distances = margin_distances(distances[rows], BOUNDARY)
    spans_us = (pool.from_us[rows], pool.to_us[rows])
    share = 1.0 if strategy == "uncertain" else uncertain_share
    picks = ask(pool.vectors[rows], spans_us, distances, done, count, uncertain_share=share)
    only = Owner("head", "", "")
    dealt = deal({only: [abs(float(distances[pick.row])) for pick in picks]}, count)
    return [int(rows[picks[number].row]) for _, number in dealt]


def _apart(pool: Rows, rows: Numbers, count: int, others: Sequence[int]) -> list[int]:
    """The first rows, at most `count`, that share time neither with one another nor with others."""
    taken = pool.said_of(others)
    chosen: list[int] = []
    for row in rows.tolist():
        if len(chosen) < count and not taken[row]:
            chosen.append(row)
            taken |= pool.said_of([row])
    return chosen


def _slices(pool: Rows, distances: NDArray[np.float64], labelled: Sequence[int]) -> tuple[Numbers, Flags]:
    return slices_of(pool.vectors, pool.from_us, pool.to_us, distances, pool.said_of(labelled))
