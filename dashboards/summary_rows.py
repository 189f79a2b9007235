"""Summaries in the words and rows of their page: why a segment is in, what a day's chart draws, what a digest holds."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboards.event_rows import Ranked
from dashboards.media import read_file
from dashboards.summary_charts import DayLine
from dashboards.summary_queries import Span
from infra.errors import LakeError
from infra.site import Site
from lake.keys import Place
from lake.weight_sets import COLUMNS
from models.summary.selection import Choice
from workspace.published_summaries import (
    ENTRIES,
    SCORE,
    UNREADABLE,
    ShownSegment,
    main_part,
    number_told,
    shown_segment,
)
from workspace.summaries import MeasuredDay, RankedDay, moment_of

PARTS: Mapping[str, str] = {
    "anomaly": "how unusual it is",
    "memorability": "how unlike the usual picture it looks",
    "entropy": "how much there is to see",
    "dynamics": "how much moves",
}
"""What the columns of a score mean, in words."""


@dataclass(frozen=True)
class DigestEntry:
    """A segment of a digest: whose it is, and what; its `at_s` is its place in the digest."""

    place: Place
    segment: ShownSegment


@dataclass(frozen=True)
class Digest:
    """The published digest of a campaign's day.

    Attributes:
        folder: where it lies.
        partial: whether something was lacking when it was made.
        video, contact: files, relative to the folder; empty where there are none.
        duration_s: of the video.
        entries: in order of time.
        left_out: cameras whose summary could not be shown, and why.
        omitted: events that it has no room for, as camera and name.
    """

    folder: Path
    partial: bool
    video: str
    contact: str
    duration_s: float
    entries: tuple[DigestEntry, ...]
    left_out: tuple[tuple[str, str], ...]
    omitted: tuple[tuple[str, str], ...]


def digest_folder(site: Site, campaign: str, day: date) -> Path:
    """Where the digest of a campaign's day is published."""
    return site.digests_folder / campaign / day.isoformat()


def read_digest(site: Site, campaign: str, day: date) -> Digest | None:
    """The published digest of a campaign's day; None where there is none.

    Raises:
        LakeError: there is one, but it cannot be understood.
    """
    folder = digest_folder(site, campaign, day)
    if not folder.resolve().is_relative_to(site.digests_folder.resolve()):
        return None
    content = read_file(folder, ENTRIES)
    if content is None:
        return None
    try:
        told = json.loads(content)
        return Digest(
            folder=folder,
            partial=bool(told.get("partial", False)),
            video=str(told.get("video") or ""),
            contact=str(told.get("contact") or ""),
            duration_s=number_told(told, "duration_s", least=0.0) or 0.0,
            entries=tuple(_digest_entry(number, row, campaign, day) for number, row in enumerate(told["entries"], 1)),
            left_out=tuple((str(row["camera"]), str(row["reason"])) for row in told.get("left_out") or ()),
            omitted=tuple((str(row["camera"]), str(row["name"])) for row in told.get("omitted") or ()),
        )
    except UNREADABLE as error:
        raise LakeError(
            f"{folder / ENTRIES} cannot be read ({type(error).__name__}: {error}); delete the folder {day.isoformat()} and "
            f'make the digest again with "afterwatch run --campaign {campaign} --day {day.isoformat()}"'
        ) from None


def _digest_entry(number: int, row: Mapping[str, Any], campaign: str, day: date) -> DigestEntry:
    return DigestEntry(Place(campaign, str(row["camera"]), day), shown_segment(number, row))


def why_text(segment: ShownSegment, weights: Mapping[str, float]) -> str:
    """Why a segment is in: the event that it is shown for, or what makes most of its score.

    Args:
        segment: which.
        weights: by column; empty where they are not known.
    """
    if segment.reason != SCORE:
        return f"for the event {segment.reason}"
    part = main_part(segment, weights)
    if part is None:
        return "for its score"
    name, share = part
    return f"for its score, {share:.0%} of which is {PARTS[name]}"


