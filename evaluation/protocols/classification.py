"""How well alarm classifiers do, by encoder: cross-validation over source videos, or the data's official split.

- **Folds.** Every seed parts the source videos anew; each clip is scored once, by a head that has seen no clip of its source.
  How long a head is trained, and where its threshold is, is decided inside its training part (`models.heads.
  classifier_training`). Where the data come with an official split, heads are trained on its one side and scored on the other,
  each seed with other first weights.
- **Numbers.** A clip's score is the mean probability of its windows. `auc` and `average_precision` of the scores of all folds
  together; `accuracy`, `precision`, `recall`, `f1` and `f2` at 0.5, and at the threshold with the best F2 of the training part.
  Values are means over seeds; what is undefined in a seed is left out of them.
- **Intervals.** Source videos are drawn with replacement, those with the same classes among themselves, and count alike in all
  seeds: the spread over seeds is of the training, the interval of the data.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from evaluation.bootstrap import BootstrapSettings
from evaluation.classification_metrics import HEAD, Numbers, SeedScores, result_name, results_of
from evaluation.results import Result
from infra.errors import ConfigurationError
from models.encoders.base import Encoder, EncoderSpec
from models.heads.classifier import ClassifierSettings
from models.heads.classifier_samples import ClassifierSamples, check_apart, fewest_sources
from models.heads.classifier_training import cross_validate, fit_head, score_clips
from models.sweep import F2, choose_inside, sweep
from workspace.classifier_fitting import check_clips, unembedded
from workspace.clip_rows import FRAME_RATE_HZ, clip_rows
from workspace.clip_sets.base import ClipSet
from workspace.clip_vectors import ClipWindows, Inputs, inputs_of, join_rows

PROTOCOL = HEAD
BETWEEN = "+"
"""Stands between the encoders whose vectors are put side by side."""

Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class ClassificationSettings:
    """How classifiers are measured.

    Attributes:
        folds: of the cross-validation; None: the official split.
        seeds: how often it is done over, with seeds 0, 1, ….
        head: of the heads; its own seed is not used.
        alarm: classes to be recognised; none: all but the normal one.
        frame_rate_hz: pictures of a second that frame encoders see.
        window_s: length of a window where every encoder is one of frames; None: the default.
        bootstrap: how intervals are made.
    """

    folds: int | None = 5
    seeds: int = 5
    head: ClassifierSettings = field(default_factory=ClassifierSettings)
    alarm: tuple[str, ...] = ()
    frame_rate_hz: float = FRAME_RATE_HZ
    window_s: float | None = None
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)

    def __post_init__(self) -> None:
        if self.seeds < 1 or (self.folds is not None and self.folds < 2):
            raise ConfigurationError(
                f"seeds are at least 1 and folds 2, got {self.seeds} and {self.folds}; correct them"
            )


@dataclass(frozen=True, eq=False)
class EncoderScores:
    """All seeds of one combination of encoders.

    Attributes:
        name: the encoders, with `+` between them.
        inputs, windows: what the heads looked at.
        tested: int64 (T,), numbers of the clips that were tested on.
        runs: by seed.
        results: metrics with their intervals, and their deviations over seeds.
    """

    name: str
    inputs: Inputs
    windows: ClipWindows
    tested: Numbers
    runs: tuple[SeedScores, ...]
    results: tuple[Result, ...]

    def result(self, metric: str, which: str) -> Result:
        """A metric of a class, `macro` or `top-1`, with ` at …` behind where it is one at a threshold."""
        (found,) = [one for one in self.results if one.metric == metric and one.name == result_name(self.name, which)]
        return found


@dataclass(frozen=True, eq=False)
class ClassificationReport:
    """A data set, and what each combination of encoders comes to on it.

    Attributes:
        data: name of the folder.
        clip_set: all its clips.
        classes: those that are recognised.
        settings: how.
        encoders: in the order that was asked for.
    """

    data: str
    clip_set: ClipSet
    classes: tuple[str, ...]
    settings: ClassificationSettings
    encoders: tuple[EncoderScores, ...]


def run_classification(
    data: str,
    clip_set: ClipSet,
    combinations: Sequence[Sequence[Encoder]],
    settings: ClassificationSettings,
    *,
    cache: Path | None = None,
    threads: int = 0,
    progress: Progress = lambda _stage, _done, _total: None,
) -> ClassificationReport:
    """Embed clips once with all encoders, then train and test heads on every combination of them.

    Args:
        data: what the data are called.
        clip_set: the clips.
        combinations: encoders of each, an encoder may be in several.
        settings: how.
        cache, threads: see `clip_rows`.
        progress: called with `vectors` and `heads`.

    Raises:
        ConfigurationError: a class has too few source videos, a class asked for is not known, the official split is asked
            for and there is none, or it leaks.
        AfterwatchError: a head cannot be trained.
    """
    classes = clip_set.alarm_classes(settings.alarm)
    if settings.folds is None and {clip.split for clip in clip_set.clips} != {"train", "test"}:
        raise ConfigurationError(f"{data} has no official split with clips on both sides; give a number of folds")
    encoders = {encoder.spec.space: encoder for encoders in combinations for encoder in encoders}
    inputs = [_inputs([encoder.spec for encoder in encoders], settings) for encoders in combinations]
    _check_sources(clip_set, classes, settings.folds)
    rows = clip_rows(
        clip_set,
        list(encoders.values()),
        frame_rate_hz=settings.frame_rate_hz,
        cache=cache,
        threads=threads,
        progress=progress,
    )
    found = []
    for number, asked in enumerate(inputs):
        windows = join_rows(rows, asked)

        def told(share: float, number: int = number) -> None:
            progress("heads", number + share, len(inputs))

        found.append(_measured(asked, windows, classes, settings, told))
    return ClassificationReport(data, clip_set, classes, settings, tuple(found))


def _check_sources(clip_set: ClipSet, classes: tuple[str, ...], folds: int | None) -> None:
    """Raise ConfigurationError where clips cannot be parted by source, before they are embedded for nothing."""
    if folds is not None:
        check_clips(clip_set, classes, folds, 0)
        return
    samples = unembedded(clip_set, classes)
    tested = np.array([clip.split == "test" for clip in clip_set.clips])
    training = samples.of(np.flatnonzero(~tested))
    check_apart(training, samples.of(np.flatnonzero(tested)))
    fewest_sources(training)


def _inputs(specs: Sequence[EncoderSpec], settings: ClassificationSettings) -> Inputs:
    of_frames = all(spec.kind == "frame" for spec in specs)
    return inputs_of(specs, window_s=settings.window_s if of_frames else None, frame_rate_hz=settings.frame_rate_hz)


def _measured(
    inputs: Inputs,
    windows: ClipWindows,
    classes: tuple[str, ...],
    settings: ClassificationSettings,
    progress: Callable[[float], None],
) -> EncoderScores:
    samples = windows.samples(classes)
    sides = np.array([clip.split == "test" for clip in windows.clip_set.clips])
    tested = np.arange(len(samples)) if settings.folds is not None else np.flatnonzero(sides)
    runs = []
    for seed in range(settings.seeds):
        head = replace(settings.head, seed=seed)

        def told(_stage: str, done: float, total: float, seed: int = seed) -> None:
            progress((seed + done / total) / settings.seeds)

        if settings.folds is None:
            runs.append(_officially(head, samples, tested, np.flatnonzero(~sides)))
            told("", 1, 1)
        else:
            runs.append(_cross_validated(head, samples, settings.folds, told))
    name = BETWEEN.join(item.encoder for item in inputs.items)
    labels = [windows.clip_set.clips[number].label for number in tested.tolist()]
    results = results_of(name, samples.of(tested), labels, runs, settings.bootstrap)
    return EncoderScores(name, inputs, windows, tested, tuple(runs), tuple(results))


def _cross_validated(
    head: ClassifierSettings, samples: ClassifierSamples, folds: int, progress: Progress
) -> SeedScores:
    found = cross_validate(head, samples, folds=folds, seed=head.seed, progress=progress)
    thresholds = [
        choose_inside(truth, found.scores[:, place], found.fold, found.inner[:, :, place], F2)[0]
        for place, truth in enumerate(samples.targets.T)
    ]
    return SeedScores(found.scores, found.fold, np.stack(thresholds, axis=1), found.epochs)


def _officially(head: ClassifierSettings, samples: ClassifierSamples, tested: Numbers, trained: Numbers) -> SeedScores:
    training, held_out = samples.of(trained), samples.of(tested)
    check_apart(training, held_out)
    fitted = fit_head(head, training, seed=head.seed)
    # Inner scores are of heads that had not seen the clip: what its threshold may be chosen on.
    thresholds = [sweep(*columns).choose(F2) for columns in zip(training.targets.T, fitted.scores.T, strict=True)]
    fold = np.zeros(len(tested), dtype=np.int64)
    return SeedScores(score_clips(fitted.head, held_out), fold, np.array([thresholds]), (fitted.epochs,))
