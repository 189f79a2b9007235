"""Whether a camera can be trusted.

Black, frozen and blurred stretches are told from frame statistics alone; a moved camera from its stills, each held
against one of when it looked where it should.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from footage.registration import register
from footage.statistics import Grey, measure

BLACK_LUMINANCE = 16.0
BLACK_ENTROPY_BITS = 3.0
FROZEN_MOTION = 0.02
"""Grey levels of mean change: a living sensor's noise leaves more between two samples, even after compression."""
BLURRED_SHARE = 0.2
"""Share of the camera's median sharpness below which its picture counts as blurred."""
MINIMUM_S = 3.0
MOVED_SHARE = 0.014
"""Share of the picture's width by which a corner has moved once a camera counts as moved. Unmoved cameras stay below
0.004, one that sways on its mast reaches 0.0136 (`footage.registration` says how that was measured)."""
KINDS = ("black", "frozen", "blurred", "moved")


@dataclass(frozen=True)
class HealthSpan:
    """A stretch [from_us, to_us) of a recording in which a camera was unwell; `value` is the measure that says so."""

    from_us: int
    to_us: int
    kind: str
    value: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.from_us >= self.to_us:
            raise ValueError(f"a health span is not empty and its kind one of {KINDS}, got {self}")


def examine(
    t_us: NDArray[np.int64],
    luminance: NDArray[np.float64],
    entropy_bits: NDArray[np.float64],
    sharpness: NDArray[np.float64],
    motion: NDArray[np.float64],
    *,
    usual_sharpness: float,
) -> list[HealthSpan]:
    """Find the unwell stretches of one recording.

    Args:
        t_us: int64 (N,), times of the sampled pictures, increasing; the other rows are their statistics.
        usual_sharpness: median sharpness of the camera's day, against which blur is judged.

    Returns:
        Spans of at least `MINIMUM_S` seconds, in order of time, black before frozen before blurred.
    """
    black = (luminance < BLACK_LUMINANCE) & (entropy_bits < BLACK_ENTROPY_BITS)
    # After a picture that could not be decoded there is nothing to compare with, and motion reads 0.
    steps = np.diff(t_us, prepend=t_us[:1])
    unknown = (motion == 0) & (steps > 1.5 * (np.median(steps[1:]) if len(steps) > 1 else 0.0))
    still = (motion < FROZEN_MOTION) & ~unknown
    # A picture equal to the one before it tells that both are frozen.
    frozen = (still & (np.arange(len(t_us)) > 0)) | np.append(still[1:], False)
    blurred = (sharpness < BLURRED_SHARE * usual_sharpness) & ~black
    found = [
        *_spans(t_us, black, luminance, "black"),
        *_spans(t_us, frozen & ~black, motion, "frozen"),
        *_spans(t_us, blurred, sharpness, "blurred"),
    ]
    return sorted(found, key=lambda span: (span.from_us, KINDS.index(span.kind)))


def _spans(
    t_us: NDArray[np.int64], flags: NDArray[np.bool_], values: NDArray[np.float64], kind: str
) -> list[HealthSpan]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    spans = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        until = t_us[last] if last < len(t_us) else t_us[last - 1] + 1
        if until - t_us[first] >= MINIMUM_S * 1_000_000:
            spans.append(HealthSpan(int(t_us[first]), int(until), kind, float(np.median(values[first:last]))))
    return spans


def displacement(reference: Grey, still: Grey) -> float | None:
    """How far a camera has moved since its reference was taken.

    Args:
        reference: uint8 (h, w), a still of when it looked where it should.
        still: uint8, as wide, a later one (or an earlier).

    Returns:
        The share of the picture's width by which the corner that moved most has moved; 1.0 where the two do not show
        the same; None where the still is black or blurred, so that it tells nothing.
    """
    found = register(reference, still)
    if found.matched:
        return found.shift
    told, usual = measure(still, None), measure(reference, None)
    black = told.luminance < BLACK_LUMINANCE and told.entropy_bits < BLACK_ENTROPY_BITS
    return None if black or told.sharpness < BLURRED_SHARE * usual.sharpness else 1.0


def is_moved(displaced: float | None) -> bool:
    """Whether a displacement means that the camera was moved; what is not known does not."""
    return displaced is not None and displaced > MOVED_SHARE


def moved_spans(stills: Sequence[tuple[int, int, float | None]]) -> list[HealthSpan]:
    """The stretches of one recording over which its camera was moved.

    Args:
        stills: (from_us, to_us, displacement) of each still, in order of time.

    Returns:
        A span for each run of stills without a gap between them, its value the median of their displacements.
    """
    runs: list[list[tuple[int, int, float]]] = []
    for from_us, to_us, displaced in stills:
        if displaced is None or not is_moved(displaced):
            continue
        if not runs or runs[-1][-1][1] != from_us:
            runs.append([])
        runs[-1].append((from_us, to_us, displaced))
    return [
        HealthSpan(run[0][0], run[-1][1], "moved", float(np.median([displaced for *_, displaced in run])))
        for run in runs
    ]
