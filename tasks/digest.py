"""Digest: the summaries of all cameras of a campaign's day as one video.

It is cut from what the cameras published: their recordings are not touched. The video and the contact sheet are kept as long
as what they are made of is the same. `summary.json` is written last.
"""

import json
import time
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from footage.images import read_image
from footage.probe import content_hash
from footage.sheets import contact_sheet
from footage.writing import Chapter, write_jpeg
from lake.keys import VERSIONS, Place, short_hash, step_key
from models.summary.selection import Selection, Wanted, select_segments
from tasks.camera_summaries import (
    ENTRIES,
    CameraEntry,
    CameraSummary,
    ShownVideo,
    SummaryFile,
    cameras_now,
    events_of,
    read_cameras,
    summary_files,
)
from tasks.digest_video import DigestVideo
from tasks.kept_files import EarlierParts, Part, write_told, written_part
from tasks.receipts import Receipt, reason_of
from tasks.segment_sheets import COLUMNS, CONTACT, JPEG_QUALITY, WIDTH
from tasks.shown_pictures import SUMMARY
from workspace.opened import Workspace

STEP = "digest"

Row = dict[str, Any]


def digest_day(
    workspace: Workspace, campaign: str, day: date, threads: int = 0, cameras: Collection[str] | None = None
) -> Receipt:
    """The task's work, without an orchestrator.

    A camera whose summary cannot be shown is left out, which the receipt tells as `partial`; the next night tries it again,
    and writes nothing where the same are left out. Where there is nothing to show, no digest is left.

    Args:
        workspace: the site.
        campaign, day: whose digest.
        threads: of the decoder; 0 for one per core.
        cameras: those of which the day counts; None: what the lake says now (see `cameras_now`).
    """
    began, place = time.perf_counter(), Place(campaign, "", day)
    key, inputs = "", tuple[str, ...]()
    try:
        if cameras is None:
            cameras = cameras_now(workspace, campaign, day)
        files = summary_files(workspace.site, campaign, day, cameras)
        inputs = tuple(file.content for file in files)
        key = _key(workspace, place, files)
        status, rows, message = _make(workspace, place, files, key, threads)
    except Exception as error:  # noqa: BLE001 — one digest must not stop the others: it is reported, and tried again
        status, rows, message = "failed", 0, reason_of(error)
    return Receipt(place, STEP, "", key, status, (), inputs, rows, time.perf_counter() - began, 0.0, message)


def _make(
    workspace: Workspace, place: Place, files: Sequence[SummaryFile], key: str, threads: int
) -> tuple[str, int, str]:
    """The receipt's status, number of entries, and message; what stands is left as it is."""
    told = _standing(digest_folder(workspace, place), key)
    if told is not None and not told["left_out"]:
        return "skipped", 0, ""
    digest = _Digest(workspace, place, files, key, threads)
    if told is not None and told["left_out"] == digest.left_out:
        return "partial", 0, digest.message
    return digest.write()


def _standing(folder: Path, key: str) -> Row | None:
    """What a digest tells that is there as it was written, made of the same; None where there is none."""
    try:
        told: Row = json.loads((folder / ENTRIES).read_text(encoding="utf-8"))
        earlier = EarlierParts(folder, ENTRIES)
        whole = all(earlier.standing(name, part["of"]) is not None for name, part in told["made"].items())
        return told if told["key"] == key and SUMMARY in told["made"] and "left_out" in told and whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _key(workspace: Workspace, place: Place, files: Sequence[SummaryFile]) -> str:
    settings = workspace.settings
    shown_by = settings.summary.model_dump(
        mode="json", include={"digest_s", "keyframes", "proxy_width", "proxy_rate_hz"}
    )
    parameters = {"place": place.told, "summary": shown_by, "time_zone": settings.site.time_zone}
    return step_key(STEP, parameters, [file.content for file in files])


@dataclass(frozen=True, eq=False)
class _Shown:
    """A segment of the digest: whose it is, why it is shown, and where."""

    camera: CameraSummary
    entry: CameraEntry
    reason: str
    event_id: str
    at_us: int

    @property
    def video(self) -> ShownVideo:
        """What it is in."""
        assert self.camera.video is not None  # it has an entry
        return self.camera.video

    @property
    def picture(self) -> Path | None:
        """Its keyframe; None where it has none."""
        path = self.camera.file.folder / self.entry.keyframe
        return path if self.entry.keyframe and path.is_file() else None


