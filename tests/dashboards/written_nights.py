"""Nights as tasks write them, one after the other, into a workspace that others read: files first, then the rows that name them."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from lake.keys import Place
from lake.ledger import RunRow
from lake.store import rows_of
from tests.dashboards.small_site import CAMERA, CAMPAIGN, DAY, NIGHT, START, Workspace

SECONDS = 300
PEAK_S = 100
THRESHOLD = 3.0
NOVELTY = {"head": "novelty", "version": "v1", "region": "frame"}


def write_night(workspace: Workspace, number: int, tables: dict[str, Any] | None = None, suffix: str = "") -> None:
    """Enter a recording of a further day, then what a night makes of it, then the night's end.

    Args:
        workspace: to write into.
        number: of the day, 1 the one after `DAY`.
        tables: instead of the day's own rows, to leave some out or put wrong ones in.
        suffix: of the files' names, for another night that makes the same day again.
    """
    place, moment = (
        Place(CAMPAIGN, CAMERA, DAY + timedelta(days=number)),
        NIGHT + timedelta(days=number, hours=bool(suffix)),
    )
    workspace.ledger.append_recordings(_recording(place.day, number, moment), moment)
    made = day_tables(number) if tables is None else tables
    paths = {name: f"{name}/{place.folder}/night-{number}{suffix}.parquet" for name in made}
    for name, rows in made.items():
        workspace.store.write_table(paths[name], rows)
    for step, names in (("embed", ("coverage", "embeddings", "frames")), ("score", ("scores", "events", "reasons"))):
        outputs = tuple(paths[name] for name in names if name in paths)
        workspace.ledger.record([_row(step, place, number, moment, outputs)])
    workspace.ledger.record([_row("night", Place("", "", place.day), number, moment, ())])


def day_tables(number: int) -> dict[str, Any]:
    """The rows of a day, by table."""
    here = {"campaign": CAMPAIGN, "camera": CAMERA, "day": DAY + timedelta(days=number)}
    here["recording_id"] = _name(number)
    index = np.arange(SECONDS)
    began = START + timedelta(days=number)
    taken = [began + timedelta(seconds=int(second)) for second in index]
    score = np.where(abs(index - PEAK_S) < 5, 6.0, 1.0)
    spans = {"index": index, "from_us": index * 1_000_000, "to_us": (index + 1) * 1_000_000, "taken_at": taken}
    measured = dict.fromkeys(("luminance", "entropy_bits", "sharpness", "motion"), 1.0)
    event = f"event-{number}"
    return {
        "coverage": rows_of(
            "coverage", here | {"from_us": 0, "to_us": SECONDS * 1_000_000, "state": "analysed", "reason": ""}
        ),
        "embeddings": rows_of(
            "embeddings",
            here
            | spans
            | {"space": "s", "region": "frame", "digest": "", "vector": np.zeros((SECONDS, 4), np.float16)},
            dimension=4,
        ),
        "frames": rows_of(
            "frames",
            here | measured | {"index": index, "t_us": spans["from_us"], "taken_at": taken, "digest": ""},
        ),
        "scores": rows_of(
            "scores",
            here
            | NOVELTY
            | spans
            | {"score": score, "probability": None, "normalised": None, "flagged": score > THRESHOLD},
        ),
        "events": rows_of("events", here | NOVELTY | _event(event, began)),
        "reasons": rows_of(
            "reasons",
            {name: value for name, value in (here | NOVELTY).items() if name != "recording_id"} | _reason(event),
        ),
    }


def _event(event: str, began: datetime) -> dict[str, Any]:
    peak = began + timedelta(seconds=PEAK_S)
    return {
        "event_id": event,
        "rank": 1,
        "alarm": True,
        "started_at": peak - timedelta(seconds=4),
        "ended_at": peak + timedelta(seconds=5),
        "peak_at": peak,
        "peak_us": PEAK_S * 1_000_000,
        "peak_score": 6.0,
        "threshold": THRESHOLD,
        "deviations": None,
        "keyframe": f"keyframes/{event}.jpg",
        "clip": f"events/{event}.mp4",
    }


def _reason(event: str) -> dict[str, Any]:
    return {
        "event_id": event,
        "parts": [[]],
        **dict.fromkeys(("x", "y", "width", "height")),
        "nearest": [[]],
    }


def _recording(day: date, number: int, moment: datetime) -> Any:
    return rows_of(
        "recordings",
        {
            "campaign": CAMPAIGN,
            "camera": CAMERA,
            "day": day,
            "recording_id": [_name(number)],
            "path": f"{CAMPAIGN}/{CAMERA}/{day.isoformat()}T08-00-00.mp4",
            "status": "ready",
            "reason": "",
            "started_at": START + timedelta(days=number),
            "duration_us": SECONDS * 1_000_000,
            "frames": SECONDS * 25,
            "width": 320,
            "height": 240,
            "codec": "h264",
            "rate_hz": 25.0,
            "variable_rate": False,
            "bytes": 1_000_000,
            "mtime_ns": 0,
            "seen_at": moment,
        },
    )


def _name(number: int) -> str:
    return f"recording-{number}"


def _row(step: str, place: Place, number: int, moment: datetime, outputs: tuple[str, ...]) -> RunRow:
    return RunRow(
        run_id=f"run-{number}",
        step=step,
        campaign=place.campaign,
        camera=place.camera,
        day=place.day,
        scope="",
        key="0" * 20,
        status="done",
        started_at=moment,
        finished_at=moment,
        outputs=outputs,
        message="{}",
    )
