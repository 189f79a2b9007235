"""Draws a day's schedule from the seed: routine first, incidents where the settings want them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from footage.synthetic.hall import FAR_LANE_M, HATCH_M, LENGTH_M, NEAR_LANE_M, WIDTH_M
from footage.synthetic.plan import (
    CASK_HEIGHT_M,
    CASK_LIFT_M,
    CASK_SUNK_M,
    EXIT_X_M,
    HOOK_HIGH_M,
    HOOK_LOW_M,
    SECOND_US,
    WALK_PATHS,
    CampaignSettings,
    DayPlan,
    Load,
    Staged,
    Track,
    Walk,
)
from infra.errors import ConfigurationError

OUTFITS = 5
ROUTINE_CRANE_S = 16.0
"""A routine movement of the crane, where a recording has room for it; shorter recordings have a quicker one."""


def plan_day(settings: CampaignSettings, day: int) -> DayPlan:
    """The schedule of one day; the same settings and day give the same schedule.

    Raises:
        ConfigurationError: A slot has no room for its incidents.
    """
    rng = np.random.default_rng([settings.seed, day, 1])
    works = _CraneBook(rng)
    walks: list[Walk] = []
    incidents: list[Staged] = []
    for slot in range(settings.slots):
        begin_us, end_us = slot * settings.slot_us, (slot + 1) * settings.slot_us
        kinds = [item.kind for item in settings.incidents if (item.day, item.slot) == (day, slot)]
        lengths = [_length_us(kind, settings, rng) for kind in kinds]
        starts = _placed(rng, begin_us, end_us, lengths, kinds)
        for kind, start_us, length_us in zip(kinds, starts, lengths, strict=True):
            walk = None
            if kind == "cask":
                works.cask(start_us, start_us + length_us)
            else:
                walk = _intruder(rng, start_us, length_us) if kind == "intrusion" else _runner(rng, start_us)
                walks.append(walk)
            incidents.append(Staged(kind, start_us, start_us + length_us, walk))
        taken = [(a, a + n) for kind, a, n in zip(kinds, starts, lengths, strict=True) if kind == "cask"]
        works.routine(begin_us, end_us, taken)
        walks.extend(_passers_by(rng, begin_us, settings.slot_us))
    crane, hatch = works.tracks()
    return DayPlan(
        crane=crane,
        hatch=hatch,
        loads=tuple(works.loads),
        sunk=tuple(works.sunk),
        walks=tuple(walks),
        incidents=tuple(sorted(incidents, key=lambda item: item.from_us)),
        light=_light(rng, settings, day),
    )


def _length_us(kind: str, settings: CampaignSettings, rng: np.random.Generator) -> int:
    if kind == "cask":
        return round(rng.uniform(*settings.cask_s) * SECOND_US)
    if kind == "running":
        return round(6.4 * SECOND_US)  # the hall's length at the slowest run
    return round(rng.uniform(11.0, 13.0) * min(1.0, settings.slot_us / (25 * SECOND_US)) * SECOND_US)


def _placed(
    rng: np.random.Generator, begin_us: int, end_us: int, lengths: list[int], kinds: Sequence[str]
) -> list[int]:
    """Starts of the incidents of a slot, one after the other, with the spare time shared at random before each."""
    margin_us = round(0.06 * (end_us - begin_us))
    spare_us = end_us - begin_us - sum(lengths) - margin_us * (len(lengths) + 1)
    if lengths and spare_us < 0:
        raise ConfigurationError(
            f"{', '.join(kinds)} need {sum(lengths) / SECOND_US:.1f} s of a {(end_us - begin_us) / SECOND_US:.0f} s "
            "slot; lengthen slot_us or stage fewer incidents in a slot"
        )
    shares = rng.dirichlet(np.full(len(lengths) + 1, 3.0))
    starts, now_us = [], begin_us
    for length_us, share in zip(lengths, shares, strict=False):
        now_us += margin_us + round(float(share) * spare_us)
        starts.append(now_us)
        now_us += length_us
    return starts


class _CraneBook:
    """Collects what the crane does; in between it moves from where it was to where it is needed next."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._moves: list[tuple[int, float, float, float]] = []
        self._leaf: list[tuple[int, float]] = [(0, 0.0)]
        self.loads: list[tuple[int, int, Load]] = []
        self.sunk: list[tuple[int, int]] = []

    def cask(self, from_us: int, to_us: int) -> None:
        """A cask leaves through the hatch, or comes in by it: the one is the other run backwards."""
        leaves = bool(self._rng.random() < 0.5)
        length_us = to_us - from_us

        def when(share: float) -> int:
            return from_us + round((share if leaves else 1 - share) * length_us)

        x, y = HATCH_M
        above = CASK_HEIGHT_M + 0.35
        poses = (
            (0.0, (x, y, HOOK_HIGH_M)),
            (0.20, (x, y, CASK_SUNK_M + above)),
            (0.56, (x, y, CASK_LIFT_M + above)),
            (1.0, (EXIT_X_M, y + 0.6, CASK_LIFT_M + above)),
        )
        self._moves += [(when(share), *pose) for share, pose in poses]
        self._leaf += [(when(share), value) for share, value in ((0.0, 0.0), (0.13, 1.0), (0.57, 1.0), (0.72, 0.0))]
        carried = sorted((when(0.20), when(1.0)))
        self.loads.append((carried[0], carried[1], "cask"))
        waiting = sorted((when(0.0), when(0.20)))
        self.sunk.append((waiting[0], waiting[1]))

    def routine(self, begin_us: int, end_us: int, taken: list[tuple[int, int]]) -> None:
        """An everyday movement in the longest time that the casks leave: drive, lower, lift, drive on."""
        borders = [begin_us, *(t for span in sorted(taken) for t in span), end_us]
        frees = list(zip(borders[::2], borders[1::2], strict=True))
        free = max(frees, key=lambda span: span[1] - span[0])
        length_us = min(free[1] - free[0], round(ROUTINE_CRANE_S * SECOND_US))
        edge_us = round(0.12 * (free[1] - free[0]))
        last_us = max(free[0] + edge_us, free[1] - length_us - edge_us)
        start_us = int(self._rng.integers(free[0] + edge_us, last_us + 1))
        length_us = min(length_us, free[1] - edge_us - start_us)
        from_x, to_x = self._rng.uniform(5.5, 10.5), self._rng.uniform(15.0, 19.0)
        if self._rng.random() < 0.5:
            from_x, to_x = to_x, from_x
        from_y, to_y = self._rng.uniform(11.5, 13.2), self._rng.uniform(10.5, 13.0)
        shares = (0.0, 0.24, 0.48, 0.85, 1.0)
        poses = (
            (from_x, from_y, HOOK_HIGH_M),
            (from_x, from_y, HOOK_LOW_M),
            (from_x, from_y, 3.2),
            (to_x, to_y, 3.2),
            (to_x, to_y, HOOK_HIGH_M),
        )
        times = [start_us + round(share * length_us) for share in shares]
        self._moves += [(t, *pose) for t, pose in zip(times, poses, strict=True)]
        if self._rng.random() < 0.6:
            self.loads.append((times[1], times[3], "crate"))

    def tracks(self) -> tuple[Track, Track]:
        moves, leaf = sorted(self._moves), sorted(self._leaf)
        crane = Track(tuple(m[0] for m in moves), tuple(m[1:] for m in moves))
        return crane, Track(tuple(t for t, _ in leaf), tuple((value,) for _, value in leaf))


