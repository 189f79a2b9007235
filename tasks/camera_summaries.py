"""What the cameras of a campaign published of a day, as a digest takes it: which count, read, and held against what was written."""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from footage.index import MICROSECONDS, FrameIndex
from footage.pictures import Size
from footage.probe import content_hash, probe
from infra.errors import FootageError
from infra.site import Site
from lake.keys import Place
from tasks.inventory import known_inventory
from tasks.plan import recordings_of
from tasks.shown_pictures import SUMMARY
from workspace.opened import Workspace

ENTRIES = "summary.json"
REMEDY = f"delete its {ENTRIES} and run the night again"

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class CameraEntry:
    """A segment of a camera's summary.

    Attributes:
        told: as `summary.json` has it.
        at_us, length_us: its place in the camera's video.
        taken_at: true time of its beginning.
        score: what it was weighed with.
        keyframe: picture, relative to the camera's folder; empty where it has no clear one.
        event_id: of the event it is shown for; empty where it is shown for its score.
    """

    told: Row
    at_us: int
    length_us: int
    taken_at: datetime
    score: float
    keyframe: str
    event_id: str

    @property
    def taken_us(self) -> int:
        """`taken_at`, in microseconds."""
        return round(self.taken_at.timestamp() * 1e6)


@dataclass(frozen=True)
class SummaryFile:
    """The `summary.json` of a camera's day: whose it is, the folder it lies in, and the hash of its content."""

    place: Place
    folder: Path
    content: str


