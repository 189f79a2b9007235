"""Novelty of a snippet against a camera's own normal footage: scaling, projection, detector, and the reasons (row N6).

Overlapping or adjacent snippets look alike, and a slow event would be its own normal; a `TimeExclusion` keeps snippets
near in time from speaking for one another. Normal scores for a threshold are `fit_and_score`'s: a head's `score` of its
own reference would hold each snippet against itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from models.arrays import Arrays, part, prefixed
from models.detectors import build
from models.detectors.base import Accountable, Detector
from models.detectors.build import DetectorSettings
from models.detectors.magnitude import Magnitude
from models.detectors.nearest_neighbours import NearestNeighboursSettings
from models.heads.base import Scores, Vectors, check_vectors
from models.heads.explanation import Explanation, explained, squares_by_part
from models.heads.neighbours import Distances, Indices, TimeExclusion, nearest
from models.layout import Layout, layout_arrays, layout_from_arrays
from models.projections.base import Projection
from models.projections.build import projection_arrays, projection_from_arrays
from models.projections.linear import ProjectionSettings, Unprojected, fit_projection
from models.projections.scaling import Scaling, ScalingName, check_scaling

EXPLAINED_BY = 5
"""Nearest normal snippets that a score is explained by, unless asked otherwise: few, for they are to be looked at."""


@dataclass(frozen=True)
class NoveltySettings:
    """How normal vectors become a head.

    Attributes:
        detector: settings of the detector, which name it.
        scaling: `none`; `l2`: each vector to length 1; `standardise`: each value to mean 0 and deviation 1 over the
            reference (see `Scaling`).
        projection: of the scaled vectors.
    """

    detector: DetectorSettings = field(default_factory=NearestNeighboursSettings)
    scaling: ScalingName = "standardise"
    projection: ProjectionSettings = field(default_factory=ProjectionSettings)

    def __post_init__(self) -> None:
        check_scaling(self.scaling)


@dataclass(frozen=True, eq=False)
class NoveltyHead:
    """A detector, the chain that leads to it, and the normal vectors it was fitted on; a `Head`.

    Attributes:
        scaling, projection, detector: applied in this order.
        reference: float32 (M, D), the normal vectors, scaled.
        layout: what the values of a vector stand for, where that is known.
    """

    scaling: Scaling
    projection: Projection
    detector: Detector
    reference: Vectors
    layout: Layout | None = None

    @property
    def remark(self) -> str:
        """What a person should know of the fit, for the card; empty where nothing."""
        return self.detector.remark

    def score(self, vectors: Vectors) -> Scores:
        """Score vectors, float32 (N, D), of the reference's space; see `Head.score`."""
        check_vectors(vectors, self.reference.shape[1])
        return self.detector.score(self._place(vectors))

    def nearest(self, vectors: Vectors, k: int, excluded: NDArray[np.bool_] | None = None) -> tuple[Indices, Distances]:
        """The nearest normal snippets, where the detector sees them: after scaling and projection.

        Args:
            vectors: float32 (N, D).
            k: at least 1; reduced to the number of rows there are.
            excluded: bool (M,), rows of the reference that may not be among them: where a day is held against itself,
                a snippet's own surroundings (`TimeExclusion.mask`).

        Returns:
            Rows of the reference, int64 (N, k), nearest first, and distances, float64 (N, k).
        """
        check_vectors(vectors, self.reference.shape[1])
        known = np.arange(len(self.reference)) if excluded is None else np.flatnonzero(~excluded)
        if not len(known):
            raise ConfigurationError("every normal snippet is excluded; none is left to be the nearest")
        among = self._placed if excluded is None else self._placed[known]
        rows, distances = nearest(self._place(vectors), among, min(k, len(known)))
        return known[rows], distances

    def explain(
        self, vector: NDArray[np.float32], k: int = EXPLAINED_BY, excluded: NDArray[np.bool_] | None = None
    ) -> Explanation:
        """Why a vector, float32 (D,), scores as it does.

        A detector that can account for its score does so. Otherwise the amounts are squares of the scaled values, of
        `magnitude` as they are, of any other detector less the mean of the k nearest normals: what would have to change
        for the vector to be normal. That is told in the space of the scaled vectors, whatever the projection, for only
        their values stand for something.

        Args:
            vector: of the reference's space.
            k, excluded: as of `nearest`.
        """
        (rows,), (distances,) = self.nearest(vector[None], k, excluded)
        if self.layout is None:
            return explained({}, None, rows, distances)
        scaled = self.scaling.apply(vector[None])[0]
        if isinstance(self.detector, Accountable) and excluded is None:
            return explained(self.detector.parts(scaled), self.layout, rows, distances)
        normal = self.reference[rows].mean(axis=0, dtype=np.float64)
        difference = scaled if isinstance(self.detector, Magnitude) else scaled - normal
        return explained(squares_by_part(difference, self.layout), self.layout, rows, distances)

    def _place(self, vectors: Vectors) -> Vectors:
        return self.projection.apply(self.scaling.apply(vectors))

    @cached_property
    def _placed(self) -> Vectors:
        return self.projection.apply(self.reference)

    def to_arrays(self) -> Arrays:
        """Arrays by name; those of each link of the chain begin with `scaling.`, `projection.` and `detector.`."""
        arrays = prefixed("scaling", self.scaling.to_arrays())
        arrays |= prefixed("projection", projection_arrays(self.projection))
        arrays |= prefixed("detector", build.detector_arrays(self.detector))
        # A detector by neighbours, without a projection, keeps the very same vectors: they are stored once.
        if arrays.get("detector.reference") is not self.reference:
            arrays["reference"] = self.reference
        if self.layout is not None:
            arrays |= prefixed("layout", layout_arrays(self.layout))
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(
            Scaling.from_arrays(part("scaling", arrays)),
            projection_from_arrays(part("projection", arrays)),
            build.detector_from_arrays(part("detector", arrays)),
            arrays["reference"] if "reference" in arrays else arrays["detector.reference"],
            layout_from_arrays(held) if (held := part("layout", arrays)) else None,
        )


