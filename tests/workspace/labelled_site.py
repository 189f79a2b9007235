"""A site whose recordings are known and indexed, without a single video: two cameras with files of the same name."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from afterwatch.workspace_files import make_workspace
from footage.index import FrameIndex
from lake.labels import Label, UseCase
from lake.ledger import Statement
from lake.store import rows_of
from workspace.indexes import save_index
from workspace.opened import Workspace

CAMPAIGN, EAST, NORTH = "spring", "hall-east", "hall-north"
DAY = date(2026, 3, 2)
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
SEEN = datetime(2026, 3, 3, 1, tzinfo=UTC)
SAID = datetime(2026, 3, 4, 9, 30, 0, 123_456, tzinfo=UTC)
FILE = "2026-03-02T08-00-00.mp4"
EAST_PATH, NORTH_PATH = f"{CAMPAIGN}/{EAST}/{FILE}", f"{CAMPAIGN}/{NORTH}/{FILE}"
LATER_PATH = f"{CAMPAIGN}/{EAST}/2026-03-02T08-02-00.mp4"
EAST_ID, NORTH_ID, LATER_ID = "ea57" * 16, "0a7b" * 16, "1a7e" * 16
BROKEN_PATH = f"{CAMPAIGN}/{EAST}/2026-03-02T09-00-00.mp4"
COPY_PATH = f"{CAMPAIGN}/{EAST}/copy.mp4"
SIZE = (320, 240)
HATCH = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
DOOR = ((0.1, 0.1), (0.5, 0.1), (0.3, 0.9))


def even_index(frames: int = 1500, rate: int = 25) -> FrameIndex:
    pts = np.arange(frames, dtype=np.int64)
    return FrameIndex(pts, pts % rate == 0, Fraction(1, rate))


def uneven_index() -> FrameIndex:
    """Variable rate with a hole: about 60 s, 5 s of it without a picture on display."""
    steps = np.random.default_rng(3).integers(20_000, 90_000, 1000)
    steps[400] = 5_000_000
    pts = np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)
    return FrameIndex(pts, np.arange(len(pts)) % 50 == 0, Fraction(1, 1_000_000))


INDEXES = {EAST_ID: even_index(), NORTH_ID: uneven_index(), LATER_ID: even_index(750)}
PLACES = {EAST_ID: (EAST, EAST_PATH, 0), NORTH_ID: (NORTH, NORTH_PATH, 0), LATER_ID: (EAST, LATER_PATH, 120)}


def recording_row(content: str, **changes: Any) -> dict[str, Any]:
    camera, path, after_s = PLACES[content]
    index = INDEXES[content]
    told = {
        "campaign": CAMPAIGN,
        "camera": camera,
        "day": DAY,
        "recording_id": content,
        "path": path,
        "status": "ready",
        "reason": "",
        "started_at": START + timedelta(seconds=after_s),
        "duration_us": index.duration_us,
        "frames": len(index),
        "width": SIZE[0],
        "height": SIZE[1],
        "codec": "h264",
        "rate_hz": index.rate_hz,
        "variable_rate": index.is_variable_rate,
        "bytes": 1000,
        "mtime_ns": 0,
        "seen_at": SEEN,
    }
    return told | changes


def enter(workspace: Workspace, rows: Sequence[dict[str, Any]], seen_at: datetime = SEEN) -> None:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    workspace.ledger.append_recordings(rows_of("recordings", {**columns, "seen_at": seen_at}), seen_at)


def labelled_site(folder: Path) -> Workspace:
    """The site; nothing is labelled yet."""
    workspace = Workspace(make_workspace(folder))
    broken = {"path": BROKEN_PATH, "recording_id": "", "status": "quarantined", "reason": "no video stream"}
    copy = {"path": COPY_PATH, "status": "duplicate", "reason": f"the same content as {EAST_PATH}"}
    rows = [recording_row(recording_id) for recording_id in INDEXES]
    enter(workspace, [*rows, recording_row(EAST_ID, **broken), recording_row(EAST_ID, **copy)])
    for recording_id, index in INDEXES.items():
        save_index(workspace.store, recording_id, index)
    regions = [(EAST, "hatch", HATCH), (EAST, "door", DOOR), (NORTH, "hatch", HATCH)]
    said = [
        Statement(f"{camera}/{name}", "inspector", [list(point) for point in outline], camera=camera)
        for camera, name, outline in regions
    ]
    workspace.ledger.say("regions", said)
    return Workspace(folder)


def label(recording_id: str = EAST_ID, from_us: int = 1_000_000, to_us: int = 2_500_000, **changes: Any) -> Label:
    """A label of the site; `region` and `name` are of its use case."""
    region, name = changes.pop("region", "hatch"), changes.pop("name", "opening")
    told: dict[str, Any] = {"relevant": True, "author": "inspector", "said_at": SAID} | changes
    case = UseCase(PLACES[recording_id][0], region, name)
    return Label(case, CAMPAIGN, DAY, recording_id, from_us, to_us, **told)