@dataclass(frozen=True, eq=False)
class ShownVideo:
    """The video of a camera's summary, its hash, where its pictures stand, and how high and wide they are."""

    path: Path
    content: str
    index: FrameIndex
    size: Size

    @property
    def t_us(self) -> NDArray[np.int64]:
        """int64 (N,), when each picture appears. The index counts from the first, the entries from the video's begin."""
        begin_us = round(int(self.index.pts[0]) * self.index.time_base * MICROSECONDS)
        return np.asarray(self.index.t_us + begin_us, dtype=np.int64)

    def pictures(self, entry: CameraEntry) -> NDArray[np.int64]:
        """Indices of the pictures of an entry."""
        first, last = np.searchsorted(self.t_us, [entry.at_us, entry.at_us + entry.length_us])
        return np.arange(first, last, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class CameraSummary:
    """The published summary of a camera's day.

    Attributes:
        file: its `summary.json`.
        told: what that says.
        entries: segments of it that have a picture; none where the day has no summary.
        video: that they are in; None where the day has no summary.
    """

    file: SummaryFile
    told: Row
    entries: tuple[CameraEntry, ...]
    video: ShownVideo | None

    @property
    def camera(self) -> str:
        """Whose it is."""
        return self.file.place.camera


def places_now(workspace: Workspace) -> frozenset[Place]:
    """Camera days that count: those of a usable recording, or of one that was usable until its file went.

    Those of a camera that the settings skip do not, nor does the place that a recording had before its camera was renamed
    or its clock put right: what was published there stays in its folder, and is shown by nothing that is made from now on.
    """
    known = known_inventory(workspace).present
    return frozenset(recording.place for recording in recordings_of(workspace, known))


def cameras_now(workspace: Workspace, campaign: str, day: date) -> list[str]:
    """Cameras of which a campaign's day counts, in order (see `places_now`)."""
    return sorted(each.camera for each in places_now(workspace) if (each.campaign, each.day) == (campaign, day))


def digests_due(workspace: Workspace, chosen: Iterable[Place]) -> dict[tuple[str, date], tuple[str, ...]]:
    """Campaign and day of each digest that a run looks at, in order, and the cameras that count there.

    These are the days that the run is about; of a run about everything also those that have a digest and no camera any more.

    Args:
        workspace: the site.
        chosen: camera days that the run is about.

    Raises:
        OSError: the folder of digests cannot be listed.
    """
    counting, places = places_now(workspace), set(chosen)
    due = {(place.campaign, place.day) for place in places}
    if counting <= places:
        due |= _there(workspace.site.digests_folder)
    cameras: dict[tuple[str, date], list[str]] = {day: [] for day in sorted(due)}
    for place in sorted(counting):
        if (place.campaign, place.day) in cameras:
            cameras[place.campaign, place.day].append(place.camera)
    return {day: tuple(names) for day, names in cameras.items()}


def summary_files(site: Site, campaign: str, day: date, cameras: Iterable[str] | None = None) -> list[SummaryFile]:
    """What cameras of a campaign published of a day, in order of camera; nothing is read but its hash.

    Args:
        site: whose published files.
        campaign, day: of them.
        cameras: of which; None: all that published anything of the campaign, whether or not it counts (see `places_now`).
    """
    campaign_folder = site.published_folder / campaign
    if cameras is None:
        cameras = [path.name for path in campaign_folder.iterdir()] if campaign_folder.is_dir() else []
    folders = [(camera, campaign_folder / camera / day.isoformat()) for camera in sorted(cameras)]
    return [
        SummaryFile(Place(campaign, camera, day), folder, content_hash(folder / ENTRIES))
        for camera, folder in folders
        if (folder / ENTRIES).is_file()
    ]


def read_cameras(files: Sequence[SummaryFile]) -> tuple[list[CameraSummary], list[tuple[str, str]]]:
    """Read the cameras' summaries.

    Returns:
        Those that can be shown, and (camera, reason) of those that cannot.
    """
    found: list[CameraSummary] = []
    left_out: list[tuple[str, str]] = []
    for file in files:
        try:
            found.append(_read(file))
        except FootageError as error:
            left_out.append((file.place.camera, str(error)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            told = f"its {ENTRIES} cannot be read ({type(error).__name__}: {error}); {REMEDY}"
            left_out.append((file.place.camera, told))
    return found, left_out


def events_of(summary: CameraSummary) -> list[tuple[Row, tuple[int, ...]]]:
    """The events of the day that its summary shows, each with the entries that show something of it.

    The entry that is shown for the event comes first, then those of its own recording before those of another that
    overlaps it; of these that which holds its peak first, then the others by score.
    """
    shown: list[tuple[Row, tuple[int, ...]]] = []
    for event in summary.told.get("events") or ():
        spans = tuple(datetime.fromisoformat(event[name]).timestamp() * 1e6 for name in ("started_at", "ended_at"))
        peak_us = datetime.fromisoformat(event["peak_at"]).timestamp() * 1e6
        order: list[tuple[bool, bool, bool, float, int]] = []
        for number, entry in enumerate(summary.entries):
            from_us, to_us = entry.taken_us, entry.taken_us + entry.length_us
            if entry.event_id == event["event_id"] or (from_us < spans[1] and spans[0] < to_us):
                holds_peak = from_us <= peak_us < to_us
                elsewhere = event.get("recording_id") not in (None, entry.told.get("recording_id"))
                order.append((entry.event_id != event["event_id"], elsewhere, not holds_peak, -entry.score, number))
        if order:
            shown.append((event, tuple(number for *_, number in sorted(order))))
    return shown


def _read(file: SummaryFile) -> CameraSummary:
    told = json.loads((file.folder / ENTRIES).read_text(encoding="utf-8"))
    entries = tuple(_entry(row) for row in told["entries"])
    shown = None
    if entries:
        written = {name: content for part in told["made"].values() for name, content in part["files"].items()}
        shown = _video(file.folder / SUMMARY, written[SUMMARY])
        entries = tuple(entry for entry in entries if len(shown.pictures(entry)))
    summary = CameraSummary(file, told, entries, shown)
    events_of(summary)  # refused here, not in the middle of the digest
    return summary


def _video(path: Path, content: str) -> ShownVideo:
    if not path.is_file():
        raise FootageError(f"its {SUMMARY} is not there any more; {REMEDY}")
    if content_hash(path) != content:
        raise FootageError(f"its {SUMMARY} is not the file that was published; {REMEDY}")
    found = probe(path)
    return ShownVideo(path, content, found.index, (found.height, found.width))


def _entry(row: Row) -> CameraEntry:
    return CameraEntry(
        told=row,
        at_us=round(float(row["at_s"]) * 1e6),
        length_us=int(row["to_us"]) - int(row["from_us"]),
        taken_at=datetime.fromisoformat(row["taken_at"]),
        score=float(row["score"]),
        keyframe=str(row.get("keyframe") or ""),
        event_id=str(row.get("event_id") or ""),
    )


def _there(folder: Path) -> set[tuple[str, date]]:
    """Campaign and day of each digest below a folder."""
    found = set()
    for campaign in folder.iterdir() if folder.is_dir() else ():
        for day in campaign.iterdir() if campaign.is_dir() else ():
            with suppress(ValueError):  # somebody else's folder
                found.add((campaign.name, date.fromisoformat(day.name)))
    return found
