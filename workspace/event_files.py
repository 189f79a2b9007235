"""Events for other review software: CSV and JSON here, timelines in `workspace/event_timelines.py`.

Every writer takes ready made rows, so that moments of a review can be handed on before any night has found them.
"""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, get_args

from infra.errors import ConfigurationError
from lake.catalogue import connect, select
from workspace.known_recordings import KnownRecording, KnownRecordings, check_known
from workspace.opened import Workspace

Format = Literal["csv", "json", "otio"]
FORMATS: tuple[Format, ...] = get_args(Format)
MICROSECOND = timedelta(microseconds=1)
COLUMNS = (
    "campaign",
    "camera",
    "day",
    "head",
    "version",
    "region",
    "event_id",
    "rank",
    "alarm",
    "started_at",
    "ended_at",
    "peak_at",
    "seconds",
    "peak_score",
    "threshold",
    "recording",
    "recording_id",
    "from_s",
    "to_s",
    "keyframe",
    "clip",
)


@dataclass(frozen=True)
class EventRow:
    """An event of one camera, `[started_at, ended_at)` in true time.

    Attributes:
        campaign, camera, day: where it belongs.
        head: what found it; for a review, the use case.
        region: `frame` is the whole picture.
        started_at, ended_at, peak_at: with a time zone; the peak is within.
        recording_id: recording of the peak; empty where that is not known.
        version, event_id, rank: of the head and of the event, as in the lake; empty or None where there are none.
        alarm: whether somebody should look at it first.
        peak_score, threshold: finite, or None.
        keyframe, clip: pictures and videos of it, relative to the workspace; empty where there are none.
        deviations: how far the peak is above the camera's normal median, in robust standard deviations; None where no
            head says so.
    """

    campaign: str
    camera: str
    day: date
    head: str
    region: str
    started_at: datetime
    ended_at: datetime
    peak_at: datetime
    recording_id: str = ""
    version: str = ""
    event_id: str = ""
    rank: int | None = None
    alarm: bool = False
    peak_score: float | None = None
    threshold: float | None = None
    keyframe: str = ""
    clip: str = ""
    deviations: float | None = None

    def __post_init__(self) -> None:
        if any(moment.tzinfo is None for moment in (self.started_at, self.ended_at, self.peak_at)):
            raise ConfigurationError(f"times of an event have a zone, got {self.started_at}; say which")
        if not self.started_at <= self.peak_at <= self.ended_at or self.started_at == self.ended_at:
            raise ConfigurationError(
                f"an event begins before it ends and holds its peak, got {self.started_at}, {self.peak_at}, {self.ended_at}"
            )
        for name, value in (
            ("peak_score", self.peak_score),
            ("threshold", self.threshold),
            ("deviations", self.deviations),
        ):
            if value is not None and not math.isfinite(value):
                raise ConfigurationError(f"{name} is finite, got {value}; leave it out where there is none")

    @property
    def track(self) -> tuple[str, str]:
        """What it shares a track with: events of the same head over the same region."""
        return self.head, self.region


@dataclass(frozen=True)
class EventFilter:
    """Which events of the lake; None is all."""

    campaign: str | None = None
    camera: str | None = None
    day: date | None = None
    head: str | None = None
    alarms_only: bool = False


@dataclass(frozen=True)
class Part:
    """What of an event one recording shows: `[from_us, to_us)` of it, beginning at `started_at`."""

    recording: KnownRecording
    from_us: int
    to_us: int
    started_at: datetime


