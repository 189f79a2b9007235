"""Metrics of frame scores of labelled videos: by frame, by event, at a threshold and at a fixed event recall.

- **Frames.** `frame_auc` and `frame_ap`: micro over the frames of all test videos pooled; macro, the mean over the videos
  that have frames of both kinds; and pooled over the videos with an anomaly alone.
- **Events at the alarm threshold**, made by `EVENT_RULE`, at temporal overlaps of 50, 70 and 90 % as
  `models.metrics.match_events` has it; `accuracy`, `precision`, `recall` and `f1` of frames above the threshold.
- **At a fixed event recall.** `false_events_per_hour_at_recall_80`: at the highest threshold at which 80 % of the true
  events are found at TO 70 %. That threshold is read off the test videos: it says what an operator would pay for such a
  recall, not what a threshold set beforehand gives.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evaluation.bootstrap import BootstrapSettings, Weights, estimates
from evaluation.datasets.base import LabelledVideo
from evaluation.results import Result
from evaluation.tallies import OVERLAPS, RECOMMENDED, Tally, false_events_name
from models.events import EventRule, ScoredSpans, ScoreSeries
from models.metrics import RankedScores, Spans, f1_of, frame_ap, frame_auc, match_events

EVENT_RULE = EventRule(threshold=0.0, merge_gap_s=1.0, minimum_s=0.5)
"""Scores are smoothed before; events no further apart than 1 s are one, those shorter than half a second none. Fixed
beforehand, and the same for every head and data set."""
RECALLS = (0.5, 0.8, 0.9)
THRESHOLDS = 256
"""Most thresholds tried for a fixed recall: spread evenly over the different frame scores, the ends among them."""
MICRO, MACRO, ANOMALOUS = "micro", "macro", "anomalous videos"

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoredVideo:
    """A test video and the score of each of its frames.

    Attributes:
        video: which.
        scores: float64 (N,), one for each frame, smoothed and comparable with those of other videos.
        threshold: above it a frame raises an alarm; inf for no alarm at all.
        lost: frames of those looked at that had no vector of their own.
    """

    video: LabelledVideo
    scores: Floats
    threshold: float
    lost: int = 0

    def __post_init__(self) -> None:
        if self.scores.shape != (len(self.video.index),) or not np.isfinite(self.scores).all():
            raise ValueError(f"{self.video.video_id}: every frame has one finite score, got {self.scores.shape}")

    @cached_property
    def truth(self) -> NDArray[np.bool_]:
        """bool (N,): anomalous frames."""
        flags = np.zeros(len(self.video.index), dtype=np.bool_)
        for first, last in self.video.relevant:
            flags[first:last] = True
        return flags

    @property
    def true_events(self) -> Spans:
        """int64 (M, 2), in microseconds of the video."""
        begin = self.video.starts_at_us
        told = [(self.video.at_us(a) - begin, self.video.at_us(b) - begin) for a, b in self.video.relevant]
        return np.array(told, dtype=np.int64).reshape(-1, 2)

    @property
    def spans(self) -> ScoredSpans:
        """Each frame's time on display with its score."""
        return frame_spans(self.video, self.scores)

    @property
    def seconds(self) -> float:
        return self.video.index.extent_us / 1e6


def frame_spans(video: LabelledVideo, scores: Floats) -> ScoredSpans:
    """Frames of a video on its own clock: each lasts until the next is shown, but not across a hole."""
    index = video.index
    ends = np.minimum(np.append(index.t_us[1:], index.extent_us), index.t_us + index.hold_us)
    return ScoredSpans(index.t_us, ends, scores)


