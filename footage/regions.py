"""Regions of interest: boxes and polygons in fractions of the picture, so that they outlive a change of resolution."""

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]

MASK_GREY = 128
"""What stands outside a polygon: mid grey, near the mean that encoders subtract."""


@dataclass(frozen=True)
class Region:
    """A named part of a camera's picture.

    Attributes:
        name: unique for the camera; `frame` is the whole picture.
        outline: corners (x, y) in fractions of width and height, at least three, in order.
    """

    name: str
    outline: tuple[Point, ...]

    def __post_init__(self) -> None:
        if len(self.outline) < 3:
            raise ValueError(f'region "{self.name}" has {len(self.outline)} corners; at least 3 are needed')
        if any(not 0.0 <= value <= 1.0 for point in self.outline for value in point):
            raise ValueError(f'region "{self.name}": corners are fractions of the picture, between 0 and 1')
        (left, top), (right, bottom) = self.bounds
        (x0, y0), *others = self.outline
        sides = [(x - x0, y - y0) for x, y in others]
        flat = all(ax * by == ay * bx for (ax, ay), (bx, by) in itertools.combinations(sides, 2))
        if right <= left or bottom <= top or flat:
            raise ValueError(f'region "{self.name}" has no area')

    @classmethod
    def box(cls, name: str, x: float, y: float, width: float, height: float) -> "Region":
        """A box from its upper left corner and size, in fractions of the picture."""
        right, bottom = round(x + width, 9), round(y + height, 9)
        return cls(name, ((x, y), (right, y), (right, bottom), (x, bottom)))

    @property
    def bounds(self) -> tuple[Point, Point]:
        """Upper left and lower right corner of the enclosing box."""
        xs, ys = zip(*self.outline, strict=True)
        return (min(xs), min(ys)), (max(xs), max(ys))

    @property
    def is_box(self) -> bool:
        (left, top), (right, bottom) = self.bounds
        corners = {(left, top), (right, top), (right, bottom), (left, bottom)}
        around = zip(self.outline, (*self.outline[1:], self.outline[0]), strict=True)
        return set(self.outline) == corners and all(ax == bx or ay == by for (ax, ay), (bx, by) in around)

    @property
    def geometry(self) -> str:
        """Eight hexadecimal digits that change when the outline does; the name does not count."""
        return hashlib.sha256(json.dumps(self.outline).encode()).hexdigest()[:8]

    def crop(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The enclosing box of the region at the picture's own scale, mid grey outside the outline.

        Args:
            picture: uint8 (H, W, 3).

        Returns:
            uint8 (h, w, 3), at least one pixel each way.
        """
        height, width = picture.shape[:2]
        (left, top), (right, bottom) = self.bounds
        x0, y0 = min(int(left * width), width - 1), min(int(top * height), height - 1)
        x1, y1 = max(x0 + 1, round(right * width)), max(y0 + 1, round(bottom * height))
        part = picture[y0:y1, x0:x1]
        if self.is_box:
            return np.ascontiguousarray(part)
        corners = np.array([[x * width - x0, y * height - y0] for x, y in self.outline])
        inside = np.zeros(part.shape[:2], dtype=np.uint8)
        cv2.fillPoly(inside, [np.rint(corners).astype(np.int32)], 1)
        return np.where(inside[..., None] == 1, part, np.uint8(MASK_GREY)).astype(np.uint8)


def outline_of(points: Sequence[Sequence[float]]) -> tuple[Point, ...]:
    """Corners as plain pairs, however they were nested in JSON or Parquet."""
    return tuple((float(x), float(y)) for x, y in points)


WHOLE = Region.box("frame", 0.0, 0.0, 1.0, 1.0)
