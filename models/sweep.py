"""What each threshold on the probability of a class comes to: a sweep, its curves, and how a point on it is chosen (row T5).

What is undefined is nan, not 0 or 1: a recall where no clip is of the class, a precision where none is predicted.
"""

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError

Counts = NDArray[np.int64]
Values = NDArray[np.float64]
CriterionKind = Literal["f_beta", "recall", "precision", "cost"]

_SAID = re.compile(r"f(?P<beta>[0-9.]+)|(?P<kind>[a-z_]+)[ =](?P<values>[0-9.]+(?:[ ,][0-9.]+)?)")


@dataclass(frozen=True)
class Criterion:
    """What a threshold is chosen by.

    Attributes:
        kind: `f_beta`: the greatest F with recall β times as important as precision (van Rijsbergen 1979);
            `recall`: the greatest precision at this recall or more; `precision`: the greatest recall at this precision or
            more; `cost`: the least cost of false alarms and missed ones.
        values: β; the least recall; the least precision; cost of a false alarm and of a missed one.
    """

    kind: CriterionKind
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.kind not in get_args(CriterionKind):
            raise ConfigurationError(f'"{self.kind}" is no criterion; write {_EXAMPLES}')
        if len(self.values) != (2 if self.kind == "cost" else 1):
            raise ConfigurationError(
                f"{self.kind} takes another number of values than {self.values}; write {_EXAMPLES}"
            )
        if self.kind == "f_beta":
            fits = 0 < self.values[0] < math.inf
        elif self.kind == "cost":
            fits = all(0 <= value < math.inf for value in self.values) and sum(self.values) > 0
        else:
            fits = 0 < self.values[0] <= 1
        if not fits:
            raise ConfigurationError(
                f"{self.words}: β is above 0, a recall or precision above 0 and at most 1, costs are not negative and not "
                f"both 0; write {_EXAMPLES}"
            )

    @property
    def words(self) -> str:
        """As it is kept: `f_beta 2`, `cost 1 5`."""
        return " ".join([self.kind, *(f"{value:g}" for value in self.values)])

    @classmethod
    def parse(cls, said: str) -> Self:
        """What a person says: `f2`, `f_beta=0.5`, `recall=0.8`, `precision=0.9`, `cost=1,5`; or `words`.

        Raises:
            ConfigurationError: it is none of these.
        """
        match = _SAID.fullmatch(said.strip())
        try:
            if match is None:
                raise ValueError
            if match["beta"] is not None:
                return cls("f_beta", (float(match["beta"]),))
            values = tuple(float(value) for value in re.split("[ ,]", match["values"]))
        except ValueError:
            raise ConfigurationError(f'"{said}" is no criterion; write {_EXAMPLES}') from None
        return cls(match["kind"], values)  # type: ignore[arg-type]  # checked by the class


_EXAMPLES = '"f2", "recall=0.8", "precision=0.9" or "cost=1,5" (of a false alarm, of a missed one)'

F2 = Criterion("f_beta", (2.0,))
"""Recall first: what a threshold is chosen by unless somebody says otherwise."""


@dataclass(frozen=True)
class Confusion:
    """How many clips a threshold tells right and wrong."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def precision(self) -> float:
        """Share of what is predicted that is right; nan where nothing is predicted."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the class that is predicted; nan where there is none of it."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def accuracy(self) -> float:
        """Share of all that is told right; nan where there is nothing."""
        right = self.true_positives + self.true_negatives
        return _share(right, right + self.false_positives + self.false_negatives)

    def f_beta(self, beta: float = 2.0) -> float:
        """F_β = (1 + β²) tp / ((1 + β²) tp + β² fn + fp); nan where all of it is 0."""
        part = (1 + beta**2) * self.true_positives
        return _share(part, part + beta**2 * self.false_negatives + self.false_positives)

    def cost(self, false_alarm: float, missed: float) -> float:
        """What its false alarms and its missed ones cost together."""
        return false_alarm * self.false_positives + missed * self.false_negatives