class FrameMetrics:
    """All metrics of one head on test videos, for any weighting of the videos."""

    def __init__(self, videos: Sequence[ScoredVideo], rule: EventRule = EVENT_RULE) -> None:
        """Videos are scored on one scale; `rule` makes events of them, its thresholds are not used."""
        if not videos:
            raise ValueError("there is at least one scored video")
        self.videos = tuple(videos)
        truth = np.concatenate([one.truth for one in videos])
        scores = np.concatenate([one.scores for one in videos])
        groups = np.repeat(np.arange(len(videos)), [len(one.scores) for one in videos])
        self._frames = np.array([len(one.scores) for one in videos])
        self._anomalous = np.array([bool(one.truth.any()) for one in videos])
        self._ranked = RankedScores.of(truth, scores, groups)
        self._auc = np.array([frame_auc(one.truth, one.scores) for one in videos])
        self._ap = np.array([frame_ap(one.truth, one.scores) for one in videos])
        self._ap[np.isnan(self._auc)] = math.nan
        self._seconds = np.array([one.seconds for one in videos])
        self._tallies = [_tally(one, rule.at(one.threshold)) for one in videos]
        self._true = np.array([len(one.true_events) for one in videos])
        self._found, self._false = _over_thresholds(videos, scores, rule)

    @property
    def strata(self) -> list[int]:
        """For resampling: videos without an anomaly, with both kinds of frames, with nothing else."""
        return [
            0 if not any_ else 2 if one.truth.all() else 1
            for any_, one in zip(self._anomalous, self.videos, strict=True)
        ]

    def curve(self) -> tuple[Floats, Floats]:
        """False and true positive rate over all frames pooled, (M,) each, from 0 to 1; nan where a class is missing."""
        true, false = self._ranked.curve(np.ones(len(self.videos)))
        with np.errstate(invalid="ignore"):
            return false / false[-1], true / true[-1]

    def statistic(self, weights: Weights) -> dict[tuple[str, str], float]:
        """Every metric by average and name, each video counted `weights` times."""
        told: dict[tuple[str, str], float] = {}
        for average, counted in ((MICRO, weights), (ANOMALOUS, weights * self._anomalous)):
            told[average, "frame_auc"], told[average, "frame_ap"] = self._ranked.auc_and_ap(counted)
        told[MACRO, "frame_auc"], told[MACRO, "frame_ap"] = _mean(self._auc, weights), _mean(self._ap, weights)
        told |= {(MICRO, name): value for name, value in self._at_threshold(weights).items()}
        told |= {(MICRO, name): value for name, value in self._at_recalls(weights).items()}
        return told

    def results(
        self, name: str, settings: BootstrapSettings, progress: Callable[[float], None] = lambda _share: None
    ) -> list[Result]:
        """Every metric with its interval; `name` says the head."""

        def named(weights: Weights) -> Mapping[str, float]:
            return {f"{average}\t{metric}": value for (average, metric), value in self.statistic(weights).items()}

        found = estimates(named, self.strata, settings, progress)
        results = []
        for key, one in found.items():
            average, metric = key.split("\t")
            results.append(Result(f"{name} {average}", metric, one.value, one.low, one.high, self._n(average, metric)))
        return results

    def _n(self, average: str, metric: str) -> int:
        if average == MACRO:
            return int(np.count_nonzero(~np.isnan(self._auc)))
        if average == ANOMALOUS:
            return int(self._frames[self._anomalous].sum())
        if metric.startswith("event_precision"):
            return sum(len(tally.matches[RECOMMENDED][0].agreement) for tally in self._tallies)
        if metric.startswith(("event_", "false_events")):
            return int(self._true.sum())
        return int(self._frames.sum())

    @cached_property
    def _counts(self) -> dict[str, Floats]:
        """By video: frames right and wrong, events found and false."""
        told = {
            name: np.array([getattr(tally, name) for tally in self._tallies], dtype=np.float64)
            for name in ("true_positives", "false_positives", "false_negatives", "true_negatives")
        }
        for overlap in OVERLAPS:
            matches = [tally.matches[overlap][0] for tally in self._tallies]
            told[f"found {overlap}"] = np.array([float(one.found.sum()) for one in matches])
            told[f"false {overlap}"] = np.array([float(one.false_positive.sum()) for one in matches])
            told["predicted"] = np.array([float(len(one.agreement)) for one in matches])
        return told

    def _at_threshold(self, weights: Weights) -> dict[str, float]:
        total = {name: float(weights @ values) for name, values in self._counts.items()}
        right = total["true_positives"] + total["true_negatives"]
        wrong = total["false_positives"] + total["false_negatives"]
        precision = _ratio(total["true_positives"], total["true_positives"] + total["false_positives"])
        recall = _ratio(total["true_positives"], total["true_positives"] + total["false_negatives"])
        told = {
            "accuracy": _ratio(right, right + wrong),
            "precision": precision,
            "recall": recall,
            "f1": f1_of(recall, precision),
        }
        hours, events = float(weights @ self._seconds) / 3600, float(weights @ self._true)
        for overlap in OVERLAPS:
            percent, false = round(100 * overlap), total[f"false {overlap}"]
            found = _ratio(total[f"found {overlap}"], events)
            right_share = _ratio(total["predicted"] - false, total["predicted"])
            told[f"event_recall_{percent}"] = found
            told[f"event_precision_{percent}"] = right_share
            told[f"event_f1_{percent}"] = f1_of(found, right_share)
            told[false_events_name(overlap)] = _ratio(false, hours)
        return told

    def _at_recalls(self, weights: Weights) -> dict[str, float]:
        events, hours = float(weights @ self._true), float(weights @ self._seconds) / 3600
        found, false = weights @ self._found, weights @ self._false
        told = {}
        for recall in RECALLS:
            name = f"false_events_per_hour_at_recall_{round(100 * recall)}"
            reached = np.flatnonzero(found >= recall * events - 1e-9) if events else np.empty(0, dtype=np.int64)
            # Thresholds fall: the first one that reaches the recall is the highest.
            told[name] = _ratio(float(false[reached[0]]), hours) if len(reached) else math.nan
        return told


def _tally(one: ScoredVideo, rule: EventRule) -> Tally:
    series = ScoreSeries.of(one.spans, rule)
    return Tally.of(one.truth, one.scores > rule.threshold, one.true_events, _events(series, rule), one.seconds)


def _events(series: ScoreSeries, rule: EventRule) -> Spans:
    found = [series.event(int(a), int(b)) for a, b in zip(*series.bounds(rule), strict=True)]
    return np.array([(event.from_us, event.to_us) for event in found], dtype=np.int64).reshape(-1, 2)


def _over_thresholds(videos: Sequence[ScoredVideo], scores: Floats, rule: EventRule) -> tuple[Floats, Floats]:
    """float64 (V, T) each: true events found and events that are false, by falling threshold, at TO 70 %."""
    steps = np.unique(scores)[::-1]
    steps = steps[np.unique(np.linspace(0, len(steps) - 1, min(THRESHOLDS, len(steps))).round().astype(np.int64))]
    # Above an exact score nothing is left of it: the lowest step takes every frame in.
    thresholds = np.append(steps, np.nextafter(steps[-1], -np.inf))
    found, false = (np.zeros((len(videos), len(thresholds))) for _ in range(2))
    for row, one in enumerate(videos):
        series, truth = ScoreSeries.of(one.spans, rule), one.true_events
        for column, threshold in enumerate(thresholds):
            match = match_events(truth, _events(series, rule.at(float(threshold))), RECOMMENDED)
            found[row, column], false[row, column] = match.found.sum(), match.false_positive.sum()
    return found, false


def _mean(values: Floats, weights: Weights) -> float:
    held = ~np.isnan(values)
    total = float(weights[held].sum())
    return float(weights[held] @ values[held]) / total if total else math.nan


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
