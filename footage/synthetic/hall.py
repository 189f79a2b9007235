"""The hall that both cameras watch: its measures, its lights and its still picture."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from footage.synthetic.geometry import Brush, Camera, Colour, Points, View, ring, shaded

LENGTH_M, WIDTH_M, HEIGHT_M = 26.0, 16.0, 7.6
HATCH_M = (13.0, 10.0)
HATCH_HALF_M = 1.75
HATCH_FRAME_M = 0.35
FORBIDDEN_HALF_M = 2.9
"""Half the side of the marked square around the hatch that nobody may enter."""
PIT_M = 4.5
NEAR_LANE_M, FAR_LANE_M = 6.2, 14.3
DOOR_HEIGHT_M = 2.6
RAIL_M = 4.75
"""Height of the crane rails' upper edge."""

CAMERAS = (
    Camera("hall-east", (9.3, 0.5, 4.5), (12.6, 9.6, 2.35), 72.0),
    Camera("hall-north", (21.6, 0.8, 4.1), (12.2, 10.6, 1.9), 66.0),
)

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Backdrop:
    """The empty hall as one camera sees it, split by light: ``lamps * a + daylight * b`` is the picture.

    Both are uint8 RGB (H, W, 3).
    """

    lamps: Picture
    daylight: Picture


@lru_cache(maxsize=8)
def backdrop(view: View, seed: int) -> Backdrop:
    """Traces the empty hall once for a camera and size, at twice the size for smooth edges."""
    large = View(view.camera, view.width * 2, view.height * 2)
    albedo, place, surface, depth = _surfaces(large, seed)
    lamps, daylight = _lights(place, surface)
    pictures = []
    for light, tint in ((lamps, (1.02, 1.0, 0.96)), (daylight, (0.96, 1.0, 1.05))):
        fog = np.exp(-depth / 90.0)[..., None]
        picture = np.clip(albedo * tint * light[..., None] * fog + 12 * (1 - fog), 0, 255).astype(np.uint8)
        picture = np.ascontiguousarray(picture)
        _furniture(Brush(picture, large, 0.74 if light is lamps else 0.26))
        pictures.append(cv2.resize(picture, (view.width, view.height), interpolation=cv2.INTER_AREA))
    return Backdrop(*(picture.astype(np.uint8) for picture in pictures))


def region_polygons(view: View) -> dict[str, tuple[tuple[float, float], ...]]:
    """What an analyst would draw: outlines in fractions of width and height.

    ``hatch`` holds the opening and the room above it that a cask passes; ``bridge`` the strip in which the crane's
    bridge runs along the far wall.
    """
    x, y = HATCH_M
    half = HATCH_HALF_M + HATCH_FRAME_M
    corners = [(x + i * half, y + j * half, z) for i in (-1, 1) for j in (-1, 1) for z in (0.0, 2.6)]
    strip = [
        (s, d, z) for s in (4.0, LENGTH_M - 4.0) for d in (WIDTH_M - 6, WIDTH_M) for z in (RAIL_M - 0.4, RAIL_M + 1.6)
    ]
    return {"hatch": _outline(view, np.array(corners)), "bridge": _outline(view, np.array(strip))}


def _outline(view: View, points: Points) -> tuple[tuple[float, float], ...]:
    pixels = np.clip(view.project(points), 0, [view.width - 1, view.height - 1])
    hull = cv2.convexHull(pixels.astype(np.float32))[:, 0]
    return tuple((round(float(px / (view.width - 1)), 4), round(float(py / (view.height - 1)), 4)) for px, py in hull)


def _surfaces(view: View, seed: int) -> tuple[Points, Points, NDArray[np.int64], Points]:
    """Albedo (H, W, 3), world place (H, W, 3), surface number (H, W) and depth (H, W) of the nearest wall."""
    eye, rays = np.asarray(view.camera.position_m), view.rays()
    planes = ((2, 0.0), (1, WIDTH_M), (0, 0.0), (0, LENGTH_M), (2, HEIGHT_M))
    with np.errstate(divide="ignore", invalid="ignore"):
        depths = np.stack([(at - eye[axis]) / rays[..., axis] for axis, at in planes])
    depths[~(depths > 0)] = np.inf
    surface = depths.argmin(0)
    depth = depths.min(0)
    place = eye + rays * depth[..., None]
    grain = _Grain(seed)
    albedo = np.zeros_like(place)
    for number, paint in enumerate((_floor, _far_wall, _side_wall, _side_wall, _ceiling)):
        chosen = surface == number
        if chosen.any():
            albedo[chosen] = paint(place[chosen], grain)
    return albedo, place, surface, depth


