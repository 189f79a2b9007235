"""Exact nearest neighbours by Euclidean distance, in bounded memory, with rows that may not see one another."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError

Indices = NDArray[np.int64]
Distances = NDArray[np.float64]

BLOCK_BYTES = 64 * 2**20
SPARE_CANDIDATES = 8
"""Candidates beyond the k: the order of the nearest may be another by products than by differences."""
LARGE_PAIRS = 2**24
"""Pairs of rows, as 4096 × 4096, from which on faiss looks for candidates: several times as fast as blocks of products."""
CACHED_BYTES = 2**19
"""Of differences made at once: they are still in the cache when they are squared."""


@dataclass(frozen=True, eq=False)
class TimeExclusion:
    """Which rows of one set of snippets may not be neighbours of one another.

    Rows i and j exclude each other if j's span meets i's span widened by `exclusion_us` on both sides:
    `from_j < to_i + exclusion_us` and `to_j > from_i - exclusion_us`. A row always excludes itself.

    Attributes:
        from_us: int64 (N,), start of each snippet in microseconds on the camera's clock.
        to_us: int64 (N,), end of each snippet, exclusive, after its start.
        exclusion_us: at least 0; 0 excludes snippets that overlap.
    """

    from_us: NDArray[np.int64]
    to_us: NDArray[np.int64]
    exclusion_us: int

    def __post_init__(self) -> None:
        if self.from_us.ndim != 1 or self.from_us.shape != self.to_us.shape:
            raise ValueError(f"from_us and to_us have one shape (N,), got {self.from_us.shape} and {self.to_us.shape}")
        if not (self.from_us < self.to_us).all():
            raise ValueError("every snippet ends after it starts (from_us < to_us)")
        if self.exclusion_us < 0:
            raise ConfigurationError(f"exclusion_us is at least 0, got {self.exclusion_us}")

    @classmethod
    def of_itself(cls, rows: int) -> Self:
        """Each of `rows` rows excludes itself and no other."""
        at = np.arange(rows, dtype=np.int64)
        return cls(at, at + 1, 0)

    def __len__(self) -> int:
        return len(self.from_us)

    def admissible(self) -> NDArray[np.int64]:
        """int64 (N,): how many rows may be neighbours of each row."""
        begun = np.searchsorted(np.sort(self.from_us), self.to_us + self.exclusion_us, side="left")
        over = np.searchsorted(np.sort(self.to_us), self.from_us - self.exclusion_us, side="right")
        return np.asarray(len(self) - (begun - over), dtype=np.int64)

    def mask(self, rows: slice | Indices, others: slice | Indices = slice(None)) -> NDArray[np.bool_]:
        """bool (B, N): True where a row of `rows` may not have that neighbour of `others`, which are all rows."""
        begun = self.from_us[None, others] < self.to_us[rows, None] + self.exclusion_us
        over = self.to_us[None, others] <= self.from_us[rows, None] - self.exclusion_us
        return np.asarray(begun & ~over)

    def around(self, rows: Indices, others: slice | Indices = slice(None)) -> NDArray[np.bool_]:
        """bool (N,): True for each of `others` that may not be a neighbour of some row of `rows`, int64 (B,), B ≥ 1."""
        order = rows[np.argsort(self.from_us[rows], kind="stable")]
        reached = np.maximum.accumulate(self.to_us[order])
        begun = np.searchsorted(self.from_us[order], self.to_us[others] + self.exclusion_us, side="left")
        latest = reached[np.maximum(begun - 1, 0)]
        return np.asarray((begun > 0) & (latest > self.from_us[others] - self.exclusion_us))


def nearest(
    queries: NDArray[Any], reference: NDArray[Any], k: int, exclusion: TimeExclusion | None = None
) -> tuple[Indices, Distances]:
    """Find the k nearest rows of `reference` for every query.

    Candidates are found by products, in one of two ways; their distances are then computed from the differences
    themselves in float64, so that equal vectors are at distance 0 exactly and a distance does not depend on where its
    rows lie. Below `LARGE_PAIRS` pairs of rows the products are in float64, by blocks. From there on they are faiss's,
    in float32; where rounding could have hidden a nearer row than those found, the query is asked again in the first
    way. So both give the same neighbours. Memory: one float64 copy of `reference` and some blocks of `BLOCK_BYTES`.

    Args:
        queries: (N, D), finite.
        reference: (M, D), finite.
        k: 1 … M, or 1 … the smallest number of admissible rows under `exclusion`.
        exclusion: rows that may not be neighbours; `queries` and `reference` are then the same rows.

    Returns:
        int64 (N, k) rows of `reference` and float64 (N, k) distances, nearest first, equal distances in row order.

    Raises:
        ValueError: k is out of range, or the exclusion is of another number of rows.
    """
    if exclusion is not None and not len(exclusion) == len(queries) == len(reference):
        raise ValueError(
            f"an exclusion of {len(exclusion)} rows does not fit {len(queries)} queries of {len(reference)} rows"
        )
    most = len(reference) if exclusion is None else int(exclusion.admissible().min(initial=len(reference)))
    if not 1 <= k <= most:
        raise ValueError(f"k is 1 to {most}, the rows each query may have as neighbours; got {k}")
    if len(queries) * len(reference) < LARGE_PAIRS:
        return nearest_of_few(queries, reference, k, exclusion, np.arange(len(queries)))
    from models.heads.flat_search import nearest_of_many  # faiss takes a third of a second to load

    return nearest_of_many(queries, reference, k, exclusion)


def unit_length(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """float32 (N, D) of length 1; a zero vector stays zero."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)


