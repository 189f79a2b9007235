"""From annotated segments to a segment classifier in the registry: trained on one part of the videos, measured on the others.

It is kept as a classifier with the one class `anomaly`, so alarms, thresholds, export and the models page use it as any other.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version as distribution_version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from footage.index import MICROSECONDS
from infra.errors import ConfigurationError
from lake.keys import short_hash
from models.arrays import prefixed
from models.heads.classifier import ClassifierSettings
from models.heads.segment_metrics import THRESHOLD, SegmentMetrics, segment_metrics, temporal_iou
from models.heads.segment_training import CLASS, SegmentSamples, TrainedSegments, losses_of, train_segments
from models.losses import SegmentLossSettings
from models.sweep import Criterion, Sweep, sweep
from workspace.classifier_fitting import FittedClassifier, check_name, confusion_told, keep_classifier
from workspace.clip_vectors import Inputs
from workspace.opened import Workspace
from workspace.segment_parts import PARTS, Part, Parts, part_numbers, part_rows
from workspace.segment_scores import FOLD_CLIPS, FOLD_PART, TEST_SCORES, TEST_TRUTH
from workspace.segment_sets import AnnotatedSegments

NORMAL = "normal"
FIXED = "fixed"
"""Criterion of a threshold that nothing was chosen by."""
DIGITS = 4


@dataclass(frozen=True, eq=False)
class MeasuredSegments:
    """A head, and what it says of every segment.

    Attributes:
        trained: the head and its epochs.
        probabilities: float32 (M,), of an anomaly.
        metrics: of the parts that have segments.
    """

    trained: TrainedSegments
    probabilities: NDArray[np.float32]
    metrics: Mapping[Part, SegmentMetrics]


def train_and_measure(
    segments: AnnotatedSegments,
    parts: Parts,
    settings: ClassifierSettings,
    loss: SegmentLossSettings,
    progress: Callable[[float], None] = lambda _share: None,
) -> MeasuredSegments:
    """Train a head on the training part, and measure it on each.

    Args:
        segments: of all videos.
        parts: of the videos.
        settings, loss: of the head.
        progress: called with the finished share.

    Raises:
        ConfigurationError: the training part does not do; see `train_segments`.
    """
    numbers = {part: part_numbers(segments.videos, parts, part) for part in PARTS}
    samples: dict[str, SegmentSamples] = {part: segments.samples.of(numbers[part]) for part in PARTS}
    trained = train_segments(settings, loss, samples["train"], samples, progress)
    probabilities = trained.head.probabilities(segments.samples.vectors)[:, 0]
    metrics = {}
    for part in PARTS:
        if not len(samples[part]):
            continue
        rows = part_rows(segments, parts, part)
        plain, whole = losses_of(loss, trained.head, samples[part])
        metrics[part] = segment_metrics(
            samples[part].positive,
            probabilities[rows],
            temporal_iou=_iou(segments, numbers[part], probabilities),
            bce=plain,
            loss=whole,
        )
    return MeasuredSegments(trained, probabilities, metrics)


def _iou(segments: AnnotatedSegments, videos: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Of the time of segments above the threshold with the annotated time, over some videos."""
    spans = np.stack([segments.from_us, segments.to_us], axis=1)
    above = probabilities > THRESHOLD
    predicted = [spans[above & (segments.samples.video == number)] for number in videos.tolist()]
    return temporal_iou([segments.videos.spans_us[number] for number in videos.tolist()], predicted)


def fit_segments(
    workspace: Workspace,
    name: str,
    folder: str,
    segments: AnnotatedSegments,
    inputs: Inputs,
    parts: Parts,
    settings: ClassifierSettings,
    loss: SegmentLossSettings,
    *,
    overlap: float,
    criterion: Criterion | None = None,
    author: str,
    progress: Callable[[str, float, float], None] = lambda _stage, _done, _total: None,
) -> FittedClassifier:
    """Train a segment classifier, measure it, and keep it in the registry.

    The head that is kept is the one that was measured: the videos of the other parts are not trained on afterwards.

    Args:
        workspace: where it is kept.
        name: of the classifier; the first version of a name is put into service.
        folder: name of the videos' folder, for the card.
        segments: of all videos.
        inputs: what a segment's vector is made of.
        parts: of the videos.
        settings, loss: of the head.
        overlap: share from which a segment is anomalous, for the card.
        criterion: what the recommended threshold is chosen by, on the validation part; None: it is 0.5.
        author: who wants it.
        progress: called with `head`, what is done and all of it.

    Raises:
        ConfigurationError: the parts do not do, the name cannot be one, or no threshold reaches the criterion.
        AfterwatchError: the loss is not finite.
    """
    check_name(name)
    if not author.strip():
        raise ConfigurationError("a classifier has an author; say who you are")
    measured = train_and_measure(segments, parts, settings, loss, lambda share: progress("head", share, 1))
    rows = {part: part_rows(segments, parts, part) for part in PARTS}
    threshold = THRESHOLD if criterion is None else _chosen(segments, measured, rows["validation"], criterion)
    trained_on = [segments.videos.videos[number] for number in part_numbers(segments.videos, parts, "train").tolist()]
    fold: Part = "validation" if rows["validation"].any() else "test"
    card = {
        **inputs.to_card(),
        "classes": [CLASS],
        "normal": NORMAL,
        "settings": {**asdict(settings), **{f"loss_{key}": value for key, value in asdict(loss).items()}},
        "loss": asdict(loss),
        "epochs": settings.epochs,
        "data": _data_told(folder, segments, parts, overlap),
        "clips": [video.name for video in trained_on],
        "contents": [video.content for video in trained_on],
        FOLD_PART: fold,
        FOLD_CLIPS: _names(segments, rows[fold]),
        "metrics": {CLASS: _metrics_told(segments, measured, rows["test"], threshold)},
        "parts": {part: metrics.to_card() for part, metrics in measured.metrics.items()},
        "curves": {
            part: {key: [round(value, DIGITS) for value in values] for key, values in asdict(curve).items()}
            for part, curve in measured.trained.curves.items()
        },
        "thresholds": {
            CLASS: {"threshold": threshold, "criterion": FIXED if criterion is None else criterion.words},
        },
        "torch": distribution_version("torch"),
        "remark": _remark(segments, fold, overlap),
    }
    arrays = {
        **prefixed("head", measured.trained.head.to_arrays()),
        # What a threshold may be chosen on: kept apart from the test part, which tells what the chosen one comes to.
        "fold.scores": measured.probabilities[rows[fold], None],
        "fold.truth": segments.samples.positive[rows[fold], None].astype(np.uint8),
        TEST_SCORES: measured.probabilities[rows["test"], None],
        TEST_TRUTH: segments.samples.positive[rows["test"], None].astype(np.uint8),
    }
    return keep_classifier(workspace, name, card, arrays, author.strip(), measured.trained.seconds_per_epoch)


