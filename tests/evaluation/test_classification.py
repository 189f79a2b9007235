"""Measuring classifiers: metrics as scikit-learn has them, thresholds chosen inside the training part, splits without leaks."""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as reference

from evaluation.bootstrap import BootstrapSettings
from evaluation.classification_figures import curves_figure
from evaluation.classification_metrics import CHOSEN, FIXED, SeedScores, result_name, results_of
from evaluation.classification_tables import scores_to_csv, to_csv, to_json, to_markdown
from evaluation.protocols import classification
from evaluation.protocols.classification import (
    ClassificationReport,
    ClassificationSettings,
    run_classification,
)
from evaluation.results import Result
from footage.index import FrameIndex
from infra.errors import ConfigurationError
from models.encoders.base import Encoder
from models.heads.classifier import ClassifierSettings
from models.heads.classifier_samples import ClassifierSamples
from models.sweep import choose_inside, sweep
from models.windows import Rows
from tests.workspace.looking import frame_means, snippet_means
from workspace.clip_rows import ClipRows
from workspace.clip_sets.base import ClipSet, LabelledClip, Split

QUICK = ClassifierSettings(hidden=(), dropout=0.0, learning_rate=0.3, epochs=3, batch_size=64, patience=None)
FEW = BootstrapSettings(resamples=50)
METRICS = ("accuracy", "precision", "recall", "f1", "f2")


def samples_of(targets: NDArray[np.bool_], sources: list[str], classes: tuple[str, ...]) -> ClassifierSamples:
    names = tuple(f"{number}.mp4" for number in range(len(targets)))
    numbers = np.arange(len(targets), dtype=np.int64)
    return ClassifierSamples(
        classes, numbers[:, None].astype(np.float32), numbers, targets, tuple(sources), names, names
    )


def seed_scores(scores: NDArray[np.float32], fold: list[int], thresholds: list[list[float]]) -> SeedScores:
    return SeedScores(scores, np.array(fold), np.array(thresholds), tuple(5 for _ in thresholds))


def by_name(results: list[Result]) -> dict[tuple[str, str], Result]:
    return {(one.name.removeprefix("classifier net "), one.metric): one for one in results}


# --- numbers -----------------------------------------------------------------------------------------------------------


