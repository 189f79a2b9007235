"""Segment models: means over seeds, the same parts for every loss, data of two kinds alike, figures and tables."""

import csv
import io
import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from evaluation.datasets.base import LabelledData, LabelledVideo, content_of
from evaluation.datasets.ucsd import read_ucsd_split
from evaluation.protocols import segment_models
from evaluation.protocols.segment_models import (
    METRICS,
    SegmentData,
    SegmentReport,
    SegmentSettings,
    labelled_segment_data,
    run_segment_models,
)
from evaluation.segment_figures import figures_of, segments_figure, spread_evenly
from evaluation.segment_tables import COLUMNS, loss_words, scores_to_csv, to_csv, to_json, to_markdown
from footage.probe import probe
from infra.errors import ConfigurationError
from models.heads.classifier import ClassifierSettings
from models.losses import LOSSES
from tests.footage.films import Film
from tests.workspace.looking import frame_means, snippet_means
from tests.workspace.made_clips import put_clip
from workspace.segment_parts import PARTS, Parts
from workspace.segment_sets import read_segment_videos

QUICK = ClassifierSettings(hidden=(), learning_rate=0.05, epochs=3, batch_size=16, members=1, class_weights="none")
SETTINGS = SegmentSettings((LOSSES["mil"], LOSSES["bce"]), seeds=2, head=QUICK)
VIDEOS = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of 2.4 s, each with its annotation in `annotations.json`; treat it as read only."""
    folder = tmp_path_factory.mktemp("street")
    for seed in range(VIDEOS):
        put_clip(folder / f"{seed}.mp4", seed, Film(count=60, height=32, width=48))
    told = {f"{n}.mp4": [{"start": 0.8, "end": 2.4}] if n % 2 else [] for n in range(VIDEOS)}
    (folder / "annotations.json").write_text(json.dumps(told))
    return folder


@pytest.fixture(scope="module")
def data(folder: Path) -> SegmentData:
    return SegmentData("street", read_segment_videos(folder, folder / "annotations.json"))


@pytest.fixture(scope="module")
def report(data: SegmentData) -> SegmentReport:
    frames, snippets = frame_means(), snippet_means()
    return run_segment_models(data, [[snippets], [snippets, frames]], SETTINGS)


def test_every_loss_has_the_same_parts_and_every_seed_others(report: SegmentReport) -> None:
    assert [(one.encoders, one.loss.kind) for one in report.models] == [
        ("means/snippet", "mil"),
        ("means/snippet", "bce"),
        ("means/snippet+means/frame", "mil"),
        ("means/snippet+means/frame", "bce"),
    ]
    parts = [[run.parts for run in one.runs] for one in report.models]
    assert all(one == parts[0] for one in parts)
    assert parts[0][0] != parts[0][1]
    for one in report.models:
        for run in one.runs:
            rows = [one.rows(run, part) for part in PARTS]
            assert np.sum(rows, axis=0).tolist() == [1] * len(one.segments.samples)
            sources = [
                {one.segments.videos.videos[number].source for number in one.segments.samples.video[held].tolist()}
                for held in rows
            ]
            assert not sources[0] & sources[1] and not sources[0] & sources[2] and not sources[1] & sources[2]


def test_results_are_means_and_deviations_over_seeds(report: SegmentReport) -> None:
    for one in report.models:
        for part in PARTS:
            for metric in METRICS:
                values = np.array([getattr(run.measured.metrics[part], metric) for run in one.runs], dtype=np.float64)
                known = values[~np.isnan(values)]
                found, spread = one.result(metric, part), one.result(f"{metric}_deviation", part)
                assert found.n == len(known)
                if len(known):
                    assert found.value == pytest.approx(known.mean())
                    assert math.isnan(spread.value) == (len(known) < 2)
                if len(known) > 1:
                    assert spread.value == pytest.approx(known.std(ddof=1))
    bce = next(one for one in report.models if one.loss.kind == "bce")
    assert bce.result("loss", "test").value == pytest.approx(bce.result("bce", "test").value, rel=1e-5)


def test_the_same_call_gives_the_same_numbers_and_pictures(data: SegmentData, report: SegmentReport) -> None:
    frames, snippets = frame_means(), snippet_means()
    again = run_segment_models(data, [[snippets], [snippets, frames]], SETTINGS)
    assert to_json(again) == to_json(report) and scores_to_csv(again) == scores_to_csv(report)
    first, second = (replace(held, models=held.models[:2]) for held in (report, again))
    drawn = figures_of(first, stills=True)
    assert [one.ending for one in drawn] == ["epochs", "confusion", "roc", "segments"]
    for one, other in zip(drawn, figures_of(second, stills=True), strict=True):
        assert one.png == other.png and one.png.startswith(b"\x89PNG"), one.ending


def test_tables_hold_every_loss_side_by_side(report: SegmentReport) -> None:
    page = to_markdown(report, "afterwatch evaluate segments", {"ROC": "segments-roc.png"})
    assert page.startswith("# Segment models on street\n") and "![ROC](segments-roc.png)" in page
    rows = [line for line in page.splitlines() if line.startswith("| `means")]
    compared = rows[4 * len(PARTS) :]
    assert all(line.count("|") == len(COLUMNS) + 3 for line in rows[: 4 * len(PARTS)])
    mil, bce = report.models[:2]
    gained = [
        one.measured.metrics["test"].accuracy - other.measured.metrics["test"].accuracy
        for one, other in zip(mil.runs, bce.runs, strict=True)
    ]
    assert len(compared) == 2 and f"| mil | {np.mean(gained):+.3f} ± {np.std(gained, ddof=1):.3f} |" in compared[0]
    assert f"- `mil`: {loss_words(LOSSES['mil'])}." in page
    assert "BCE + 1 · MIL ranking hinge + 8e-05 · smoothness + 8e-05 · sparsity" in page
    assert "Balanced accuracy is what S3 calls AUC" in page
    told = to_json(report)
    assert {result["metric"].removesuffix("_deviation") for result in told["results"]} == set(METRICS)
    assert told["results"][0]["name"] == "segments means/snippet mil train"
    table = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert [(row["encoders"], row["trained_on"], row["part"]) for row in table[:3]] == [
        ("means/snippet", "mil", part) for part in PARTS
    ]
    scores = list(csv.DictReader(io.StringIO(scores_to_csv(report))))
    assert len(scores) == sum(len(one.segments.samples) * len(one.runs) for one in report.models)
    assert {row["part"] for row in scores} == set(PARTS)


def test_footage_is_shown_only_where_it_is_asked_for(report: SegmentReport) -> None:
    small = replace(report, models=report.models[:2])
    assert [one.ending for one in figures_of(small, stills=False)] == ["epochs", "confusion", "roc"]


def test_segments_are_shown_from_the_whole_ranking() -> None:
    scores = np.array([0.5, 0.9, 0.1, 0.9, 0.3])
    assert spread_evenly(np.arange(5), scores, 5).tolist() == [1, 3, 0, 4, 2]
    assert spread_evenly(np.arange(5), scores, 2).tolist() == [1, 2]
    assert spread_evenly(np.array([4, 2]), scores, 5).tolist() == [4, 2]
    assert spread_evenly(np.array([], np.int64), scores, 5).tolist() == []


def test_parts_may_be_said(data: SegmentData) -> None:
    names = [video.name for video in data.videos.videos]
    parts: Parts = {name: "train" if place < 4 else "test" for place, name in enumerate(names)}
    told = run_segment_models(data, [[snippet_means()]], SETTINGS, parts=parts)
    assert told.split == "as a file says"
    (one, _) = told.models
    assert all(run.parts == parts for run in one.runs)
    assert math.isnan(one.result("accuracy", "validation").value) and one.result("accuracy", "validation").n == 0
    assert "–" in to_markdown(told, "…")
    assert len(figures_of(told, stills=True)) == 4


def test_what_cannot_be_parted_is_refused_before_anything_is_embedded(
    data: SegmentData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def embed(*_: object, **__: object) -> None:
        raise AssertionError("a video was embedded")

    monkeypatch.setattr(segment_models, "clip_rows", embed)
    few = SegmentData("few", data.videos.numbered(["0.mp4", "1.mp4", "2.mp4", "3.mp4"]))
    with pytest.raises(ConfigurationError, match=r"videos are in the test part and none of them shows an anomaly"):
        run_segment_models(few, [[snippet_means()]], SETTINGS)
    for settings in ({"seeds": 0}, {"losses": ()}, {"losses": (LOSSES["mil"], LOSSES["mil"])}):
        with pytest.raises(ConfigurationError, match="at least"):
            SegmentSettings(**settings)


def test_labelled_data_and_files_give_the_same_segments(folder: Path, data: SegmentData) -> None:
    videos = []
    for number in range(VIDEOS):
        path = folder / f"{number}.mp4"
        videos.append(
            LabelledVideo(
                path.name,
                "c",
                "x",
                "",
                path.name,
                path,
                content_of(path),
                probe(path).index,
                ((20, 60),) if number % 2 else (),
                None,
                0,
            )
        )
    labelled = labelled_segment_data(LabelledData("street", "files", "", tuple(videos), {"x": ()}), ("a note",))
    frames, snippets = frame_means(), snippet_means()
    settings = SegmentSettings((LOSSES["bce"],), seeds=1, head=QUICK, stride_s=0.4)
    for combination in ([snippets], [frames], [snippets, frames]):
        one, other = (run_segment_models(held, [combination], settings).models[0].segments for held in (labelled, data))
        assert one.from_us.tolist() == other.from_us.tolist() and one.to_us.tolist() == other.to_us.tolist()
        assert one.samples.positive.tolist() == other.samples.positive.tolist()
        assert one.samples.follows.tolist() == other.samples.follows.tolist()
        np.testing.assert_array_equal(one.samples.vectors, other.samples.vectors)


def test_ucsds_clips_are_folders_of_pictures(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for part, count in (("Test", 6), ("Train", 3)):
        for number in range(1, count + 1):
            clip = tmp_path / part / f"{part}{number:03d}"
            clip.mkdir(parents=True)
            for frame in range(1, 33):
                cv2.imwrite(str(clip / f"{frame:03d}.tif"), random.integers(0, 255, (24, 36), dtype=np.uint8))
    spans = {f"Test{number:03d}": [9, 32] for number in range(1, 7)}
    (tmp_path / "labels.json").write_text(json.dumps({"anomalous": spans}))
    held = labelled_segment_data(read_ucsd_split(tmp_path), ("parted anew",))
    assert len(held.videos) == 9 and int(held.videos.anomalous.sum()) == 6
    assert held.videos.spans_us[0].tolist() == [[800_000, 3_200_000]]
    assert held.videos.videos[0].index.time_base == Fraction(1, 10)
    told = run_segment_models(held, [[snippet_means()]], SETTINGS)
    one = told.models[0]
    assert one.segments.samples.positive[:4].tolist() == [False, True, True, True]
    assert segments_figure(one).startswith(b"\x89PNG")
    assert "- parted anew" in to_markdown(told, "…")
