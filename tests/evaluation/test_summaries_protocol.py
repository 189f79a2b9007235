"""The protocol of TVSum and SumMe: people against one another, chance, methods with known answers, and the published figures."""

from dataclasses import replace
from fractions import Fraction
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from evaluation.bootstrap import BootstrapSettings
from evaluation.datasets.summary_base import AnnotatedVideo, AnnotatedVideos, Features, even_shots
from evaluation.datasets.summary_read import read_annotated
from evaluation.protocols.summaries import HUMAN, RANDOM, UNIFORM, SummaryReport, SummarySettings, run_summaries
from evaluation.summary_methods import score_shots
from evaluation.summary_sights import LookSettings, encoders
from evaluation.summary_tables import details_csv, to_csv, to_json, to_markdown
from footage.writing import Encoding, VideoWriter
from infra.errors import ConfigurationError

FEW = SummarySettings(seeds=3, bootstrap=BootstrapSettings(resamples=50))
FRAMES = 1000


def annotated(name: str, seed: int, people: int = 4) -> AnnotatedVideo:
    """40 shots of 25 frames; people agree by half."""
    random = np.random.default_rng(seed)
    common = random.integers(1, 6, 40)
    own = random.integers(1, 6, (people, 40))
    told = np.where(random.random((people, 40)) < 0.5, common, own)
    return AnnotatedVideo(name, 40.0, np.repeat(told, 25, axis=1).astype(np.float32), None, np.arange(0, 1001, 25))


@pytest.fixture(scope="module")
def data() -> AnnotatedVideos:
    return AnnotatedVideos("made", "TVSum", "mean", tuple(annotated(f"v{seed}", seed) for seed in range(5)))


def value(report: SummaryReport, name: str, metric: str) -> float:
    (found,) = [one.value for one in report.results if (one.name, one.metric) == (name, metric)]
    return found


def test_people_agree_as_scipy_says(data: AnnotatedVideos) -> None:
    report = run_summaries(data, FEW)
    for correlate, metric in ((kendalltau, "kendall_tau"), (spearmanr, "spearman_rho")):
        told = [
            np.mean([correlate(one, other).statistic for one, other in permutations(importance_of(video), 2)])
            for video in data.videos
        ]
        assert value(report, HUMAN, metric) == pytest.approx(np.mean(told), abs=1e-9)
    assert value(report, HUMAN, "f1_mean") < value(report, HUMAN, "f1_max")
    assert value(report, HUMAN, "f1") == value(report, HUMAN, "f1_mean")


def importance_of(video: AnnotatedVideo) -> NDArray[np.float32]:
    assert video.importance is not None
    return video.importance


def test_who_copies_a_person_agrees_with_that_person(data: AnnotatedVideos) -> None:
    alone = replace(data, videos=tuple(only_one_opinion(video) for video in data.videos))
    scores = {video.video_id: {"copy": importance_of(video)[0, ::25].astype(np.float64)} for video in alone.videos}
    report = run_summaries(alone, FEW, scores)
    for name in ("copy", HUMAN):
        for metric in ("f1_mean", "f1_max", "kendall_tau", "spearman_rho"):
            assert value(report, name, metric) == pytest.approx(1.0)
    assert value(report, RANDOM, "f1_max") < 0.6


def only_one_opinion(video: AnnotatedVideo) -> AnnotatedVideo:
    return replace(video, importance=np.tile(importance_of(video)[:1], (3, 1)))


def test_chance_ranks_nothing(data: AnnotatedVideos) -> None:
    report = run_summaries(data, replace(FEW, seeds=40))
    for metric in ("kendall_tau", "spearman_rho"):
        assert abs(value(report, RANDOM, metric)) < 0.01
    # 15 % of the frames against 15 %: they meet in 15 % of them.
    assert value(report, RANDOM, "f1_mean") == pytest.approx(0.15, abs=0.03)
    assert value(report, UNIFORM, "f1_mean") < value(report, HUMAN, "f1_mean")


def test_summe_takes_the_nearest_person_and_summaries_as_they_are(data: AnnotatedVideos) -> None:
    chosen = np.zeros((3, FRAMES), dtype=np.bool_)
    chosen[0, :150] = chosen[1, :150] = chosen[2, 800:950] = True
    video = AnnotatedVideo("jumps", 40.0, None, chosen, even_shots(FRAMES, 25.0))
    shots = len(video.lengths)
    first = np.where(video.shots[:-1] < 150, 2.0, 0.0)
    report = run_summaries(
        AnnotatedVideos("SumMe", "SumMe", "max", (video,)), FEW, {"jumps": {"start": first, "nothing": np.zeros(shots)}}
    )
    # Shots begin at 51, 101, …: of the first 150 frames two shots fit and a third would not.
    assert value(report, "start", "f1") == value(report, "start", "f1_max") == pytest.approx(2 * 101 / (101 + 150))
    assert value(report, "start", "f1_mean") == pytest.approx(2 / 3 * 2 * 101 / (101 + 150))
    assert value(report, "nothing", "f1") == 0
    assert np.isnan(value(report, "nothing", "kendall_tau"))
    assert value(report, HUMAN, "f1") == pytest.approx(2 / 3)
    assert to_json(report)["results"][3]["metric"] == "kendall_tau"


