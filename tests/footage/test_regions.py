"""Regions cut the same part of the scene whatever the resolution."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footage.regions import MASK_GREY, WHOLE, Region, outline_of

CORNERS = st.tuples(st.floats(0, 1), st.floats(0, 1))


@pytest.mark.parametrize(
    ("outline", "reason"),
    [
        (((0.0, 0.0), (1.0, 1.0)), "corners"),
        (((0.0, 0.0), (1.1, 0.0), (1.0, 1.0)), "between 0 and 1"),
        (((0.0, 0.0), (float("nan"), 0.0), (1.0, 1.0)), "between 0 and 1"),
        (((0.5, 0.1), (0.5, 0.5), (0.5, 0.9)), "no area"),
        (((0.0, 0.0), (0.25, 0.25), (1.0, 1.0)), "no area"),
        (((0.3, 0.3), (0.3, 0.3), (0.3, 0.3)), "no area"),
    ],
)
def test_outlines_that_enclose_nothing_are_refused(outline: tuple[tuple[float, float], ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Region("r", outline)


def test_a_box_is_cut_exactly() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (100, 200, 3), dtype=np.uint8)
    region = Region.box("door", 0.1, 0.2, 0.3, 0.4)
    assert region.is_box
    assert region.bounds == ((0.1, 0.2), (0.4, 0.6))
    assert np.array_equal(region.crop(picture), picture[20:60, 20:80])
    assert np.array_equal(WHOLE.crop(picture), picture)


def test_a_polygon_shows_its_inside_and_grey() -> None:
    picture = np.full((100, 200, 3), 250, dtype=np.uint8)
    triangle = Region("ramp", ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))
    assert not triangle.is_box
    part = triangle.crop(picture)
    assert part.shape == picture.shape
    assert np.all(part[5:40, 5:80] == 250)
    assert np.all(part[70:, 140:] == MASK_GREY)
    assert abs((part[..., 0] == 250).mean() - 0.5) < 0.02


def test_a_star_that_crosses_itself_is_no_box() -> None:
    bow = Region("bow", ((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)))
    assert not bow.is_box
    part = bow.crop(np.full((60, 60, 3), 250, dtype=np.uint8))
    assert part[30, 2, 0] == 250 or part[2, 30, 0] == 250
    assert (part == MASK_GREY).any()


@given(st.lists(CORNERS, min_size=3, max_size=8), st.integers(1, 90), st.integers(1, 90))
def test_a_crop_lies_in_the_picture_and_is_never_empty(
    outline: list[tuple[float, float]], height: int, width: int
) -> None:
    try:
        region = Region("r", tuple(outline))
    except ValueError:
        return
    part = region.crop(np.zeros((height, width, 3), dtype=np.uint8))
    assert 1 <= part.shape[0] <= height
    assert 1 <= part.shape[1] <= width
    assert part.dtype == np.uint8


@given(st.integers(0, 8), st.integers(0, 8), st.integers(1, 4), st.integers(1, 4))
def test_a_region_outlives_a_change_of_resolution(x: int, y: int, width: int, height: int) -> None:
    scene = np.random.default_rng(1).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    region = Region.box("r", x / 12, y / 12, width / 12, height / 12)
    parts = [region.crop(np.repeat(np.repeat(scene, k, 0), k, 1)) for k in (1, 5, 20)]
    for part, k in zip(parts, (1, 5, 20), strict=True):
        assert np.array_equal(part, np.repeat(np.repeat(parts[0], k, 0), k, 1))


def test_a_polygon_outlives_a_change_of_resolution() -> None:
    region = Region("r", ((0.1, 0.2), (0.9, 0.1), (0.7, 0.9), (0.2, 0.8)))
    masks = [
        cv2.resize(region.crop(np.zeros((h, w, 3), np.uint8))[..., 0], (64, 64), interpolation=cv2.INTER_AREA)
        for h, w in ((120, 160), (480, 640), (1080, 1920))
    ]
    assert all(np.abs(mask.astype(int) - masks[0].astype(int)).mean() < 4 for mask in masks)


def test_geometry_tells_outlines_apart_and_not_names() -> None:
    door = Region.box("door", 0.1, 0.2, 0.3, 0.4)
    assert door.geometry == Region.box("gate", 0.1, 0.2, 0.3, 0.4).geometry
    assert door.geometry != Region.box("door", 0.1, 0.2, 0.3, 0.41).geometry
    assert len(door.geometry) == 8


def test_an_outline_survives_json() -> None:
    region = Region("r", ((0.1, 0.2), (0.9, 0.1), (0.7, 0.9)))
    assert Region("r", outline_of([list(corner) for corner in region.outline])) == region
    assert outline_of([[0, 1]]) == ((0.0, 1.0),)
