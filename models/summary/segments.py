"""A day's recordings cut into segments, the pieces that a summary is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError

Times = NDArray[np.int64]
Rows = NDArray[np.int64]
Bound = Literal["change", "cut"]
BeginsAt = Literal["recording", "length", "change", "cut"]


@dataclass(frozen=True, eq=False)
class Segments:
    """S spans [from_us, to_us) of recordings, in microseconds on the camera's clock.

    Attributes:
        recording: int64 (S,), place of the recording in the list that was cut.
        index: int64 (S,), place of the segment in its recording, from 0.
        from_us: int64 (S,).
        to_us: int64 (S,), exclusive, after `from_us`.
        begins_at: str (S,), what each begins at: `recording`, `length` (nothing: the one before was long enough),
            `change` or `cut`.
    """

    recording: Rows
    index: Rows
    from_us: Times
    to_us: Times
    begins_at: NDArray[np.str_]

    def __post_init__(self) -> None:
        shapes = {a.shape for a in (self.recording, self.index, self.from_us, self.to_us, self.begins_at)}
        if len(shapes) != 1 or self.from_us.ndim != 1:
            raise ValueError(f"segments are arrays of one shape (S,), got {sorted(shapes)}")
        if not (self.from_us < self.to_us).all():
            row = int(np.argmin(self.from_us < self.to_us))
            raise ValueError(
                "a segment ends after it starts (from_us < to_us): "
                f"segment {row} is [{self.from_us[row]}, {self.to_us[row]})"
            )
        unknown = sorted({str(one) for one in np.unique(self.begins_at)} - set(get_args(BeginsAt)))
        if unknown:
            raise ValueError(f"a segment begins at one of {', '.join(get_args(BeginsAt))}, got {', '.join(unknown)}")

    def __len__(self) -> int:
        return len(self.from_us)

    @property
    def durations_us(self) -> Times:
        """int64 (S,), at least 1."""
        return self.to_us - self.from_us

    def take(self, rows: NDArray[Any]) -> "Segments":
        """The segments of numbers or of a mask, in that order."""
        return Segments(
            self.recording[rows], self.index[rows], self.from_us[rows], self.to_us[rows], self.begins_at[rows]
        )


def cut_segments(
    recordings: Sequence[tuple[int, int]],
    length_us: int,
    minimum_us: int | None = None,
    bounds: Sequence[Sequence[tuple[int, Bound]]] | None = None,
    evenly: bool = False,
) -> Segments:
    """Cut recordings into segments, so that every microsecond is in exactly one.

    A segment crosses neither a recording's end nor a bound. What lies between two of these, a stretch, is cut into
    segments of `length_us`. The last one may be shorter; where it would be shorter than `minimum_us`, the segment
    before it takes it in. A stretch shorter than that is one segment.

    Args:
        recordings: spans [from_us, to_us) of the recordings, in any order.
        length_us: length of a segment in microseconds, at least 1.
        minimum_us: shortest last segment, 0 … `length_us`; None: half of `length_us`.
        bounds: for each recording the moments, in microseconds on the same clock, that no segment goes across, with
            what they are, in any order. A `cut` at the moment of a `change` is a cut. What is not inside the recording
            bounds nothing. None: no bounds.
        evenly: a stretch is cut into the fewest segments of at most `length_us` that differ by at most 1 us instead,
            and `minimum_us` is without effect.

    Returns:
        Segments by recording, in the order given, then by time.

    Raises:
        ConfigurationError: a length is out of range.
        ValueError: a recording ends before it starts, or the bounds are of another number of recordings.
    """
    minimum_us = length_us // 2 if minimum_us is None else minimum_us
    if length_us < 1 or not 0 <= minimum_us <= length_us:
        raise ConfigurationError(
            f"a segment's length is at least 1 us and its minimum 0 to the length, got {length_us} and {minimum_us}"
        )
    if bounds is not None and len(bounds) != len(recordings):
        raise ValueError(f"bounds are given for each of {len(recordings)} recordings, got them for {len(bounds)}")
    recording, starts, ends = [], [], []
    begins_at: list[str] = []
    for number, (from_us, to_us) in enumerate(recordings):
        if to_us < from_us:
            raise ValueError(f"recording {number} ends before it starts: [{from_us}, {to_us})")
        for start, end, what in _stretches(from_us, to_us, bounds[number] if bounds is not None else ()):
            own = _starts(start, end, length_us, None if evenly else minimum_us)
            recording.append(np.full(len(own), number, dtype=np.int64))
            starts.append(own)
            ends.append(np.append(own[1:], end))
            begins_at += [what, *["length"] * (len(own) - 1)]
    owners = _joined(recording)
    return Segments(
        recording=owners,
        index=np.arange(len(owners)) - np.searchsorted(owners, owners),
        from_us=_joined(starts),
        to_us=_joined(ends),
        begins_at=np.array(begins_at, dtype=np.str_),
    )


def overlaps(from_us: Times, to_us: Times, item_from_us: Times, item_to_us: Times) -> tuple[Rows, Rows]:
    """Pairs (span, item) of half-open spans that meet.

    Args:
        from_us, to_us: int64 (S,), the spans, in any order.
        item_from_us, item_to_us: int64 (N,), the items, in any order; they may overlap one another.

    Returns:
        int64 (P,) numbers of spans, rising, and int64 (P,) numbers of items, for each span by the item's start.
    """
    order = np.lexsort((item_to_us, item_from_us))
    reached = np.maximum.accumulate(item_to_us[order])
    first = np.searchsorted(reached, from_us, side="right")
    counts = np.maximum(np.searchsorted(item_from_us[order], to_us, side="left") - first, 0)
    at = np.repeat(np.arange(len(from_us)), counts)
    place = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts) + first[at]
    item = order[place]
    # A long item keeps `reached` high for shorter ones after it that ended before the span.
    meets = item_to_us[item] > from_us[at]
    return at[meets], item[meets]


def _stretches(from_us: int, to_us: int, bounds: Sequence[tuple[int, Bound]]) -> list[tuple[int, int, BeginsAt]]:
    """(start, end, what it begins at) between the bounds of one recording."""
    unknown = sorted({what for _, what in bounds} - set(get_args(Bound)))
    if unknown:
        raise ValueError(f"a bound is one of {', '.join(get_args(Bound))}, got {', '.join(unknown)}")
    # "cut" sorts after "change", and of equal moments the later entry of a dict stays.
    begins: dict[int, BeginsAt] = {}
    begins.update({at: what for at, what in sorted(bounds) if from_us < at < to_us})
    ends = [*begins, to_us]
    starts: list[tuple[int, BeginsAt]] = [(from_us, "recording"), *begins.items()]
    return [(start, end, what) for (start, what), end in zip(starts, ends, strict=True) if start < end]


def _starts(from_us: int, to_us: int, length_us: int, minimum_us: int | None) -> Times:
    """Where the segments of one stretch begin; no minimum: of even length."""
    if minimum_us is None:
        parts = -(-(to_us - from_us) // length_us)
        return from_us + np.arange(parts, dtype=np.int64) * (to_us - from_us) // parts
    starts = np.arange(from_us, to_us, length_us, dtype=np.int64)
    return starts[:-1] if len(starts) > 1 and to_us - starts[-1] < minimum_us else starts


def _joined(parts: Sequence[Rows]) -> Rows:
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])
