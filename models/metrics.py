"""How good scores and events are, by frame and by event.

What is undefined is nan, not 0 or 1: a recall without true events, a precision without predicted ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from infra.errors import ConfigurationError

Spans = NDArray[np.int64]
Labels = NDArray[np.bool_]


def frame_auc(truth: Labels, scores: NDArray[Any]) -> float:
    """Area under the ROC curve of frame scores (N,) against truth (N,); nan where truth has one class only."""
    return float(roc_auc_score(truth, scores)) if 0 < np.count_nonzero(truth) < len(truth) else math.nan


def frame_ap(truth: Labels, scores: NDArray[Any]) -> float:
    """Average precision (step-wise, not interpolated) of frame scores (N,); nan where no frame is true."""
    return float(average_precision_score(truth, scores)) if np.count_nonzero(truth) else math.nan


def label_runs(labels: Labels) -> Spans:
    """Maximal runs of True in labels (N,): int64 (M, 2), half-open frame numbers in order.

    >>> label_runs(np.array([True, True, False, True])).tolist()
    [[0, 2], [3, 4]]
    """
    padded = np.concatenate([[False], labels, [False]])
    return np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2).astype(np.int64)


def merge_spans(spans: Spans, gap: int = 0) -> Spans:
    """Join half-open spans (M, 2) no further apart than `gap`; the result is in order and disjoint."""
    spans = _checked(spans)
    if len(spans) == 0:
        return spans
    spans = spans[np.lexsort((spans[:, 1], spans[:, 0]))]
    reached = np.maximum.accumulate(spans[:, 1])
    first = np.append(True, spans[1:, 0] - reached[:-1] > gap)
    last = np.append(first[1:], True)
    return np.stack([spans[first, 0], reached[last]], axis=1)


@dataclass(frozen=True, eq=False)
class EventMatch:
    """Which true events were found and which predicted ones are false, in the order they were given.

    Attributes:
        coverage: float64 (T,), the share of each true event that is predicted.
        agreement: float64 (P,), the largest share of each predicted event that lies in one true event.
        overlap: TO, in (0, 1].
    """

    coverage: NDArray[np.float64]
    agreement: NDArray[np.float64]
    overlap: float

    @property
    def found(self) -> Labels:
        """bool (T,): true events whose coverage is at least TO."""
        return self.coverage >= self.overlap

    @property
    def false_positive(self) -> Labels:
        """bool (P,): predicted events whose overlap with every true event is below TO."""
        return self.agreement < self.overlap


@dataclass(frozen=True)
class EventMetrics:
    """Event metrics over one or several matches.

    Attributes:
        recall: found / true events.
        precision: predicted events that are not false / predicted events.
        f1: their harmonic mean; 0 where one is 0 or undefined, nan where there is no event at all.
        false_events_per_hour: false positives per hour of footage.
        true_events, predicted_events: n of the two.
    """

    recall: float
    precision: float
    f1: float
    false_events_per_hour: float
    true_events: int
    predicted_events: int


def match_events(truth: Spans, predicted: Spans, overlap: float) -> EventMatch:
    """Match true and predicted events at a temporal overlap.

    A true event is found if the fraction of its time that is predicted, by however many events, is at least TO. A
    predicted event is false if less than TO of its own time lies in any one true event: as a true event is judged by
    the fraction of its frames predicted right, so is a predicted one.

    Args:
        truth: int64 (T, 2), half open, in microseconds or frames.
        predicted: int64 (P, 2), in the same unit, after merging.
        overlap: TO in (0, 1]; 0.7 is recommended.

    Raises:
        ConfigurationError: TO is out of range.
        ValueError: a span is empty or the shape is another.
    """
    if not 0 < overlap <= 1:
        raise ConfigurationError(f"temporal overlap is above 0 and at most 1, got {overlap}")
    truth, predicted = _checked(truth), _checked(predicted)
    coverage = _intersections(truth, merge_spans(predicted)).sum(axis=1) / (truth[:, 1] - truth[:, 0])
    agreement = _intersections(predicted, truth).max(axis=1, initial=0) / (predicted[:, 1] - predicted[:, 0])
    return EventMatch(coverage, agreement, overlap)


def match_frames(truth: Labels, predicted: Labels, overlap: float, merge_gap_frames: int = 0) -> EventMatch:
    """`match_events` on frame labels (N,) of one video: events are maximal runs, predicted ones merged over gaps."""
    if truth.shape != predicted.shape:
        raise ValueError(f"truth and prediction label the same frames, got {truth.shape} and {predicted.shape}")
    return match_events(label_runs(truth), merge_spans(label_runs(predicted), merge_gap_frames), overlap)


def event_metrics(matches: Sequence[EventMatch], duration_s: float) -> EventMetrics:
    """Event metrics pooled (micro) over matches of `duration_s` seconds of footage in all; one match gives its own."""
    if not duration_s > 0:
        raise ValueError(f"duration_s is above 0, got {duration_s}")
    true_events = sum(len(match.coverage) for match in matches)
    predicted_events = sum(len(match.agreement) for match in matches)
    found = sum(int(match.found.sum()) for match in matches)
    false = sum(int(match.false_positive.sum()) for match in matches)
    recall = _ratio(found, true_events)
    precision = _ratio(predicted_events - false, predicted_events)
    return EventMetrics(
        recall=recall,
        precision=precision,
        f1=f1_of(recall, precision),
        false_events_per_hour=false / (duration_s / 3600),
        true_events=true_events,
        predicted_events=predicted_events,
    )


@dataclass(frozen=True, eq=False)
class RankedScores:
    """Scores in falling order, so that the metrics of many weightings of groups cost one pass each.

    A group is a video: weighted by how often a resample drew it, its frames are counted as often.

    Attributes:
        groups: int64 (N,), the group of each score.
        truth: bool (N,).
        ends: int64 (M,), place of the last of each run of equal scores.
    """

    groups: NDArray[np.int64]
    truth: Labels
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, truth: Labels, scores: NDArray[Any], groups: NDArray[np.int64]) -> Self:
        """Rank scores (N,) with truth (N,) and groups (N,), numbered from 0."""
        order = np.argsort(-scores.astype(np.float64), kind="stable")
        ranked = scores[order]
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.empty(0, np.int64)
        return cls(groups[order], truth[order], ends.astype(np.int64))

    def curve(self, weights: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """True and false positives, float64 (M + 1,), as the threshold falls past each score; from 0 to all."""
        each = weights.astype(np.float64)[self.groups]
        true = np.append(0.0, np.cumsum(each * self.truth)[self.ends])
        false = np.append(0.0, np.cumsum(each * ~self.truth)[self.ends])
        return true, false

    def auc_and_ap(self, weights: NDArray[Any]) -> tuple[float, float]:
        """`frame_auc` and `frame_ap` where each group counts `weights[group]` times, (G,), at least 0.

        Both are those of scikit-learn with these sample weights. Either is nan where it is undefined.
        """
        true, false = self.curve(weights)
        positives, negatives = true[-1], false[-1]
        if not positives:
            return math.nan, math.nan
        gained, found = np.diff(true), true[1:] + false[1:]
        ap = float((gained * np.divide(true[1:], found, out=np.zeros_like(found), where=found > 0)).sum() / positives)
        if not negatives:
            return math.nan, ap
        return float((np.diff(false) * (true[1:] + true[:-1]) / 2).sum() / (positives * negatives)), ap


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def f1_of(recall: float, precision: float) -> float:
    """Harmonic mean of the two; 0 where one is 0 or undefined, nan where both are undefined."""
    if math.isnan(recall) and math.isnan(precision):
        return math.nan
    if math.isnan(recall) or math.isnan(precision) or recall + precision == 0:
        return 0.0
    return 2 * recall * precision / (recall + precision)


def _intersections(one: Spans, other: Spans) -> NDArray[np.int64]:
    """int64 (len(one), len(other)): length common to each pair."""
    ends = np.minimum(one[:, None, 1], other[None, :, 1])
    return np.asarray(np.maximum(ends - np.maximum(one[:, None, 0], other[None, :, 0]), 0), dtype=np.int64)


def _checked(spans: Spans) -> Spans:
    spans = np.asarray(spans, dtype=np.int64)
    if spans.size == 0:
        return spans.reshape(0, 2)
    if spans.ndim != 2 or spans.shape[1] != 2 or not (spans[:, 0] < spans[:, 1]).all():
        raise ValueError(f"spans are (M, 2), half open and not empty, got shape {spans.shape}")
    return spans
