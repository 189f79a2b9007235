"""What a card says of the night: windows are held against a threshold one by one, clips by the mean over theirs."""

from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as reference

from afterwatch.workspace_files import make_workspace
from infra.errors import ConfigurationError
from models.encoders.specs import describe
from models.heads.classifier import ClassifierSettings
from models.heads.classifier_samples import ClassifierSamples
from models.heads.classifier_training import OutOfFold, clip_means
from models.sweep import F2, sweep
from tests.workspace.test_classifiers import clip_set
from workspace.classifier_fitting import check_clips, fit_classifier, metrics_of
from workspace.classifiers import KIND
from workspace.clip_vectors import ClipWindows, inputs_of
from workspace.opened import Workspace

QUICK = ClassifierSettings(hidden=(), learning_rate=0.05, epochs=4, patience=None, batch_size=32)
CLASSES = ("fall", "fight")


def scored(probabilities: list[list[list[float]]], shows: list[list[bool]]) -> tuple[ClassifierSamples, OutOfFold]:
    """Clips whose windows were given these probabilities of the two classes, (C, windows of each, 2), in two folds."""
    clip = np.repeat(np.arange(len(probabilities)), [len(one) for one in probabilities])
    windows = np.concatenate([np.array(one, np.float32) for one in probabilities])
    names = tuple(f"{number}.mp4" for number in range(len(probabilities)))
    samples = ClassifierSamples(CLASSES, windows, clip, np.array(shows), names, names, names)
    scores = clip_means(windows, samples)
    fold = np.arange(len(names)) % 2
    return samples, OutOfFold(scores, windows, fold, (1, 1), np.stack([scores, scores]), 0.0)


def test_a_clip_counts_at_night_where_any_of_its_windows_is_above_the_threshold() -> None:
    samples, out = scored(
        [
            [[0.9, 0.1], [0.1, 0.1]],  # a fall, by one window
            [[0.2, 0.1]],  # a fall that no window tells
            [[0.1, 0.9], [0.8, 0.9], [0.1, 0.9]],  # a fight, with a window like a fall
            [[0.1, 0.1], [0.1, 0.6], [0.1, 0.1], [0.1, 0.1]],  # normal, with a window like a fight
        ],
        [[True, False], [True, False], [False, True], [False, False]],
    )
    thresholds = {name: {"threshold": 0.55, "criterion": F2.words} for name in CLASSES}
    told = metrics_of(samples, out, F2, thresholds)
    fall, fight = told["fall"]["night"], told["fight"]["night"]
    counts = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    assert [fall[name] for name in counts] == [1, 1, 1, 1]
    assert (fall["precision"], fall["recall"], fall["f1"], fall["normal_windows_above"]) == (0.5, 0.5, 0.5, 0.0)
    assert [fight[name] for name in counts] == [1, 1, 0, 2]
    assert (fight["precision"], fight["recall"], fight["f2"]) == (0.5, 1.0, pytest.approx(5 / 6, abs=1e-4))
    assert fight["normal_windows_above"] == 0.25, "the fall's windows are of no normal clip"
    # Of the means none is above: the same threshold, and nothing is recognised.
    assert told["fall"]["recommended"]["true_positives"] == told["fall"]["recommended"]["false_positives"] == 0


def test_where_every_clip_shows_a_class_no_window_is_normal() -> None:
    samples, out = scored([[[0.9, 0.1]], [[0.1, 0.9]]], [[True, False], [False, True]])
    thresholds = {name: {"threshold": 0.5, "criterion": F2.words} for name in CLASSES}
    assert metrics_of(samples, out, F2, thresholds)["fall"]["night"]["normal_windows_above"] is None


def test_clips_of_many_windows_raise_more_alarms_at_night_than_their_means_tell(tmp_path: Path) -> None:
    """The card says so, and its figures are those of the arrays beside it."""
    clips = clip_set(30)
    sizes = np.array([1 if number == 0 else 8 for number in range(len(clips))])
    clip = np.repeat(np.arange(len(clips)), sizes)
    vectors = np.random.default_rng(0).normal(size=(len(clip), 4))
    shows = np.array([clips.labels[one] == "fight" for one in clip.tolist()])
    vectors[shows, 0] += 1
    spans = np.zeros(len(clip), np.int64)
    windows = ClipWindows(clips, clip, spans, spans + 1_000_000, vectors.astype(np.float32), 0)
    workspace = Workspace(make_workspace(tmp_path / "site"))
    fitted = fit_classifier(
        workspace,
        "trouble",
        "clips",
        windows,
        inputs_of([describe("handcrafted/motion")]),
        ("fight",),
        QUICK,
        folds=3,
        author="ada",
    )
    card, arrays = workspace.registry.load(KIND, "trouble", fitted.version)
    assert card["data"]["windows_per_clip"] == {"fewest": 1, "mean": round(float(sizes.mean()), 2), "most": 8}
    told, threshold = card["metrics"]["fight"], card["thresholds"]["fight"]["threshold"]
    truth = np.array([label == "fight" for label in clips.labels])
    assert np.array_equal(arrays["fold.clip"], clip)
    above = arrays["fold.windows"][:, 0].astype(np.float64) > threshold
    predicted = np.bincount(clip, above) > 0
    for name, wanted in (
        ("precision", reference.precision_score(truth, predicted)),
        ("recall", reference.recall_score(truth, predicted)),
        ("f1", reference.f1_score(truth, predicted)),
        ("f2", reference.fbeta_score(truth, predicted, beta=2)),
        ("normal_windows_above", above[~shows].mean()),
    ):
        assert told["night"][name] == pytest.approx(wanted, abs=1e-4)
    assert told["night"]["recall"] >= told["recommended"]["recall"]
    assert told["night"]["false_positives"] > told["recommended"]["false_positives"]
    assert sweep(truth, arrays["fold.scores"][:, 0]).choose() == threshold


def test_folds_that_would_leave_too_few_sources_to_train_on_are_refused_before_anything_is_embedded() -> None:
    clips = clip_set(6)
    classes = clips.alarm_classes(())
    with pytest.raises(ConfigurationError, match="at least 3 source videos"):
        check_clips(clips, classes, 2, 0)
    check_clips(clip_set(30), clip_set(30).alarm_classes(()), 2, 0)
