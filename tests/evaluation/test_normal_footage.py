"""What normal footage makes of a head: its scale and threshold, from clips that are no reference for themselves."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.datasets.base import LabelledVideo
from evaluation.embedding import Embedded
from evaluation.frame_metrics import EVENT_RULE, frame_spans
from evaluation.heads import BuiltHead, HeadSpec, build_heads
from evaluation.leakage import Slice
from evaluation.novelty import CurveSettings, NormalRows, Standard, fit_on, normal_spans
from infra.errors import ConfigurationError
from models.detectors.nearest_neighbours import NearestNeighboursSettings
from models.events import find_events

VideoMaker = Callable[..., LabelledVideo]


def embedded(count: int, seed: int, offset: float = 0.0) -> Embedded:
    vectors = np.random.default_rng(seed).normal(offset, 1, (count, 768)).astype(np.float32)
    return Embedded(np.arange(count, dtype=np.int64), vectors)


@pytest.fixture(scope="module")
def head() -> BuiltHead:
    return build_heads([HeadSpec("knn", "handcrafted/appearance", NearestNeighboursSettings(3))], Path("absent"))[0]


def test_clips_are_scored_by_what_the_others_taught(labelled_video: VideoMaker, head: BuiltHead) -> None:
    """A clip that stands apart as a whole is far from the others, however alike its own frames are."""
    parts = [(labelled_video(str(n), 40), embedded(40, n, 5.0 if n == 2 else 0.0)) for n in range(3)]
    fitted = fit_on(head, NormalRows.of(parts), CurveSettings(smooth_s=0))
    own = fitted.head.score(parts[2][1].vectors)  # with its own frames as neighbours
    rows = NormalRows.of(parts)
    assert fitted.standard.median > 0 and rows.part.tolist() == [0] * 40 + [1] * 40 + [2] * 40
    far = fitted.standard.scale(np.array([own.max()]))[0]
    assert fitted.standard.threshold > far


@pytest.mark.parametrize("budget", [0.0, 60.0, 600.0])
def test_the_threshold_keeps_the_budget(labelled_video: VideoMaker, budget: float) -> None:
    random = np.random.default_rng(1)
    videos = [labelled_video(str(n), 600) for n in range(3)]
    spans = [frame_spans(video, random.gamma(1.0, 1.0, 600)) for video in videos]
    standard = Standard.of(spans, CurveSettings(alarms_per_hour=budget, floor_deviations=0.0))
    assert standard.hours == pytest.approx(3 / 60)
    found = 0
    for one in spans:
        rule = EVENT_RULE.at(standard.threshold)
        found += len(find_events(one.from_us, one.to_us, standard.scale(one.scores), rule))
    assert found <= budget * standard.hours + 1e-9
    assert standard.expected_per_hour == pytest.approx(found / standard.hours)


def test_the_floor_holds(labelled_video: VideoMaker) -> None:
    spans = [frame_spans(labelled_video(str(n), 600), np.random.default_rng(n).normal(0, 1, 600)) for n in range(2)]
    low, high = (Standard.of(spans, CurveSettings(floor_deviations=floor)) for floor in (0.0, 9.0))
    assert low.threshold < 9 and high.threshold == pytest.approx(9.0, abs=0.05)


def test_equal_scores_have_a_scale(labelled_video: VideoMaker) -> None:
    spans = [frame_spans(labelled_video(str(n), 60), np.full(60, 4.0)) for n in range(2)]
    standard = Standard.of(spans, CurveSettings())
    assert standard.scale(np.array([4.0, 5.0])).tolist() == [0.0, 1.0]


def test_a_reference_is_thinned_evenly(labelled_video: VideoMaker) -> None:
    parts = [(labelled_video(str(n), 100), embedded(100, n)) for n in range(4)]
    rows = NormalRows.of(parts, most=40)
    assert len(rows.vectors) == 40 and np.bincount(rows.part).tolist() == [10] * 4
    assert all((np.diff(rows.frame[rows.part == part]) > 0).all() for part in range(4))


def test_only_normal_frames_count(labelled_video: VideoMaker) -> None:
    videos = [labelled_video(str(n), 100) for n in range(2)]
    slices = {video: [Slice(video, 0, 30), Slice(video, 60, 100)] for video in videos}
    rows = NormalRows.of([(video, embedded(100, 0)) for video in videos], slices=slices)
    scores: NDArray[np.float32] = np.arange(200, dtype=np.float32)
    spans = normal_spans(rows, scores, 0.0)
    assert [len(one) for one in spans] == [70, 70]
    assert spans[0].scores.tolist() == [*range(30), *range(60, 100)]


def test_two_videos_are_needed(labelled_video: VideoMaker) -> None:
    nothing = Embedded(np.empty(0, np.int64), np.empty((0, 768), np.float32))
    with pytest.raises(ConfigurationError, match="1 normal videos"):
        NormalRows.of([(labelled_video("a", 10), embedded(10, 0)), (labelled_video("b", 10), nothing)])
    for wrong in ({"smooth_s": -1.0}, {"alarms_per_hour": float("inf")}, {"most_reference": 1}):
        with pytest.raises(ConfigurationError, match="got"):
            CurveSettings(**wrong)
