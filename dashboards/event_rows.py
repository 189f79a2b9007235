"""Events as the pages that judge them rank and show them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from workspace.event_files import EventRow

RANKED_COLUMNS = """campaign, camera, day, head, version, region, event_id, rank, alarm, recording_id, started_at, ended_at,
    peak_at, peak_us, peak_score, threshold, keyframe, clip, deviations"""
"""Columns of `events` that `ranked` reads."""


@dataclass(frozen=True)
class Ranked:
    """An event as a page ranks it.

    Attributes:
        event: the event.
        peak_us: time of its peak in its recording.
        keyframe, clip: picture and short video, relative to the camera's published day.
    """

    event: EventRow
    peak_us: int
    keyframe: str
    clip: str

    @property
    def campaign(self) -> str:
        return self.event.campaign

    @property
    def camera(self) -> str:
        return self.event.camera

    @property
    def region(self) -> str:
        return self.event.region

    @property
    def day(self) -> date:
        return self.event.day

    @property
    def event_id(self) -> str:
        return self.event.event_id

    @property
    def alarm(self) -> bool:
        return self.event.alarm

    @property
    def ratio(self) -> float | None:
        """Peak score over threshold; None where there is no threshold above 0."""
        peak, threshold = self.event.peak_score, self.event.threshold
        return None if peak is None or threshold is None or threshold <= 0 else peak / threshold


def ranked(row: Mapping[Any, Any]) -> Ranked:
    """An event of a row with `RANKED_COLUMNS`, as a data frame tells it."""
    event = EventRow(
        campaign=row["campaign"],
        camera=row["camera"],
        day=row["day"],
        head=row["head"],
        region=row["region"],
        started_at=row["started_at"].to_pydatetime(),
        ended_at=row["ended_at"].to_pydatetime(),
        peak_at=row["peak_at"].to_pydatetime(),
        recording_id=row["recording_id"] or "",
        version=row["version"],
        event_id=row["event_id"],
        rank=int(row["rank"]),
        alarm=bool(row["alarm"]),
        peak_score=finite(row["peak_score"]),
        threshold=finite(row["threshold"]),
        deviations=finite(row["deviations"]),
    )
    return Ranked(event, int(row["peak_us"]), row["keyframe"] or "", row["clip"] or "")


def finite(value: Any) -> float | None:
    """A number of the lake; None where there is none, or it is no number."""
    return None if value is None or not np.isfinite(value) else float(value)
