"""Projections that are one matrix: principal components, whitened, and random ones (row N2).

A random projection keeps distances up to a common factor (Johnson & Lindenstrauss 1984) and needs no data; whitened
principal components weigh each direction by how little the normal footage moves along it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

from infra.errors import ConfigurationError, UnknownNameError
from models.arrays import Arrays
from models.projections.base import Projection, Vectors

ProjectionName = Literal["none", "pca", "gaussian", "sparse"]

BLOCK_ROWS = 4096
"""Rows multiplied at once, in float64."""


@dataclass(frozen=True)
class ProjectionSettings:
    """Where a head's vectors are compared.

    Attributes:
        name: `none`; `pca`: principal components of the reference, whitened; `gaussian` and `sparse`: random projections
            (sparse: Li, Hastie & Church 2006, one entry in √D is not 0).
        dimension: d, at least 1; at most D, and for `pca` at most the rank of the reference: reduced where it is more.
        seed: of the random projections; a figure that rests on one is a figure of its seed, so report several.
    """

    name: ProjectionName = "none"
    dimension: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in get_args(ProjectionName):
            raise UnknownNameError("projection", self.name, get_args(ProjectionName))
        if self.dimension < 1:
            raise ConfigurationError(f"the dimension of a projection is at least 1, got {self.dimension}")


@dataclass(frozen=True, eq=False)
class Unprojected:
    """`none`: the vectors themselves."""

    kind: ClassVar[str] = "none"

    def apply(self, vectors: Vectors) -> Vectors:
        return vectors

    def to_arrays(self) -> Arrays:
        return {}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:  # noqa: ARG003 — there is nothing to read
        return cls()


@dataclass(frozen=True, eq=False)
class Linear:
    """(x - offset) · matrix, reckoned in float64.

    Attributes:
        offset: float64 (D,).
        matrix: float64 (D, d).
    """

    kind: ClassVar[str] = "linear"

    offset: NDArray[np.float64]
    matrix: NDArray[np.float64]

    def apply(self, vectors: Vectors) -> Vectors:
        """float32 (N, D) to float32 (N, d); see `Projection.apply`."""
        projected = np.empty((len(vectors), self.matrix.shape[1]), dtype=np.float32)
        for start in range(0, len(vectors), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            projected[block] = (vectors[block] - self.offset) @ self.matrix
        return projected

    def to_arrays(self) -> Arrays:
        return {"offset": self.offset, "matrix": self.matrix}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(arrays["offset"], arrays["matrix"])


def fit_projection(settings: ProjectionSettings, reference: Vectors) -> Projection:
    """Fit a projection; scikit-learn's, so that theirs and ours give the same vectors.

    Args:
        settings: names the projection.
        reference: float32 (M, D), M ≥ 2, scaled; the random projections look at its D only.

    Returns:
        To at most `settings.dimension` values.
    """
    dimension = min(settings.dimension, reference.shape[1])
    match settings.name:
        case "none":
            return Unprojected()
        case "pca":
            return _principal_components(reference, dimension)
        case "gaussian":
            return _random(GaussianRandomProjection(dimension, random_state=settings.seed), reference)
        case "sparse":
            drawn = SparseRandomProjection(dimension, dense_output=True, random_state=settings.seed)
            return _random(drawn, reference)


def _principal_components(reference: Vectors, dimension: int) -> Linear:
    # Both solvers are exact; the first needs no decomposition of all the rows.
    solver = "covariance_eigh" if len(reference) >= reference.shape[1] else "full"
    with np.errstate(
        invalid="ignore"
    ):  # where all rows are equal, it divides by their variance for a share not used here
        found = PCA(min(dimension, len(reference)), svd_solver=solver).fit(reference.astype(np.float64))
    deviations = np.sqrt(found.explained_variance_)
    # Whitening divides by the deviation: a direction along which the reference lies still, but for rounding, says nothing.
    least = deviations[0] * max(reference.shape) * np.finfo(np.float32).eps
    kept = deviations > least if deviations[0] > 0 else np.arange(len(deviations)) == 0
    scale = np.where(deviations > 0, deviations, 1.0)
    return Linear(found.mean_, np.ascontiguousarray((found.components_ / scale[:, None])[kept].T))


def _random(drawn: GaussianRandomProjection | SparseRandomProjection, reference: Vectors) -> Linear:
    components = drawn.fit(reference[:1]).components_
    matrix = components if isinstance(components, np.ndarray) else components.toarray()
    return Linear(np.zeros(reference.shape[1]), np.ascontiguousarray(matrix.T, dtype=np.float64))
