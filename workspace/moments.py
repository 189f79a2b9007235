"""Pictures and short videos of a moment, decoded from the recording when somebody asks for them."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import cv2
import numpy as np
from numpy.typing import NDArray

from footage.decode import decode
from footage.index import FrameIndex
from footage.pictures import Picture, Rgb
from footage.regions import WHOLE, Region
from footage.writing import Encoding, VideoWriter
from infra.errors import FootageError
from lake.current import recordings_now
from lake.keys import short_hash
from lake.labels import Span
from lake.ledger import Ledger
from workspace.indexes import load_index
from workspace.opened import Workspace

CLIP_RATE_HZ = 12.5
CLIP_WIDTH = 640
KEPT_CLIPS = 200
"""Clips of moments that are kept; the oldest go first. They are made again when asked for."""
OUTLINE = (230, 159, 0)
"""RGB of a region's outline, as the dashboards' accent."""


@dataclass(frozen=True)
class Source:
    """Where a recording lies."""

    recording_id: str
    path: Path
    relative: str


def source_of(workspace: Workspace, recording_id: str) -> Source:
    """Find a recording by its content.

    Raises:
        FootageError: its file is gone.
    """
    gone = recording_id[:12]
    for row in _recordings(workspace).get(recording_id, ()):
        path = workspace.site.footage_root / row["path"]
        if row["status"] in ("ready", "partial") and path.is_file():
            return Source(recording_id, path, row["path"])
        gone = row["path"]
    raise FootageError(f"footage is gone: {gone}; bring it back to see its pictures")


Rows = dict[str, list[dict[str, Any]]]
_KNOWN: WeakKeyDictionary[Ledger, tuple[list[str], Rows]] = WeakKeyDictionary()
"""Recordings by content, and the ledger's files they were read from: files never change."""


def _recordings(workspace: Workspace) -> Rows:
    """The newest row of each path by its content; read again only after an ingest."""
    # Listed before they are read: what comes between is read the next time.
    names = workspace.store.names("recordings")
    known = _KNOWN.get(workspace.ledger)
    if known is None or known[0] != names:
        rows: Rows = {}
        for row in recordings_now(workspace.ledger):
            rows.setdefault(row["recording_id"], []).append(row)
        known = _KNOWN[workspace.ledger] = (names, rows)
    return known[1]


def strip(
    workspace: Workspace, source: Source, times_us: Sequence[int], region: Region, width: int
) -> list[Rgb | None]:
    """The pictures on display at some times of a recording, as the region's crop.

    Args:
        workspace: the site.
        source: the recording.
        times_us: microseconds since its first picture.
        region: what is cut out.
        width: pixels; the height keeps the crop's aspect.

    Returns:
        uint8 (h, `width`, 3) for each time; None where no picture is on display or it cannot be decoded.
    """
    index = load_index(workspace.store, source.recording_id)
    at = index.on_display(np.array(times_us, dtype=np.int64))
    shown = {
        picture.index: _crop(picture, region, width)
        for picture in decode(source.path, index, np.unique(at[at >= 0]), threads=1)
    }
    return [shown.get(int(number)) for number in at]


def clip(workspace: Workspace, source: Source, span: Span, region: Region) -> Path:
    """A short video of a span, with the region's outline drawn in; made once and kept for a while.

    Raises:
        FootageError: nothing of the span can be decoded.
    """
    folder = workspace.site.state_folder / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    told = [source.recording_id, span.from_us, span.to_us, region.outline, CLIP_WIDTH, CLIP_RATE_HZ]
    path = folder / f"{short_hash(told)}.mp4"
    with suppress(OSError):  # not there yet, or another user's
        os.utime(path)
    if path.is_file():
        return path
    index = load_index(workspace.store, source.recording_id)
    rate = Fraction(CLIP_RATE_HZ)
    encoding = Encoding(crf=27, preset="ultrafast", keyframe_every=round(rate), rate_hz=rate)
    with VideoWriter(path, encoding, end_us=span.to_us - span.from_us) as video:
        for picture in decode(source.path, index, _thinned(index, span), threads=1):
            video.write(_outlined(picture, region), max(0, picture.t_us - span.from_us))
        if not video.frames:
            raise FootageError(f"{source.relative}: no picture of {span.from_us / 1e6:.1f} s can be decoded")
    _forget_oldest(folder)
    return path


def _thinned(index: FrameIndex, span: Span) -> NDArray[np.int64]:
    first, last = np.searchsorted(index.t_us, [span.from_us, span.to_us])
    cell = ((index.t_us[first:last] - span.from_us) * CLIP_RATE_HZ / 1e6 + 1e-6).astype(np.int64)
    _, kept = np.unique(cell, return_index=True)
    return np.asarray(first + kept, dtype=np.int64)


def _crop(picture: Picture, region: Region, width: int) -> Rgb:
    part = region.crop(picture.rgb())
    height = max(1, round(part.shape[0] * width / part.shape[1]))
    method = cv2.INTER_AREA if part.shape[1] > width else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (width, height), interpolation=method), dtype=np.uint8)


def _outlined(picture: Picture, region: Region) -> Rgb:
    height, width = picture.size
    scaled = min(CLIP_WIDTH, width) & ~1
    size = max(2, round(height * scaled / width) & ~1), scaled
    shown = picture.view(WHOLE, size).copy()
    if region.outline != WHOLE.outline:
        corners = np.rint(np.array(region.outline) * [size[1] - 1, size[0] - 1]).astype(np.int32)
        cv2.polylines(shown, [corners], isClosed=True, color=OUTLINE, thickness=2, lineType=cv2.LINE_AA)
    return np.asarray(shown, dtype=np.uint8)


def _forget_oldest(folder: Path) -> None:
    clips = []
    for path in folder.glob("*.mp4"):
        with suppress(FileNotFoundError):  # another session tidies up too
            clips.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(clips)[:-KEPT_CLIPS]:
        path.unlink(missing_ok=True)
