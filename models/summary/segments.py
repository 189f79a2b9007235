"""A day's recordings cut into segments, the pieces that a summary is made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.errors import ConfigurationError


@dataclass(frozen=True)
class Segment:
    """A span [from_us, to_us) of one recording, in microseconds on the camera's clock.

    Attributes:
        recording_index: place of the recording in the list that was cut.
        index: place of the segment in its recording, from 0.
    """

    recording_index: int
    index: int
    from_us: int
    to_us: int

    def __post_init__(self) -> None:
        if not self.from_us < self.to_us:
            raise ValueError(f"a segment ends after it starts (from_us < to_us): {self}")

    @property
    def duration_us(self) -> int:
        return self.to_us - self.from_us


def cut_segments(recordings: Sequence[tuple[int, int]], length_us: int, minimum_us: int | None = None) -> list[Segment]:
    """Cut recordings into segments of equal length, so that every microsecond is in exactly one.

    A segment never crosses a recording. The last one of a recording may be shorter; where it would be shorter than
    `minimum_us`, the segment before it takes it in. A recording shorter than that is one segment.

    Args:
        recordings: spans [from_us, to_us) of the recordings, in any order.
        length_us: length of a segment in microseconds, at least 1.
        minimum_us: shortest last segment, 0 … `length_us`; None: half of `length_us`.

    Returns:
        Segments by recording, in the order given, then by time.

    Raises:
        ConfigurationError: a length is out of range.
        ValueError: a recording ends before it starts.
    """
    minimum_us = length_us // 2 if minimum_us is None else minimum_us
    if length_us < 1 or not 0 <= minimum_us <= length_us:
        raise ConfigurationError(
            f"a segment's length is at least 1 us and its minimum 0 to the length, got {length_us} and {minimum_us}"
        )
    segments = []
    for recording_index, (from_us, to_us) in enumerate(recordings):
        if to_us < from_us:
            raise ValueError(f"recording {recording_index} ends before it starts: [{from_us}, {to_us})")
        starts = list(range(from_us, to_us, length_us))
        if len(starts) > 1 and to_us - starts[-1] < minimum_us:
            starts.pop()
        ends = [*starts[1:], to_us]
        segments += [
            Segment(recording_index, index, start, end)
            for index, (start, end) in enumerate(zip(starts, ends, strict=False))
        ]
    return segments
