"""Metrics of classifiers' scores of clips: means over seeds, intervals by source video, deviations over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.bootstrap import BootstrapSettings, Weights, estimates
from evaluation.results import Result
from models.heads.classifier_samples import ClassifierSamples
from models.metrics import RankedScores

HEAD = "classifier"
FIXED, CHOSEN = "at 0.5", "at F2 threshold"
MACRO = "macro"
TOP_1 = "top-1"

Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SeedScores:
    """What heads of one seed say of the clips that are tested on.

    Attributes:
        scores: float32 (T, K), probabilities.
        fold: int64 (T,), the fold that each clip was held out in; 0 with an official split.
        thresholds: float64 (folds, K), best F2 inside each fold's training part.
        epochs: of each fold's head.
    """

    scores: NDArray[np.float32]
    fold: Numbers
    thresholds: Floats
    epochs: tuple[int, ...]

    def predicted(self, at: str) -> NDArray[np.bool_]:
        """bool (T, K): what is recognised at 0.5, or at the thresholds chosen."""
        limits: Floats | float = 0.5 if at == FIXED else self.thresholds[self.fold]
        return np.asarray(self.scores > limits, dtype=np.bool_)


def results_of(
    name: str,
    samples: ClassifierSamples,
    labels: Sequence[str],
    runs: Sequence[SeedScores],
    bootstrap: BootstrapSettings,
) -> list[Result]:
    """Metrics of all seeds over the clips that were tested on, with intervals by source, then deviations over seeds.

    Args:
        name: of the encoders.
        samples: the clips that were tested on.
        labels: class of each of them, the normal one too.
        runs: of each seed.
        bootstrap: how sources are drawn.
    """
    sources, source = np.unique(samples.sources, return_inverse=True)
    shown: list[set[str]] = [set() for _ in sources]
    for label, own in zip(labels, source.tolist(), strict=True):
        shown[own].add(label)
    kinds = sorted({tuple(sorted(one)) for one in shown})
    strata = [kinds.index(tuple(sorted(one))) for one in shown]
    metrics = _Metrics(samples, source.astype(np.int64), len(sources), runs)
    told = estimates(metrics, strata, bootstrap)
    spread = metrics.by_seed(np.ones(len(sources), dtype=np.int64))
    found = []
    for key, estimate in told.items():
        which, metric = key.rsplit("/", 1)
        values = spread[key][~np.isnan(spread[key])]
        deviation = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
        full, nan = result_name(name, which), float("nan")
        found.append(Result(full, metric, estimate.value, estimate.low, estimate.high, len(samples)))
        found.append(Result(full, f"{metric}_deviation", deviation, nan, nan, len(values)))
    return found


class _Metrics:
    """All metrics, for any weighting of the sources, by `class/metric` and `class at …/metric`."""

    def __init__(self, samples: ClassifierSamples, source: Numbers, sources: int, runs: Sequence[SeedScores]) -> None:
        self._classes = samples.classes
        self._ranked = [
            [RankedScores.of(samples.targets[:, k], run.scores[:, k], source) for run in runs]
            for k in range(len(samples.classes))
        ]
        # By threshold: true positives, false positives, false negatives and true negatives, (runs, classes, sources, 4).
        self._counts = {
            at: np.stack([_counted(samples.targets, run.predicted(at), source, sources) for run in runs])
            for at in (FIXED, CHOSEN)
        }
        # Where each clip is of just one of the classes, the one with the greatest score is the answer.
        self._right = None
        if len(samples.classes) > 1 and samples.targets.any(axis=1).all():
            truth = samples.targets.argmax(axis=1)
            right = [np.bincount(source, run.scores.argmax(axis=1) == truth, sources) for run in runs]
            self._right = np.stack(right).astype(np.float64), np.bincount(source, minlength=sources)

    def __call__(self, weights: Weights) -> Mapping[str, float]:
        """Means over the seeds in which a metric is defined."""
        return {key: _mean(values) for key, values in self.by_seed(weights).items()}

    def by_seed(self, weights: Weights) -> dict[str, Floats]:
        """float64 (runs,) of each metric."""
        each = [self._of_class(k, weights) for k in range(len(self._classes))]
        told = {
            f"{name}{key}": values for name, own in zip(self._classes, each, strict=True) for key, values in own.items()
        }
        if len(self._classes) > 1:
            for key in each[0]:
                told[f"{MACRO}{key}"] = np.array([_mean(column) for column in np.stack([own[key] for own in each]).T])
        if self._right is not None:
            right, every = self._right
            told[f"{TOP_1}/accuracy"] = _ratio(right @ weights, np.full(len(right), float(every @ weights)))
        return told

    def _of_class(self, k: int, weights: Weights) -> dict[str, Floats]:
        areas = np.array([ranked.auc_and_ap(weights) for ranked in self._ranked[k]])
        told = {"/auc": areas[:, 0], "/average_precision": areas[:, 1]}
        for at, counts in self._counts.items():
            told |= {f" {at}/{metric}": value for metric, value in _at_threshold(weights @ counts[:, k]).items()}
        return told


def _counted(truth: NDArray[np.bool_], predicted: NDArray[np.bool_], source: Numbers, sources: int) -> Floats:
    """float64 (K, sources, 4): true positives, false positives, false negatives and true negatives of each source."""
    kinds = (truth & predicted, ~truth & predicted, truth & ~predicted, ~truth & ~predicted)
    return np.stack(
        [
            np.stack([np.bincount(source, kind[:, k], minlength=sources) for kind in kinds], axis=1)
            for k in range(truth.shape[1])
        ]
    )


def _at_threshold(counts: Floats) -> dict[str, Floats]:
    """Metrics of counts (runs, 4); nan where one is undefined."""
    tp, fp, fn, tn = counts.T
    return {
        "accuracy": _ratio(tp + tn, tp + fp + fn + tn),
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "f2": _ratio(5 * tp, 5 * tp + fp + 4 * fn),
    }


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0), dtype=np.float64)


def _mean(values: Floats) -> float:
    held = values[~np.isnan(values)]
    return float(held.mean()) if len(held) else float("nan")


def result_name(encoders: str, which: str) -> str:
    """What a result is called: head, encoders, and the class with its threshold."""
    return f"{HEAD} {encoders} {which}"