def expected(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> dict[str, float]:
    return {
        "accuracy": reference.accuracy_score(truth, predicted),
        "precision": reference.precision_score(truth, predicted),
        "recall": reference.recall_score(truth, predicted),
        "f1": reference.f1_score(truth, predicted),
        "f2": reference.fbeta_score(truth, predicted, beta=2),
    }


def test_metrics_are_those_of_scikit_learn_averaged_over_seeds() -> None:
    random = np.random.default_rng(3)
    truth = random.random(60) < 0.4
    runs = []
    for _ in range(3):
        scores = np.clip(random.normal(0.4 + 0.2 * truth, 0.2), 0, 1).astype(np.float32).round(2)
        runs.append(seed_scores(scores[:, None], random.integers(0, 2, 60).tolist(), [[0.3], [0.45]]))
    labels = ["fight" if shown else "calm" for shown in truth]
    samples = samples_of(truth[:, None], [f"s{number}" for number in range(60)], ("fight",))
    found = by_name(results_of("net", samples, labels, runs, FEW))
    for at in (FIXED, CHOSEN):
        limits = [np.full(60, 0.5) if at == FIXED else run.thresholds[run.fold, 0] for run in runs]
        told = [expected(truth, run.scores[:, 0] > limit) for run, limit in zip(runs, limits, strict=True)]
        for metric in METRICS:
            values = [one[metric] for one in told]
            ours, spread = found[f"fight {at}", metric], found[f"fight {at}", f"{metric}_deviation"]
            assert ours.value == pytest.approx(np.mean(values))
            assert spread.value == pytest.approx(np.std(values, ddof=1))
            assert ours.low <= ours.value <= ours.high and (ours.n, spread.n) == (60, 3)
    areas = [reference.roc_auc_score(truth, run.scores[:, 0]) for run in runs]
    assert found["fight", "auc"].value == pytest.approx(np.mean(areas))
    precisions = [reference.average_precision_score(truth, run.scores[:, 0]) for run in runs]
    assert found["fight", "average_precision"].value == pytest.approx(np.mean(precisions))
    assert found["fight", "auc_deviation"].value == pytest.approx(np.std(areas, ddof=1))


def test_what_is_undefined_is_not_a_number() -> None:
    truth = np.array([[True], [True], [False], [False]])
    runs = [seed_scores(np.full((4, 1), 0.1, np.float32), [0] * 4, [[0.05]])]
    found = by_name(results_of("net", samples_of(truth, list("abcd"), ("x",)), ["x", "x", "n", "n"], runs, FEW))
    assert math.isnan(found["x at 0.5", "precision"].value)
    assert found["x at 0.5", "recall"].value == 0
    assert found["x at F2 threshold", "precision"].value == 0.5
    assert found["x at F2 threshold", "f2"].value == pytest.approx(10 / 12)
    assert math.isnan(found["x", "auc_deviation"].value)


def test_intervals_draw_whole_sources() -> None:
    # Ten clips of one source stand and fall together: the interval is that of four sources, not of 22 clips.
    truth = np.array([True] * 10 + [True] + [False] * 10 + [False])
    scores = np.array([0.9] * 10 + [0.1] + [0.1] * 10 + [0.9], np.float32)
    sources = ["a"] * 10 + ["b"] + ["c"] * 10 + ["d"]
    labels = ["x" if shown else "n" for shown in truth]
    runs = [seed_scores(scores[:, None], [0] * 22, [[0.5]])]
    found = by_name(results_of("net", samples_of(truth[:, None], sources, ("x",)), labels, runs, FEW))
    told = found["x at 0.5", "recall"]
    assert told.value == pytest.approx(10 / 11)
    assert (told.low, told.high) == (0.0, 1.0)


def test_several_classes_have_a_mean_and_an_answer() -> None:
    truth = np.eye(3, dtype=np.bool_)[[0, 0, 1, 1, 2, 2]]
    scores = np.array(
        [[0.9, 0.1, 0.2], [0.4, 0.3, 0.1], [0.2, 0.8, 0.1], [0.6, 0.55, 0.1], [0.1, 0.2, 0.3], [0.3, 0.6, 0.2]],
        np.float32,
    )
    runs = [seed_scores(scores, [0] * 6, [[0.35, 0.5, 0.15]])]
    labels = ["a", "a", "ab", "ab", "c", "c"]
    found = by_name(results_of("net", samples_of(truth, list("uvwxyz"), ("a", "ab", "c")), labels, runs, FEW))
    assert found["top-1", "accuracy"].value == pytest.approx(4 / 6)
    each = [found[f"{name} at F2 threshold", "recall"].value for name in ("a", "ab", "c")]
    assert each == [1.0, 1.0, 1.0]
    assert found["ab at F2 threshold", "precision"].value == pytest.approx(2 / 3)
    assert found["macro at 0.5", "recall"].value == pytest.approx(np.mean([0.5, 1.0, 0.0]))
    areas = [reference.roc_auc_score(truth[:, k], scores[:, k]) for k in range(3)]
    assert found["macro", "auc"].value == pytest.approx(np.mean(areas))
    # Where some clips are of no class, there is no class that every clip is of.
    nothing = truth.copy()
    nothing[5] = False
    found = by_name(
        results_of("net", samples_of(nothing, list("uvwxyz"), ("a", "ab", "c")), [*labels[:5], "n"], runs, FEW)
    )
    assert ("top-1", "accuracy") not in found


# --- the protocol ------------------------------------------------------------------------------------------------------


def index() -> FrameIndex:
    return FrameIndex(np.arange(20), np.ones(20, np.bool_), Fraction(1, 10))


def clip(label: str, number: int, source: str | None = None, split: Split | None = None) -> LabelledClip:
    name = f"{label}/{number}.mp4"
    return LabelledClip(name, Path(name), label, source or name, f"{label}{number}", index(), split)


def made_set(clips: list[LabelledClip], normal: str | None = "calm") -> ClipSet:
    return ClipSet(tuple(clips), tuple(sorted({one.label for one in clips})), normal, "folders")


def two_classes(count: int = 12, **other: Any) -> ClipSet:
    return made_set([clip(label, number, **other) for label in ("calm", "fight") for number in range(count)])


@pytest.fixture(scope="module")
def rows() -> Iterator[list[list[str]]]:
    """Instead of decoding: vectors whose first value tells the classes apart, a little; the spaces that were asked for."""
    asked: list[list[str]] = []

    def made(clip_set: ClipSet, encoders: list[Encoder], **_: Any) -> ClipRows:
        asked.append([encoder.spec.name for encoder in encoders])
        told = []
        for number, one in enumerate(clip_set.clips):
            value = np.random.default_rng(number).normal(size=(2, 3)).astype(np.float32)
            value[:, 0] += 4.0 if one.label == "fight" else 0
            begins = np.array([0, 1_000_000])
            told.append({encoder.spec.space: Rows(begins, begins + 1_000_000, value) for encoder in encoders})
        return ClipRows(clip_set, tuple(told), 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classification, "clip_rows", made)
        yield asked


def report_of(clip_set: ClipSet, encoders: Sequence[Sequence[Encoder]] = (), **changes: Any) -> ClassificationReport:
    settings = ClassificationSettings(folds=3, seeds=2, head=QUICK, bootstrap=FEW)
    settings = dataclasses.replace(settings, **changes)
    return run_classification("made", clip_set, encoders or [[snippet_means("net/snippet")]], settings)


@pytest.fixture(scope="module")
def report(rows: list[list[str]]) -> ClassificationReport:
    """Two classes, two encoders and both side by side."""
    snippet, frame = snippet_means("net/snippet"), frame_means("net/frame")
    rows.clear()
    return report_of(two_classes(), [[snippet], [frame], [snippet, frame]])


def test_every_combination_is_measured_on_one_decode_pass(rows: list[list[str]], report: ClassificationReport) -> None:
    assert rows == [["net/snippet", "net/frame"]]
    assert [one.name for one in report.encoders] == ["net/snippet", "net/frame", "net/snippet+net/frame"]
    assert [one.windows.vectors.shape[1] for one in report.encoders] == [3, 9, 12]
    assert report.classes == ("fight",)
    for one in report.encoders:
        assert one.result("auc", "fight").value > 0.7
        assert [len(run.scores) for run in one.runs] == [24, 24]
        assert not np.array_equal(one.runs[0].fold, one.runs[1].fold)


def test_the_same_call_gives_the_same_numbers(rows: list[list[str]]) -> None:
    one, other = report_of(two_classes()), report_of(two_classes())
    assert to_json(one) == to_json(other)
    assert scores_to_csv(one) == scores_to_csv(other)


def test_thresholds_are_chosen_without_the_clips_held_out(
    rows: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a fold's threshold is chosen on are its training clips, scored where they were not seen either."""
    plain = report_of(two_classes(), seeds=1).encoders[0].runs[0]
    told: list[tuple[Any, ...]] = []

    def watched(*arguments: Any) -> Any:
        told.append(arguments)
        return choose_inside(*arguments)

    monkeypatch.setattr(classification, "choose_inside", watched)
    again = report_of(two_classes(), seeds=1).encoders[0].runs[0]
    ((_, scores, fold, inner, _),) = told
    for number in range(3):
        held = fold == number
        assert np.isnan(inner[number, held]).all()  # there is no score of a clip held out among them
        assert np.isfinite(inner[number, ~held]).all()
        # What they score there is not what they score when they are held out themselves.
        assert not np.array_equal(inner[number, ~held], scores[~held])
        assert (
            again.thresholds[number, 0]
            == sweep(two_classes().targets(["fight"])[~held, 0], inner[number, ~held]).choose()
        )
    np.testing.assert_array_equal(again.thresholds, plain.thresholds)


def test_clips_of_a_source_are_held_out_together(rows: list[list[str]]) -> None:
    clips = [clip(label, number, source=f"video {number // 3}") for label in ("calm", "fight") for number in range(15)]
    for run in report_of(made_set(clips)).encoders[0].runs:
        folds: dict[str, set[int]] = {}
        for one, fold in zip(clips, run.fold.tolist(), strict=True):
            folds.setdefault(one.source, set()).add(fold)
        assert all(len(held) == 1 for held in folds.values())


def test_the_official_split_is_kept(rows: list[list[str]]) -> None:
    sides: dict[int, Split] = {number: "train" if number < 9 else "test" for number in range(12)}
    clips = [clip(label, number, split=sides[number]) for label in ("calm", "fight") for number in range(12)]
    report = report_of(made_set(clips), folds=None)
    one = report.encoders[0]
    assert [clips[number].split for number in one.tested.tolist()] == ["test"] * 6
    assert one.result("auc", "fight").n == 6
    assert one.runs[0].scores.shape == (6, 1) and one.runs[0].thresholds.shape == (1, 1)
    assert to_json(report)["split"] == "the official one, 18 clips to train and 6 to test"
    with pytest.raises(ConfigurationError, match="no official split"):
        report_of(two_classes(), folds=None)


def test_an_official_split_that_leaks_is_refused(rows: list[list[str]]) -> None:
    clips = [
        clip(label, number, source=f"video {number % 6}", split="train" if number < 9 else "test")
        for label in ("calm", "fight")
        for number in range(12)
    ]
    with pytest.raises(ConfigurationError, match="the split leaks"):
        report_of(made_set(clips), folds=None)


def test_alarm_classes_are_chosen_and_the_rest_is_normal(rows: list[list[str]]) -> None:
    clips = [clip(label, number) for label in ("calm", "fall", "fight") for number in range(6)]
    assert report_of(made_set(clips), alarm=("fight",), seeds=1).classes == ("fight",)
    assert report_of(made_set(clips), seeds=1).classes == ("fall", "fight")
    assert report_of(made_set(clips, normal=None), seeds=1).classes == ("calm", "fall", "fight")


def test_too_few_sources_are_refused(rows: list[list[str]]) -> None:
    with pytest.raises(ConfigurationError, match="too few source videos"):
        report_of(two_classes(2))
    with pytest.raises(ConfigurationError, match="seeds are at least 1"):
        ClassificationSettings(seeds=0)


# --- what is told ------------------------------------------------------------------------------------------------------


def test_the_json_form(report: ClassificationReport) -> None:
    told = json.loads(json.dumps(to_json(report)))
    assert (told["protocol"], told["data"], told["normal"], told["clips"]) == (
        "classifier",
        "made",
        "calm",
        {"calm": 12, "fight": 12},
    )
    assert (told["seeds"], told["head"]["epochs"], told["head"]["hidden"]) == ([0, 1], 3, [])
    assert told["inputs"]["net/snippet+net/frame"]["inputs"][1]["pooling"] == "moments"
    names = {(one["name"], one["metric"]) for one in told["results"]}
    for encoders in ("net/snippet", "net/frame", "net/snippet+net/frame"):
        assert (f"classifier {encoders} fight", "auc") in names
        for at in ("at 0.5", "at F2 threshold"):
            for metric in METRICS:
                assert {
                    (result_name(encoders, f"fight {at}"), metric),
                    (result_name(encoders, f"fight {at}"), f"{metric}_deviation"),
                } <= names
    assert all(set(one) == {"name", "metric", "value", "low", "high", "n"} for one in told["results"])


def test_the_tables(report: ClassificationReport) -> None:
    text = to_markdown(report, "afterwatch evaluate classifier --data made")
    result = report.encoders[2].result("f2", "fight at F2 threshold")
    assert f"{result.value:.3f} ± " in text and f"[{result.low:.3f}, {result.high:.3f}]" in text
    for words in (
        "At 0.5:",
        "At F2 threshold:",
        "`calm` is normal",
        "50.0 % of the clips",
        "3 folds over source videos",
    ):
        assert words in text
    read = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert len(read) == sum(len(one.results) for one in report.encoders)
    assert float(read[0]["value"]) == pytest.approx(report.encoders[0].results[0].value, abs=1e-6)


def test_each_clip_s_probabilities_are_told(report: ClassificationReport) -> None:
    read = list(csv.DictReader(io.StringIO(scores_to_csv(report))))
    assert len(read) == 3 * 2 * 24
    run = report.encoders[0].runs[1]
    mine = [row for row in read if (row["encoder"], row["seed"]) == ("net/snippet", "1")]
    assert [row["clip"] for row in mine] == [one.name for one in report.clip_set.clips]
    np.testing.assert_allclose([float(row["probability fight"]) for row in mine], run.scores[:, 0], atol=1e-6)
    assert [int(row["fold"]) for row in mine] == run.fold.tolist()
    np.testing.assert_allclose([float(row["threshold fight"]) for row in mine], run.thresholds[run.fold, 0], atol=1e-6)


def test_the_curves_are_the_same_bytes_from_the_same_scores(report: ClassificationReport) -> None:
    drawn = curves_figure(report)
    assert drawn == curves_figure(report)
    turned = dataclasses.replace(report, encoders=report.encoders[:2])
    assert drawn.startswith(b"\x89PNG") and drawn != curves_figure(turned)


def test_several_classes_are_told_after_their_mean(rows: list[list[str]]) -> None:
    clips = [clip(label, number) for label in ("fall", "fight", "push") for number in range(6)]
    report = report_of(made_set(clips, normal=None))
    text = to_markdown(report, "command")
    order = [text.index(f"## {title}") for title in ("Mean over 3 classes", "fall", "fight", "push", "The class with")]
    assert order == sorted(order)
    assert "no class is normal" in text
