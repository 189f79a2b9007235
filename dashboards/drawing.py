"""Outlines between a canvas, number fields and the lake: corners in fractions of the picture, fields in percent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from footage.regions import Point, Region
from infra.errors import ConfigurationError

DIGITS = 4
"""Places of a drawn fraction that count: a tenth of a pixel of HD."""
PERCENT_DIGITS = 5
"""Places of a percentage that count: finer than any drawn fraction, so that a box comes back as it was typed."""
GRAIN = 10.0**-PERCENT_DIGITS
LEAST = 0.002
"""Shortest side of a drawn shape, as a fraction: below it, somebody clicked where they meant to drag."""

Outline = tuple[Point, ...]


@dataclass(frozen=True)
class Bounds:
    """A box in percent of the picture's width and height.

    Attributes:
        left, top: its upper left corner, at least 0.
        width, height: above 0; the box ends within the picture, at 100 at most.
    """

    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        for side, start, extent, length in (
            ("left", self.left, "width", self.width),
            ("top", self.top, "height", self.height),
        ):
            if not 0 <= start < 100:
                raise ConfigurationError(f"{side} is {start:g} %; a region begins within the picture, from 0 to 100 %")
            if not length > 0:
                raise ConfigurationError(f"{extent} is {length:g} %; a region has an area, give more than 0 %")
            if start + length > 100 + 10 * GRAIN:
                raise ConfigurationError(
                    f"{side} + {extent} is {start + length:g} %; a region ends within the picture: at most 100 %"
                )

    @classmethod
    def of(cls, outline: Outline) -> "Bounds":
        """The box around an outline."""
        xs, ys = zip(*outline, strict=True)
        left, top = min(xs), min(ys)
        return cls(
            round(100 * left, PERCENT_DIGITS),
            round(100 * top, PERCENT_DIGITS),
            max(round(100 * (max(xs) - left), PERCENT_DIGITS), GRAIN),
            max(round(100 * (max(ys) - top), PERCENT_DIGITS), GRAIN),
        )

    @property
    def outline(self) -> Outline:
        """The box's corners, clockwise from the upper left one, in fractions."""
        left, top = _fraction(self.left / 100), _fraction(self.top / 100)
        right, bottom = _fraction((self.left + self.width) / 100), _fraction((self.top + self.height) / 100)
        return (left, top), (right, top), (right, bottom), (left, bottom)


def drawn_outline(told: Any) -> Outline | None:
    """What a canvas told, which may be anything: corners within the picture, without repetition.

    Returns:
        At least three corners in fractions; None where it is no shape, or one too small to be meant.
    """
    if not isinstance(told, Sequence) or isinstance(told, str):
        return None
    try:
        points = [(_fraction(float(x)), _fraction(float(y))) for x, y in told]
    except (TypeError, ValueError):
        return None
    corners = [point for before, point in zip([None, *points], points, strict=False) if point != before]
    if len(corners) > 1 and corners[0] == corners[-1]:
        corners.pop()
    if len(corners) < 3:
        return None
    xs, ys = zip(*corners, strict=True)
    meant = max(xs) - min(xs) >= LEAST and max(ys) - min(ys) >= LEAST
    return tuple(corners) if meant and _has_area(corners) else None


def fitted(outline: Outline | None, bounds: Bounds) -> Outline:
    """The outline moved and stretched into `bounds`; without one, the box itself."""
    if outline is None or Region("drawn", outline).is_box:
        return bounds.outline
    old = Bounds.of(outline)
    wide, high = bounds.width / old.width, bounds.height / old.height
    return tuple(
        (
            _fraction((bounds.left + (100 * x - old.left) * wide) / 100),
            _fraction((bounds.top + (100 * y - old.top) * high) / 100),
        )
        for x, y in outline
    )


def shape_text(outline: Outline) -> str:
    """`box` or `polygon, 5 corners`."""
    return "box" if Region("drawn", outline).is_box else f"polygon, {len(outline)} corners"


def _has_area(corners: Sequence[Point]) -> bool:
    try:
        Region("drawn", tuple(corners))
    except ValueError:
        return False
    return True


def _fraction(value: float) -> float:
    if value != value:
        raise ValueError("not a number")
    return round(min(max(value, 0.0), 1.0), DIGITS)
