"""Why a vector scores as it does: what its score is made of, where in the picture, and what normal it is nearest to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.heads.neighbours import Distances, Indices
from models.layout import Layout

Cells = NDArray[np.float32]
Box = tuple[float, float, float, float]

BESIDE_SHARE = 0.5
"""Of the largest cell's share: cells of at least this, joined to it by a side or corner, are the place."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """The reasons of one score.

    Attributes:
        parts: share of each part of the layout, adding to 1; empty where the vector has no layout. All are 0 where the
            vector does not differ from its nearest normals.
        cells: float32 (rows, columns), share of each cell, adding to 1 likewise; None without a layout.
        place: box around the cells that count most, as x, y, width and height in fractions of the picture; None without
            a layout or a difference.
        nearest: int64 (k,), rows of the reference, nearest first.
        distances: float64 (k,), to them.
    """

    parts: dict[str, float]
    cells: Cells | None
    place: Box | None
    nearest: NDArray[np.int64]
    distances: NDArray[np.float64]


def explained(
    amounts: Mapping[str, NDArray[np.floating[Any]]], layout: Layout | None, nearest: Indices, distances: Distances
) -> Explanation:
    """Make amounts by part, each (rows, columns) and at least 0, into shares; without a layout there are none."""
    if layout is None:
        return Explanation({}, None, None, nearest, distances)
    whole = sum(float(amount.sum(dtype=np.float64)) for amount in amounts.values()) or 1.0
    parts = {name: float(amount.sum(dtype=np.float64)) / whole for name, amount in amounts.items()}
    cells = np.asarray(sum(amounts.values()) / np.float64(whole), dtype=np.float32)
    return Explanation(parts, cells, layout.box(_foremost(cells)), nearest, distances)


def squares_by_part(difference: NDArray[np.floating[Any]], layout: Layout) -> dict[str, NDArray[np.floating[Any]]]:
    """Squares of the values (D,) of a vector, summed within each part of each cell: (rows, columns) by part."""
    squares = layout.split(np.square(difference, dtype=np.float64)[None])[0]
    return {name: amounts.reshape(layout.rows, layout.columns) for name, amounts in layout.by_part(squares).items()}


def _foremost(cells: Cells) -> NDArray[np.bool_]:
    """The largest cell and what is joined to it of nearly its share; none where all are 0."""
    top = float(cells.max())
    if top <= 0:
        return np.zeros(cells.shape, dtype=np.bool_)
    groups, _ = ndimage.label(cells >= BESIDE_SHARE * top, structure=np.ones((3, 3)))
    return np.asarray(groups == groups.flat[int(cells.argmax())])
