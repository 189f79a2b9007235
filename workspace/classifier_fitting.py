"""From windows of labelled clips to a classifier in the registry: cross-validated by source video, trained on all, told on a card."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version as distribution_version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from infra.table import NAME
from lake.keys import short_hash
from lake.promotions import in_service, promote
from models.arrays import Arrays, prefixed
from models.heads.base import Vectors
from models.heads.classifier import ClassifierSettings
from models.heads.classifier_samples import ClassifierSamples, fewest_sources, fold_numbers
from models.heads.classifier_training import FOLDS, OutOfFold, cross_validate, train_classifier
from models.sweep import F2, Confusion, Criterion, choose_inside, sweep
from workspace.classifiers import EVERY_CAMERA, KIND
from workspace.clip_sets.base import ClipSet
from workspace.clip_vectors import ClipWindows, Inputs
from workspace.opened import Workspace

Progress = Callable[[str, float, float], None]

HALF = 0.5
WINDOWS = "windows"
"""Array of the training windows' vectors, float16 (M, D): what a later fit adds labels to."""


@dataclass(frozen=True)
class FittedClassifier:
    """A classifier that is there to be used.

    Attributes:
        name, version: of it in the registry.
        card: what it is.
        serves: whether it was put into service, as the first of its name is; any other is a candidate.
        seconds_per_epoch: of training, on average.
    """

    name: str
    version: str
    card: dict[str, Any]
    serves: bool
    seconds_per_epoch: float


def check_name(name: str) -> None:
    """Raise ConfigurationError unless a classifier can be called so in the settings."""
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            f'"{name}" cannot name a classifier: begin with a letter or a digit and go on with letters, digits, space, '
            '".", "_" and "-", 64 at most'
        )


def unembedded(clip_set: ClipSet, classes: Sequence[str]) -> ClassifierSamples:
    """Clips with nothing to see in them yet, to be parted by source video."""
    count = len(clip_set)
    return ClassifierSamples(
        tuple(classes),
        np.zeros((count, 1), np.float32),
        np.arange(count),
        clip_set.targets(classes),
        clip_set.sources,
        tuple(clip.content for clip in clip_set.clips),
        tuple(clip.name for clip in clip_set.clips),
    )


def check_clips(clip_set: ClipSet, classes: Sequence[str], folds: int, seed: int) -> None:
    """Raise ConfigurationError where clips cannot be cross-validated, before they are embedded for nothing."""
    samples = unembedded(clip_set, classes)
    fold = fold_numbers(samples, folds, seed)
    for number in range(folds):
        fewest_sources(samples.of(np.flatnonzero(fold != number)))


def training_part(clip_set: ClipSet) -> ClipSet:
    """The clips of the official training side; all clips where there is no official split.

    Raises:
        ConfigurationError: fewer than two classes are left.
    """
    clips = [clip for clip in clip_set.clips if clip.split != "test"]
    return clip_set if len(clips) == len(clip_set) else clip_set.narrowed(clips, ())


def fit_classifier(
    workspace: Workspace,
    name: str,
    folder: str,
    windows: ClipWindows,
    inputs: Inputs,
    classes: Sequence[str],
    settings: ClassifierSettings,
    *,
    folds: int = FOLDS,
    criterion: Criterion = F2,
    author: str,
    progress: Progress = lambda _stage, _done, _total: None,
) -> FittedClassifier:
    """Cross-validate a head by source video, train one on all clips, and keep it in the registry.

    Args:
        workspace: where it is kept.
        name: of the classifier; versions of a name stand beside one another, and the first is put into service.
        folder: name of the clips' folder, for the card.
        windows: of clips, as `clip_windows` made them of `inputs`.
        inputs: what a window's vector is made of.
        classes: alarm classes; clips of the others are normal.
        settings: of the head; where it has `patience`, the head on all clips has the median epochs of the folds.
        folds: of the cross-validation.
        criterion: what the recommended threshold of each class is chosen by, on the out-of-fold scores.
        author: who wants it.
        progress: called with `folds` and `head`, what is done and all of it.

    Raises:
        ConfigurationError: the clips do not do (see `cross_validate`), the name cannot be one, or no threshold reaches the
            criterion.
        AfterwatchError: the loss is not finite.
    """
    check_name(name)
    if not author.strip():
        raise ConfigurationError("a classifier has an author; say who you are")
    samples = windows.samples(classes)
    told = {
        **inputs.to_card(),
        "normal": windows.clip_set.normal,
        "data": _data_told(folder, windows, samples),
    }
    lost = f"{windows.lost} windows left out: an encoder saw nothing there" if windows.lost else ""
    card, arrays, seconds = fit_samples(
        samples, settings, told, folds=folds, criterion=criterion, remark=lost, progress=progress
    )
    return keep_classifier(workspace, name, card, arrays, author.strip(), seconds)