def chosen_segments(
    day: MeasuredDay, ranked: RankedDay, paths: Mapping[str, str], stills_us: Mapping[Span, int]
) -> dict[int, ShownSegment]:
    """What a selection would show, by row of the day, in order of time; nothing of it is published.

    Args:
        day: the measured segments.
        ranked: the selection.
        paths: of recordings, by content.
        stills_us: time of the picture that stands for a segment; of a segment that is absent, all are black or blurred.
    """
    return {
        choice.index: _chosen(day, ranked, choice, number, paths, stills_us)
        for number, choice in enumerate(ranked.selection.choices, start=1)
    }


def spans_of(day: MeasuredDay, rows: Iterable[int]) -> list[Span]:
    """Some segments of a day, by recording and begin in it."""
    return [day.span(row)[:2] for row in rows]


def _chosen(
    day: MeasuredDay,
    ranked: RankedDay,
    choice: Choice,
    number: int,
    paths: Mapping[str, str],
    stills_us: Mapping[Span, int],
) -> ShownSegment:
    recording_id, from_us, to_us = day.span(choice.index)
    probability = float(day.probability[choice.index])
    taken_at, score = moment_of(day, choice.index), float(ranked.scores[choice.index])
    columns = {name: float(getattr(day.columns, name)[choice.index]) for name in COLUMNS}
    known = probability if np.isfinite(probability) else None
    recording = paths.get(recording_id, "")
    told = {
        "recording": recording,
        "recording_id": recording_id,
        "from_us": from_us,
        "to_us": to_us,
        "taken_at": taken_at.isoformat(),
        "score": score,
        **columns,
        "reason": choice.reason,
        "event_id": choice.event_id,
        "probability": known,
        "keyframe_us": stills_us.get((recording_id, from_us)),
    }
    return ShownSegment(
        number=number,
        recording=recording,
        recording_id=recording_id,
        from_us=from_us,
        to_us=to_us,
        taken_at=taken_at,
        at_s=0.0,
        score=score,
        columns=columns,
        reason=choice.reason,
        event_id=choice.event_id,
        probability=known,
        keyframe="",
        told=told,
    )


def day_line(
    day: MeasuredDay,
    scores: NDArray[np.float64],
    events: Sequence[Ranked],
    verdicts: Mapping[str, str],
    marks: Iterable[tuple[ShownSegment, str]],
) -> DayLine:
    """What the timeline of a camera's day draws.

    Args:
        day: the measured segments.
        scores: float64 (S,), theirs.
        events: of all heads.
        verdicts: by event id, `confirmed` or `dismissed`; those that nobody judged are absent.
        marks: segments and how each is marked.
    """
    curve = pd.DataFrame(
        {
            "taken_at": pd.to_datetime(day.segments.from_us, unit="us", utc=True),
            "seconds": day.segments.durations_us / 1e6,
            "score": scores,
            "probability": day.probability,
        }
    )
    return DayLine(curve, truth_rows(events, verdicts), mark_rows(marks))


def truth_rows(events: Sequence[Ranked], verdicts: Mapping[str, str]) -> pd.DataFrame:
    """Events as the strip of verdicts draws them."""
    return pd.DataFrame(
        {
            "started_at": pd.to_datetime([one.event.started_at for one in events], utc=True),
            "ended_at": pd.to_datetime([one.event.ended_at for one in events], utc=True),
            "verdict": [verdicts.get(one.event_id, "not judged") for one in events],
            "told": [f"{one.event.head} {one.event.rank}" for one in events],
        }
    )


def mark_rows(marks: Iterable[tuple[ShownSegment, str]]) -> pd.DataFrame:
    """Segments as the timeline marks them."""
    listed = list(marks)
    return pd.DataFrame(
        {
            "taken_at": pd.to_datetime([segment.taken_at for segment, _ in listed], utc=True),
            "seconds": [(segment.to_us - segment.from_us) / 1e6 for segment, _ in listed],
            "segment": [segment.number for segment, _ in listed],
            "kind": [kind for _, kind in listed],
            "told": [f"{segment.reason} {segment.score:.2f}" for segment, _ in listed],
        }
    )


def numbered(segments: Iterable[ShownSegment]) -> list[ShownSegment]:
    """Segments in order of time, numbered from 1."""
    ordered = sorted(segments, key=lambda segment: (segment.taken_at, segment.recording_id, segment.from_us))
    return [replace(segment, number=number) for number, segment in enumerate(ordered, start=1)]
