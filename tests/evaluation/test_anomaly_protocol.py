"""Novelty heads on fixed cameras: from pictures to tables, fitted on normal clips alone."""

import csv
import io
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from afterwatch.__main__ import main
from evaluation.ablation_tables import ablation_section
from evaluation.anomaly_figures import curves_figure, roc_figure
from evaluation.anomaly_tables import to_csv, to_json, to_markdown
from evaluation.bootstrap import BootstrapSettings
from evaluation.datasets.ucsd import read_ucsd_split
from evaluation.heads import HEADS, BuiltHead, HeadSpec, build_heads, composed, detectors_to_vary, head_named
from evaluation.leakage import check_official_split
from evaluation.protocols.ablation import AblationSettings, Outcome, ablate_frames
from evaluation.protocols.anomaly import AnomalyReport, AnomalySettings, embed_videos, run_anomaly
from infra.errors import ConfigurationError, UnknownNameError, WeightsError
from models.detectors.magnitude import MagnitudeSettings
from models.detectors.nearest_neighbours import NearestNeighboursSettings
from models.projections.linear import ProjectionSettings
from tests.evaluation.conftest import pictures

SETTINGS = AnomalySettings(rate_hz=5.0, bootstrap=BootstrapSettings(resamples=30))
APPEARANCE = "handcrafted/appearance"
FRAMES = 60


