"""Draws what moves in the hall: the crane and its load, the hatch, people, and the shadows they throw."""

import cv2
import numpy as np
from numpy.typing import NDArray

from footage.synthetic.geometry import Brush, Colour, Points, View, ring, shaded
from footage.synthetic.hall import HATCH_HALF_M, HATCH_M, PIT_M, RAIL_M, WIDTH_M, cylinder
from footage.synthetic.plan import CASK_HEIGHT_M, CASK_RADIUS_M, Person, SceneState

CRANE_PAINT: Colour = (186, 152, 56)
CASK_PAINT: Colour = (138, 144, 147)
VESTS: tuple[Colour, ...] = ((198, 104, 42), (178, 176, 62), (70, 84, 108), (198, 104, 42), (112, 108, 98))
TROUSERS: tuple[Colour, ...] = ((44, 50, 66), (52, 52, 54), (58, 66, 86), (64, 60, 52), (40, 46, 60))
HELMETS: tuple[Colour, ...] = ((206, 202, 188), (196, 168, 58), (60, 92, 150), (198, 190, 176), (196, 168, 58))
SKIN: Colour = (176, 136, 112)
RISE = np.array([0.0, 0.0, 1.0])
Limb = tuple[Points, Points, float, float, Colour]
"""A capsule: two ends in the world, two radii in metres, a colour."""


def draw_actors(brush: Brush, state: SceneState) -> None:
    """Draws everything that moves over an empty hall, shadows first, then from far to near."""
    _shadows(brush, state)
    x, y, hook = state.crane_m
    foot = state.cask_foot_m
    if state.hatch_open > 0:
        _hatch(brush, state)
    pieces = [(brush.view.distance_m(np.array([*person.place_m, 1.0])), person) for person in state.people]
    pieces.sort(key=lambda piece: -piece[0])
    hung = brush.view.distance_m(np.array([x, y, 1.0]))
    for away, person in pieces:
        if away >= hung:
            draw_person(brush, person)
    if foot is not None and foot + CASK_HEIGHT_M > 0:
        draw_cask(brush, np.array([x, y, foot]), above_floor=True)
    if state.load == "crate":
        foot_m = hook - 1.55
        low, high = np.array([x - 0.62, y - 0.5, foot_m]), np.array([x + 0.62, y + 0.5, foot_m + 0.95])
        brush.box(low, high, (136, 106, 70))
        belt = np.array([0.02, 0.02, 0.0])
        brush.box(low - belt + RISE * 0.35, high + belt - RISE * 0.48, (86, 68, 46))
    if state.load != "none":
        for dx, dy in ((-0.5, 0), (0.5, 0), (0, -0.4)):
            brush.line(np.array([[x, y, hook - 0.05], [x + dx, y + dy, hook - 0.6]]), (56, 56, 58), 0.035)
    _crane(brush, x, y, hook)
    for away, person in pieces:
        if away < hung:
            draw_person(brush, person)


def draw_cask(brush: Brush, base: Points, *, above_floor: bool) -> None:
    """A shielded transport cask: a ribbed steel cylinder with a lid and lifting lugs, standing on ``base``.

    With ``above_floor`` only what stands over the floor is drawn.
    """
    low = max(float(base[2]), 0.0) if above_floor else float(base[2])
    top = float(base[2]) + CASK_HEIGHT_M

    def part(from_m: float, to_m: float, radius: float, paint: Colour, strips: int = 14, lid: bool = False) -> None:
        start, end = max(from_m + float(base[2]), low), to_m + float(base[2])
        if end > start + 0.01:
            foot = np.array([base[0], base[1], start])
            cylinder(brush, foot, radius, end - start, paint, strips=strips, lid=lid)

    part(0.0, 0.35, CASK_RADIUS_M * 1.06, (112, 116, 120), lid=True)
    part(0.35, 2.3, CASK_RADIUS_M, CASK_PAINT, strips=18)
    for rib in (0.7, 1.05, 1.4, 1.75):
        part(rib, rib + 0.09, CASK_RADIUS_M * 1.045, (116, 121, 125), strips=10)
    part(2.3, CASK_HEIGHT_M, CASK_RADIUS_M * 1.03, (150, 148, 138), lid=True)
    if top > low:
        brush.fill(ring(np.array([base[0], base[1], top]), CASK_RADIUS_M * 0.72, 20), (122, 126, 130))
        bolts = ring(np.array([base[0], base[1], top]), CASK_RADIUS_M * 0.86, 10)
        brush.fill_all(np.stack([ring(bolt, 0.05, 6) for bolt in bolts]), [(66, 68, 72)] * len(bolts))


