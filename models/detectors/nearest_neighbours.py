"""Distance to the nearest normal vectors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from models.arrays import Arrays
from models.detectors.base import Scores, Vectors
from models.detectors.reference import Reference, check_neighbours
from models.heads.neighbours import Distances, TimeExclusion


@dataclass(frozen=True)
class NearestNeighboursSettings:
    """Settings of `NearestNeighbours`.

    Attributes:
        neighbours: k, at least 1; with more, a lone look-alike in the reference excuses less. Reduced where the
            reference is smaller.
    """

    neighbours: int = 20

    def __post_init__(self) -> None:
        check_neighbours(self.neighbours)


@dataclass(frozen=True, eq=False)
class NearestNeighbours:
    """Mean distance to the k nearest reference rows (Angiulli & Pizzuti 2002, divided by k).

    The mean rather than the k-th distance (Ramaswamy et al. 2000): it moves with each of the k neighbours, so that a
    lone earlier look-alike lowers a score only by its share, and it does not hang on one row's rank.

    Attributes:
        normal: the reference.
    """

    kind: ClassVar[str] = "knn"

    normal: Reference

    @classmethod
    def fit(
        cls, settings: NearestNeighboursSettings, vectors: Vectors, exclusion: TimeExclusion
    ) -> tuple[Self, Scores]:
        """Fit on float32 (M, d), and score each row by the neighbours that the exclusion leaves it."""
        normal, _, distances = Reference.fit(vectors, settings.neighbours, exclusion)
        return cls(normal), _mean(distances)

    @property
    def remark(self) -> str:
        return self.normal.remark

    def score(self, vectors: Vectors) -> Scores:
        """Mean distance of new vectors to their k nearest reference rows; see `Detector.score`."""
        return _mean(self.normal.nearest(vectors)[1])

    def to_arrays(self) -> Arrays:
        return self.normal.to_arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(Reference.from_arrays(arrays))


def _mean(distances: Distances) -> Scores:
    return np.asarray(distances.mean(axis=1), dtype=np.float32)
