"""What a camera's nights would raise at another threshold: found again in stored scores, without fitting anything.

Thresholds are told in deviations: robust standard deviations above the median of the camera's own normal scores, which
every night's standard brings along. So one number means the same on every night, whatever its head's scores are.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from infra.errors import LakeError
from infra.settings import NoveltyTable
from lake.registry import ARRAYS, CARD, Registry
from models.calibration import ROUNDING, NormalDistribution
from models.events import Event, EventRule, ScoredSpans, ScoreSeries

KIND = "novelty"
_DISTRIBUTION = "normal.distribution."
"""Begin of the names of the arrays that tell how a head's normal scores are distributed."""
CHOSEN = "chosen"
"""Source of a threshold that a person has put."""
BUDGET = "budget"
"""Source of a threshold that the alarm budget sets: only the first events of a night are alarms. Else every event is."""


def event_rule(settings: NoveltyTable, threshold: float, hysteresis: float) -> EventRule:
    """The rule by which the settings make events of scores, at a threshold and a distance in the scores' unit."""
    return EventRule(
        threshold=threshold,
        low_threshold=threshold - hysteresis,
        minimum_count=settings.minimum_count,
        minimum_s=settings.minimum_s,
        merge_gap_s=settings.merge_gap_s,
        smooth_s=settings.smooth_s,
    )


@dataclass(frozen=True)
class Standard:
    """What the scores of a region were held against on one night, as the lake's table `standards` tells.

    Attributes:
        rule: the event rule with the threshold in use.
        median, spread: of the camera's normal scores; the spread is their robust standard deviation, at least 0.
        source: what set the threshold: `budget`, `mu` or `chosen`.
    """

    rule: EventRule
    median: float
    spread: float
    source: str = BUDGET

    def deviations(self, score: float) -> float:
        """How far a score is above the normal median; infinite where all normal scores are equal and this is another."""
        off = score - self.median
        if self.spread > 0:
            return off / self.spread
        return 0.0 if off == 0 else math.copysign(math.inf, off)

    def score_at(self, deviations: float) -> float:
        """The score that many deviations above the normal median; at least rounding above it, as the night has it."""
        return self.median + max(deviations * self.spread, ROUNDING * abs(self.median))

    def chosen(self, deviations: float) -> "Standard":
        """The same with a person's threshold."""
        return replace(self, rule=self.rule.at(self.score_at(deviations)), source=CHOSEN)


@dataclass(frozen=True, eq=False)
class ScoredNight:
    """Stored scores of a region over one night, smoothed and ready to be held against any threshold.

    Attributes:
        day: the night's day, in the site's zone.
        region: of the camera.
        standard: what the scores were held against.
        series: the scores, smoothed as the rule says.
    """

    day: date
    region: str
    standard: Standard
    series: ScoreSeries

    @classmethod
    def of(cls, day: date, region: str, standard: Standard, spans: ScoredSpans) -> Self:
        return cls(day, region, standard, ScoreSeries.of(spans, standard.rule))

    @property
    def deviations(self) -> NDArray[np.float64]:
        """float64 (N,), in order of time: how far each smoothed score is above the normal median."""
        off = self.series.smoothed - self.standard.median
        spread = self.standard.spread
        return np.asarray(off / spread if spread > 0 else np.where(off == 0, 0.0, np.copysign(np.inf, off)))

    def at(self, deviations: float) -> "ScoredNight":
        """The same night with a person's threshold."""
        return replace(self, standard=self.standard.chosen(deviations))

    def events(self) -> list[Event]:
        """The night's events, in order of time."""
        rule = self.standard.rule
        return [self.series.event(int(a), int(b)) for a, b in zip(*self.series.bounds(rule), strict=True)]


@dataclass(frozen=True)
class RankedEvent:
    """An event as a night would tell it: `excess` in deviations, and whether it is an alarm."""

    region: str
    event: Event
    excess: float
    alarm: bool


@dataclass(frozen=True)
class NightOutcome:
    """What a camera's night raises: events of all its regions, the most unusual first."""

    day: date
    events: tuple[RankedEvent, ...]

    @property
    def alarms(self) -> int:
        return sum(event.alarm for event in self.events)

    def raises(self, region: str, from_us: int, to_us: int) -> bool:
        """Whether an event of a region touches `[from_us, to_us)`, microseconds since 1970."""
        return any(
            one.region == region and one.event.from_us < to_us and one.event.to_us > from_us for one in self.events
        )


def outcomes(nights: Sequence[ScoredNight], alarms_per_night: float) -> list[NightOutcome]:
    """What a camera's nights raise, judged as the night judges.

    Events of all regions are ranked by how far they stand out of their region's normal. Where the budget sets the
    threshold, the first moments are alarms, and what overlaps an earlier alarm is none; elsewhere every event is one.

    Args:
        nights: of one camera, in any order; several regions of one day are one night.
        alarms_per_night: the alarm budget k of the camera.

    Returns:
        One item per day, in order of day.
    """
    by_day: dict[date, list[tuple[ScoredNight, Event]]] = {night.day: [] for night in nights}
    for night in nights:
        by_day[night.day] += [(night, event) for event in night.events()]
    allowed = math.ceil(alarms_per_night)
    return [NightOutcome(day, _ranked(by_day[day], allowed)) for day in sorted(by_day)]


def alarms_by_night(nights: Sequence[NightOutcome]) -> float:
    """Mean alarms of a night; 0 without any night."""
    return sum(night.alarms for night in nights) / max(1, len(nights))


def _ranked(found: Sequence[tuple[ScoredNight, Event]], allowed: int) -> tuple[RankedEvent, ...]:
    measured = [(night, event, night.standard.deviations(event.peak_score)) for night, event in found]
    ranked, alarms, spent = list[RankedEvent](), list[Event](), 0
    for night, event, excess in sorted(measured, key=lambda one: (-one[2], one[1].from_us)):
        budgeted = night.standard.source == BUDGET
        told = any(other.from_us < event.to_us and other.to_us > event.from_us for other in alarms)
        alarm = not budgeted or (spent < allowed and not told)
        spent += alarm and budgeted
        alarms += [event] if alarm else []
        ranked.append(RankedEvent(night.region, event, excess, alarm))
    return tuple(ranked)


def budget_threshold(registry: Registry, camera: str, version: str) -> float | None:
    """The score at which the alarm budget puts the threshold, as a head's card says; None where there is no such card.

    Raises:
        LakeError: the card is damaged.
    """
    path = registry.folder(KIND, camera, version) / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        return float(card["rule"]["threshold"]) if card.get("usable") else None
    except FileNotFoundError:
        return None  # a day that was compared with itself has no head
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LakeError(f"{path} is damaged ({error}); delete its folder and run again") from None


def normal_scores(registry: Registry, camera: str, version: str) -> NormalDistribution | None:
    """How a head's normal scores are distributed; None where there is no such head. Its reference stays on disk.

    Raises:
        LakeError: its files are damaged.
    """
    path = registry.folder(KIND, camera, version) / ARRAYS
    try:
        with safe_open(path, framework="numpy") as file:
            names = [name for name in file.keys() if name.startswith(_DISTRIBUTION)]  # noqa: SIM118 — it is no dict
            arrays: dict[str, NDArray[Any]] = {
                name.removeprefix(_DISTRIBUTION): file.get_tensor(name) for name in names
            }
            return NormalDistribution.from_arrays(arrays) if arrays else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise LakeError(f"{path} is damaged ({error}); delete its folder and run again") from None