def fit_samples(
    samples: ClassifierSamples,
    settings: ClassifierSettings,
    told: Mapping[str, Any],
    *,
    folds: int,
    criterion: Criterion,
    remark: str = "",
    progress: Progress = lambda _stage, _done, _total: None,
) -> tuple[dict[str, Any], Arrays, float]:
    """Cross-validate a head by source, and train one on everything.

    Args:
        samples: clips, or spans of recordings, in windows.
        settings, folds: see `fit_classifier`.
        told: entries of the card that say what it looks at and what it was made from.
        criterion: what the recommended threshold of each class is chosen by.
        remark: what else there is to know.
        progress: called with `folds` and `head`, what is done and all of it.

    Returns:
        Card and arrays of the classifier, and seconds of an epoch on average.

    Raises:
        ConfigurationError: the clips do not do (see `cross_validate`), or no threshold reaches the criterion.
        AfterwatchError: the loss is not finite.
    """
    out = cross_validate(settings, samples, folds=folds, seed=settings.seed, progress=progress)
    thresholds = {
        class_name: {"threshold": sweep(truth, scores).choose(criterion), "criterion": criterion.words}
        for class_name, truth, scores in zip(samples.classes, samples.targets.T, out.scores.T, strict=True)
    }
    progress("head", 0, 1)
    trained = train_classifier(replace(settings, epochs=out.median_epochs, patience=None), samples)
    progress("head", 1, 1)
    card = {
        "classes": list(samples.classes),
        "settings": asdict(settings),
        "epochs": trained.epochs,
        "folds": {"count": folds, "seed": settings.seed, "epochs": list(out.epochs)},
        "clips": list(samples.names),
        "contents": list(samples.contents),
        "clip_sources": list(samples.sources),
        "metrics": metrics_of(samples, out, criterion, thresholds),
        "thresholds": thresholds,
        "torch": distribution_version("torch"),
        "remark": "; ".join(filter(None, (_unfinished(settings, out), remark))),
        **told,
    }
    arrays = {
        **prefixed("head", trained.head.to_arrays()),
        "fold.scores": out.scores,
        "fold.truth": samples.targets.astype(np.uint8),
        "fold.number": out.fold,
        "fold.windows": out.window_scores,
        "fold.clip": samples.clip,
        WINDOWS: _halved(samples.vectors),
    }
    return card, arrays, out.seconds_per_epoch


def _halved(vectors: Vectors) -> NDArray[np.float16]:
    """As the lake keeps vectors; what float16 cannot hold is its largest number."""
    most = float(np.finfo(np.float16).max)
    return np.clip(vectors, -most, most).astype(np.float16)


