"""The flip report: events that one version of a head finds in a campaign and another does not, and how they were judged."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime
from typing import Any, Literal, Self, get_args

import numpy as np

from lake.keys import Place
from models.flips import McNemar, SignFlip

FORMAT = 1
"""Of the file; raised when a reader of before could not read it."""
Change = Literal["gained", "lost", "moved"]
CHANGES: tuple[Change, ...] = get_args(Change)
Unit = Literal["camera-day", "recording"]


@dataclass(frozen=True)
class FoundEvent:
    """An event as one of the versions finds it.

    Attributes:
        head: what scores and events call the head: name of the alarm, of the use case, or of the novelty head.
        region: that it is found in.
        event_id, version: as in the lake.
        recording_id, peak_us: recording of the peak, and the time in it.
        started_at, ended_at, peak_at: true times.
        peak_score, threshold: the highest smoothed score, and what it was held against; None where that is infinite.
    """

    head: str
    region: str
    event_id: str
    version: str
    recording_id: str
    peak_us: int
    started_at: datetime
    ended_at: datetime
    peak_at: datetime
    peak_score: float
    threshold: float | None

    def __post_init__(self) -> None:
        if not self.started_at < self.ended_at:
            raise ValueError(f"an event begins before it ends, got {self.started_at} to {self.ended_at}")

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From a row of `events`; numbers as the lake keeps them, whether or not it was ever written."""
        threshold = row["threshold"]
        kept = None if threshold is None or not math.isfinite(threshold) else float(np.float32(threshold))
        told = {field.name: row[field.name] for field in fields(cls)}
        return cls(**told | {"peak_score": float(np.float32(row["peak_score"])), "threshold": kept})

    def to_json(self) -> dict[str, Any]:
        times = {name: getattr(self, name).astimezone(UTC).isoformat() for name in _TIMES}
        return {**asdict(self), **times}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        times = {name: datetime.fromisoformat(told[name]) for name in _TIMES}
        return cls(**{field.name: told[field.name] for field in fields(cls)} | times)


_TIMES = ("started_at", "ended_at", "peak_at")


@dataclass(frozen=True)
class ComparedDay:
    """A camera's day with the events that each version finds in it."""

    place: Place
    current: tuple[FoundEvent, ...]
    candidate: tuple[FoundEvent, ...]


@dataclass(frozen=True)
class Compared:
    """What two versions were held against each other on.

    Attributes:
        days: that both were applied to, in order of place.
        heads: what events and verdicts call the heads that were compared.
        models: kind, name and version of every model that was applied, as far as the registry has it.
        applied: how they were applied, in words, a line for each alarm or head.
        remarks: what there is to know, such as days that were left out.
        made_from: keys of everything that decides the events.
    """

    days: tuple[ComparedDay, ...]
    heads: tuple[str, ...]
    models: tuple[tuple[str, str, str], ...] = ()
    applied: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    made_from: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flip:
    """An event that the update changes.

    Attributes:
        change: gained (only the candidate finds it), lost (only the version in service does), or moved (both do, and they
            overlap by less than half of what they cover together).
        campaign, camera, day: where.
        current, candidate: the event as each finds it; None where it does not.
        iou: temporal intersection over union of the two; 0 where there is one.
        verdict: `confirmed` or `dismissed` by a person; empty where nobody judged it.
    """

    change: Change
    campaign: str
    camera: str
    day: date
    current: FoundEvent | None
    candidate: FoundEvent | None
    iou: float = 0.0
    verdict: str = ""

    def __post_init__(self) -> None:
        there = (self.current is not None, self.candidate is not None)
        if there != (self.change != "gained", self.change != "lost"):
            raise ValueError(f"an event that is {self.change} is not of {there} (version in service, candidate)")

    @property
    def shown(self) -> FoundEvent:
        """The event that stands for it: the candidate's where there is one."""
        event = self.candidate or self.current
        assert event is not None  # one of the two is there, whatever the change
        return event

    @property
    def place(self) -> Place:
        return Place(self.campaign, self.camera, self.day)

    def to_json(self) -> dict[str, Any]:
        events = {name: None if one is None else one.to_json() for name, one in self._events().items()}
        return {**asdict(self), "day": self.day.isoformat(), **events}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        events = {
            name: None if told[name] is None else FoundEvent.from_json(told[name]) for name in ("current", "candidate")
        }
        rest = {"day": date.fromisoformat(told["day"]), **events}
        return cls(**{field.name: told[field.name] for field in fields(cls)} | rest)

    def _events(self) -> dict[str, FoundEvent | None]:
        return {"current": self.current, "candidate": self.candidate}


