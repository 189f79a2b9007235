"""Whether a camera can be trusted: black, frozen and blurred stretches, told from frame statistics alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLACK_LUMINANCE = 16.0
BLACK_ENTROPY_BITS = 3.0
FROZEN_MOTION = 0.02
"""Grey levels of mean change: a living sensor's noise leaves more between two samples, even after compression."""
BLURRED_SHARE = 0.2
"""Share of the camera's median sharpness below which its picture counts as blurred."""
MINIMUM_S = 3.0
KINDS = ("black", "frozen", "blurred")


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