def nearest_of_few(
    queries: NDArray[Any], reference: NDArray[Any], k: int, exclusion: TimeExclusion | None, asked: Indices
) -> tuple[Indices, Distances]:
    """`nearest` for the queries of numbers `asked`, int64 (B,), by products in float64."""
    # Centring takes away the common offset, which would cost the product digits.
    centre = reference.mean(axis=0, dtype=np.float64)
    rows = reference - centre
    squares = np.einsum("md,md->m", rows, rows)
    width = min(k + SPARE_CANDIDATES, len(rows))
    indices = np.empty((len(asked), k), dtype=np.int64)
    distances = np.empty((len(asked), k), dtype=np.float64)
    for block in _blocks(len(asked), len(rows), BLOCK_BYTES):
        ranks = squares - 2 * ((queries[asked[block]] - centre) @ rows.T)
        if exclusion is not None:
            ranks[exclusion.mask(asked[block])] = np.inf
        candidates = np.argpartition(ranks, width - 1, axis=1)[:, :width]
        lengths = pair_lengths(queries, reference, np.repeat(asked[block], width), candidates.ravel())
        lengths = lengths.reshape(candidates.shape)
        lengths[np.isinf(np.take_along_axis(ranks, candidates, axis=1))] = np.inf
        indices[block], distances[block] = first_of(candidates, lengths, k)
    return indices, distances


def pair_lengths(queries: NDArray[Any], reference: NDArray[Any], query: Indices, row: Indices) -> Distances:
    """float64 (P,): distances of pairs, from the differences; numbers of queries and of rows, int64 (P,)."""
    lengths = np.empty(len(query), dtype=np.float64)
    for some in _blocks(len(query), reference.shape[1], CACHED_BYTES):
        gaps = np.subtract(reference[row[some]], queries[query[some]], dtype=np.float64)
        lengths[some] = np.sqrt(np.einsum("pd,pd->p", gaps, gaps))
    return lengths


def first_of(candidates: Indices, lengths: Distances, k: int) -> tuple[Indices, Distances]:
    """The k nearest of candidates (N, width), nearest first, equal distances in order of their numbers."""
    order = np.lexsort((candidates, lengths), axis=1)[:, :k]
    return np.take_along_axis(candidates, order, axis=1), np.take_along_axis(lengths, order, axis=1)


def _blocks(rows: int, floats_per_row: int, most_bytes: int) -> Iterator[slice]:
    step = max(1, most_bytes // (8 * max(1, floats_per_row)))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