def metrics_of(
    samples: ClassifierSamples,
    out: OutOfFold,
    criterion: Criterion,
    thresholds: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """How good the heads of the folds are on clips that they have not seen, by class.

    `half`: at a probability of 0.5. `inside`: at thresholds that were chosen inside the training part of each fold, which is
    what a threshold chosen today may do on clips of tomorrow. `recommended`: at the recommended threshold, which was chosen
    on these very scores and so flatters itself. `night`: at the recommended threshold as the night counts where an alarm
    has `smooth_s = 0`, see `night_told`.
    """
    told = {}
    for place, name in enumerate(samples.classes):
        truth, scores = samples.targets[:, place], out.scores[:, place]
        swept = sweep(truth, scores)
        chosen, confusion = choose_inside(truth, scores, out.fold, out.inner[:, :, place], criterion)
        recommended = float(thresholds[name]["threshold"])
        told[name] = {
            "auc": _rounded(swept.auc),
            "average_precision": _rounded(swept.average_precision),
            "half": confusion_told(swept.at(HALF)),
            "inside": {**confusion_told(confusion), "thresholds": [_rounded(value) for value in chosen.tolist()]},
            "recommended": confusion_told(swept.at(recommended)),
            "night": night_told(samples, out, place, recommended),
        }
    return told


def night_told(samples: ClassifierSamples, out: OutOfFold, place: int, threshold: float) -> dict[str, Any]:
    """What a threshold comes to where windows are held against it one by one: a clip counts where any of them is above it.

    Beside the counts and shares `normal_windows_above`: the share of the windows of normal clips, those without any alarm
    class, that are above it; null where there is no normal clip.

    Args:
        samples: clips in windows.
        out: what they score where they were held out.
        place: of the class.
        threshold: on its probability.
    """
    peaks = np.zeros(len(samples))
    windows = out.window_scores[:, place].astype(np.float64)
    np.maximum.at(peaks, samples.clip, windows)
    normal = windows[samples.targets.sum(axis=1)[samples.clip] == 0]
    above = float(np.mean(normal > threshold)) if len(normal) else math.nan
    return {
        **confusion_told(sweep(samples.targets[:, place], peaks).at(threshold)),
        "normal_windows_above": _rounded(above),
    }


def confusion_told(confusion: Confusion) -> dict[str, Any]:
    """Counts and shares at a threshold, for a card; null where undefined."""
    return {
        **asdict(confusion),
        "accuracy": _rounded(confusion.accuracy),
        "precision": _rounded(confusion.precision),
        "recall": _rounded(confusion.recall),
        "f1": _rounded(confusion.f_beta(1)),
        "f2": _rounded(confusion.f_beta(2)),
    }


def head_version(card: dict[str, Any], arrays: Arrays) -> str:
    """The hash of what a classifier is and what it is for."""
    told = {
        key: card[key] for key in ("inputs", "window_s", "stride_s", "frame_rate_hz", "classes", "settings", "data")
    }
    digest = {
        key: [str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
        for key, value in arrays.items()
    }
    return short_hash([told, card["thresholds"], digest])


def keep_classifier(
    workspace: Workspace, name: str, card: dict[str, Any], arrays: Arrays, author: str, seconds_per_epoch: float
) -> FittedClassifier:
    """Put a trained classifier into the registry, and into service where it is the first of its name."""
    first = not any((kind, known) == (KIND, name) for kind, known, _ in workspace.registry.versions())
    version = head_version(card, arrays)
    workspace.registry.save(KIND, name, version, card, arrays, author=author)
    if first:
        promote(workspace.ledger, KIND, name, version, author, EVERY_CAMERA)
    kept = workspace.registry.card(KIND, name, version)
    serves = in_service(workspace.ledger, KIND).get(name) == version
    return FittedClassifier(name, version, kept, serves, seconds_per_epoch)


def _data_told(folder: str, windows: ClipWindows, samples: ClassifierSamples) -> dict[str, Any]:
    clip_set = windows.clip_set
    of_clips = np.bincount(samples.clip)
    return {
        "folder": folder,
        "layout": clip_set.layout,
        "clips": dict(clip_set.counts),
        "sources": len(set(samples.sources)),
        "windows": len(samples.vectors),
        "windows_per_clip": {
            "fewest": int(of_clips.min()),
            "mean": round(float(of_clips.mean()), 2),
            "most": int(of_clips.max()),
        },
        "windows_lost": windows.lost,
        "content": short_hash(sorted([clip.content, clip.label, clip.source] for clip in clip_set.clips)),
        "left_out": list(clip_set.left_out),
    }


def _unfinished(settings: ClassifierSettings, out: OutOfFold) -> str:
    if settings.patience is None or out.median_epochs < settings.epochs:
        return ""
    return f"the loss of held-out sources was still falling after {settings.epochs} epochs: more may do better"


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
