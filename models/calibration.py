"""What normal scores say: a threshold from an alarm budget, and a score's place among the normal ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError, TooLittleFootageError
from models.events import EventRule, ScoredSpans, ScoreSeries

MAD_TO_DEVIATION = 1.4826
MEAN_DEVIATION_TO_DEVIATION = math.sqrt(math.pi / 2)
ROUNDING = 1e-6
"""Relative difference of two float32 scores that means nothing."""


LOW, HIGH = 0.001, 0.999
"""Quantiles of a camera's normal scores that stand for 0 and 1 of its normalised scores."""


def robust_spread(values: NDArray[Any]) -> tuple[float, float]:
    """Median and spread of values (N,), N ≥ 1, in the values' unit.

    The spread is 1.4826 · MAD, the standard deviation where values are Gaussian. Where more than half of them are equal
    MAD is 0; then sqrt(π/2) · mean absolute deviation from the median, which is 0 only where all are equal.

    Raises:
        TooLittleFootageError: there is no value.
    """
    _check_some(values)
    values = values.astype(np.float64)
    median = float(np.median(values))
    off = np.abs(values - median)
    mad = float(np.median(off))
    spread = MAD_TO_DEVIATION * mad if mad > 0 else MEAN_DEVIATION_TO_DEVIATION * float(off.mean())
    return median, spread


@dataclass(frozen=True)
class AlarmThreshold:
    """A threshold for one camera, and what to expect of it.

    Attributes:
        threshold: for the rule it was computed with; inf where no normal score was given: no alarm without a normal.
        floor: below it no threshold is set; -inf where no normal score was given.
        alarms_by_night: events that the rule finds at the threshold in each normal night given.
    """

    threshold: float
    floor: float
    alarms_by_night: tuple[int, ...]

    @property
    def at_floor(self) -> bool:
        """Whether the floor, not the budget, set the threshold."""
        return self.threshold == self.floor

    @property
    def expected_per_night(self) -> float:
        """Mean alarms per normal night; 0 without any."""
        return sum(self.alarms_by_night) / max(1, len(self.alarms_by_night))


def alarm_threshold(
    nights: Sequence[ScoredSpans], rule: EventRule, budget_per_night: float, floor_deviations: float = 5.0
) -> AlarmThreshold:
    """The lowest threshold at and above which normal nights stay within an alarm budget.

    The number of events is not monotone in the threshold: lowering it merges events, down to one that lasts all night.
    So the threshold is the lowest one t such that at t and at every higher one the rule finds at most
    `budget_per_night` events per night on average. It is exact: the events change only where the threshold, or the low
    threshold at its distance, passes a smoothed score, and all such values are tried from above.

    The floor is median + max(m · spread, 1e-6 · |median|) of the smoothed normal scores (`robust_spread`), so that a
    quiet camera does not spend its budget on its own noise: at the default m = 5, Gaussian noise passes it about once
    in 3.5 million snippets. The second term keeps rounding from alarming where all normal scores are equal.

    Args:
        nights: normal scores, one item per camera night, scored as later nights will be (see `novelty.fit_and_score`);
            nights without a snippet do not count.
        rule: its thresholds are not used, but their distance is: the low threshold moves along.
        budget_per_night: k, alarms per camera and night, at least 0; a fraction is one alarm in several nights.
        floor_deviations: m, at least 0.

    Raises:
        ConfigurationError: the budget or m is negative or not finite.
    """
    for name, value in (("budget_per_night", budget_per_night), ("floor_deviations", floor_deviations)):
        if not 0 <= value < math.inf:
            raise ConfigurationError(f"{name} is at least 0 and finite, got {value}")
    series = [ScoreSeries.of(night, rule) for night in nights if len(night) > 0]
    if not series:
        return AlarmThreshold(math.inf, -math.inf, ())
    scores = np.unique(np.concatenate([one.smoothed for one in series]))
    median, spread = robust_spread(np.concatenate([one.smoothed for one in series]))
    floor = median + max(floor_deviations * spread, ROUNDING * abs(median))
    allowed = math.floor(budget_per_night * len(series) + 1e-9)
    # Rounded down, a sum would put the low threshold below the score it is to stand at.
    above = scores + rule.hysteresis
    above = np.where(above - rule.hysteresis < scores, np.nextafter(above, np.inf), above)
    candidates = np.unique(np.concatenate([scores, above]))
    threshold = max(float(candidates[-1]), floor)
    for candidate in [*candidates[candidates > floor][::-1], floor]:
        at = rule.at(float(candidate))
        if sum(len(one.bounds(at)[0]) for one in series) > allowed:
            break
        threshold = float(candidate)
    chosen = rule.at(threshold)
    return AlarmThreshold(threshold, floor, tuple(len(one.bounds(chosen)[0]) for one in series))


def expected_alarms(nights: Sequence[ScoredSpans], rule: EventRule) -> float:
    """Events that a rule finds in a normal night, on average; 0 without any night, and without any above the threshold.

    Args:
        nights: normal scores, one item per camera night; nights without a snippet do not count.
        rule: with the threshold in use.
    """
    series = [ScoreSeries.of(night, rule) for night in nights if len(night) > 0]
    return sum(len(one.bounds(rule)[0]) for one in series) / max(1, len(series))


