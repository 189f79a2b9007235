"""What makes a segment worth watching: anomaly, memorability, entropy, dynamics, and their weighted mean.

Columns are measured once per segment: raw, where nothing was sampled nan, then scaled. Weighing comes after, so that
weights move without recompute.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from infra.errors import ConfigurationError
from infra.settings import MOST_WEIGHT
from models.calibration import robust_spread
from models.heads.neighbours import SPARE_CANDIDATES, TimeExclusion, pair_lengths, unit_length
from models.summary.segments import Segments, Times, overlaps

Column = NDArray[np.float64]

SQUASH_DEVIATIONS = 3.0
MOST_DEVIATIONS = 1e9
"""Counted of a score where all normal ones were equal."""
RAREST = 1e-7
"""Probabilities are kept as 32-bit floats; rarer than this, they cannot be told from certainty."""
BLOCK_BYTES = 32 * 2**20
"""Of cosines at once."""


@dataclass(frozen=True)
class Weights:
    """How much each column counts; 0 to `MOST_WEIGHT`, not all 0. Only their proportions matter."""

    anomaly: float = 1.0
    memorability: float = 1.0
    entropy: float = 1.0
    dynamics: float = 1.0

    def __post_init__(self) -> None:
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        if not all(0 <= value <= MOST_WEIGHT for value in told.values()) or sum(told.values()) <= 0:
            raise ConfigurationError(
                f"weights are finite, at least 0, at most {MOST_WEIGHT:,.0f} and not all 0, got {told}"
            )


@dataclass(frozen=True, eq=False)
class Columns:
    """The four columns of S segments, float64 (S,) each.

    Raw: surprise, distinctiveness in [0, 2], entropy in bits and motion in grey levels; nan where nothing tells.
    Scaled: in [0, 1], without nan; see `robust_scale`.
    """

    anomaly: Column
    memorability: Column
    entropy: Column
    dynamics: Column

    def __post_init__(self) -> None:
        shapes = {getattr(self, field.name).shape for field in fields(self)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise ValueError(f"columns have one shape (S,), got {sorted(shapes)}")

    def __len__(self) -> int:
        return len(self.anomaly)


@dataclass(frozen=True)
class RobustScale:
    """A camera's own scale of one column: value → [0, 1].

    z = (value - median) / spread; scaled = ½ · (1 + z / (3 + |z|)). The median goes to ½, three deviations above it to
    ¾, and no two values far out become equal, as they would under a logistic curve. A column that was constant has no
    scale: everything goes to 0. So does nan.

    Attributes:
        median, spread: `robust_spread` of the finite values.
    """

    median: float
    spread: float

    @classmethod
    def fit(cls, column: NDArray[Any]) -> Self:
        """Fit on a camera's column (S,); nan is left out, and a column of nothing else is constant."""
        known = column[np.isfinite(column)]
        return cls(*robust_spread(known)) if len(known) else cls(0.0, 0.0)

    def apply(self, column: NDArray[Any]) -> Column:
        """float64 (S,) in [0, 1], rising with the value."""
        if self.spread == 0:
            return np.zeros(len(column))
        off = column.astype(np.float64) - self.median
        return np.nan_to_num(0.5 * (1 + off / (SQUASH_DEVIATIONS * self.spread + np.abs(off))), nan=0.0)


def surprise(probability: NDArray[Any], deviations: NDArray[Any] | None = None) -> Column:
    """−log10 of how often a normal score is as high: the scores of regions and heads on one scale.

    No camera's past tells what is rarer than `RAREST`. Of two such scores the one farther from the usual counts for more:
    7 + log10(1 + its robust standard deviations above the normal median).

    Args:
        probability: (N,), the share of normal scores below each score, or an alarm's calibrated probability, in [0, 1].
        deviations: (N,), robust standard deviations of each score above the median of its head's normal scores; nan where
            there is no such thing, as for an alarm. None: of no score.

    Returns:
        float64 (N,), at least 0, rising with the probability and then with the deviations. nan stays nan.
    """
    told = np.asarray(-np.log10(np.maximum(1.0 - probability.astype(np.float64), RAREST)) + 0.0)
    if deviations is not None:
        beyond = (told >= -math.log10(RAREST)) & (deviations > 0)
        told[beyond] += np.log10(1 + np.minimum(deviations[beyond].astype(np.float64), MOST_DEVIATIONS))
    return told


