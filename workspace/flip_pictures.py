"""Thumbnails of the events of a flip report: decoded from the recording once, then kept in the state folder."""

import os
from contextlib import suppress
from pathlib import Path

from footage.regions import WHOLE
from footage.writing import jpeg_bytes, write_bytes
from infra.errors import AfterwatchError
from lake.keys import short_hash
from workspace.flips import FoundEvent
from workspace.moments import source_of, strip
from workspace.opened import Workspace

FOLDER = "flips"
WIDTH = 320
"""Pixels; the height keeps the region's aspect."""
QUALITY = 80
KEPT = 5_000
"""Thumbnails that are kept, some 15 kB each; those that were not looked at for longest go first."""


def flip_picture(workspace: Workspace, camera: str, event: FoundEvent) -> bytes | None:
    """A JPEG of an event's region at its peak; None where the recording is gone or cannot be decoded there."""
    region = next((one for one in workspace.regions(camera) if one.name == event.region), WHOLE)
    folder = workspace.site.state_folder / FOLDER
    path = folder / f"{short_hash([event.recording_id, event.peak_us, region.outline, WIDTH])}.jpg"
    with suppress(OSError):
        content = path.read_bytes()
        os.utime(path)
        return content
    try:
        (picture,) = strip(workspace, source_of(workspace, event.recording_id), [event.peak_us], region, WIDTH)
    except AfterwatchError:
        return None
    if picture is None:
        return None
    content = jpeg_bytes(picture, QUALITY)
    with suppress(OSError):  # a full disk, or another user's folder: it is decoded again the next time
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
        _forget_oldest(folder)
    return content


def _forget_oldest(folder: Path) -> None:
    kept = sorted(folder.glob("*.jpg"), key=lambda path: path.stat().st_mtime)
    for path in kept[:-KEPT]:
        path.unlink(missing_ok=True)
