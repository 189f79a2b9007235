"""Windows: where they lie, and what is joined in them; a plain loop stands beside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.windows import Pooling, Rows, Windows, grid_windows, joined, joined_dimension

S = 1_000_000


def rows(spans: list[tuple[float, float]], vectors: list[list[float]]) -> Rows:
    times = np.rint(np.array(spans).reshape(-1, 2) * S).astype(np.int64)
    return Rows(times[:, 0], times[:, 1], np.array(vectors, np.float32).reshape(len(spans), -1))


def windows(*spans: tuple[float, float]) -> Windows:
    times = np.rint(np.array(spans).reshape(-1, 2) * S).astype(np.int64)
    return times[:, 0], times[:, 1]


@pytest.mark.parametrize(
    ("extent_s", "expected"),
    [
        (0.3, [(0, 0.3)]),
        (2.0, [(0, 2)]),
        (2.9, [(0, 2)]),
        (3.0, [(0, 2), (2, 3)]),
        (4.0, [(0, 2), (2, 4)]),
        (5.5, [(0, 2), (2, 4), (4, 5.5)]),
    ],
)
def test_a_grid_ends_with_half_a_window_and_begins_with_any(
    extent_s: float, expected: list[tuple[float, float]]
) -> None:
    begins, ends = grid_windows(round(extent_s * S), 2.0, 2.0)
    assert list(zip((begins / S).tolist(), (ends / S).tolist(), strict=True)) == expected
    assert begins.dtype == ends.dtype == np.int64


def test_windows_of_a_grid_may_overlap() -> None:
    begins, ends = grid_windows(4 * S, 2.0, 0.5)
    assert (begins / S).tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    assert (ends / S).tolist() == [2, 2.5, 3, 3.5, 4, 4, 4]


@pytest.mark.parametrize("wrong", [(0, 2.0, 2.0), (S, 0.0, 2.0), (S, 2.0, 0.0), (S, float("nan"), 2.0)])
def test_a_grid_without_length_is_refused(wrong: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        grid_windows(*wrong)


def test_window_takes_the_row_with_its_own_span() -> None:
    seen = rows([(2, 4), (0, 2), (4, 5.5)], [[2], [0], [4]])
    kept, vectors = joined([("window", seen)], windows((0, 2), (1, 3), (4, 5.5)))
    assert kept.tolist() == [0, 2]
    assert vectors.tolist() == [[0], [4]]


def test_mean_takes_the_rows_whose_middle_lies_inside() -> None:
    seen = rows([(0, 1), (1, 2), (2, 3)], [[1], [3], [100]])
    kept, vectors = joined([("mean", seen)], windows((0, 2), (2, 4)))
    assert (kept.tolist(), vectors.tolist()) == ([0, 1], [[2], [100]])


def test_snippets_longer_than_a_window_still_speak_for_it() -> None:
    seen = rows([(0, 4), (4, 8)], [[1], [2]])
    kept, vectors = joined([("mean", seen)], windows((0, 1), (1.5, 2.5), (5, 6), (8, 9)))
    assert (kept.tolist(), vectors.tolist()) == ([0, 1, 2], [[1], [1], [2]])


def test_moments_are_mean_deviation_and_change_between_neighbours_in_time() -> None:
    seen = rows([(1, 1.1), (0, 0.1), (0.5, 0.6)], [[8, 1], [0, 1], [4, 1]])
    kept, vectors = joined([("moments", seen)], windows((0, 2)))
    assert kept.tolist() == [0]
    np.testing.assert_allclose(vectors, [[4.0, 1.0, float(np.std([0.0, 4.0, 8.0])), 0.0, 4.0, 0.0]], rtol=1e-6)


def test_one_picture_has_no_deviation_and_no_change() -> None:
    _, vectors = joined([("moments", rows([(0, 1)], [[3, -2]]))], windows((0, 2)))
    assert vectors.tolist() == [[3, -2, 0, 0, 0, 0]]


def test_a_window_that_an_input_has_nothing_of_is_dropped() -> None:
    snippets = rows([(0, 2), (2, 4), (4, 6)], [[0], [1], [2]])
    frames = rows([(0, 0.04), (5, 5.04)], [[10], [20]])
    kept, vectors = joined([("window", snippets), ("moments", frames)], (snippets.from_us, snippets.to_us))
    assert kept.tolist() == [0, 2]
    assert vectors.tolist() == [[0, 10, 0, 0], [2, 20, 0, 0]]
    assert vectors.dtype == np.float32
    assert vectors.shape[1] == joined_dimension([("window", 1), ("moments", 1)])


def test_no_window_gives_an_empty_table_of_the_right_width() -> None:
    kept, vectors = joined([("mean", rows([(0, 1)], [[1, 2]])), ("moments", rows([(0, 1)], [[1, 2]]))], windows())
    assert (kept.shape, vectors.shape) == ((0,), (0, 8))


def test_what_cannot_be_joined_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one input"):
        joined([], windows((0, 1)))
    with pytest.raises(ValueError, match="median"):
        joined([("median", rows([(0, 1)], [[1]]))], windows((0, 1)))  # type: ignore[list-item]
    with pytest.raises(ValueError, match="one row each"):
        Rows(np.zeros(2, np.int64), np.ones(2, np.int64), np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match="not empty"):
        Rows(np.ones(1, np.int64), np.ones(1, np.int64), np.zeros((1, 3), np.float32))


Span = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda told: (told[0], told[0] + told[1]))
Values = st.integers(-8, 8)


def plain(pooling: Pooling, seen: Rows, begin: int, end: int) -> NDArray[np.float64] | None:
    """What a window takes, by the words of the docstring."""
    found = sorted(
        (
            ((a + b) // 2, a, place)
            for place, (a, b) in enumerate(zip(seen.from_us.tolist(), seen.to_us.tolist(), strict=True))
        ),
    )
    if pooling == "window":
        same = [
            place for _, a, place in sorted(found, key=lambda row: row[2]) if (a, seen.to_us[place]) == (begin, end)
        ]
        return seen.vectors[same[0]].astype(np.float64) if same else None
    inside = [place for middle, _, place in found if begin <= middle < end]
    if not inside and pooling == "mean":
        middle = (begin + end) // 2
        inside = [place for _, a, place in found if a <= middle < seen.to_us[place]][:1]
    if not inside:
        return None
    values = seen.vectors[inside].astype(np.float64)
    if pooling == "mean":
        return np.asarray(values.mean(axis=0))
    steps = [abs(values[at + 1] - values[at]) for at in range(len(values) - 1)]
    change = np.mean(steps, axis=0) if steps else np.zeros(values.shape[1])
    return np.concatenate([values.mean(axis=0), values.std(axis=0), change])


@given(
    st.lists(st.tuples(Span, Values, Values), min_size=1, max_size=12),
    st.lists(Span, max_size=6),
    st.sampled_from(["window", "mean", "moments"]),
)
def test_pooling_agrees_with_a_plain_loop(
    told: list[tuple[tuple[int, int], int, int]], asked: list[tuple[int, int]], pooling: Pooling
) -> None:
    spans = np.array([span for span, _, _ in told], dtype=np.int64)
    seen = Rows(spans[:, 0], spans[:, 1], np.array([values for _, *values in told], np.float32))
    edges = np.array(asked, dtype=np.int64).reshape(-1, 2)
    kept, vectors = joined([(pooling, seen)], (edges[:, 0], edges[:, 1]))
    expected = [plain(pooling, seen, begin, end) for begin, end in asked]
    assert kept.tolist() == [number for number, vector in enumerate(expected) if vector is not None]
    for row, number in enumerate(kept.tolist()):
        np.testing.assert_allclose(vectors[row], expected[number], atol=1e-5)


@given(st.permutations(range(6)))
def test_the_order_of_rows_decides_nothing(order: list[int]) -> None:
    seen = rows([(0, 1), (1, 2), (2, 3), (0.5, 1.5), (1.5, 2.5), (3, 4)], [[1], [5], [2], [9], [4], [7]])
    mixed = Rows(seen.from_us[order], seen.to_us[order], seen.vectors[order])
    asked = windows((0, 2), (1, 3), (2, 4))
    for pooling in ("window", "mean", "moments"):
        ours, theirs = joined([(pooling, seen)], asked), joined([(pooling, mixed)], asked)
        assert ours[0].tolist() == theirs[0].tolist()
        np.testing.assert_array_equal(ours[1], theirs[1])
