"""Exact search: the best rows of one or several matrices, and the moments they make.

Every row is scored; nothing is approximated, so a filter costs nothing but what it leaves out. A row's score depends
on the row and the query alone, not on where it lies, nor on the number of threads: equal rows have equal scores.
"""

import os
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError, UnknownNameError

Similarity = Literal["cosine", "euclidean"]
Vectors = NDArray[np.float32]
Scores = NDArray[np.float32]
Indices = NDArray[np.int64]

CHUNK_BYTES = 8 * 2**20
"""Of a matrix that a thread scores at once."""
BIN = 256
"""Rows of which the highest stands for all when the best are looked for."""
USUAL_ROWS = 100_000
"""Rows whose median stands for all."""
DIP = 2 / 3
"""Share of the way from a moment's best score down to the usual one within which hits belong to it."""
MOST_HITS = 20_000
"""Hits that are grouped at most; where so many are alike, moments may be told shorter than they are."""
LOOK_EVERY = 16
"""Hits after which it is looked whether there are enough."""
FIRST_HITS = 4
"""Hits taken at first for each moment that is wanted; four times as many whenever they do not suffice."""


@dataclass(frozen=True, eq=False)
class Searched:
    """The rows of one matrix that are searched.

    Attributes:
        vectors: float32 (N, D), each of unit length or zero; contiguous, may be memory-mapped.
        norms: float32 (N,), the lengths that the vectors had; only Euclidean distance asks for them.
        start, stop: the range of rows that count; `stop` None: up to the last.
        mask: bool (stop - start,), which rows of the range count; None: all of them.
    """

    vectors: Vectors
    norms: NDArray[np.float32]
    start: int = 0
    stop: int | None = None
    mask: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.vectors.dtype != np.float32 or self.vectors.ndim != 2:
            raise ValueError(f"vectors are float32 (N, D), got {self.vectors.dtype} {self.vectors.shape}")
        if self.norms.shape != self.vectors.shape[:1]:
            raise ValueError(f"one norm for each of {len(self.vectors)} vectors, got {self.norms.shape}")
        if not 0 <= self.start <= self.end <= len(self.vectors):
            raise ValueError(f"rows {self.start} to {self.end} are no range of {len(self.vectors)} rows")
        if self.mask is not None and self.mask.shape != (len(self),):
            raise ValueError(f"a mask of {len(self)} rows has that many values, got {self.mask.shape}")

    @property
    def end(self) -> int:
        return len(self.vectors) if self.stop is None else self.stop

    def __len__(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, eq=False)
