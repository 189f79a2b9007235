"""Location-aware novelty: each place of the picture is held against what that place and its surroundings usually show.

A cyclist on a footpath is a small part of a picture full of walkers: a vector as a whole hardly changes. Here every
cell of a layout has its own reference, and the score is that of the strangest cell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.spatial import KDTree

from infra.errors import ConfigurationError
from models.arrays import Arrays, part, prefixed
from models.detectors.base import Scores, Vectors
from models.detectors.crossfit import in_blocks
from models.detectors.reference import check_neighbours
from models.heads.neighbours import TimeExclusion
from models.layout import Layout, layout_arrays, layout_from_arrays

Distances = NDArray[np.float32]

QUANTILE = 0.999
"""Of a cell's normal distances: what passes it is strange there."""
FLOOR_SHARE = 0.1
"""Of the mean scale, added to each: a place where nothing ever moved would else be beside itself at the first stir."""
LIMIT = 3.0
"""What a score tends to: a score of many times the usual says no more than one of several times, and smoothed over time
a single freak would drown what lasts."""
MOST_IN_A_CELL = 5_000
"""Reference values that a cell keeps at most, spread evenly over time."""


@dataclass(frozen=True)
class CellsSettings:
    """Settings of `Cells`.

    Attributes:
        neighbours: k, at least 1.
        reach: cells around a cell, in every direction, whose footage counts as its own: more make up for short
            references, fewer tell places apart. At least 0.
    """

    neighbours: int = 5
    reach: int = 2

    def __post_init__(self) -> None:
        check_neighbours(self.neighbours)
        if self.reach < 0:
            raise ConfigurationError(f"reach is at least 0 cells, got {self.reach}")


@dataclass(frozen=True, eq=False)
class Cells:
    """The strangest cell of a vector, after Angiulli & Pizzuti 2002 (mean distance to the k nearest) in every cell.

    d_c = mean distance of cell c's values to the k nearest among the reference's values in the cells within reach of c;
    s = max over c of d_c / scale_c, where scale_c is the 99.9 % quantile of c's normal distances, averaged over its
    neighbours, and a floor; score = s / (1 + s / 3), which rises with s and stays below 3.

    Attributes:
        layout: of the vectors.
        reference: float32 (M, D), normal vectors in order of time.
        neighbours, reach: as of the settings.
        scale: float32 (cells,).
    """

    kind: ClassVar[str] = "cells"

    layout: Layout
    reference: Vectors
    neighbours: int
    reach: int
    scale: Distances

    @classmethod
    def fit(
        cls, settings: CellsSettings, vectors: Vectors, exclusion: TimeExclusion, layout: Layout | None
    ) -> tuple[Self, Scores]:
        """Fit on float32 (M, D) of a layout, and score each row by the rows that the exclusion leaves it.

        Raises:
            ConfigurationError: the vectors have no layout, or the exclusion leaves too little.
        """
        if layout is None:
            raise ConfigurationError(
                'the detector "cells" looks at places of the picture, and these vectors have none: use an encoder with a'
                ' layout, as handcrafted/velocity or handcrafted/motion, and the projection "none"'
            )
        unscaled = np.ones(layout.cells, dtype=np.float32)
        normal = np.empty((len(vectors), layout.cells), dtype=np.float32)
        for block, others in in_blocks(exclusion):
            some = cls(layout, vectors[others], settings.neighbours, settings.reach, unscaled)
            normal[block] = some.distances(vectors[block])
        ordered = vectors[np.argsort(exclusion.from_us, kind="stable")]
        scale = _scale(normal, layout)
        return cls(layout, ordered, settings.neighbours, settings.reach, scale), _score(normal / scale)

    @property
    def remark(self) -> str:
        """What a person should know of the fit, for the card; empty where nothing."""
        held = len(self.reference)
        return "" if held >= self.neighbours else f"k reduced from {self.neighbours} to {held}: the reference is short"

    def score(self, vectors: Vectors) -> Scores:
        """Score of the strangest cell; see `Detector.score`."""
        return _score(self.distances(vectors) / self.scale)

    def distances(self, vectors: Vectors) -> Distances:
        """d_c of every cell: vectors (N, D) to float32 (N, cells)."""
        values = self.layout.split(vectors)
        found = np.empty(values.shape[:2], dtype=np.float32)
        for cell, tree in enumerate(self._trees):
            k = min(self.neighbours, tree.n)
            # What does not move is most of it, and looks the same: each different one is looked up once.
            different, where = np.unique(values[:, cell], axis=0, return_inverse=True)
            lengths, _ = tree.query(different, k=np.arange(1, k + 1))
            found[:, cell] = lengths.mean(axis=1)[where.ravel()]
        return found

    def parts(self, vector: Vectors) -> dict[str, NDArray[np.floating[Any]]]:
        """What each part of each cell adds; see `Accountable.parts`.

        A cell counts by the square of d_c / scale_c, shared among its parts as the squared difference to the mean of
        its nearest normal values is.
        """
        values = self.layout.split(vector[None])[0].astype(np.float64)
        squares = np.empty_like(values)
        for cell, tree in enumerate(self._trees):
            k = min(self.neighbours, tree.n)
            _, rows = tree.query(values[cell], k=np.arange(1, k + 1))
            squares[cell] = np.square(values[cell] - tree.data[rows].mean(axis=0))
        amounts = np.square(self.distances(vector[None])[0] / self.scale, dtype=np.float64)
        whole = squares.sum(axis=1)
        shares = squares * np.divide(amounts, whole, out=np.zeros_like(amounts), where=whole > 0)[:, None]
        grid = (self.layout.rows, self.layout.columns)
        return {name: part.reshape(grid) for name, part in self.layout.by_part(shares).items()}

    @cached_property
    def _trees(self) -> list[KDTree]:
        values = self.layout.split(self.reference).reshape(
            len(self.reference), self.layout.rows, -1, self.layout.values
        )
        trees = []
        for row in range(self.layout.rows):
            for column in range(self.layout.columns):
                near = values[:, _within(row, self.reach), _within(column, self.reach)].reshape(-1, self.layout.values)
                kept = np.linspace(0, len(near) - 1, min(len(near), MOST_IN_A_CELL)).round().astype(np.int64)
                trees.append(KDTree(near[kept]))
        return trees

    def to_arrays(self) -> Arrays:
        return {
            "reference": self.reference,
            "scale": self.scale,
            "settings": np.array([self.neighbours, self.reach], dtype=np.int64),
            **prefixed("layout", layout_arrays(self.layout)),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        neighbours, reach = (int(value) for value in arrays["settings"])
        layout = layout_from_arrays(part("layout", arrays))
        return cls(layout, arrays["reference"], neighbours, reach, arrays["scale"])


def _within(at: int, reach: int) -> slice:
    return slice(max(0, at - reach), at + reach + 1)


def _scale(normal: Distances, layout: Layout) -> Distances:
    """What each cell's distances (M, cells) are measured in, float32 (cells,), above 0."""
    quantiles = np.quantile(normal, QUANTILE, axis=0).reshape(layout.rows, layout.columns)
    mean = float(quantiles.mean())
    scale = uniform_filter(quantiles, 3, mode="nearest") + (FLOOR_SHARE * mean if mean > 0 else 1.0)
    return np.asarray(scale.ravel(), dtype=np.float32)


def _score(ratios: NDArray[np.floating[Any]]) -> Scores:
    strangest = ratios.max(axis=1) if len(ratios) else np.empty(0)
    return np.asarray(strangest / (1 + strangest / LIMIT), dtype=np.float32)
