"""Events as OpenTimelineIO: a timeline for each camera, a track for each head and region, a clip for each event.

A timeline's time is true time since its first event began; where nothing is, a gap is. Clips refer to the recordings
themselves, so nothing is copied.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import opentimelineio as otio

from infra.errors import ConfigurationError
from workspace.event_files import MICROSECOND, EventRow, Part, events_csv, events_json, moment_text, parts_of
from workspace.event_files import Format as EventFormat
from workspace.known_recordings import KnownRecording, KnownRecordings

Urls = Literal["relative", "file"]
EXACT_RATE_HZ = 1_000_000.0
"""Ticks of microseconds: every time is exact."""
OURS = "afterwatch"
"""Key of what is ours among a timeline's metadata."""


@dataclass(frozen=True)
class TimelineSettings:
    """How timelines are written.

    Attributes:
        zone: in which a timeline's time code is the time of day.
        footage_root: folder of the recordings.
        urls: `relative`: recordings are named by their path below `footage_root`; `file`: by a URL on this machine.
        rate_hz: ticks per second, at least 1, at most a million. Times are rounded to whole ticks, each by itself, so that
            no error adds up; at a million they are exact.
    """

    zone: tzinfo
    footage_root: Path
    urls: Urls = "relative"
    rate_hz: float = EXACT_RATE_HZ

    def __post_init__(self) -> None:
        if not 1 <= self.rate_hz <= EXACT_RATE_HZ:
            raise ConfigurationError(f"the rate is at least 1 and at most {EXACT_RATE_HZ:g} Hz, got {self.rate_hz}")

    @property
    def rate(self) -> Fraction:
        """The rate as it is meant: 29.97 is 30000/1001."""
        return Fraction(self.rate_hz).limit_denominator(1001)

    def ticks(self, microseconds: int) -> int:
        return round(microseconds * self.rate / 1_000_000)

    def time(self, ticks: int) -> Any:
        return otio.opentime.RationalTime(ticks, float(self.rate))

    def range(self, ticks: int, duration: int) -> Any:
        return otio.opentime.TimeRange(self.time(ticks), self.time(duration))

    def url(self, recording: KnownRecording) -> str:
        if self.urls == "file":
            return (self.footage_root / recording.path).absolute().as_uri()
        return quote(recording.path)


def timelines(
    rows: Sequence[EventRow], known: KnownRecordings, settings: TimelineSettings
) -> dict[tuple[str, str], Any]:
    """Timelines (`opentimelineio.schema.Timeline`) by campaign and camera, in that order."""
    cameras: dict[tuple[str, str], list[EventRow]] = defaultdict(list)
    for row in rows:
        cameras[row.campaign, row.camera].append(row)
    return {place: _timeline(cameras[place], known, settings) for place in sorted(cameras)}


def _timeline(rows: Sequence[EventRow], known: KnownRecordings, settings: TimelineSettings) -> Any:
    campaign, camera = rows[0].campaign, rows[0].camera
    origin = min(row.started_at for row in rows)
    day = origin.astimezone(settings.zone)
    midnight = day.replace(hour=0, minute=0, second=0, microsecond=0)
    of_day_us = (day.replace(tzinfo=None) - midnight.replace(tzinfo=None)) // MICROSECOND
    told = {"campaign": campaign, "camera": camera, "origin": moment_text(origin), "time_zone": str(settings.zone)}
    timeline = otio.schema.Timeline(
        f"{campaign} · {camera}", global_start_time=settings.time(settings.ticks(of_day_us)), metadata={OURS: told}
    )
    tracks: dict[tuple[str, str], list[EventRow]] = defaultdict(list)
    for row in rows:
        tracks[row.track].append(row)
    for (head, region), mine in sorted(tracks.items()):
        for number, lane in enumerate(_lanes(mine), start=1):
            name = f"{head} · {region}" + (f" ({number})" if number > 1 else "")
            timeline.tracks.append(_track(name, lane, origin, known, settings))
    return timeline


def _lanes(rows: Sequence[EventRow]) -> list[list[EventRow]]:
    """Events that overlap, on as few tracks as hold them side by side."""
    lanes: list[list[EventRow]] = []
    for row in sorted(rows, key=lambda row: (row.started_at, row.ended_at, row.version, row.event_id)):
        free = next((lane for lane in lanes if lane[-1].ended_at <= row.started_at), None)
        if free is None:
            lanes.append([row])
        else:
            free.append(row)
    return lanes


