"""Whether normal footage still looks to a model as it did when the model was fitted: its scores then, and its scores now."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import robust_spread

STILL = 0.25
"""Robust deviations by which the median may move without a word."""
FAR = 100.0
"""Beyond this the number says only that the old scores lie close together, as those of what a head was trained on may."""


@dataclass(frozen=True)
class ScoreDrift:
    """How scores of normal footage have moved.

    Attributes:
        statistic: Kolmogorov and Smirnov's, 0 … 1; see `kolmogorov_smirnov`.
        shift: new median less old median, in robust deviations of the old scores; infinite where these are all equal and
            the median moved.
        before, now: how many scores were compared.
    """

    statistic: float
    shift: float
    before: int
    now: int

    @property
    def words(self) -> str:
        """In a sentence."""
        if abs(self.shift) < STILL:
            moved = "scores of normal footage are where they were"
        elif not np.isfinite(self.shift):
            moved = (
                f"scores of normal footage {'rose' if self.shift > 0 else 'fell'} from one value that all of them had"
            )
        elif abs(self.shift) > FAR:
            moved = (
                f"scores of normal footage {'rose' if self.shift > 0 else 'fell'} by more than {FAR:g} deviations of the old "
                "ones, which lie close together"
            )
        else:
            moved = (
                f"scores of normal footage {'rose' if self.shift > 0 else 'fell'} by {abs(self.shift):.1f} deviations"
            )
        return (
            f"{moved}; the shares below any score differ by {self.statistic:.2f} at most ({self.before} scores before, "
            f"{self.now} now)"
        )

    def to_card(self) -> dict[str, Any]:
        """As a card holds it; an infinite shift is null."""
        shift = round(self.shift, 4) if np.isfinite(self.shift) else None
        return {**asdict(self), "statistic": round(self.statistic, 4), "shift": shift, "words": self.words}


def score_drift(before: NDArray[Any], now: NDArray[Any]) -> ScoreDrift:
    """Compare what one model makes of the normal footage that it was fitted beside, and of newer footage.

    The deviation is that of `models.calibration.robust_spread`. Neighbours in time score alike, so neither number is a
    test of significance: they say how far, not how surely.

    Args:
        before, now: scores (M,) and (N,), finite; at least one each.

    Raises:
        TooLittleFootageError: there is no score on one side.
        ValueError: a score is not finite.
    """
    median, spread = robust_spread(before)
    moved = robust_spread(now)[0] - median
    statistic = kolmogorov_smirnov(before, now)
    shift = moved / spread if spread > 0 else float(np.copysign(np.inf, moved)) if moved else 0.0
    return ScoreDrift(statistic, shift, len(before), len(now))


def kolmogorov_smirnov(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The largest difference between the shares of two samples at or below any value: 0 … 1.

    >>> kolmogorov_smirnov(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.5

    Raises:
        ValueError: a sample is empty or has a value that is not finite.
    """
    for sample in (one, other):
        if not len(sample) or not np.isfinite(sample).all():
            raise ValueError("two samples of at least one finite value each are compared")
    values = np.unique(np.concatenate([one, other]))
    shares = [np.searchsorted(np.sort(sample), values, side="right") / len(sample) for sample in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())
