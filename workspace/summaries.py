"""What a summary shows: chosen among the segments of a day, by a night, and anew by other weights or of another length.

Segments are measured once and weighed later, so nothing is decoded or embedded here. The selection is made in true time,
in which recordings of one camera may overlap.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from infra.settings import Settings
from lake.current import current_outputs
from lake.keys import Place
from lake.ledger import FINISHED, Ledger, newest
from lake.schema import LOOK, LOOK_VALUES, TABLES
from lake.weight_sets import COLUMNS
from models.summary.scores import Columns, Weights, combine
from models.summary.segments import Segments
from models.summary.selection import EventSpan, Selection, select_segments, wanted_of
from workspace.opened import Workspace
from workspace.published_summaries import ShownSegment

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MEASURING = ("segment", "score", "retrieve", "classify")
"""Steps whose segments and events a summary is made of."""


@dataclass(frozen=True, eq=False)
class MeasuredDay:
    """The segments of a camera's day, S in order of true time, then of recording, and its events.

    Attributes:
        place: which day.
        segments: in true time, microseconds since 1970, UTC; a gap or an overlap lies between the recordings.
        recordings: hash of each recording's content, by the recording's number in `segments`.
        starts_us: int64, true time of each recording's begin in microseconds, likewise.
        columns: what is weighed, 0 to 1.
        clear: bool (S,), whether a segment has a picture that is neither black nor blurred.
        looks: float32 (S, 64), how each differs from the camera's usual picture; nan where it has no embedding.
        probability: float64 (S,), of the heads that make a segment anomalous; nan where none scored.
        events: in order of priority.
    """

    place: Place
    segments: Segments
    recordings: tuple[str, ...]
    starts_us: NDArray[np.int64]
    columns: Columns
    clear: NDArray[np.bool_]
    looks: NDArray[np.float32]
    probability: NDArray[np.float64]
    events: tuple[EventSpan, ...]

    def span(self, row: int) -> tuple[str, int, int]:
        """What a segment shows of the footage: recording, and times in it."""
        recording = int(self.segments.recording[row])
        origin = int(self.starts_us[recording])
        times = (int(self.segments.from_us[row]) - origin, int(self.segments.to_us[row]) - origin)
        return self.recordings[recording], *times


@dataclass(frozen=True, eq=False)
class RankedDay:
    """A selection by some weights.

    Attributes:
        scores: float64 (S,), weighted mean of the columns.
        selection: what a summary would show.
    """

    scores: NDArray[np.float64]
    selection: Selection


@dataclass(frozen=True)
class Difference:
    """A selection against what is published.

    Attributes:
        gained: rows of segments that are not published, in order of time.
        lost: published ones that would not be shown, in order of time.
    """

    gained: tuple[int, ...]
    lost: tuple[ShownSegment, ...]


def measured_places(workspace: Workspace) -> list[Place]:
    """Camera days whose segments are in the lake, in order."""
    outputs = current_outputs(workspace.ledger)
    return sorted({Place(one.campaign, one.camera, one.day) for one in outputs if one.table == "segments"})


def measured_files(ledger: Ledger, campaign: str, day: date) -> dict[str, tuple[str, ...]]:
    """By camera, the files that hold the segments of a campaign's day, and the events that they are ranked with.

    They are those that the newest summary was made of: of a head that has failed since, the events of before are not among
    them. Where no summary was made of measured segments yet, they are the newest of each step. Files never change: what was
    read of them holds as long as they are the ones that count. Cameras whose day no night has measured are absent.
    """
    rows = ledger.rows("runs").filter((pc.field("campaign") == campaign) & (pc.field("day") == pa.scalar(day)))
    finished: dict[str, list[dict[str, Any]]] = {}
    for row in rows.to_pylist():
        if row["status"] in FINISHED:
            finished.setdefault(row["camera"], []).append(row)
    found = {camera: _files_of(finished[camera]) for camera in sorted(finished)}
    return {camera: files for camera, files in found.items() if any(path.startswith("segments/") for path in files)}


def _files_of(finished: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Files of segments and events of a camera's day, by its runs that came to their end."""
    measuring = [row for row in finished if row["step"] in MEASURING]
    summaries = newest([row for row in finished if row["step"] == "summarise"], ("step",), "finished_at")
    ranked = [row for row in measuring if summaries and row["key"] in summaries[0]["inputs"]]
    if not any(row["step"] == "segment" for row in ranked):
        ranked = newest(measuring, ("step", "scope"), "finished_at")
    paths = {path for row in ranked for path in row["outputs"]}
    return tuple(sorted(path for path in paths if path.startswith(("segments/", "events/"))))