def draw_person(brush: Brush, person: Person) -> None:
    """A walking, running or stooping figure of 1.75 m, limbs far from the camera first."""
    along = np.array([np.cos(person.heading), np.sin(person.heading), 0.0])
    aside = np.array([-along[1], along[0], 0.0])
    place = np.array([*person.place_m, 0.0])
    body = brush.view.turned(place[None])[0]
    if body[2] < 1.0 or abs(body[0]) > body[2] * brush.view.width / 2 / brush.view.focal_px + 1.2:
        return
    bob = (0.05 if person.running else 0.025) * abs(np.cos(person.phase)) * person.moving
    hip = place + RISE * (0.92 + bob - 0.34 * person.stoop)
    lean = 0.22 * person.running + 0.75 * person.stoop
    spine = along * np.sin(lean) + np.array([0, 0, np.cos(lean)])
    neck = hip + 0.55 * spine
    near = 1.0 if float(aside @ (np.asarray(brush.view.camera.position_m) - place)) > 0 else -1.0
    vest = VESTS[person.outfit]
    belt, head = hip + 0.24 * spine, neck + 0.17 * spine
    cap = head + 0.08 * spine
    trunk: list[Limb] = [
        (hip, neck - 0.08 * spine, 0.165, 0.2, vest),
        (belt - 0.13 * aside, belt + 0.13 * aside, 0.035, 0.035, shaded((196, 196, 180), 0.6)),
        (head, head + 0.05 * spine, 0.1, 0.1, SKIN),
        (cap - 0.02 * along, cap + 0.06 * along + 0.03 * spine, 0.125, 0.11, HELMETS[person.outfit]),
    ]
    limbs = _leg(person, -near, hip, along, aside) + _arm(person, -near, neck - 0.06 * spine, along, aside)
    limbs += trunk + _leg(person, near, hip, along, aside) + _arm(person, near, neck - 0.06 * spine, along, aside)
    ends = np.array([limb[:2] for limb in limbs])
    brush.limbs(ends, np.array([limb[2:4] for limb in limbs]), [limb[4] for limb in limbs])


def _turn(along: Points, angle: float) -> Points:
    """A downward direction swung forward by ``angle``."""
    return np.asarray(along * np.sin(angle) - np.array([0.0, 0.0, np.cos(angle)]))


def _swing(person: Person, side: float) -> float:
    return person.phase + (np.pi if side < 0 else 0.0)


def _leg(person: Person, side: float, hip: Points, along: Points, aside: Points) -> list[Limb]:
    stride, lift = ((0.85, 0.9) if person.running else (0.5, 0.35)) if person.moving else (0.0, 0.0)
    angle = stride * np.sin(_swing(person, side)) + 0.7 * person.stoop
    bend = 0.35 * person.moving + lift * max(0.0, np.cos(_swing(person, side))) + 1.3 * person.stoop
    joint = hip + aside * side * 0.1
    knee = joint + 0.46 * _turn(along, angle)
    ankle = knee + 0.46 * _turn(along, angle - bend)
    ankle[2] = max(ankle[2], 0.06)
    trousers = TROUSERS[person.outfit]
    return [
        (joint, knee, 0.1, 0.075, trousers),
        (knee, ankle, 0.075, 0.055, trousers),
        (ankle - 0.03 * along, ankle + 0.16 * along, 0.06, 0.05, (32, 30, 30)),
    ]


