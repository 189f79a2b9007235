"""Pinhole cameras and filled shapes: from metres in the hall to pixels in a picture.

World axes in metres: x along the hall, y across it, z up. Points are float arrays of shape (N, 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Colour = tuple[float, float, float]

NEAR_M = 0.3
SUBPIXEL_BITS = 4
HALF_CIRCLE = np.stack([np.cos(np.linspace(0.5, 1.5, 7) * np.pi), np.sin(np.linspace(0.5, 1.5, 7) * np.pi)], axis=1)
TO_LIGHT = np.array([0.35, -0.45, 0.82])
"""Direction towards the main light; about unit length."""


@dataclass(frozen=True)
class Camera:
    """A fixed camera: where it hangs, what it looks at, how wide it sees."""

    name: str
    position_m: tuple[float, float, float]
    target_m: tuple[float, float, float]
    horizontal_deg: float


@dataclass(frozen=True)
class View:
    """A camera at one picture size.

    Pixel centres are at integer coordinates; ``rows`` holds the right, down and forward axes as rows.
    """

    camera: Camera
    width: int
    height: int
    rows: Points = field(init=False, repr=False, compare=False)
    focal_px: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        forward = np.subtract(self.camera.target_m, self.camera.position_m)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right = right / np.linalg.norm(right)
        half_angle = np.radians(self.camera.horizontal_deg) / 2
        object.__setattr__(self, "focal_px", float(self.width / 2 / np.tan(half_angle)))
        object.__setattr__(self, "rows", np.stack([right, np.cross(forward, right), forward]))

    def turned(self, points: Points) -> Points:
        """World points (N, 3) in the camera's axes: right, down, forward (the depth), in metres."""
        return np.asarray((points - np.asarray(self.camera.position_m)) @ self.rows.T)

    def flat(self, turned: Points) -> Points:
        """Camera-axis points (N, 3) in front of the camera as pixels (N, 2)."""
        middle = np.array([(self.width - 1) / 2, (self.height - 1) / 2])
        return np.asarray(turned[:, :2] / turned[:, 2:] * self.focal_px + middle)

    def project(self, points: Points) -> Points:
        """World points (N, 3) as pixels (N, 2); points behind the camera are pushed to its near plane."""
        turned = self.turned(points)
        turned[:, 2] = np.maximum(turned[:, 2], NEAR_M)
        return self.flat(turned)

    def distance_m(self, point: Points) -> float:
        return float(np.linalg.norm(point - np.asarray(self.camera.position_m)))

    def rays(self) -> Points:
        """The world direction of each pixel, float64 (H, W, 3), not normalised."""
        x, y = np.meshgrid(np.arange(self.width), np.arange(self.height))
        right = (x - (self.width - 1) / 2) / self.focal_px
        down = (y - (self.height - 1) / 2) / self.focal_px
        return np.asarray(np.stack([right, down, np.ones_like(right)], axis=-1) @ self.rows)


