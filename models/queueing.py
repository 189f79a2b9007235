"""What a person should judge next: snippets that a head doubts, and others unlike all that was judged, over many heads.

The pieces, in their order: `slices_of` takes one row of each temporal slice of a camera's day; `threshold_distances` and
`logit_distances` say how far a score is from its threshold; `ask` orders one head's rows of one region, by turns the most
uncertain one and the most different one; `deal` shares a night's budget among heads, cameras and regions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from models.calibration import robust_spread
from models.labelling import NEAR_DUPLICATE, POOL, closeness, evenly, temporal_slices, unlike

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
Distances = NDArray[np.float64]
Reason = Literal["uncertain", "diverse"]

GAP_S = 2.0
"""Time without rows that ends a slice, unless rows are further apart anyway."""
ROUNDING = 1e-6
"""Cosine below 1 of two vectors that differ by no more than rounding."""
LEAST_PROBABILITY = 1e-6
"""Probabilities nearer to 0 or 1 count as this near: their logits stay finite."""


@dataclass(frozen=True)
class Pick:
    """A row to ask about, and why."""

    row: int
    reason: Reason


class Owner(NamedTuple):
    """Who asks: a head, of a camera, in a region."""

    head: str
    camera: str
    region: str


def slices_of(
    unit_vectors: Vectors, from_us: Rows, until_us: Rows, distances: Distances, done: Flags
) -> tuple[Rows, Flags]:
    """One row of each temporal slice (`models.labelling.temporal_slices`), and whether anything of the slice is done.

    The row is the one nearest to the threshold, and of a slice without a distance the one in its middle: what is short
    would else be hidden by the usual view around it.

    Args:
        unit_vectors: float32 (N, D), of one camera's day, of unit length or zero, in order of time.
        from_us, until_us: int64 (N,), begin of each row, and until when it speaks for the camera (`models.events.speaks_until`).
        distances: float64 (N,), of the scores from the threshold; nan where there is none.
        done: bool (N,), rows that were judged, or that nobody would judge.

    Returns:
        int64 (S,), rising, and bool (S,).
    """
    step_s = float(np.median(np.diff(from_us))) / 1e6 if len(from_us) > 1 else 0.0
    slices = temporal_slices(unit_vectors, from_us, until_us, gap_s=max(GAP_S, step_s))
    _, first, count = np.unique(slices, return_index=True, return_counts=True)
    rows = np.arange(len(slices))
    off_middle = np.abs(rows - (first + count // 2)[slices])
    # Nearest to the threshold first; nan, which sorts last, leaves it to the middle.
    order = np.lexsort((off_middle, np.abs(distances), slices))
    chosen = order[first]
    return np.asarray(chosen, dtype=np.int64), np.bincount(slices[done], minlength=len(first)) > 0


def threshold_distances(scores: NDArray[Any], threshold: float, spread: float) -> Distances:
    """float64 (N,) of scores (N,): (score - threshold) / spread, in robust standard deviations; ±inf off it where the spread
    is 0, and nan where the threshold is not finite: nothing can be near it."""
    if not np.isfinite(threshold):
        return np.full(len(scores), np.nan)
    off = scores.astype(np.float64) - threshold
    if spread > 0:
        return np.asarray(off / spread)
    return np.asarray(np.where(off == 0, 0.0, np.copysign(np.inf, off)))


def margin_distances(margins: NDArray[Any], threshold: float) -> Distances:
    """float64 (N,) of margins (N,): their distance from the threshold in their own robust standard deviation
    (`models.calibration.robust_spread`)."""
    if not len(margins):
        return np.empty(0)
    return threshold_distances(margins, threshold, robust_spread(margins)[1])


def logit_distances(probabilities: NDArray[Any], threshold: float) -> Distances:
    """float64 (N,) of probabilities (N,): logit(p) - logit(threshold), which the slope of a calibration does not bend as it
    does probabilities near 0 and 1."""
    return np.asarray(_logit(probabilities.astype(np.float64)) - _logit(np.array(threshold)))


def ask(
    unit_vectors: Vectors,
    spans_us: tuple[Rows, Rows],
    distances: Distances | None,
    done: Flags,
    count: int,
    *,
    uncertain_share: float = 0.5,
) -> tuple[Pick, ...]:
    """What to ask about next of one head in one region of a camera, most useful first.

    By turns, as `models.labelling.suggest` takes them: uncertain rows, nearest to the threshold first (Tong & Koller 2001),
    and different ones, farthest from the nearest of all that is done or already picked (farthest-first traversal, Gonzalez
    1985), of at most 4096 spread evenly over time. Whose turn it is goes on with the number of rows that are done.

    Nothing is picked that overlaps a pick, or that shows the same as something done or picked. A fixed camera's vectors are
    all much alike, so what counts as the same goes by how much they differ at all: a squared distance of at most 0.06 of
    their variance, which is a cosine of 0.97 where they point everywhere.

    Args:
        unit_vectors: float32 (S, D), of unit length or zero: one row for each temporal slice.
        spans_us: begins and ends, int64 (S,) each, of the rows on one clock, half open; in any order.
        distances: float64 (S,), of the scores from the threshold, nan where there is none; None where the head has not
            learnt from labels of both classes yet: then all picks are diverse.
        done: bool (S,), rows that are not to be asked about.
        count: at most so many; fewer where all else shows the same as something done or picked.
        uncertain_share: of the picks, 0 … 1.

    Raises:
        ConfigurationError: the share is out of its range.
    """
    if not 0 <= uncertain_share <= 1:
        raise ConfigurationError(f"uncertain_share is between 0 and 1, got {uncertain_share}")
    free = np.flatnonzero(~done)
    if count < 1 or not len(free):
        return ()
    same, known = _same(unit_vectors), np.asarray(unit_vectors[done])
    uncertain = _Uncertain(free, unit_vectors, distances, known, same)
    diverse = _Diverse(evenly(free, POOL), unit_vectors, known, same)
    picks: list[Pick] = []
    taken = np.zeros(len(unit_vectors), dtype=np.bool_)
    for turn in range(int(done.sum()), int(done.sum()) + count):
        # Rounding must not shift a turn: 10 * 0.7 falls short of 7.
        doubt = int((turn + 1) * uncertain_share + 1e-9) > int(turn * uncertain_share + 1e-9)
        ways = (uncertain.next, diverse.next) if doubt else (diverse.next, uncertain.next)
        pick = next((found for found in (way(taken) for way in ways) if found is not None), None)
        if pick is None:
            break
        picks.append(pick)
        taken |= (spans_us[0] < spans_us[1][pick.row]) & (spans_us[1] > spans_us[0][pick.row])
        taken[pick.row] = True
        uncertain.take(pick.row)
        diverse.take(pick.row)
    return tuple(picks)


def deal(doubts: Mapping[Owner, Sequence[float]], budget: int, turn: int = 0) -> list[tuple[Owner, int]]:
    """Share a budget among heads, then a head's share among its cameras, then a camera's among its regions, by turns.

    A turn begins where the one before it ended, so that with the same owners each of H heads, C cameras of a head and R
    regions of a camera is asked about at least once in ceil(H * C * R / budget) turns, however small the budget is. What
    one does not use up is left to the others. In each round those come first whose next question is the nearest to its
    threshold, of equals the first by name.

    Args:
        doubts: of each owner's questions, best first, how far its score is from the threshold, at least 0; nan where there
            is none, which comes after all others. Owners without a question belong here too: they keep their place.
        budget: questions at most.
        turn: how many budgets were dealt before, at least 0.

    Returns:
        Owner and number of the question among its own, in the order in which to ask: of each owner the first ones.
    """
    budget = max(0, budget)
    numbers = {owner: range(len(doubts[owner])) for owner in sorted(doubts)}
    dealt = set(
        _rotated({tuple(owner): [(owner, one) for one in numbers[owner]] for owner in numbers}, turn * budget)[:budget]
    )
    heads: dict[str, dict[str, list[_Question]]] = {}
    for owner in numbers:
        mine = [_Question(_last(doubts[owner][number]), owner, number) for number in numbers[owner]]
        cameras = heads.setdefault(owner.head, {})
        cameras.setdefault(owner.camera, []).extend(one for one in mine if (one.owner, one.number) in dealt)
    asked = _by_turns([_by_turns([_by_region(mine) for mine in cameras.values()]) for cameras in heads.values()])
    return [(question.owner, question.number) for question in asked]


_Numbered = tuple[Owner, int]


class _Question(NamedTuple):
    doubt: float
    owner: Owner
    number: int


def _rotated(queues: Mapping[tuple[str, ...], Sequence[_Numbered]], dealt: int) -> list[_Numbered]:
    """All numbered questions by turns, over the first part of the names, then the next one; the first `dealt` turns are over."""
    if set(queues) == {()}:
        return list(queues[()])
    names = sorted({name[0] for name in queues})
    parts = []
    for place in range(len(names)):
        at = (dealt + place) % len(names)
        inner = {name[1:]: mine for name, mine in queues.items() if name[0] == names[at]}
        # Of `dealt` turns, those that were this one's.
        parts.append(_rotated(inner, (dealt - at + len(names) - 1) // len(names)))
    longest = max(map(len, parts), default=0)
    return [part[turn] for turn in range(longest) for part in parts if turn < len(part)]


def _by_region(questions: Sequence[_Question]) -> list[_Question]:
    regions: dict[str, list[_Question]] = {}
    for question in questions:
        regions.setdefault(question.owner.region, []).append(question)
    return _by_turns(list(regions.values()))


def _by_turns(queues: Sequence[Sequence[_Question]]) -> list[_Question]:
    longest = max(map(len, queues), default=0)
    rounds = ([queue[turn] for queue in queues if turn < len(queue)] for turn in range(longest))
    return [question for each in rounds for question in sorted(each)]


def _last(doubt: float) -> float:
    return np.inf if np.isnan(doubt) else doubt


class _Uncertain:
    """Rows by how near they are to the threshold, less those that show the same as something known."""

    def __init__(self, free: Rows, vectors: Vectors, distances: Distances | None, known: Vectors, same: float) -> None:
        self._vectors, self._same = vectors, same
        measured = free[:0] if distances is None else free[~np.isnan(distances[free])]
        doubts = np.empty(0) if distances is None else np.abs(distances[measured])
        self._waiting = unlike(measured[np.argsort(doubts, kind="stable")], vectors, known, same)
        self._picked: list[int] = []

    def next(self, taken: Flags) -> Pick | None:
        picked = np.asarray(self._vectors[self._picked])
        for row in self._waiting:
            if not taken[row] and not (closeness(self._vectors[[row]], picked) >= self._same).any():
                return Pick(row, "uncertain")
        return None

    def take(self, row: int) -> None:
        self._picked.append(row)


class _Diverse:
    """Farthest-first traversal: the row that is least like the nearest of all that is known."""

    def __init__(self, rows: Rows, vectors: Vectors, known: Vectors, same: float) -> None:
        self._rows, self._all, self._vectors, self._same = rows, vectors, np.asarray(vectors[rows]), same
        # Beside nothing, likeness to the average decides; the -2 puts it below every cosine that comes later.
        average = np.asarray(vectors).mean(axis=0)
        self._closeness = closeness(self._vectors, known) if len(known) else self._vectors @ average - 2

    def next(self, taken: Flags) -> Pick | None:
        likeness = np.where(taken[self._rows], 1.0, self._closeness)
        place = int(likeness.argmin())
        return Pick(int(self._rows[place]), "diverse") if likeness[place] < self._same else None

    def take(self, row: int) -> None:
        self._closeness = np.maximum(self._closeness, closeness(self._vectors, self._all[[row]]))


def _same(vectors: Vectors) -> float:
    """Cosine from which two of these vectors show the same."""
    average = vectors.mean(axis=0, dtype=np.float64)
    lengths = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    variance = max(0.0, float(lengths.mean() - average @ average))
    return 1 - max((1 - NEAR_DUPLICATE) * variance, ROUNDING)


def _logit(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = probabilities.clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.asarray(np.log(kept) - np.log1p(-kept))
