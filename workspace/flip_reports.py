"""Making a flip report of what two versions found: events matched, differences tested, verdicts counted."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from infra.errors import ConfigurationError
from lake.keys import Place, short_hash
from lake.labels import Label, Role, UseCase, labels_now
from lake.verdicts import Stretch, newest_of_each_moment
from models.flips import FEWEST_DIFFERING, McNemar, SignFlip, Spans, match_events, sign_flip_test
from workspace.flips import CameraCount, Change, Compared, ComparedDay, Flip, FlipReport, FoundEvent, Unit
from workspace.known_recordings import KnownRecordings
from workspace.opened import Workspace
from workspace.trained_recordings import trained_recordings

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RIGHT = {True: "confirmed", False: "dismissed"}
Track = tuple[str, str]
"""Head and region: only events of one track are matched."""


@dataclass(frozen=True)
class Identity:
    """What is compared: see `FlipReport`."""

    kind: str
    name: str
    current: str
    candidate: str
    campaign: str


@dataclass(frozen=True)
class _Judged:
    """A stretch that a person judged, in true time."""

    place: Place
    track: Track
    began_at: datetime
    ended_at: datetime
    confirmed: bool

    def reaches_into(self, event: FoundEvent) -> bool:
        same = self.track == (event.head, event.region)
        return same and event.started_at < self.ended_at and self.began_at < event.ended_at


def make_report(workspace: Workspace, identity: Identity, compared: Compared, *, seed: int = 0) -> FlipReport:
    """Match, count and test what two versions found.

    Args:
        workspace: whose verdicts count.
        identity: what is compared.
        compared: the days, and what each version finds in them.
        seed: of the test, where exchanges are drawn.

    Raises:
        ConfigurationError: there is no day that both were applied to.
    """
    if not compared.days:
        why = "; ".join(compared.remarks) or f"nothing of campaign {identity.campaign} is embedded"
        raise ConfigurationError(f"there is no camera-day to compare {identity.name} on: {why}")
    judged, learnt = _judged(workspace, compared)
    by_place: dict[Place, list[_Judged]] = {}
    for one in judged:
        by_place.setdefault(one.place, []).append(one)
    flips: list[Flip] = []
    counts: dict[str, Counter[str]] = {}
    for day in compared.days:
        found, kept = _matched(day, by_place.get(day.place, ()))
        flips += found
        count = counts.setdefault(day.place.camera, Counter())
        count.update(flip.change for flip in found)
        count.update({"days": 1, "kept": kept, "current": len(day.current), "candidate": len(day.candidate)})
    names = ("days", "current", "candidate", "kept", "moved", "lost", "gained")
    unit, test = _tested(workspace, compared.days, seed)
    right = [_rights(one, day) for day in compared.days for one in by_place.get(day.place, ())]
    return FlipReport(
        kind=identity.kind,
        name=identity.name,
        current=identity.current,
        candidate=identity.candidate,
        campaign=identity.campaign,
        applied=compared.applied,
        remarks=compared.remarks,
        made_from=short_hash(sorted(compared.made_from)),
        unit=unit,
        difference=test,
        judged=McNemar.of([current for current, _ in right], [candidate for _, candidate in right]),
        learnt=learnt,
        cameras=tuple(
            CameraCount(camera, **{name: counts[camera][name] for name in names}) for camera in sorted(counts)
        ),
        flips=tuple(sorted(flips, key=_place_and_time)),
    )


def _matched(day: ComparedDay, judged: Sequence[_Judged]) -> tuple[list[Flip], int]:
    """What changes of a day, and how many events stay."""
    flips: list[Flip] = []
    kept = 0
    place = day.place

    def flip(change: Change, current: FoundEvent | None, candidate: FoundEvent | None, iou: float = 0.0) -> Flip:
        verdict = _verdict(judged, [event for event in (current, candidate) if event is not None])
        return Flip(change, place.campaign, place.camera, place.day, current, candidate, iou, verdict)

    for track in sorted({(event.head, event.region) for event in (*day.current, *day.candidate)}):
        current, candidate = (_of_track(events, track) for events in (day.current, day.candidate))
        matching = match_events(_spans(current), _spans(candidate))
        moved = [pair for pair in matching.pairs if pair.moved]
        kept += len(matching.pairs) - len(moved)
        flips += [flip("lost", current[row], None) for row in matching.lost]
        flips += [flip("gained", None, candidate[row]) for row in matching.gained]
        flips += [flip("moved", current[pair.current], candidate[pair.candidate], round(pair.iou, 4)) for pair in moved]
    return flips, kept


def _of_track(events: Sequence[FoundEvent], track: Track) -> list[FoundEvent]:
    mine = (event for event in events if (event.head, event.region) == track)
    return sorted(mine, key=lambda event: (event.started_at, event.ended_at, event.event_id))


def _spans(events: Sequence[FoundEvent]) -> Spans:
    """int64 (N, 2), microseconds since 1970."""
    told = [[(moment - EPOCH) // MICROSECOND for moment in (event.started_at, event.ended_at)] for event in events]
    return np.array(told, np.int64).reshape(-1, 2)


def _verdict(judged: Sequence[_Judged], events: Sequence[FoundEvent]) -> str:
    """What people said of an event: confirmed where a confirmed stretch reaches into it, else dismissed where one does."""
    answers = {one.confirmed for one in judged if any(one.reaches_into(event) for event in events)}
    return RIGHT[True in answers] if answers else ""


def _rights(judged: _Judged, day: ComparedDay) -> tuple[bool, bool]:
    """Whether each version is right: it finds what was confirmed, and does not find what was dismissed."""
    current, candidate = (
        any(judged.reaches_into(event) for event in events) == judged.confirmed
        for events in (day.current, day.candidate)
    )
    return current, candidate


def _tested(workspace: Workspace, days: Sequence[ComparedDay], seed: int) -> tuple[Unit, SignFlip]:
    """The test over camera-days; where a campaign has too few of them to tell anything, over recordings."""
    if len(days) >= FEWEST_DIFFERING:
        return "camera-day", sign_flip_test([len(day.candidate) - len(day.current) for day in days], seed=seed)
    known = KnownRecordings(workspace.ledger)
    differences: Counter[str] = Counter()
    for place in (day.place for day in days):
        mine = (one for one in known.of_camera(place.campaign, place.camera) if one.day == place.day)
        differences.update({one.recording_id: 0 for one in mine})
    for day in days:
        differences.update(event.recording_id for event in day.candidate)
        differences.subtract(event.recording_id for event in day.current)
    return "recording", sign_flip_test([differences[name] for name in sorted(differences)], seed=seed)


def _judged(workspace: Workspace, compared: Compared) -> tuple[list[_Judged], int]:
    """What people judged of the compared heads in those days, of recordings that no version was trained on; and how much
    there is of the others."""
    places = {day.place for day in compared.days}
    cameras = {place.camera for place in places}
    roles: tuple[Role, ...] = ("label", "truth")
    said = {
        role: [
            label
            for label in labels_now(workspace.ledger, role=role)
            if label.use_case.camera in cameras and label.use_case.name in compared.heads
        ]
        for role in roles
    }
    trained = [trained_recordings(workspace, *model, said["label"]) for model in compared.models]
    learnt = frozenset[str]().union(*trained)
    known = KnownRecordings(workspace.ledger)
    stretches = _stretches([*said["label"], *said["truth"]])
    return (
        list(_in_places(stretches, known, places, lambda one: one.recording_id not in learnt)),
        len(list(_in_places(stretches, known, places, lambda one: one.recording_id in learnt))),
    )


def _stretches(labels: Sequence[Label]) -> Mapping[UseCase, tuple[Stretch, ...]]:
    """Disjoint, by what they are about: of two labels on one moment the newer counts."""
    by_case: dict[UseCase, list[Label]] = {}
    for label in labels:
        by_case.setdefault(label.use_case, []).append(label)
    return {case: newest_of_each_moment(by_case[case]) for case in sorted(by_case)}


def _in_places(
    stretches: Mapping[UseCase, tuple[Stretch, ...]],
    known: KnownRecordings,
    places: set[Place],
    wanted: Callable[[Stretch], bool],
) -> Iterator[_Judged]:
    for case, mine in stretches.items():
        for stretch in filter(wanted, mine):
            try:
                recording = known.by_id(stretch.recording_id)
            except ConfigurationError:
                continue  # said of a recording that this lake has never seen
            place = Place(recording.campaign, case.camera, recording.day)
            if place in places:
                began_at, ended_at = (
                    recording.started_at + at * MICROSECOND for at in (stretch.from_us, stretch.to_us)
                )
                yield _Judged(place, (case.name, case.region), began_at, ended_at, stretch.confirmed)


def _place_and_time(flip: Flip) -> tuple[str, datetime, str, str, str]:
    shown = flip.shown
    return flip.camera, shown.started_at, shown.head, shown.region, flip.change
