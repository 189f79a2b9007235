"""What to label, and what labels say of their neighbourhood: temporal slices, suggestions, propagation, disputes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.neighbors import kneighbors_graph
from sklearn.semi_supervised import LabelSpreading

from infra.errors import ConfigurationError
from models.heads.chunks import by_chunks
from models.heads.neighbours import nearest

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Labels = NDArray[np.bool_]

NEAR_DUPLICATE = 0.97
"""Cosine from which two frames show the same."""
TOGETHER = 3
"""Rows after each row that are compared with it for all rows at once."""
FIRST_LOOK = 8
"""Rows beyond them that one slice is looked for in at first; four times as many whenever it goes on."""
POOL = 4096
"""Slices, taken evenly over time, among which different ones are looked for."""
NEIGHBOURHOOD = 2048
"""Slices that labels spread over, the nearest."""
BATCH = 1024
"""Uncertain slices that are compared with the labelled ones at once."""
SPREADING = 0.8
"""Share of a slice's answer that its neighbours decide in each round of spreading."""
ROUNDS = 200
"""Most rounds; what a round adds shrinks by `SPREADING` each time and is below the tolerance long before."""
NEARER = 0.8
"""Of the distance to the nearest labelled row of the other class: as far at most is that of its own."""
UNKNOWN = -1
"""scikit-learn's mark of a row without a label."""
PROPAGATED_WEIGHT = 0.5
"""Weight of a certain propagated label beside a person's."""


def temporal_slices(
    unit_vectors: Vectors,
    from_us: Rows,
    to_us: Rows,
    *,
    longest_s: float = 10.0,
    similarity: float = NEAR_DUPLICATE,
    gap_s: float = 2.0,
) -> Rows:
    """Cut one camera's rows into slices of near-duplicates, one label of which says all (row R6).

    From its first row on, a slice takes rows up to the first one whose cosine to that first row is below `similarity`, or
    that ends more than `longest_s` after it begins, or before which nothing was seen for more than `gap_s`. Two zero
    vectors (nothing to be seen) are alike.

    Args:
        unit_vectors: float32 (N, D), of unit length or zero, in order of time; may be memory-mapped.
        from_us, to_us: int64 (N,), half-open spans in microseconds; `from_us` never falls.
        longest_s: above 0; a row that is longer by itself is a slice.
        similarity: at most 1.
        gap_s: at least 0.

    Returns:
        int64 (N,), slice numbers 0, 1, 2 … in order of time.
    """
    if not (longest_s > 0 and gap_s >= 0 and similarity <= 1):
        raise ConfigurationError(
            f"longest_s is above 0, gap_s at least 0 and similarity at most 1, got {longest_s}, {gap_s}, {similarity}"
        )
    if not unit_vectors.shape[:1] == from_us.shape == to_us.shape:
        raise ValueError(f"vectors and spans differ: {unit_vectors.shape}, {from_us.shape}, {to_us.shape}")
    if (from_us[1:] < from_us[:-1]).any():
        raise ValueError("rows are in order of time, but from_us falls")
    rows = len(from_us)
    if rows == 0:
        return np.empty(0, dtype=np.int64)
    longest_us, gap_us = round(longest_s * 1e6), round(gap_s * 1e6)
    dark = np.logical_not(unit_vectors.any(axis=1))
    # A row that starts at the longest length or later ends beyond it.
    ends = np.searchsorted(from_us, from_us + longest_us, side="left")
    unseen = from_us[1:] - np.maximum.accumulate(to_us)[:-1] > gap_us
    breaks = np.append(np.flatnonzero(unseen) + 1, rows)
    ends = np.minimum(ends, breaks[np.searchsorted(breaks, np.arange(rows), side="right")])

    def same(first: int | slice, later: slice) -> Labels:
        """Whether rows can be of a slice that begins with `first`, row by row or one for all."""
        alike = np.vecdot(unit_vectors[later], unit_vectors[first]) >= similarity
        both_dark = np.logical_and(dark[later], dark[first])
        return np.asarray((alike | both_dark) & (to_us[later] - from_us[first] <= longest_us))

    # Most slices end within a few rows: so far all rows are looked at together.
    joined = []
    for lag in range(1, min(TOGETHER, rows - 1) + 1):
        joins = np.zeros(rows, dtype=np.bool_)
        joins[:-lag] = same(slice(rows - lag), slice(lag, rows)) & (np.arange(lag, rows) < ends[:-lag])
        joined.append(joins.tolist())

    def stop(first: int) -> int:
        """First row after `first` that is not of its slice."""
        for lag, joins in enumerate(joined, start=1):
            if not joins[first]:
                return first + lag
        at, width, end = first + len(joined) + 1, FIRST_LOOK, int(ends[first])
        while at < end:
            look = slice(at, min(at + width, end))
            found = same(first, look)
            if not found.all():
                return at + int(found.argmin())
            at, width = look.stop, 4 * width
        return at

    opens = np.zeros(rows, dtype=np.int64)
    first = 0
    while (first := stop(first)) < rows:
        opens[first] = 1
    return np.cumsum(opens)


