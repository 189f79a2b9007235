"""Who does what and when in the hall: from a seed to a schedule, and from a schedule to the state at any time.

Pure: no pictures, no files. Times of a day run in microseconds from its first recording's start and do not stop at the
borders of recordings, so movement goes on from one recording into the next.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Literal

import numpy as np

from footage.synthetic.hall import CAMERAS, FAR_LANE_M, FORBIDDEN_HALF_M, HATCH_M, LENGTH_M, NEAR_LANE_M, WIDTH_M
from infra.errors import ConfigurationError

SECOND_US = 1_000_000
IncidentKind = Literal["cask", "intrusion", "running"]
DefectKind = Literal["gap", "truncated", "frozen", "variable_rate"]
Load = Literal["none", "crate", "cask"]

HOOK_HIGH_M, HOOK_LOW_M = 3.9, 1.7
CASK_HEIGHT_M, CASK_RADIUS_M = 2.9, 0.88
CASK_LIFT_M, CASK_SUNK_M = 0.55, -3.9
"""Height of a carried cask's foot above the floor, and of one that waits in the pit."""
EXIT_X_M = 22.4
"""Where the crane takes casks: out of both pictures."""
WALK_PATHS = (
    ((-0.6, NEAR_LANE_M), (LENGTH_M + 0.6, NEAR_LANE_M)),
    ((-0.6, FAR_LANE_M), (LENGTH_M + 0.6, FAR_LANE_M)),
    ((18.7, WIDTH_M + 0.2), (18.7, FAR_LANE_M), (-0.6, FAR_LANE_M)),
    ((18.7, WIDTH_M + 0.2), (18.6, FAR_LANE_M), (18.2, NEAR_LANE_M), (-0.6, NEAR_LANE_M)),
)


@dataclass(frozen=True)
class PlannedIncident:
    """A relevant event to be staged in a recording slot; both cameras see it."""

    kind: IncidentKind
    day: int
    slot: int


@dataclass(frozen=True)
class PlannedDefect:
    """A fault of one camera's recording: ``gap`` the file is absent, ``truncated`` cut short and partly corrupt (a
    Matroska file), ``frozen`` the picture stands still for a while, ``variable_rate`` intervals jitter and frames drop.
    """

    kind: DefectKind
    camera: int
    day: int
    slot: int


