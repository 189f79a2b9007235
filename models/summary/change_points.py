"""Where what a camera sees changes: kernel temporal segmentation (Potapov et al., ECCV 2014)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from models.summary.segments import Rows

Costs = NDArray[np.float64]

ALL_EQUAL = 1e-12
"""Scatter, as a share of the mean square, that is rounding."""


def change_points(
    vectors: NDArray[np.floating[Any]],
    *,
    most: int,
    minimum: int = 1,
    penalty: float = 4.0,
    block: int = 500,
) -> Rows:
    """Rows at which a new stretch begins.

    With the linear kernel, the scatter of a stretch is the sum of its vectors' squared distances from their mean. Of
    all ways to set m change points, dynamic programming finds the one with the least scatter J(m) within the stretches.
    The number m minimises

        J(m) / N + penalty · v · m / (2 N) · (log(N / m) + 1)

    for m = 0 … `most`. That is the authors' criterion as their program has it, with v in the place of its constant: the
    mean diagonal of the centred kernel, J(0) / N. So neither the vectors' origin nor their unit decides anything. Of
    equally good ways the one with fewer change points is taken, then the one whose last of them come first.

    More than `block` rows are done piece by piece, with a share of `most` each. A piece's change points count in its
    first three quarters; the next piece begins at the last of these, or, where there is none, half a piece further on.
    So no piece's edge becomes a change point, and a stretch longer than a piece stays whole. v is that of all rows.

    Args:
        vectors: floating (N, D), finite, in order of time.
        most: most change points, at least 0.
        minimum: rows in the shortest stretch, at least 1.
        penalty: above 0; higher gives fewer change points. At 4 each costs 2 v · (log(N / m) + 1), about what suits a
            Gaussian series (Lebarbier, Signal Processing 2005): noise alone has none. At 1 it is cut all over.
        block: rows done together, at least 4 · `minimum` and 8. Memory grows with its square, time with its square
            times N / `minimum`.

    Returns:
        int64 (m,), rising, each 1 … N - 1.

    Raises:
        ConfigurationError: a number is out of range.
        ValueError: the vectors are not finite or not (N, D).
    """
    _check(vectors, most, minimum, penalty, block)
    rows = len(vectors)
    if rows < 2 * minimum:
        return np.empty(0, dtype=np.int64)
    mean = vectors.mean(axis=0, dtype=np.float64)
    mean_square = float(np.einsum("nd,nd->", vectors, vectors, dtype=np.float64)) / rows
    spread = mean_square - float(mean @ mean)
    if spread <= ALL_EQUAL * mean_square:
        return np.empty(0, dtype=np.int64)
    found: list[int] = []
    start = 0
    while len(found) < most:
        end = min(start + block, rows)
        share = most if end - start == rows else -(-most * (end - start) // rows)
        piece = vectors[start:end] - mean  # sums of what lies around 0 keep more digits
        within = start + _least_scatter(piece, min(share, most - len(found)), minimum, penalty * spread)
        if end == rows:
            found += within.tolist()
            break
        own = within[within < start + 3 * block // 4].tolist()
        found += own
        start = own[-1] if own else start + block // 2
    return np.array(found, dtype=np.int64)


def _least_scatter(vectors: Costs, most: int, minimum: int, scale: float) -> Rows:
    """Change points of one piece, float64 (n, D); `scale` is penalty · v."""
    rows = len(vectors)
    most = min(most, rows // minimum - 1)
    if most < 1:
        return np.empty(0, dtype=np.int64)
    least, last = _tables(vectors, most, minimum)
    number = np.arange(1, most + 1)
    costs = least[:, rows] + np.append(0.0, scale * number / 2 * (np.log(rows / number) + 1))
    points = []
    end = rows
    for count in range(int(np.argmin(costs)), 0, -1):
        end = int(last[count, end])
        points.append(end)
    return np.array(points[::-1], dtype=np.int64)


def _tables(vectors: Costs, most: int, minimum: int) -> tuple[Costs, NDArray[np.int32]]:
    """Of the first e rows with m change points: the least scatter and the last change point, (most + 1, n + 1) each."""
    rows = len(vectors)
    sums = np.concatenate([np.zeros((1, vectors.shape[1])), np.cumsum(vectors, axis=0)])
    squares = np.append(0.0, np.cumsum(np.einsum("nd,nd->n", vectors, vectors)))
    products = sums @ sums.T
    lengths = np.diagonal(products)
    least = np.full((most + 1, rows + 1), np.inf)
    last = np.zeros((most + 1, rows + 1), dtype=np.int32)
    for end in range(minimum, rows + 1):
        apart = lengths[end] + lengths[:end] - 2 * products[end, :end]
        scatter = squares[end] - squares[:end] - apart / np.arange(end, 0, -1)
        least[0, end] = scatter[0]
        tried = min(most, end // minimum - 1)
        if tried > 0:
            begins = slice(minimum, end - minimum + 1)
            sums_of_two = least[:tried, begins] + scatter[begins]
            best = np.argmin(sums_of_two, axis=1)
            least[1 : tried + 1, end] = sums_of_two[np.arange(tried), best]
            last[1 : tried + 1, end] = best + minimum
    return least, last


def _check(vectors: NDArray[Any], most: int, minimum: int, penalty: float, block: int) -> None:
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise ValueError(f"vectors are finite and (N, D), got {vectors.shape}")
    if most < 0 or minimum < 1 or not 0 < penalty < np.inf:
        raise ConfigurationError(
            f"most is at least 0, minimum at least 1 and penalty above 0, got {most}, {minimum} and {penalty}"
        )
    if block < max(8, 4 * minimum):
        raise ConfigurationError(f"block is at least 4 times the minimum ({minimum}) and 8, got {block}")
