"""What a review is worth: what it may have missed, whether reviewers agree, what its minutes found."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, hypergeom
from sklearn.metrics import cohen_kappa_score

from infra.errors import ConfigurationError

Labels = NDArray[np.bool_]
Rows = NDArray[np.int64]
Spans = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MissedBound:
    """How much of what was not flagged may be relevant, at most, at the confidence asked for.

    Attributes:
        share: of the slices that were not flagged.
        count: how many of them; those that the sample found are among them.
    """

    share: float
    count: int


def missed_upper_bound(relevant: int, sampled: int, unflagged: int, confidence: float = 0.95) -> MissedBound:
    """One-sided upper bound of the relevant slices among `unflagged`, from an audit of `sampled` of them.

    The exact bound of a sample drawn without replacement from a finite whole, at random and each slice with the same
    chance: the largest number K for which P(at most `relevant` in the sample | K of N) > 1 - confidence, the probability
    being hypergeometric (Clopper & Pearson 1934 with the hypergeometric in the binomial's place; Buonaccorsi 1987). It is
    never above `clopper_pearson_upper`, comes near it where the whole is large, and is `relevant` where all was sampled.

    Args:
        relevant: k, found relevant in the sample.
        sampled: n, slices of the sample that were answered; 0 bounds nothing.
        unflagged: N, slices that it was drawn from, at least n.
        confidence: of the bound, between 0 and 1: so often at least, it holds.
    """
    if not 0 <= relevant <= sampled <= unflagged:
        raise ValueError(f"0 <= relevant <= sampled <= unflagged, got {relevant}, {sampled} and {unflagged}")
    _check_confidence(confidence)
    # Possible is k ≤ K ≤ N - (n - k); the probability falls as K rises.
    low, high = relevant, unflagged - (sampled - relevant)
    while low < high:
        middle = (low + high + 1) // 2
        likely = float(hypergeom.cdf(relevant, unflagged, middle, sampled)) > 1 - confidence
        low, high = (middle, high) if likely else (low, middle - 1)
    return MissedBound(low / unflagged if unflagged else 0.0, low)


def clopper_pearson_upper(relevant: int, sampled: int, confidence: float = 0.95) -> float:
    """One-sided upper bound of a share from a sample of a whole without end: the p with P(X ≤ k | n, p) = 1 - confidence.

    Clopper & Pearson 1934: the `confidence` quantile of Beta(k + 1, n - k); 1 where everything sampled is relevant.
    """
    if not 0 <= relevant <= sampled:
        raise ValueError(f"0 <= relevant <= sampled, got {relevant} and {sampled}")
    _check_confidence(confidence)
    return 1.0 if relevant == sampled else float(beta.ppf(confidence, relevant + 1, sampled - relevant))


@dataclass(frozen=True, eq=False)
class Agreement:
    """How two reviewers agree on what both have labelled.

    Attributes:
        pairs: int64 (P, 2), positions of labels of the first and the second reviewer that speak of the same.
        conflicts: int64 (C, 2), those of the pairs that say different things.
        share: of the pairs that agree; nan without pairs.
        kappa: Cohen's κ; nan without pairs, and where both always said the same one thing.
    """

    pairs: Rows
    conflicts: Rows
    share: float
    kappa: float


def cohen_kappa(first_spans: Spans, first_relevant: Labels, second_spans: Spans, second_relevant: Labels) -> Agreement:
    """Agreement of two reviewers beyond chance: κ = (p_o - p_e) / (1 - p_e), Cohen 1960.

    Two labels speak of the same if their spans overlap and neither overlaps another label of the other reviewer for
    longer (equal overlaps: the earlier one in the order given). So a label is in one pair at most. Widen spans to the
    temporal slices they lie in first: two reviewers seldom label the very same frame.

    Args:
        first_spans, second_spans: int64 (A, 2) and (B, 2), half-open, on one clock; each reviewer's newest word on a
            moment.
        first_relevant, second_relevant: bool (A,) and (B,).
    """
    for spans, answers in ((first_spans, first_relevant), (second_spans, second_relevant)):
        if spans.shape != (len(answers), 2) or (spans[:, 0] >= spans[:, 1]).any():
            raise ValueError(f"one span (from < to) for each of {len(answers)} labels, got {spans.shape}")
    pairs = np.empty((0, 2), dtype=np.int64)
    if len(first_spans) and len(second_spans):
        overlap = np.minimum(first_spans[:, None, 1], second_spans[None, :, 1])
        overlap -= np.maximum(first_spans[:, None, 0], second_spans[None, :, 0])
        best, back = overlap.argmax(axis=1), overlap.argmax(axis=0)
        mine = np.arange(len(best))
        mine = mine[(back[best] == mine) & (overlap[mine, best] > 0)]
        pairs = np.stack([mine, best[mine]], axis=1)
    said, also = first_relevant[pairs[:, 0]], second_relevant[pairs[:, 1]]
    if not len(pairs):
        return Agreement(pairs, pairs, math.nan, math.nan)
    one_thing = bool((said == said[0]).all() and (also == said[0]).all())
    kappa = math.nan if one_thing else float(cohen_kappa_score(said, also))
    return Agreement(pairs, pairs[said != also], float((said == also).mean()), kappa)


@dataclass(frozen=True, eq=False)
class ReviewCurve:
    """What was found by when.

    Attributes:
        minutes: float64 (L + 1,), footage that was looked at after each look, each second counted once; starts at 0.
        recall: float64 (L + 1,), share of the true spans that had been touched by then; nan without any.
    """

    minutes: Floats
    recall: Floats


def recall_by_minutes(true_spans: Spans, looked_spans: Spans) -> ReviewCurve:
    """Recall of true spans as a function of the minutes of footage looked at.

    A true span counts as found with the first look that shares a moment with it.

    Args:
        true_spans: int64 (T, 2), half-open, microseconds.
        looked_spans: int64 (L, 2), on the same clock, in the order they were looked at; they may overlap and repeat.
    """
    for spans in (true_spans, looked_spans):
        if spans.ndim != 2 or spans.shape[1] != 2 or (spans[:, 0] >= spans[:, 1]).any():
            raise ValueError(f"spans are (M, 2) with from < to, got {spans.shape}")
    looks = len(looked_spans)
    cuts = np.unique(np.concatenate([looked_spans, true_spans]))
    first_look = np.full(max(0, len(cuts) - 1), looks, dtype=np.int64)
    begins, ends = (np.searchsorted(cuts, looked_spans[:, side]) for side in (0, 1))
    for look in range(looks - 1, -1, -1):
        first_look[begins[look] : ends[look]] = look
    seen_us = np.bincount(first_look, weights=np.diff(cuts), minlength=looks + 1)[:looks]
    minutes = np.concatenate([[0.0], np.cumsum(seen_us) / 60e6])
    if not len(true_spans):
        return ReviewCurve(minutes, np.full(looks + 1, math.nan))
    begins, ends = (np.searchsorted(cuts, true_spans[:, side]) for side in (0, 1))
    touched = [int(first_look[begin:end].min()) for begin, end in zip(begins, ends, strict=True)]
    found = np.bincount(touched, minlength=looks + 1)[:looks]
    return ReviewCurve(minutes, np.concatenate([[0.0], np.cumsum(found) / len(true_spans)]))


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ConfigurationError(f"confidence is between 0 and 1, got {confidence}")
