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

    def mask(self, rows: slice) -> NDArray[np.bool_]:
        """bool (B, N): True where a row of `rows` may not have that neighbour."""
        begun = self.from_us[None, :] < self.to_us[rows, None] + self.exclusion_us
        over = self.to_us[None, :] <= self.from_us[rows, None] - self.exclusion_us
        return np.asarray(begun & ~over)


def nearest(
    queries: NDArray[Any], reference: NDArray[Any], k: int, exclusion: TimeExclusion | None = None
) -> tuple[Indices, Distances]:
    """Find the k nearest rows of `reference` for every query.

    Candidates come from |r|² - 2 q·r by blocks of queries in float64; the distances of the candidates are then computed
    from the differences themselves, so that equal vectors are at distance 0 exactly and a distance does not depend on
    where its rows lie. Memory: one float64 copy of `reference` and some blocks of `BLOCK_BYTES`.

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
    # Centring takes away the common offset, which would cost the product digits.
    centre = reference.mean(axis=0, dtype=np.float64)
    rows = reference - centre
    squares = np.einsum("md,md->m", rows, rows)
    width = min(k + SPARE_CANDIDATES, len(rows))
    indices = np.empty((len(queries), k), dtype=np.int64)
    distances = np.empty((len(queries), k), dtype=np.float64)
    for block in _blocks(len(queries), max(len(rows), width * rows.shape[1])):
        asked = queries[block] - centre
        ranks = squares - 2 * (asked @ rows.T)
        if exclusion is not None:
            ranks[exclusion.mask(block)] = np.inf
        candidates = np.argpartition(ranks, width - 1, axis=1)[:, :width]
        gaps = rows[candidates] - asked[:, None, :]
        lengths = np.sqrt(np.einsum("nkd,nkd->nk", gaps, gaps))
        lengths[np.isinf(np.take_along_axis(ranks, candidates, axis=1))] = np.inf
        order = np.lexsort((candidates, lengths), axis=1)[:, :k]
        indices[block] = np.take_along_axis(candidates, order, axis=1)
        distances[block] = np.take_along_axis(lengths, order, axis=1)
    return indices, distances


def unit_length(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """float32 (N, D) of length 1; a zero vector stays zero."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)


def _blocks(rows: int, floats_per_row: int) -> Iterator[slice]:
    step = max(1, BLOCK_BYTES // (8 * max(1, floats_per_row)))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