def robust_scale(columns: Columns, past: Columns | None = None) -> Columns:
    """Each column on the camera's own robust scale, in [0, 1], nan as 0.

    Args:
        columns: raw columns of S segments of one camera.
        past: raw columns of P of its earlier segments: the scale is fitted on these and `columns` together, so that an
            eventful day is not measured by itself alone. None: no earlier ones.

    Returns:
        Columns of the S segments, without nan.
    """
    earlier = _listed(columns) if past is None else _listed(past)
    fitted = (
        RobustScale.fit(own if past is None else np.concatenate([before, own]))
        for own, before in zip(_listed(columns), earlier, strict=True)
    )
    return Columns(*(scale.apply(own) for scale, own in zip(fitted, _listed(columns), strict=True)))


def combine(columns: Columns, weights: Weights) -> Column:
    """Weighted mean Σ w · column / Σ w of scaled columns, float64 (S,) in [0, 1].

    A column of weight 0 is not read.

    Raises:
        ValueError: a column that counts has nan: it was not scaled.
    """
    told = [float(getattr(weights, field.name)) for field in fields(weights)]
    combined, part = np.zeros(len(columns)), np.empty(len(columns))
    for weight, column in zip(told, _listed(columns), strict=True):
        if weight > 0:
            np.multiply(column, weight / sum(told), out=part)
            np.add(combined, part, out=combined)
    if not np.isfinite(combined).all():
        raise ValueError("scaled columns are combined (see robust_scale), got columns with values that are not finite")
    return combined


def anomaly(segments: Segments, from_us: Times, to_us: Times, scores: NDArray[Any], quantile: float = 1.0) -> Column:
    """The highest score, or a high quantile, of the snippets that overlap each segment.

    Args:
        segments: S segments.
        from_us: int64 (N,), start of each snippet in microseconds.
        to_us: int64 (N,), end of each snippet, exclusive.
        scores: (N,), finite.
        quantile: in [0, 1]; 1 is the maximum. The score returned is one of the snippets', the next higher one.

    Returns:
        float64 (S,); nan where no snippet overlaps.
    """
    if not 0 <= quantile <= 1:
        raise ConfigurationError(f"quantile is in [0, 1], got {quantile}")
    at, snippet = overlaps(segments.from_us, segments.to_us, from_us, to_us)
    values = scores[snippet].astype(np.float64)
    order = np.lexsort((values, at))
    counts = np.bincount(at, minlength=len(segments))
    places = np.cumsum(counts) - counts + np.ceil(quantile * (counts - 1)).astype(np.int64)
    column = np.full(len(segments), np.nan)
    seen = counts > 0
    column[seen] = values[order][places[seen]]
    return column


