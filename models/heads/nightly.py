"""A camera's night judged: novelty scores, a threshold, events, and which of them are alarms.

The threshold comes from the alarm budget, from μ on the camera's normalised scores, or from a person. It is kept beside the
head, with the normal scores it is made from, so that moving it fits nothing anew.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from models.calibration import (
    ROUNDING,
    NormalDistribution,
    NormalScale,
    alarm_threshold,
    expected_alarms,
    robust_spread,
)
from models.events import Event, EventRule, ScoredSpans, find_events
from models.heads.neighbours import TimeExclusion
from models.heads.novelty import NoveltyHead, NoveltySettings, fit_and_score
from models.layout import Layout
from models.projections.base import Projection

Times = NDArray[np.int64]
Source = Literal["budget", "mu", "chosen"]
"""What sets a threshold: the alarm budget, μ of the settings, or a person."""

LARGEST_SHARE = 8
"""A day compared with itself leaves out at most one part in this many of its span on each side of a snippet."""


@dataclass(frozen=True)
class NightRule:
    """What makes an event, and how many alarms a night may raise.

    Attributes:
        events: smoothing, minimum run and merging; its thresholds are not used.
        alarms_per_night: the alarm budget k.
        floor_deviations: robust standard deviations above the normal median below which no threshold is set.
        hysteresis_deviations: robust standard deviations below the threshold down to which an event goes on.
        exclusion_us: half width of the surroundings that are no reference for a snippet.
    """

    events: EventRule
    alarms_per_night: float
    floor_deviations: float
    hysteresis_deviations: float
    exclusion_us: int


@dataclass(frozen=True, eq=False)
class NormalNights:
    """The normal scores of a head: its reference, each row's surroundings left out.

    Attributes:
        scores: float32 (M,).
        from_us, to_us: int64 (M,), spans on the camera's clock.
        night: int64 (M,), which night each row belongs to.
    """

    scores: NDArray[np.float32]
    from_us: Times
    to_us: Times
    night: Times

    def each(self) -> list[ScoredSpans]:
        """The scores night by night, in order."""
        return [
            ScoredSpans(self.from_us[mine], self.to_us[mine], self.scores[mine])
            for mine in (self.night == one for one in np.unique(self.night))
        ]

    @property
    def count(self) -> int:
        """Number of nights."""
        return len(np.unique(self.night))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        return {"scores": self.scores, "from_us": self.from_us, "to_us": self.to_us, "night": self.night}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(arrays["scores"], arrays["from_us"], arrays["to_us"], arrays["night"])


@dataclass(frozen=True, eq=False)
class Standard:
    """What a camera's scores are held against; stored beside its head.

    Attributes:
        rule: the event rule with its thresholds.
        distribution: of the normal scores.
        scale: of the normalised scores.
        median, spread: of the normal scores; the spread is their robust standard deviation.
        expected_alarms: mean events per night on the reference itself.
        nights: the normal scores.
        source: what set the threshold.
    """

    rule: EventRule
    distribution: NormalDistribution
    scale: NormalScale
    median: float
    spread: float
    expected_alarms: float
    nights: NormalNights
    source: Source = "budget"

    def excess(self, score: float) -> float:
        """Robust standard deviations above the normal median: what makes regions comparable."""
        if score == self.median:
            return 0.0
        return (score - self.median) / self.spread if self.spread > 0 else math.copysign(math.inf, score - self.median)

    def with_mu(self, mu: float) -> "Standard":
        """The same held against the normalised score `mu` instead of a budget."""
        return self._at(self.scale.score_at(mu), "mu")

    def chosen(self, deviations: float) -> "Standard":
        """The same held against a person's threshold: median + deviations · spread of the normal scores.

        At least rounding above the median, so that scores that are all equal raise no alarm.
        """
        return self._at(self.median + max(deviations * self.spread, ROUNDING * abs(self.median)), "chosen")

    def _at(self, threshold: float, source: Source) -> "Standard":
        rule = self.rule.at(threshold)
        return replace(self, rule=rule, expected_alarms=expected_alarms(self.nights.each(), rule), source=source)

    def to_card(self) -> dict[str, Any]:
        """What of it a person may read; the rest are `to_arrays`."""
        return {
            "rule": asdict(self.rule),
            "median": self.median,
            "spread": self.spread,
            "low": self.scale.low,
            "high": self.scale.high,
            "expected_alarms_per_night": self.expected_alarms,
        }

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        arrays = {f"distribution.{name}": value for name, value in self.distribution.to_arrays().items()}
        return arrays | {f"nights.{name}": value for name, value in self.nights.to_arrays().items()}

    @classmethod
    def from_card(cls, card: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The standard, as the budget sets it, whose `to_card` and `to_arrays` these hold, among others."""

        def part(prefix: str) -> dict[str, NDArray[Any]]:
            return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}

        return cls(
            EventRule(**card["rule"]),
            NormalDistribution.from_arrays(part("distribution.")),
            NormalScale(card["low"], card["high"]),
            card["median"],
            card["spread"],
            card["expected_alarms_per_night"],
            NormalNights.from_arrays(part("nights.")),
        )