class Hits:
    """Rows in order of rank: the highest score first, equal scores in order of matrix and row.

    Attributes:
        part: int64 (K,), which of the matrices.
        row: int64 (K,), which of its rows, counted from its first.
        score: float32 (K,): cosine, or minus the Euclidean distance.
    """

    part: Indices
    row: Indices
    score: Scores

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Every row's score, from which any number of the best can be taken.

    Attributes:
        parts: what was searched.
        scores: float32 (M,), of all ranges one after the other; -inf where a mask leaves a row out.
    """

    parts: tuple[Searched, ...]
    scores: Scores

    def __len__(self) -> int:
        """Rows that can be found."""
        return self._found

    @cached_property
    def _found(self) -> int:
        left_out = sum(int((~part.mask).sum()) for part in self.parts if part.mask is not None)
        return len(self.scores) - left_out

    @cached_property
    def usual(self) -> tuple[float, ...]:
        """Median score of each part: another region or camera is alike or unlike as a whole; 0 of an empty one."""
        return tuple(
            _median(self.scores[begin:end]) for begin, end in zip(self._begins[:-1], self._begins[1:], strict=True)
        )

    @cached_property
    def _begins(self) -> Indices:
        return np.cumsum([0, *(len(part) for part in self.parts)], dtype=np.int64)

    def best(self, count: int) -> Hits:
        """The `count` best rows, or all there are."""
        places = highest(self.scores, min(count, len(self)))
        part = np.searchsorted(self._begins, places, side="right") - 1
        starts = np.array([part.start for part in self.parts], dtype=np.int64)
        row = places - self._begins[part] + starts[part] if len(places) else places
        return Hits(part.astype(np.int64), row, self.scores[places])


def rank(
    parts: Sequence[Searched], query: Vectors, similarity: Similarity = "cosine", threads: int | None = None
) -> Ranking:
    """Score every row.

    Args:
        parts: what is searched, all of one space.
        query: float32 (D,), finite, not zero; of any length.
        similarity: `cosine`, or `euclidean`: ranked by the distance of the vectors as they were before they were
            brought to unit length, d² = |v|² + |q|² - 2 |v| |q| cos(v, q), in float32: distances below 1e-3 |q| are told
            from one another no further.
        threads: that score at once; None: one for each core this process may use.

    Raises:
        ValueError: a matrix is of another dimension, or the query is not finite.
        ConfigurationError: the query is zero, or (UnknownNameError) there is no such similarity.
    """
    if similarity not in get_args(Similarity):
        raise UnknownNameError("similarity", similarity, get_args(Similarity))
    if query.dtype != np.float32 or query.ndim != 1 or not np.isfinite(query).all():
        raise ValueError(f"a query is a finite float32 (D,), got {query.dtype} {query.shape}")
    wrong = sorted({part.vectors.shape[1] for part in parts if len(part)} - {len(query)})
    if wrong:
        raise ValueError(f"a query of {len(query)} dimensions cannot be compared with vectors of {wrong}")
    length = np.float32(np.linalg.norm(query))
    if length == 0:
        raise ConfigurationError("the query's vector is zero: there is nothing in it to look for; choose another")
    unit = np.ascontiguousarray(query / length)
    begins = np.cumsum([0, *(len(part) for part in parts)])
    scores = np.empty(begins[-1], dtype=np.float32)
    _cosines(parts, unit, scores, begins, threads)
    for part, begin, end in zip(parts, begins, begins[1:], strict=False):
        mine = scores[begin:end]
        if similarity == "euclidean":
            norms = part.norms[part.start : part.end]
            squares = norms * norms + length * length - 2 * norms * length * mine
            mine[:] = -np.sqrt(np.maximum(squares, 0))
        if part.mask is not None:
            mine[~part.mask] = -np.inf
    return Ranking(tuple(parts), scores)


def _cosines(
    parts: Sequence[Searched], unit: Vectors, scores: Scores, begins: NDArray[np.int64], threads: int | None
) -> None:
    """Fill `scores`, by chunks shared out among threads.

    `vecdot` goes row by row, so that a row's score is the same wherever it lies; a matrix product's is not. Bound by
    the memory's speed, it is not slower.
    """
    step = max(1, CHUNK_BYTES // (4 * max(1, len(unit))))
    chunks = [
        (part.vectors[at : min(at + step, part.end)], int(begin) + at - part.start)
        for part, begin in zip(parts, begins, strict=False)
        for at in range(part.start, part.end, step)
    ]

    def score(chunk: tuple[Vectors, int]) -> None:
        rows, at = chunk
        np.vecdot(rows, unit, out=scores[at : at + len(rows)])

    workers = min(len(chunks), threads or len(os.sched_getaffinity(0)))
    if workers <= 1:
        for chunk in chunks:
            score(chunk)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(score, chunks))


def highest(scores: Scores, count: int) -> Indices:
    """int64 (count,): places of the highest scores, highest first, equal ones in order of place.

    The `count`-th highest of the bins' maxima is not above the `count`-th highest score: what lies below it is out, in
    one pass that is far quicker than a partition.

    Args:
        scores: float32 (M,), no nan; places at -inf are the last to be taken.
        count: 0 … M.
    """
    if count <= 0:
        return np.empty(0, dtype=np.int64)
    bins = len(scores) // BIN
    if bins > count:
        maxima = scores[: bins * BIN].reshape(bins, BIN).max(axis=1)
        least = np.partition(maxima, bins - count)[bins - count]
        places = np.flatnonzero(scores >= least)
    else:
        places = np.arange(len(scores))
    order = np.argsort(-scores[places], kind="stable")[:count]
    return np.asarray(places[order], dtype=np.int64)


@dataclass(slots=True)
class Group:
    """Hits of one matrix that follow one another in time.

    Attributes:
        part: which of the matrices.
        row: its best row.
        first, last: the rows at its ends, both among the hits.
        from_us, to_us: from the start of the first hit to the end of the latest.
        score: of the best row.
        hits: how many rows there are in it.
    """

    part: int
    row: int
    first: int
    last: int
    from_us: int
    to_us: int
    score: float
    hits: int

    def take(self, other: "Group") -> None:
        """Make the other's hits this one's."""
        if _rank(other) < _rank(self):
            self.row, self.score = other.row, other.score
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        self.from_us, self.to_us = min(self.from_us, other.from_us), max(self.to_us, other.to_us)
        self.hits += other.hits


def _rank(known: Group) -> tuple[float, int, int]:
    return -known.score, known.part, known.row


def _median(scores: Scores) -> float:
    seen = scores[:: max(1, len(scores) // USUAL_ROWS)]
    seen = seen[np.isfinite(seen)]
    return float(np.median(seen)) if len(seen) else 0.0


def group(ranking: Ranking, spans: Sequence[tuple[Indices, Indices]], count: int, gap_us: int) -> tuple[Group, ...]:
    """Group hits into moments, best first.

    A moment is a peak of the scores in time: hits of one matrix no more than `gap_us` apart that lie less than
    two thirds of the way from its best score down to what is usual there (the median of its matrix). Two peaks are one moment
    where the valley between them is no deeper than that; what lies deeper belongs to no moment and keeps peaks apart.

    Args:
        ranking: of matrices whose rows are in order of time.
        spans: for each matrix int64 (N,) start and end of its rows in microseconds.
        count: of groups, at least 1.
        gap_us: at least 0.

    Raises:
        ConfigurationError: count or gap are out of range.
    """
    if count < 1 or gap_us < 0:
        raise ConfigurationError(
            f"a search gives at least 1 moment and joins across 0 s or more, got {count}, {gap_us}"
        )
    groups = _Groups(gap_us, ranking.usual)
    taken, wanted = 0, count * FIRST_HITS
    while True:
        hits = ranking.best(min(wanted, MOST_HITS))
        for number, (part, row, score) in enumerate(list(_rows(hits))[taken:]):
            # Further down no hit belongs to one of the best `count` moments.
            if number % LOOK_EVERY == 0 and len(groups) >= count and score < groups.depth(groups.best()[count - 1]):
                return tuple(groups.best()[:count])
            groups.add(part, row, spans[part], score)
        taken = len(hits)
        if taken in (len(ranking), MOST_HITS):
            return tuple(groups.best()[:count])
        wanted *= FIRST_HITS


def _rows(hits: Hits) -> "zip[tuple[int, int, float]]":
    return zip(hits.part.tolist(), hits.row.tolist(), hits.score.tolist(), strict=True)


@dataclass(slots=True)
class _Basin:
    """A moment and its slopes: the stretch [from_us, to_us) whose hits found it when they came in."""

    from_us: int
    to_us: int
    moment: Group


class _Groups:
    """Moments as hits come in, the best first; basins of each matrix stand in order of time."""

    def __init__(self, gap_us: int, usual: Sequence[float]) -> None:
        self._gap_us, self._usual = gap_us, usual
        self._of_part: dict[int, list[_Basin]] = {}
        self._best: list[Group] | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def depth(self, moment: Group) -> float:
        """Down to where hits belong to a moment."""
        return moment.score - DIP * max(0.0, moment.score - self._usual[moment.part])

    def add(self, part: int, row: int, spans: tuple[Indices, Indices], score: float) -> None:
        from_us, to_us = int(spans[0][row]), int(spans[1][row])
        basins = self._of_part.setdefault(part, [])
        low = high = bisect_right(basins, from_us, key=lambda known: known.from_us)
        while low > 0 and from_us - basins[low - 1].to_us <= self._gap_us:
            low -= 1
        while high < len(basins) and basins[high].from_us - to_us <= self._gap_us:
            high += 1
        hit = Group(part, row, row, row, from_us, to_us, score, 1)
        if low == high:
            basins.insert(low, _Basin(from_us, to_us, hit))
            self._count += 1
            self._best = None
            return
        touched = [
            at
            for at in range(low, high)
            if score >= self.depth(basins[at].moment) and self._meets(basins[at].moment, hit)
        ]
        home = touched[0] if touched else low
        if touched:
            basins[home].moment.take(hit)
            self._best = None
        basins[home].from_us, basins[home].to_us = min(basins[home].from_us, from_us), max(basins[home].to_us, to_us)
        for at in reversed(touched[1:]):
            joined = basins.pop(at)
            basins[home].moment.take(joined.moment)
            basins[home].from_us = min(basins[home].from_us, joined.from_us)
            basins[home].to_us = max(basins[home].to_us, joined.to_us)
            self._count -= 1

    def _meets(self, moment: Group, hit: Group) -> bool:
        return hit.from_us - moment.to_us <= self._gap_us and moment.from_us - hit.to_us <= self._gap_us

    def best(self) -> list[Group]:
        """The moments so far, best first."""
        if self._best is None:
            moments = (basin.moment for basins in self._of_part.values() for basin in basins)
            self._best = sorted(moments, key=_rank)
        return self._best