def test_the_same_call_gives_the_same_text(data: AnnotatedVideos) -> None:
    one, other = run_summaries(data, FEW), run_summaries(data, FEW)
    assert to_markdown(one, "afterwatch") == to_markdown(other, "afterwatch")
    assert to_csv(one) == to_csv(other)
    assert details_csv(one).count("\n") == 1 + 3 * len(data.videos)
    told = run_summaries(data, replace(FEW, seed=7))
    assert value(told, RANDOM, "f1") != value(one, RANDOM, "f1")
    assert value(told, HUMAN, "f1") == value(one, HUMAN, "f1")


def test_methods_are_of_every_video(data: AnnotatedVideos) -> None:
    with pytest.raises(ConfigurationError, match="scored for 1 of 5 videos"):
        run_summaries(data, FEW, {"v0": {"a": np.ones(40)}})
    with pytest.raises(ConfigurationError, match="share is between 0 and 1"):
        SummarySettings(share=1.0)


def test_features_tell_memorability_and_change(data: AnnotatedVideos) -> None:
    """In the file's features one shot is like no other; that shot is the one worth most."""
    picks = np.arange(0, FRAMES, 5)
    vectors = np.random.default_rng(0).normal(0, 0.05, (len(picks), 16)).astype(np.float32)
    vectors[:, 0] += 1
    strange = (picks >= 500) & (picks < 525)
    vectors[strange] = np.random.default_rng(1).normal(0, 1, (5, 16))
    video = replace(data.videos[0], features=Features(picks, vectors))
    measured, scores, remarks = score_shots(
        replace(data, videos=(video, data.videos[1])), LookSettings(exclusion_s=2), encoders()
    )
    assert [one.video_id for one in measured.videos] == ["v0"]
    assert list(scores["v0"]) == ["afterwatch", "memorability", "motion"]
    for values in scores["v0"].values():
        assert values.shape == (40,)
        assert abs(int(np.argmax(values)) - 20) <= 1
    assert "anomaly and entropy are not told" in remarks[0] and "1 of 2 videos" in remarks[1]
    report = run_summaries(measured, FEW, scores, remarks)
    assert set(report.methods) == {"afterwatch", "memorability", "motion", HUMAN, RANDOM, UNIFORM}


def test_nothing_of_ours_is_measured_without_videos(data: AnnotatedVideos) -> None:
    measured, scores, remarks = score_shots(data, LookSettings(), encoders())
    assert measured is data and scores == {}
    assert "nothing of ours is measured" in remarks[0]


def test_videos_are_looked_at_as_a_first_day(tmp_path: Path, data: AnnotatedVideos) -> None:
    """Noise that moves in one shot only: every column but entropy points at it."""
    random = np.random.default_rng(0)
    still = cv2.resize(random.integers(60, 160, (12, 16), dtype=np.uint8), (64, 48))
    with VideoWriter(tmp_path / "v0.mp4", Encoding(rate_hz=Fraction(10), crf=18)) as film:
        for frame in range(400):
            picture = still.copy()
            if 200 <= frame < 240:
                left = 4 * (frame % 12)
                picture[8:40, left : left + 16] = 230
            film.write(np.repeat(picture[..., None], 3, axis=2), frame * 100_000)
    told = np.ones((2, 400), np.float32)
    told[:, 200:240] = 5
    video = AnnotatedVideo("v0", 40.0, told, None, np.arange(0, 401, 20), source=tmp_path / "v0.mp4")
    measured, scores, _ = score_shots(
        replace(data, videos=(video,)), LookSettings(rate_hz=5, exclusion_s=3), encoders()
    )
    assert list(scores["v0"]) == ["afterwatch knn-motion", "anomaly knn-motion", "memorability", "entropy", "motion"]
    for name in ("afterwatch knn-motion", "anomaly knn-motion", "motion"):
        assert int(np.argmax(scores["v0"][name])) in (10, 11)
    report = run_summaries(measured, FEW, scores)
    assert value(report, "afterwatch knn-motion", "kendall_tau") > 0.2
    wrong = replace(video, importance=np.ones((2, 380), np.float32), shots=np.arange(0, 381, 20))
    with pytest.raises(ConfigurationError, match="has 400 frames, the annotations of it 380"):
        score_shots(replace(data, videos=(wrong,)), LookSettings(), encoders())


def test_the_published_agreement_of_people_on_tvsum(real_data: Path) -> None:
    """Otani et al. (CVPR 2019), table 2: human .177 and .204, random 0."""
    if not (real_data / "tvsum").is_dir():
        pytest.skip("no TVSum (../shared/data/tvsum) on this machine")
    report = run_summaries(read_annotated(real_data / "tvsum"), replace(FEW, seeds=1))
    assert round(value(report, HUMAN, "kendall_tau"), 3) == 0.177
    assert round(value(report, HUMAN, "spearman_rho"), 3) == 0.204
    assert abs(value(report, RANDOM, "kendall_tau")) < 0.002
    assert abs(value(report, RANDOM, "spearman_rho")) < 0.002
    assert value(report, HUMAN, "f1") > value(report, RANDOM, "f1")
