"""Outlines between canvas, number fields and lake."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.drawing import Bounds, Outline, drawn_outline, fitted, shape_text
from footage.regions import Region
from infra.errors import ConfigurationError

BOX: Outline = ((0.1, 0.2), (0.5, 0.2), (0.5, 0.6), (0.1, 0.6))
TRIANGLE: Outline = ((0.2, 0.2), (0.6, 0.2), (0.4, 0.8))

starts = st.integers(0, 900).map(lambda tenth: tenth / 10)
lengths = st.integers(1, 1000).map(lambda tenth: tenth / 10)
boxes = st.builds(
    lambda left, top, wide, high: Bounds(left, top, min(wide, 100 - left), min(high, 100 - top)),
    starts,
    starts,
    lengths,
    lengths,
)
points = st.tuples(st.floats(0, 1), st.floats(0, 1))


@given(boxes)
def test_a_box_comes_back_as_it_was_typed(bounds: Bounds) -> None:
    back = Bounds.of(bounds.outline)
    told = (bounds.left, bounds.top, bounds.width, bounds.height)
    assert (back.left, back.top, back.width, back.height) == pytest.approx(told, abs=1e-6)
    assert Region("any", bounds.outline).is_box


@given(boxes, st.lists(points, min_size=3, max_size=8))
def test_a_shape_is_fitted_into_its_bounds_corner_by_corner(bounds: Bounds, corners: list[tuple[float, float]]) -> None:
    outline = drawn_outline(corners)
    if outline is None:
        return
    moved = fitted(outline, bounds)
    assert len(moved) == len(outline)
    (left, top), (right, bottom) = Region("any", bounds.outline).bounds
    xs, ys = zip(*moved, strict=True)
    assert (min(xs), max(xs)) == pytest.approx((left, right), abs=2e-4)
    assert (min(ys), max(ys)) == pytest.approx((top, bottom), abs=2e-4)


def test_known_shapes_are_moved_and_stretched() -> None:
    assert fitted(None, Bounds(10, 20, 40, 40)) == BOX
    assert fitted(BOX, Bounds(0, 0, 100, 100)) == ((0, 0), (1, 0), (1, 1), (0, 1))
    assert fitted(TRIANGLE, Bounds(30, 20, 40, 60)) == ((0.3, 0.2), (0.7, 0.2), (0.5, 0.8))
    assert fitted(TRIANGLE, Bounds(20, 20, 20, 30)) == ((0.2, 0.2), (0.4, 0.2), (0.3, 0.5))


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        ((60, 0, 50, 10), r"left \+ width is 110 %.*at most 100 %"),
        ((0, 90, 10, 20), r"top \+ height is 110 %.*at most 100 %"),
        ((100, 0, 1, 1), "left is 100 %.*from 0 to 100 %"),
        ((-1, 0, 10, 10), "left is -1 %"),
        ((0, 0, 0, 10), "width is 0 %.*more than 0 %"),
        ((0, 0, math.nan, 10), "width is nan %"),
    ],
)
def test_bounds_outside_the_picture_are_refused(sides: tuple[float, ...], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Bounds(*sides)


def test_what_a_canvas_tells_is_cleaned() -> None:
    assert drawn_outline([[0.1, 0.2], [0.1, 0.2], [0.5, 0.2], [0.5, 0.6], [0.1, 0.6], [0.1, 0.2]]) == BOX
    assert drawn_outline([[-0.5, 0], [1.5, 0], [0.123456, 2]]) == ((0, 0), (1, 0), (0.1235, 1))


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        "abc",
        {"outline": 1},
        [[0.1, 0.1], [0.2, 0.2]],
        [[0.1, 0.1, 0.1]] * 3,
        [[0.1, "x"], [0.2, 0.1], [0.3, 0.9]],
        [[0.1, math.nan], [0.2, 0.1], [0.3, 0.9]],
        [[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]],
        [[0.1, 0.1], [0.1005, 0.1], [0.1, 0.9]],
        [None, None, None],
    ],
)
def test_what_is_no_shape_is_none(told: object) -> None:
    assert drawn_outline(told) is None


def test_shapes_in_words() -> None:
    assert shape_text(BOX) == "box"
    assert shape_text(TRIANGLE) == "polygon, 3 corners"