@dataclass
class Brush:
    """Fills shapes of the hall into a picture, in place.

    Attributes:
        picture: uint8 RGB (H, W, 3).
        view: The camera that sees the shapes.
        light: Brightness of the lighting, 1 for the lamps' nominal.
    """

    picture: NDArray[np.uint8]
    view: View
    light: float = 1.0

    def fill(self, points: Points, colour: Colour) -> None:
        """Fills a convex polygon given in the world (N, 3), cut at the near plane."""
        turned = self.view.turned(np.asarray(points, float))
        if turned[:, 2].min() < NEAR_M:
            turned = _in_front(turned)
            if len(turned) < 3:
                return
        self._fill_outlines(self.view.flat(turned)[None], [colour])

    def _fill_outlines(self, pixels: Points, colours: Sequence[Colour]) -> None:
        """Fills convex polygons given in pixels (K, N, 2), in order; those outside the picture cost nothing."""
        low, high = pixels.min(1), pixels.max(1)
        seen = ((high >= 0) & (low <= [self.view.width, self.view.height])).all(axis=1).tolist()
        # OpenCV's fixed-point coordinates overflow far outside the picture.
        corners = np.rint(np.clip(pixels, -9000, 9000) * (1 << SUBPIXEL_BITS)).astype(np.int32)
        light = self.light
        for outline, (red, green, blue), inside in zip(corners, colours, seen, strict=True):
            if inside:
                shade = (min(255.0, red * light), min(255.0, green * light), min(255.0, blue * light))
                cv2.fillConvexPoly(self.picture, outline, shade, cv2.LINE_AA, SUBPIXEL_BITS)

    def box(self, low: Points, high: Points, colour: Colour) -> None:
        """Fills the visible faces of an axis-parallel box, shaded by their direction."""
        eye = self.view.camera.position_m
        corners = np.stack([np.asarray(low, float), np.asarray(high, float)])
        faces, colours = [], []
        for axis, other, third in ((2, 0, 1), (0, 1, 2), (1, 0, 2)):
            for side, sign in ((0, -1.0), (1, 1.0)):
                if (eye[axis] - corners[side, axis]) * sign <= 0:
                    continue
                face = np.empty((4, 3))
                face[:, axis] = corners[side, axis]
                face[:, other] = corners[[0, 1, 1, 0], other]
                face[:, third] = corners[[0, 0, 1, 1], third]
                faces.append(face)
                colours.append(shaded(colour, float(TO_LIGHT[axis] * sign)))
        if faces:
            self.fill_all(np.array(faces), colours)

    def fill_all(self, polygons: Points, colours: Sequence[Colour]) -> None:
        """Fills convex polygons of equally many corners, (K, N, 3), in order; faster than one by one."""
        turned = self.view.turned(polygons.reshape(-1, 3))
        if turned[:, 2].min() < NEAR_M:
            for polygon, colour in zip(polygons, colours, strict=True):
                self.fill(polygon, colour)
            return
        self._fill_outlines(self.view.flat(turned).reshape(*polygons.shape[:2], 2), colours)

    def limbs(self, ends: Points, radii_m: Points, colours: Sequence[Colour]) -> None:
        """Fills tapered capsules between pairs of world points (K, 2, 3) with radii (K, 2), in order.

        Nothing is drawn when one of them is behind the camera.
        """
        turned = self.view.turned(ends.reshape(-1, 3))
        if turned[:, 2].min() < NEAR_M:
            return
        pixels = self.view.flat(turned).reshape(-1, 2, 2)
        radii = np.maximum(radii_m * self.view.focal_px / turned[:, 2].reshape(-1, 2), 0.4)
        along = pixels[:, 1] - pixels[:, 0]
        length = np.hypot(along[:, 0], along[:, 1])
        along = np.where(length[:, None] > 1e-6, along, [1.0, 0.0]) / np.maximum(length, 1e-6)[:, None]
        axes = np.stack([along, np.stack([-along[:, 1], along[:, 0]], axis=1)], axis=1)
        arcs = HALF_CIRCLE @ axes
        first = pixels[:, :1] + radii[:, :1, None] * arcs
        second = pixels[:, 1:] - radii[:, 1:, None] * arcs
        self._fill_outlines(np.concatenate([first, second], axis=1), colours)

    def line(self, ends: Points, colour: Colour, width_m: float) -> None:
        """Draws a straight bar or rope between two world points (2, 3)."""
        self.limbs(ends[None], np.full((1, 2), width_m / 2), [colour])


def shaded(colour: Colour, facing: float) -> Colour:
    """A surface's colour when it faces the light by ``facing``, the cosine from -1 to 1."""
    factor = 0.72 + 0.34 * facing
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def ring(centre: Points, radius_m: float, count: int, from_rad: float = 0.0, to_rad: float = 2 * np.pi) -> Points:
    """Points of a horizontal arc around ``centre``, shape (count, 3); the end is left out."""
    angles = np.linspace(from_rad, to_rad, count, endpoint=False)
    flat = np.stack([np.cos(angles), np.sin(angles), np.zeros(count)], axis=1)
    return np.asarray(centre + radius_m * flat)


def _in_front(turned: Points) -> Points:
    """A polygon in camera axes cut at the near plane (Sutherland and Hodgman 1974, one plane)."""
    kept = []
    for here, then in zip(turned, np.roll(turned, -1, axis=0), strict=True):
        if here[2] >= NEAR_M:
            kept.append(here)
        if (here[2] >= NEAR_M) != (then[2] >= NEAR_M):
            kept.append(here + (then - here) * (NEAR_M - here[2]) / (then[2] - here[2]))
    return np.array(kept).reshape(-1, 3)
