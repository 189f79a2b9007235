import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from models.heads.neighbours import unit_length
from models.labelling import NEAR_DUPLICATE, disputed, middles, propagate, suggest, temporal_slices

SECOND = 1_000_000
Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]


def each_second(rows: int) -> tuple[Rows, Rows]:
    from_us = 1_700_000_000 * SECOND + np.arange(rows, dtype=np.int64) * SECOND
    return from_us, from_us + SECOND


def random_unit(rows: int, dimension: int = 16, seed: int = 0) -> Vectors:
    return unit_length(np.random.default_rng(seed).standard_normal((rows, dimension)))


def at_angles(degrees: list[float]) -> Vectors:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def slices_by_definition(
    vectors: Vectors, from_us: Rows, to_us: Rows, longest_s: float, similarity: float, gap_s: float
) -> list[int]:
    """One row after another."""
    numbers: list[int] = []
    first = reached = 0
    for row in range(len(vectors)):
        dark = not vectors[row].any() and not vectors[first].any()
        alike = dark or np.vecdot(vectors[row], vectors[first]) >= similarity
        short = to_us[row] - from_us[first] <= longest_s * 1e6
        seen = from_us[row] - reached <= gap_s * 1e6
        if row == 0:
            numbers.append(0)
        elif alike and short and seen:
            numbers.append(numbers[-1])
        else:
            numbers.append(numbers[-1] + 1)
            first = row
        reached = max(reached, int(to_us[row]))
    return numbers


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32 - 1), st.integers(0, 90), st.sampled_from([0.0, 0.02, 0.2]))
def test_slices_are_those_of_the_definition(seed: int, rows: int, noise: float) -> None:
    random = np.random.default_rng(seed)
    scenes = 1 + 0.1 * random.standard_normal((rows + 1, 3))
    vectors = scenes[np.sort(random.integers(0, rows // 3 + 1, rows))] + noise * random.standard_normal((rows, 3))
    vectors[random.random(rows) < 0.1] = 0
    unit = unit_length(vectors)
    from_us = np.cumsum(random.choice([0, 200_000, 1_000_000, 3_500_000], rows, p=[0.05, 0.5, 0.4, 0.05]))
    to_us = from_us + random.choice([100_000, 1_000_000, 7_000_000], rows, p=[0.5, 0.4, 0.1])
    told = temporal_slices(unit, from_us, to_us, longest_s=6, similarity=0.99, gap_s=2)
    assert told.tolist() == slices_by_definition(unit, from_us, to_us, 6, 0.99, 2)


def test_a_still_scene_is_cut_at_the_longest_length() -> None:
    told = temporal_slices(np.tile(random_unit(1), (30, 1)), *each_second(30))
    assert told.tolist() == [row // 10 for row in range(30)]


def test_a_slow_change_breaks_at_what_the_first_row_no_longer_resembles() -> None:
    vectors = at_angles([0, 5, 10, 14, 15, 20, 25])  # cos 14° = 0.9703, cos 15° = 0.966
    assert temporal_slices(vectors, *each_second(7)).tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_a_gap_breaks_and_an_overlap_does_not() -> None:
    vectors = np.tile(random_unit(1), (5, 1))
    from_us = np.array([0, 1, 2, 7, 8]) * SECOND
    to_us = np.array([1, 5, 3, 8, 9]) * SECOND  # the second reaches to 5: the fourth comes 2 s later
    assert temporal_slices(vectors, from_us, to_us, gap_s=2).tolist() == [0] * 5
    assert temporal_slices(vectors, from_us, to_us, gap_s=1.9).tolist() == [0, 0, 0, 1, 1]


def test_frames_in_which_nothing_is_to_be_seen_are_alike() -> None:
    vectors = np.concatenate([random_unit(1), np.zeros((3, 16), np.float32), random_unit(1)])
    assert temporal_slices(vectors, *each_second(5)).tolist() == [0, 1, 1, 1, 2]


def test_a_long_take_is_cut_like_a_short_one() -> None:
    vectors = np.repeat(random_unit(400, 8), 250, axis=0)
    from_us = np.arange(100_000, dtype=np.int64) * 40_000
    told = temporal_slices(vectors, from_us, from_us + 40_000)
    assert (told == np.arange(100_000) // 250).all()


def test_rows_out_of_order_are_refused() -> None:
    from_us, to_us = each_second(3)
    with pytest.raises(ValueError, match="order of time"):
        temporal_slices(random_unit(3), from_us[::-1], to_us[::-1])
    with pytest.raises(ConfigurationError, match="longest_s"):
        temporal_slices(random_unit(3), from_us, to_us, longest_s=0)


def test_the_middle_row_stands_for_a_slice() -> None:
    assert middles(np.array([0, 0, 0, 1, 2, 2])).tolist() == [1, 3, 5]
    assert middles(np.array([3, 7, 7])).tolist() == [0, 2]
    assert middles(np.empty(0, np.int64)).tolist() == []


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(0, 12), st.floats(0, 1))
def test_suggestions_are_new_and_unlike_one_another(seed: int, slices: int, count: int, share: float) -> None:
    random = np.random.default_rng(seed)
    numbers = np.sort(random.integers(0, slices, 3 * slices))
    vectors = random_unit(3 * slices, 3, seed)
    vectors[random.random(len(vectors)) < 0.1] = 0
    labelled = random.choice(slices, slices // 4, replace=False)
    scores = random.standard_normal(len(numbers)).astype(np.float32)

    rows = suggest(scores, vectors, numbers, labelled, count, uncertain_share=share)

    assert len(rows) <= count
    assert set(rows.tolist()) <= set(middles(numbers).tolist())
    assert not set(numbers[rows].tolist()) & set(labelled.tolist())
    known = middles(numbers)[np.isin(numbers[middles(numbers)], labelled)]
    shown = np.concatenate([known, rows])
    alike = vectors[shown] @ vectors[shown].T
    alike[np.ix_(~vectors[shown].any(axis=1), ~vectors[shown].any(axis=1))] = 1
    new = np.arange(len(shown)) >= len(known)
    pairs = np.tril(np.ones_like(alike, dtype=bool), -1) & new[:, None]
    assert (alike[pairs] < NEAR_DUPLICATE + 1e-6).all()


def test_suggestions_end_only_where_all_that_is_left_is_like_something_known() -> None:
    vectors = np.concatenate([np.tile(random_unit(1, seed=1), (50, 1)), random_unit(4, seed=2)])
    numbers = np.arange(54)
    rows = suggest(np.zeros(54), vectors, numbers, np.array([10]), 20)
    assert sorted(rows.tolist()) == [50, 51, 52, 53]


def test_uncertain_ones_come_nearest_to_the_boundary_first() -> None:
    vectors, scores = random_unit(40), np.linspace(-2, 2.1, 40).astype(np.float32)
    rows = suggest(scores, vectors, np.arange(40), np.empty(0, np.int64), 10, uncertain_share=1.0)
    assert rows.tolist() == np.argsort(np.abs(scores))[:10].tolist()


def test_different_ones_are_farthest_from_all_that_is_known() -> None:
    vectors = at_angles([0, 20, 45, 90, 170, 180])
    rows = suggest(np.zeros(6), vectors, np.arange(6), np.array([0]), 3, uncertain_share=0.0)
    assert rows.tolist() == [5, 3, 2]  # opposite, then between, then between again: 45 before 20 and 170


def test_beside_nothing_the_first_is_the_least_like_the_rest() -> None:
    vectors = at_angles([0, 1, 2, 3, 80, 2.5])
    assert suggest(np.zeros(6), vectors, np.arange(6), np.empty(0, np.int64), 1, uncertain_share=0)[0] == 4


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_who_labels_the_first_and_asks_again_gets_both_kinds(share: float) -> None:
    vectors = random_unit(300)
    scores = np.full(300, 5, np.float32)
    scores[:150] = np.linspace(0.1, 0.2, 150)  # the uncertain ones
    labelled: list[int] = []
    for _ in range(20):
        (row,) = suggest(scores, vectors, np.arange(300), np.array(labelled, np.int64), 1, uncertain_share=share)
        labelled.append(int(row))
    lowest = [row for row in labelled if row == min(set(range(150)) - set(labelled[: labelled.index(row)]))]
    assert len(lowest) == pytest.approx(20 * share, abs=1)


def islands(count: int = 40, seed: int = 0) -> tuple[Vectors, NDArray[np.bool_]]:
    """Two groups of vectors far from one another, each a chain in which neighbours are alike."""
    random = np.random.default_rng(seed)
    angles = np.concatenate([np.linspace(0, 40, count), np.linspace(120, 160, count)])
    vectors = np.concatenate([at_angles(angles.tolist()), 0.02 * random.standard_normal((2 * count, 3))], axis=1)
    return unit_length(vectors), np.arange(2 * count) < count


def test_labels_spread_over_their_neighbourhood_and_weigh_less() -> None:
    vectors, truth = islands()
    labelled = np.array([5, 20, 50, 70])
    rows, answers, weights = propagate(vectors, truth[labelled], labelled, np.arange(80))
    assert (answers == truth[rows]).all()
    assert answers.sum() == (~answers).sum() == 2  # as many as there are labels of the class
    assert not set(rows.tolist()) & set(labelled.tolist())
    assert ((weights > 0) & (weights <= 0.5)).all()
    assert (np.diff(rows) > 0).all()


def test_what_lies_between_the_classes_is_left_alone() -> None:
    vectors = at_angles([0, 1, 2, 44, 45, 46, 88, 89, 90])
    labelled = np.array([0, 8])
    rows, _, _ = propagate(vectors, np.array([True, False]), labelled, np.arange(9), neighbours=2)
    assert not {3, 4, 5} & set(rows.tolist())


def test_nothing_spreads_within_a_labelled_slice_or_where_all_is_labelled() -> None:
    vectors, truth = islands(4)
    numbers = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    labelled = np.array([0, 4])
    rows, _, _ = propagate(vectors, truth[labelled], labelled, numbers)
    assert set(numbers[rows].tolist()) <= {1, 3}
    labelled = np.array([0, 2, 4, 6])
    assert [len(part) for part in propagate(vectors, truth[labelled], labelled, numbers)] == [0, 0, 0]


def test_labels_of_one_class_do_not_spread() -> None:
    vectors, _ = islands(4)
    with pytest.raises(ConfigurationError, match="both classes"):
        propagate(vectors, np.array([True, True]), np.array([0, 1]), np.arange(8))


def test_disputed_labels_are_those_far_on_the_wrong_side_strongest_first() -> None:
    relevant = np.array([True, True, False, False, True, False, False])
    margins = np.array([-1.5, 2.0, 3.0, -2.0, -0.9, 1.0, np.nan])
    assert disputed(relevant, margins).tolist() == [2, 0, 5]
    assert disputed(relevant, margins, least=0.5).tolist() == [2, 0, 5, 4]
    assert disputed(relevant, np.full(7, np.nan)).tolist() == []
