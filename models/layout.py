"""What the values of a vector stand for, where they stand for places in the picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import Arrays, array_text, text_array


@dataclass(frozen=True)
class Layout:
    """A vector as a grid of cells, row by row from the top left, each cell holding the values of its parts in order.

    Attributes:
        rows, columns: cells that the picture is divided into.
        parts: name and number of values of each part of a cell, as `(("direction", 8), ("speed", 3))`.
    """

    rows: int
    columns: int
    parts: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < 1 or not self.parts or min(width for _, width in self.parts) < 1:
            raise ValueError(f"a layout has at least one row, column and part of at least one value, got {self}")

    @property
    def cells(self) -> int:
        return self.rows * self.columns

    @property
    def values(self) -> int:
        """Values of a cell."""
        return sum(width for _, width in self.parts)

    @property
    def dimension(self) -> int:
        """Values of a vector."""
        return self.cells * self.values

    def split(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """Vectors (N, D) as (N, cells, values)."""
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise ValueError(f"vectors of this layout are (N, {self.dimension}), got {vectors.shape}")
        return vectors.reshape(len(vectors), self.cells, self.values)

    def by_part(self, values: NDArray[np.floating[Any]]) -> dict[str, NDArray[np.floating[Any]]]:
        """Sum the last axis, (…, values), within each part: one array (…,) by name, in order."""
        ends = np.cumsum([0, *(width for _, width in self.parts)])
        return {
            name: values[..., ends[number] : ends[number + 1]].sum(axis=-1)
            for number, (name, _) in enumerate(self.parts)
        }

    def box(self, cells: NDArray[np.bool_]) -> tuple[float, float, float, float] | None:
        """Box around chosen cells, bool (rows, columns), as x, y, width and height in fractions; None without any."""
        down, across = np.nonzero(cells)
        if not len(down):
            return None
        left, top = int(across.min()), int(down.min())
        width, height = int(across.max()) + 1 - left, int(down.max()) + 1 - top
        return left / self.columns, top / self.rows, width / self.columns, height / self.rows


def layout_arrays(layout: Layout) -> Arrays:
    """A layout as arrays; see `layout_from_arrays`."""
    return {
        "grid": np.array([layout.rows, layout.columns], dtype=np.int64),
        "names": text_array("\n".join(name for name, _ in layout.parts)),
        "widths": np.array([width for _, width in layout.parts], dtype=np.int64),
    }


def layout_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Layout:
    """The layout whose `layout_arrays` these are."""
    rows, columns = (int(count) for count in arrays["grid"])
    names = array_text(arrays["names"]).split("\n")
    return Layout(rows, columns, tuple(zip(names, (int(width) for width in arrays["widths"]), strict=True)))