def clip(folder: Path, seed: int, span: tuple[int, int]) -> None:
    folder.mkdir(parents=True)
    for frame, picture in enumerate(pictures(seed, span, FRAMES), 1):
        cv2.imwrite(str(folder / f"{frame:03d}.png"), picture)


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three normal clips of 6 s and three in which a bright square crosses for 2 s, in the layout of UCSD."""
    folder = tmp_path_factory.mktemp("data") / "squares"
    told = {}
    for number in range(1, 4):
        clip(folder / f"Train/Train{number:03d}", number, (0, 0))
        clip(folder / f"Test/Test{number:03d}", 10 + number, (20 + number, 40))
        told[f"Test{number:03d}"] = [21 + number, 40]
    (folder / "labels.json").write_text(json.dumps({"anomalous": told}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def heads() -> tuple[BuiltHead, ...]:
    specs = [
        HeadSpec("knn", APPEARANCE, NearestNeighboursSettings()),
        composed(APPEARANCE, "lof", "none", ProjectionSettings("gaussian", 32, 1), 1),
    ]
    return build_heads(specs, Path("absent"))


@pytest.fixture(scope="module")
def report(squares: Path, heads: tuple[BuiltHead, ...]) -> AnomalyReport:
    data = read_ucsd_split(squares)
    return run_anomaly(data, heads, SETTINGS, embed_videos(data, heads, SETTINGS))


def value(report: AnomalyReport, name: str, metric: str) -> float:
    (found,) = [one.value for one in report.results if (one.name, one.metric) == (name, metric)]
    return found


def test_a_square_is_new(report: AnomalyReport) -> None:
    name = f"knn {APPEARANCE}"
    assert value(report, f"{name} micro", "frame_auc") > 0.95
    assert value(report, f"{name} macro", "frame_auc") > 0.95
    assert value(report, f"{name} micro", "event_recall_50") == 1.0
    assert value(report, f"{name} micro", "false_events_per_hour_at_recall_90") == 0.0


def test_the_test_clips_decide_neither_scale_nor_threshold(
    report: AnomalyReport, squares: Path, heads: tuple[BuiltHead, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "fewer"
    shutil.copytree(squares, folder)
    shutil.rmtree(folder / "Test/Test003")
    data = read_ucsd_split(folder)
    fewer = run_anomaly(data, heads, SETTINGS, embed_videos(data, heads, SETTINGS))
    for one, other in zip(report.heads, fewer.heads, strict=True):
        assert list(one.standards.values()) == list(other.standards.values())
        for before, after in zip(one.videos, other.videos, strict=False):
            assert np.allclose(before.scores, after.scores)


def test_a_shared_picture_is_a_leak(squares: Path, heads: tuple[BuiltHead, ...], tmp_path: Path) -> None:
    folder = tmp_path / "leaking"
    shutil.copytree(squares, folder)
    shutil.copyfile(folder / "Train/Train002/030.png", folder / "Test/Test001/012.png")
    data = read_ucsd_split(folder)
    with pytest.raises(ConfigurationError, match=r"Train002/030\.png is trained on, Test001/012\.png is tested on"):
        check_official_split(data.train, data.videos)
    with pytest.raises(ConfigurationError, match="leaks"):
        run_anomaly(data, heads, SETTINGS, embed_videos(data, heads, SETTINGS))
    shutil.rmtree(folder / "Test/Test001")
    shutil.copytree(folder / "Train/Train002", folder / "Test/Test001")
    data = read_ucsd_split(folder)
    with pytest.raises(ConfigurationError, match="slices of one recording"):
        check_official_split(data.train, data.videos)


def test_damage_is_told_and_bridged(squares: Path, heads: tuple[BuiltHead, ...], tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(squares, folder)
    for frame in (3, 5, 7):
        (folder / f"Test/Test001/{frame:03d}.png").write_bytes(b"no picture")
    for path in (folder / "Test/Test002").iterdir():
        path.write_bytes(path.name.encode())
    data = read_ucsd_split(folder)
    report = run_anomaly(data, heads[:1], SETTINGS, embed_videos(data, heads[:1], SETTINGS))
    first, second, third = report.heads[0].videos
    assert (first.lost, second.lost, third.lost) == (3, 30, 0)
    assert not second.scores.any() and np.isfinite(first.scores).all()
    assert "33 frames that were looked at have no vector" in to_markdown(report, "afterwatch …")


def test_one_training_clip_is_too_few(squares: Path, heads: tuple[BuiltHead, ...], tmp_path: Path) -> None:
    folder = tmp_path / "few"
    shutil.copytree(squares, folder)
    for number in (2, 3):
        shutil.rmtree(folder / f"Train/Train{number:03d}")
    data = read_ucsd_split(folder)
    with pytest.raises(ConfigurationError, match="at least 2"):
        run_anomaly(data, heads, SETTINGS, embed_videos(data, heads, SETTINGS))


def test_cameras_have_heads_of_their_own_unless_pooled(
    squares: Path, heads: tuple[BuiltHead, ...], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        shutil.copytree(squares, tmp_path / name)
    for path in (tmp_path / "two").rglob("*.png"):
        picture = cv2.imread(str(path))
        assert picture is not None
        cv2.imwrite(str(path), 255 - picture)
    data = read_ucsd_split(tmp_path)
    vectors = embed_videos(data, heads[:1], SETTINGS)
    apart = run_anomaly(data, heads[:1], SETTINGS, vectors)
    pooled = run_anomaly(
        data, heads[:1], AnomalySettings(rate_hz=5.0, pooled=True, bootstrap=SETTINGS.bootstrap), vectors
    )
    assert set(apart.heads[0].standards) == {"one", "two"} and len(pooled.heads[0].standards) == 1
    plain = AblationSettings(("knn",), ("standardise",), ("none",), seeds=1)
    outcomes = ablate_frames(apart, vectors, plain)
    assert [one.cell.fit for one in outcomes] == ["per camera", "pooled"]
    for one, report in zip(outcomes, (apart, pooled), strict=True):
        assert one.auc.mean == pytest.approx(value(report, f"knn {APPEARANCE} micro", "frame_auc"))


@pytest.fixture(scope="module")
def outcomes(report: AnomalyReport, squares: Path, heads: tuple[BuiltHead, ...]) -> list[Outcome]:
    vectors = embed_videos(report.data, heads, SETTINGS)
    varied = AblationSettings(("knn", "lof"), ("none", "standardise"), ("none", "pca", "sparse"), (2, 16), seeds=3)
    return ablate_frames(report, vectors, varied)


def test_what_is_varied_is_varied(report: AnomalyReport, outcomes: list[Outcome]) -> None:
    cells = {(one.cell.detector, one.cell.scaling, one.cell.projection, one.cell.dimension): one for one in outcomes}
    assert len(cells) == len(outcomes) == 2 * 2 * (1 + 2 + 2)
    assert cells["knn", "none", "sparse", 16].auc.n == 3 and cells["knn", "none", "pca", 16].auc.n == 1
    whole = cells["knn", "standardise", "none", 768]
    assert whole.auc.mean == pytest.approx(value(report, f"knn {APPEARANCE} micro", "frame_auc"))
    assert -1 <= whole.silhouette.mean <= 1
    text = "\n".join(ablation_section(outcomes))
    assert "768 (all)" in text and f"{cells['lof', 'none', 'sparse', 2].auc.mean:.3f} ± " in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in tables}) == 1


def test_numbers_are_the_same_in_every_form(report: AnomalyReport, outcomes: list[Outcome]) -> None:
    told = json.loads(json.dumps(to_json(report, outcomes), allow_nan=False))
    assert told["protocol"] == "anomaly" and told["data"] == "squares"
    assert all(set(row) == {"name", "metric", "value", "low", "high", "n"} for row in told["results"])
    wanted = {"frame_auc", "frame_ap", "accuracy", "f1", "event_recall_50", "event_recall_90", "event_precision_70"}
    wanted |= {"false_events_per_hour", "false_events_per_hour_at_recall_80", "anomalous_share", "silhouette"}
    assert wanted <= {row["metric"] for row in told["results"]}
    rows = list(csv.DictReader(io.StringIO(to_csv(report, outcomes))))
    assert len(rows) == len(told["results"])
    for row, one in zip(rows, told["results"], strict=True):
        assert (row["name"], row["metric"]) == (one["name"], one["metric"])
        assert row["value"] == ("" if one["value"] is None else f"{one['value']:.6f}")
    text = to_markdown(report, "afterwatch evaluate ucsd --data squares", outcomes)
    assert "afterwatch evaluate ucsd --data squares" in text
    assert f"| knn | {value(report, f'knn {APPEARANCE} micro', 'frame_auc'):.3f} [" in text


def test_figures_are_the_same_from_the_same_scores(report: AnomalyReport) -> None:
    assert roc_figure(report.heads) == roc_figure(report.heads)
    assert roc_figure(report.heads) != roc_figure(report.heads[:1])
    assert curves_figure(report.heads[0]) != curves_figure(report.heads[1])
    assert curves_figure(report.heads[0]).startswith(b"\x89PNG")


def test_detectors_of_heads_are_varied(heads: tuple[BuiltHead, ...]) -> None:
    assert detectors_to_vary([*heads, heads[0]]) == ("knn", "lof")
    length = HeadSpec("length", APPEARANCE, MagnitudeSettings())
    with pytest.raises(ConfigurationError, match="knn-motion"):
        detectors_to_vary(build_heads([length], Path("absent")))


def test_heads_by_name() -> None:
    assert {"knn-motion", "lof-motion", "forest-motion", "svm-motion", "hasan", "chong-tay", "istl"} <= set(HEADS)
    with pytest.raises(UnknownNameError, match="forest-motion"):
        head_named("forest-moton")
    with pytest.raises(UnknownNameError, match="one_class_svm"):
        composed(APPEARANCE, "svm", "none", ProjectionSettings(), 0)
    with pytest.raises(ConfigurationError, match="different names"):
        build_heads([head_named("knn-motion")] * 2, Path("absent"))
    with pytest.raises(WeightsError, match="no weights file"):
        build_heads([head_named("hasan")], Path("absent"), ["missing.safetensors"])
    with pytest.raises(ConfigurationError, match="say whose"):
        build_heads([head_named("hasan"), head_named("istl")], Path("absent"), ["a.safetensors"])
    with pytest.raises(UnknownNameError, match="hasan"):
        build_heads([head_named("hasan"), head_named("knn-motion")], Path("absent"), ["knn-motion=a.safetensors"])


def test_an_autoencoder_comes_by_its_file(squares: Path, tmp_path: Path) -> None:
    """Untrained, but scored, and known by what its file says of it."""
    from models.autoencoders.build import build_autoencoder
    from models.autoencoders.checkpoint import copied
    from models.autoencoders.settings import HasanSettings
    from models.autoencoders.training import Trained

    shape = HasanSettings(width=0.05, size_px=48)
    file = tmp_path / "hasan.safetensors"
    file.write_bytes(Trained(shape, copied(build_autoencoder(shape)), (), 0).to_bytes())
    (head,) = build_heads([head_named("hasan")], Path("absent"), [str(file)])
    assert head.encoder.spec.input_size == (48, 48) and head.name.startswith("hasan autoencoder/hasan/")
    settings = AnomalySettings(rate_hz=1.0, bootstrap=BootstrapSettings(resamples=2))
    data = read_ucsd_split(squares)
    report = run_anomaly(data, [head], settings, embed_videos(data, [head], settings))
    assert 0 <= value(report, f"{head.name} micro", "frame_auc") <= 1
    with pytest.raises(WeightsError, match="is of hasan, the head istl takes one of istl"):
        build_heads([head_named("istl")], Path("absent"), [f"istl={file}"])


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["evaluate", *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_the_command_writes_what_it_prints(squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ("--encoder", APPEARANCE, "--detector", "knn", "--rate", 5, "--resamples", 20, "--mask", "0,0,0.1,0.1")
    common = ("ucsd", "--data", squares, *chosen, "--cache", tmp_path / "cache")
    code, out, _ = call(capsys, *common, "--out", tmp_path / "out", "--name", "squares", "--json")
    assert code == 0
    told: dict[str, Any] = json.loads(out)
    assert told == json.loads((tmp_path / "out/squares.json").read_text(encoding="utf-8"))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"squares{end}" for end in (".md", ".csv", ".json", "-roc.png", "-knn-standardise.png")}
    text = (tmp_path / "out/squares.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((.+?)\)", text)) == {"squares-roc.png", "squares-knn-standardise.png"}
    (command,) = [line for line in text.splitlines() if line.startswith("afterwatch evaluate")]
    assert "--mask 0,0,0.1,0.1" in command and "--cache" not in command and "--seed" not in command
    code, _, _ = call(capsys, *shlex.split(command)[2:], "--cache", tmp_path / "cache", "--json")
    assert code == 0 and text == (tmp_path / "out/squares.md").read_text(encoding="utf-8")
    code, out, err = call(capsys, *common)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert code == 0 and "embed" in err and [line for line in out.splitlines() if line.startswith("|")] == tables


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--head", "nothing"), "knn-motion"),
        (("--detector", "nothing"), "isolation_forest"),
        (("--head", "istl"), "istl"),
        (("--mask", "1,2"), "x,y,width,height"),
        (("--smooth", "-1"), "at least 0"),
        (("--rate", "0"), "above 0"),
        (("--resamples", "0"), "at least 1"),
    ],
)
def test_a_wrong_call_says_why(
    squares: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], reason: str
) -> None:
    code, out, _ = call(capsys, "ucsd", "--data", squares, *arguments, "--json")
    assert code == 2 and reason in json.loads(out)["error"]


def test_avenue_goes_the_same_way(squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part, name in (("Train", "training"), ("Test", "testing")):
        for number in (1, 2):
            source, target = squares / part / f"{part}{number:03d}", tmp_path / name / "frames" / f"{number:02d}"
            shutil.copytree(source, target)
    told = {"01": [22, 40], "02": [23, 40]}
    (tmp_path / "labels.json").write_text(json.dumps({"anomalous": told}), encoding="utf-8")
    chosen = ("--encoder", APPEARANCE, "--rate", 10, "--resamples", 10)
    code, out, _ = call(capsys, "avenue", "--data", tmp_path, *chosen, "--json")
    assert code == 0
    (auc,) = [r["value"] for r in json.loads(out)["results"] if r["metric"] == "frame_auc" and "micro" in r["name"]]
    assert auc > 0.9


def test_real_clips_are_told_apart(real_data: Path) -> None:
    """UCSD Ped2 at 2 Hz by appearance: quick, and far from chance."""
    data = read_ucsd_split(real_data / "UCSDped2")
    settings = AnomalySettings(rate_hz=2.0, bootstrap=BootstrapSettings(resamples=20))
    heads = build_heads([HeadSpec("knn", APPEARANCE, NearestNeighboursSettings())], Path("absent"))
    report = run_anomaly(data, heads, settings, embed_videos(data, heads, settings))
    assert value(report, f"knn {APPEARANCE} micro", "frame_auc") > 0.6
