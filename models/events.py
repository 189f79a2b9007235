"""Scores become events: smoothing, threshold with hysteresis, minimum run, gap merge.

All of it happens in time, not in rows: snippets may overlap, have gaps and come in any order.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError, UnknownNameError

Smoothing = Literal["mean", "median"]
Times = NDArray[np.int64]
Rows = NDArray[np.int64]

MEDIAN_CELLS = 4_000_000


@dataclass(frozen=True)
class EventRule:
    """When scores are an event.

    Attributes:
        threshold: a snippet is anomalous if its smoothed score is above it (not at it, so that a threshold taken from
            normal scores does not alarm on them).
        low_threshold: at most `threshold`; an event reaches as far as the smoothed score stays above it. None: the
            threshold itself, no hysteresis.
        minimum_count: snippets (cuboids) in a row above `threshold` that an event needs: λ in cuboids, at least 1.
        minimum_s: length that an event needs after merging: λ in seconds.
        merge_gap_s: events no further apart than this are one; also the longest hole between snippets, in seconds, that
            neither ends an event nor stops the smoothing. With samples that do not touch, at least their distance.
        smooth_s: length of the centred window in seconds; 0 smooths nothing.
        smoothing: `mean` or `median` over the window.
    """

    threshold: float
    low_threshold: float | None = None
    minimum_count: int = 1
    minimum_s: float = 0.0
    merge_gap_s: float = 0.0
    smooth_s: float = 0.0
    smoothing: Smoothing = "mean"

    def __post_init__(self) -> None:
        if math.isnan(self.threshold) or not self.low <= self.threshold:
            raise ConfigurationError(f"low_threshold is at most threshold, got {self.low} and {self.threshold}")
        if self.minimum_count < 1:
            raise ConfigurationError(f"minimum_count is at least 1, got {self.minimum_count}")
        for name, seconds in (
            ("minimum_s", self.minimum_s),
            ("merge_gap_s", self.merge_gap_s),
            ("smooth_s", self.smooth_s),
        ):
            if not 0 <= seconds < math.inf:
                raise ConfigurationError(f"{name} is at least 0 and finite, got {seconds}")
        if self.smoothing not in get_args(Smoothing):
            raise UnknownNameError("smoothing", self.smoothing, get_args(Smoothing))

    @property
    def low(self) -> float:
        """The low threshold in use."""
        return self.threshold if self.low_threshold is None else self.low_threshold

    @property
    def merge_gap_us(self) -> int:
        return round(self.merge_gap_s * 1e6)

    @property
    def hysteresis(self) -> float:
        """threshold - low, at least 0; 0 where both are infinite."""
        if self.low_threshold is None or self.low_threshold == self.threshold:
            return 0.0
        return self.threshold - self.low_threshold

    def at(self, threshold: float) -> "EventRule":
        """The same rule at another threshold; the low threshold keeps its distance."""
        low = None if self.low_threshold is None else threshold - self.hysteresis
        return replace(self, threshold=threshold, low_threshold=low)


@dataclass(frozen=True)
class Event:
    """A span [from_us, to_us) of anomalous footage, in microseconds on the camera's clock.

    Attributes:
        peak_us: midpoint of the peak snippet.
        peak_score: its smoothed score, the highest of the event; of equal ones the highest before smoothing, then the
            earliest.
        peak_index: its row in the scores as they were given.
        first_index, last_index: rows of the event's first and last snippet; where the scores were given in time order,
            the event's snippets are first_index … last_index.
    """

    from_us: int
    to_us: int
    peak_us: int
    peak_score: float
    peak_index: int
    first_index: int
    last_index: int

    def __post_init__(self) -> None:
        if not self.from_us <= self.peak_us < self.to_us:
            raise ValueError(f"an event holds its peak (from_us <= peak_us < to_us): {self}")


@dataclass(frozen=True, eq=False)
class ScoredSpans:
    """Scores of one camera (and region) over a night or a day, in any order.

    Attributes:
        from_us: int64 (N,), start of each snippet in microseconds.
        to_us: int64 (N,), end of each snippet, exclusive, after its start.
        scores: floating (N,), finite.
    """

    from_us: Times
    to_us: Times
    scores: NDArray[Any]

    def __post_init__(self) -> None:
        shapes = {self.from_us.shape, self.to_us.shape, self.scores.shape}
        if len(shapes) != 1 or self.scores.ndim != 1:
            raise ValueError(f"from_us, to_us and scores have one shape (N,), got {sorted(shapes)}")
        if not (self.from_us < self.to_us).all():
            raise ValueError("every snippet ends after it starts (from_us < to_us)")
        if not np.isfinite(self.scores).all():
            raise ValueError("scores are finite")

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, eq=False)
class ScoreSeries:
    """Scores in order of their midpoints, smoothed, cut into stretches at holes; what an event rule looks at.

    Attributes:
        rows: int64 (N,), row of the input for each place of the series.
        from_us, to_us, raw: the input in that order.
        smoothed: float64 (N,).
        opens: bool (N,), True where a stretch begins.
    """

    rows: Rows
    from_us: Times
    to_us: Times
    raw: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    opens: NDArray[np.bool_]

    @classmethod
    def of(cls, spans: ScoredSpans, rule: EventRule) -> Self:
        """Sort, cut and smooth; `rule` gives gap and window, its thresholds do not matter here."""
        scores = spans.scores.astype(np.float64)
        rows = np.lexsort((scores, spans.from_us, spans.from_us + spans.to_us)).astype(np.int64)
        from_us, to_us, raw = spans.from_us[rows], spans.to_us[rows], scores[rows]
        opens = _apart(from_us, to_us, rule.merge_gap_us)
        smoothed = _smooth(from_us + to_us, raw, opens, round(rule.smooth_s * 1e6), rule.smoothing)
        return cls(rows, from_us, to_us, raw, smoothed, opens)

    def bounds(self, rule: EventRule) -> tuple[Rows, Rows]:
        """First and last place in the series of every event under `rule`'s thresholds and minima."""
        first, last = _runs(self.smoothed > rule.low, self.opens)
        core_first, core_last = _runs(self.smoothed > rule.threshold, self.opens)
        long_enough = core_last - core_first + 1 >= rule.minimum_count
        kept = np.unique(np.searchsorted(first, core_first[long_enough], side="right") - 1)
        first, last = first[kept], last[kept]
        if len(first) == 0:
            return first, last
        from_us = _over(np.minimum, self.from_us, first, last)
        to_us = _over(np.maximum, self.to_us, first, last)
        opens = np.flatnonzero(_apart(from_us, to_us, rule.merge_gap_us))
        ends = np.append(opens[1:], len(first)) - 1
        length_us = _over(np.maximum, to_us, opens, ends) - _over(np.minimum, from_us, opens, ends)
        lasting = length_us >= round(rule.minimum_s * 1e6)
        return first[opens][lasting], last[ends][lasting]

    def event(self, first: int, last: int) -> Event:
        """The event from place `first` to place `last`, inclusive."""
        within = slice(first, last + 1)
        places = np.arange(first, last + 1)
        peak = int(places[np.lexsort((-places, self.raw[within], self.smoothed[within]))[-1]])
        return Event(
            from_us=int(self.from_us[within].min()),
            to_us=int(self.to_us[within].max()),
            peak_us=int(self.from_us[peak] + self.to_us[peak]) // 2,
            peak_score=float(self.smoothed[peak]),
            peak_index=int(self.rows[peak]),
            first_index=int(self.rows[first]),
            last_index=int(self.rows[last]),
        )


