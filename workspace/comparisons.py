"""Two versions of a model held against the same footage, which neither was trained on.

Recordings are drawn anew as often as there are (a paired bootstrap): the samples of one are no independent ones, and what is
easy or hard in a recording is so for both versions. So an interval is one of the difference. Percentiles of the resamples are
too narrow where recordings are few, so it is Student's, of the resamples' standard deviation; of fewer than
`FEWEST_RECORDINGS` there is none.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from models.metrics import RankedScores

Weights = NDArray[np.int64]
Pairs = Mapping[str, tuple[float, float]]
"""By metric, what it is of the version in service and of the candidate; nan where it is undefined."""
Better = Literal["higher", "lower"]

RESAMPLES = 1000
LEVEL = 0.95
FEWEST_RECORDINGS = 5
"""Of fewer there is no interval: what differs between them is not known well enough to say how much of a difference is chance."""
FEWEST_OF_A_KIND = 3
"""Recordings with what is looked for, and recordings with something else: one alone is drawn in every resample, as if nothing
about it varied, and of two it is hardly better."""
FEWEST_DEFINED = 0.5
"""Share of the resamples in which a metric has to be defined for an interval."""
DIGITS = 4


@dataclass(frozen=True)
class MetricPair:
    """A metric of both versions.

    Attributes:
        name: `auc`, `average_precision`, `recall`, `precision` or `mean_error`, with the class before it where a model has
            several.
        current, candidate: what it is of the version in service and of the candidate; nan where it is undefined.
        low, high: interval (95 %) of candidate less current; nan where there are too few recordings (see `paired`).
        better: whether higher or lower is better.
    """

    name: str
    current: float
    candidate: float
    low: float
    high: float
    better: Better = "higher"

    @property
    def difference(self) -> float:
        """Candidate less current."""
        return self.candidate - self.current

    def to_card(self) -> dict[str, Any]:
        """As a card holds it; what is undefined is null."""
        numbers = {name: _plain(getattr(self, name)) for name in ("current", "candidate", "difference", "low", "high")}
        return {"name": self.name, "better": self.better, **numbers}


@dataclass(frozen=True)
class HeldOut:
    """What both versions were measured on.

    Attributes:
        recordings: content of each recording by its path.
        samples, positives: how many were scored, and how many of them are what the model looks for.
        chosen: how many were chosen to be labelled by scores of the version in service (or of one before it): they lie where
            that version is in doubt or wrong, so that the comparison favours the candidate.
    """

    recordings: Mapping[str, str]
    samples: int
    positives: int
    chosen: int = 0


@dataclass(frozen=True)
class Comparison:
    """A candidate beside the version in service.

    Attributes:
        against: that version.
        held_out: what both were measured on; None where nothing could be held out.
        metrics: none where nothing could be held out.
        remark: what there is to know; where nothing was held out, why.
        left_out: contents of all recordings that the candidate was not trained on so that it could be measured on them,
            whether or not they could be.
        thresholds: what recall and precision were measured above, of the version in service and of the candidate, by class;
            the class is empty where a model has but one.
    """

    against: str
    held_out: HeldOut | None
    metrics: tuple[MetricPair, ...]
    remark: str = ""
    left_out: frozenset[str] = frozenset()
    thresholds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def to_card(self) -> dict[str, Any]:
        """As a card holds it."""
        held = self.held_out
        return {
            "against": self.against,
            "held_out": None
            if held is None
            else {
                "recordings": sorted(held.recordings),
                "recording_ids": sorted(held.recordings.values()),
                "samples": held.samples,
                "positives": held.positives,
                "chosen": held.chosen,
            },
            "left_out": sorted(self.left_out),
            "thresholds": {name: [_plain(one) for one in pair] for name, pair in sorted(self.thresholds.items())},
            "metrics": [metric.to_card() for metric in self.metrics],
            "level": LEVEL,
            "remark": self.remark,
        }


def verdict(metric: Mapping[str, Any], comparison: Mapping[str, Any]) -> str:
    """What the interval of a metric says of the candidate, in words; from a card, an older one too.

    Nothing is called better where the version in service chose what is labelled: such labels favour the candidate.
    """
    low, high, held = metric.get("low"), metric.get("high"), comparison.get("held_out") or {}
    if low is None or high is None or len(held.get("recordings") or ()) < FEWEST_RECORDINGS:
        return "too few recordings to tell"
    if low <= 0 <= high:
        return "no clear difference"
    if (low > 0) != (metric.get("better") == "higher"):
        return "worse"
    return "cannot be told: labels chosen by scores" if held.get("chosen") else "better"


def chosen_words(comparison: Mapping[str, Any]) -> str:
    """What there is to know of how the held-out labels came about; empty where scores chose none of them."""
    held = comparison.get("held_out") or {}
    if not held.get("chosen"):
        return ""
    return (
        f"{held['chosen']} of the {held['samples']} held-out samples were labelled because of what the model in service (or "
        "one before it) scored there: its alarms, and what it was in doubt about. They lie where it errs, so the comparison "
        "favours the candidate, and none of it counts as better"
    )


def threshold_words(comparison: Mapping[str, Any]) -> str:
    """What recall and precision were measured above; empty where a card does not say."""
    told = [
        f"{of + ': ' if of else ''}{_told(pair[0])} in service, {_told(pair[1])} of the candidate"
        for of, pair in (comparison.get("thresholds") or {}).items()
    ]
    return f"recall and precision are above the thresholds {'; '.join(told)}" if told else ""


def _told(threshold: float | None) -> str:
    return "none" if threshold is None else f"{threshold:.4f}"


def compare_scores(
    truth: NDArray[np.bool_],
    scores: tuple[NDArray[Any], NDArray[Any]],
    thresholds: tuple[float, float],
    recordings: NDArray[np.int64],
    *,
    of: str = "",
) -> tuple[MetricPair, ...]:
    """AUC, average precision, and recall and precision above each version's own threshold, of the same samples.

    Args:
        truth: bool (N,), what is looked for.
        scores: of the version in service and of the candidate, (N,) each.
        thresholds: of the two.
        recordings: int64 (N,), number of the recording that each sample is of, from 0.
        of: class that stands before the metrics' names.
    """
    ranked = [RankedScores.of(truth, values, recordings) for values in scores]
    above = [values > threshold for values, threshold in zip(scores, thresholds, strict=True)]

    def statistic(weights: Weights) -> Pairs:
        each = weights[recordings]
        told = [
            (*one.auc_and_ap(weights), *_recall_and_precision(truth, over, each))
            for one, over in zip(ranked, above, strict=True)
        ]
        names = ("auc", "average_precision", "recall", "precision")
        return {f"{of} {name}".strip(): pair for name, pair in zip(names, zip(*told, strict=True), strict=True)}

    return paired(
        statistic,
        _shows(truth, recordings),
        varied=min(map(sum, (_shows(truth, recordings), _shows(~truth, recordings)))) >= FEWEST_OF_A_KIND,
    )


def compare_errors(
    errors: tuple[NDArray[Any], NDArray[Any]], recordings: NDArray[np.int64], name: str = "mean_error"
) -> tuple[MetricPair, ...]:
    """Mean error of both versions on the same samples, (N,) each; lower is better. See `compare_scores`."""
    count = int(recordings.max()) + 1
    sums = [np.bincount(recordings, values.astype(np.float64), count) for values in errors]
    samples = np.bincount(recordings, minlength=count)

    def statistic(weights: Weights) -> Pairs:
        drawn = float(weights @ samples)
        return {name: (float(weights @ sums[0]) / drawn, float(weights @ sums[1]) / drawn)}

    return paired(statistic, [0] * count, better="lower")


def paired(
    statistic: Callable[[Weights], Pairs],
    strata: Sequence[int],
    *,
    better: Better = "higher",
    varied: bool = True,
    seed: int = 0,
) -> tuple[MetricPair, ...]:
    """Metrics of both versions on all recordings, with intervals of their difference: Student's, of the standard error that the
    bootstrap tells (Efron and Tibshirani 1993, chapter 12).

    There is no interval of fewer than `FEWEST_RECORDINGS` recordings, nor where a stratum has fewer than `FEWEST_OF_A_KIND`.
    The smallest stratum says how many degrees of freedom there are.

    Args:
        statistic: the metrics, given how often each recording counts, int64 (R,).
        strata: of each recording; within a stratum as many are drawn as it has, so that no resample lacks a kind.
        better: of all of them.
        varied: whether there is enough of everything to draw from; without, there is no interval.
        seed: decides what is drawn.
    """
    whole = statistic(np.ones(len(strata), np.int64))
    smallest = int(np.unique(np.asarray(strata, np.int64), return_counts=True)[1].min())
    enough = varied and len(strata) >= FEWEST_RECORDINGS and smallest >= FEWEST_OF_A_KIND
    drawn = [statistic(weights) for weights in _draws(strata, seed)] if enough else []
    found = []
    for name, (current, candidate) in whole.items():
        differences = np.array([pairs[name][1] - pairs[name][0] for pairs in drawn])
        known = differences[np.isfinite(differences)]
        low = high = math.nan
        if len(known) and len(known) >= FEWEST_DEFINED * len(differences):
            # Resamples of n vary by (n - 1) / n of what samples do.
            error = float(known.std()) * math.sqrt(smallest / (smallest - 1))
            reach = float(t.ppf((1 + LEVEL) / 2, smallest - 1)) * error
            low, high = candidate - current - reach, candidate - current + reach
        found.append(MetricPair(name, current, candidate, low, high, better))
    return tuple(found)


def _draws(strata: Sequence[int], seed: int) -> Weights:
    """int64 (resamples, R): how often each recording is drawn."""
    held = np.asarray(strata, np.int64)
    random = np.random.default_rng(seed)
    weights = np.zeros((RESAMPLES, len(held)), np.int64)
    for stratum in np.unique(held):
        members = np.flatnonzero(held == stratum)
        weights[:, members] = random.multinomial(len(members), np.full(len(members), 1 / len(members)), size=RESAMPLES)
    return weights


def _shows(truth: NDArray[np.bool_], recordings: NDArray[np.int64]) -> list[int]:
    """Of each recording, 1 where it shows what is looked for."""
    counts = np.bincount(recordings[truth], minlength=int(recordings.max()) + 1)
    return [int(count > 0) for count in counts]


def _recall_and_precision(
    truth: NDArray[np.bool_], above: NDArray[np.bool_], each: NDArray[np.int64]
) -> tuple[float, float]:
    right = int(each[truth & above].sum())
    true, found = int(each[truth].sum()), int(each[above].sum())
    return (right / true if true else math.nan), (right / found if found else math.nan)


def _plain(value: float) -> float | None:
    return round(value, DIGITS) if math.isfinite(value) else None
