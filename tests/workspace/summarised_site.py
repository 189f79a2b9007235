"""A site with a camera's day that was measured and published, without a single video: what it shows is known by construction."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lake.keys import Place
from lake.ledger import RunRow
from lake.schema import LOOK_VALUES
from lake.store import rows_of
from tests.workspace.labelled_site import (
    CAMPAIGN,
    DAY,
    EAST,
    EAST_ID,
    EAST_PATH,
    LATER_ID,
    LATER_PATH,
    SEEN,
    START,
    labelled_site,
)
from workspace.opened import Workspace

PLACE = Place(CAMPAIGN, EAST, DAY)
SEGMENT_S, GAP_S = 4, 120
COUNTS = {EAST_ID: 15, LATER_ID: 7}
"""Segments of each recording; the later one begins GAP_S after the first."""
SURPRISING, MOVING, RICH, BLACK = (3, 10, 17), (5, 12), 8, 20
"""Segments, by number over both recordings, that stand out by one column; and one without a clear picture."""
BUDGET_S = 12.0
EVENTS = (("novelty", 1, True, 12), ("novelty", 2, False, 90), ("opening", 1, False, 40))
"""Head, rank, alarm and the second at which it begins: in segment 3, between the recordings, in segment 10."""


def columns() -> dict[str, Any]:
    """The columns of the 22 segments."""
    count = sum(COUNTS.values())
    told = {name: np.full(count, 0.1) for name in ("anomaly", "memorability", "entropy", "dynamics")}
    told["anomaly"][list(SURPRISING)] = (0.9, 0.8, 0.7)
    told["dynamics"][list(MOVING)] = (0.9, 0.8)
    told["entropy"][RICH] = 0.9
    return told


def looks() -> Any:
    """Every segment looks unlike every other."""
    return np.eye(sum(COUNTS.values()), LOOK_VALUES, dtype=np.float16)


def start_s(number: int) -> int:
    """Seconds from the first recording's begin to a segment's."""
    first = COUNTS[EAST_ID]
    return number * SEGMENT_S if number < first else GAP_S + (number - first) * SEGMENT_S


def owner(number: int) -> tuple[str, str, int]:
    """Recording's content and path, and the segment's number in it."""
    first = COUNTS[EAST_ID]
    return (EAST_ID, EAST_PATH, number) if number < first else (LATER_ID, LATER_PATH, number - first)


def segment_rows() -> pa.Table:
    count = sum(COUNTS.values())
    within = np.array([owner(number)[2] for number in range(count)])
    from_us = within * SEGMENT_S * 1_000_000
    keyframes = [None if number == BLACK else int(at) for number, at in enumerate(from_us)]
    told = {
        "campaign": CAMPAIGN,
        "camera": EAST,
        "day": DAY,
        "recording_id": [owner(number)[0] for number in range(count)],
        "segment": within.astype(np.int32),
        "from_us": from_us,
        "to_us": from_us + SEGMENT_S * 1_000_000,
        "taken_at": [START + timedelta(seconds=start_s(number)) for number in range(count)],
        "begins_at": ["recording" if number == 0 else "length" for number in within],
        "surprise": columns()["anomaly"] * 5,
        "distinctiveness": 0.1,
        "entropy_bits": 6.0,
        "motion": 1.0,
        **columns(),
        "probability": 0.5,
        "keyframe_us": keyframes,
        "look": looks(),
    }
    return rows_of("segments", told)


def event_rows(events: Any = EVENTS) -> dict[str, pa.Table]:
    """Rows of `events` by head."""
    found = {}
    for name in dict.fromkeys(head for head, *_ in events):
        mine = [event for event in events if event[0] == name]
        begins = [START + timedelta(seconds=second) for *_, second in mine]
        found[name] = rows_of(
            "events",
            {
                "campaign": CAMPAIGN,
                "camera": EAST,
                "day": DAY,
                "head": name,
                "version": "v1",
                "region": "frame",
                "event_id": [f"{name}-{rank}" for _, rank, *_ in mine],
                "rank": [rank for _, rank, *_ in mine],
                "alarm": [alarm for _, _, alarm, _ in mine],
                "recording_id": EAST_ID,
                "started_at": begins,
                "ended_at": [begin + timedelta(seconds=2) for begin in begins],
                "peak_at": [begin + timedelta(seconds=1) for begin in begins],
                "peak_us": 0,
                "peak_score": 4.0,
                "threshold": 3.0,
                "deviations": None,
                "keyframe": "",
                "clip": "",
            },
        )
    return found


def measured_site(root: Path) -> Workspace:
    """A site whose day is measured, not published."""
    workspace = labelled_site(root)
    settings = root / "afterwatch.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("budget_s = 60.0", f"budget_s = {BUDGET_S}"), encoding="utf-8")
    enter(workspace, "segment", "", "segments", segment_rows())
    for head, rows in event_rows().items():
        enter(workspace, "score" if head == "novelty" else "retrieve", head, "events", rows)
    return Workspace(root)


def enter(workspace: Workspace, step: str, scope: str, table: str, rows: pa.Table) -> None:
    """Write a file of the lake and say that it counts."""
    path = f"{table}/{PLACE.folder}/{step}-{scope or 'all'}.parquet"
    workspace.store.write_table(path, rows)
    told = (step, CAMPAIGN, EAST, DAY, scope, "0" * 20, "done", SEEN, SEEN)
    workspace.ledger.record([RunRow("night", *told, outputs=(path,))])


SHOWN = ((3, "novelty 1"), (10, "opening 1"), (17, "score"))
"""Segments that the published summary shows, and why: what remains of a budget that holds three."""


def entry(number: int, reason: str, at_s: float) -> dict[str, Any]:
    """An entry of `summary.json`, as a publication writes it."""
    recording_id, path, within = owner(number)
    scores = {name: float(values[number]) for name, values in columns().items()}
    weights = {"anomaly": 1.0, "memorability": 0.3, "entropy": 0.1, "dynamics": 0.3}
    score = sum(weights[name] * value for name, value in scores.items()) / sum(weights.values())
    return {
        "recording_id": recording_id,
        "recording": path,
        "segment": within,
        "from_us": within * SEGMENT_S * 1_000_000,
        "to_us": (within + 1) * SEGMENT_S * 1_000_000,
        "taken_at": (START + timedelta(seconds=start_s(number))).isoformat(),
        "at_s": at_s,
        "for_s": float(SEGMENT_S),
        "score": round(score, 6),
        **scores,
        "probability": 0.5,
        "reason": reason,
        "event_id": "" if reason == "score" else reason.replace(" ", "-"),
        "keyframe_us": within * SEGMENT_S * 1_000_000,
        "keyframe": f"keyframes/segment-{number}.jpg",
    }


def summary_told(place: Place = PLACE) -> dict[str, Any]:
    """`summary.json` of a camera's day."""
    return {
        "key": "0" * 20,
        "campaign": place.campaign,
        "camera": place.camera,
        "day": place.day.isoformat(),
        "partial": False,
        "lacking": [],
        "video": "summary.mp4",
        "contact": "contact.jpg",
        "duration_s": BUDGET_S,
        "weights": {
            "label": "settings",
            "values": {"anomaly": 1.0, "memorability": 0.3, "entropy": 0.1, "dynamics": 0.3},
        },
        "omitted": [{"name": "novelty 2", "event_id": "novelty-2"}],
        "entries": [entry(number, reason, at * SEGMENT_S) for at, (number, reason) in enumerate(SHOWN)],
        "events": [],
    }


def before_weights_were_told(told: dict[str, Any]) -> dict[str, Any]:
    """The same as a publication wrote it before summaries said their weights."""
    new = ("segment", "probability", "event_id")
    entries = [
        {name: value for name, value in row.items() if name not in new}
        | {"reason": row["reason"].replace("novelty", "event").replace("opening", "event")}
        for row in told["entries"]
    ]
    return {name: value for name, value in told.items() if name not in ("weights", "omitted")} | {"entries": entries}


def publish(workspace: Workspace, told: dict[str, Any], place: Place = PLACE) -> Path:
    """Put a summary where publications lie; returns its folder."""
    folder = workspace.site.published_folder / place.campaign / place.camera / place.day.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def summarised_site(root: Path) -> Workspace:
    """A site whose day is measured and published."""
    workspace = measured_site(root)
    publish(workspace, summary_told())
    return workspace
