"""How well segments are told (row V3): metrics of their probabilities, and how much of the anomalous time is found.

What S3 calls AUC is the balanced accuracy of hard labels: with one threshold the mean of sensitivity and specificity is the
area under a ROC curve of one point. Here both have their own names.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from models.metrics import Labels, Spans, frame_ap, frame_auc, merge_spans
from models.sweep import Confusion, sweep

THRESHOLD = 0.5


@dataclass(frozen=True)
class SegmentMetrics:
    """Metrics of one part of the videos; nan where one is undefined.

    Attributes:
        segments, anomalous: how many there are, and how many of them are anomalous.
        accuracy: share told right at the threshold.
        balanced_accuracy: mean of the shares of anomalous and of normal segments told right, which S3 calls AUC.
        auc: area under the ROC curve of the probabilities.
        precision, recall, f1: of anomalous segments at the threshold; recall and f1 are undefined where there is none.
        average_precision: of anomalous segments, over all thresholds.
        mean_average_precision: mean of that and of the normal segments' own, whose probability is the rest to 1.
        temporal_iou: time that is both predicted and annotated, over time that is either.
        bce: mean binary cross entropy.
        loss: what was trained on, with whole videos as bags; of different losses it cannot be compared.
    """

    segments: int
    anomalous: int
    accuracy: float
    balanced_accuracy: float
    auc: float
    precision: float
    recall: float
    f1: float
    average_precision: float
    mean_average_precision: float
    temporal_iou: float
    bce: float
    loss: float

    def to_card(self) -> dict[str, float | int | None]:
        """By name, rounded; null where undefined."""
        return {name: _told(value) for name, value in asdict(self).items()}


def segment_metrics(
    positive: Labels,
    probabilities: NDArray[np.floating],
    *,
    temporal_iou: float,
    bce: float,
    loss: float,
    threshold: float = THRESHOLD,
) -> SegmentMetrics:
    """Metrics of segments, bool (M,) and their probabilities (M,); a segment is predicted above the threshold."""
    counts = sweep(positive, probabilities).at(threshold)
    scores = probabilities.astype(np.float64)
    own, other = frame_ap(positive, scores), frame_ap(~positive, 1 - scores)
    return SegmentMetrics(
        len(positive),
        int(np.count_nonzero(positive)),
        counts.accuracy,
        balanced_accuracy(counts),
        frame_auc(positive, scores),
        counts.precision,
        counts.recall,
        # Without an anomalous segment a false alarm would make it 0, and silence undefined: it says nothing of either.
        counts.f_beta(1) if positive.any() else math.nan,
        own,
        (own + other) / 2,
        temporal_iou,
        bce,
        loss,
    )


def balanced_accuracy(counts: Confusion) -> float:
    """Mean of the recalls of both classes; nan where a class is empty."""
    normal = counts.true_negatives + counts.false_positives
    return (counts.recall + (counts.true_negatives / normal if normal else math.nan)) / 2


def temporal_iou(truth: Sequence[Spans], predicted: Sequence[Spans]) -> float:
    """Intersection over union in time, pooled over videos; nan where nothing is annotated and nothing predicted.

    Args:
        truth: int64 (T, 2) of each video, half open, in microseconds; they may overlap.
        predicted: int64 (P, 2) of each video, as `truth`.

    >>> temporal_iou([np.array([[0, 4]])], [np.array([[2, 3], [3, 6]])])
    0.3333333333333333
    """
    both = either = 0
    for true, found in zip(truth, predicted, strict=True):
        union = _length(np.concatenate([true.reshape(-1, 2), found.reshape(-1, 2)]))
        both += _length(true) + _length(found) - union
        either += union
    return both / either if either else math.nan


def _length(spans: Spans) -> int:
    merged = merge_spans(spans)
    return int((merged[:, 1] - merged[:, 0]).sum())


def _told(value: float | int) -> float | int | None:
    if isinstance(value, int):
        return value
    return round(value, 4) if math.isfinite(value) else None