def _track(
    name: str, rows: Sequence[EventRow], origin: datetime, known: KnownRecordings, settings: TimelineSettings
) -> Any:
    track = otio.schema.Track(name, kind=otio.schema.TrackKind.Video)
    reached = 0
    for row in rows:
        parts = parts_of(row, known)
        if not parts:
            reached = _append(track, reached, row, None, (row.started_at, row.ended_at), origin, settings)
        for part in parts:
            ended_at = part.started_at + (part.to_us - part.from_us) * MICROSECOND
            reached = _append(track, reached, row, part, (part.started_at, ended_at), origin, settings)
    return track


def _append(
    track: Any,
    reached: int,
    row: EventRow,
    part: Part | None,
    span: tuple[datetime, datetime],
    origin: datetime,
    settings: TimelineSettings,
) -> int:
    """Put a clip at its place on the track, after a gap where there is one; returns the tick it ends at.

    A clip lasts a tick at least, so at coarse rates neighbours may be pushed on by one. A peak that no recording shows
    has no marker.
    """
    start, end = (settings.ticks((moment - origin) // MICROSECOND) for moment in span)
    start = max(start, reached)
    end = max(end, start + 1)
    if start > reached:
        track.append(otio.schema.Gap(source_range=settings.range(0, start - reached)))
    clip = otio.schema.Clip(_clip_name(row, settings.zone), metadata={OURS: _told(row)})
    if part is None:
        clip.media_reference = otio.schema.MissingReference(name=row.recording_id)
        media, first, begin = 0, row.started_at, 0
    else:
        recording = part.recording
        available = max(1, settings.ticks(recording.duration_us))
        clip.media_reference = otio.schema.ExternalReference(
            settings.url(recording),
            available_range=settings.range(0, available),
            metadata={OURS: {"recording_id": recording.recording_id, "started_at": moment_text(recording.started_at)}},
        )
        media, first = part.from_us, part.started_at
        begin = max(0, min(settings.ticks(media), available - (end - start)))
    clip.source_range = settings.range(begin, end - start)
    if span[0] <= row.peak_at < span[1] or (row.peak_at == row.ended_at == span[1]):
        peak = settings.ticks(media + (row.peak_at - first) // MICROSECOND)
        color = otio.schema.MarkerColor.RED if row.alarm else otio.schema.MarkerColor.YELLOW
        clip.markers.append(otio.schema.Marker("peak", settings.range(peak, 0), color=color))
    track.append(clip)
    return end


def _clip_name(row: EventRow, zone: tzinfo) -> str:
    kind = "alarm" if row.alarm else row.head
    return f"{kind} {row.started_at.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _told(row: EventRow) -> dict[str, Any]:
    """What an event is, exact whatever the rate."""
    told = {
        "head": row.head,
        "version": row.version,
        "region": row.region,
        "event_id": row.event_id,
        "rank": row.rank,
        "alarm": row.alarm,
        "day": row.day.isoformat(),
        "started_at": moment_text(row.started_at),
        "ended_at": moment_text(row.ended_at),
        "peak_at": moment_text(row.peak_at),
        "peak_score": row.peak_score,
        "threshold": row.threshold,
        "keyframe": row.keyframe,
        "clip": row.clip,
    }
    return {name: value for name, value in told.items() if value not in (None, "")}


def timeline_bytes(timeline: Any) -> bytes:
    """A timeline as an `.otio` file holds it; the same timeline gives the same bytes."""
    text: str = timeline.to_json_string(indent=1)
    return (text + "\n").encode()


def event_files(
    rows: Sequence[EventRow], known: KnownRecordings, target: Path, kind: EventFormat, settings: TimelineSettings
) -> dict[Path, bytes]:
    """The files that hold some events: one, or of timelines one for each camera in the folder `target`.

    Raises:
        ConfigurationError: events of several cameras are to go into one `.otio`.
    """
    match kind:
        case "csv":
            return {target: events_csv(rows, known)}
        case "json":
            return {target: events_json(rows, known)}
        case "otio":
            made = {place: timeline_bytes(timeline) for place, timeline in timelines(rows, known, settings).items()}
    if target.suffix.lower() != ".otio":
        return {target / _plain(campaign) / f"{_plain(camera)}.otio": told for (campaign, camera), told in made.items()}
    if len(made) != 1:
        names = ", ".join(f"{campaign} · {camera}" for campaign, camera in made) or "no camera"
        raise ConfigurationError(
            f"{target.name} holds the timeline of one camera, and there are events of {names}; choose one with --camera "
            "(and --campaign), or name a folder"
        )
    return {target: next(iter(made.values()))}


def _plain(name: str) -> str:
    """A name as a part of a file name."""
    return re.sub(r"[^\w .-]", "_", name).lstrip(".") or "_"
