"""Block-bootstrap intervals: whole videos are drawn, for the frames of one are no independent samples.

Videos are drawn with replacement as often as there are, within strata (videos with and without anomalies), so that what a
metric needs of both kinds is in every resample. The interval is the percentile one (Efron 1979). With one video in a
stratum nothing varies there: intervals over few videos are too narrow, and over a single one there is none.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError

Weights = NDArray[np.int64]
Statistic = Callable[[Weights], Mapping[str, float]]

FEWEST_VIDEOS = 2
FEWEST_DEFINED = 0.5
"""Share of the resamples in which a metric has to be defined for an interval of it."""


@dataclass(frozen=True)
class BootstrapSettings:
    """How videos are drawn.

    Attributes:
        resamples: how often, at least 1.
        level: share of the resamples inside an interval, in (0, 1).
        seed: decides what is drawn.
    """

    resamples: int = 1000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 1 or self.seed < 0 or not 0 < self.level < 1:
            raise ConfigurationError(
                f"resamples are at least 1, the seed at least 0 and the level between 0 and 1, got {self}"
            )


@dataclass(frozen=True)
class Estimate:
    """A metric on all videos, and its interval; nan where it is undefined."""

    value: float
    low: float
    high: float


def draw(strata: Sequence[int], settings: BootstrapSettings) -> Weights:
    """int64 (resamples, V): how often each video is drawn; within each stratum as many as it has."""
    held = np.asarray(strata, dtype=np.int64)
    random = np.random.default_rng(settings.seed)
    weights = np.zeros((settings.resamples, len(held)), dtype=np.int64)
    for stratum in np.unique(held):
        members = np.flatnonzero(held == stratum)
        shares = np.full(len(members), 1 / len(members))
        weights[:, members] = random.multinomial(len(members), shares, size=settings.resamples)
    return weights


def estimates(
    statistic: Statistic,
    strata: Sequence[int],
    settings: BootstrapSettings,
    progress: Callable[[float], None] = lambda _share: None,
) -> dict[str, Estimate]:
    """Metrics on all videos, with intervals.

    Args:
        statistic: metrics by name, given how often each video counts, int64 (V,).
        strata: of each video.
        settings: how videos are drawn.
        progress: called with the finished share.
    """
    values = statistic(np.ones(len(strata), dtype=np.int64))
    drawn: dict[str, list[float]] = {name: [] for name in values}
    if len(strata) >= FEWEST_VIDEOS:
        for number, weights in enumerate(draw(strata, settings), 1):
            for name, value in statistic(weights).items():
                drawn[name].append(value)
            progress(number / settings.resamples)
    progress(1.0)
    return {name: Estimate(value, *_interval(drawn[name], settings.level)) for name, value in values.items()}


def _interval(values: Sequence[float], level: float) -> tuple[float, float]:
    defined = np.array([value for value in values if not math.isnan(value)], dtype=np.float64)
    if len(defined) < max(1.0, FEWEST_DEFINED * len(values)):
        return math.nan, math.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
