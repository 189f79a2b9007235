"""The length of a vector: where each of its values is an error, the score of the reconstruction as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from models.arrays import Arrays
from models.detectors.base import Scores, Vectors


@dataclass(frozen=True)
class MagnitudeSettings:
    """Settings of `Magnitude`, which has none."""


@dataclass(frozen=True, eq=False)
class Magnitude:
    """Euclidean length, √Σ v².

    Where the values are the roots of the sums of squared errors of an autoencoder, cell by cell, this is the root of
    the sum of squared errors of the whole cuboid (row A2). Nothing is fitted: a row's own score is its normal score.
    """

    kind: ClassVar[str] = "magnitude"
    remark: ClassVar[str] = ""

    def score(self, vectors: Vectors) -> Scores:
        """Length of each vector; see `Detector.score`."""
        squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
        return np.asarray(np.sqrt(squares), dtype=np.float32)

    def to_arrays(self) -> Arrays:
        return {}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:  # noqa: ARG003 — there is nothing to read
        return cls()