def _arm(person: Person, side: float, shoulders: Points, along: Points, aside: Points) -> list[Limb]:
    stride = (0.85 if person.running else 0.5) * person.moving
    angle = -stride * np.sin(_swing(person, side)) + 0.9 * person.stoop
    shoulder = shoulders + aside * side * 0.21
    elbow = shoulder + 0.29 * _turn(along, angle)
    hand = elbow + 0.27 * _turn(along, angle + 0.25 + 1.1 * person.running)
    vest = VESTS[person.outfit]
    return [
        (shoulder, elbow, 0.065, 0.055, shaded(vest, 0.5)),
        (elbow, hand, 0.05, 0.045, shaded(vest, 0.4)),
        (hand, hand + 0.03 * along, 0.05, 0.05, SKIN),
    ]


def opening_pixels(view: View, share: float) -> Points:
    """Outline (4, 2) in pixels of the hatch's free opening, whose two leaves slide apart along x."""
    x, y = HATCH_M
    half = HATCH_HALF_M * share
    corners = [(x - half, y - HATCH_HALF_M), (x + half, y - HATCH_HALF_M)]
    corners += [(x + half, y + HATCH_HALF_M), (x - half, y + HATCH_HALF_M)]
    return view.project(np.array([(*corner, 0.0) for corner in corners]))


def _hatch(brush: Brush, state: SceneState) -> None:
    """The pit seen through the opening, with whatever hangs or stands in it; only the opening's pixels change."""
    x, y = HATCH_M
    pit = Brush(brush.picture.copy(), brush.view, brush.light)
    half = HATCH_HALF_M
    low, high = np.array([x - half, y - half]), np.array([x + half, y + half])
    pit.fill(
        np.array([(low[0], low[1], 0.0), (high[0], low[1], 0.0), (*high, 0.0), (low[0], high[1], 0.0)]), (20, 21, 23)
    )
    walls, tones = [], []
    for depth in np.linspace(PIT_M, 0.0, 8)[1:]:
        tone = 22 + 66 * (1 - depth / PIT_M) ** 1.5
        for a, b in (
            ((low[0], high[1]), (high[0], high[1])),
            ((low[0], low[1]), (low[0], high[1])),
            ((high[0], low[1]), (high[0], high[1])),
        ):
            upper, lower = -depth, -depth - PIT_M / 7
            walls.append([(*a, upper), (*b, upper), (*b, lower), (*a, lower)])
            tones.append((tone, tone * 1.01, tone * 0.98))
    pit.fill_all(np.array(walls), tones)
    if state.cask_foot_m is not None:
        depth_light = brush.light * (0.62 if state.cask_foot_m < -1 else 0.85)
        pit.light = depth_light
        draw_cask(pit, np.array([*state.crane_m[:2], state.cask_foot_m]), above_floor=False)
        pit.light = brush.light
    if state.crane_m[2] < 0.6 and state.load != "crate":
        _hook(pit, *state.crane_m)
    mask = np.zeros(brush.picture.shape[:2], np.uint8)
    outline = np.round(opening_pixels(brush.view, state.hatch_open) * 16).astype(np.int32)
    cv2.fillConvexPoly(mask, outline, 255, cv2.LINE_AA, 4)
    left, top, width, height = cv2.boundingRect(mask)
    window = np.s_[top : top + height, left : left + width]
    share = mask[window][..., None].astype(np.float32) / 255
    blend = brush.picture[window] * (1 - share) + pit.picture[window] * share
    brush.picture[window] = np.round(blend).astype(np.uint8)
    for side in (-1, 1):
        edge = x + side * half * state.hatch_open
        ends = np.array([[edge, y - half, 0.02], [edge, y + half, 0.02]])
        brush.line(ends, (150, 150, 146), 0.09)