@dataclass(frozen=True)
class NormalScale:
    """The scale on which a camera's normal scores reach from 0 to 1, so that one threshold μ serves every camera.

    normalised(s) = (s - low) / (high - low), low and high being the quantiles .001 and .999 of the camera's *normal*
    scores. Normalising by the lowest and highest score of the judged video, as Hasan et al. 2016 do for their plots,
    would put a 1 into every video, however ordinary. Not clipped: what is stranger than everything normal is above 1.

    Attributes:
        low, high: in the scores' unit, low ≤ high. Where they are equal, everything above is infinitely far above.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not -math.inf < self.low <= self.high < math.inf:
            raise ConfigurationError(
                f"a scale has a low that is at most its high, both finite: {self.low}, {self.high}"
            )

    @classmethod
    def fit(cls, normal_scores: NDArray[Any]) -> Self:
        """The scale of normal scores (N,), N ≥ 1; quantiles between two scores are linear.

        Raises:
            ConfigurationError: there is no normal score (TooLittleFootageError), or one is not finite.
        """
        _check_some(normal_scores)
        low, high = np.quantile(normal_scores.astype(np.float64), [LOW, HIGH])
        return cls(float(low), float(high))

    def normalised(self, scores: NDArray[Any]) -> NDArray[np.float64]:
        """float64 (N,) of scores (N,); at a width of 0, 0 at the normal score, and ±inf off it by more than rounding."""
        off = scores.astype(np.float64) - self.low
        width = self.high - self.low
        if width > 0:
            return np.asarray(off / width)
        off = np.where(np.abs(off) <= ROUNDING * abs(self.low), 0.0, off)
        return np.asarray(np.where(off == 0, 0.0, np.copysign(np.inf, off)))

    def score_at(self, mu: float) -> float:
        """The score whose normalised value is `mu`; at a width of 0, the normal score and what rounding adds."""
        width = self.high - self.low
        return self.low + (mu * width if width > 0 else ROUNDING * abs(self.low))


@dataclass(frozen=True, eq=False)
class NormalDistribution:
    """Where a score lies among a camera's normal scores, by their quantiles; no shape of distribution is assumed.

    p(s) is the fraction of normal scores below s, equal ones counting half (mid-distribution, (i - ½) / n for the i-th
    of n), linear between the knots, 0 below the lowest. Above the highest, p = 1 - (1 - p_max) · exp(-(s - s_max) / β)
    with β the mean excess of the upper tenth (at least ten scores) over its lowest score: the exponential tail, the
    generalised Pareto's with shape 0 (Pickands 1975). So p keeps rising above everything seen. Where those are all
    equal β is 0, and p is 1 above them.

    Attributes:
        scores: float64 (K,), strictly rising knots, lowest and highest normal score among them.
        fractions: float64 (K,), strictly rising, in (0, 1).
        tail: β, in the scores' unit.
    """

    scores: NDArray[np.float64]
    fractions: NDArray[np.float64]
    tail: float

    @classmethod
    def fit(cls, normal_scores: NDArray[Any], knots: int = 256) -> Self:
        """Fit on normal scores (N,), N ≥ 1; at most 2 · `knots` are kept, half of them the highest scores.

        Raises:
            TooLittleFootageError: there is no normal score.
            ValueError: a score is not finite.
        """
        _check_some(normal_scores)
        ranked = np.sort(normal_scores.astype(np.float64))
        if not np.isfinite(ranked).all():
            raise ValueError("normal scores are finite")
        values, counts = np.unique(ranked, return_counts=True)
        fractions = (np.cumsum(counts) - counts / 2) / len(ranked)
        body = np.linspace(0, len(values) - 1, min(knots, len(values))).round().astype(np.int64)
        kept = np.union1d(body, np.arange(max(0, len(values) - knots), len(values)))
        upper = ranked[-max(10, math.ceil(len(ranked) / 10)) :]
        return cls(values[kept], fractions[kept], float((upper - upper[0]).mean()))

    def fraction_below(self, scores: NDArray[Any]) -> NDArray[np.float64]:
        """p of scores (N,), float64 in [0, 1], rising with the score."""
        scores = scores.astype(np.float64)
        above = np.searchsorted(self.scores, scores).clip(max=len(self.scores) - 1)
        # An interpolation is rounded; held below the next knot it never falls where the score rises.
        body = np.minimum(np.interp(scores, self.scores, self.fractions, left=0.0), self.fractions[above])
        excess = np.maximum(scores - self.scores[-1], 0.0)
        decay = np.exp(-excess / self.tail) if self.tail > 0 else np.where(excess > 0, 0.0, 1.0)
        return np.asarray(np.where(excess > 0, 1.0 - (1.0 - self.fractions[-1]) * decay, body))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        return {"scores": self.scores, "fractions": self.fractions, "tail": np.array([self.tail])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(arrays["scores"], arrays["fractions"], float(arrays["tail"][0]))


def _check_some(normal_scores: NDArray[Any]) -> None:
    if len(normal_scores) == 0:
        raise TooLittleFootageError("no normal score to calibrate with — gather normal footage of this camera first")
