"""A camera's night judged: novelty scores, a threshold from the alarm budget, events, and which of them are alarms."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calibration import NormalDistribution, alarm_threshold, robust_spread
from models.events import Event, EventRule, ScoredSpans, find_events
from models.heads.neighbours import TimeExclusion
from models.heads.novelty import NoveltyHead, NoveltySettings, fit_and_score

Times = NDArray[np.int64]

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
class Standard:
    """What a camera's scores are held against; stored beside its head.

    Attributes:
        rule: the event rule with its thresholds.
        normal: distribution of the normal scores.
        median, spread: of the normal scores; the spread is their robust standard deviation.
        expected_alarms: mean alarms per night on the reference itself.
    """

    rule: EventRule
    normal: NormalDistribution
    median: float
    spread: float
    expected_alarms: float

    def excess(self, score: float) -> float:
        """Robust standard deviations above the normal median: what makes regions comparable."""
        return (score - self.median) / self.spread if self.spread > 0 else math.copysign(math.inf, score - self.median)


@dataclass(frozen=True, eq=False)
class Verdict:
    """A judged day of one region: float32 scores and float64 probabilities (N,), bool flags (N,), events by time."""

    scores: NDArray[np.float32]
    probabilities: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    events: tuple[Event, ...]


def fit_camera(
    settings: NoveltySettings, vectors: NDArray[np.float32], from_us: Times, to_us: Times, night: Times, rule: NightRule
) -> tuple[NoveltyHead, Standard, NDArray[np.float32]]:
    """Fit a head and its standard on a camera's normal footage.

    Args:
        settings: names the head.
        vectors: float32 (M, D), the reference.
        from_us, to_us: int64 (M,), spans on the camera's clock.
        night: int64 (M,), which night each row belongs to.
        rule: how events are made.

    Returns:
        The head, the standard, and the reference's own scores, each row's surroundings left out.
    """
    exclusion = TimeExclusion(from_us, to_us, _exclusion_us(rule, from_us, to_us))
    head, scores = fit_and_score(settings, vectors, exclusion)
    return head, _standard(scores, from_us, to_us, night, rule), scores


def judge(standard: Standard, scores: NDArray[np.float32], from_us: Times, to_us: Times) -> Verdict:
    """Turn a day's scores of one region into events."""
    events = tuple(find_events(from_us, to_us, scores, standard.rule))
    flagged = np.zeros(len(scores), dtype=np.bool_)
    for event in events:
        flagged |= (from_us < event.to_us) & (to_us > event.from_us)
    return Verdict(scores, standard.normal.fraction_below(scores), flagged, events)


def rank(excesses: Sequence[float], starts_us: Sequence[int]) -> list[int]:
    """Positions of events by falling excess, earlier ones first among equals."""
    return sorted(range(len(excesses)), key=lambda position: (-excesses[position], starts_us[position]))


def _standard(scores: NDArray[np.float32], from_us: Times, to_us: Times, night: Times, rule: NightRule) -> Standard:
    median, spread = robust_spread(scores)
    shape = EventRule(
        threshold=0.0,
        low_threshold=-rule.hysteresis_deviations * spread,
        minimum_count=rule.events.minimum_count,
        minimum_s=rule.events.minimum_s,
        merge_gap_s=rule.events.merge_gap_s,
        smooth_s=rule.events.smooth_s,
        smoothing=rule.events.smoothing,
    )
    nights = [ScoredSpans(from_us[night == one], to_us[night == one], scores[night == one]) for one in np.unique(night)]
    found = alarm_threshold(nights, shape, rule.alarms_per_night, rule.floor_deviations)
    return Standard(shape.at(found.threshold), NormalDistribution.fit(scores), median, spread, found.expected_per_night)


def _exclusion_us(rule: NightRule, from_us: Times, to_us: Times) -> int:
    return min(rule.exclusion_us, int(to_us.max() - from_us.min()) // LARGEST_SHARE)
