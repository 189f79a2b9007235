"""A camera that looks elsewhere is told from one before which things pass and the light changes."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from footage.decode import decode
from footage.health import MOVED_SHARE
from footage.probe import probe
from footage.registration import Registration, is_telling, register
from footage.statistics import GREY_WIDTH

Grey = NDArray[np.uint8]
SHAPE = (180, 320)


def scene(seed: int) -> Grey:
    """A room: even walls, a few things of hard edges, some texture."""
    rng = np.random.default_rng(seed)
    picture = np.full(SHAPE, 150.0)
    for _ in range(30):
        x, y = int(rng.integers(0, 300)), int(rng.integers(0, 160))
        width, height = (int(value) for value in rng.integers(6, 60, 2))
        cv2.rectangle(picture, (x, y), (x + width, y + height), float(rng.integers(30, 230)), -1)
    texture = cv2.resize(rng.normal(0, 12, (60, 107)), SHAPE[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(cv2.GaussianBlur(picture + texture, (0, 0), 0.8), 0, 255).astype(np.uint8)


def warped(
    picture: Grey, *, share: float = 0.0, towards: float = 0.0, rotation: float = 0.0, scale: float = 1.0
) -> Grey:
    height, width = picture.shape
    placed = cv2.getRotationMatrix2D((width / 2, height / 2), -rotation, scale)
    placed[:, 2] += share * width * np.array([math.cos(towards), math.sin(towards)])
    moved = cv2.warpAffine(picture, placed, (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, dtype=np.uint8)


def lit(picture: Grey, gain: float, seed: int) -> Grey:
    rng = np.random.default_rng(seed)
    return np.clip(picture * gain + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def with_somebody(picture: Grey, seed: int) -> Grey:
    rng = np.random.default_rng(seed)
    x, y = int(rng.integers(0, picture.shape[1] - 80)), int(rng.integers(0, picture.shape[0] - 100))
    covered = picture.copy()
    covered[y : y + 100, x : x + 80] = rng.integers(0, 255)
    return covered


@given(
    seed=st.integers(0, 10_000),
    share=st.floats(0.018, 0.12),
    towards=st.floats(0, 2 * math.pi),
    gain=st.floats(0.4, 1.3),
)
@settings(max_examples=15, deadline=None)
def test_a_shift_is_measured_whatever_the_light_and_whoever_passes(
    seed: int, share: float, towards: float, gain: float
) -> None:
    before = scene(seed)
    now = with_somebody(lit(warped(before, share=share, towards=towards), gain, seed), seed)
    found = register(before, now)
    assert found.matched
    assert found.shift == pytest.approx(share, abs=0.006)
    assert found.shift > MOVED_SHARE


@given(seed=st.integers(0, 10_000), gain=st.floats(0.35, 1.3))
@settings(max_examples=15, deadline=None)
def test_light_noise_and_people_do_not_move_a_camera(seed: int, gain: float) -> None:
    before = scene(seed)
    found = register(before, with_somebody(lit(before, gain, seed), seed))
    assert found.matched
    assert found.shift < MOVED_SHARE / 2


@pytest.mark.parametrize("rotation", [-4.0, 2.0, 10.0])
def test_a_rotation_is_measured_in_degrees(rotation: float) -> None:
    found = register(scene(1), warped(scene(1), rotation=rotation))
    assert found.rotation == pytest.approx(rotation, abs=0.2)
    assert found.scale == pytest.approx(1.0, abs=0.01)
    assert found.shift > MOVED_SHARE


@pytest.mark.parametrize("scale", [0.95, 1.04, 1.15])
def test_a_zoom_is_measured(scale: float) -> None:
    found = register(scene(2), warped(scene(2), scale=scale))
    assert found.scale == pytest.approx(scale, abs=0.01)
    assert found.shift > MOVED_SHARE


def test_the_same_picture_lies_where_it_lay() -> None:
    found = register(scene(3), scene(3))
    assert found == Registration(True, 0.0, 0.0, 1.0, found.confidence)
    assert found.confidence == pytest.approx(1.0)


def test_another_view_is_not_matched() -> None:
    for seed in range(10):
        found = register(scene(seed), scene(seed + 100))
        assert (found.matched, found.shift) == (False, 1.0)


@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_covered_lens_is_not_matched_and_tells_nothing(level: int) -> None:
    covered = lit(np.full(SHAPE, level, dtype=np.uint8), 1.0, 5)
    assert not register(scene(4), covered).matched
    assert not is_telling(np.full(SHAPE, level, dtype=np.uint8))
    assert is_telling(scene(4))


def test_a_picture_of_another_resolution_is_held_against_the_same_reference() -> None:
    larger = np.asarray(cv2.resize(scene(6), (640, 360), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    found = register(scene(6), larger)
    assert found.matched
    assert found.shift < MOVED_SHARE / 2


def test_pictures_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        register(scene(1), scene(1).astype(np.float32))


REAL = {
    "lobby": "lobby/2026-03-02T08-00-00.mp4",
    "walkway": "walkway/2026-03-02T08-00-00.avi",
    "hall": "hall/2026-03-02T08-00-00.avi",
}


@pytest.mark.parametrize("name", REAL)
def test_real_cameras_are_unmoved_until_they_are_moved(real_data: Path, name: str) -> None:
    path = real_data / "footage" / REAL[name]
    index = probe(path).index
    wanted = np.linspace(0, len(index) - 1, 9).round().astype(np.int64)
    first, *later = [picture.grey(GREY_WIDTH) for picture in decode(path, index, wanted)]
    for number, picture in enumerate(later):
        assert register(first, picture).shift < MOVED_SHARE, "people pass, the camera stays"
        shift = register(first, lit(warped(picture, share=0.02, towards=number), 0.5, number)).shift
        assert shift == pytest.approx(0.02, abs=0.005)
