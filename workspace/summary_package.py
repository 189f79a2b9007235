"""Chosen segments as a package that people take away: untouched clips, keyframes, a manifest and checksums.

Clips are cut out of the recordings by stream copy, so their pixels are the recordings' own. The manifest says where each comes
from; `sha256sum -c SHA256SUMS` checks every file. The same segments give the same bytes. A package is written whole or not at
all, and replaces nothing.
"""

import json
import math
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from footage.decode import decode
from footage.index import FrameIndex
from footage.pictures import Picture
from footage.probe import content_hash, probe
from footage.remux import CopiedSpan, copy_span
from footage.writing import partial_path, write_bytes, write_jpeg
from infra.errors import ConfigurationError, FootageError
from lake.audit import MOST_TOLD, About
from lake.keys import Place
from workspace.indexes import load_index
from workspace.moments import Source, source_of
from workspace.opened import Workspace
from workspace.package_files import put_in_place, sha256, write_sums

MANIFEST = "manifest.json"
CLIPS, KEYFRAMES = "clips", "keyframes"
JPEG_QUALITY = 95
NUMBERS = (
    "score",
    "anomaly",
    "memorability",
    "entropy",
    "dynamics",
    "surprise",
    "distinctiveness",
    "entropy_bits",
    "motion",
    "probability",
)
"""What a segment is told with, as far as it is known."""


@dataclass(frozen=True)
class PackageEntry:
    """A segment to be taken away.

    Attributes:
        campaign, camera, day: where it belongs.
        recording_id, path: hash of the recording's content, and where it lies or lay below the footage root.
        from_us, to_us: of the recording.
        taken_at: true time of `from_us`.
        reason: what it is shown for: head and rank of an event, or `score`.
        event_id: of that event; empty where there is none.
        keyframe_us: time in the recording of the picture that stands for it; None where none does.
        numbers: by name, those of `NUMBERS` that are known.
        weights: name of the weights that the score was made with; empty where that is not known.
        versions: of everything it was made with, as the published summary tells them.
    """

    campaign: str
    camera: str
    day: date
    recording_id: str
    path: str
    from_us: int
    to_us: int
    taken_at: datetime
    reason: str
    event_id: str = ""
    keyframe_us: int | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    weights: str = ""
    versions: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.from_us < self.to_us:
            raise ConfigurationError(
                f"a segment of {self.path} spans [{self.from_us}, {self.to_us}) us; it needs 0 <= from < to"
            )
        if self.taken_at.tzinfo is None:
            raise ConfigurationError(f"the time of a segment has a zone, got {self.taken_at}; say which")
        wrong = [name for name, value in self.numbers.items() if name not in NUMBERS or not math.isfinite(value)]
        if wrong:
            raise ConfigurationError(
                f"{wrong[0]} = {self.numbers[wrong[0]]} is no number of a segment; give finite ones of {', '.join(NUMBERS)}"
            )


@dataclass(frozen=True)
class PackageReport:
    """A package that was written: where, its segments, its files, and their bytes together."""

    path: Path
    entries: int
    files: int
    bytes: int


def package_entry(
    place: Place, told: Mapping[str, Any], *, weights: str = "", versions: Mapping[str, Any] | None = None
) -> PackageEntry:
    """An entry of a published `summary.json`, of whatever age, as one of a package.

    Args:
        place: the camera's day.
        told: the entry.
        weights: label of the weights in that file.
        versions: that the file names.
    """
    keyframe = told.get("keyframe_us")
    return PackageEntry(
        place.campaign,
        place.camera,
        place.day,
        str(told["recording_id"]),
        str(told["recording"]),
        int(told["from_us"]),
        int(told["to_us"]),
        datetime.fromisoformat(str(told["taken_at"])),
        str(told["reason"]),
        event_id=str(told.get("event_id") or ""),
        keyframe_us=None if keyframe is None else int(keyframe),
        numbers={name: float(told[name]) for name in NUMBERS if told.get(name) is not None},
        weights=weights,
        versions=versions or {},
    )


