"""Which sampled picture stands for a segment or an event."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.summary.segments import Times

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


def choose_keyframe(
    t_us: Times,
    sharpness: NDArray[Any],
    luminance: NDArray[Any],
    scores: NDArray[Any],
    *,
    least_sharpness: float,
    black_luminance: float = BLACK_LUMINANCE,
) -> int | None:
    """Choose the picture that stands for an event or a segment: the sharpest near the peak, never a black or blurred one.

    Black pictures (luminance at most `black_luminance`) and blurred ones (sharpness below `least_sharpness`, or below
    half of the sharpest lit one) are left out. Near the peak are those left that score in the top tenth of the range of
    their scores. Of equally sharp ones the one nearest in time to the highest score wins, then the earlier.

    Args:
        t_us: int64 (N,), times in microseconds.
        sharpness: (N,), higher = sharper, at least 0.
        luminance: (N,), mean grey, 0 to 255.
        scores: (N,), the score at each picture.
        least_sharpness: of the camera's day, see the function of that name.

    Returns:
        Row of the picture; None where every one is black or blurred, or there is none.

    Raises:
        ValueError: the shapes differ.
    """
    shapes = {t_us.shape, sharpness.shape, luminance.shape, scores.shape}
    if len(shapes) != 1 or t_us.ndim != 1:
        raise ValueError(f"a keyframe is chosen from arrays of one shape (N,), got {sorted(shapes)}")
    lit = np.flatnonzero(luminance > black_luminance)
    sharp_enough = max(least_sharpness, BLUR_SHARE * float(sharpness[lit].max(initial=0)))
    usable = lit[sharpness[lit] >= sharp_enough]
    if not len(usable):
        return None
    told = scores[usable].astype(np.float64)
    near = usable[told >= told.min() + NEAR_PEAK_SHARE * (told.max() - told.min())]
    peak_us = int(t_us[usable][np.lexsort((t_us[usable], -told))[0]])
    order = np.lexsort((t_us[near], np.abs(t_us[near] - peak_us), -sharpness[near]))
    return int(near[order[0]])
