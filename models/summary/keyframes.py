"""Which sampled picture stands for a segment."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.summary.segments import Rows, Times

BLACK_LUMINANCE = 16.0
"""Video black: studio range puts it at 16 of 255."""
DAY_BLUR_SHARE = 0.2
"""Share of the day's usual sharpness below which a picture is blurred: the rule of `footage.health`, so that a camera that is
softer by night than by day still has keyframes."""
BLUR_SHARE = 0.5
"""Share of the sharpest near by below which a picture is blurred."""
NEAR_PEAK_SHARE = 0.9


def least_sharpness(
    sharpness: NDArray[Any], luminance: NDArray[Any], black_luminance: float = BLACK_LUMINANCE
) -> float:
    """Sharpness below which a picture of a camera's day is blurred: a fifth of the median of its lit pictures.

    Args:
        sharpness: (N,), variance of the Laplacian of each sampled picture, at least 0.
        luminance: (N,), mean grey, 0 to 255; lit is above `black_luminance`.

    Returns:
        In the unit of `sharpness`; 0 where no picture is lit.
    """
    lit = sharpness[luminance > black_luminance]
    return DAY_BLUR_SHARE * float(np.median(lit)) if len(lit) else 0.0


def choose_keyframes(
    t_us: Times,
    sharpness: NDArray[Any],
    luminance: NDArray[Any],
    scores: NDArray[Any],
    firsts: Rows,
    lasts: Rows,
    *,
    least_sharpness: float,
    black_luminance: float = BLACK_LUMINANCE,
) -> Rows:
    """Choose the picture that stands for each segment: the sharpest near the peak, never a black or blurred one.

    Black pictures (luminance at most `black_luminance`) and blurred ones (sharpness below `least_sharpness`, or below
    half of the segment's sharpest lit one) are left out. Near the peak are those left that score in the top tenth of the
    range of the segment's scores. Of equally sharp ones the one nearest in time to the highest score wins, then the
    earlier.

    Args:
        t_us: int64 (N,), times in microseconds.
        sharpness: (N,), higher = sharper, at least 0.
        luminance: (N,), mean grey, 0 to 255.
        scores: (N,), the score at each picture.
        firsts, lasts: int64 (S,), the pictures of each segment, [first, last); there may be none.
        least_sharpness: of the camera's day, see the function of that name.

    Returns:
        int64 (S,), number of each segment's picture; -1 where every one is black or blurred, or there is none.

    Raises:
        ValueError: the shapes differ.
    """
    shapes = {t_us.shape, sharpness.shape, luminance.shape, scores.shape}
    if len(shapes) != 1 or t_us.ndim != 1 or firsts.shape != lasts.shape:
        raise ValueError(
            f"keyframes are chosen from arrays of one shape (N,), got {sorted(shapes)}, "
            f"for segments of one shape (S,), got {firsts.shape} and {lasts.shape}"
        )
    counts, count = lasts - firsts, len(firsts)
    at = np.repeat(np.arange(count), counts)
    row = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts) + firsts[at]
    lit = luminance[row] > black_luminance
    at, row = at[lit], row[lit]
    sharp_enough = np.maximum(least_sharpness, BLUR_SHARE * _highest(sharpness[row], at, count, 0.0))
    usable = sharpness[row] >= sharp_enough[at]
    at, row = at[usable], row[usable]
    told = scores[row].astype(np.float64)
    high, low = _highest(told, at, count, -np.inf)[at], -_highest(-told, at, count, -np.inf)[at]
    peaks = np.flatnonzero(told == high)
    peak_us = np.zeros(count, dtype=np.int64)
    # Written from the latest to the earliest, the earliest stays.
    latest_first = peaks[np.argsort(-t_us[row[peaks]], kind="stable")]
    peak_us[at[latest_first]] = t_us[row[latest_first]]
    near = told >= low + NEAR_PEAK_SHARE * (high - low)
    at, row = at[near], row[near]
    order = np.lexsort((t_us[row], np.abs(t_us[row] - peak_us[at]), -sharpness[row], at))
    best = order[np.flatnonzero(np.diff(at[order], prepend=-1))]
    chosen = np.full(count, -1, dtype=np.int64)
    chosen[at[best]] = row[best]
    return chosen


def _highest(values: NDArray[Any], at: Rows, count: int, least: float) -> NDArray[np.float64]:
    """float64 (count,), highest of the values of each number; `least` where there is none."""
    highest = np.full(count, least)
    np.maximum.at(highest, at, values)
    return highest