@dataclass(frozen=True, eq=False)
class Sweep:
    """Counts at every threshold that tells clips apart; a clip is predicted where its score is above the threshold.

    Clips of equal score cannot be told apart, and share one step.

    Attributes:
        scores: float64 (T - 1,), the different scores, falling, in [0, 1].
        true_positives, false_positives: int64 (T,), of the thresholds: none is predicted at the first, all at the last.
        positives, negatives: clips of the class, and others.
    """

    scores: Values
    true_positives: Counts
    false_positives: Counts
    positives: int
    negatives: int

    @cached_property
    def thresholds(self) -> Values:
        """float64 (T,), falling, each halfway between neighbouring scores, the first and last halfway to 1 and 0.

        Below a score of 0 it is -1: no threshold on a probability lets it pass.
        """
        edges = np.concatenate([[1.0], self.scores, [0.0 if self.scores[-1] > 0 else -2.0]])
        return np.asarray((edges[1:] + edges[:-1]) / 2, np.float64)

    @property
    def false_negatives(self) -> Counts:
        return self.positives - self.true_positives

    @property
    def true_negatives(self) -> Counts:
        return self.negatives - self.false_positives

    @property
    def precision(self) -> Values:
        """float64 (T,); nan where nothing is predicted."""
        return _shares(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> Values:
        """float64 (T,), rising; nan where no clip is of the class."""
        return _shares(self.true_positives, np.full_like(self.true_positives, self.positives))

    @property
    def false_positive_rate(self) -> Values:
        """float64 (T,), rising; nan where every clip is of the class."""
        return _shares(self.false_positives, np.full_like(self.false_positives, self.negatives))

    def f_beta(self, beta: float = 2.0) -> Values:
        """float64 (T,); see `Confusion.f_beta`."""
        part = (1 + beta**2) * self.true_positives
        return _shares(part, part + beta**2 * self.false_negatives + self.false_positives)

    def cost(self, false_alarm: float, missed: float) -> Values:
        """float64 (T,); see `Confusion.cost`."""
        return np.asarray(false_alarm * self.false_positives + missed * self.false_negatives, np.float64)

    def at(self, threshold: float) -> Confusion:
        """Counts at any threshold."""
        place = int(np.count_nonzero(self.scores > threshold))
        found, false = int(self.true_positives[place]), int(self.false_positives[place])
        return Confusion(found, false, self.positives - found, self.negatives - false)

    def roc(self) -> tuple[Values, Values]:
        """False and true positive rate (recall), float64 (T,) each, from (0, 0) to (1, 1)."""
        return self.false_positive_rate, self.recall

    def precision_recall(self) -> tuple[Values, Values]:
        """Recall and precision, float64 (T - 1,) each: the first threshold, where nothing is predicted, has no precision."""
        return self.recall[1:], self.precision[1:]

    @property
    def auc(self) -> float:
        """Area under the ROC curve, by trapezia; nan where a class is empty."""
        across, up = self.roc()
        return float((np.diff(across) * (up[1:] + up[:-1]) / 2).sum())

    @property
    def average_precision(self) -> float:
        """Σ (recall gained) · precision, step by step, not interpolated; nan where no clip is of the class."""
        return float((np.diff(self.recall) * self.precision[1:]).sum())

    def choose(self, criterion: Criterion = F2) -> float:
        """The threshold in (0, 1) that a criterion says; of several as good, the one with the greatest recall.

        With `precision`, of several with the greatest recall the one with the greatest precision.

        Raises:
            ConfigurationError: no threshold reaches it, or it asks for a recall where no clip is of the class.
        """
        if criterion.kind != "cost" and self.positives == 0:
            raise ConfigurationError(
                f"no clip is of the class, so no threshold has a recall to choose by ({criterion.words}); "
                'add clips of it, choose by "cost=…", or give the threshold itself'
            )
        wanted, then = self._wanted(criterion)
        inside = (self.thresholds > 0) & (self.thresholds < 1)
        wanted = np.where(inside, wanted, -np.inf)
        if not np.isfinite(wanted).any():
            best = np.nanmax(np.where(inside, self.precision if criterion.kind == "precision" else self.recall, np.nan))
            raise ConfigurationError(
                f"no threshold has a {criterion.words} or more, the greatest is {best:.3f}; ask for less"
            )
        return float(self.thresholds[np.lexsort((then, wanted))[-1]])

    def _wanted(self, criterion: Criterion) -> tuple[Values, Values]:
        """What is to be greatest at each threshold, -inf where it does not do; and what decides among equals."""
        place = np.arange(len(self.thresholds), dtype=np.float64)
        value = criterion.values[0]
        match criterion.kind:
            case "f_beta":
                return np.nan_to_num(self.f_beta(value), nan=0.0), place
            case "recall":
                return np.where(self.recall >= value, np.nan_to_num(self.precision, nan=0.0), -np.inf), place
            case "precision":
                precise = np.nan_to_num(self.precision, nan=-1.0)
                return np.where(precise >= value, self.recall, -np.inf), precise
            case _:
                return -self.cost(*criterion.values), place


def sweep(truth: NDArray[np.bool_], scores: NDArray[Any]) -> Sweep:
    """Sweep the threshold over the scores of clips.

    Args:
        truth: bool (C,), which clips are of the class; C ≥ 1.
        scores: (C,), probability of the class in each clip.

    Raises:
        ValueError: the shapes differ, or a score is no probability.

    >>> told = sweep(np.array([True, False, True]), np.array([0.9, 0.5, 0.5]))
    >>> told.thresholds.tolist(), told.true_positives.tolist(), told.false_positives.tolist()
    ([0.95, 0.7, 0.25], [0, 1, 2], [0, 0, 1])
    """
    if truth.shape != scores.shape or truth.ndim != 1 or not len(truth) or truth.dtype != np.bool_:
        raise ValueError(f"truth is bool (C,) and scores (C,), C ≥ 1, got {truth.dtype} {truth.shape}, {scores.shape}")
    values = scores.astype(np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("scores are probabilities, from 0 to 1")
    different, place = np.unique(-values, return_inverse=True)
    found = np.bincount(place, weights=truth, minlength=len(different)).astype(np.int64)
    false = np.bincount(place, weights=~truth, minlength=len(different)).astype(np.int64)
    start = np.zeros(1, np.int64)
    return Sweep(
        -different,
        np.concatenate([start, np.cumsum(found)]),
        np.concatenate([start, np.cumsum(false)]),
        int(found.sum()),
        int(false.sum()),
    )


def choose_inside(
    truth: NDArray[np.bool_],
    scores: NDArray[Any],
    fold: NDArray[np.int64],
    inner: NDArray[Any],
    criterion: Criterion = F2,
) -> tuple[Values, Confusion]:
    """What a threshold comes to that is chosen, for each fold, on clips of the other folds only.

    Args:
        truth: bool (C,), which clips are of the class.
        scores: (C,), probability of the class in each clip where it was held out.
        fold: int64 (C,), in which each was.
        inner: (folds, C), of each fold, what the clips it did not hold out score where thresholds are chosen for it.
        criterion: what by.

    Returns:
        float64 (folds,), the thresholds, nan where none reaches the criterion (nothing is predicted there then); and how
        many clips they tell right and wrong, all folds together.
    """
    thresholds = np.full(len(inner), np.nan)
    predicted = np.zeros(len(truth), dtype=np.bool_)
    for number in range(len(inner)):
        held = fold == number
        try:
            thresholds[number] = sweep(truth[~held], inner[number, ~held]).choose(criterion)
        except ConfigurationError:
            continue
        predicted[held] = scores[held] > thresholds[number]
    counts = (np.count_nonzero(one) for one in (truth & predicted, ~truth & predicted, truth & ~predicted))
    found, false, missed = (int(count) for count in counts)
    return thresholds, Confusion(found, false, missed, len(truth) - found - false - missed)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _shares(part: NDArray[Any], whole: NDArray[Any]) -> Values:
    shares = np.full(len(part), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares
