"""Which segments a summary shows within its time budget, and why."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from models.summary.candidates import Looks, best_first, gather_candidates
from models.summary.knapsack import fill_budget
from models.summary.segments import Rows, Segments, Times, overlaps

SCORE = "score"


@dataclass(frozen=True)
class EventSpan:
    """An event [from_us, to_us) in microseconds on the camera's clock.

    Attributes:
        name: what its segment is shown for: head and rank, as `novelty 1`.
        event_id: its id.
        peak_us: its peak, inside it.
        recording: the recording it was found in, by its number in `Segments.recording`; None: it is not known, or none of
            its segments is there.
    """

    name: str
    event_id: str
    from_us: int
    to_us: int
    peak_us: int
    recording: int | None = None

    def __post_init__(self) -> None:
        if not self.from_us <= self.peak_us < self.to_us:
            raise ValueError(f"an event holds its peak (from_us <= peak_us < to_us): {self}")
        if self.recording is not None and self.recording < 0:
            raise ValueError(f"recordings are numbered from 0: {self}")


@dataclass(frozen=True, eq=False)
class Wanted:
    """An event and the segments that can show it.

    Attributes:
        name, event_id: see `EventSpan`.
        rows: int64 (R,) numbers of the segments, best first; empty where none is of its time.
    """

    name: str
    event_id: str
    rows: Rows | Sequence[int]

    @property
    def numbers(self) -> Rows:
        """int64 (R,), `rows`."""
        return np.asarray(self.rows, dtype=np.int64)


@dataclass(frozen=True)
class Choice:
    """A segment of the summary.

    Attributes:
        index: its number among the segments that were given.
        reason: name of the event it is shown for, or `score`.
        event_id: of that event; empty where it is shown for its score.
    """

    index: int
    reason: str
    event_id: str


@dataclass(frozen=True)
class Selection:
    """A summary.

    Attributes:
        choices: the segments shown, in order of time.
        omitted: events of which no segment fits the budget or exists, in order of priority.
        duration_us: length of the summary in microseconds, at most the budget.
    """

    choices: tuple[Choice, ...]
    omitted: tuple[Wanted, ...]
    duration_us: int

    @property
    def indices(self) -> tuple[int, ...]:
        return tuple(choice.index for choice in self.choices)


def wanted_of(segments: Segments, scores: NDArray[Any], events: Sequence[EventSpan]) -> list[Wanted]:
    """The segments that can show each event.

    First those of the recording it was found in, then those of others of the same time; of both the one that holds the
    event's peak first, then the others it meets by falling score.

    Args:
        segments: S segments of one camera's day, in true time.
        scores: (S,).
        events: in order of priority, which is kept.
    """
    spans = np.array([(event.from_us, event.to_us, event.peak_us) for event in events], dtype=np.int64).reshape(-1, 3)
    found_in = np.array([-1 if event.recording is None else event.recording for event in events], dtype=np.int64)
    at, row = overlaps(spans[:, 0], spans[:, 1], segments.from_us, segments.to_us)
    elsewhere = (found_in[at] >= 0) & (segments.recording[row] != found_in[at])
    beside = (spans[at, 2] < segments.from_us[row]) | (spans[at, 2] >= segments.to_us[row])
    met = np.zeros(len(segments), dtype=np.bool_)
    met[row] = True
    (best,) = np.nonzero(met)
    best = best[np.lexsort((best, segments.from_us[best], -scores[best]))]
    rank = np.empty(len(segments), dtype=np.int64)
    rank[best] = np.arange(len(best))
    # One number tells the order of all pairs: many long events have millions of them.
    keys = np.sort(((at * 2 + elsewhere) * 2 + beside) * len(best) + rank[row])
    rows = np.split(best[keys % max(len(best), 1)], np.searchsorted(at, np.arange(1, len(events))))
    return [Wanted(event.name, event.event_id, own) for event, own in zip(events, rows, strict=False)]


def select_segments(
    durations_us: Times,
    order_us: Times,
    scores: NDArray[Any],
    *,
    clear: NDArray[np.bool_],
    wanted: Sequence[Wanted],
    budget_s: float,
    looks: Looks | None = None,
    maximum_cosine: float = 1.0,
) -> Selection:
    """Choose the segments of a summary.

    1. Every wanted event gets a segment, in the order given: of its segments, the clear ones before the others, the
       first that fits what is left of the budget. An event whose first one is shown already needs no other; one of
       which none fits is still served by any of its segments that is shown.
    2. Of the rest, by falling score, those stay candidates that are clear, score above 0, and whose cosine with every
       segment of step 1 and every candidate before is at most `maximum_cosine`.
    3. The candidates with the largest sum of scores that fit the rest of the budget are chosen: an exact knapsack. It
       counts in the greatest common divisor of the lengths, or in milliseconds, lengths rounded up, where that is
       finer.

    Equal scores: the earlier segment wins; of equally early ones the first given. Otherwise the order in which the
    segments are given decides nothing.

    Args:
        durations_us: int64 (S,), at least 1.
        order_us: int64 (S,), what "earlier" means and the order of the choices: for one camera's day the start.
        scores: (S,), finite, at least 0.
        clear: bool (S,): has a picture that is neither black nor blurred (see `models.summary.keyframes`). Others are
            shown for an event only.
        wanted: events in order of priority.
        budget_s: longest summary in seconds, at least 0.
        looks: floating (S, L), one per segment; a nan row is like no other. None: no diversity.
        maximum_cosine: in [-1, 1]; 1: no diversity.

    Raises:
        ConfigurationError: the budget or the cosine is out of range.
        ValueError: the arrays do not fit one another, or an event wants a segment that is not there.
    """
    _check_range(budget_s, maximum_cosine)
    _check_arrays(durations_us, order_us, scores, clear, wanted, looks)
    budget_us = round(budget_s * 1e6)
    reasons, omitted = _for_events(durations_us, clear, wanted, budget_us)
    shown = np.array(sorted(reasons), dtype=np.int64)
    left_us = budget_us - int(durations_us[shown].sum())
    eligible = clear & (scores > 0)
    eligible[shown] = False
    diverse = looks if maximum_cosine < 1 else None
    best = best_first(scores, order_us, np.flatnonzero(eligible))
    candidates = gather_candidates(best, durations_us, left_us, diverse, maximum_cosine, shown)
    by_score = fill_budget(durations_us, scores, candidates, left_us)
    reasons |= dict.fromkeys(by_score.tolist(), (SCORE, ""))
    chosen = sorted(reasons, key=lambda row: (int(order_us[row]), row))
    return Selection(
        choices=tuple(Choice(row, *reasons[row]) for row in chosen),
        omitted=tuple(omitted),
        duration_us=int(durations_us[chosen].sum()),
    )


def _for_events(
    durations_us: Times, clear: NDArray[np.bool_], wanted: Sequence[Wanted], budget_us: int
) -> tuple[dict[int, tuple[str, str]], list[Wanted]]:
    """Reason and event by segment, and the events left out."""
    reasons: dict[int, tuple[str, str]] = {}
    omitted = []
    shown = np.zeros(len(durations_us), dtype=np.bool_)
    left_us = budget_us
    for event in wanted:
        rows = event.numbers
        showing = np.concatenate([rows[clear[rows]], rows[~clear[rows]]])
        if shown[showing[:1]].any():
            continue
        fitting = ~shown[showing] & (durations_us[showing] <= left_us)
        if fitting.any():
            chosen = int(showing[fitting.argmax()])
            shown[chosen] = True
            reasons[chosen] = (event.name, event.event_id)
            left_us -= int(durations_us[chosen])
        elif not shown[showing].any():
            omitted.append(event)
    return reasons, omitted


def _check_range(budget_s: float, maximum_cosine: float) -> None:
    if not 0 <= budget_s < math.inf:
        raise ConfigurationError(f"budget_s is at least 0 and finite, got {budget_s}")
    if not -1 <= maximum_cosine <= 1:
        raise ConfigurationError(f"maximum_cosine is in [-1, 1], got {maximum_cosine}")


def _check_arrays(
    durations_us: Times,
    order_us: Times,
    scores: NDArray[Any],
    clear: NDArray[np.bool_],
    wanted: Sequence[Wanted],
    looks: Looks | None,
) -> None:
    shapes = {array.shape for array in (durations_us, order_us, scores, clear)}
    if shapes != {(len(durations_us),)}:
        raise ValueError(f"durations, order, scores and clear have one shape (S,), got {sorted(shapes)}")
    if clear.dtype != np.bool_:
        raise ValueError(f"clear is True or False for each segment, got {clear.dtype}")
    if (durations_us < 1).any():
        raise ValueError(f"a segment lasts at least 1 us, got {durations_us.min()}")
    if not np.isfinite(scores).all() or (scores < 0).any():
        raise ValueError(f"scores are finite and at least 0, got {scores.min()} to {scores.max()}")
    if looks is not None and (looks.ndim != 2 or len(looks) != len(scores)):
        raise ValueError(f"looks are one per segment ({len(scores)}), got {looks.shape}")
    for event in wanted:
        rows = event.numbers
        if rows.size and not 0 <= rows.min() <= rows.max() < len(scores):
            raise ValueError(f"{event.name} wants some of {len(scores)} segments, got {rows.min()} to {rows.max()}")