class _Grain:
    """Smooth seeded noise over the plane: stains, wear and concrete."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 77])
        size = 256
        total = np.zeros((size, size), np.float32)
        for cells, weight in ((8, 1.0), (32, 0.7), (128, 0.5), (256, 0.35)):
            coarse = rng.normal(size=(cells, cells)).astype(np.float32)
            tiled = cv2.resize(np.tile(coarse, (3, 3)), (3 * size, 3 * size), interpolation=cv2.INTER_CUBIC)
            total += weight * tiled[size : 2 * size, size : 2 * size]
        self._table = total / total.std()

    def at(self, u: Points, v: Points, per_m: float) -> Points:
        """Noise of unit deviation at places (N,) in metres; ``per_m`` table cells to the metre."""
        x = ((u * per_m) % 256).astype(np.float32)[None]
        y = ((v * per_m) % 256).astype(np.float32)[None]
        parts = [
            cv2.remap(
                self._table, x[:, i : i + 30000], y[:, i : i + 30000], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
            )
            for i in range(0, x.shape[1], 30000)  # remap takes at most 32767 columns
        ]
        return np.asarray(np.concatenate(parts, axis=1)[0], np.float64)


def _line(value: Points, every_m: float, width_m: float) -> Points:
    """1 on lines every ``every_m`` metres, 0 between; soft edges."""
    off = np.abs((value / every_m + 0.5) % 1.0 - 0.5) * every_m
    return np.clip(1.5 - off / width_m, 0, 1)


def _band(value: Points, low: float, high: float, soft: float = 0.03) -> Points:
    """1 inside [low, high), 0 outside; soft edges."""
    return np.clip((value - low) / soft + 0.5, 0, 1) * np.clip((high - value) / soft + 0.5, 0, 1)


def _mix(base: Points, share: Points, colour: Colour) -> Points:
    return np.asarray(base + (np.array(colour) - base) * share[:, None])


def _floor(place: Points, grain: _Grain) -> Points:
    x, y = place[:, 0], place[:, 1]
    stain = grain.at(x, y, 9.0)
    colour = np.array([128.0, 132.0, 131.0]) * (1 + 0.045 * stain + 0.05 * grain.at(x + 40, y, 2.2))[:, None]
    tile = (np.floor(x / 2) * 7 + np.floor(y / 2) * 13) % 5 - 2
    colour = colour * (1 + 0.012 * tile)[:, None]
    colour = _mix(colour, 0.42 * np.maximum(_line(x, 2.0, 0.025), _line(y, 2.0, 0.025)), (70, 72, 72))
    worn = np.clip(0.72 + 0.16 * stain, 0.25, 0.95)
    for lane in (NEAR_LANE_M, FAR_LANE_M):
        for edge in (lane - 0.75, lane + 0.75):
            colour = _mix(colour, worn * _band(y, edge - 0.05, edge + 0.05), (206, 178, 62))
    square = np.maximum(np.abs(x - HATCH_M[0]), np.abs(y - HATCH_M[1]))
    frame = _band(square, HATCH_HALF_M, HATCH_HALF_M + HATCH_FRAME_M)
    stripes = np.clip((((x + y) / 0.5) % 1.0 - 0.5) * 12 + 0.5, 0, 1)
    colour = _mix(colour, frame * 0.95 * (1 - stripes), (46, 45, 42))
    colour = _mix(colour, frame * np.clip(worn + 0.1, 0, 1) * stripes, (204, 172, 54))
    return _mix(colour, worn * 0.9 * _band(square, FORBIDDEN_HALF_M - 0.12, FORBIDDEN_HALF_M), (172, 62, 50))


def _far_wall(place: Points, grain: _Grain) -> Points:
    x, z = place[:, 0], place[:, 2]
    colour = np.array([150.0, 155.0, 152.0]) * (1 + 0.03 * grain.at(x, z, 5.0))[:, None]
    colour = colour * (1 + 0.05 * np.sin(x * 2 * np.pi / 0.5) * (z > 2.2))[:, None]
    colour = _mix(colour, _band(z, 0.0, 2.2) * 0.75, (104, 120, 124))
    colour = _mix(colour, _band(z, 2.17, 2.27), (88, 96, 98))
    colour = _mix(colour, 0.8 * np.maximum(_line(x - 1.3, 5.2, 0.28), 0) * (z < 7.2), (112, 116, 118))
    for height, radius, tint in (
        (3.0, 0.16, (124, 112, 96)),
        (3.55, 0.11, (92, 116, 112)),
        (4.05, 0.08, (132, 134, 136)),
    ):
        round_ = np.clip(1 - ((z - height) / radius) ** 2, 0, 1) ** 0.5
        colour = (
            _mix(colour, np.clip(round_ * 4, 0, 1), tint)
            * (1 - 0.35 * np.clip(round_ * 4, 0, 1) * (1 - round_))[:, None]
        )
        colour = colour * (1 - 0.25 * _band(z, height - radius - 0.12, height - radius, 0.08))[:, None]
    for left in (2.6, 7.8, 18.2):
        colour = _mix(colour, _band(x, left, left + 2.6) * _band(z, 5.6, 7.0), (206, 214, 222))
        colour = _mix(
            colour, _band(x, left, left + 2.6) * _band(z, 5.6, 7.0) * _line(x - left, 0.65, 0.03), (96, 100, 104)
        )
    door = _band(x, 17.9, 19.5) * _band(z, 0.0, DOOR_HEIGHT_M)
    colour = _mix(colour, door, (58, 74, 92))
    return _mix(colour, door * _line(x - 17.9, 0.8, 0.03), (34, 42, 52))


def _side_wall(place: Points, grain: _Grain) -> Points:
    y, z = place[:, 1], place[:, 2]
    colour = np.array([142.0, 146.0, 146.0]) * (1 + 0.035 * grain.at(y + 9, z, 5.0))[:, None]
    colour = _mix(colour, _band(z, 0.0, 2.2) * 0.75, (104, 120, 124))
    colour = _mix(colour, 0.5 * np.maximum(_line(z, 1.2, 0.02), _line(y, 2.4, 0.02)), (92, 95, 95))
    for lane in (NEAR_LANE_M, FAR_LANE_M):
        colour = _mix(colour, _band(y, lane - 1.0, lane + 1.0) * _band(z, 0.0, DOOR_HEIGHT_M + 0.12), (86, 88, 90))
        colour = _mix(colour, _band(y, lane - 0.85, lane + 0.85) * _band(z, 0.0, DOOR_HEIGHT_M), (20, 22, 25))
    return colour


def _ceiling(place: Points, grain: _Grain) -> Points:
    x, y = place[:, 0], place[:, 1]
    colour = np.array([84.0, 88.0, 92.0]) * (1 + 0.04 * grain.at(x, y, 4.0))[:, None]
    colour = _mix(colour, _line(x - 1.3, 2.6, 0.14), (58, 61, 64))
    lamp = _band(np.abs((x / 5.2) % 1 - 0.5) * 5.2, -1.0, 0.55) * np.maximum(_band(y, 4.8, 5.2), _band(y, 10.8, 11.2))
    return _mix(colour, lamp, (255, 255, 246))


def _lights(place: Points, surface: NDArray[np.int64]) -> tuple[Points, Points]:
    """Strength of the lamps and of the daylight at each place, (H, W)."""
    x, y, z = place[..., 0], place[..., 1], place[..., 2]
    pools = np.zeros(x.shape)
    for lamp_x in np.arange(2.6, LENGTH_M, 5.2):
        for lamp_y in (5.0, 11.0):
            pools += 10.5 / (10.0 + ((x - lamp_x) ** 2 + (y - lamp_y) ** 2) * 1.3 + (HEIGHT_M - z) ** 2)
    lamps = 0.36 + 0.47 * pools
    corner = np.ones(x.shape)
    for off, own in ((z, (0,)), (WIDTH_M - y, (1,)), (x, (2,)), (LENGTH_M - x, (3,)), (HEIGHT_M - z, (4,))):
        near = 0.42 * np.exp(-np.maximum(off, 0) / 0.55)
        corner *= np.where(np.isin(surface, own), 1.0, 1 - near)
    daylight = 0.10 + 0.10 * np.exp(-((y - WIDTH_M) ** 2) / 60) + 0.05 * (z / HEIGHT_M)
    for left in (4.2, 9.4, 19.8):
        along = x - left - 0.35 * (WIDTH_M - y)
        patch = _soft(along, 0.0, 2.3) * _soft(y, 7.8, 12.6)
        daylight = daylight + 0.34 * patch * (surface == 0)
    return lamps * corner, daylight * corner


def _soft(value: Points, low: float, high: float) -> Points:
    return np.clip((value - low) / 0.7 + 0.5, 0, 1) * np.clip((high - value) / 0.7 + 0.5, 0, 1)


def _furniture(brush: Brush) -> None:
    """Things that stand along the walls, far ones first."""
    brush.box(np.array([0, WIDTH_M - 0.45, RAIL_M - 0.55]), np.array([LENGTH_M, WIDTH_M - 0.1, RAIL_M]), (112, 104, 78))
    for x in (9.6, 10.6, 11.6):
        brush.box(np.array([x, 15.3, 0.0]), np.array([x + 0.92, 15.95, 2.05]), (138, 146, 142))
        brush.box(np.array([x + 0.1, 15.28, 1.35]), np.array([x + 0.82, 15.3, 1.75]), (70, 82, 86))
    tanks = [(23.6, 12.2, 1.15, 3.4), (22.4, 10.4, 0.8, 2.5), (2.2, 11.6, 1.05, 3.1), (2.0, 9.3, 0.75, 2.3)]
    for x, y, radius, height in sorted(
        tanks, key=lambda tank: -brush.view.distance_m(np.array([tank[0], tank[1], 1.0]))
    ):
        cylinder(brush, np.array([x, y, 0.0]), radius, height, (142, 146, 146))
    for low, high, colour in (
        ((4.4, 15.0, 0.0), (5.6, 15.9, 1.0), (142, 112, 74)),
        ((4.6, 15.1, 1.0), (5.5, 15.9, 1.8), (128, 100, 66)),
        ((6.0, 15.0, 0.0), (6.9, 15.9, 0.9), (120, 96, 66)),
    ):
        brush.box(np.array(low), np.array(high), colour)
        brush.box(np.array(low) - [0.02, 0.03, -0.1], np.array([high[0] + 0.02, low[1], low[2] + 0.2]), (88, 68, 44))


def cylinder(
    brush: Brush, base: Points, radius_m: float, height_m: float, colour: Colour, *, strips: int = 20, lid: bool = True
) -> None:
    """Fills an upright cylinder: shaded strips of the half that faces the camera, then its lid."""
    eye = np.asarray(brush.view.camera.position_m)
    towards = float(np.arctan2(eye[1] - base[1], eye[0] - base[0]))
    edges = np.linspace(towards - np.pi / 2, towards + np.pi / 2, strips + 1)
    top = base + np.array([0.0, 0.0, height_m])
    around = np.stack([np.cos(edges), np.sin(edges), np.zeros(strips + 1)], axis=1) * radius_m
    lower, upper = base + around, top + around
    middles = (edges[1:] + edges[:-1]) / 2
    facing = 0.35 * np.cos(middles) - 0.9 * np.sin(middles) + 0.1
    walls = np.stack([lower[:-1], lower[1:], upper[1:], upper[:-1]], axis=1)
    brush.fill_all(walls, [shaded(colour, cosine) for cosine in facing.tolist()])
    if lid and eye[2] > top[2]:
        brush.fill(ring(top, radius_m, 28), shaded(colour, 0.95))