def read_events(workspace: Workspace, wanted: EventFilter) -> list[EventRow]:
    """Events of the lake, in order of campaign, camera and time.

    Raises:
        UnknownNameError: no event is of that head, and no alarm of the settings is called so.
    """
    connection = connect(workspace.store)
    if wanted.head is not None:
        heads = select(connection, "SELECT DISTINCT head FROM events")["head"].to_pylist()
        # An alarm that has found nothing so far is known all the same: that is good news, not a mistyped name.
        heads += [alarm.name for alarm in workspace.settings.alarms]
        check_known("head with events", wanted.head, heads)
    sql = """
        SELECT campaign, camera, day, head, region, started_at, ended_at, peak_at, recording_id, version, event_id, rank,
               alarm, peak_score, threshold, keyframe, clip, deviations
        FROM events
        WHERE ($1 IS NULL OR campaign = $1) AND ($2 IS NULL OR camera = $2) AND ($3::DATE IS NULL OR day = $3::DATE)
              AND ($4 IS NULL OR head = $4) AND (alarm OR NOT $5)
        ORDER BY campaign, camera, started_at, ended_at, head, region, version, event_id"""
    asked = (wanted.campaign, wanted.camera, wanted.day, wanted.head, wanted.alarms_only)
    return [_of_lake(row) for row in select(connection, sql, asked).to_pylist()]


def _of_lake(row: dict[str, Any]) -> EventRow:
    """A row of the lake; its pictures are told from the workspace on, and what is no number is left out."""
    published = f"published/{row['campaign']}/{row['camera']}/{row['day'].isoformat()}"
    shown = {name: f"{published}/{row[name]}" if row[name] else "" for name in ("keyframe", "clip")}
    numbers = {name: _finite(row[name]) for name in ("peak_score", "threshold", "deviations")}
    return EventRow(**{**row, **shown, **numbers, "alarm": bool(row["alarm"])})


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def parts_of(row: EventRow, known: KnownRecordings) -> list[Part]:
    """Where an event is to be seen, in order of time; time that no recording holds is left out, none counts twice."""
    parts: list[Part] = []
    reached = row.started_at
    for recording in known.of_camera(row.campaign, row.camera):
        ended_at = recording.started_at + recording.duration_us * MICROSECOND
        first, last = max(reached, recording.started_at), min(row.ended_at, ended_at)
        if first < last:
            origin = recording.started_at
            parts.append(Part(recording, (first - origin) // MICROSECOND, (last - origin) // MICROSECOND, first))
            reached = last
    return parts


def _peak_part(row: EventRow, parts: Sequence[Part]) -> Part | None:
    """The part that shows the peak, else the first."""
    for part in parts:
        if part.started_at <= row.peak_at < part.started_at + (part.to_us - part.from_us) * MICROSECOND:
            return part
    return parts[0] if parts else None


def told_of(row: EventRow, known: KnownRecordings) -> dict[str, Any]:
    """An event as plain values, with the recording of its peak and the times in it."""
    part = _peak_part(row, parts_of(row, known))
    return {
        "campaign": row.campaign,
        "camera": row.camera,
        "day": row.day.isoformat(),
        "head": row.head,
        "version": row.version,
        "region": row.region,
        "event_id": row.event_id,
        "rank": row.rank,
        "alarm": row.alarm,
        "started_at": moment_text(row.started_at),
        "ended_at": moment_text(row.ended_at),
        "peak_at": moment_text(row.peak_at),
        "seconds": (row.ended_at - row.started_at) / timedelta(seconds=1),
        "peak_score": row.peak_score,
        "threshold": row.threshold,
        "recording": "" if part is None else part.recording.path,
        "recording_id": "" if part is None else part.recording.recording_id,
        "from_s": None if part is None else part.from_us / 1e6,
        "to_s": None if part is None else part.to_us / 1e6,
        "keyframe": row.keyframe,
        "clip": row.clip,
    }


def moment_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def events_csv(rows: Sequence[EventRow], known: KnownRecordings) -> bytes:
    """Events as CSV: a line for each, in the order given; what there is none of is empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        told = told_of(row, known)
        told["alarm"] = str(row.alarm).lower()
        writer.writerow(told)
    return text.getvalue().encode()


def events_json(rows: Sequence[EventRow], known: KnownRecordings) -> bytes:
    """Events as JSON: as in the CSV, and with every recording that shows a part of the event."""
    events = []
    for row in rows:
        footage = [
            {"recording": part.recording.path, "from_s": part.from_us / 1e6, "to_s": part.to_us / 1e6}
            for part in parts_of(row, known)
        ]
        events.append({**told_of(row, known), "footage": footage})
    return (json.dumps({"events": events}, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
