import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.summary.looks import LOOK_VALUES, looks_of


def pair(cosine: float, dimension: int, seed: int) -> NDArray[np.float32]:
    """Two vectors of a given cosine, of lengths that are not 1."""
    random = np.random.default_rng(seed)
    base = np.linalg.qr(random.standard_normal((dimension, 2)))[0].T
    other = cosine * base[0] + (1 - cosine**2) ** 0.5 * base[1]
    return np.stack([3.0 * base[0], 0.2 * other]).astype(np.float32)


@given(st.integers(1, 300), st.integers(0, 12), st.integers(0, 99))
def test_looks_are_64_values_of_length_one(dimension: int, rows: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)
    looks = looks_of(vectors)
    assert looks.shape == (rows, LOOK_VALUES) and looks.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(looks, axis=1), 1, atol=1e-6)


@given(st.floats(-1, 1), st.integers(2, 64), st.integers(0, 99))
def test_short_vectors_keep_their_cosines(cosine: float, dimension: int, seed: int) -> None:
    looks = looks_of(pair(cosine, dimension, seed))
    assert looks[0] @ looks[1] == pytest.approx(cosine, abs=1e-5)


@pytest.mark.parametrize("dimension", [65, 256, 512, 2048])
@pytest.mark.parametrize("cosine", [0.0, 0.5, 0.9, 0.99])
def test_long_vectors_keep_their_cosines_within_the_stated_error(cosine: float, dimension: int) -> None:
    pairs = [pair(cosine, dimension, seed) for seed in range(400)]
    looks = looks_of(np.concatenate(pairs)).reshape(-1, 2, LOOK_VALUES)
    off = np.einsum("nl,nl->n", looks[:, 0], looks[:, 1]) - cosine
    deviation = (1 - cosine**2) / 8
    assert abs(off.mean()) < deviation / 4
    assert off.std() < 1.15 * deviation and (np.abs(off) < 2.1 * deviation).mean() > 0.92


def test_what_is_alike_stays_so_exactly() -> None:
    same = pair(1.0, 512, 3)
    looks = looks_of(same)
    np.testing.assert_allclose(looks[0], looks[1], atol=1e-6)
    np.testing.assert_allclose(looks_of(-same), -looks, atol=1e-6)


@pytest.mark.parametrize("dimension", [8, 64, 200])
def test_a_row_does_not_depend_on_the_others_and_what_is_missing_stays_missing(dimension: int) -> None:
    vectors = np.random.default_rng(1).standard_normal((7, dimension)).astype(np.float32)
    vectors[2], vectors[4, 1] = 0, np.nan
    looks = looks_of(vectors)
    assert not looks[2].any() and np.isnan(looks[4]).all()
    for row in (0, 1, 3, 5, 6):
        np.testing.assert_allclose(looks_of(vectors[row : row + 1])[0], looks[row], atol=1e-7)
    np.testing.assert_array_equal(looks, looks_of(vectors))


def test_vectors_that_have_no_look_are_refused() -> None:
    for wrong in (np.ones(3), np.ones((3, 0)), np.full((2, 2), np.inf)):
        with pytest.raises(ValueError, match="vectors are"):
            looks_of(wrong)