def _names(segments: AnnotatedSegments, rows: NDArray[np.bool_]) -> list[str]:
    """Video and start of some segments."""
    numbers, starts = segments.samples.video[rows].tolist(), segments.from_us[rows].tolist()
    videos = segments.videos.videos
    return [
        f"{videos[number].name} from {start / MICROSECONDS:.2f} s"
        for number, start in zip(numbers, starts, strict=True)
    ]


def _remark(segments: AnnotatedSegments, fold: Part, overlap: float) -> str:
    remarks = []
    if segments.lost:
        remarks.append(f"{segments.lost} segments left out: an encoder saw nothing there")
    if segments.short:
        spans = sum(map(len, segments.videos.spans_us))
        remarks.append(
            f"{len(segments.short)} of {spans} annotated spans fill {100 * overlap:g} % of no segment, and count as normal: "
            f"{segments.short[0]}{', …' if len(segments.short) > 1 else ''}"
        )
    if fold == "test":
        remarks.append(
            "no validation part: a threshold that is chosen later is chosen on the test part, and flatters itself"
        )
    return "; ".join(remarks)


def _chosen(
    segments: AnnotatedSegments, measured: MeasuredSegments, rows: NDArray[np.bool_], criterion: Criterion
) -> float:
    if not rows.any():
        raise ConfigurationError(
            f"a threshold ({criterion.words}) is chosen on the validation part, and it has no segment; name validation "
            "videos with --split, or leave --threshold-by out"
        )
    return _swept(segments, measured, rows).choose(criterion)


def _swept(segments: AnnotatedSegments, measured: MeasuredSegments, rows: NDArray[np.bool_]) -> Sweep:
    return sweep(segments.samples.positive[rows], measured.probabilities[rows])


def _metrics_told(
    segments: AnnotatedSegments, measured: MeasuredSegments, rows: NDArray[np.bool_], threshold: float
) -> dict[str, Any]:
    """How well segments of the test part are told, in the form of every classifier's card; `inside`: at the threshold."""
    swept, test = _swept(segments, measured, rows), measured.metrics["test"].to_card()
    return {
        "auc": test["auc"],
        "average_precision": test["average_precision"],
        "half": confusion_told(swept.at(THRESHOLD)),
        "inside": {**confusion_told(swept.at(threshold)), "thresholds": [round(threshold, DIGITS)]},
    }


def _data_told(folder: str, segments: AnnotatedSegments, parts: Parts, overlap: float) -> dict[str, Any]:
    videos, samples = segments.videos, segments.samples
    of_videos = np.bincount(samples.video)
    anomalous = int(videos.anomalous.sum())
    return {
        "folder": folder,
        "layout": videos.layout,
        "clips": {CLASS: anomalous, NORMAL: len(videos) - anomalous},
        "sources": len({video.source for video in videos.videos}),
        "windows": len(samples),
        "windows_anomalous": int(samples.positive.sum()),
        "windows_per_clip": {
            "fewest": int(of_videos.min()),
            "mean": round(float(of_videos.mean()), 2),
            "most": int(of_videos.max()),
        },
        "windows_lost": segments.lost,
        "spans": sum(map(len, videos.spans_us)),
        "spans_in_no_anomalous_window": len(segments.short),
        "overlap": overlap,
        "split": {part: [videos.videos[number].name for number in part_numbers(videos, parts, part)] for part in PARTS},
        "content": short_hash(
            [
                [video.content, spans.tolist(), parts[video.name]]
                for video, spans in zip(videos.videos, videos.spans_us, strict=True)
            ]
        ),
        "left_out": list(videos.left_out),
    }