def write_package(
    workspace: Workspace,
    entries: Sequence[PackageEntry],
    target: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> PackageReport:
    """Write a package.

    Args:
        workspace: whose recordings.
        entries: at least one, each once; their order does not count.
        target: a folder, or a file that ends in `.zip`; it must not exist.
        progress: told how many entries are done, and of how many.

    Raises:
        AccessError: the role of who acts does not allow it.
        ConfigurationError: there is nothing to write, an entry is given twice, or the target is there or cannot be written.
        FootageError: a recording is gone, is not what it was, or cannot be copied.
    """
    if target.exists() or target.is_symlink():
        raise ConfigurationError(f"{target} is there already, and a package replaces nothing; choose another name")
    ordered = _ordered(entries)
    names = tuple(f"{entry.path} {entry.from_us}-{entry.to_us}" for entry in ordered[:MOST_TOLD])
    workspace.guard.ask("take footage and results away", About(names, len(ordered)))
    sources = _sources(workspace, ordered)
    unfinished = partial_path(target)
    try:
        try:
            unfinished.mkdir(parents=True)
            told = []
            for number, entry in enumerate(ordered, start=1):
                told.append(_write_entry(workspace, entry, sources[entry.recording_id], number, unfinished))
                if progress is not None:
                    progress(number, len(ordered))
            _write_manifest(unfinished, told)
            files = write_sums(unfinished)
            size = sum((unfinished / name).stat().st_size for name in files)
            put_in_place(unfinished, files, target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise ConfigurationError(
            f"{target} cannot be written: {error.strerror or error}; choose another place"
        ) from None
    return PackageReport(target, len(ordered), len(files), size)


def _ordered(entries: Sequence[PackageEntry]) -> list[PackageEntry]:
    if not entries:
        raise ConfigurationError("there is no segment to put into a package; choose at least one")
    ordered = sorted(
        entries,
        key=lambda each: (each.campaign, each.camera, each.taken_at, each.recording_id, each.from_us, each.to_us),
    )
    known: set[tuple[str, int, int]] = set()
    for each in ordered:
        span = (each.recording_id, each.from_us, each.to_us)
        if span in known:
            raise ConfigurationError(
                f"the segment of {each.path} at {each.from_us / 1e6:.3f} s is given twice; give each once"
            )
        known.add(span)
    return ordered


def _sources(workspace: Workspace, entries: Sequence[PackageEntry]) -> dict[str, Source]:
    """Where the recordings lie; each is there and has the content that it is known by."""
    sources = {entry.recording_id: source_of(workspace, entry.recording_id) for entry in entries}
    for recording_id, source in sources.items():
        if content_hash(source.path) != recording_id:
            raise FootageError(
                f"{source.relative} is not the recording that was processed: its content has changed; put it back, or run "
                "the night again and choose anew"
            )
    return sources


def _write_entry(
    workspace: Workspace, entry: PackageEntry, source: Source, number: int, folder: Path
) -> dict[str, Any]:
    """Write the clip and the keyframe of an entry; returns what the manifest tells of them."""
    index = load_index(workspace.store, entry.recording_id)
    camera = re.sub(r"[^A-Za-z0-9._-]", "_", entry.camera)
    name = f"{number:03d}-{camera}-{entry.taken_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    (folder / CLIPS).mkdir(exist_ok=True)
    copy = copy_span(source.path, index, entry.from_us, entry.to_us, folder / CLIPS / name)
    still = _picture(source.path, index, entry.from_us if entry.keyframe_us is None else entry.keyframe_us)
    _check_copy(copy, source, index, still)
    keyframe = None
    if entry.keyframe_us is not None:
        (folder / KEYFRAMES).mkdir(exist_ok=True)
        keyframe = f"{KEYFRAMES}/{name}.jpg"
        write_jpeg(folder / keyframe, still.rgb(), JPEG_QUALITY)
    return {
        "campaign": entry.campaign,
        "camera": entry.camera,
        "day": entry.day.isoformat(),
        "taken_at": entry.taken_at.astimezone(UTC).isoformat(),
        "recording": source.relative,
        "recording_id": entry.recording_id,
        "from_us": entry.from_us,
        "to_us": entry.to_us,
        "reason": entry.reason,
        "event_id": entry.event_id,
        "numbers": dict(entry.numbers),
        "weights": entry.weights,
        "versions": dict(entry.versions),
        "clip": _told_clip(copy, entry, folder),
        "keyframe": None if keyframe is None else _told_keyframe(still, index, folder, keyframe),
    }


def _told_clip(copy: CopiedSpan, entry: PackageEntry, folder: Path) -> dict[str, Any]:
    return {
        "file": f"{CLIPS}/{copy.path.name}",
        "sha256": sha256(folder / CLIPS / copy.path.name),
        "from_us": copy.from_us,
        "to_us": copy.to_us,
        "first_pts": copy.first_pts,
        "last_pts": copy.last_pts,
        "time_base": [copy.time_base.numerator, copy.time_base.denominator],
        "pictures": copy.last - copy.first,
        "segment_begins_us": max(0, entry.from_us - copy.from_us),
    }


def _told_keyframe(still: Picture, index: FrameIndex, folder: Path, name: str) -> dict[str, Any]:
    return {
        "file": name,
        "sha256": sha256(folder / name),
        "t_us": still.t_us,
        "pts": int(index.pts[still.index]),
        "digest": still.digest(),
    }


def _picture(path: Path, index: FrameIndex, at_us: int) -> Picture:
    """The picture on display at a time, or the next one where none is."""
    shown = int(index.on_display(np.array([at_us]))[0])
    number = shown if shown >= 0 else min(int(np.searchsorted(index.t_us, at_us)), len(index) - 1)
    for picture in decode(path, index, np.array([number], dtype=np.int64), threads=1):
        return picture
    raise FootageError(f"{path.name}: the picture at {at_us / 1e6:.3f} s cannot be decoded; leave this segment out")


def _check_copy(copy: CopiedSpan, source: Source, index: FrameIndex, still: Picture) -> None:
    """Hold a copy against its recording: the times of all its pictures, and the pixels of one.

    A recording may call a picture a key frame that leans on earlier ones; what begins there shows something else.
    """
    found = probe(copy.path).index
    held = index.t_us[copy.first : copy.last] - copy.from_us
    grain_us = float(found.time_base) * 1e6
    same = len(found) == len(held) and bool(np.all(np.abs(found.t_us - held) <= grain_us))
    number = still.index - copy.first
    if same and 0 <= number < len(found):
        pictures = decode(copy.path, found, np.array([number], dtype=np.int64), threads=1)
        same = [picture.digest() for picture in pictures] == [still.digest()]
    if not same:
        raise FootageError(
            f"{source.relative}: a copy from {copy.from_us / 1e6:.3f} s on does not show the recording's own pictures; leave "
            "this segment out, or take the recording itself"
        )


def _write_manifest(folder: Path, told: Sequence[Mapping[str, Any]]) -> None:
    manifest = {
        "made_by": "Afterwatch",
        "version": version("afterwatch"),
        "recording_id": "BLAKE2b, 16 bytes, of the recording's content",
        "pictures": "a clip may begin before its segment, at a key frame; from_us, to_us and the PTS say what it holds",
        "entries": told,
    }
    write_bytes(folder / MANIFEST, (json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())
