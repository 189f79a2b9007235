"""Exact nearest neighbours among many rows: faiss's flat search finds candidates, and a bound proves that they suffice.

Imported for a large search only: faiss takes a third of a second to load.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from models.heads.chunks import core_count, one_thread_each
from models.heads.neighbours import (
    SPARE_CANDIDATES,
    Distances,
    Indices,
    TimeExclusion,
    first_of,
    nearest_of_few,
    pair_lengths,
)

Floats = NDArray[np.float32]

AT_ONCE = 2048
"""Queries of a block: as many as faiss is fast with."""
MASKED_AT_ONCE = 256
"""Queries whose hidden rows are masked together: few, for they take products with all that is hidden from one of them."""
FIRST_SHARE, FIRST_WIDTH = 4, 4
"""The first look is at one principal direction in four, and keeps four times the candidates."""
FIRST_FROM = 8
"""A first look is tried from (8 D)² pairs of rows on: below, finding the principal directions takes what it saves."""
BASIS_ROWS = 8192
"""Rows that principal directions are taken from, evenly; any orthonormal ones give a true bound."""
UNIT_ROUNDOFF = 2.0**-24
"""Of float32."""
PILOT = 256
"""Queries that a first look is tried on; it is taken where it settles three in four."""


def nearest_of_many(
    queries: NDArray[Any], reference: NDArray[Any], k: int, exclusion: TimeExclusion | None
) -> tuple[Indices, Distances]:
    """`neighbours.nearest`, for many rows.

    A query is settled when no row that is not among its candidates can be as near as the k-th found. What is not
    settled by a look along some principal directions is looked for along all, and what rounding leaves open there is
    answered by `nearest_of_few`, in float64.
    """
    indices = np.empty((len(queries), k), dtype=np.int64)
    distances = np.empty((len(queries), k), dtype=np.float64)
    # In order of time, what a block of queries may not see is one stretch of rows.
    left = np.arange(len(queries)) if exclusion is None else np.argsort(exclusion.from_us, kind="stable")
    dimension, width = reference.shape[1], k + SPARE_CANDIDATES
    if len(queries) * len(reference) >= (FIRST_FROM * dimension) ** 2 and dimension >= FIRST_SHARE:
        basis = _principal(reference, dimension // FIRST_SHARE)
        first = _Look.of(queries, reference, basis, k, width * FIRST_WIDTH, exclusion)
        trial = left[:: max(1, len(left) // PILOT)]
        if 4 * len(first.settle(trial, indices, distances)) <= len(trial):
            left = first.settle(left, indices, distances)
        del first
    if len(left):
        left = _Look.of(queries, reference, None, k, width, exclusion).settle(left, indices, distances)
    if len(left):
        indices[left], distances[left] = nearest_of_few(queries, reference, k, exclusion, left)
    return indices, distances


@dataclass(frozen=True, eq=False)
class _Look:
    """A search for candidates by distances that are, but for rounding, at most the true ones.

    A product of float32 vectors of D values is off by at most D · u · |q| |r|, u = 2⁻²⁴ (Higham 2002, section 3.1), so
    a squared distance by at most (D + a few) · u · (|q| + |r|)². A row nearer than the k-th found, at distance d, has
    |r| ≤ |q| + d: with the bound at that length, it is among the candidates if the farthest of them is seen beyond d²
    by more than the bound.

    Attributes:
        queries, reference: (N, D) and (M, D).
        centre: float64 (D,), mean of the reference.
        asked, rows: float32 (N, d) and (M, d), the same less `centre`, along d orthonormal directions;
            rows in order of time under an exclusion.
        names: int64 (M,), number of each of `rows` in the reference.
        k, width: neighbours wanted, candidates kept.
    """

    queries: NDArray[Any]
    reference: NDArray[Any]
    centre: NDArray[np.float64]
    asked: Floats
    rows: Floats
    names: Indices
    k: int
    width: int
    exclusion: TimeExclusion | None

    @classmethod
    def of(
        cls,
        queries: NDArray[Any],
        reference: NDArray[Any],
        basis: NDArray[np.float64] | None,
        k: int,
        width: int,
        exclusion: TimeExclusion | None,
    ) -> Self:
        centre = reference.mean(axis=0, dtype=np.float64)
        names = np.arange(len(reference)) if exclusion is None else np.argsort(exclusion.from_us, kind="stable")
        rows = _along(reference, centre, basis)[names]
        asked = _along(queries, centre, basis)
        return cls(queries, reference, centre, asked, rows, names, k, min(width, len(rows)), exclusion)

    def settle(self, chosen: Indices, indices: Indices, distances: Distances) -> Indices:
        """Fill in the answers to the queries of these numbers, in order of time; the numbers of those left open."""
        blocks = [chosen[start : start + AT_ONCE] for start in range(0, len(chosen), AT_ONCE)]
        # Each thread searches alone: threads that share one product wait for one another, longest on a busy machine.
        alone = partial(faiss.omp_set_num_threads, 1)
        with one_thread_each(), ThreadPoolExecutor(core_count(), initializer=alone) as pool:
            answers = list(pool.map(self._answer, blocks))
        for block, (found, lengths, _) in zip(blocks, answers, strict=True):
            indices[block], distances[block] = found, lengths
        return np.concatenate([block[~settled] for block, (_, _, settled) in zip(blocks, answers, strict=True)])

    def _answer(self, block: Indices) -> tuple[Indices, Distances, NDArray[np.bool_]]:
        """Neighbours and distances, (B, k), of a block of queries, and whether each is settled, (B,)."""
        found, seen = self._candidates(block, slice(0, len(self.rows)))
        lengths = np.full(found.shape, np.inf)
        wanted = np.zeros(found.shape, dtype=np.bool_)
        np.put_along_axis(wanted, np.argpartition(seen, self.k - 1, axis=1)[:, : self.k], True, axis=1)
        farthest = self._fill(lengths, wanted, block, found).reshape(len(block), self.k).max(axis=1)
        reach = farthest**2 + self._slack(block, farthest)
        self._fill(lengths, (seen <= reach[:, None]) & ~wanted, block, found)
        lengths[np.isinf(seen)] = np.inf
        settled = (self.width == len(self.rows)) | (seen.max(axis=1) > reach)
        return *first_of(found, lengths, self.k), settled & (found >= 0).all(axis=1)

    def _fill(
        self, lengths: Distances, wanted: NDArray[np.bool_], block: Indices, found: Indices
    ) -> NDArray[np.float64]:
        """Measure the wanted candidates, bool (B, width), and note their distances in their places."""
        query, place = np.nonzero(wanted)
        measured = pair_lengths(self.queries, self.reference, block[query], found[query, place])
        lengths[query, place] = measured
        return measured

    def _slack(self, block: Indices, farthest: Distances) -> NDArray[np.float64]:
        """By how much rounding may shift the squared distance of a row as near as `farthest`, (B,)."""
        own = np.linalg.norm(self.queries[block] - self.centre, axis=1)
        return np.asarray((self.reference.shape[1] + 16) * UNIT_ROUNDOFF * (2 * own + farthest) ** 2)

    def _candidates(self, block: Indices, among: slice) -> tuple[Indices, Floats]:
        """The rows, of a stretch, that seem nearest to each query of a block; inf: hidden from it.

        faiss looks before and after what some query of the block may not see; within it the block is cut smaller, and
        products are masked in the end.

        Returns:
            Numbers and squared distances, (B, w), w being the width or all the rows of the stretch.
        """
        if self.exclusion is None:
            return self._flat(block, among)
        hidden = np.flatnonzero(self.exclusion.around(block, self.names[among]))
        inner = slice(among.start + int(hidden[0]), among.start + int(hidden[-1]) + 1)
        if len(block) <= MASKED_AT_ONCE:
            middle = self._masked(block, inner, self.exclusion)
        else:
            middle = _joined([self._candidates(quarter, inner) for quarter in np.array_split(block, 4)], axis=0)
        before, after = slice(among.start, inner.start), slice(inner.stop, among.stop)
        found, seen = _joined([self._flat(block, before), middle, self._flat(block, after)], axis=1)
        return _least(found, seen, min(self.width, among.stop - among.start))

    def _flat(self, block: Indices, stretch: slice) -> tuple[Indices, Floats]:
        rows, names = self.rows[stretch], self.names[stretch]
        if not len(rows):
            return np.empty((len(block), 0), dtype=np.int64), np.empty((len(block), 0), dtype=np.float32)
        seen, found = faiss.knn(self.asked[block], rows, min(self.width, len(rows)))
        # Numbers beyond float32 have no order: faiss then gives -1, and the query is left open.
        return np.where(found >= 0, names[found], -1), seen

    def _masked(self, block: Indices, stretch: slice, exclusion: TimeExclusion) -> tuple[Indices, Floats]:
        rows, names, asked = self.rows[stretch], self.names[stretch], self.asked[block]
        squares, own = (np.einsum("nd,nd->n", vectors, vectors) for vectors in (rows, asked))
        with np.errstate(over="ignore", invalid="ignore"):  # beyond float32, too, a query is left open
            seen = np.maximum(own[:, None] + squares - 2 * (asked @ rows.T), 0)
        seen[exclusion.mask(block, names)] = np.inf
        return _least(np.broadcast_to(names, seen.shape), seen, min(self.width, len(rows)))


def _joined(parts: list[tuple[Indices, Floats]], axis: int) -> tuple[Indices, Floats]:
    return np.concatenate([found for found, _ in parts], axis), np.concatenate([seen for _, seen in parts], axis)


def _least(found: Indices, seen: Floats, width: int) -> tuple[Indices, Floats]:
    best = np.argpartition(seen, width - 1, axis=1)[:, :width]
    return np.take_along_axis(found, best, axis=1), np.take_along_axis(seen, best, axis=1)


def _principal(reference: NDArray[Any], count: int) -> NDArray[np.float64]:
    """float64 (D, count): orthonormal directions along which the rows differ most."""
    rows = reference[:: max(1, len(reference) // BASIS_ROWS)].astype(np.float64)
    rows -= rows.mean(axis=0)
    most = rows.shape[1] - 1
    return np.asarray(eigh(rows.T @ rows, subset_by_index=(most - count + 1, most))[1])


def _along(vectors: NDArray[Any], centre: NDArray[np.float64], basis: NDArray[np.float64] | None) -> Floats:
    """Vectors less the centre, along the directions of a basis or as they are, float32 (N, d)."""
    along = np.empty((len(vectors), len(centre) if basis is None else basis.shape[1]), dtype=np.float32)
    for start in range(0, len(vectors), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        centred = vectors[rows] - centre
        along[rows] = centred if basis is None else centred @ basis
    return along
