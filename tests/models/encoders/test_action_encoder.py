"""The action encoder: what a known Gaussian and a moving square give, and what leaves a vector as it is."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import logm

from models.encoders.action import VARIANCE_FLOOR, ActionEncoder, _features, _log_gaussian, _moments
from models.encoders.base import Pixels, Vectors
from models.encoders.specs import describe

SPEED, DOWN, MAGNITUDE, CHANGE = 0, 1, 2, 10
"""Of a step's features: flow across without its sign, flow down, its magnitude, change of grey."""


@pytest.fixture(scope="module")
def encoder() -> ActionEncoder:
    return ActionEncoder(describe("handcrafted/action"))


def texture(height: int, width: int, seed: int) -> NDArray[np.float64]:
    rough = np.random.default_rng(seed).uniform(20, 230, (height // 8, width // 8, 3))
    return np.asarray(cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC), np.float64)


def square(across: float = 0, down: float = 0, top: int = 64, left: int = 60, turn: int = 16, side: int = 48) -> Pixels:
    """A textured square moves through a textured hall by so many pixels a step, and back from step `turn` on."""
    thing = np.clip(texture(side, side, 1), 0, 255).astype(np.uint8)
    frames = np.stack([np.clip(texture(192, 320, 2), 0, 255).astype(np.uint8)] * 16)
    for step, frame in enumerate(frames):
        gone = min(step, 2 * turn - step)
        y, x = round(top + down * gone), round(left + across * gone)
        frame[y : y + side, x : x + side] = thing
    return frames


def encoded(encoder: ActionEncoder, *snippets: Pixels) -> Vectors:
    return encoder.encode(np.stack(snippets))


def gap(one: Vectors, other: Vectors) -> float:
    return float(np.linalg.norm(one - other))


def test_where_nothing_moves_all_is_0(encoder: ActionEncoder) -> None:
    plain = np.full((16, 192, 320, 3), 77, np.uint8)
    textured = np.stack([np.clip(texture(192, 320, 3), 0, 255).astype(np.uint8)] * 16)
    np.testing.assert_allclose(encoded(encoder, plain, textured), 0, atol=1e-5)


def test_light_that_changes_everywhere_by_as_much_is_stillness(encoder: ActionEncoder) -> None:
    brighter = np.stack([np.full((192, 320, 3), 60 + 4 * step, np.uint8) for step in range(16)])
    np.testing.assert_allclose(encoded(encoder, brighter), 0, atol=1e-5)


def test_the_vector_is_the_logarithm_of_the_gaussian() -> None:
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(14, 11, 500)) * rng.uniform(0.1, 2, (1, 11, 1))).astype(np.float32)
    rows = np.concatenate([features[:-4], features[4:, [2, 5, 10]]], axis=1).transpose(0, 2, 1).reshape(-1, 14)
    rows = rows.astype(np.float64)
    mean, covariance = rows.mean(axis=0)[:, None], np.cov(rows, rowvar=False, bias=True)
    floor = VARIANCE_FLOOR * np.eye(14)
    gaussian = np.block([[covariance + floor + mean @ mean.T, mean], [mean.T, np.ones((1, 1))]])
    expected = logm(gaussian) - np.diag([*[np.log(VARIANCE_FLOOR)] * 14, 0])

    vector = _log_gaussian(_moments(features))

    upper = np.triu_indices(15)
    np.testing.assert_allclose(
        vector, expected[upper] * np.where(upper[0] == upper[1], 1, 2**0.5), rtol=1e-4, atol=1e-5
    )
    assert np.linalg.norm(vector) == pytest.approx(np.linalg.norm(expected)), "as long as the matrix"


