"""Rows of a camera's day as the lake keeps them: scores, events and other lists."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from lake.keys import Place, short_hash
from lake.schema import TABLES
from lake.store import Store, rows_of
from lake.vectors import Embeddings
from models.events import Event

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def finite(value: float) -> float | None:
    """A number as a column may hold it: none where it is infinite."""
    return value if math.isfinite(value) else None


def place_columns(place: Place) -> dict[str, Any]:
    """The columns that every table begins with."""
    return {"campaign": place.campaign, "camera": place.camera, "day": place.day}


def write_rows(store: Store, path: str, table: str, place: Place, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of a table, given without the columns of their place; none give a file without rows."""
    names = [name for name in TABLES[table].schema.names if name not in ("campaign", "camera", "day")]
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in names}
    store.write_table(path, rows_of(table, {**place_columns(place), **columns}))


def score_rows(
    place: Place, snippets: Embeddings, head: str, version: str, region: str, told: dict[str, Any]
) -> pa.Table:
    """Rows of `scores`; `told` has score, probability, normalised and flagged, N each."""
    names = ("recording_id", "index", "from_us", "to_us", "taken_at")
    of_snippets: dict[str, Any] = {name: snippets.rows[name] for name in names}
    columns = {**place_columns(place), **of_snippets, "head": head, "version": version, "region": region, **told}
    return rows_of("scores", columns)


def event_row(
    place: Place, snippets: Embeddings, head: str, version: str, region: str, event: Event, threshold: float
) -> dict[str, Any]:
    """A row of `events` less its rank, alarm and deviations; `event` was found in the scores of `snippets`."""
    started_at, ended_at, peak_at = (EPOCH + at * MICROSECOND for at in (event.from_us, event.to_us, event.peak_us))
    told = [head, version, region, place.campaign, place.camera, event.from_us, event.to_us]
    event_id = short_hash(told)[:12]
    began_us = int(snippets.from_us[event.peak_index]) - int(snippets.column("from_us")[event.peak_index])
    return {
        "head": head,
        "version": version,
        "region": region,
        "event_id": event_id,
        "recording_id": snippets.rows["recording_id"][event.peak_index].as_py(),
        "started_at": started_at,
        "ended_at": ended_at,
        "peak_at": peak_at,
        "peak_us": event.peak_us - began_us,
        "peak_score": event.peak_score,
        "threshold": threshold,
        "keyframe": f"keyframes/{event_id}.jpg",
        "clip": f"events/{event_id}.mp4",
    }
