"""The published day on disk: what `summary.json` says of it, and its pictures and videos.

Files come and go while a night publishes. What is absent is `None`, never an error; what leaves the day's own folder,
whatever the JSON says, is treated as absent.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.errors import LakeError
from infra.site import Site
from lake.keys import Place
from workspace.published_summaries import UNREADABLE

SUMMARY_FILE = "summary.json"
_JPEG = (b"\xff\xd8", b"\xff\xd9")


@dataclass(frozen=True)
class Entry:
    """One stretch of the summary video: where it stands there, what it shows and why it was chosen."""

    at_s: float
    for_s: float
    recording: str
    from_us: int
    to_us: int
    taken_at: datetime
    score: float
    anomaly: float
    memorability: float
    entropy: float
    dynamics: float
    reason: str
    keyframe: str


@dataclass(frozen=True)
class Clip:
    """The proxy of an event."""

    event_id: str
    path: str
    keyframe: str
    recording: str
    started_at: datetime | None
    duration_s: float

    def offset_s(self, moment: datetime) -> float:
        """Where in the proxy `moment` is shown, within its bounds; 0 where the proxy's start is not known."""
        if self.started_at is None:
            return 0.0
        return min(max((moment - self.started_at).total_seconds(), 0.0), max(self.duration_s, 0.0))


@dataclass(frozen=True)
class Published:
    """What was published of a camera's day."""

    folder: Path
    partial: bool = False
    video: str = ""
    contact: str = ""
    figure: str = ""
    duration_s: float = 0.0
    entries: tuple[Entry, ...] = ()
    clips: Mapping[str, Clip] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)

    def file(self, relative: str) -> Path | None:
        """A file of this day; none where it is absent or outside the day's folder."""
        return confined(self.folder, relative)

    def picture(self, relative: str) -> bytes | None:
        """A whole JPEG of this day; none where it is absent or cut short."""
        content = read_file(self.folder, relative)
        whole = content is not None and content.startswith(_JPEG[0]) and content.rstrip(b"\0").endswith(_JPEG[1])
        return content if whole else None

    def video_bytes(self, relative: str) -> bytes | None:
        """An MP4 of this day; none where it is absent or no such thing."""
        content = read_file(self.folder, relative)
        return content if content is not None and content[4:8] == b"ftyp" else None


def day_folder(site: Site, place: Place) -> Path:
    """Where a camera's day is published."""
    return site.published_folder / place.campaign / place.camera / place.day.isoformat()


def confined(folder: Path, relative: str) -> Path | None:
    """`folder / relative`, if it is a file below `folder` once every link is followed."""
    if not relative:
        return None
    try:
        inside = folder.resolve()
        full = (inside / relative).resolve()
        return full if full.is_relative_to(inside) and full.is_file() else None
    except (OSError, ValueError):
        return None


def read_file(folder: Path, relative: str) -> bytes | None:
    """Content of a confined file; none where it has gone."""
    path = confined(folder, relative)
    try:
        return None if path is None else path.read_bytes()
    except OSError:
        return None


def read_published(site: Site, place: Place) -> Published | None:
    """Read what was published of a camera's day; none where nothing was yet.

    Raises:
        LakeError: there is a summary file, but it cannot be understood.
    """
    published = site.published_folder.resolve()
    folder = day_folder(site, place)
    if not folder.resolve().is_relative_to(published):
        return None
    content = read_file(folder, SUMMARY_FILE)
    if content is None:
        return None
    try:
        told = json.loads(content)
        return Published(
            folder=folder,
            partial=bool(told.get("partial", False)),
            video=str(told.get("video") or ""),
            contact=str(told.get("contact") or ""),
            figure=str(told.get("figure") or ""),
            duration_s=float(told.get("duration_s") or 0.0),
            entries=tuple(_entry(row) for row in told.get("entries") or ()),
            clips={clip.event_id: clip for clip in (_clip(row) for row in told.get("events") or ())},
            versions=dict(told.get("versions") or {}),
        )
    except UNREADABLE as error:
        day = place.day.isoformat()
        raise LakeError(
            f"{folder / SUMMARY_FILE} cannot be read ({type(error).__name__}: {error}); delete the folder {day} and "
            f'publish it again with "afterwatch run --campaign {place.campaign} --camera {place.camera} --day {day}"'
        ) from None


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(
        at_s=float(row["at_s"]),
        for_s=float(row["for_s"]),
        recording=str(row.get("recording") or ""),
        from_us=int(row.get("from_us") or 0),
        to_us=int(row.get("to_us") or 0),
        taken_at=_moment(row["taken_at"]),
        score=float(row.get("score") or 0.0),
        anomaly=float(row.get("anomaly") or 0.0),
        memorability=float(row.get("memorability") or 0.0),
        entropy=float(row.get("entropy") or 0.0),
        dynamics=float(row.get("dynamics") or 0.0),
        reason=str(row.get("reason") or ""),
        keyframe=str(row.get("keyframe") or ""),
    )


def _clip(row: Mapping[str, Any]) -> Clip:
    started = row.get("clip_started_at")
    return Clip(
        event_id=str(row["event_id"]),
        path=str(row.get("clip") or ""),
        keyframe=str(row.get("keyframe") or ""),
        recording=str(row.get("recording") or ""),
        started_at=_moment(started) if started else None,
        duration_s=float(row.get("clip_s") or 0.0),
    )


def _moment(text: Any) -> datetime:
    told = datetime.fromisoformat(str(text))
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)