@pytest.mark.parametrize(("across", "down"), [(3, 0), (-3, 0), (0, 2), (0, -2)])
def test_features_hold_the_speed_of_a_square_in_pixels_per_step(across: float, down: float) -> None:
    features = _features(square(across, down, left=130))[5].reshape(11, 96, 160)
    middle = (round(64 + 24 + 5 * down) // 2, round(130 + 24 + 5 * across) // 2)
    here = features[:, middle[0] - 4 : middle[0] + 4, middle[1] - 4 : middle[1] + 4].mean(axis=(1, 2))
    speeds = np.sign(here) * np.square(here)
    assert speeds[SPEED] == pytest.approx(abs(across), abs=0.1)
    assert speeds[DOWN] == pytest.approx(down, abs=0.1)
    assert speeds[MAGNITUDE] == pytest.approx(abs(across + down), abs=0.1)
    assert speeds[5] < 0.1, "no acceleration where the speed stays"
    assert features[MAGNITUDE, :10].max() < 0.2, "the hall stands"


def test_a_turn_is_acceleration_at_the_step_where_it_happens() -> None:
    acceleration = np.square(_features(square(3, turn=8))[:, 5]).mean(axis=1)
    assert acceleration.argmax() == 7
    assert acceleration[7] > 2 * np.median(acceleration)


def test_a_change_of_grey_of_ten_levels_counts_as_a_pixel() -> None:
    frames = np.full((16, 192, 320, 3), 100, np.uint8)
    frames[8:, 40:120, 40:120] = 110
    changes = _features(frames)[:, CHANGE].reshape(14, 96, 160)
    assert changes[7, 40, 40] == pytest.approx(1, abs=0.02)
    assert np.delete(changes, 7, axis=0).max() == 0


def test_the_cameras_own_motion_is_taken_away(encoder: ActionEncoder) -> None:
    place = np.clip(texture(240, 400, 5), 0, 255).astype(np.uint8)
    panned = np.stack([place[20 : 20 + 192, 10 + 2 * step : 330 + 2 * step] for step in range(16)])
    flow = _features(panned)[:, MAGNITUDE].reshape(14, 96, 160)[:, 10:-10, 10:-10]
    assert np.median(np.square(flow)) < 0.1, "pixels per step, of 2"


def test_place_and_mirror_hardly_matter_but_manner_does(encoder: ActionEncoder) -> None:
    here, there, mirrored, fast, fro = encoded(
        encoder,
        square(3, 1, top=40),
        square(3, 1, top=104, left=140),
        np.ascontiguousarray(square(3, 1, top=40)[:, :, ::-1]),
        square(7, 2, top=40),
        square(3, 1, top=40, turn=8),
    )
    assert gap(here, there) < 0.25 * gap(here, fast)
    assert gap(here, mirrored) < 0.25 * gap(here, fast)
    assert gap(here, there) < 0.25 * gap(here, fro)


def test_falling_is_not_rising(encoder: ActionEncoder) -> None:
    falling, aside, rising = encoded(
        encoder, square(0, 4, top=20), square(0, 4, top=20, left=200), square(0, -4, top=80)
    )
    assert gap(falling, rising) > 5 * gap(falling, aside)


def test_a_vector_depends_on_nothing_around_its_snippet(encoder: ActionEncoder) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 192, 320, 3), dtype=np.uint8)
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        alone = np.concatenate([encoder.encode(pixels[at : at + 1]) for at in range(3)])
        cv2.setNumThreads(4)
        together = encoder.encode(pixels)
        again = ActionEncoder(describe("handcrafted/action")).encode(pixels[::-1])[::-1]
    finally:
        cv2.setNumThreads(threads)
    assert alone.tobytes() == together.tobytes() == np.ascontiguousarray(again).tobytes()


def test_shapes_in_and_out(encoder: ActionEncoder) -> None:
    none = encoder.encode(np.empty((0, 16, 192, 320, 3), np.uint8))
    assert none.shape == (0, 120)
    assert none.dtype == np.float32
    assert encoder.dimension == 120
    assert encoder.spec.snippet_s == 2
    shape = (16, 192, 320, 3)
    wrongs: list[Any] = [
        np.zeros(shape, np.uint8),
        np.zeros((1, *shape), float),
        np.zeros((1, 15, *shape[1:]), np.uint8),
        np.zeros((1, *shape[:-1]), np.uint8),
    ]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="handcrafted/action takes uint8 pictures of shape"):
            encoder.encode(wrong)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 9))
def test_vectors_are_finite_whatever_the_picture(low: int, high: int, seed: int) -> None:
    low, high = sorted((low, high))
    pixels = np.random.default_rng(seed).integers(low, high, (1, 16, 192, 320, 3), dtype=np.uint8, endpoint=True)
    assert np.isfinite(ActionEncoder(describe("handcrafted/action")).encode(pixels)).all()
