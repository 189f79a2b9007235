"""What a network's scores of views are worth: averaged by clip, then counted (row T3)."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
NORMAL_95 = 1.959963984540054
"""Quantile 0.975 of the normal distribution: half the width, in standard errors, of a 95 % interval."""


class Share(NamedTuple):
    """A share of clips with its 95 % interval; nan where there are none."""

    value: float
    low: float
    high: float


def mean_probabilities(logits: Scores) -> Scores:
    """The class probabilities of a clip: the mean over its views of the softmax of each (PySlowFast's test).

    Args:
        logits: float32 (V, K), V at least 1.

    Returns:
        float32 (K,); adds to 1.

    Raises:
        ValueError: there is no view, or a logit is not finite.
    """
    if logits.ndim != 2 or not logits.size or not np.isfinite(logits).all():
        raise ValueError(f"logits are finite and (V, K) with a view at least, got {logits.shape}")
    # In double precision: the sum over many views must not hang on their order.
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    grown = np.exp(shifted)
    return np.asarray((grown / grown.sum(axis=1, keepdims=True)).mean(axis=0), np.float32)


def hits_at(scores: Scores, truth: NDArray[np.int64], k: int) -> NDArray[np.bool_]:
    """Whether each clip's true class is among the k of highest score.

    A class that ties with the true one counts as before it: a network that says nothing hits nothing.

    Args:
        scores: float32 (C, K).
        truth: int64 (C,), indices of classes.
        k: 1 … K.

    Returns:
        bool (C,).

    Raises:
        ValueError: the shapes do not fit, k or a class is out of range.
    """
    clips, classes = scores.shape
    if truth.shape != (clips,) or not 1 <= k <= classes:
        raise ValueError(f"scores are (C, K), truth (C,) and k 1 … K, got {scores.shape}, {truth.shape} and {k}")
    if clips and not 0 <= truth.min() <= truth.max() < classes:
        raise ValueError(f"classes are 0 … {classes - 1}, got {truth.min()} … {truth.max()}")
    own = scores[np.arange(clips), truth]
    not_behind = (scores >= own[:, None]).sum(axis=1)
    return np.asarray(not_behind <= k)


def wilson(hits: int, count: int) -> Share:
    """A share with its 95 % score interval (Wilson 1927): it stays inside 0 … 1 and has a width at 0 and at 1.

    Args:
        hits: 0 … `count`.
        count: clips, each its own trial.

    Raises:
        ValueError: there are more hits than clips, or fewer than none.
    """
    if not 0 <= hits <= count:
        raise ValueError(f"hits are 0 … {count}, got {hits}")
    if count == 0:
        return Share(math.nan, math.nan, math.nan)
    share, z2 = hits / count, NORMAL_95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = NORMAL_95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return Share(share, max(0.0, middle - half), min(1.0, middle + half))