class _Digest:
    """A campaign's day on its way into its folder."""

    def __init__(
        self, workspace: Workspace, place: Place, files: Sequence[SummaryFile], key: str, threads: int
    ) -> None:
        self._workspace, self._place, self._key, self._threads = workspace, place, key, threads
        self._cameras, left_out = read_cameras(files)
        self._settings = workspace.settings.summary
        self._folder = digest_folder(workspace, place)
        self._earlier = EarlierParts(self._folder, ENTRIES)
        self.left_out = [{"camera": camera, "reason": reason} for camera, reason in left_out]
        """Cameras whose summary cannot be shown, and why not."""

    @property
    def message(self) -> str:
        """What the receipt says."""
        return "; ".join(f"camera {one['camera']} is left out: {one['reason']}" for one in self.left_out)

    def write(self) -> tuple[str, int, str]:
        """Write what does not stand yet, or remove what is there where there is nothing to show.

        Returns:
            The receipt's status, number of entries, and message.
        """
        owners, selection = choose(self._cameras, self._settings.digest_s)
        if not selection.choices:
            removed = self._clear(())
            return "partial" if self.left_out else "done" if removed else "skipped", 0, self.message
        self._folder.mkdir(parents=True, exist_ok=True)
        shown = self._placed(selection)
        made = {SUMMARY: self._video(shown), **self._sheet(shown)}
        omitted = [
            {"camera": owners[event], "name": event.name, "event_id": event.event_id} for event in selection.omitted
        ]
        told = self._told(shown, omitted, made)
        write_told(self._folder / ENTRIES, told)
        self._clear((ENTRIES, *made))
        return "partial" if self.left_out else "done", len(shown), self.message

    def _placed(self, selection: Selection) -> list[_Shown]:
        """The chosen segments, one after the other."""
        listed = [(camera, entry) for camera in self._cameras for entry in camera.entries]
        shown, at_us = [], 0
        for choice in selection.choices:
            camera, entry = listed[choice.index]
            shown.append(_Shown(camera, entry, choice.reason, choice.event_id, at_us))
            at_us += entry.length_us
        return shown

    def _chapters(self, shown: Sequence[_Shown]) -> list[Chapter]:
        return [
            Chapter(
                f"{self._clock(item)} {item.camera.camera} · {item.reason}",
                item.at_us,
                item.at_us + item.entry.length_us,
            )
            for item in shown
        ]

    def _clock(self, item: _Shown) -> str:
        return f"{item.entry.taken_at.astimezone(self._workspace.settings.zone):%H:%M:%S}"

    def _video(self, shown: Sequence[_Shown]) -> Part:
        """The video; it is encoded where it is cut from other pictures, otherwise, or under other titles than it was."""
        title, chapters = f"{self._place.campaign} · {self._place.day.isoformat()}", self._chapters(shown)
        size = max((item.video.size for item in shown), key=lambda size: (size[0] * size[1], size))
        cuts = [[item.video.content, item.entry.at_us, item.entry.length_us, item.at_us] for item in shown]
        looks = [self._settings.proxy_rate_hz, size, title, [astuple(chapter) for chapter in chapters]]
        of = short_hash([VERSIONS[STEP], looks, cuts])
        part = self._earlier.standing(SUMMARY, of)
        if part is None:
            path = self._folder / SUMMARY
            with DigestVideo(path, size, self._settings, title, chapters, self._threads) as video:
                for item in shown:
                    video.show(item.video, item.entry, item.at_us)
        return part or written_part(self._folder, of, [SUMMARY])

    def _sheet(self, shown: Sequence[_Shown]) -> dict[str, Part]:
        """The contact sheet of the best that have a picture, by its name; nothing where none has."""
        stills = [(item, item.picture) for item in shown]
        there = [(item, path) for item, path in stills if path is not None]
        best = sorted(there, key=lambda pair: (-pair[0].entry.score, pair[0].at_us))[: self._settings.keyframes]
        best.sort(key=lambda pair: pair[0].at_us)
        if not best:
            return {}
        captions = [f"{self._clock(item)}  {item.camera.camera}  {item.reason}" for item, _ in best]
        of = short_hash([VERSIONS[STEP], captions, [content_hash(path) for _, path in best]])
        part = self._earlier.standing(CONTACT, of)
        if part is None:
            sheet = contact_sheet([read_image(path) for _, path in best], captions, COLUMNS, WIDTH)
            write_jpeg(self._folder / CONTACT, sheet, JPEG_QUALITY)
        return {CONTACT: part or written_part(self._folder, of, [CONTACT])}

    def _told(self, shown: Sequence[_Shown], omitted: Sequence[Row], made: dict[str, Part]) -> Row:
        return {
            "key": self._key,
            "campaign": self._place.campaign,
            "day": self._place.day.isoformat(),
            "partial": bool(self.left_out) or any(bool(camera.told.get("partial")) for camera in self._cameras),
            "video": SUMMARY,
            "contact": CONTACT if CONTACT in made else "",
            "duration_s": sum(item.entry.length_us for item in shown) / 1e6,
            "entries": [_told_entry(item) for item in shown],
            "omitted": list(omitted),
            "cameras": {
                camera.camera: {
                    "summary": camera.file.content,
                    "key": camera.told["key"],
                    "entries": len(camera.entries),
                }
                for camera in self._cameras
            },
            "left_out": self.left_out,
            "made": made,
            "versions": {"afterwatch": version("afterwatch")},
        }

    def _clear(self, named: Collection[str]) -> bool:
        """Remove what an earlier digest left and this one does not name; returns whether there was any."""
        if not self._folder.is_dir():
            return False
        stale = [self._folder / name for name in (ENTRIES, SUMMARY, CONTACT) if name not in named]
        gone = [file for file in (*stale, *self._folder.glob(".*.partial")) if file.exists()]
        for file in gone:
            file.unlink()
        if not any(self._folder.iterdir()):
            self._folder.rmdir()
        return bool(gone)