def mean_over_frames(segments: Segments, t_us: Times, values: NDArray[Any]) -> Column:
    """Mean of a frame statistic over the sampled frames in each segment: entropy in bits, or motion (dynamics).

    Args:
        segments: S segments.
        t_us: int64 (N,), time of each sampled frame in microseconds on the camera's clock.
        values: (N,); nan (a first frame has no motion) is left out.

    Returns:
        float64 (S,); nan where no frame has a value.
    """
    known = np.isfinite(values)
    at, frame = overlaps(segments.from_us, segments.to_us, t_us[known], t_us[known] + 1)
    counts = np.bincount(at, minlength=len(segments))
    sums = np.bincount(at, weights=values[known][frame], minlength=len(segments))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def segment_vectors(
    segments: Segments, from_us: Times, to_us: Times, vectors: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Mean direction of the snippets that overlap each segment: float32 (S, D) of length 1, nan where none does."""
    at, snippet = overlaps(segments.from_us, segments.to_us, from_us, to_us)
    members = csr_array((np.ones(len(at)), (at, snippet)), shape=(len(segments), len(vectors)))
    means = unit_length(members @ unit_length(vectors))
    means[np.bincount(at, minlength=len(segments)) == 0] = np.nan
    return means


def memorability(vectors: NDArray[np.float32], normals: NDArray[np.float32], neighbours: int = 20) -> Column:
    """Distinctiveness of segments: 1 - mean cosine to the camera's k nearest normal vectors.

    Args:
        vectors: float32 (S, D), one per segment; a nan row gives nan.
        normals: float32 (M, D), the camera's normal vectors; k is reduced to M, and M = 0 gives nan.
        neighbours: k, at least 1.

    Returns:
        float64 (S,) in [0, 2]; 0 = seen many times. The cosine with a zero vector is 0.
    """
    known = np.isfinite(vectors).all(axis=1)
    column = np.full(len(vectors), np.nan)
    if len(normals):
        column[known] = _distinctiveness(unit_length(vectors[known]), unit_length(normals), neighbours, None)
    return column


def memorability_within(
    vectors: NDArray[np.float32], segments: Segments, exclusion_us: int, neighbours: int = 20
) -> Column:
    """`memorability` of a day without earlier footage: against its other segments not near in time.

    Args:
        vectors: float32 (S, D), one per segment; a nan row gives nan and is nobody's neighbour.
        segments: the S segments.
        exclusion_us: see `TimeExclusion`.
        neighbours: k, at least 1, reduced to what the segment with the fewest others is left; nan where that is none.
    """
    known = np.isfinite(vectors).all(axis=1)
    exclusion = TimeExclusion(segments.from_us[known], segments.to_us[known], exclusion_us)
    column = np.full(len(vectors), np.nan)
    if exclusion.admissible().min(initial=len(exclusion)) > 0:
        unit = unit_length(vectors[known])
        column[known] = _distinctiveness(unit, unit, neighbours, exclusion)
    return column


def _distinctiveness(
    unit: NDArray[np.float32], normals: NDArray[np.float32], neighbours: int, exclusion: TimeExclusion | None
) -> Column:
    """1 - mean cosine of each row to its nearest normals, float64 (S,), all of length 1 or 0.

    Candidates are found by products in float32, a few more than are needed; their cosines are then computed in float64, so
    that rounding, which is not the same in blocks of another size, decides nothing.
    """
    most = len(normals) if exclusion is None else int(exclusion.admissible().min(initial=len(normals)))
    count = min(neighbours, most)
    width = min(count + SPARE_CANDIDATES, len(normals))
    squares = [np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64) for vectors in (unit, normals)]
    column = np.empty(len(unit))
    step = max(1, BLOCK_BYTES // (4 * len(normals)))
    for start in range(0, len(unit), step):
        rows = np.arange(start, min(start + step, len(unit)))
        cosines = unit[rows] @ normals.T
        if exclusion is not None:
            hidden = np.flatnonzero(exclusion.around(rows))
            near = slice(int(hidden[0]), int(hidden[-1]) + 1)
            cosines[:, near][exclusion.mask(rows, near)] = -np.inf
        found = np.argpartition(cosines, -width, axis=1)[:, -width:]
        lengths = pair_lengths(unit, normals, np.repeat(rows, width), found.ravel()).reshape(found.shape)
        # Of vectors of length 1, |a - b|² = |a|² + |b|² - 2 a·b.
        exact = (squares[0][rows, None] + squares[1][found] - lengths**2) / 2
        exact[np.isneginf(np.take_along_axis(cosines, found, axis=1))] = -np.inf
        column[rows] = 1 - np.sort(exact, axis=1)[:, -count:].mean(axis=1)
    return column


def _listed(columns: Columns) -> list[Column]:
    return [getattr(columns, field.name) for field in fields(columns)]
