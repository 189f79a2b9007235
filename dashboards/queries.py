"""What the pages ask of the lake: SQL in, data frames and frozen values out. No page holds SQL.

Moments in the frames are UTC; `days` are those of the site's zone, as the lake stores them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from dashboards.snapshot import LakeReader, records
from lake.keys import Place

MAXIMUM_POINTS = 4000
"""Points of a score curve above which the highest of each bin stands for it."""
USABLE = "status IN ('ready', 'partial')"
_HERE = "campaign = ? AND camera = ? AND day = ?"
_END = "started_at + to_microseconds(duration_us)"


@dataclass(frozen=True)
class ScoreSeries:
    """What draws a score curve: a head over a region."""

    head: str
    version: str
    region: str


def camera_days(lake: LakeReader) -> pd.DataFrame:
    """Every camera's day that has usable footage, newest first, then by alarms.

    Returns:
        Columns campaign, camera, day, recordings, recorded_s, events, alarms.
    """
    return lake.rows(
        f"""
        WITH days AS (
            SELECT campaign, camera, day, count(*) AS recordings, sum(duration_us) / 1e6 AS recorded_s
            FROM recordings WHERE {USABLE} GROUP BY ALL),
        found AS (
            SELECT campaign, camera, day, count(*) AS events, count(*) FILTER (alarm) AS alarms
            FROM events GROUP BY ALL)
        SELECT days.*, coalesce(events, 0) AS events, coalesce(alarms, 0) AS alarms
        FROM days LEFT JOIN found USING (campaign, camera, day)
        ORDER BY day DESC, alarms DESC, events DESC, campaign, camera"""
    )


def recordings(lake: LakeReader, place: Place) -> pd.DataFrame:
    """Recordings of a camera's day, in order of time, those that cannot be used among them."""
    return lake.rows(
        f"""
        SELECT recording_id, path, status, reason, started_at, {_END} AS ended_at, duration_us / 1e6 AS duration_s,
               width, height, codec, rate_hz, variable_rate, bytes
        FROM recordings WHERE {_HERE} AND status <> 'gone' ORDER BY started_at NULLS LAST, path""",
        _here(place),
    )


def gaps(lake: LakeReader, gap_s: float, place: Place | None = None) -> pd.DataFrame:
    """Time between a camera's recordings that is longer than `gap_s`, within one day.

    Recordings that overlap make no gap: time is measured from the latest end so far.

    Returns:
        Columns campaign, camera, day, started_at, ended_at, gap_s.
    """
    rows = lake.rows(
        f"""
        WITH ends AS (
            SELECT campaign, camera, day, started_at AS ended_at,
                   max({_END}) OVER (PARTITION BY campaign, camera, day ORDER BY started_at, path
                                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS started_at
            FROM recordings WHERE {USABLE} {"AND " + _HERE if place else ""})
        SELECT campaign, camera, day, started_at, ended_at, (epoch_us(ended_at) - epoch_us(started_at)) / 1e6 AS gap_s
        FROM ends WHERE started_at IS NOT NULL ORDER BY campaign, camera, started_at""",
        _here(place) if place else (),
    )
    return rows[rows["gap_s"] > gap_s].reset_index(drop=True)


def coverage_spans(lake: LakeReader, place: Place, *, skipped: bool = False) -> pd.DataFrame:
    """The day's coverage in true time, neighbours of one state joined; together they are all recorded time.

    Recordings in quarantine count as corrupt where their length is known, as in the night's report. Usable ones that
    were not looked at yet are `waiting`, or `skipped` where the settings leave the camera out.

    Returns:
        Columns state, reason, started_at, ended_at, in order of time.
    """
    spans = lake.rows(
        f"""
        WITH mine AS (SELECT * FROM recordings WHERE {_HERE} AND started_at IS NOT NULL AND duration_us > 0),
        origins AS (SELECT recording_id, min(started_at) AS origin FROM mine WHERE {USABLE} GROUP BY ALL),
        known AS (SELECT * FROM coverage WHERE {_HERE}),
        spans AS (
            SELECT state, reason, origin + to_microseconds(from_us) AS started_at,
                   origin + to_microseconds(to_us) AS ended_at
            FROM known JOIN origins USING (recording_id)
            UNION ALL SELECT 'corrupt', reason, started_at, {_END} FROM mine WHERE status = 'quarantined'
            UNION ALL SELECT CASE WHEN ? THEN 'skipped' ELSE 'waiting' END, '', started_at, {_END}
            FROM mine WHERE {USABLE} AND recording_id NOT IN (SELECT recording_id FROM known))
        SELECT * FROM spans ORDER BY started_at, ended_at""",
        (*_here(place), *_here(place), skipped),
    )
    if spans.empty:
        return spans
    fresh = (spans["state"] != spans["state"].shift()) | (spans["started_at"] > spans["ended_at"].shift())
    joined = spans.groupby(fresh.cumsum())
    kept = joined.agg({"state": "first", "reason": "first", "started_at": "first", "ended_at": "max"})
    return kept.reset_index(drop=True)


def coverage_seconds(spans: pd.DataFrame) -> dict[str, float]:
    """Seconds of each state among `spans`."""
    seconds = (spans["ended_at"] - spans["started_at"]).dt.total_seconds() if len(spans) else pd.Series(dtype=float)
    told = dict.fromkeys(("analysed", "skipped", "corrupt", "missing", "waiting"), 0.0)
    for state, value in seconds.groupby(spans["state"]).sum().items() if len(spans) else ():
        told[str(state)] = float(value)
    return told