@dataclass(frozen=True)
class CampaignSettings:
    """What to stage and film. ``CampaignSettings()`` is the demonstration, ``small_campaign()`` one for tests.

    Attributes:
        seed: Everything random follows from it.
        first_day: Date of day 0.
        days: Number of days, one a date.
        begins_at: Time of day (UTC) of each day's first recording.
        slots: Recordings a camera and day, end to end.
        slot_us: Length of a recording.
        width, height: Picture size, even.
        rate_hz: Nominal frame rate, a whole number.
        crf: Compression, see ``footage.writing.Encoding``.
        keyframe_every: Frames between key frames; the frozen recording has fewer, none inside its frozen stretch.
        cask_s: Shortest and longest transfer of a cask.
        frozen_us: Length of the frozen stretch.
        incidents, defects: What is staged, and what goes wrong. An incident never shares its slot with a truncated or
            frozen recording, so every listed event can be seen whole, unless the file is absent.
    """

    seed: int = 7
    first_day: date = date(2026, 3, 2)
    days: int = 3
    begins_at: time = time(8, 0, 0)
    slots: int = 3
    slot_us: int = 50 * SECOND_US
    width: int = 640
    height: int = 360
    rate_hz: int = 10
    crf: int = 27
    keyframe_every: int = 20
    cask_s: tuple[float, float] = (10.5, 14.0)
    frozen_us: int = 8 * SECOND_US
    incidents: tuple[PlannedIncident, ...] = (
        PlannedIncident("cask", 0, 1),
        PlannedIncident("cask", 1, 0),
        PlannedIncident("intrusion", 1, 1),
        PlannedIncident("cask", 1, 1),
        PlannedIncident("cask", 2, 0),
        PlannedIncident("running", 2, 0),
        PlannedIncident("cask", 2, 2),
        PlannedIncident("intrusion", 2, 2),
    )
    defects: tuple[PlannedDefect, ...] = (
        PlannedDefect("variable_rate", 0, 0, 2),
        PlannedDefect("gap", 1, 0, 1),
        PlannedDefect("frozen", 1, 1, 2),
        PlannedDefect("truncated", 0, 2, 1),
    )

    def __post_init__(self) -> None:
        if min(self.days, self.slots, self.rate_hz, self.keyframe_every) < 1:
            raise ConfigurationError("days, slots, rate_hz and keyframe_every must each be at least 1")
        if self.width % 2 or self.height % 2 or min(self.width, self.height) < 64:
            raise ConfigurationError(f"picture size {self.width}x{self.height}; both must be even and at least 64")
        if self.slot_us % SECOND_US or self.slot_us < 2 * max(self.cask_s[1] * SECOND_US * 0.6, self.frozen_us):
            raise ConfigurationError(
                f"slot_us {self.slot_us} must be whole seconds, at least twice frozen_us and 1.2 times the longest cask"
            )
        placed = [(i.day, i.slot) for i in self.incidents] + [(d.day, d.slot) for d in self.defects]
        if any(not (0 <= day < self.days and 0 <= slot < self.slots) for day, slot in placed):
            raise ConfigurationError(f"an incident or defect lies outside {self.days} days of {self.slots} slots")
        harmed = {(item.day, item.slot) for item in self.defects if item.kind in ("truncated", "frozen")}
        for incident in self.incidents:
            if (incident.day, incident.slot) in harmed:
                raise ConfigurationError(
                    f"{incident.kind} on day {incident.day}, slot {incident.slot} would fall into a frozen or "
                    "truncated recording; move one of them"
                )
        cells = [(item.camera, item.day, item.slot) for item in self.defects]
        if len(set(cells)) < len(cells) or any(not 0 <= camera < len(CAMERAS) for camera, _, _ in cells):
            raise ConfigurationError(f"defects need one recording each and a camera in 0..{len(CAMERAS) - 1}")

    def started_at(self, day: int, slot: int) -> datetime:
        """Start of a recording slot, UTC."""
        first = datetime.combine(self.first_day, self.begins_at, UTC)
        return first + timedelta(days=day, microseconds=slot * self.slot_us)

    def interval_us(self) -> Fraction:
        return Fraction(SECOND_US, self.rate_hz)


def small_campaign(seed: int = 7) -> CampaignSettings:
    """Two cameras, two days of three 8 s recordings of 192x108 at 8 Hz, with every defect: for tests."""
    return CampaignSettings(
        seed=seed,
        days=2,
        slot_us=8 * SECOND_US,
        width=192,
        height=108,
        cask_s=(4.6, 5.4),
        frozen_us=3 * SECOND_US,
        rate_hz=8,
        keyframe_every=8,
        incidents=(PlannedIncident("cask", 0, 1), PlannedIncident("cask", 1, 0), PlannedIncident("intrusion", 1, 2)),
        defects=(
            PlannedDefect("frozen", 1, 0, 0),
            PlannedDefect("variable_rate", 0, 0, 2),
            PlannedDefect("gap", 1, 0, 1),
            PlannedDefect("truncated", 0, 1, 1),
        ),
    )


@dataclass(frozen=True)
class Walk:
    """A person's way over the floor: corner points (x, y) with the times they are reached, in microseconds of the day.

    ``stoop`` is how far the person bends down at each corner, 0 to 1.
    """

    times_us: tuple[int, ...]
    places_m: tuple[tuple[float, float], ...]
    stoop: tuple[float, ...]
    outfit: int
    running: bool = False


