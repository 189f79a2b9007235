"""What a person is asked next: distances, one row of a slice, uncertain and different by turns, shared out fairly."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from models.heads.neighbours import unit_length
from models.queueing import (
    Owner,
    ask,
    deal,
    logit_distances,
    margin_distances,
    slices_of,
    threshold_distances,
)

SECOND = 1_000_000
NONE = math.nan
Rows = NDArray[np.int64]


def each_second(rows: int) -> tuple[Rows, Rows]:
    from_us = np.arange(rows, dtype=np.int64) * SECOND
    return from_us, from_us + SECOND


def scene(
    seed: int, rows: int
) -> tuple[NDArray[np.float32], tuple[Rows, Rows], NDArray[np.float64], NDArray[np.bool_]]:
    """Vectors about one usual view, a few of them the same; overlapping spans; distances, some unknown; some rows done."""
    random = np.random.default_rng(seed)
    kinds = random.standard_normal((max(1, rows // 2), 6))
    vectors = 2 + kinds[random.integers(0, len(kinds), rows)] + 0.02 * random.standard_normal((rows, 6))
    vectors[random.random(rows) < 0.05] = 0
    from_us = np.cumsum(random.integers(1, 3, rows)) * SECOND
    distances = random.standard_normal(rows)
    distances[random.random(rows) < 0.1] = np.nan
    return unit_length(vectors), (from_us, from_us + 2 * SECOND), distances, random.random(rows) < 0.15


class ByDefinition:
    """The rule, looked up row by row in double precision; equal up to rounding is equal."""

    def __init__(
        self,
        vectors: NDArray[np.float32],
        spans_us: tuple[Rows, Rows],
        distances: NDArray[np.float64] | None,
        done: NDArray[np.bool_],
    ) -> None:
        self.vectors, self.spans_us, self.distances, self.done = vectors.astype(np.float64), spans_us, distances, done
        self.average = self.vectors.mean(axis=0)
        variance = float((self.vectors**2).sum(axis=1).mean() - (self.average**2).sum())
        self.same = 1 - max(0.03 * variance, 1e-6)

    def closeness(self, row: int, known: Sequence[int]) -> float:
        mine = self.vectors[row]
        if not mine.any():
            return max((0.0 if self.vectors[other].any() else 1.0 for other in known), default=-1.0)
        return max((float(mine @ self.vectors[other]) for other in known), default=-1.0)

    def best(self, picked: Sequence[int], share: float) -> set[tuple[int, str]]:
        """What may be picked next."""
        known = [*np.flatnonzero(self.done), *picked]
        begins, ends = self.spans_us
        left = [
            row
            for row in range(len(self.vectors))
            if not self.done[row]
            and self.closeness(row, known) < self.same
            and not any(begins[row] < ends[other] and ends[row] > begins[other] for other in picked)
        ]
        far = {row: self.closeness(row, known) if known else float(self.vectors[row] @ self.average) for row in left}
        doubt = {}
        if self.distances is not None:
            doubt = {row: abs(self.distances[row]) for row in left if not np.isnan(self.distances[row])}
        turn = int(self.done.sum()) + len(picked)
        ways = [("uncertain", doubt), ("diverse", far)]
        if not math.floor((turn + 1) * share + 1e-9) > math.floor(turn * share + 1e-9):
            ways.reverse()
        reason, values = next(((reason, values) for reason, values in ways if values), ("", {}))
        return {(row, reason) for row, value in values.items() if value <= min(values.values()) + 1e-6}


@settings(deadline=None, max_examples=100)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.integers(0, 12),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    st.booleans(),
)
def test_picks_are_those_of_the_definition(seed: int, rows: int, count: int, share: float, learnt: bool) -> None:
    vectors, spans_us, known, done = scene(seed, rows)
    distances = known if learnt else None
    picks = ask(vectors, spans_us, distances, done, count, uncertain_share=share)
    rule = ByDefinition(vectors, spans_us, distances, done)
    for number, pick in enumerate(picks):
        assert (pick.row, pick.reason) in rule.best([earlier.row for earlier in picks[:number]], share)
    assert len(picks) == count or not rule.best([pick.row for pick in picks], share)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(0, 12), st.floats(0, 1), st.booleans())
def test_nothing_is_asked_twice_nor_what_was_judged(
    seed: int, rows: int, count: int, share: float, learnt: bool
) -> None:
    vectors, spans_us, distances, done = scene(seed, rows)
    picks = ask(vectors, spans_us, distances if learnt else None, done, count, uncertain_share=share)
    chosen = [pick.row for pick in picks]
    assert len(picks) <= count and len(set(chosen)) == len(chosen)
    assert not done[chosen].any()
    for first, second in ((a, b) for a in chosen for b in chosen if a < b):
        assert spans_us[0][second] >= spans_us[1][first] or spans_us[0][first] >= spans_us[1][second]
    if not learnt:
        assert {pick.reason for pick in picks} <= {"diverse"}
    if not done.any() and rows and count:
        assert picks, "there is always something to begin with"


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(3, 40), st.booleans())
def test_the_order_of_rows_decides_nothing(seed: int, rows: int, learnt: bool) -> None:
    vectors, spans_us, distances, done = scene(seed, rows)
    vectors = unit_length(2 + np.random.default_rng(seed).standard_normal((rows, 6)))  # no two are equally far
    order = np.random.default_rng(seed).permutation(rows)
    shuffled = (spans_us[0][order], spans_us[1][order])
    plain = ask(vectors, spans_us, distances if learnt else None, done, 8)
    again = ask(vectors[order], shuffled, distances[order] if learnt else None, done[order], 8)
    assert [(int(order[pick.row]), pick.reason) for pick in again] == [(pick.row, pick.reason) for pick in plain]


def test_a_scene_that_stays_in_doubt_is_asked_about_once() -> None:
    lorry = np.tile([0.9, 0.4, 0.1], (30, 1)) + 1e-4 * np.random.default_rng(0).standard_normal((30, 3))
    hall = np.tile([1.0, 0.1, 0.1], (30, 1)) + 1e-4 * np.random.default_rng(1).standard_normal((30, 3))
    vectors = unit_length(np.concatenate([lorry, hall]))
    assert float(vectors[0] @ vectors[-1]) > 0.9, "a fixed camera's vectors are all much alike"
    distances = np.concatenate([np.full(30, 0.01), np.full(30, -3.0)])
    picks = ask(vectors, each_second(60), distances, np.zeros(60, dtype=np.bool_), 10)
    assert {pick.row < 30 for pick in picks} == {True, False}
    assert len(picks) == 2
    judged = np.zeros(60, dtype=np.bool_)
    judged[0] = True
    assert [pick.row >= 30 for pick in ask(vectors, each_second(60), distances, judged, 10)] == [True]


def test_a_share_out_of_range_is_refused() -> None:
    vectors, spans_us, distances, done = scene(0, 4)
    with pytest.raises(ConfigurationError, match=r"between 0 and 1, got 1\.5"):
        ask(vectors, spans_us, distances, done, 2, uncertain_share=1.5)


# One row of a slice


def test_of_a_slice_the_row_nearest_to_the_threshold_is_asked_and_else_its_middle() -> None:
    still = unit_length(np.ones((10, 3), dtype=np.float32))
    from_us, until_us = each_second(10)
    distances = np.array([-9.0, -8, -7, -2, -7, -8, -9, -9, -9, -9])
    rows, done = slices_of(still, from_us, until_us, distances, np.zeros(10, dtype=np.bool_))
    assert (rows.tolist(), done.tolist()) == ([3], [False])
    rows, _ = slices_of(still, from_us, until_us, np.full(10, NONE), np.zeros(10, dtype=np.bool_))
    assert rows.tolist() == [5]
    rows, _ = slices_of(still, from_us, until_us, np.zeros(10), np.zeros(10, dtype=np.bool_))
    assert rows.tolist() == [5], "of equals that in the middle"


def test_a_slice_is_done_where_anything_of_it_is() -> None:
    turned = unit_length(np.repeat(np.eye(3, dtype=np.float32), 4, axis=0))
    done = np.zeros(12, dtype=np.bool_)
    done[7] = True
    rows, finished = slices_of(turned, *each_second(12), np.zeros(12), done)
    assert (len(rows), finished.tolist()) == (3, [False, True, False])
    nothing = np.empty(0, dtype=np.int64)
    rows, finished = slices_of(turned[:0], nothing, nothing, np.empty(0), done[:0])
    assert (len(rows), len(finished)) == (0, 0)


# Distances


def test_distances_are_in_the_spread_of_the_head() -> None:
    assert threshold_distances(np.array([1.0, 3.0, 4.0]), 3.0, 0.5).tolist() == [-4.0, 0.0, 2.0]
    assert threshold_distances(np.array([1.0, 3.0, 4.0]), 3.0, 0.0).tolist() == [-math.inf, 0.0, math.inf]
    assert np.isnan(threshold_distances(np.array([1.0, 3.0]), math.inf, 0.5)).all(), "nothing is near such a threshold"
    margins = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert margin_distances(margins, 1.0) == pytest.approx((margins - 1) / 1.4826)
    assert margin_distances(np.empty(0), 0.0).tolist() == []


def test_probabilities_are_compared_as_logits() -> None:
    told = logit_distances(np.array([0.1, 0.5, 0.9, 0.0, 1.0]), 0.5)
    assert told[:3] == pytest.approx([-math.log(9), 0, math.log(9)])
    assert np.isfinite(told).all()
    assert logit_distances(np.array([0.2]), 0.2).tolist() == [0.0]


# Shares


owners = st.builds(Owner, st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from("pq"))
many = st.dictionaries(owners, st.lists(st.one_of(st.floats(0, 9), st.just(NONE)), max_size=9))


@settings(deadline=None)
@given(many, st.integers(0, 40), st.randoms())
def test_shares_do_not_depend_on_the_order_of_heads(doubts: Any, budget: int, random: Any) -> None:
    shuffled = list(doubts.items())
    random.shuffle(shuffled)
    assert deal(dict(shuffled), budget) == deal(doubts, budget)


@settings(deadline=None)
@given(many, st.integers(0, 40))
def test_the_budget_is_used_up_and_never_exceeded(doubts: Any, budget: int) -> None:
    dealt = deal(doubts, budget)
    assert len(dealt) == min(budget, sum(map(len, doubts.values())))
    for owner in doubts:
        numbers = [number for who, number in dealt if who == owner]
        assert numbers == list(range(len(numbers))), "of each the first, in their order"


@settings(deadline=None)
@given(many, st.integers(0, 40))
def test_every_head_and_each_of_its_cameras_gets_its_share(doubts: Any, budget: int) -> None:
    dealt = deal(doubts, budget)
    whole = Counter({owner: len(mine) for owner, mine in doubts.items()})
    for depth in (1, 2, 3):
        share = Counter(owner[:depth] for owner, _ in dealt)
        there: Counter[tuple[str, ...]] = Counter()
        for owner, count in whole.items():
            there[owner[:depth]] += count
        for name in there:
            for other in there:
                if name[:-1] == other[:-1] and share[name] < there[name]:
                    assert share[other] <= share[name] + 1, f"{other} has more than {name}, which could have had more"


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(owners, st.booleans(), min_size=1), st.integers(1, 6), st.integers(0, 99), st.randoms())
def test_nobody_who_has_a_question_goes_unasked_for_long(there: Any, budget: int, begin: int, random: Any) -> None:
    heads = {owner.head for owner in there}
    cameras = max(len({owner.camera for owner in there if owner.head == head}) for head in heads)
    regions = max(Counter((owner.head, owner.camera) for owner in there).values())
    asked: set[Owner] = set()
    for turn in range(math.ceil(len(heads) * cameras * regions / budget)):
        doubts = {
            owner: [random.choice([0.1, 5.0, NONE]) for _ in range(random.randint(int(always), 3))]
            for owner, always in there.items()
        }
        asked |= {owner for owner, _ in deal(doubts, budget, begin + turn)}
    assert asked >= {owner for owner, always in there.items() if always}


def test_with_more_cameras_than_the_budget_each_is_asked_as_often_as_any_other() -> None:
    doubts = {Owner("novelty", f"c{number:02}", "frame"): [float(number)] * 20 for number in range(30)}
    doubts[Owner("novelty", "new", "frame")] = [NONE] * 20
    asked = Counter(owner.camera for turn in range(31) for owner, _ in deal(doubts, 20, 700 + turn))
    assert set(asked.values()) == {20} and len(asked) == 31


def test_of_those_whose_turn_it_is_the_most_doubtful_comes_first() -> None:
    doubts = {
        Owner("fight", "yard", "frame"): [0.5],
        Owner("novelty", "gate", "frame"): [0.2, 0.1],
        Owner("novelty", "hall", "frame"): [0.1, 0.4],
        Owner("novelty", "yard", "frame"): [NONE],
    }
    order = [(owner.head, owner.camera, number) for owner, number in deal(doubts, 9)]
    assert order == [
        ("novelty", "hall", 0),
        ("fight", "yard", 0),
        ("novelty", "gate", 0),
        ("novelty", "yard", 0),
        ("novelty", "gate", 1),
        ("novelty", "hall", 1),
    ]
