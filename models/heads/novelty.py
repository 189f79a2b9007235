"""Novelty of a snippet against a camera's own normal footage: Local Outlier Factor and nearest-neighbour distance.

Both heads keep the normal vectors, so that a score comes with its reason: the nearest normal snippets. Overlapping or
adjacent snippets look alike, and a slow event would be its own normal; a `TimeExclusion` keeps snippets near in time
from being neighbours. Normal scores for a threshold are `fit_and_score`'s: a head's `score` of its own reference would
count each snippet as its own neighbour.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError, UnknownNameError
from models.heads.base import Arrays, Scores, Vectors, check_vectors
from models.heads.neighbours import (
    Distances,
    Indices,
    TimeExclusion,
    nearest,
    unit_length,
)

PreprocessingName = Literal["none", "l2", "standardise"]

MINIMUM_REFERENCE = 2
"""Reference rows below which no neighbour distance exists."""

DENSITY_EPSILON = 1e-10
"""Added to a mean reachability distance before it is inverted, as scikit-learn does: repeated vectors stay finite."""


@dataclass(frozen=True)
class LocalOutlierFactorSettings:
    """Local Outlier Factor: how much sparser a snippet lies than its neighbours do.

    Attributes:
        neighbours: k, at least 1; more neighbours see wider and smooth more. Reduced where the reference is smaller.
        preprocessing: `none`; `l2`: each vector to length 1; `standardise`: each column to mean 0 and deviation 1 over
            the reference (a constant column is only centred).
    """

    neighbours: int = 20
    preprocessing: PreprocessingName = "none"

    def __post_init__(self) -> None:
        _check_settings(self.neighbours, self.preprocessing)


@dataclass(frozen=True)
class NearestNeighboursSettings:
    """Mean distance to the k nearest neighbours; same attributes as `LocalOutlierFactorSettings`."""

    neighbours: int = 20
    preprocessing: PreprocessingName = "none"

    def __post_init__(self) -> None:
        _check_settings(self.neighbours, self.preprocessing)


NoveltySettings = LocalOutlierFactorSettings | NearestNeighboursSettings


LEAST_DEVIATION = 0.1
"""Share of the root mean square deviation that is added (in quadrature) to each value's own: a value that never moved in
the reference would else make its first stir a million times the rest."""


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """(x - offset) / scale, then length 1 if `to_unit_length`; fitted on the reference only.

    `standardise`: offset = mean, scale² = σ² + (0.1 · rms σ)², value by value.
    """

    offset: NDArray[np.float32]
    scale: NDArray[np.float32]
    to_unit_length: bool

    @classmethod
    def fit(cls, name: PreprocessingName, reference: Vectors) -> Self:
        offset = np.zeros(reference.shape[1], dtype=np.float32)
        scale = np.ones_like(offset)
        if name == "standardise":
            deviations = reference.std(axis=0, dtype=np.float64)
            floor = LEAST_DEVIATION * float(np.sqrt(np.mean(deviations**2)))
            offset = reference.mean(axis=0, dtype=np.float64).astype(np.float32)
            scale = (np.hypot(deviations, floor) if floor > 0 else np.ones_like(deviations)).astype(np.float32)
        return cls(offset, scale, name == "l2")

    def apply(self, vectors: Vectors) -> Vectors:
        scaled = (vectors - self.offset) / self.scale
        return unit_length(scaled) if self.to_unit_length else scaled


@dataclass(frozen=True, eq=False)
class Reference:
    """The normal vectors of a head, preprocessed.

    Attributes:
        vectors: float32 (M, D), after preprocessing.
        neighbours: k in use, at most what the settings ask for.
        wanted: k of the settings.
    """

    preprocessing: Preprocessing
    vectors: Vectors
    neighbours: int
    wanted: int

    @property
    def remark(self) -> str:
        """What a person should know about k; empty where nothing."""
        if self.neighbours == self.wanted:
            return ""
        return (
            f"k reduced from {self.wanted} to {self.neighbours}: {len(self.vectors)} reference snippets allow no more"
        )

    def nearest(self, vectors: Vectors, k: int) -> tuple[Indices, Distances]:
        """The nearest normal snippets: rows of the reference, int64 (N, k), and distances, float64 (N, k).

        Distances are those after preprocessing; k is reduced to the size of the reference.
        """
        check_vectors(vectors, self.vectors.shape[1])
        return nearest(self.preprocessing.apply(vectors), self.vectors, min(k, len(self.vectors)))

    def to_arrays(self) -> Arrays:
        return {
            "reference": self.vectors,
            "offset": self.preprocessing.offset,
            "scale": self.preprocessing.scale,
            "to_unit_length": np.array([self.preprocessing.to_unit_length], dtype=np.uint8),
            "neighbours": np.array([self.neighbours, self.wanted], dtype=np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        preprocessing = Preprocessing(arrays["offset"], arrays["scale"], bool(arrays["to_unit_length"][0]))
        used, wanted = (int(k) for k in arrays["neighbours"])
        return cls(preprocessing, arrays["reference"], used, wanted)


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

    normal: Reference
    k_distances: NDArray[np.float64]
    densities: NDArray[np.float64]

    @classmethod
    def of(cls, normal: Reference, indices: Indices, distances: Distances) -> Self:
        """The head of a reference whose rows have these neighbours, int64 and float64 (M, k)."""
        k_distances = distances[:, -1].copy()
        return cls(normal, k_distances, _density(indices, distances, k_distances))

    def score(self, vectors: Vectors) -> Scores:
        """LOF of new vectors with respect to the reference, float32 (N,); see `Head.score`."""
        return self.score_neighbours(*self.normal.nearest(vectors, self.normal.neighbours))

    def score_neighbours(self, indices: Indices, distances: Distances) -> Scores:
        """LOF of rows whose k nearest reference rows are known."""
        own = _density(indices, distances, self.k_distances)
        return np.asarray(self.densities[indices].mean(axis=1) / own, dtype=np.float32)

    def nearest(self, vectors: Vectors, k: int) -> tuple[Indices, Distances]:
        """The reason of a score; see `Reference.nearest`."""
        return self.normal.nearest(vectors, k)

    def to_arrays(self) -> Arrays:
        return self.normal.to_arrays() | {"k_distances": self.k_distances, "densities": self.densities}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(Reference.from_arrays(arrays), arrays["k_distances"], arrays["densities"])


@dataclass(frozen=True, eq=False)
class NearestNeighbours:
    """Mean distance to the k nearest reference rows (Angiulli & Pizzuti 2002, divided by k).

    The mean rather than the k-th distance (Ramaswamy et al. 2000): it moves with each of the k neighbours, so that a
    lone earlier look-alike lowers a score only by its share, and it does not hang on one row's rank.
    """

    normal: Reference

    def score(self, vectors: Vectors) -> Scores:
        """Mean distance of new vectors to their k nearest reference rows, float32 (N,); see `Head.score`."""
        return self.score_neighbours(*self.normal.nearest(vectors, self.normal.neighbours))

    def score_neighbours(self, indices: Indices, distances: Distances) -> Scores:  # noqa: ARG002 — LOF needs them
        """Mean distance of rows whose k nearest reference rows are known."""
        return np.asarray(distances.mean(axis=1), dtype=np.float32)

    def nearest(self, vectors: Vectors, k: int) -> tuple[Indices, Distances]:
        """The reason of a score; see `Reference.nearest`."""
        return self.normal.nearest(vectors, k)

    def to_arrays(self) -> Arrays:
        return self.normal.to_arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(Reference.from_arrays(arrays))


NoveltyHead = LocalOutlierFactor | NearestNeighbours

SETTINGS: dict[str, type[LocalOutlierFactorSettings] | type[NearestNeighboursSettings]] = {
    "local_outlier_factor": LocalOutlierFactorSettings,
    "nearest_neighbours": NearestNeighboursSettings,
}
HEADS: dict[str, type[LocalOutlierFactor] | type[NearestNeighbours]] = {
    "local_outlier_factor": LocalOutlierFactor,
    "nearest_neighbours": NearestNeighbours,
}


def settings_named(name: str, neighbours: int = 20, preprocessing: PreprocessingName = "none") -> NoveltySettings:
    """The settings of the head called `name`; raises UnknownNameError where there is none."""
    if name not in SETTINGS:
        raise UnknownNameError("novelty head", name, SETTINGS)
    return SETTINGS[name](neighbours, preprocessing)


def head_named(name: str, arrays: Mapping[str, NDArray[Any]]) -> NoveltyHead:
    """The stored head called `name`; raises UnknownNameError where there is none."""
    if name not in HEADS:
        raise UnknownNameError("novelty head", name, HEADS)
    return HEADS[name].from_arrays(arrays)


def fit(settings: NoveltySettings, vectors: Vectors, exclusion: TimeExclusion | None = None) -> NoveltyHead:
    """Fit a head on normal vectors; see `fit_and_score`."""
    return fit_and_score(settings, vectors, exclusion)[0]


def fit_and_score(
    settings: NoveltySettings, vectors: Vectors, exclusion: TimeExclusion | None = None
) -> tuple[NoveltyHead, Scores]:
    """Fit a head on normal vectors and score each of them against the others.

    Args:
        settings: names the head.
        vectors: float32 (M, D), the reference, M ≥ 2.
        exclusion: rows that may not be neighbours of one another; without one, a row excludes itself only and the head
            is scikit-learn's. With one, the densities of the reference are those seen across time, as a later day sees
            them; without one, snippets dense in time make every later day look sparse.

    Returns:
        The head, and float32 (M,): the normal scores, each row's neighbours being those the exclusion leaves it.

    Raises:
        ConfigurationError: too few rows, or none that the exclusion leaves to some row.
        ValueError: the vectors do not fit.
    """
    check_vectors(vectors)
    if len(vectors) < MINIMUM_REFERENCE:
        raise ConfigurationError(
            f"{len(vectors)} reference snippets are too few: novelty needs at least {MINIMUM_REFERENCE}"
            " — gather more normal footage of this camera"
        )
    exclusion = exclusion or TimeExclusion.of_itself(len(vectors))
    fewest = int(exclusion.admissible().min())
    if fewest < 1:
        raise ConfigurationError(
            f"an exclusion of {exclusion.exclusion_us} us leaves some snippet without any neighbour among"
            f" {len(vectors)} — shorten the exclusion or gather more footage"
        )
    preprocessing = Preprocessing.fit(settings.preprocessing, vectors)
    k = min(settings.neighbours, fewest)
    normal = Reference(preprocessing, preprocessing.apply(vectors), k, settings.neighbours)
    indices, distances = nearest(normal.vectors, normal.vectors, k, exclusion)
    head: NoveltyHead
    match settings:
        case LocalOutlierFactorSettings():
            head = LocalOutlierFactor.of(normal, indices, distances)
        case NearestNeighboursSettings():
            head = NearestNeighbours(normal)
        case _:
            raise UnknownNameError("novelty settings", type(settings).__name__, (s.__name__ for s in SETTINGS.values()))
    return head, head.score_neighbours(indices, distances)


def score_against_self(
    vectors: Vectors,
    from_us: NDArray[np.int64],
    to_us: NDArray[np.int64],
    exclusion_us: int,
    settings: NoveltySettings,
) -> Scores:
    """Score a day without earlier footage: each snippet against the day's others that are not near it in time.

    For LOF, neighbourhoods, k-distances and densities all leave out the excluded snippets. k is reduced to what the
    snippet with the fewest others is left.

    Args:
        vectors: float32 (N, D).
        from_us: int64 (N,), start of each snippet in microseconds.
        to_us: int64 (N,), end of each snippet, exclusive.
        exclusion_us: see `TimeExclusion`; longer than the slowest event that should stand out.
        settings: names the head.

    Returns:
        float32 (N,), higher = more anomalous.

    Raises:
        ConfigurationError, ValueError: as `fit_and_score`.
    """
    return fit_and_score(settings, vectors, TimeExclusion(from_us, to_us, exclusion_us))[1]


def _density(indices: Indices, distances: Distances, k_distances: NDArray[np.float64]) -> NDArray[np.float64]:
    reach = np.maximum(distances, k_distances[indices])
    return np.asarray(1.0 / (reach.mean(axis=1) + DENSITY_EPSILON))


def _check_settings(neighbours: int, preprocessing: str) -> None:
    if neighbours < 1:
        raise ConfigurationError(f"neighbours is at least 1, got {neighbours}")
    if preprocessing not in get_args(PreprocessingName):
        raise UnknownNameError("preprocessing", preprocessing, get_args(PreprocessingName))