def middles(slices: Rows) -> Rows:
    """int64 (S,): the row that stands for each slice, in order; of slice numbers (N,) that never fall."""
    _, first, count = np.unique(slices, return_index=True, return_counts=True)
    return np.asarray(first + count // 2, dtype=np.int64)


def suggest(
    scores: NDArray[Any],
    unit_vectors: Vectors,
    slices: Rows,
    labelled_slices: Rows,
    count: int,
    *,
    uncertain_share: float = 0.7,
    similarity: float = NEAR_DUPLICATE,
) -> Rows:
    """What to label next: uncertain rows and different ones, by turns.

    Uncertain: nearest to the boundary first (Tong & Koller 2001, "Support vector machine active learning"). Different:
    farthest from the nearest of all that is labelled or already suggested (farthest-first traversal, Gonzalez 1985; the
    core set of Sener & Savarese 2018), of at most 4096 slices spread evenly over time. What nothing is labelled beside
    yet starts with the row least like the average.

    Whose turn it is goes on with the number of labelled slices: who labels the first suggestion and asks again still
    gets both kinds.

    Args:
        scores: floating (N,), signed margins: 0 on the boundary.
        unit_vectors: float32 (N, D), of unit length or zero.
        slices: int64 (N,), see `temporal_slices`.
        labelled_slices: int64 (L,), slices that are not to be suggested, nor what is like the row in their middle.
        count: at most so many; fewer where all else is like something labelled or suggested.
        uncertain_share: of the suggestions, 0 … 1.
        similarity: cosine from which a row is a near-duplicate.

    Returns:
        int64 (at most `count`,), rows in the middle of their slices, most useful first.
    """
    if not 0 <= uncertain_share <= 1:
        raise ConfigurationError(f"uncertain_share is between 0 and 1, got {uncertain_share}")
    rows = middles(slices)
    done = np.isin(slices[rows], labelled_slices)
    known, rows = np.asarray(unit_vectors[rows[done]]), rows[~done]
    if count < 1 or not len(rows):
        return np.empty(0, dtype=np.int64)
    by_doubt = rows[np.argsort(np.abs(scores[rows]), kind="stable")]
    uncertain = unlike(by_doubt, unit_vectors, known, similarity)
    spread = evenly(rows, POOL)
    different = _Different(spread, unit_vectors[spread], known, similarity)
    chosen: list[int] = []

    def next_uncertain() -> int | None:
        taken = np.asarray(unit_vectors[chosen])
        for row in uncertain:
            if row not in chosen and not (closeness(unit_vectors[[row]], taken) >= similarity).any():
                return row
        return None

    for turn in range(int(done.sum()), int(done.sum()) + count):
        # Rounding must not shift a turn: 10 * 0.7 falls short of 7.
        doubt = int((turn + 1) * uncertain_share + 1e-9) > int(turn * uncertain_share + 1e-9)
        ways = [next_uncertain, different.next] if doubt else [different.next, next_uncertain]
        row = next((found for found in (way() for way in ways) if found is not None), None)
        if row is None:
            break
        chosen.append(row)
        different.take(unit_vectors[row])
    return np.array(chosen, dtype=np.int64)


def propagate(
    unit_vectors: Vectors,
    relevant: Labels,
    labelled_rows: Rows,
    slices: Rows,
    *,
    neighbours: int = 10,
    least_confidence: float = 0.9,
    most: int = 64,
) -> tuple[Rows, Labels, NDArray[np.float64]]:
    """Spread labels over the neighbourhood of the vectors, and keep what is certain.

    Label spreading (Zhou et al. 2004, scikit-learn's) over a graph that links each slice's middle, and each labelled row,
    with its nearest ones by cosine, both ways. Of more than 2048 slices, those nearest to a labelled row take part.

    What is kept is certain, the share of its class after spreading being at least `least_confidence`, and clearly nearer
    to a labelled row of that class than to any of the other: the distances are as 0.8 to 1 or less (Lowe's ratio test,
    2004). Of each class at most as many as there are labels of it, and at most `most`, the most certain first.

    Args:
        unit_vectors: float32 (N, D), of unit length or zero.
        relevant: bool (L,), the answers.
        labelled_rows: int64 (L,), the rows that they speak of.
        slices: int64 (N,), see `temporal_slices`.
        neighbours: links of each, at least 1.
        least_confidence: 0.5 … 1.
        most: of each class.

    Returns:
        int64 (M,) rows, rising, none of a labelled slice; bool (M,) their answers; float64 (M,) weights, half their
        confidence: a person's label, of weight 1, outweighs them.

    Raises:
        ConfigurationError: there are not both classes.
    """
    if not 0 < np.count_nonzero(relevant) < len(relevant):
        raise ConfigurationError(
            "labels of both classes are needed to spread them: mark something relevant and something that is not"
        )
    if neighbours < 1 or not 0.5 <= least_confidence <= 1:
        raise ConfigurationError(
            f"neighbours are at least 1 and least_confidence 0.5 to 1, got {neighbours} and {least_confidence}"
        )
    own = np.asarray(unit_vectors[labelled_rows])
    rows = middles(slices)
    rows = rows[~np.isin(slices[rows], slices[labelled_rows])]
    likeness = closeness(unit_vectors[rows], own)
    rows = np.sort(rows[np.argsort(-likeness, kind="stable")[:NEIGHBOURHOOD]])
    nodes = np.concatenate([own, unit_vectors[rows]])
    count = len(own)
    links = _links(nodes, min(neighbours, len(nodes) - 1))
    spreading = LabelSpreading(kernel=lambda *_: links, alpha=SPREADING, max_iter=ROUNDS)
    spreading.fit(nodes, np.concatenate([relevant.astype(np.int64), np.full(len(rows), UNKNOWN)]))
    shares = spreading.label_distributions_[count:]
    answers, confidence = shares.argmax(axis=1) == 1, shares.max(axis=1)
    to_false, to_true = (nearest(nodes[count:], own[relevant == answer], 1)[1][:, 0] for answer in (False, True))
    clear = np.where(answers, to_true, to_false) <= NEARER * np.where(answers, to_false, to_true)
    certain = clear & (confidence >= least_confidence)
    kept: list[Rows] = []
    for answer in (False, True):
        mine = np.flatnonzero(certain & (answers == answer))
        best = mine[np.argsort(-confidence[mine], kind="stable")]
        kept.append(best[: min(most, int(np.count_nonzero(relevant == answer)))])
    places = np.sort(np.concatenate(kept))
    return rows[places], answers[places], PROPAGATED_WEIGHT * confidence[places]


def disputed(relevant: Labels, margins: NDArray[np.float64], *, least: float = 1.0) -> Rows:
    """Labels that the head, fitted without them, strongly disagrees with.

    Args:
        relevant: bool (N,), the answers.
        margins: float64 (N,), held out (`Fitted.margins`); nan where there is none, which is no dispute.
        least: how far on the wrong side of the boundary a margin must be; 1 is the far edge of the margin, where labels
            of the other class lie.

    Returns:
        int64 (M,), positions, the strongest dispute first.
    """
    if relevant.shape != margins.shape:
        raise ValueError(f"one margin for each label, got {margins.shape} and {relevant.shape}")
    against = np.where(relevant, -margins, margins)
    places = np.flatnonzero(against >= least)
    return np.asarray(places[np.argsort(-against[places], kind="stable")], dtype=np.int64)


class _Different:
    """Farthest-first traversal: the row that is least like the nearest of all that is known."""

    def __init__(self, rows: Rows, vectors: Vectors, known: Vectors, similarity: float) -> None:
        self._rows, self._vectors, self._similarity = rows, vectors, similarity
        # Beside nothing, likeness to the average decides; the -2 puts it below every cosine that comes later.
        self._closeness = closeness(vectors, known) if len(known) else vectors @ vectors.mean(axis=0) - 2

    def next(self) -> int | None:
        place = int(self._closeness.argmin())
        return int(self._rows[place]) if self._closeness[place] < self._similarity else None

    def take(self, vector: Vectors) -> None:
        self._closeness = np.maximum(self._closeness, closeness(self._vectors, vector[None]))


def unlike(rows: Rows, vectors: Vectors, known: Vectors, similarity: float) -> Iterator[int]:
    """Rows in the order given, without those whose cosine to something known is `similarity` or more."""
    for at in range(0, len(rows), BATCH):
        batch = rows[at : at + BATCH]
        yield from batch[closeness(np.asarray(vectors[batch]), known) < similarity].tolist()


def closeness(vectors: Vectors, known: Vectors) -> Vectors:
    """float32 (N,): the largest cosine to anything known; -1 beside nothing. Two zero vectors are alike."""
    if not len(known):
        return np.full(len(vectors), -1, dtype=np.float32)
    closest = by_chunks(vectors, len(known), lambda rows: np.asarray((rows @ known.T).max(axis=1)))
    if not known.any(axis=1).all():
        closest[~vectors.any(axis=1)] = 1
    return closest


def evenly(rows: Rows, most: int) -> Rows:
    """At most so many of the rows, evenly spaced."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


def _links(nodes: Vectors, neighbours: int) -> sparse.csr_matrix:
    """float64 (N, N): 1 where one of two nodes is among the nearest of the other."""
    graph = kneighbors_graph(nodes, neighbours, mode="connectivity", include_self=False)
    return sparse.csr_matrix(graph.maximum(graph.T))
