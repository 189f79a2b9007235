"""Which segments a summary shows within its time budget, why, and which frame stands for an event."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from models.events import Event
from models.heads.neighbours import unit_length
from models.summary.segments import Segment

FINEST_GRID_US = 1000
BLACK_LUMINANCE = 16.0
BLUR_SHARE = 0.5
NEAR_PEAK_SHARE = 0.9


@dataclass(frozen=True)
class Choice:
    """A segment of the summary.

    Attributes:
        index: its place in the list of segments.
        reason: `event <rank>`, rank 1 being the event with the highest peak, or `score`.
    """

    index: int
    reason: str


@dataclass(frozen=True)
class Selection:
    """A summary.

    Attributes:
        choices: the segments shown, in time order.
        omitted_events: ranks of events of which no segment fits the budget or exists.
        duration_us: length of the summary in microseconds, at most the budget.
    """

    choices: tuple[Choice, ...]
    omitted_events: tuple[int, ...]
    duration_us: int

    @property
    def indices(self) -> tuple[int, ...]:
        return tuple(choice.index for choice in self.choices)


def select_segments(
    segments: Sequence[Segment],
    scores: NDArray[Any],
    events: Sequence[Event],
    budget_s: float,
    vectors: NDArray[np.float32] | None = None,
    maximum_cosine: float = 1.0,
) -> Selection:
    """Choose the segments of a summary.

    1. Every event gets a segment, events with higher peaks first: the one that holds its peak, or, where that does not
       fit what is left of the budget, the best-scored other one of the event that does. An event whose peak is in a
       segment already chosen needs no other.
    2. Of the rest, by falling score, those stay candidates whose cosine with every segment of step 1 and every
       candidate before is at most `maximum_cosine`.
    3. The candidates with the largest sum of scores that fit the rest of the budget are chosen: an exact knapsack. It
       counts in the greatest common divisor of the lengths, or in milliseconds, lengths rounded up, where that is
       finer.

    Equal scores: the earlier segment wins. A segment that scores 0 is only chosen for an event.

    Args:
        segments: S segments of one camera's day, disjoint.
        scores: (S,), finite, at least 0.
        events: the day's events.
        budget_s: longest summary in seconds, at least 0.
        vectors: float32 (S, D), one per segment; a nan row is like no other. None: no step 2.
        maximum_cosine: in [-1, 1]; 1: no step 2.

    Raises:
        ConfigurationError: the budget or the cosine is out of range.
        ValueError: scores or vectors do not fit the segments.
    """
    _check(segments, scores, vectors, budget_s, maximum_cosine)
    budget_us = round(budget_s * 1e6)
    best_first = sorted(range(len(segments)), key=lambda i: (-float(scores[i]), segments[i].from_us, i))
    reasons, omitted = _for_events(segments, best_first, events, budget_us)
    left_us = budget_us - sum(segments[i].duration_us for i in reasons)
    diverse = vectors if maximum_cosine < 1 else None
    candidates = _candidates(segments, scores, best_first, list(reasons), left_us, diverse, maximum_cosine)
    reasons |= dict.fromkeys(_knapsack(segments, scores, candidates, left_us), "score")
    shown = sorted(reasons, key=lambda i: (segments[i].from_us, i))
    return Selection(
        choices=tuple(Choice(i, reasons[i]) for i in shown),
        omitted_events=tuple(omitted),
        duration_us=sum(segments[i].duration_us for i in shown),
    )


def choose_keyframe(
    t_us: NDArray[np.int64],
    sharpness: NDArray[Any],
    luminance: NDArray[Any],
    scores: NDArray[Any],
    black_luminance: float = BLACK_LUMINANCE,
) -> int:
    """Choose the frame that stands for an event or a segment: the sharpest near the peak.

    Black frames (luminance at most `black_luminance`) are left out where another exists, then blurred ones (sharpness
    below half of the sharpest left). Near the peak are the frames left that score in the top tenth of the range of
    their scores. Of equally sharp ones the one nearest in time to the highest score wins, then the earlier.

    Args:
        t_us: int64 (N,), N ≥ 1, times in microseconds.
        sharpness: (N,), higher = sharper, at least 0.
        luminance: (N,), mean grey, 0 to 255.
        scores: (N,), the score at each frame.
        black_luminance: video black is 16.

    Returns:
        Row of the frame.

    Raises:
        ValueError: there is no frame, or the shapes differ.
    """
    shapes = {t_us.shape, sharpness.shape, luminance.shape, scores.shape}
    if len(shapes) != 1 or t_us.ndim != 1 or len(t_us) == 0:
        raise ValueError(f"a keyframe is chosen from arrays of one shape (N,) with N at least 1, got {sorted(shapes)}")
    rows = np.arange(len(t_us))
    lit = rows[luminance > black_luminance]
    usable = lit if len(lit) else rows
    usable = usable[sharpness[usable] >= BLUR_SHARE * sharpness[usable].max()]
    told = scores[usable].astype(np.float64)
    near = usable[told >= told.min() + NEAR_PEAK_SHARE * (told.max() - told.min())]
    peak_us = int(t_us[usable][np.lexsort((t_us[usable], -told))[0]])
    order = np.lexsort((t_us[near], np.abs(t_us[near] - peak_us), -sharpness[near]))
    return int(near[order[0]])


def _for_events(
    segments: Sequence[Segment], best_first: Sequence[int], events: Sequence[Event], budget_us: int
) -> tuple[dict[int, str], list[int]]:
    """Reasons by segment, and ranks of the events left out."""
    reasons: dict[int, str] = {}
    omitted = []
    left_us = budget_us
    for rank, event in enumerate(sorted(events, key=lambda e: (-e.peak_score, e.from_us, e.to_us)), start=1):
        showing = [i for i in best_first if segments[i].from_us < event.to_us and segments[i].to_us > event.from_us]
        showing.sort(key=lambda i: not segments[i].from_us <= event.peak_us < segments[i].to_us)
        if showing and showing[0] in reasons:
            continue
        fitting = (i for i in showing if i not in reasons and segments[i].duration_us <= left_us)
        chosen = next(fitting, None)
        if chosen is not None:
            reasons[chosen] = f"event {rank}"
            left_us -= segments[chosen].duration_us
        elif not any(i in reasons for i in showing):
            omitted.append(rank)
    return reasons, omitted


def _candidates(
    segments: Sequence[Segment],
    scores: NDArray[Any],
    best_first: Sequence[int],
    shown: Sequence[int],
    budget_us: int,
    vectors: NDArray[np.float32] | None,
    maximum_cosine: float,
) -> list[int]:
    """Segments worth the knapsack, best first: diverse, and no more of one length than the budget holds."""
    unit = None if vectors is None else unit_length(vectors)
    barred = np.zeros(len(segments), dtype=np.bool_)

    def bar(chosen: int) -> None:
        barred[chosen] = True
        if unit is not None:
            np.logical_or(barred, unit @ unit[chosen] > maximum_cosine, out=barred)

    for chosen in shown:
        bar(chosen)
    room: dict[int, int] = {}
    kept = []
    for i in best_first:
        length_us = segments[i].duration_us
        if scores[i] <= 0 or barred[i] or room.setdefault(length_us, budget_us // length_us) == 0:
            continue
        room[length_us] -= 1
        kept.append(i)
        bar(i)
    return kept


def _knapsack(
    segments: Sequence[Segment], scores: NDArray[Any], candidates: Sequence[int], budget_us: int
) -> list[int]:
    """The candidates, given best first, with the largest sum of scores within the budget.

    Of segments of one length the best come first, so the only question is how many of each length: a table by length
    and capacity instead of by segment and capacity.
    """
    if not candidates:
        return []
    common = math.gcd(*(segments[i].duration_us for i in candidates))
    grid = max(common, FINEST_GRID_US)
    capacity = budget_us // grid
    groups: dict[int, list[int]] = {}
    for i in candidates:
        groups.setdefault(-(-segments[i].duration_us // grid), []).append(i)
    best = np.zeros(capacity + 1)
    taken = []
    for length, members in groups.items():
        best, counts = _with_group(best, length, np.cumsum([float(scores[i]) for i in members]))
        taken.append(counts)
    chosen: list[int] = []
    for (length, members), counts in zip(reversed(groups.items()), reversed(taken), strict=True):
        count = int(counts[capacity])
        chosen += members[:count]
        capacity -= count * length
    return chosen


def _with_group(
    best: NDArray[np.float64], length: int, sums: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The table after a group of segments of one length, and how many of them each capacity takes."""
    extended, counts = best.copy(), np.zeros(len(best), dtype=np.int32)
    for count in range(1, min(len(sums), (len(best) - 1) // length) + 1):
        reached = best[: len(best) - count * length] + sums[count - 1]
        better = reached > extended[count * length :]
        extended[count * length :][better] = reached[better]
        counts[count * length :][better] = count
    return extended, counts


def _check(
    segments: Sequence[Segment],
    scores: NDArray[Any],
    vectors: NDArray[np.float32] | None,
    budget_s: float,
    maximum_cosine: float,
) -> None:
    if not 0 <= budget_s < math.inf:
        raise ConfigurationError(f"budget_s is at least 0 and finite, got {budget_s}")
    if not -1 <= maximum_cosine <= 1:
        raise ConfigurationError(f"maximum_cosine is in [-1, 1], got {maximum_cosine}")
    if scores.shape != (len(segments),) or not np.isfinite(scores).all() or (scores < 0).any():
        raise ValueError(f"scores are finite, at least 0 and one per segment ({len(segments)}), got {scores.shape}")
    if vectors is not None and (vectors.ndim != 2 or len(vectors) != len(segments)):
        raise ValueError(f"vectors are one per segment ({len(segments)}), got {vectors.shape}")