def digest_folder(workspace: Workspace, place: Place) -> Path:
    """Where the digest of a campaign's day lies."""
    return workspace.site.digests_folder / place.campaign / place.day.isoformat()


def choose(cameras: Sequence[CameraSummary], digest_s: float) -> tuple[dict[Wanted, str], Selection]:
    """Choose the segments of a digest among those of the cameras' summaries, counted camera by camera.

    Alarms come first, then other events, of each the best ranked of all cameras first; then what has the highest score.

    Returns:
        The camera of each event that the cameras' summaries show, and the selection; its choices are in order of time.
    """
    wanted: list[tuple[tuple[Any, ...], str, Wanted]] = []
    first = 0
    for camera in cameras:
        name = camera.camera
        for event, numbers in events_of(camera):
            asked = Wanted(
                f"{event['head']} {event['rank']}", event["event_id"], tuple(first + number for number in numbers)
            )
            order = (not event["alarm"], event["rank"], event["started_at"], name, event["head"], event["event_id"])
            wanted.append((order, name, asked))
        first += len(camera.entries)
    entries = [entry for camera in cameras for entry in camera.entries]
    wanted.sort(key=lambda item: item[0])
    selection = select_segments(
        np.array([entry.length_us for entry in entries], dtype=np.int64),
        np.array([entry.taken_us for entry in entries], dtype=np.int64),
        np.array([entry.score for entry in entries], dtype=np.float64),
        clear=np.array([bool(entry.keyframe) for entry in entries], dtype=np.bool_),
        wanted=[asked for _, _, asked in wanted],
        budget_s=digest_s,
    )
    return {asked: name for _, name, asked in wanted}, selection


def _told_entry(item: _Shown) -> Row:
    """The camera's own entry, and its place in the digest."""
    return {
        **item.entry.told,
        "camera": item.camera.camera,
        "summary": item.camera.file.content,
        "summary_at_s": item.entry.at_us / 1e6,
        "at_s": item.at_us / 1e6,
        "for_s": item.entry.length_us / 1e6,
        "reason": item.reason,
        "event_id": item.event_id,
    }