def read_measured(workspace: Workspace, place: Place, files: Collection[str] | None = None) -> MeasuredDay:
    """The segments of a camera's day, and the events that they are ranked with.

    Args:
        workspace: the site.
        place: which day.
        files: see `measured_files`, where the caller knows them already; None: they are looked up in the ledger.

    Raises:
        ConfigurationError: there are no segments of it.
    """
    if files is None:
        files = measured_files(workspace.ledger, place.campaign, place.day).get(place.camera, ())
    paths = {table: [path for path in files if path.startswith(f"{table}/")] for table in ("segments", "events")}
    if not paths["segments"]:
        day = place.day.isoformat()
        raise ConfigurationError(
            f"{place} has no measured segments; measure them with "
            f'"afterwatch run --campaign {place.campaign} --camera {place.camera} --day {day}"'
        )
    names = TABLES["segments"].schema.names
    rows = pa.concat_tables(workspace.store.read_table(path, names) for path in paths["segments"])
    events = [row for path in paths["events"] for row in workspace.store.read_table(path).to_pylist()]
    return measured_day(place, in_order(rows), events, workspace.settings)


def in_order(rows: pa.Table) -> pa.Table:
    """Rows of `segments` in order of true time, then of recording."""
    return rows.sort_by([("taken_at", "ascending"), ("recording_id", "ascending")])


def event_spans(
    rows: Sequence[Mapping[str, Any]], settings: Settings, recordings: Sequence[str]
) -> tuple[EventSpan, ...]:
    """Rows of `events` in order of priority: alarms first, then by rank, then novelty before alarm classes before retrieval
    heads, then by time.

    Args:
        rows: of `events`.
        settings: which heads are alarm classes.
        recordings: hash of each recording's content, by its number; an event found in none of them is of no recording.
    """
    alarms = {alarm.name for alarm in settings.alarms}
    numbers = {name: number for number, name in enumerate(recordings)}

    def priority(row: Mapping[str, Any]) -> tuple[Any, ...]:
        kind = 0 if row["head"] == settings.novelty.name else 1 if row["head"] in alarms else 2
        return not row["alarm"], row["rank"], kind, row["started_at"], row["head"], row["event_id"]

    return tuple(
        EventSpan(
            name=f"{row['head']} {row['rank']}",
            event_id=row["event_id"],
            from_us=_microseconds(row["started_at"]),
            to_us=_microseconds(row["ended_at"]),
            peak_us=_microseconds(row["peak_at"]),
            recording=numbers.get(row["recording_id"]),
        )
        for row in sorted(rows, key=priority)
    )


def measured_day(place: Place, rows: pa.Table, events: Sequence[Mapping[str, Any]], settings: Settings) -> MeasuredDay:
    """A camera's day of its rows.

    Args:
        place: which day.
        rows: S of `segments`, in order of true time, then of recording; see `in_order`. Its number is a segment's row.
        events: rows of `events`, in any order.
        settings: which heads are alarm classes.
    """
    at_us = rows["taken_at"].cast(pa.int64()).to_numpy()
    from_us, to_us = (rows[name].to_numpy() for name in ("from_us", "to_us"))
    owners = rows["recording_id"].to_pylist()
    recordings = tuple(dict.fromkeys(owners))
    numbers = {name: number for number, name in enumerate(recordings)}
    owner = np.array([numbers[name] for name in owners], dtype=np.int64)
    starts_us = np.zeros(len(recordings), dtype=np.int64)
    starts_us[owner] = at_us - from_us
    looks = rows[LOOK].combine_chunks()
    return MeasuredDay(
        place=place,
        segments=Segments(
            recording=owner,
            index=rows["segment"].to_numpy().astype(np.int64),
            from_us=at_us,
            to_us=at_us + (to_us - from_us),
            begins_at=np.array(rows["begins_at"].to_pylist(), dtype=np.str_),
        ),
        recordings=recordings,
        starts_us=starts_us,
        columns=Columns(**{name: rows[name].to_numpy().astype(np.float64) for name in COLUMNS}),
        clear=np.asarray(rows["keyframe_us"].is_valid()),
        looks=looks.flatten().to_numpy(zero_copy_only=False).reshape(len(looks), LOOK_VALUES).astype(np.float32),
        probability=rows["probability"].to_numpy().astype(np.float64),
        events=event_spans(events, settings, recordings),
    )


def rank_day(day: MeasuredDay, weights: Weights, budget_s: float, similarity_limit: float) -> RankedDay:
    """Choose a summary: by the weights and of the length that are set a night's, by others one chosen anew.

    Raises:
        ConfigurationError: the length or the limit is out of its range.
    """
    scores = combine(day.columns, weights)
    selection = select_segments(
        day.segments.durations_us,
        day.segments.from_us,
        scores,
        clear=day.clear,
        wanted=wanted_of(day.segments, scores, day.events),
        budget_s=budget_s,
        looks=day.looks,
        maximum_cosine=similarity_limit,
    )
    return RankedDay(scores, selection)


def moment_of(day: MeasuredDay, row: int) -> datetime:
    """True time of a segment's begin."""
    return EPOCH + timedelta(microseconds=int(day.segments.from_us[row]))


def difference(day: MeasuredDay, ranked: RankedDay, shown: Collection[ShownSegment]) -> Difference:
    """What a selection shows that is not published, and the other way round."""
    chosen = {day.span(row): row for row in ranked.selection.indices}
    published = {segment.span for segment in shown}
    gained = tuple(row for span, row in chosen.items() if span not in published)
    return Difference(gained, tuple(segment for segment in shown if segment.span not in chosen))


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)
