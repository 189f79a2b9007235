"""Local Outlier Factor: how much sparser a vector lies than its neighbours do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from models.arrays import Arrays
from models.detectors.base import Scores, Vectors
from models.detectors.reference import Reference, check_neighbours
from models.heads.neighbours import Distances, Indices, TimeExclusion

DENSITY_EPSILON = 1e-10
"""Added to a mean reachability distance before it is inverted, as scikit-learn does: repeated vectors stay finite."""


@dataclass(frozen=True)
class LocalOutlierFactorSettings:
    """Settings of `LocalOutlierFactor`.

    Attributes:
        neighbours: k, at least 1; more neighbours see wider and smooth more. Reduced where the reference is smaller.
    """

    neighbours: int = 20

    def __post_init__(self) -> None:
        check_neighbours(self.neighbours)


@dataclass(frozen=True, eq=False)
class LocalOutlierFactor:
    """LOF of Breunig et al. 2000 as scikit-learn's `LocalOutlierFactor(novelty=True)` computes it: -score_samples.

    reach(p, o) = max(k-distance(o), d(p, o)); lrd(p) = 1 / (mean over p's k neighbours o of reach(p, o) + 1e-10);
    LOF(p) = mean over o of lrd(o) / lrd(p). About 1 where p lies as densely as its neighbours, more where sparser.
    Neighbourhoods have exactly k rows, equal distances in row order. Where more than k reference vectors are equal,
    their lrd is 1e10 and a vector beside them scores up to that: finite, but drop repeated snippets before fitting.

    Attributes:
        normal: the reference.
        k_distances: float64 (M,), distance of each reference row to its k-th neighbour.
        densities: float64 (M,), lrd of each reference row.
    """

    kind: ClassVar[str] = "lof"

    normal: Reference
    k_distances: NDArray[np.float64]
    densities: NDArray[np.float64]

    @classmethod
    def fit(
        cls, settings: LocalOutlierFactorSettings, vectors: Vectors, exclusion: TimeExclusion
    ) -> tuple[Self, Scores]:
        """Fit on float32 (M, d), and score each row by the neighbours that the exclusion leaves it."""
        normal, indices, distances = Reference.fit(vectors, settings.neighbours, exclusion)
        k_distances = distances[:, -1].copy()
        detector = cls(normal, k_distances, _density(indices, distances, k_distances))
        return detector, detector._of_neighbours(indices, distances)

    @property
    def remark(self) -> str:
        return self.normal.remark

    def score(self, vectors: Vectors) -> Scores:
        """LOF of new vectors with respect to the reference; see `Detector.score`."""
        return self._of_neighbours(*self.normal.nearest(vectors))

    def _of_neighbours(self, indices: Indices, distances: Distances) -> Scores:
        own = _density(indices, distances, self.k_distances)
        return np.asarray(self.densities[indices].mean(axis=1) / own, dtype=np.float32)

    def to_arrays(self) -> Arrays:
        return self.normal.to_arrays() | {"k_distances": self.k_distances, "densities": self.densities}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(Reference.from_arrays(arrays), arrays["k_distances"], arrays["densities"])


def _density(indices: Indices, distances: Distances, k_distances: NDArray[np.float64]) -> NDArray[np.float64]:
    reach = np.maximum(distances, k_distances[indices])
    return np.asarray(1.0 / (reach.mean(axis=1) + DENSITY_EPSILON))