@dataclass(frozen=True)
class Track:
    """Numbers that change over time: values (K, N) at rising times, moving smoothly from one to the next."""

    times_us: tuple[int, ...]
    values: tuple[tuple[float, ...], ...]

    def at(self, t_us: int) -> tuple[float, ...]:
        later = bisect_right(self.times_us, t_us)
        if later == 0 or later == len(self.times_us):
            return self.values[min(later, len(self.values) - 1)]
        begin, end = self.times_us[later - 1], self.times_us[later]
        share = (t_us - begin) / (end - begin)
        share = share * share * (3 - 2 * share)
        pairs = zip(self.values[later - 1], self.values[later], strict=True)
        return tuple(a + (b - a) * share for a, b in pairs)


@dataclass(frozen=True)
class Staged:
    """One incident on the day's clock, ``[from_us, to_us)``: the span in which any camera may see it."""

    kind: IncidentKind
    from_us: int
    to_us: int
    walk: Walk | None = None


@dataclass(frozen=True)
class DayPlan:
    """Everything that moves on one day."""

    crane: Track
    """x, y of the hook and its height, metres."""
    hatch: Track
    """How far the hatch is open, 0 to 1."""
    loads: tuple[tuple[int, int, Load], ...]
    """What hangs on the hook, [from, to) of the day."""
    sunk: tuple[tuple[int, int], ...]
    """When a cask stands in the pit."""
    walks: tuple[Walk, ...]
    incidents: tuple[Staged, ...]
    light: Track
    """Strength of lamps and of daylight."""


@dataclass(frozen=True)
class Person:
    """A person at one instant: place, direction (radians), phase of the step, pose."""

    place_m: tuple[float, float]
    heading: float
    phase: float
    stoop: float
    outfit: int
    running: bool
    moving: bool


@dataclass(frozen=True)
class SceneState:
    """Everything a camera can see at one instant."""

    crane_m: tuple[float, float, float]
    load: Load
    cask_foot_m: float | None
    hatch_open: float
    people: tuple[Person, ...]
    lamps: float
    daylight: float


def state_at(plan: DayPlan, t_us: int) -> SceneState:
    """The hall at time ``t_us`` of the day."""
    x, y, hook = plan.crane.at(t_us)
    load: Load = next((kind for begin, end, kind in plan.loads if begin <= t_us < end), "none")
    foot = hook - CASK_HEIGHT_M - 0.35 if load == "cask" else None
    if any(begin <= t_us < end for begin, end in plan.sunk):
        foot = CASK_SUNK_M
    people = tuple(person for walk in plan.walks if (person := person_at(walk, t_us)) is not None)
    lamps, daylight = plan.light.at(t_us)
    return SceneState((x, y, hook), load, foot, plan.hatch.at(t_us)[0], people, lamps, daylight)


def in_forbidden(place_m: tuple[float, float]) -> bool:
    """Whether a place on the floor lies in the marked square around the hatch."""
    return max(abs(place_m[0] - HATCH_M[0]), abs(place_m[1] - HATCH_M[1])) < FORBIDDEN_HALF_M


def person_at(walk: Walk, t_us: int) -> Person | None:
    """Where a person is and what he or she does at time ``t_us`` of the day; None before and after the walk."""
    if not walk.times_us[0] <= t_us < walk.times_us[-1]:
        return None
    later = bisect_right(walk.times_us, t_us)
    begin, end = walk.times_us[later - 1], walk.times_us[later]
    share = (t_us - begin) / (end - begin)
    here, then = np.array(walk.places_m[later - 1]), np.array(walk.places_m[later])
    moving = bool(np.linalg.norm(then - here) > 0.05)
    faced = then - here if moving else np.array(HATCH_M) - here
    stride_s = 0.62 if walk.running else 1.05
    phase = 2 * np.pi * (t_us - walk.times_us[0]) / (stride_s * SECOND_US)
    place = here + (then - here) * share
    stoop = walk.stoop[later - 1] + (walk.stoop[later] - walk.stoop[later - 1]) * share
    heading = float(np.arctan2(faced[1], faced[0]))
    return Person((float(place[0]), float(place[1])), heading, float(phase), stoop, walk.outfit, walk.running, moving)