def find_events(from_us: Times, to_us: Times, scores: NDArray[Any], rule: EventRule) -> list[Event]:
    """Find the events of one camera.

    1. Snippets are put in order of their midpoints. A hole longer than `merge_gap_s` in what they cover cuts them into
       stretches; nothing below reaches across one.
    2. Each score becomes the mean or median of the scores whose midpoints lie within ± smooth_s / 2 of its own. Near
       the ends of a stretch the window shrinks on both sides alike, so that smoothing never shifts a peak in time.
    3. A run of snippets above the low threshold that holds at least `minimum_count` snippets in a row above the
       threshold is an event from its first snippet's start to its last one's end.
    4. Events no further apart than `merge_gap_s` are merged, then those shorter than `minimum_s` are dropped.

    Args:
        from_us: int64 (N,), start of each snippet in microseconds.
        to_us: int64 (N,), end of each snippet, exclusive.
        scores: floating (N,), finite; higher = more anomalous.
        rule: when scores are an event.

    Returns:
        Events in time order, disjoint and more than `merge_gap_s` apart. They do not depend on the order of the rows.

    Raises:
        ValueError: shapes differ, a span is empty or a score is not finite.
    """
    series = ScoreSeries.of(ScoredSpans(from_us, to_us, scores), rule)
    return [series.event(int(first), int(last)) for first, last in zip(*series.bounds(rule), strict=True)]