@dataclass(frozen=True, eq=False)
class Verdict:
    """A judged day of one region, N snippets.

    Attributes:
        scores: float32 (N,).
        probabilities: float64 (N,), share of the normal scores below each.
        normalised: float64 (N,), see `NormalScale`.
        flagged: bool (N,), inside an event.
        events: by time.
    """

    scores: NDArray[np.float32]
    probabilities: NDArray[np.float64]
    normalised: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    events: tuple[Event, ...]


def fit_camera(
    settings: NoveltySettings,
    vectors: NDArray[np.float32],
    from_us: Times,
    to_us: Times,
    night: Times,
    rule: NightRule,
    *,
    layout: Layout | None = None,
    projection: Projection | None = None,
) -> tuple[NoveltyHead, Standard]:
    """Fit a head and its standard on a camera's normal footage.

    Args:
        settings: names the head.
        vectors: float32 (M, D), the reference.
        from_us, to_us: int64 (M,), spans on the camera's clock.
        night: int64 (M,), which night each row belongs to.
        rule: how events are made.
        layout: what the values of a vector stand for, where they stand for places.
        projection: a trained one, in place of the settings' own.

    Returns:
        The head and the standard, its threshold as the budget sets it. `standard.nights` holds the reference's own scores,
        each row's surroundings left out.
    """
    exclusion = TimeExclusion(from_us, to_us, exclusion_within(rule, from_us, to_us))
    head, scores = fit_and_score(settings, vectors, exclusion, layout=layout, projection=projection)
    return head, standard_of(NormalNights(scores, from_us, to_us, night), rule)


def standard_of(nights: NormalNights, rule: NightRule) -> Standard:
    """What normal scores say a later night is to be held against.

    Raises:
        ConfigurationError: there is no normal score.
    """
    median, spread = robust_spread(nights.scores)
    shape = replace(rule.events, threshold=0.0, low_threshold=-rule.hysteresis_deviations * spread)
    found = alarm_threshold(nights.each(), shape, rule.alarms_per_night, rule.floor_deviations)
    return Standard(
        rule=shape.at(found.threshold),
        distribution=NormalDistribution.fit(nights.scores),
        scale=NormalScale.fit(nights.scores),
        median=median,
        spread=spread,
        expected_alarms=found.expected_per_night,
        nights=nights,
    )


def judge(standard: Standard, scores: NDArray[np.float32], from_us: Times, to_us: Times) -> Verdict:
    """Turn a day's scores of one region into events."""
    events = tuple(find_events(from_us, to_us, scores, standard.rule))
    flagged = np.zeros(len(scores), dtype=np.bool_)
    for event in events:
        flagged |= (from_us < event.to_us) & (to_us > event.from_us)
    below, normalised = standard.distribution.fraction_below(scores), standard.scale.normalised(scores)
    return Verdict(scores, below, normalised, flagged, events)


def rank(excesses: Sequence[float], starts_us: Sequence[int]) -> list[int]:
    """Positions of events by falling excess, earlier ones first among equals."""
    return sorted(range(len(excesses)), key=lambda position: (-excesses[position], starts_us[position]))


def exclusion_within(rule: NightRule, from_us: Times, to_us: Times) -> int:
    """Half width, in microseconds, of the surroundings left out in footage of this span; see `LARGEST_SHARE`."""
    return min(rule.exclusion_us, int(to_us.max() - from_us.min()) // LARGEST_SHARE)
