"""The normal vectors that a detector by neighbours keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from models.arrays import Arrays
from models.detectors.base import Vectors
from models.heads.neighbours import Distances, Indices, TimeExclusion, nearest


@dataclass(frozen=True, eq=False)
class Reference:
    """Normal vectors, and how many of them a vector is held against.

    Attributes:
        vectors: float32 (M, d).
        neighbours: k in use, at most what the settings ask for.
        wanted: k of the settings.
    """

    vectors: Vectors
    neighbours: int
    wanted: int

    @classmethod
    def fit(cls, vectors: Vectors, wanted: int, exclusion: TimeExclusion) -> tuple[Self, Indices, Distances]:
        """The reference, and its rows' own neighbours, int64 and float64 (M, k), as far as the exclusion leaves any."""
        k = min(wanted, int(exclusion.admissible().min()))
        return cls(vectors, k, wanted), *nearest(vectors, vectors, k, exclusion)

    @property
    def remark(self) -> str:
        """What a person should know about k; empty where nothing."""
        if self.neighbours == self.wanted:
            return ""
        return (
            f"k reduced from {self.wanted} to {self.neighbours}: {len(self.vectors)} reference snippets allow no more"
        )

    def nearest(self, vectors: Vectors) -> tuple[Indices, Distances]:
        """The k nearest rows of new vectors, int64 (N, k), and their distances, float64 (N, k)."""
        return nearest(vectors, self.vectors, self.neighbours)

    def to_arrays(self) -> Arrays:
        return {
            "reference": self.vectors,
            "neighbours": np.array([self.neighbours, self.wanted], dtype=np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        used, wanted = (int(k) for k in arrays["neighbours"])
        return cls(arrays["reference"], used, wanted)


def check_neighbours(neighbours: int) -> None:
    """Raise ConfigurationError unless k is at least 1."""
    if neighbours < 1:
        raise ConfigurationError(f"neighbours is at least 1, got {neighbours}")