def fit_and_score(
    settings: NoveltySettings,
    vectors: Vectors,
    exclusion: TimeExclusion | None = None,
    *,
    layout: Layout | None = None,
    projection: Projection | None = None,
) -> tuple[NoveltyHead, Scores]:
    """Fit a head on normal vectors and score each of them against the others.

    Args:
        settings: names scaling, projection and detector.
        vectors: float32 (M, D), the reference, M ≥ 2.
        exclusion: rows that may not speak for one another; without one, a row excludes itself only and the detector is
            scikit-learn's. With one, the densities of the reference are those seen across time, as a later day sees
            them; without one, snippets dense in time make every later day look sparse.
        layout: what the values of a vector stand for; some detectors need it, and reasons are told by it.
        projection: a trained one, of scaled vectors, in the place of `settings.projection`.

    Returns:
        The head, and float32 (M,): the normal scores, which see of the reference what the exclusion leaves them.

    Raises:
        ConfigurationError: too few rows, or none that the exclusion leaves to some row; two projections.
        ValueError: the vectors do not fit, or not the layout.
    """
    check_vectors(vectors)
    if layout is not None and layout.dimension != vectors.shape[1]:
        raise ValueError(f"a layout of D = {layout.dimension} does not fit vectors of D = {vectors.shape[1]}")
    if projection is not None and settings.projection.name != "none":
        raise ConfigurationError(
            f'a trained projection takes the place of another, but the settings ask for "{settings.projection.name}"'
            ' — set it to "none"'
        )
    build.check_reference(len(vectors), exclusion)
    scaling = Scaling.fit(settings.scaling, vectors)
    scaled = scaling.apply(vectors)
    chosen = fit_projection(settings.projection, scaled) if projection is None else projection
    seen = layout if isinstance(chosen, Unprojected) else None
    detector, scores = build.fit_and_score(settings.detector, chosen.apply(scaled), exclusion, seen)
    return NoveltyHead(scaling, chosen, detector, scaled, layout), scores


def head_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> NoveltyHead:
    """The head whose `to_arrays` these are; raises UnknownNameError where a part of it is of no known kind."""
    return NoveltyHead.from_arrays(arrays)
