"""Both UCF-Crime protocols: which snippets are anomalous, which splits leak, who judges a test video."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from afterwatch.__main__ import main
from evaluation.anomaly_tables import to_markdown
from evaluation.bootstrap import BootstrapSettings
from evaluation.datasets.base import LabelledVideo
from evaluation.datasets.ucf_crime import read_ucf_crime
from evaluation.embedding import Looking
from evaluation.heads import BuiltHead, HeadSpec, build_heads
from evaluation.leakage import check_split
from evaluation.novelty import CurveSettings
from evaluation.protocols.ablation import AblationSettings
from evaluation.protocols.anomaly import AnomalySettings
from evaluation.protocols.thesis import BLOCKED, BY_VIDEO, RANDOM, ThesisSettings, splits
from evaluation.protocols.ucf_crime import UcfCrimeReport, UcfCrimeSettings, ablate_ucf_crime, run_ucf_crime
from evaluation.snippets import Snippets, cut_into_snippets
from footage.writing import Encoding, VideoWriter
from infra.errors import ConfigurationError
from models.detectors.local_outlier_factor import LocalOutlierFactorSettings
from models.encoders.build import build
from models.encoders.specs import describe
from tests.evaluation.conftest import pictures

VideoMaker = Callable[..., LabelledVideo]

APPEARANCE = "handcrafted/appearance"
FRAMES = 300
SETTINGS = UcfCrimeSettings(
    AnomalySettings(rate_hz=3.0, bootstrap=BootstrapSettings(resamples=20)),
    ThesisSettings(runs=3, gap_s=1.0, bootstrap=BootstrapSettings(resamples=20)),
)


def film(path: Path, seed: int, span: tuple[int, int], frames: int = FRAMES) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, Encoding(rate_hz=Fraction(30), crf=15)) as video:
        for frame, picture in enumerate(pictures(seed, span, frames)):
            video.write(np.repeat(picture[..., None], 3, axis=2), round(frame * 1e6 / 30))


@pytest.fixture(scope="module")
def crimes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three anomalous videos of 10 s, in each a bright square for 1.3 s, and a normal one; and one shorter than a snippet."""
    folder = tmp_path_factory.mktemp("data") / "crimes"
    lines = []
    for number in range(1, 4):
        first = 80 + 40 * number
        film(folder / f"Arson/Arson{number:03d}_x264.mp4", number, (first, first + 40))
        lines.append(f"Arson{number:03d}_x264.mp4  Arson  {first + 1}  {first + 40}  -1  -1")
    film(folder / "Testing_Normal_Videos_Anomaly/Normal_Videos_004_x264.mp4", 4, (0, 0))
    film(folder / "Arson/Arson005_x264.mp4", 5, (2, 5), frames=9)
    lines += ["Normal_Videos_004_x264.mp4  Normal  -1  -1  -1  -1", "Arson005_x264.mp4  Arson  3  5  -1  -1"]
    (folder / "Temporal_Anomaly_Annotation.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def heads() -> tuple[BuiltHead, ...]:
    return build_heads([HeadSpec("lof", APPEARANCE, LocalOutlierFactorSettings())], Path("absent"))


@pytest.fixture(scope="module")
def snippets(crimes: Path) -> Snippets:
    videos = [video for video in read_ucf_crime(crimes).videos if video.relevant]
    return cut_into_snippets(videos, build(describe(APPEARANCE)), Looking(unit_length=False))


@pytest.fixture(scope="module")
def report(crimes: Path, heads: tuple[BuiltHead, ...]) -> UcfCrimeReport:
    return run_ucf_crime(read_ucf_crime(crimes), heads, SETTINGS)


def test_snippets_lie_end_to_end_and_need_four_anomalous_frames(snippets: Snippets) -> None:
    first = snippets.video == 0
    assert snippets.first[first].tolist() == list(range(0, 288, 16))
    assert snippets.last[first].tolist() == list(range(16, 289, 16))
    # Frames 120 to 159 are anomalous: 8 of the snippet from 112, all of the next two, none of that from 160.
    assert np.flatnonzero(snippets.anomalous[first]).tolist() == [7, 8, 9]
    assert len(snippets.videos) == 4 and (snippets.video != 3).all()  # nine frames are no snippet


@pytest.mark.parametrize(("frames", "anomalous"), [(3, False), (4, True)])
def test_the_fourth_frame_decides(tmp_path: Path, frames: int, anomalous: bool) -> None:
    film(tmp_path / "Arson/Arson001_x264.mp4", 1, (0, 0), frames=32)
    line = f"Arson001_x264.mp4 Arson 21 {20 + frames} -1 -1\n"
    (tmp_path / "Temporal_Anomaly_Annotation.txt").write_text(line, encoding="utf-8")
    found = cut_into_snippets(read_ucf_crime(tmp_path).videos, build(describe(APPEARANCE)), Looking())
    assert found.anomalous.tolist() == [False, anomalous]


def test_a_snippet_encoder_has_its_own_length(crimes: Path) -> None:
    videos = read_ucf_crime(crimes).videos[:1]
    found = cut_into_snippets(videos, build(describe("handcrafted/motion")), Looking(unit_length=False))
    assert found.from_us.tolist() == [0, 2_000_000, 4_000_000, 6_000_000, 8_000_000]
    assert found.anomalous.tolist() == [False, False, True, False, False]  # 4.0 to 5.3 s


@pytest.mark.parametrize("kind", [RANDOM, BLOCKED, BY_VIDEO])
def test_splits_train_on_normal_snippets_alone(snippets: Snippets, kind: str) -> None:
    runs = list(splits(snippets, kind, SETTINGS.thesis))
    assert runs
    for run in runs:
        assert not snippets.anomalous[run.train].any() and not set(run.train) & set(run.test)
        assert 0 < snippets.anomalous[run.test].sum() < len(run.test)
        slices = snippets.slices(run.train), snippets.slices(run.test)
        if kind == RANDOM:
            normal = int((~snippets.anomalous).sum())
            assert len(run.train) == round(0.8 * normal) and len(run.test) == len(snippets) - len(run.train)
            with pytest.raises(ConfigurationError, match="leaks"):
                check_split(*slices, gap_s=1.0)
        else:
            check_split(*slices, gap_s=1.0)
    if kind == BLOCKED:
        tested = np.concatenate([run.test for run in runs])
        assert set(tested) == set(range(len(snippets)))
    if kind == BY_VIDEO:
        for run in runs:
            assert not set(snippets.video[run.train]) & set(snippets.video[run.test])


def test_the_seed_decides_the_random_splits(snippets: Snippets) -> None:
    one, same, other = (
        [run.train.tolist() for run in splits(snippets, RANDOM, ThesisSettings(3, seed))] for seed in (0, 0, 1)
    )
    assert one == same and one != other and one[0] != one[1]


def test_a_leak_is_said_beside_the_number(report: UcfCrimeReport) -> None:
    (found,) = report.thesis.values()
    assert [one.split for one in found] == [RANDOM, BLOCKED, BY_VIDEO]
    assert "slices of one recording" in found[0].leak and not found[1].leak and not found[2].leak
    assert found[0].results[0].name.endswith("thesis random (leaks)") and found[0].results[0].metric == "auc"
    assert found[0].results[0].value > 0.9 and found[0].results[0].n == 3
    text = to_markdown(report, "afterwatch …")
    assert "**leaks**" in text and "passes" in text
    assert "Smoke result, not a benchmark: 5 of 290 test videos and no training videos" in text


def test_every_test_video_is_judged_by_others(report: UcfCrimeReport, crimes: Path) -> None:
    (judged,) = report.sultani
    assert [one.video.video_id for one in judged.videos] == [video.video_id for video in read_ucf_crime(crimes).videos]
    assert len(judged.standards) == 5 and all("without" in name for name in judged.standards)
    assert "no training video" in report.trained_on
    (auc,) = [one.value for one in judged.results if one.metric == "frame_auc" and one.name.endswith("sultani micro")]
    assert auc > 0.9


def test_training_videos_are_used_where_they_are(crimes: Path, heads: tuple[BuiltHead, ...]) -> None:
    added = [crimes / f"Training_Normal_Videos_Anomaly/Normal_Videos{number:03d}_x264.mp4" for number in (6, 7)]
    for number, path in enumerate(added):
        film(path, 20 + number, (0, 0))
    try:
        curves = CurveSettings(most_reference=40)
        settings = UcfCrimeSettings(
            AnomalySettings(3.0, curves=curves, bootstrap=BootstrapSettings(20)), SETTINGS.thesis
        )
        trained = run_ucf_crime(read_ucf_crime(crimes), heads, settings)
    finally:
        for path in added:
            path.unlink()
    assert trained.trained_on == "2 normal training videos" and set(trained.sultani[0].standards) == {"all"}
    assert "training" not in trained.smoke
    assert settings.frames.training_rate_hz(trained.data.train) == pytest.approx(2.0)


def test_ablation_of_both_splits(report: UcfCrimeReport, heads: tuple[BuiltHead, ...]) -> None:
    varied = AblationSettings(("lof",), ("none",), ("none", "gaussian"), (8,), seeds=4)
    outcomes = ablate_ucf_crime(report, heads, varied, lambda _stage, _done, _total: None)
    assert [(one.cell.fit, one.cell.projection, one.auc.n) for one in outcomes] == [
        ("thesis, random", "none", 3),
        ("thesis, random", "gaussian", 4),
        ("thesis, blocked in time", "none", 5),
        ("thesis, blocked in time", "gaussian", 5),
        ("thesis, random, a head for each video", "none", 3),
        ("thesis, blocked in time, a head for each video", "none", 5),
    ]
    assert outcomes[0].auc.mean > 0.8 and outcomes[4].auc.mean > 0.8
    (found,) = report.thesis.values()
    standardised = ablate_ucf_crime(
        report,
        heads,
        AblationSettings(("lof",), ("standardise",), ("none",), seeds=1),
        lambda _stage, _done, _total: None,
    )
    assert standardised[0].auc.mean == pytest.approx(np.mean(found[0].aucs))


def test_the_command(crimes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = [
        "--encoder",
        APPEARANCE,
        "--detector",
        "lof",
        "--resamples",
        "10",
        "--runs",
        "2",
        "--gap",
        "1",
        "--rate",
        "3",
    ]
    with pytest.raises(SystemExit) as left:
        main(["evaluate", "ucf-crime", "--data", str(crimes), *chosen, "--out", str(tmp_path), "--json"])
    assert not left.value.code
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "ucf-crime.json").read_text(encoding="utf-8"))
    assert told["protocol"] == "ucf-crime" and told["smoke"].startswith("smoke result, not a benchmark")
    assert {"auc", "auc_deviation", "frame_auc", "false_events_per_hour"} <= {row["metric"] for row in told["results"]}
    assert (tmp_path / "ucf-crime-roc.png").is_file()


def test_real_videos_go_through(real_data: Path, heads: tuple[BuiltHead, ...]) -> None:
    """The six videos by appearance, seldom looked at: it runs; nothing is claimed of the figures."""
    data = read_ucf_crime(real_data / "ucf_crime")
    settings = UcfCrimeSettings(
        AnomalySettings(1.0, bootstrap=BootstrapSettings(10)), ThesisSettings(2, bootstrap=BootstrapSettings(10))
    )
    found = run_ucf_crime(data, heads, settings)
    assert found.smoke and len(found.sultani[0].videos) == 6
    assert {one.split for parts in found.thesis.values() for one in parts} == {RANDOM, BLOCKED, BY_VIDEO}