def score_series(lake: LakeReader, place: Place) -> list[ScoreSeries]:
    """The heads and regions that have scored a camera's day; the whole picture first."""
    rows = lake.rows(
        f"SELECT DISTINCT head, version, region, region <> 'frame' AS part FROM scores WHERE {_HERE}"
        " ORDER BY head, part, region, version",
        _here(place),
    )
    return [ScoreSeries(row.head, row.version, row.region) for row in records(rows)]


def scores(
    lake: LakeReader,
    place: Place,
    series: ScoreSeries,
    window: tuple[datetime, datetime] | None = None,
    maximum: int = MAXIMUM_POINTS,
) -> pd.DataFrame:
    """The score curve of a camera's day; of many points, the highest in each of `maximum` equal bins.

    Args:
        window: `[from, to)`, true time; none: the whole day.

    Returns:
        Columns recording_id, taken_at, seconds (that the score is about, from `taken_at`), score, probability, flagged,
        in order of time.
    """
    within = "AND taken_at >= ? AND taken_at < ?" if window else ""
    parameters = (*_here(place), series.head, series.version, series.region, *(window or ()))
    return lake.rows(
        f"""
        WITH curve AS (
            SELECT recording_id, taken_at, (to_us - from_us) / 1e6 AS seconds, score, probability, flagged,
                   epoch_us(taken_at) AS t_us FROM scores
            WHERE {_HERE} AND head = ? AND version = ? AND region = ? {within}),
        extent AS (SELECT count(*) AS points, min(t_us) AS first_us, max(t_us) AS last_us FROM curve),
        binned AS (
            SELECT curve.*, CASE WHEN points <= {maximum} THEN row_number() OVER (ORDER BY t_us)
                   ELSE (t_us - first_us) * {maximum} // (last_us - first_us + 1) END AS bin
            FROM curve, extent)
        SELECT arg_max(recording_id, score) AS recording_id, arg_max(taken_at, score) AS taken_at,
               arg_max(seconds, score) AS seconds, max(score) AS score,
               arg_max(probability, score) AS probability, bool_or(flagged) AS flagged
        FROM binned GROUP BY bin ORDER BY taken_at""",
        parameters,
    )


_EVENT_COLUMNS = """events.campaign, events.camera, events.day, head, version, region, event_id, rank, alarm,
    events.recording_id, events.started_at, ended_at, peak_at, peak_us, peak_score, threshold, keyframe, clip"""


def events(lake: LakeReader, place: Place) -> pd.DataFrame:
    """Events of a camera's day: alarms first, then by rank."""
    return lake.rows(
        f"SELECT {_EVENT_COLUMNS} FROM events WHERE {_HERE} ORDER BY alarm DESC, rank,"
        " peak_score / nullif(threshold, 0) DESC, head, region",
        _here(place),
    )


def top_events(lake: LakeReader, places: Sequence[Place], limit: int = 8) -> pd.DataFrame:
    """The events most worth a look among `places`: alarms first, then by score over threshold.

    Scores of two cameras are on different scales; how far each is above its own threshold can be compared.
    """
    return lake.rows(
        f"""
        SELECT {_EVENT_COLUMNS} FROM events WHERE {_AMONG}
        ORDER BY alarm DESC, peak_score / nullif(threshold, 0) DESC NULLS LAST, peak_at LIMIT {int(limit)}""",
        (_names(places),),
    )


def newest_events(lake: LakeReader, limit: int = 500) -> pd.DataFrame:
    """Events of all cameras, the newest first."""
    return lake.rows(f"SELECT {_EVENT_COLUMNS} FROM events ORDER BY peak_at DESC, head, region LIMIT {int(limit)}")


def event_of(lake: LakeReader, event_id: str) -> pd.DataFrame:
    """The event of that name, as `newest_events` tells it; empty where there is none."""
    return lake.rows(
        f"SELECT {_EVENT_COLUMNS} FROM events WHERE event_id = ? ORDER BY peak_at DESC LIMIT 1", (event_id,)
    )


def event_counts(lake: LakeReader, places: Sequence[Place]) -> tuple[int, int]:
    """Events and alarms among `places`."""
    rows = lake.rows(
        f"SELECT count(*) AS events, count(*) FILTER (alarm) AS alarms FROM events WHERE {_AMONG}", (_names(places),)
    )
    return int(rows["events"][0]), int(rows["alarms"][0])


def health_spans(lake: LakeReader, places: Sequence[Place]) -> pd.DataFrame:
    """Stretches in which a camera was unwell.

    Returns:
        Columns campaign, camera, day, kind, started_at, ended_at, seconds, value, in order of place and time.
    """
    return lake.rows(
        f"""
        SELECT campaign, camera, day, kind, started_at, started_at + to_microseconds(to_us - from_us) AS ended_at,
               (to_us - from_us) / 1e6 AS seconds, value
        FROM health WHERE {_AMONG} ORDER BY campaign, camera, started_at""",
        (_names(places),),
    )


_AMONG = "(campaign || chr(31) || camera || chr(31) || day::VARCHAR) IN (SELECT unnest(?::VARCHAR[]))"


def _here(place: Place) -> tuple[Any, ...]:
    return (place.campaign, place.camera, place.day)


def _names(places: Sequence[Place]) -> list[str]:
    return [f"{place.campaign}\x1f{place.camera}\x1f{place.day.isoformat()}" for place in places]


def threshold_of(found: pd.DataFrame, series: ScoreSeries | None) -> float | None:
    """What the scores of a series were held against, as its events tell; none where it has no event."""
    if series is None or found.empty:
        return None
    mine = found[(found["head"] == series.head) & (found["region"] == series.region)]["threshold"].dropna()
    return None if mine.empty else float(mine.iloc[0])


def decoded(message: Any) -> dict[str, Any] | None:
    """A JSON object kept as text; none where it is no such thing."""
    try:
        told = json.loads(message)
    except (TypeError, ValueError):
        return None
    return told if isinstance(told, dict) else None
