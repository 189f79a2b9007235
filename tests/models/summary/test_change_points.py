import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from models.summary.change_points import change_points


def scatter(vectors: NDArray[np.float64], points: tuple[int, ...]) -> float:
    """Within the stretches, straight from the definition."""
    edges = [0, *points, len(vectors)]
    return sum(float(((own - own.mean(axis=0)) ** 2).sum()) for a, b in pairwise(edges) for own in [vectors[a:b]])


def criterion(vectors: NDArray[np.float64], points: tuple[int, ...], penalty: float) -> float:
    rows, number = len(vectors), len(points)
    total = scatter(vectors, ()) / rows
    price = penalty * total * number / (2 * rows) * (math.log(rows / number) + 1) if number else 0.0
    return scatter(vectors, points) / rows + price


def planted(
    rows: int, dimension: int, noise: float, seed: int, shortest: int = 20, longest: int = 60
) -> tuple[NDArray[np.float32], list[int]]:
    random = np.random.default_rng(seed)
    points = np.cumsum(random.integers(shortest, longest, rows // shortest))
    points = points[points <= rows - shortest]
    centres = random.standard_normal((len(points) + 1, dimension))
    vectors = centres[np.searchsorted(points, np.arange(rows), side="right")]
    return (vectors + noise * random.standard_normal((rows, dimension))).astype(np.float32), points.tolist()


@settings(deadline=None)
@given(st.integers(0, 10), st.integers(1, 3), st.integers(0, 9), st.integers(1, 4), st.floats(0.1, 6), st.data())
def test_no_other_way_is_better(
    rows: int, dimension: int, most: int, minimum: int, penalty: float, data: st.DataObject
) -> None:
    values = data.draw(st.lists(st.integers(-3, 3), min_size=rows * dimension, max_size=rows * dimension))
    vectors = np.array(values, dtype=np.float32).reshape(rows, dimension)
    found = tuple(
        change_points(vectors, most=most, minimum=minimum, penalty=penalty, block=max(16, 4 * minimum)).tolist()
    )
    ways = [way for number in range(min(most, rows) + 1) for way in combinations(range(1, rows), number)]
    allowed = [way for way in ways if min(np.diff([0, *way, rows]), default=0) >= minimum] or [()]
    if rows:
        exact = vectors.astype(np.float64)
        assert found in allowed
        assert criterion(exact, found, penalty) <= min(criterion(exact, way, penalty) for way in allowed) + 1e-9
    else:
        assert found == ()


@pytest.mark.parametrize("minimum", [1, 4])
@pytest.mark.parametrize("dimension", [8, 64])
def test_planted_changes_are_found(dimension: int, minimum: int) -> None:
    vectors, points = planted(400, dimension, 0.05, seed=dimension)
    assert change_points(vectors, most=100, minimum=minimum).tolist() == points


@pytest.mark.parametrize("block", [100, 170, 500])
def test_pieces_leave_no_trace_at_their_edges(block: int) -> None:
    vectors, points = planted(2000, 8, 0.1, seed=7)
    found = change_points(vectors, most=500, minimum=4, block=block).tolist()
    assert found == points and not {block, 2 * block, block // 2} <= set(found)


def test_a_stretch_longer_than_a_piece_stays_whole() -> None:
    vectors = 0.1 * np.random.default_rng(0).standard_normal((1000, 8)).astype(np.float32)
    vectors[730:] += 1
    assert change_points(vectors, most=250, minimum=4, block=64).tolist() == [730]


@pytest.mark.parametrize("dimension", [1, 2, 8, 64])
@pytest.mark.parametrize("minimum", [1, 4])
def test_noise_alone_does_not_change(dimension: int, minimum: int) -> None:
    vectors = np.random.default_rng(dimension).standard_normal((500, dimension)).astype(np.float32)
    assert len(change_points(vectors, most=125, minimum=minimum)) == 0


def test_neither_origin_nor_unit_decides() -> None:
    vectors, points = planted(300, 4, 0.05, seed=1)
    turned = np.linalg.qr(np.random.default_rng(2).standard_normal((4, 4)))[0].astype(np.float32)
    for other in (vectors + 50, 1000 * vectors, vectors / 1000, vectors @ turned):
        assert change_points(other, most=75).tolist() == points


@settings(deadline=None)
@given(st.integers(0, 150), st.integers(0, 12), st.integers(1, 9), st.integers(36, 80), st.integers(0, 50))
def test_the_limits_hold_over_pieces(rows: int, most: int, minimum: int, block: int, seed: int) -> None:
    vectors = np.cumsum(np.random.default_rng(seed).standard_normal((rows, 3)), axis=0).astype(np.float32)
    found = change_points(vectors, most=most, minimum=minimum, penalty=0.1, block=block)
    assert len(found) <= most and found.dtype == np.int64
    assert not len(found) or np.diff([0, *found.tolist(), rows]).min() >= minimum


@pytest.mark.parametrize("rows", [0, 1, 5, 200])
def test_what_stays_the_same_has_no_change(rows: int) -> None:
    assert len(change_points(np.full((rows, 3), 0.1, dtype=np.float32), most=50, block=16)) == 0


def test_of_many_changes_the_largest_are_kept() -> None:
    vectors = np.repeat(np.array([0, 1, 9, 10], dtype=np.float32), 10)[:, None]
    assert change_points(vectors, most=1, penalty=0.01).tolist() == [20]
    assert change_points(vectors, most=3, penalty=0.01).tolist() == [10, 20, 30]
    assert change_points(vectors, most=0).tolist() == []


def test_numbers_out_of_range_are_refused() -> None:
    vectors = np.zeros((4, 2), dtype=np.float32)
    with pytest.raises(ConfigurationError, match="most"):
        change_points(vectors, most=-1)
    with pytest.raises(ConfigurationError, match="minimum"):
        change_points(vectors, most=1, minimum=0)
    with pytest.raises(ConfigurationError, match="penalty"):
        change_points(vectors, most=1, penalty=math.nan)
    with pytest.raises(ConfigurationError, match="block"):
        change_points(vectors, most=1, minimum=5, block=19)
    with pytest.raises(ValueError, match="finite"):
        change_points(np.full((4, 2), np.nan, dtype=np.float32), most=1)
    with pytest.raises(ValueError, match=r"\(N, D\)"):
        change_points(np.zeros(4, dtype=np.float32), most=1)
