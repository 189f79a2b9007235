"""What two versions make of the same footage: events matched one to one, and whether the difference can be chance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from infra.errors import ConfigurationError

MOVED_BELOW = 0.5
"""Temporal intersection over union below which two events that overlap are one that moved."""
FEWEST_DIFFERING = 6
"""Units that must differ before a two-sided sign-flip test, or McNemar's, can fall below .05: 2 / 2⁶ is .031, 2 / 2⁵ is .063."""
EXACT_CELLS = 200_000_000
"""Differing units times the sum of their differences up to which all sign flips are counted."""
SAMPLES = 100_000
CHUNK = 1_000

Spans = NDArray[np.int64]
"""int64 (N, 2): [from_us, to_us) of events of one camera, region and head, on the camera's clock."""
Method = Literal["exact", "sampled"]


@dataclass(frozen=True)
class Pair:
    """An event of the one version and the event of the other that it is, by their rows; iou in (0, 1]."""

    current: int
    candidate: int
    iou: float

    @property
    def moved(self) -> bool:
        """Whether they overlap less than they differ."""
        return self.iou < MOVED_BELOW


@dataclass(frozen=True)
class Matching:
    """Events of two versions, matched.

    Attributes:
        pairs: in order of `current`.
        lost: rows of events that only the version in service has, rising.
        gained: rows of events that only the candidate has, rising.
    """

    pairs: tuple[Pair, ...]
    lost: tuple[int, ...]
    gained: tuple[int, ...]


def match_events(current: Spans, candidate: Spans) -> Matching:
    """Match the events of two versions one to one so that the sum of their temporal IoU is largest.

    The assignment is that of Kuhn and Munkres (H. W. Kuhn 1955), over each group of events that overlap one another; events
    that only touch do not overlap.

    Args:
        current, candidate: int64 (N, 2) and (M, 2), in order of their start and end.

    Raises:
        ValueError: an event is empty, or the shapes are others.
    """
    for spans in (current, candidate):
        if spans.ndim != 2 or spans.shape[1] != 2:
            raise ValueError(f"events are (N, 2) begins and ends, got {spans.shape}")
        if not (spans[:, 0] < spans[:, 1]).all():
            raise ValueError("every event ends after it begins")
    pairs: list[Pair] = []
    for rows, columns in _groups(current, candidate):
        iou = temporal_iou(current[rows], candidate[columns])
        for row, column in zip(*linear_sum_assignment(iou, maximize=True), strict=True):
            if iou[row, column] > 0:
                pairs.append(Pair(int(rows[row]), int(columns[column]), float(iou[row, column])))
    pairs.sort(key=lambda pair: pair.current)
    lost = sorted(set(range(len(current))) - {pair.current for pair in pairs})
    gained = sorted(set(range(len(candidate))) - {pair.candidate for pair in pairs})
    return Matching(tuple(pairs), tuple(lost), tuple(gained))


def temporal_iou(first: Spans, second: Spans) -> NDArray[np.float64]:
    """float64 (N, M): length of the intersection of each two spans over that of their union."""
    begins = np.maximum(first[:, None, 0], second[None, :, 0])
    ends = np.minimum(first[:, None, 1], second[None, :, 1])
    both = np.maximum(ends - begins, 0)
    lengths = (first[:, 1] - first[:, 0])[:, None] + (second[:, 1] - second[:, 0])[None, :]
    return np.asarray(both / (lengths - both), np.float64)


