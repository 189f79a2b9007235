"""What was right and wrong in a unit of test footage, by frame and by event, and the metrics of it.

Tallies add up: pooled over units they give micro metrics, taken one by one and averaged macro ones.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.metrics import EventMatch, Spans, event_metrics, match_events

OVERLAPS = (0.5, 0.7, 0.9)
"""Temporal overlaps TO at which events are matched; 0.7 is recommended (S0)."""
RECOMMENDED = 0.7

Labels = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of some footage.

    Attributes:
        true_positives, false_positives, false_negatives, true_negatives: frames.
        matches: by temporal overlap, one match for each video.
        seconds: of footage.
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    matches: dict[float, tuple[EventMatch, ...]]
    seconds: float

    @classmethod
    def of(
        cls, truth: Labels, predicted: Labels, true_events: Spans, predicted_events: Spans, seconds: float
    ) -> "Tally":
        """Count one video.

        Args:
            truth, predicted: bool (N,), of the same frames.
            true_events, predicted_events: int64 (M, 2), half open, in microseconds.
            seconds: its length.
        """
        if truth.shape != predicted.shape:
            raise ValueError(f"truth and prediction label the same frames, got {truth.shape} and {predicted.shape}")
        return cls(
            int((truth & predicted).sum()),
            int((~truth & predicted).sum()),
            int((truth & ~predicted).sum()),
            int((~truth & ~predicted).sum()),
            {overlap: (match_events(true_events, predicted_events, overlap),) for overlap in OVERLAPS},
            seconds,
        )


def pooled(tallies: Iterable[Tally]) -> Tally:
    """All footage of several tallies as one."""
    held = list(tallies)
    return Tally(
        sum(one.true_positives for one in held),
        sum(one.false_positives for one in held),
        sum(one.false_negatives for one in held),
        sum(one.true_negatives for one in held),
        {overlap: tuple(match for one in held for match in one.matches[overlap]) for overlap in OVERLAPS},
        sum(one.seconds for one in held),
    )


def measures(tally: Tally) -> dict[str, float]:
    """Metrics by name; what is undefined (a recall without relevant frames, a rate without footage) is nan.

    Accuracy, precision and recall are of frames; `event_recall_70`, `event_precision_70`, `event_f1_70` of events at a
    temporal overlap of 70 %, as `models.metrics.match_events` reckons it; `false_events_per_hour` at 70 %, at the other
    overlaps with their number behind.
    """
    found, right = tally.true_positives, tally.true_positives + tally.true_negatives
    wrong = tally.false_positives + tally.false_negatives
    told = {
        "accuracy": _ratio(right, right + wrong),
        "precision": _ratio(found, found + tally.false_positives),
        "recall": _ratio(found, found + tally.false_negatives),
    }
    for overlap, matches in tally.matches.items():
        # Footage of which no frame could be decoded has no length; its rates are undefined.
        metrics, percent = event_metrics(matches, tally.seconds or math.inf), round(100 * overlap)
        told |= {
            f"event_recall_{percent}": metrics.recall,
            f"event_precision_{percent}": metrics.precision,
            f"event_f1_{percent}": metrics.f1,
            false_events_name(overlap): metrics.false_events_per_hour if tally.seconds else math.nan,
        }
    return told


def false_events_name(overlap: float) -> str:
    """`false_events_per_hour` at the recommended overlap; at another its percentage stands behind."""
    suffix = "" if overlap == RECOMMENDED else f"_{round(100 * overlap)}"
    return f"false_events_per_hour{suffix}"


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (n - 1) of the values that are defined; nan where there are too few."""

    mean: float
    deviation: float
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> "Summary":
        held = np.array([value for value in values if not math.isnan(value)], dtype=np.float64)
        if not len(held):
            return cls(math.nan, math.nan, 0)
        deviation = float(held.std(ddof=1)) if len(held) > 1 else math.nan
        return cls(float(held.mean()), deviation, len(held))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
