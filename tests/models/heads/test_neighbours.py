"""Exact neighbours: by blocks of products, and, of many rows, by faiss's candidates; the same, to the last bit."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from models.heads import flat_search, neighbours
from models.heads.neighbours import TimeExclusion, nearest

SECOND = 1_000_000
Made = Callable[[], tuple[NDArray[np.float32], NDArray[np.float32]]]


def gaussian(rows: int, dimension: int = 8, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, dimension), dtype=np.float32)


def spans(rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    from_us = np.arange(rows, dtype=np.int64) * SECOND
    return from_us, from_us + 2 * SECOND


def shaped(rows: int, seed: int = 0) -> NDArray[np.float32]:
    """A few directions and noise: what a first look is for."""
    return gaussian(rows, 6, seed) @ gaussian(6, 48, 9) * np.float32(3) + gaussian(rows, 48, seed + 1)


def test_neighbours_are_those_of_all_distances_sorted() -> None:
    queries, reference = gaussian(40, seed=1), gaussian(90)
    indices, distances = nearest(queries, reference, 7)
    every = cdist(queries.astype(np.float64), reference.astype(np.float64))
    np.testing.assert_array_equal(indices, np.argsort(every, axis=1)[:, :7])
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :7], rtol=1e-12)


def test_neighbours_are_the_same_in_blocks_of_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    reference, new = gaussian(70), gaussian(33, seed=1)
    whole = nearest(new, reference, 6)
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", 8)
    np.testing.assert_array_equal(nearest(new, reference, 6)[0], whole[0])
    np.testing.assert_allclose(nearest(new, reference, 6)[1], whole[1], rtol=1e-12)


def test_neighbours_close_together_far_from_the_origin_are_told_apart() -> None:
    reference = (1000 + 1e-3 * np.arange(40, dtype=np.float64)[:, None]) * np.ones((1, 3))
    indices, distances = nearest(reference[20:21], reference, 3)
    assert indices.tolist() == [[20, 19, 21]] and distances[0, 0] == 0


@pytest.mark.parametrize(
    "made",
    [
        lambda: (gaussian(300, seed=1), gaussian(700)),
        lambda: (gaussian(300, 2, seed=1), gaussian(700, 2)),
        lambda: (shaped(300, seed=5), shaped(1500)),
        lambda: (shaped(300, seed=5) + np.float32(1e4), shaped(1500) + np.float32(1e4)),
        lambda: (gaussian(50), np.repeat(gaussian(50), 12, axis=0)),
        lambda: (gaussian(50) * np.float32(1e25), gaussian(90) * np.float32(1e25)),
        lambda: (gaussian(50), np.concatenate([gaussian(90), gaussian(1) * np.float32(1e7)])),
        lambda: (gaussian(9), gaussian(8, seed=1)),
    ],
    ids=["plain", "plane", "shaped", "far off", "repeated", "beyond float32", "one far out", "all rows"],
)
def test_a_large_search_finds_what_a_small_one_does(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, reference = made()
    few = nearest(queries, reference, 7)
    monkeypatch.setattr(neighbours, "LARGE_PAIRS", 0)
    many = nearest(queries, reference, 7)
    np.testing.assert_array_equal(many[0], few[0])
    np.testing.assert_array_equal(many[1], few[1])


@pytest.mark.parametrize("exclusion_s", [0, 7, 150])
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_large_search_leaves_out_the_excluded(
    exclusion_s: int, shuffled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = np.cumsum(shaped(1500), axis=0).astype(np.float32)
    from_us, to_us = spans(1500)
    order = np.random.default_rng(0).permutation(1500) if shuffled else np.arange(1500)
    exclusion = TimeExclusion(from_us[order], to_us[order], exclusion_s * SECOND)
    few = nearest(vectors[order], vectors[order], 9, exclusion)
    monkeypatch.setattr(neighbours, "LARGE_PAIRS", 0)
    monkeypatch.setattr(flat_search, "AT_ONCE", 500)
    monkeypatch.setattr(flat_search, "MASKED_AT_ONCE", 60)
    many = nearest(vectors[order], vectors[order], 9, exclusion)
    np.testing.assert_array_equal(many[0], few[0])
    np.testing.assert_array_equal(many[1], few[1])


def test_a_first_look_settles_shaped_vectors_and_not_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is settled along a quarter of the directions is not looked for along all."""
    dimensions: list[int] = []
    settle = flat_search._Look.settle

    def noted(
        self: flat_search._Look,
        chosen: NDArray[np.int64],
        indices: NDArray[np.int64],
        distances: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        dimensions.append(self.rows.shape[1])
        return settle(self, chosen, indices, distances)

    monkeypatch.setattr(neighbours, "LARGE_PAIRS", 0)
    monkeypatch.setattr(flat_search._Look, "settle", noted)
    nearest(shaped(300, seed=5), shaped(1500), 5)
    assert dimensions == [12, 12]
    dimensions.clear()
    nearest(gaussian(300, 48, seed=1), gaussian(1500, 48), 5)
    assert dimensions == [12, 48]


def test_k_is_at_most_what_each_query_may_see() -> None:
    from_us, to_us = spans(30)
    exclusion = TimeExclusion(from_us, to_us, 5 * SECOND)
    for k in (0, int(exclusion.admissible().min()) + 1):
        with pytest.raises(ValueError, match="k is 1 to"):
            nearest(gaussian(30), gaussian(30), k, exclusion)
    with pytest.raises(ValueError, match="does not fit"):
        nearest(gaussian(29), gaussian(29), 1, exclusion)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_mask_is_the_definition_and_the_rest_follows_it(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 12))
    from_us = np.array(data.draw(st.lists(st.integers(0, 40), min_size=rows, max_size=rows)), dtype=np.int64)
    length = np.array(data.draw(st.lists(st.integers(1, 15), min_size=rows, max_size=rows)), dtype=np.int64)
    exclusion = TimeExclusion(from_us, from_us + length, data.draw(st.integers(0, 10)))
    mask = exclusion.mask(slice(0, rows))
    assert mask.diagonal().all() and (mask == mask.T).all()
    np.testing.assert_array_equal(exclusion.admissible(), (~mask).sum(axis=1))
    some = np.array(data.draw(st.lists(st.integers(0, rows - 1), min_size=1, unique=True)), dtype=np.int64)
    others = np.array(data.draw(st.lists(st.integers(0, rows - 1), unique=True)), dtype=np.int64)
    np.testing.assert_array_equal(exclusion.mask(some, others), mask[np.ix_(some, others)])
    np.testing.assert_array_equal(exclusion.around(some), mask[some].any(axis=0))
    np.testing.assert_array_equal(exclusion.around(some, others), mask[some][:, others].any(axis=0))
    for i in range(rows):
        for j in range(rows):
            gap = max(from_us[j] - exclusion.to_us[i], from_us[i] - exclusion.to_us[j])
            assert mask[i, j] == (gap < exclusion.exclusion_us)
