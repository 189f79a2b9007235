"""Where every picture of a recording stands in time, read from its packets without decoding one.

Time inside a recording is its presentation time stamps (PTS) and nothing else: neither frame counts nor nominal rates.
Microsecond 0 is the first picture's PTS; spans are half open.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

MICROSECONDS = 1_000_000
MINIMUM_HOLD_US = 2 * MICROSECONDS

Span = tuple[int, int]


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """Presentation times and key frames of one recording.

    Attributes:
        pts: int64 (N,), strictly increasing, in `time_base` units.
        is_key: bool (N,), True where decoding can begin.
        time_base: seconds per PTS unit.
        declared_us: length the container declares, in microseconds; 0 where it declares none.
        in_decoding_order: the container stamps packets in decoding order though pictures are shown in another (H.264
            with B-frames in AVI). The times are right, but which picture is which is only known by counting.
    """

    pts: NDArray[np.int64]
    is_key: NDArray[np.bool_]
    time_base: Fraction
    declared_us: int = 0
    in_decoding_order: bool = False

    def __post_init__(self) -> None:
        if self.pts.ndim != 1 or self.pts.shape != self.is_key.shape or len(self.pts) == 0:
            raise ValueError(f"pts and is_key are equal, non-empty rows, got {self.pts.shape} and {self.is_key.shape}")
        if np.any(np.diff(self.pts) <= 0):
            raise ValueError("pts increase strictly; sort them and drop duplicates first")
        if self.time_base <= 0 or self.declared_us < 0:
            raise ValueError(f"time_base is positive, declared_us not negative: {self.time_base}, {self.declared_us}")

    def __len__(self) -> int:
        return len(self.pts)

    @cached_property
    def t_us(self) -> NDArray[np.int64]:
        """int64 (N,), microseconds since the first picture."""
        seconds, rest = np.divmod((self.pts - self.pts[0]) * self.time_base.numerator, self.time_base.denominator)
        rounded = (rest * MICROSECONDS + self.time_base.denominator // 2) // self.time_base.denominator
        return np.asarray(seconds * MICROSECONDS + rounded, dtype=np.int64)

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """int64 (K,), indices of the key frames."""
        return np.flatnonzero(self.is_key).astype(np.int64)

    @cached_property
    def interval_us(self) -> int:
        """Median time between pictures; 0 for a single picture."""
        return 0 if len(self) < 2 else int(np.median(np.diff(self.t_us)))

    @property
    def hold_us(self) -> int:
        """Longest time a picture is taken to be on display; a longer wait for the next one is a hole."""
        return max(MINIMUM_HOLD_US, 3 * self.interval_us)

    @property
    def extent_us(self) -> int:
        """End of the last picture there is."""
        return int(self.t_us[-1]) + max(self.interval_us, 1)

    @property
    def is_cut_short(self) -> bool:
        """Whether the container declares clearly more than its packets hold."""
        return self.declared_us > self.extent_us + max(self.hold_us, self.extent_us // 50)

    @property
    def duration_us(self) -> int:
        """Recorded time to account for: what is there, or what is declared where that is clearly more."""
        return self.declared_us if self.is_cut_short else self.extent_us

    @property
    def rate_hz(self) -> float:
        """Mean pictures per second."""
        return len(self) / (self.extent_us / MICROSECONDS)

    @property
    def is_variable_rate(self) -> bool:
        """Whether any interval is off the median by more than a tenth (and by more than the clock's grain)."""
        grain_us = float(self.time_base) * MICROSECONDS
        steps = np.diff(self.t_us)
        return bool(np.any(np.abs(steps - self.interval_us) > max(0.1 * self.interval_us, 1.5 * grain_us)))

    def holes(self) -> list[Span]:
        """Spans in microseconds without a picture on display, the missing tail of a cut recording included."""
        starts = self.t_us + self.hold_us
        wide = np.flatnonzero(np.diff(self.t_us) > self.hold_us)
        spans = [(int(starts[i]), int(self.t_us[i + 1])) for i in wide]
        if self.is_cut_short:
            spans.append((self.extent_us, self.declared_us))
        return spans

    def on_display(self, at_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of the picture shown at each time; -1 where none is.

        Args:
            at_us: int64, any shape, microseconds since the first picture.
        """
        shown = np.searchsorted(self.t_us, at_us, side="right") - 1
        waited = at_us - self.t_us[np.maximum(shown, 0)]
        absent = (shown < 0) | (at_us >= self.extent_us) | (waited >= self.hold_us)
        return np.where(absent, -1, shown).astype(np.int64)
