"""Which pictures of a recording are looked at.

Sampling is anchored to the recording's own start, never to a shard's, so that however a recording is split the same
pictures are chosen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from footage.index import MICROSECONDS, FrameIndex, Span
from infra.settings import AtRate, EveryNth, KeyFrames

Indices = NDArray[np.int64]


def grid_us(step_s: float, end_us: int) -> NDArray[np.int64]:
    """Times 0, step, 2·step … below `end_us`, each rounded by itself so that error never adds up."""
    count = int(np.ceil(end_us / (step_s * MICROSECONDS) - 1e-9))
    return np.asarray(np.rint(np.arange(max(count, 0)) * step_s * MICROSECONDS), dtype=np.int64)


def sample(index: FrameIndex, policy: EveryNth | AtRate | KeyFrames) -> Indices:
    """Indices of the sampled pictures, increasing, without repetition.

    A rate takes the picture on display at every grid time; times without one (holes) give none.
    """
    match policy:
        case EveryNth(n=n):
            return np.arange(0, len(index), n, dtype=np.int64)
        case AtRate(rate_hz=rate_hz):
            shown = index.on_display(grid_us(1.0 / rate_hz, index.extent_us))
            return np.unique(shown[shown >= 0])
        case KeyFrames():
            return index.keys


@dataclass(frozen=True, eq=False)
class Snippets:
    """Runs of pictures that are embedded together.

    Attributes:
        frames: int64 (K, T), indices of the pictures; a picture is repeated where it stays on display.
        from_us, to_us: int64 (K,), the span each snippet speaks for.
    """

    frames: Indices
    from_us: NDArray[np.int64]
    to_us: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not len(self.frames) == len(self.from_us) == len(self.to_us):
            raise ValueError("frames, from_us and to_us have one row per snippet")
        if np.any(self.from_us >= self.to_us):
            raise ValueError("a snippet's span is not empty")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def anchors(self) -> Indices:
        """int64 (K,), the first picture of each snippet."""
        return self.frames[:, 0]


def snippets(index: FrameIndex, *, frames: int, rate_hz: float, stride_s: float) -> Snippets:
    """Snippets that begin every `stride_s` seconds and take `frames` pictures at `rate_hz`.

    A snippet with a hole in it is left out. One that runs past the recording's end is kept when at least half of its
    pictures are there; the last picture stays on display for the rest, and its span ends with the recording.
    """
    starts = grid_us(stride_s, index.extent_us)
    offsets = np.rint(np.arange(frames) * (MICROSECONDS / rate_hz)).astype(np.int64)
    times = starts[:, None] + offsets[None, :]
    inside = times < index.extent_us
    # Past the end, the last picture stays on display.
    shown = index.on_display(np.where(inside, times, index.t_us[-1]))
    whole = np.all(shown >= 0, axis=1) & (inside.sum(axis=1) * 2 >= frames)
    ends = np.minimum(starts + round(frames / rate_hz * MICROSECONDS), index.extent_us)
    return Snippets(shown[whole], starts[whole], ends[whole])


@dataclass(frozen=True)
class Shard:
    """A slice of a recording that is decoded by itself: pictures [first, last), beginning at a key frame."""

    number: int
    first: int
    last: int

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.last:
            raise ValueError(f"a shard holds pictures: 0 <= first < last, got [{self.first}, {self.last})")

    def owns(self, indices: Indices) -> NDArray[np.bool_]:
        """bool, which of `indices` lie in this shard."""
        return (indices >= self.first) & (indices < self.last)


def shards(index: FrameIndex, span_s: float) -> list[Shard]:
    """Cut a recording at key frames into slices of about `span_s` seconds that together hold every picture once."""
    span_us = max(
        1, round(span_s * MICROSECONDS)
    )  # of no length, the first key frame would end the shard that it begins
    firsts = [0]
    for key in index.keys:
        if index.t_us[key] - index.t_us[firsts[-1]] >= span_us:
            firsts.append(int(key))
    lasts = [*firsts[1:], len(index)]
    return [Shard(number, first, last) for number, (first, last) in enumerate(zip(firsts, lasts, strict=True))]


@dataclass(frozen=True)
class CoverageSpan:
    """What became of a span of a recording; `state` is analysed, skipped, corrupt or missing."""

    from_us: int
    to_us: int
    state: str
    reason: str

    def __post_init__(self) -> None:
        if self.state not in STATES or self.from_us >= self.to_us:
            raise ValueError(f"a coverage span is not empty and its state one of {STATES}, got {self}")


STATES = ("analysed", "skipped", "corrupt", "missing")


def coverage(
    index: FrameIndex, shard: Shard, sampled: Indices, delivered: NDArray[np.bool_], reach_us: int
) -> list[CoverageSpan]:
    """Account for every microsecond of a shard, exactly once.

    Args:
        index: of the whole recording.
        shard: the slice to account for; the last one also answers for the missing tail.
        sampled: int64 (S,), pictures of the shard that the policy asked for, increasing.
        delivered: bool (S,), which of them could be decoded.
        reach_us: time after its own that a sampled picture speaks for.

    Returns:
        Adjoining spans in order of time, from the shard's first picture to the next shard's (or to the recording's
        end): a span speaks for its sampled picture, up to `reach_us`; time beyond that, or before the first sampled
        picture, is skipped; time with no picture on display is missing.
    """
    start = int(index.t_us[shard.first])
    end = int(index.t_us[shard.last]) if shard.last < len(index) else index.duration_us
    times = [*(int(at) for at in index.t_us[sampled]), end]
    spans = [(start, times[0], "skipped", "between samples")]
    for position, good in enumerate(delivered):
        at, until = times[position], times[position + 1]
        reached = min(at + reach_us, until)
        spans.append((at, reached, *(("analysed", "") if good else ("corrupt", "cannot be decoded"))))
        spans.append((reached, until, "skipped", "between samples"))
    holes = [(max(a, start), min(b, end)) for a, b in index.holes() if a < end and b > start]
    return _merge(_carve([CoverageSpan(*span) for span in spans if span[0] < span[1]], holes))


def _carve(spans: list[CoverageSpan], holes: list[Span]) -> list[CoverageSpan]:
    """Overwrite the holes as missing."""
    for hole_from, hole_to in holes:
        kept: list[CoverageSpan] = []
        for span in spans:
            if span.from_us < hole_from:
                kept.append(CoverageSpan(span.from_us, min(span.to_us, hole_from), span.state, span.reason))
            if span.to_us > hole_to:
                kept.append(CoverageSpan(max(span.from_us, hole_to), span.to_us, span.state, span.reason))
        kept = [span for span in kept if span.from_us < span.to_us]
        kept.append(CoverageSpan(hole_from, hole_to, "missing", "no pictures in the file"))
        spans = sorted(kept, key=lambda span: span.from_us)
    return spans


def _merge(spans: list[CoverageSpan]) -> list[CoverageSpan]:
    merged: list[CoverageSpan] = []
    for span in spans:
        last = merged[-1] if merged else None
        if last is not None and (last.state, last.reason, last.to_us) == (span.state, span.reason, span.from_us):
            span = CoverageSpan(merged.pop().from_us, span.to_us, span.state, span.reason)
        merged.append(span)
    return merged