def _walk(rng: np.random.Generator, corners: list[tuple[float, float]], start_us: int, speed_m_s: float) -> Walk:
    times = [start_us]
    for here, then in pairwise(corners):
        times.append(
            times[-1] + max(1, round(float(np.hypot(then[0] - here[0], then[1] - here[1])) / speed_m_s * SECOND_US))
        )
    return Walk(tuple(times), tuple(corners), (0.0,) * len(corners), int(rng.integers(OUTFITS)))


def _passers_by(rng: np.random.Generator, begin_us: int, slot_us: int) -> list[Walk]:
    """People on the usual paths: one who is on the way when the slot begins, more after."""
    walks = []
    for index in range(1 + max(1, slot_us // (17 * SECOND_US))):
        path = WALK_PATHS[int(rng.integers(len(WALK_PATHS)))]
        offset = rng.uniform(-0.45, 0.45)
        corners = [(x, y + offset if y < WIDTH_M else y) for x, y in path]
        if rng.random() < 0.5:
            corners.reverse()
        start_us = begin_us + (-round(rng.uniform(4, 9) * SECOND_US) if index == 0 else int(rng.integers(slot_us)))
        walks.append(_walk(rng, corners, start_us, rng.uniform(1.15, 1.6)))
    return walks


def _intruder(rng: np.random.Generator, start_us: int, length_us: int) -> Walk:
    """A person leaves the near lane, steps into the marked square, stoops at the hatch's edge and goes back."""
    x, y = HATCH_M
    side = float(rng.choice([-1.0, 1.0]))
    edge = (x + side * rng.uniform(0.4, 1.3), y - 2.25)
    lane = (x + side * rng.uniform(2.5, 4.0), NEAR_LANE_M)
    far = (x + side * 15, NEAR_LANE_M)
    # Only the part inside the square must fit into the incident's span; the way to it and back may be routine.
    shares = (0.16, 0.34, 0.66, 0.84)
    inner = [start_us + round(share * length_us) for share in shares]
    approach_us = round(3.0 * SECOND_US)
    away_us = round(abs(far[0] - lane[0]) / 1.4 * SECOND_US)
    before, after = start_us - round(0.04 * length_us), start_us + length_us + round(0.04 * length_us)
    times = (before - away_us, before - approach_us // 6, *inner, after, after + away_us)
    middle = (edge[0] + side * 0.5, edge[1] - 0.05)
    places = (far, lane, edge, edge, middle, middle, lane, far)
    return Walk(tuple(times), places, (0, 0, 0.15, 0.9, 0.9, 0.1, 0, 0), int(rng.integers(OUTFITS)))


def _runner(rng: np.random.Generator, start_us: int) -> Walk:
    """A person runs the far lane from end to end."""
    ends = [(-0.6, FAR_LANE_M + rng.uniform(-0.4, 0.4)), (LENGTH_M + 0.6, FAR_LANE_M + rng.uniform(-0.4, 0.4))]
    if rng.random() < 0.5:
        ends.reverse()
    walk = _walk(rng, ends, start_us, rng.uniform(4.4, 5.0))
    return Walk(walk.times_us, walk.places_m, walk.stoop, walk.outfit, running=True)


def _light(rng: np.random.Generator, settings: CampaignSettings, day: int) -> Track:
    """Lamps that wander a little and daylight that climbs and falls with clouds."""
    length_us = settings.slots * settings.slot_us
    count = 4 * settings.slots + 1
    turn = np.linspace(0, 1, count)
    sun = 0.55 + 0.45 * np.sin(np.pi * (0.15 + 0.75 * turn)) + 0.16 * rng.normal(size=count) - 0.1 * (day % 2)
    lamps = 1.0 + 0.05 * np.sin(2 * np.pi * (turn + rng.random())) + 0.015 * rng.normal(size=count)
    times = tuple(round(float(share) * length_us) for share in turn)
    return Track(times, tuple((float(a), float(max(0.15, b))) for a, b in zip(lamps, sun, strict=True)))