def speaks_until(from_us: Times, to_us: Times, reach_us: int) -> Times:
    """int64 (N,): until when each sample speaks: up to the next one, but no further than it reaches.

    A sampled picture lasts a fraction of a second and stands for the time to the next sample. Where none follows within
    the reach, it stands for the usual distance of samples, or the reach if that is shorter. A span that lasts longer
    than all that, as snippets do, keeps its own end.

    Args:
        from_us, to_us: int64 (N,), spans in order of their start.
        reach_us: longest time that a sample speaks for, in microseconds.
    """
    steps = np.diff(from_us)
    usual_us = min(int(np.median(steps)), reach_us) if len(steps) else reach_us
    following = np.append(from_us[1:], from_us[-1:] + reach_us + 1)
    alone = following - from_us > reach_us
    return np.asarray(np.maximum(to_us, np.where(alone, from_us + usual_us, following)), dtype=np.int64)


def _apart(from_us: Times, to_us: Times, gap_us: int) -> NDArray[np.bool_]:
    """True where nothing before comes within `gap_us` of anything from here on; the first place is True."""
    reached = np.maximum.accumulate(to_us[:-1])
    resumed = np.minimum.accumulate(from_us[:0:-1])[::-1]
    return np.append(np.ones(min(1, len(from_us)), dtype=np.bool_), resumed - reached > gap_us)


def _runs(flags: NDArray[np.bool_], opens: NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """First and last place of each maximal run of True that crosses no opening."""
    before = np.append(False, flags[:-1])[: len(flags)] & ~opens
    after = np.append(before[1:] & flags[1:], False)[: len(flags)]
    return np.flatnonzero(flags & ~before), np.flatnonzero(flags & ~after)


def _over(ufunc: np.ufunc, values: NDArray[Any], first: Rows, last: Rows) -> NDArray[Any]:
    """`ufunc` reduced over values[first … last], each range by itself; ranges may overlap, none is empty."""
    padded = np.append(values, values[-1:])
    return np.asarray(ufunc.reduceat(padded, np.stack([first, last + 1], axis=1).ravel())[::2])


def _smooth(
    centres: Times, scores: NDArray[np.float64], opens: NDArray[np.bool_], window: int, how: Smoothing
) -> NDArray[np.float64]:
    """Centred moving mean or median over ± `window`; `centres` are from_us + to_us, twice the midpoints."""
    if window == 0 or len(scores) == 0:
        return scores
    stretch = np.cumsum(opens) - 1
    starts = np.flatnonzero(opens)
    ends = np.append(starts[1:], len(scores)) - 1
    to_edge = np.minimum(centres - centres[starts][stretch], centres[ends][stretch] - centres)
    reach = np.minimum(window, to_edge)
    first = np.searchsorted(centres, centres - reach, side="left")
    last = np.searchsorted(centres, centres + reach, side="right") - 1
    if how == "median":
        return _medians(scores, first, last)
    means = _over(np.add, scores, first, last) / (last - first + 1)
    # A mean is rounded; held between its window's extremes it leaves a constant score as it is.
    lowest, highest = _over(np.minimum, scores, first, last), _over(np.maximum, scores, first, last)
    return np.asarray(np.clip(means, lowest, highest))


def _medians(scores: NDArray[np.float64], first: Rows, last: Rows) -> NDArray[np.float64]:
    width = int((last - first).max()) + 1
    step = max(1, MEDIAN_CELLS // width)
    medians = np.empty_like(scores)
    for start in range(0, len(scores), step):
        low, high = first[start : start + step], last[start : start + step]
        places = low[:, None] + np.arange(width)
        inside = places <= high[:, None]
        window = np.sort(np.where(inside, scores[np.minimum(places, len(scores) - 1)], np.inf), axis=1)
        row, size = np.arange(len(low)), high - low + 1
        lower, upper = window[row, (size - 1) // 2], window[row, size // 2]
        medians[start : start + step] = lower + (upper - lower) / 2
    return medians
