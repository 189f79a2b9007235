"""What the Anomalies page asks of the lake: SQL in, data frames and frozen values out. Moments are UTC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboards.event_rows import RANKED_COLUMNS, Ranked, finite, ranked
from dashboards.snapshot import LakeReader
from workspace.event_files import EventRow


@dataclass(frozen=True)
class Neighbour:
    """A normal snippet of the camera: `[from_us, to_us)` of a recording, and how far the event is from it."""

    recording_id: str
    from_us: int
    to_us: int
    taken_at: datetime
    distance: float


@dataclass(frozen=True)
class Reason:
    """Why an event is one.

    Attributes:
        parts: name and share of each part of the score, the largest first; shares add to 1.
        place: (x, y, width, height) in fractions of the whole picture; None where the vector knows no places.
        nearest: the camera's normal snippets that are most like it, the nearest first.
    """

    parts: tuple[tuple[str, float], ...]
    place: tuple[float, float, float, float] | None
    nearest: tuple[Neighbour, ...]


def anomaly_campaigns(lake: LakeReader, head: str) -> list[str]:
    """Campaigns in which a head has scored anything, the one with the newest day first."""
    rows = lake.rows(
        "SELECT campaign FROM scores WHERE head = ? GROUP BY campaign ORDER BY max(day) DESC, campaign", (head,)
    )
    return [str(name) for name in rows["campaign"]]


def campaign_of(lake: LakeReader, head: str, event_id: str) -> str | None:
    """The campaign of one of a head's events; None where there is no such event."""
    rows = lake.rows("SELECT campaign FROM events WHERE head = ? AND event_id = ? LIMIT 1", (head, event_id))
    return str(rows["campaign"][0]) if len(rows) else None


def ranked_events(lake: LakeReader, head: str, campaign: str) -> list[Ranked]:
    """A head's events of all cameras and days of a campaign, the most unusual first.

    How many deviations a peak is above its camera's normal can be compared over cameras and regions. Events of older
    nights, which did not keep that, come after the others, by how far they are above their thresholds.
    """
    rows = lake.rows(
        f"""
        SELECT {RANKED_COLUMNS} FROM events WHERE head = ? AND campaign = ?
        ORDER BY deviations DESC NULLS LAST, peak_score / nullif(threshold, 0) DESC NULLS LAST, peak_at, camera, region""",
        (head, campaign),
    )
    return [ranked(row) for row in rows.to_dict("records")]


def scored_regions(lake: LakeReader, head: str, campaign: str) -> pd.DataFrame:
    """Columns camera, region: what a head has scored in a campaign; a camera's whole picture first."""
    return lake.rows(
        """
        SELECT DISTINCT camera, region, region <> 'frame' AS part FROM scores WHERE head = ? AND campaign = ?
        ORDER BY camera, part, region""",
        (head, campaign),
    )[["camera", "region"]]


def standards(lake: LakeReader, head: str, campaign: str, camera: str, nights: int) -> pd.DataFrame:
    """What the regions of a camera were held against on its newest nights, in order of day and region.

    Returns:
        Columns day, region, version, threshold, source, hysteresis, median, spread; without a row where the nights kept
        no standards, as they did not at first.
    """
    return lake.rows(
        f"""
        SELECT day, region, version, threshold::DOUBLE AS threshold, source, hysteresis::DOUBLE AS hysteresis,
               median::DOUBLE AS median, spread::DOUBLE AS spread
        FROM standards WHERE head = ? AND campaign = ? AND camera = ?
        QUALIFY dense_rank() OVER (ORDER BY day DESC) <= {int(nights)} ORDER BY day, region""",
        (head, campaign, camera),
    )


def standard_of(lake: LakeReader, event: EventRow) -> tuple[float, float] | None:
    """Median and spread of the normal scores that an event was held against; None where the night kept none."""
    rows = lake.rows(
        """
        SELECT median::DOUBLE AS median, spread::DOUBLE AS spread FROM standards
        WHERE head = ? AND campaign = ? AND camera = ? AND day = ? AND region = ? AND version = ?""",
        (event.head, event.campaign, event.camera, event.day, event.region, event.version),
    )
    return (float(rows["median"][0]), float(rows["spread"][0])) if len(rows) else None


def night_scores(lake: LakeReader, head: str, campaign: str, camera: str, days: Sequence[date]) -> pd.DataFrame:
    """Stored scores of a camera's days.

    Returns:
        Columns day, region, version, from_us, to_us (microseconds since 1970), score, in order of time.
    """
    return lake.rows(
        """
        SELECT day, region, version, epoch_us(taken_at) AS from_us, epoch_us(taken_at) + to_us - from_us AS to_us, score
        FROM scores WHERE head = ? AND campaign = ? AND camera = ? AND day IN (SELECT unnest(?::DATE[]))
        ORDER BY taken_at, recording_id, index""",
        (head, campaign, camera, list(days)),
    )


def day_scores(lake: LakeReader, event: EventRow) -> NDArray[np.float64]:
    """float64 (N,): the scores of an event's region over its whole day."""
    rows = lake.rows(
        """
        SELECT score::DOUBLE AS score FROM scores
        WHERE head = ? AND campaign = ? AND camera = ? AND day = ? AND region = ? AND version = ?""",
        (event.head, event.campaign, event.camera, event.day, event.region, event.version),
    )
    return np.asarray(rows["score"], dtype=np.float64)


def reason_of(lake: LakeReader, event: EventRow) -> Reason | None:
    """Why an event is one; None where the night that found it kept no reasons, as nights did not at first."""
    rows = lake.rows(
        """
        SELECT parts, x, y, width, height, nearest FROM reasons
        WHERE campaign = ? AND camera = ? AND day = ? AND event_id = ?""",
        (event.campaign, event.camera, event.day, event.event_id),
    )
    return _reason(rows.to_dict("records")[0]) if len(rows) else None


def _reason(row: Mapping[Any, Any]) -> Reason:
    parts = sorted(((str(one["name"]), float(one["share"])) for one in _listed(row["parts"])), key=lambda one: -one[1])
    corners = [row[name] for name in ("x", "y", "width", "height")]
    known = all(finite(value) is not None for value in corners)
    nearest = sorted((_neighbour(one) for one in _listed(row["nearest"])), key=lambda one: one.distance)
    place = tuple(float(value) for value in corners) if known else None
    return Reason(tuple(parts), place, tuple(nearest))  # type: ignore[arg-type]  # four corners are four


def _neighbour(told: Mapping[str, Any]) -> Neighbour:
    taken_at = pd.Timestamp(told["taken_at"])
    moment = taken_at.tz_localize("UTC") if taken_at.tzinfo is None else taken_at.tz_convert("UTC")
    return Neighbour(
        str(told["recording_id"]),
        int(told["from_us"]),
        int(told["to_us"]),
        moment.to_pydatetime(),
        float(told["distance"]),
    )


def _listed(value: Any) -> list[Mapping[str, Any]]:
    return [] if value is None else list(value)
