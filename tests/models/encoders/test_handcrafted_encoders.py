"""Handcrafted encoders: what they notice, what leaves them cold, and that nothing around a picture changes its vector."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.encoders.base import Encoder, Pixels, Vectors
from models.encoders.build import build
from models.encoders.specs import describe

NAMES = ("handcrafted/action", "handcrafted/appearance", "handcrafted/motion", "handcrafted/velocity")


@pytest.fixture(scope="module")
def appearance() -> Encoder:
    return build(describe("handcrafted/appearance"))


@pytest.fixture(scope="module")
def motion() -> Encoder:
    return build(describe("handcrafted/motion"))


@pytest.fixture(scope="module")
def velocity() -> Encoder:
    return build(describe("handcrafted/velocity"))


def hall(height: int, width: int, seed: int = 0) -> NDArray[np.float64]:
    """A still place with texture, float (H, W, 3)."""
    rough = np.random.default_rng(seed).uniform(60, 190, (height // 8, width // 8, 3))
    return np.asarray(cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC), np.float64)


def photographed(scene: NDArray[np.float64], seed: int, noise: float = 1.0) -> Pixels:
    """The scene as a camera gives it: with sensor noise, rounded."""
    noisy = scene + np.random.default_rng(seed).normal(0, noise, scene.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def walk(speed: float, top: int = 40, start: float = 20.0, count: int = 16) -> Pixels:
    """A person of 16 × 48 pixels crosses the hall by `speed` pixels a step; (T, 120, 160, 3)."""
    person = photographed(hall(48, 16, seed=9) * 0.4, seed=5)
    frames = []
    for step in range(count):
        frame = photographed(hall(120, 160), seed=step)
        left = round(start + speed * step)
        frame[top : top + 48, left : left + 16] = person
        frames.append(frame)
    return np.stack(frames)


def gap(one: Vectors, other: Vectors) -> float:
    return float(np.linalg.norm(one - other))


def test_a_person_in_the_hall_is_far_from_the_empty_hall(appearance: Encoder) -> None:
    place = hall(128, 128)
    peopled = place.copy()
    peopled[40:100, 50:72] = (30, 40, 90)
    empty, again, with_person = appearance.encode(
        np.stack([photographed(place, 1), photographed(place, 2), photographed(peopled, 3)])
    )
    assert gap(with_person, empty) > 10 * gap(again, empty)


def test_exposure_changes_a_picture_less_than_a_person_does(appearance: Encoder) -> None:
    place = hall(128, 128)
    peopled = place.copy()
    peopled[40:100, 50:72] = (30, 40, 90)
    empty, brighter, with_person = appearance.encode(
        np.stack([photographed(place, 1), photographed(place * 1.1, 2), photographed(peopled, 3)])
    )
    assert gap(with_person, empty) > 2 * gap(brighter, empty)


def test_a_plain_wall_has_colour_and_no_edges(appearance: Encoder) -> None:
    (wall,) = appearance.encode(np.full((1, 128, 128, 3), (200, 30, 30), np.uint8))
    assert np.abs(wall[:576]).max() < 1e-4
    colours = wall[576:].reshape(64, 3)
    lab = cv2.cvtColor(np.array([[[200, 30, 30]]], np.float32) / 255, cv2.COLOR_RGB2Lab)[0, 0]
    expected = (np.asarray(lab) - (50, 0, 0)) / (100, 128, 128)
    np.testing.assert_allclose(colours, np.tile(expected, (64, 1)), atol=1e-4)


def test_stripes_fall_into_the_bin_of_their_gradient(appearance: Encoder) -> None:
    upright = np.zeros((128, 128, 3), np.uint8)
    upright[:, (np.arange(128) // 4) % 2 == 0] = 220
    standing, lying = appearance.encode(np.stack([upright, upright.swapaxes(0, 1)]))[:, :576].reshape(2, 64, 9)
    # Gradients of upright stripes point across: 0° or 180°, bin 0. Lying stripes: 90°, between bins 4 and 5.
    assert standing.sum(axis=0).argmax() == 0
    assert set(np.argsort(lying.sum(axis=0))[-2:]) == {4, 5}


def test_edges_stay_in_their_cell(appearance: Encoder) -> None:
    picture = np.full((1, 128, 128, 3), 90, np.uint8)
    picture[0, 20:28, 100:108] = 220
    energy = np.linalg.norm(appearance.encode(picture)[0, :576].reshape(8, 8, 9), axis=2)
    assert np.unravel_index(energy.argmax(), energy.shape) == (1, 6)
    assert energy[4:].max() == 0


def test_a_walker_moves_and_an_empty_hall_does_not(motion: Encoder) -> None:
    empty = np.stack([photographed(hall(120, 160), seed) for seed in range(16)])
    still, walking = motion.encode(np.stack([empty, walk(3)]))
    assert np.linalg.norm(still) < 0.05 * np.linalg.norm(walking)


@pytest.mark.parametrize("kind", ["gain", "offset"])
def test_drifting_light_is_next_to_no_motion(motion: Encoder, kind: str) -> None:
    place = hall(120, 160)
    drift = np.linspace(-0.15, 0.15, 16)
    lit = [place * (1 + by) if kind == "gain" else place + 100 * by for by in drift]
    dusk, walking = motion.encode(
        np.stack([np.stack([photographed(scene, seed) for seed, scene in enumerate(lit)]), walk(3)])
    )
    assert np.linalg.norm(dusk) < 0.1 * np.linalg.norm(walking)


def test_the_cell_that_moves_is_the_cell_that_is_passed(motion: Encoder) -> None:
    high, low = motion.encode(np.stack([walk(3, top=0), walk(3, top=72)])).reshape(2, 6, 8, 12)
    for cells, rows in ((high, slice(0, 3)), (low, slice(3, 6))):
        assert cells[rows].sum() > 10 * (cells.sum() - cells[rows].sum())


def test_direction_and_speed_are_kept(motion: Encoder) -> None:
    right, left, fast = motion.encode(np.stack([walk(3), walk(-3, start=80), walk(6)])).reshape(3, 48, 12)
    assert right[:, :8].sum(axis=0).argmax() == 0  # 0°: to the right
    assert left[:, :8].sum(axis=0).argmax() == 4  # 180°
    assert fast[:, 8].sum() > 1.3 * right[:, 8].sum()


def crossing(*walkers: tuple[float, int, float]) -> Pixels:
    """Persons of 20 × 50 pixels, each of a speed, a top and a start, cross a hall of 240 × 360 pixels in 4 pictures."""
    person = photographed(hall(50, 20, seed=9) * 0.4, seed=5)
    frames = []
    for step in range(4):
        frame = photographed(hall(240, 360), seed=step)
        for speed, top, start in walkers:
            left = round(start + speed * step)
            frame[top : top + 50, left : left + 20] = person
        frames.append(frame)
    return np.stack(frames)


def test_velocity_is_that_of_the_walker_at_the_place_of_the_walker(velocity: Encoder) -> None:
    slow, right, left, empty = velocity.encode(
        np.stack([crossing((2, 100, 100)), crossing((4, 100, 100)), crossing((-4, 100, 112)), crossing()])
    ).reshape(4, 12, 18, 4)
    at = (6, 5)  # of a walker's middle, about y 125 and x 110
    assert right[at][0] > 1.5 * slow[at][0] > 0 > left[at][0]
    assert slow[at][0] == pytest.approx(2, abs=0.5), "in pixels per step"
    for cells in (slow, right, left):
        assert abs(cells[at][1]) < 0.5
        assert np.abs(cells[:3]).sum() < 0.02 * np.abs(cells).sum(), "nothing moves at the top"
    assert np.abs(empty).sum() < 0.05 * np.abs(slow).sum()


def test_two_are_as_fast_as_one_and_more_of_the_picture_moves(velocity: Encoder) -> None:
    one, both = velocity.encode(np.stack([crossing((2, 100, 100)), crossing((2, 100, 100), (2, 150, 100))]))
    alone, together = (vector.reshape(12, 18, 4)[7, 5] for vector in (one, both))
    assert together[3] > 1.3 * alone[3]
    assert together[2] == pytest.approx(alone[2], rel=0.3)


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_depends_on_nothing_around_its_picture(name: str) -> None:
    encoder = build(describe(name))
    shape = (4, *(() if encoder.spec.kind == "frame" else (encoder.spec.snippet_frames,)), *encoder.spec.input_size, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        alone = np.concatenate([encoder.encode(pixels[at : at + 1]) for at in range(4)])
        cv2.setNumThreads(4)
        together = encoder.encode(pixels)
        again = build(describe(name)).encode(pixels[::-1])[::-1]
    finally:
        cv2.setNumThreads(threads)
    assert alone.tobytes() == together.tobytes() == np.ascontiguousarray(again).tobytes()


@pytest.mark.parametrize(
    ("name", "dimension"), [("handcrafted/appearance", 768), ("handcrafted/motion", 576), ("handcrafted/velocity", 864)]
)
def test_shapes_in_and_out(name: str, dimension: int) -> None:
    encoder = build(describe(name), device="cpu")
    spec = encoder.spec
    shape = (*(() if spec.kind == "frame" else (spec.snippet_frames,)), *spec.input_size, 3)
    none = encoder.encode(np.empty((0, *shape), np.uint8))
    assert none.shape == (0, dimension)
    assert none.dtype == np.float32
    assert encoder.dimension == dimension
    wrongs: list[Any] = [np.zeros(shape, np.uint8), np.zeros((1, *shape), float), np.zeros((1, *shape[:-1]), np.uint8)]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="takes uint8 pictures of shape"):
            encoder.encode(wrong)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(NAMES), st.integers(0, 255), st.integers(0, 255), st.integers(0, 9))
def test_vectors_are_finite_whatever_the_picture(name: str, low: int, high: int, seed: int) -> None:
    encoder = build(describe(name))
    shape = (1, *(() if encoder.spec.kind == "frame" else (encoder.spec.snippet_frames,)), *encoder.spec.input_size, 3)
    low, high = sorted((low, high))
    pixels = np.random.default_rng(seed).integers(low, high, shape, dtype=np.uint8, endpoint=True)
    assert np.isfinite(encoder.encode(pixels)).all()
