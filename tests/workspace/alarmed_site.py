"""A site with alarms in its lake and their pictures published, as nights would have left them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from footage.writing import write_jpeg
from lake.keys import Place, short_hash
from lake.ledger import RunRow
from lake.store import rows_of
from tests.workspace.labelled_site import CAMPAIGN, DAY, EAST, EAST_ID, START, labelled_site
from workspace.event_files import EventFilter, EventRow, read_events
from workspace.opened import Workspace

ALARM, VERSION = "fight", "3f2a"
LINK = "https://review.example.org/cctv"
ALARMS = """
[[alarms]]
name = "fight"
classifier = "cctv"
[[alarms]]
name = "quiet"
classifier = "cctv"
notify = false
"""


def alarmed_site(folder: Path, notifications: str = "", head: str = "") -> Workspace:
    """The site of two cameras, its settings with the alarms `fight` and `quiet`, and no event yet.

    Args:
        folder: of the workspace.
        notifications: keys of [notifications] and its channels, as TOML.
        head: keys that stand above all tables.
    """
    root = labelled_site(folder).site.root
    file = root / "afterwatch.toml"
    text = f'{head}{file.read_text(encoding="utf-8")}{ALARMS}[notifications]\nlink = "{LINK}/"\n{notifications}\n'
    file.write_text(text, encoding="utf-8")
    return Workspace(root)


def put_events(
    workspace: Workspace,
    spans: Sequence[tuple[float, float]],
    *,
    camera: str = EAST,
    head: str = ALARM,
    version: str = VERSION,
    picture: bool = True,
    **changes: Any,
) -> list[EventRow]:
    """Let a night find events: (begin, end) in seconds after the camera's first recording begins, the highest first.

    What the same head found of that camera's day before counts no more. Returns what the lake then holds of it.
    """
    place = Place(CAMPAIGN, camera, DAY)
    rows = [
        _row(place, span, rank, head, version) | changes for rank, span in enumerate(spans, start=1)
    ]  # no event: a table without rows
    columns = {name: [row[name] for row in rows] for name in _row(place, (0, 1), 1, head, version)}
    path = f"events/{place.folder}/{short_hash([head, version, *map(list, spans)])}.parquet"
    workspace.store.write_table(path, rows_of("events", columns))
    now = datetime.now(UTC)
    done = RunRow("run", "classify", CAMPAIGN, camera, DAY, head, path, "done", now, now, outputs=(path,))
    workspace.ledger.record([done])
    if picture:
        for row in rows:
            target = workspace.site.published_folder / CAMPAIGN / camera / DAY.isoformat() / row["keyframe"]
            target.parent.mkdir(parents=True, exist_ok=True)
            write_jpeg(target, np.full((48, 64, 3), 40 * row["rank"] % 256, dtype=np.uint8), 85)
    return [one for one in read_events(workspace, EventFilter(head=head)) if one.camera == camera] if rows else []


def _row(place: Place, span: tuple[float, float], rank: int, head: str, version: str) -> dict[str, Any]:
    begins, ends = (START + timedelta(seconds=at) for at in span)
    event_id = short_hash([head, version, place.camera, *span])[:12]
    return {
        "campaign": place.campaign,
        "camera": place.camera,
        "day": place.day,
        "head": head,
        "version": version,
        "region": "frame",
        "event_id": event_id,
        "rank": rank,
        "alarm": True,
        "recording_id": EAST_ID,
        "started_at": begins,
        "ended_at": ends,
        "peak_at": begins,
        "peak_us": round(span[0] * 1e6),
        "peak_score": 1 - rank / 128,
        "threshold": 0.625,
        "deviations": None,
        "keyframe": f"keyframes/{event_id}.jpg",
        "clip": f"events/{event_id}.mp4",
    }