def _groups(current: Spans, candidate: Spans) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows of both versions that overlap one another, directly or through others; none of one version alone."""
    spans = np.concatenate([current, candidate])
    order = np.lexsort((spans[:, 1], spans[:, 0]))
    reached = np.maximum.accumulate(spans[order, 1]) if len(order) else spans[:, 1]
    opens = np.append(True, spans[order[1:], 0] >= reached[:-1]) if len(order) else np.empty(0, np.bool_)
    for members in np.split(order, np.flatnonzero(opens)[1:]):
        rows, columns = np.sort(members[members < len(current)]), np.sort(members[members >= len(current)])
        if len(rows) and len(columns):
            yield rows.astype(np.int64), (columns - len(current)).astype(np.int64)


@dataclass(frozen=True)
class SignFlip:
    """Whether the candidate finds more or fewer events than the version in service, over paired units.

    Attributes:
        units: camera-days (or recordings) that both were applied to.
        differing: those in which they find different numbers.
        difference: events of the candidate less those of the version in service, over all units.
        p: probability of a difference at least as large, either way, were it chance in each unit which version found more.
        method: whether all sign flips were counted, or some drawn.
        samples: how many were drawn; 0 of an exact test.
        seed: of the draw.
    """

    units: int
    differing: int
    difference: int
    p: float
    method: Method
    samples: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.p <= 1:
            raise ValueError(f"p is in (0, 1], got {self.p}")

    @property
    def too_few(self) -> bool:
        """Whether so few units differ that no difference could be told from chance at .05."""
        return self.differing < FEWEST_DIFFERING


def sign_flip_test(
    differences: Sequence[int], *, seed: int = 0, samples: int = SAMPLES, exact_cells: int = EXACT_CELLS
) -> SignFlip:
    """The paired permutation test of Fisher (1935): in each unit the two versions are exchanged, or not.

    All 2ⁿ exchanges are counted, by convolution of the sums that they give, where that takes at most `exact_cells` sums;
    else `samples` of them are drawn, and p is (1 + as large) / (1 + samples), Phipson and Smyth 2010.

    Args:
        differences: of each unit, events of the candidate less those of the version in service.
        seed: of the draw.
        samples: that are drawn where there are too many to be counted.
        exact_cells: see above.
    """
    if samples < 1:
        raise ConfigurationError(f"at least one exchange is drawn, got {samples}")
    sizes = np.abs(np.array([value for value in differences if value], np.int64))
    observed, total = int(sum(differences)), int(sizes.sum())
    told = (len(differences), len(sizes), observed)
    if not len(sizes):
        return SignFlip(*told, 1.0, "exact")
    if len(sizes) * (2 * total + 1) <= exact_cells:
        return SignFlip(*told, min(1.0, _exact_p(sizes, abs(observed))), "exact")
    random = np.random.default_rng(seed)
    as_large = 0
    for start in range(0, samples, CHUNK):
        signs = random.integers(0, 2, size=(min(CHUNK, samples - start), len(sizes)), dtype=np.int8) * 2 - 1
        as_large += int((np.abs(signs @ sizes) >= abs(observed)).sum())
    return SignFlip(*told, (1 + as_large) / (1 + samples), "sampled", samples, seed)


def _exact_p(sizes: NDArray[np.int64], observed: int) -> float:
    """P(|S| ≥ observed) of S, the sum of `sizes` with every sign as likely."""
    total = int(sizes.sum())
    chances = np.zeros(2 * total + 1)
    chances[total] = 1.0
    reach = 0
    for size in sizes.tolist():
        reach += size
        within = chances[total - reach + size : total + reach - size + 1] / 2
        chances[total - reach : total + reach + 1] = 0.0
        chances[total - reach : total + reach - 2 * size + 1] += within
        chances[total - reach + 2 * size : total + reach + 1] += within
    sums = np.abs(np.arange(-total, total + 1))
    return float(chances[sums >= observed].sum())


@dataclass(frozen=True)
class McNemar:
    """How often each version is right about what people judged.

    Attributes:
        both, neither: judged stretches that both versions have right, or wrong.
        only_current, only_candidate: those that one of them has right.
    """

    both: int
    neither: int
    only_current: int
    only_candidate: int

    @classmethod
    def of(cls, current: Sequence[bool], candidate: Sequence[bool]) -> "McNemar":
        """Count, from whether each version is right about each stretch."""
        pairs = list(zip(current, candidate, strict=True))
        return cls(
            both=pairs.count((True, True)),
            neither=pairs.count((False, False)),
            only_current=pairs.count((True, False)),
            only_candidate=pairs.count((False, True)),
        )

    @property
    def judged(self) -> int:
        return self.both + self.neither + self.only_current + self.only_candidate

    @property
    def discordant(self) -> int:
        """Stretches that one version has right and the other has wrong: only they tell the two apart."""
        return self.only_current + self.only_candidate

    @property
    def too_few(self) -> bool:
        """Whether no difference could be told from chance at .05."""
        return self.discordant < FEWEST_DIFFERING

    @property
    def p(self) -> float:
        """Two-sided, exact: binomial of the discordant stretches with a chance of one half (McNemar 1947)."""
        fewer, of = min(self.only_current, self.only_candidate), self.discordant
        return min(1.0, 2 * sum(comb(of, count) for count in range(fewer + 1)) / (1 << of))