def _hook(brush: Brush, x: float, y: float, hook: float) -> None:
    brush.box(np.array([x - 0.24, y - 0.18, hook]), np.array([x + 0.24, y + 0.18, hook + 0.5]), (176, 140, 48))
    brush.box(np.array([x - 0.26, y - 0.2, hook + 0.16]), np.array([x + 0.26, y + 0.2, hook + 0.26]), (48, 46, 44))
    brush.line(np.array([[x, y, hook], [x, y, hook - 0.16]]), (70, 70, 72), 0.12)


def _crane(brush: Brush, x: float, y: float, hook: float) -> None:
    """The bridge on its rails, the trolley and the ropes; the far girder first."""
    for dx in (-0.22, 0.22):
        ropes = np.array([[x + dx, y, RAIL_M + 0.1], [x + dx * 0.8, y, max(hook + 0.5, 0.0)]])
        brush.line(ropes, (52, 52, 54), 0.04)
    if hook + 0.5 > 0:
        _hook(brush, x, y, max(hook, -0.5))
    eye_x = brush.view.camera.position_m[0]
    girders = sorted((x - 0.85, x + 0.85), key=lambda at: -abs(at - eye_x))
    for index, at in enumerate(girders):
        low, high = np.array([at - 0.2, 0.3, RAIL_M]), np.array([at + 0.2, WIDTH_M - 0.12, RAIL_M + 0.62])
        brush.box(low, high, CRANE_PAINT)
        side = at + (0.205 if eye_x > at else -0.205)
        seams = []
        for mark in np.arange(6.0, WIDTH_M - 1, 2.4):
            foot = np.array([(side, mark, RAIL_M + 0.04), (side, mark + 0.1, RAIL_M + 0.04)])
            seams.append(np.concatenate([foot, foot[::-1] + RISE * 0.54]))
        brush.fill_all(np.array(seams), [shaded((140, 112, 40), 0.3)] * len(seams))
        if index == 0:
            brush.box(
                np.array([x - 1.0, y - 0.6, RAIL_M + 0.5]), np.array([x + 1.0, y + 0.6, RAIL_M + 1.1]), (104, 112, 118)
            )
    ends = np.array([x - 1.3, WIDTH_M - 0.5, RAIL_M]), np.array([x + 1.3, WIDTH_M - 0.12, RAIL_M + 0.5])
    brush.box(*ends, (120, 100, 44))


def _shadows(brush: Brush, state: SceneState) -> None:
    """Soft dark patches on the floor, drawn at a quarter of the size and multiplied in."""
    height, width = brush.picture.shape[:2]
    small = View(brush.view.camera, max(16, width // 4), max(9, height // 4))
    mask: NDArray[np.uint8] = np.full((small.height, small.width, 3), 255, np.uint8)
    dark = Brush(mask, small)
    x, y, _ = state.crane_m
    dark.fill(
        np.array([(x - 1.0, 4.5, 0), (x + 1.0, 4.5, 0), (x + 1.0, WIDTH_M, 0), (x - 1.0, WIDTH_M, 0)]), (226,) * 3
    )
    for person in state.people:
        spot = np.array([person.place_m[0] - 0.1, person.place_m[1] + 0.1, 0.0])
        dark.fill(ring(spot, 0.36, 10), (150,) * 3)
    if state.load == "crate":
        dark.fill(ring(np.array([x, y + 0.25, 0.0]), 0.85, 12), (188,) * 3)
    if state.cask_foot_m is not None and state.cask_foot_m > -CASK_HEIGHT_M:
        dark.fill(ring(np.array([x - 0.15, y + 0.3, 0.0]), CASK_RADIUS_M * 1.25, 16), (122,) * 3)
    mask = cv2.GaussianBlur(mask, (0, 0), 1.1).astype(np.uint8)
    grown = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
    cv2.multiply(brush.picture, grown, dst=brush.picture, scale=1 / 255)
