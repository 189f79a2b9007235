"""Published days of cameras made by hand: coloured videos, and just what `summary.json` says of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from footage.probe import content_hash
from footage.writing import VideoWriter, write_jpeg
from infra.site import Site

CAMPAIGN, DAY = "demo", date(2026, 3, 2)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
RATE_HZ = 5


@dataclass(frozen=True)
class Piece:
    """A segment of a camera's summary: second of the day, length, score, the event it is shown for, and its grey level."""

    at_s: float
    tone: int
    score: float = 0.5
    for_s: float = 4.0
    event: str = ""
    clear: bool = True


@dataclass(frozen=True)
class Happening:
    """An event of a camera: id, seconds of the day, rank, and whether it is an alarm."""

    event_id: str
    from_s: float
    to_s: float
    rank: int = 1
    alarm: bool = False
    head: str = "novelty"

    def told(self) -> dict[str, Any]:
        moments = {"started_at": self.from_s, "peak_at": (self.from_s + self.to_s) / 2, "ended_at": self.to_s}
        return {
            "event_id": self.event_id,
            "rank": self.rank,
            "alarm": self.alarm,
            "head": self.head,
            **{name: (MIDNIGHT + timedelta(seconds=second)).isoformat() for name, second in moments.items()},
        }


def publish_by_hand(
    site: Site,
    camera: str,
    pieces: Sequence[Piece],
    events: Sequence[Happening] = (),
    size: tuple[int, int] = (48, 64),
    **changes: Any,
) -> Path:
    """The folder of a camera's day as a night would have left it; `changes` are of its `summary.json`."""
    folder = site.published_folder / CAMPAIGN / camera / DAY.isoformat()
    (folder / "keyframes").mkdir(parents=True, exist_ok=True)
    entries = _entries(camera, pieces)
    for piece, entry in zip(pieces, entries, strict=True):
        if piece.clear:
            write_jpeg(folder / str(entry["keyframe"]), _picture(piece.tone, size))
    files = {}
    if pieces:
        with VideoWriter(folder / "summary.mp4", end_us=round(sum(piece.for_s for piece in pieces) * 1e6)) as video:
            for piece, entry in zip(pieces, entries, strict=True):
                for number in range(round(piece.for_s * RATE_HZ)):
                    video.write(_picture(piece.tone, size), round((entry["at_s"] + number / RATE_HZ) * 1e6))
        files = {"summary.mp4": content_hash(folder / "summary.mp4")}
    told = {
        "key": f"key of {camera}",
        "campaign": CAMPAIGN,
        "camera": camera,
        "day": DAY.isoformat(),
        "partial": False,
        "entries": entries,
        "events": [event.told() for event in events],
        "made": {"summary.mp4": {"of": "x", "files": files}},
        **changes,
    }
    (folder / "summary.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def _entries(camera: str, pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    entries, at_s = [], 0.0
    for number, piece in enumerate(pieces):
        entries.append(
            {
                "at_s": at_s,
                "for_s": piece.for_s,
                "recording": f"{CAMPAIGN}/{camera}/2026-03-02T00-00-00.mp4",
                "recording_id": f"recording of {camera}",
                "segment": number,
                "from_us": round(piece.at_s * 1e6),
                "to_us": round((piece.at_s + piece.for_s) * 1e6),
                "taken_at": (MIDNIGHT + timedelta(seconds=piece.at_s)).isoformat(),
                "score": piece.score,
                "reason": "novelty 1" if piece.event else "score",
                "event_id": piece.event,
                "keyframe": f"keyframes/{number}.jpg" if piece.clear else "",
            }
        )
        at_s += piece.for_s
    return entries


def _picture(tone: int, size: tuple[int, int]) -> Any:
    return np.full((*size, 3), tone, np.uint8)
