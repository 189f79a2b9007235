"""From scores of some frames to a curve over all of them: gaps filled, smoothed by one fixed window in time."""

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

REACH = 3.0
"""Standard deviations at which the window ends."""


def fill(times: Times, scored: NDArray[np.int64], scores: NDArray[np.floating]) -> Floats:
    """Give every frame a score: linear in time between the nearest frames that have one, the nearest one's at the ends.

    Args:
        times: int64 (N,), when each frame is shown, rising.
        scored: int64 (M,), the frames that have a score, rising, M ≥ 1.
        scores: (M,).

    Returns:
        float64 (N,).
    """
    if not len(scored):
        raise ValueError("at least one frame has a score")
    return np.interp(times, times[scored], scores.astype(np.float64))


def smooth(times: Times, scores: Floats, deviation_s: float) -> Floats:
    """Mean weighted by a Gaussian in time around each frame (Nadaraya and Watson), cut off at three deviations.

    The weights of the frames there are sum to 1, also near the ends, at a variable rate and beside a hole; so a constant
    stays what it is.

    Args:
        times: int64 (N,), microseconds, rising.
        scores: float64 (N,).
        deviation_s: of the Gaussian, in seconds; 0 smooths nothing.

    Raises:
        ConfigurationError: the deviation is negative or not finite.
    """
    if not 0 <= deviation_s < np.inf:
        raise ConfigurationError(f"smoothing is at least 0 s and finite, got {deviation_s}")
    deviation_us = deviation_s * 1e6
    if deviation_us == 0 or len(times) < 2:
        return scores.copy()
    reached = np.searchsorted(times, times + REACH * deviation_us, side="right") - 1 - np.arange(len(times))
    summed, weights = scores.copy(), np.ones(len(times))
    for step in range(1, int(reached.max()) + 1):
        apart = (times[step:] - times[:-step]) / deviation_us
        weight = np.where(apart <= REACH, np.exp(-(apart**2) / 2), 0.0)
        summed[step:] += weight * scores[:-step]
        summed[:-step] += weight * scores[step:]
        weights[step:] += weight
        weights[:-step] += weight
    return summed / weights
