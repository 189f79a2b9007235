"""Metrics of frame scores: by hand, beside scikit-learn, and under resampling."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from evaluation.bootstrap import BootstrapSettings
from evaluation.datasets.base import LabelledVideo
from evaluation.frame_metrics import ANOMALOUS, MACRO, MICRO, FrameMetrics, ScoredVideo

VideoMaker = Callable[..., LabelledVideo]


@pytest.fixture(scope="module")
def scored(labelled_video: VideoMaker) -> list[ScoredVideo]:
    """Two videos of 60 s with an anomaly of 10 s each, and one without, at 10 Hz; noisy scores that tell it mostly."""
    random = np.random.default_rng(3)
    told = []
    for number, spans in enumerate((((100, 200),), ((400, 500),), ())):
        video = labelled_video(f"v{number}", 600, relevant=spans)
        scores = random.normal(0, 1, 600)
        for first, last in spans:
            scores[first:last] += 1.5 + number
        # Few different scores: all of them are tried as thresholds.
        told.append(ScoredVideo(video, scores.round(1), 2.0))
    return told


def test_frames_are_as_scikit_learn_has_them(scored: list[ScoredVideo]) -> None:
    found = FrameMetrics(scored).statistic(np.ones(3, np.int64))
    truth = np.concatenate([one.truth for one in scored])
    scores = np.concatenate([one.scores for one in scored])
    assert found[MICRO, "frame_auc"] == pytest.approx(roc_auc_score(truth, scores))
    assert found[MICRO, "frame_ap"] == pytest.approx(average_precision_score(truth, scores))
    both = slice(0, 1200)
    assert found[ANOMALOUS, "frame_auc"] == pytest.approx(roc_auc_score(truth[both], scores[both]))
    each = [roc_auc_score(one.truth, one.scores) for one in scored[:2]]
    assert found[MACRO, "frame_auc"] == pytest.approx(np.mean(each))
    predicted = scores > 2.0
    assert found[MICRO, "accuracy"] == pytest.approx((predicted == truth).mean())
    assert found[MICRO, "recall"] == pytest.approx(predicted[truth].mean())


def test_a_video_counts_as_often_as_it_was_drawn(scored: list[ScoredVideo]) -> None:
    twice = FrameMetrics([scored[0], scored[1], scored[1], scored[2]]).statistic(np.ones(4, np.int64))
    weighted = FrameMetrics(scored).statistic(np.array([1, 2, 1]))
    assert set(twice) == set(weighted)
    for key, value in twice.items():
        assert weighted[key] == pytest.approx(value, nan_ok=True), key


def stepped(video: LabelledVideo, threshold: float, *steps: tuple[int, int, float]) -> ScoredVideo:
    scores = np.zeros(len(video.index))
    for first, last, height in steps:
        scores[first:last] = height
    return ScoredVideo(video, scores, threshold)


def test_events_by_hand(labelled_video: VideoMaker) -> None:
    video = labelled_video("a", 36_000, relevant=((1000, 1100), (2000, 2100), (3000, 3100)))  # an hour
    one = stepped(video, 1.5, (1000, 1080, 3.0), (2000, 2055, 3.0), (5000, 5100, 2.0), (7000, 7100, 1.0))
    found = FrameMetrics([one]).statistic(np.ones(1, np.int64))
    assert found[MICRO, "event_recall_50"] == pytest.approx(2 / 3)
    assert found[MICRO, "event_recall_70"] == pytest.approx(1 / 3)
    assert found[MICRO, "event_recall_90"] == 0
    assert found[MICRO, "event_precision_70"] == pytest.approx(2 / 3)
    assert found[MICRO, "false_events_per_hour"] == pytest.approx(1.0)


def test_false_events_at_a_recall_are_those_of_the_highest_threshold_that_reaches_it(
    labelled_video: VideoMaker,
) -> None:
    video = labelled_video("a", 36_000, relevant=((1000, 1100), (2000, 2100)))
    one = stepped(
        video, math.inf, (1000, 1100, 9.0), (2000, 2100, 5.0), (4000, 4100, 7.0), (5000, 5100, 6.0), (6000, 6100, 2.0)
    )
    found = FrameMetrics([one]).statistic(np.ones(1, np.int64))
    assert found[MICRO, "false_events_per_hour_at_recall_50"] == 0
    assert found[MICRO, "false_events_per_hour_at_recall_80"] == pytest.approx(2.0)
    assert found[MICRO, "event_recall_50"] == 0 and found[MICRO, "false_events_per_hour"] == 0  # no alarm at inf
    assert math.isnan(found[MICRO, "event_precision_70"])


def test_what_is_undefined_is_nan(labelled_video: VideoMaker) -> None:
    normal = [stepped(labelled_video(name), 1.0, (3, 40, 2.0)) for name in ("a", "b")]
    found = {(one.name, one.metric): one for one in FrameMetrics(normal).results("head", BootstrapSettings(20))}
    for average in (MICRO, MACRO, ANOMALOUS):
        assert math.isnan(found[f"head {average}", "frame_auc"].value)
        assert found[f"head {average}", "frame_auc"].to_json()["value"] is None
    assert found["head micro", "false_events_per_hour"].value == pytest.approx(60.0)
    assert math.isnan(found["head micro", "false_events_per_hour_at_recall_80"].value)


def test_intervals_hold_the_value_and_the_seed_decides_them(scored: list[ScoredVideo]) -> None:
    metrics = FrameMetrics(scored)
    one, same = (metrics.results("head", BootstrapSettings(100)) for _ in range(2))
    assert one == same
    for result in one:
        if not math.isnan(result.low):
            assert result.low - 1e-9 <= result.value <= result.high + 1e-9, result
    assert {result.name for result in one} == {"head micro", "head macro", "head anomalous videos"}


def test_strata_keep_both_kinds_of_video(scored: list[ScoredVideo]) -> None:
    assert FrameMetrics(scored).strata == [1, 1, 0]


def test_the_curve_is_the_area(scored: list[ScoredVideo]) -> None:
    metrics = FrameMetrics(scored)
    false, true = metrics.curve()
    area = float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2))
    assert area == pytest.approx(metrics.statistic(np.ones(3, np.int64))[MICRO, "frame_auc"])


def test_every_frame_has_a_score(labelled_video: VideoMaker) -> None:
    with pytest.raises(ValueError, match="one finite score"):
        ScoredVideo(labelled_video("a", 10), np.zeros(9), 0.0)
    with pytest.raises(ValueError, match="one finite score"):
        ScoredVideo(labelled_video("a", 10), np.full(10, np.nan), 0.0)