@dataclass(frozen=True)
class CameraCount:
    """Events of a camera: of each version, and how many of them are kept, moved, lost and gained."""

    camera: str
    days: int
    current: int
    candidate: int
    kept: int
    moved: int
    lost: int
    gained: int

    def __post_init__(self) -> None:
        shared = self.kept + self.moved
        if (self.current, self.candidate) != (shared + self.lost, shared + self.gained):
            raise ValueError(f"the events of a camera are kept, moved, lost or gained, and these do not add up: {self}")


@dataclass(frozen=True)
class FlipReport:
    """What changes if the candidate takes the place of the version in service.

    Attributes:
        kind, name: of the model; kind `counted` where runs of the ledger are compared.
        current, candidate: versions; of `counted`, runs.
        campaign: whose footage.
        applied, remarks: see `Compared`.
        made_from: hash of the keys of everything that decides the events.
        unit: what the test of the difference pairs.
        difference: the test itself.
        judged: how right both are about what people judged.
        learnt: judged stretches that were left out there since a version may have been trained on their recording.
        cameras: counts, in order of name.
        flips: what is not kept, in order of camera and time.
    """

    kind: str
    name: str
    current: str
    candidate: str
    campaign: str
    applied: tuple[str, ...]
    remarks: tuple[str, ...]
    made_from: str
    unit: Unit
    difference: SignFlip
    judged: McNemar
    learnt: int
    cameras: tuple[CameraCount, ...]
    flips: tuple[Flip, ...]

    def total(self, name: str) -> int:
        """Sum over the cameras of one of their counts."""
        return sum(int(getattr(camera, name)) for camera in self.cameras)

    def of(self, change: Change, camera: str | None = None) -> list[Flip]:
        """The events that are gained, lost or moved; of one camera where it is named."""
        return [flip for flip in self.flips if flip.change == change and camera in (None, flip.camera)]

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            **{name: getattr(self, name) for name in _PLAIN},
            **{name: list(getattr(self, name)) for name in ("applied", "remarks")},
            "difference": asdict(self.difference),
            "judged": {**asdict(self.judged), "p": self.judged.p},
            "cameras": [asdict(camera) for camera in self.cameras],
            "flips": [flip.to_json() for flip in self.flips],
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """As it was written.

        Raises:
            KeyError, TypeError, ValueError: it is no such thing.
        """
        if told["format"] != FORMAT:
            raise ValueError(f"format {told['format']}")
        judged = {field.name: told["judged"][field.name] for field in fields(McNemar)}
        return cls(
            **{name: told[name] for name in _PLAIN},
            applied=tuple(told["applied"]),
            remarks=tuple(told["remarks"]),
            difference=SignFlip(**told["difference"]),
            judged=McNemar(**judged),
            cameras=tuple(CameraCount(**camera) for camera in told["cameras"]),
            flips=tuple(Flip.from_json(flip) for flip in told["flips"]),
        )


_PLAIN = ("kind", "name", "current", "candidate", "campaign", "made_from", "unit", "learnt")


def difference_words(report: FlipReport) -> str:
    """What the test of the difference says, in a sentence or two."""
    test = report.difference
    count, how = abs(test.difference), "more" if test.difference > 0 else "fewer"
    more = f"{count} event{'' if count == 1 else 's'} {how} than" if count else "as many events as"
    over = f"{test.units} {report.unit}{'' if test.units == 1 else 's'}, of which {test.differing} differ{_s(test.differing)}"
    way = "all exchanges counted" if test.method == "exact" else f"{test.samples} exchanges drawn, seed {test.seed}"
    told = (
        f"the candidate finds {more} the version in service; sign-flip test over {over}: p = {p_text(test.p)} ({way})"
    )
    return f"{told}; too few differ to tell it from chance" if test.too_few else told


def judged_words(report: FlipReport) -> str:
    """What people's verdicts say, in a sentence or two."""
    judged = report.judged
    left_out = (
        f"{report.learnt} of recordings that a version may have been trained on are left out" if report.learnt else ""
    )
    if not judged.judged:
        return "; ".join(
            filter(None, ("people's verdicts tell nothing of which is right", left_out or "there are none"))
        )
    told = (
        f"of {judged.judged} judged stretches both have {judged.both} right and {judged.neither} wrong; only the version in "
        f"service {judged.only_current}, only the candidate {judged.only_candidate}: McNemar p = {p_text(judged.p)}"
    )
    few = "too few differ to tell it from chance" if judged.too_few else ""
    return "; ".join(filter(None, (told, few, left_out)))


def p_text(p: float) -> str:
    """A probability as it is told."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1g}"


def events_in_order(events: Iterable[FoundEvent]) -> tuple[FoundEvent, ...]:
    """Events in an order that depends on nothing but them."""
    return tuple(sorted(events, key=lambda one: (one.started_at, one.ended_at, one.head, one.region, one.event_id)))


def _s(count: int) -> str:
    """What a verb ends in after a count."""
    return "s" if count == 1 else ""
