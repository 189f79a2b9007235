"""What a summary by other weights would show and what it would not any more, with pictures decoded when they are shown."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.app_pages.moment_media import moment_pictures
from dashboards.app_pages.shared import Workspace, facts
from dashboards.app_pages.summaries_cards import Card, show_cards
from dashboards.app_pages.summaries_data import CameraDay, context_of
from dashboards.app_pages.summaries_watch import day_clock
from dashboards.summary_charts import COLUMN_COLOURS, legend_html, summary_timeline
from dashboards.summary_queries import keyframes, recording_paths
from dashboards.summary_rows import chosen_segments, day_line, numbered, spans_of
from dashboards.wording import clock_text, count_text, day_text, duration_text
from footage.regions import WHOLE
from lake.keys import Place
from models.summary.scores import Weights
from workspace.opened import Workspace as Opened
from workspace.published_summaries import SCORE, ShownSegment
from workspace.summaries import Difference, MeasuredDay, RankedDay, difference, moment_of, rank_day

SHOWN = 6
"""Pictures of what comes in, and of what goes out; more stand in the chart and the list."""
LISTED = 100
STILL_WIDTH = 320


@dataclass(frozen=True, eq=False)
class Change:
    """A camera's day by other weights, against what is published of it."""

    day: MeasuredDay
    published: CameraDay
    ranked: RankedDay
    against: Difference

    @property
    def kept(self) -> int:
        """Published segments that stay."""
        return len(self.published.segments) - len(self.against.lost)

    @cached_property
    def reasons(self) -> dict[int, str]:
        """Why each segment of the selection is in, by row."""
        return {choice.index: choice.reason for choice in self.ranked.selection.choices}

    def order(self, row: int) -> tuple[bool, float]:
        """Of a segment of the selection among those of all cameras: events first, then by score."""
        return self.reasons[row] == SCORE, -float(self.ranked.scores[row])


def compared(day: MeasuredDay, published: CameraDay, weights: Weights, budget_s: float, limit: float) -> Change:
    """Choose a camera's summary anew, as a night would."""
    ranked = rank_day(day, weights, budget_s, limit)
    return Change(day, published, ranked, difference(day, ranked, published.segments))


def show_changes(
    shown: Workspace, work: Opened, changes: Mapping[Place, Change], tried: Weights, label: str, *, several: bool
) -> None:
    """What comes in and what goes out, in figures, over the day, and in pictures.

    Args:
        shown, work: the workspace.
        changes: at least one.
        tried, label: the weights, and what they are called.
        several: whether cameras are looked at together; else there is one.
    """
    gained = sum(len(change.against.gained) for change in changes.values())
    lost = sum(len(change.against.lost) for change in changes.values())
    omitted = [
        f"{place.camera} {event.name}" for place, change in changes.items() for event in change.ranked.selection.omitted
    ]
    length_s = sum(change.ranked.selection.duration_us for change in changes.values()) / 1e6
    facts(
        ("Length", duration_text(length_s), "Of the summary by these weights"),
        ("Comes in", str(gained), "Segments that are not in the published summary"),
        ("Goes out", str(lost), "Segments of the published summary that would not be shown"),
        ("Stays", str(sum(change.kept for change in changes.values())), "Segments of both"),
        ("Events left out", str(len(omitted)), ", ".join(omitted[:20]) or "Every event would be shown"),
    )
    if not any(change.published.segments for change in changes.values()):
        st.caption("Nothing is published to compare it with: all of it comes in.")
    if several:
        _many(shown, work, changes, tried, label)
    else:
        ((place, change),) = changes.items()
        _one(shown, work, place, change, tried, label)


# One camera: over the day, and in pictures.


def _one(shown: Workspace, work: Opened, place: Place, change: Change, tried: Weights, label: str) -> None:
    context = context_of(shown, work, place)
    segments = _proposed(shown, {place: (change, list(change.reasons))})[place]
    came = [segments[row] for row in change.against.gained]
    marks = [(one, "in") for one in came] + [(one, "out") for one in change.against.lost]
    marks += [(one, "stays") for row, one in segments.items() if row not in set(change.against.gained)]
    data = day_line(change.day, change.ranked.scores, context.events, context.verdicts, marks)
    st.markdown(legend_html([kind for _, kind in marks], list(data.truths["verdict"])), unsafe_allow_html=True)
    st.altair_chart(
        summary_timeline(data, day_clock(shown, change.day)),
        width="stretch",
        key="summaries_changes",
        alt=f"Scores of {place.camera} on {day_text(place.day)} by these weights, and what a summary would show",
    )
    weights = asdict(tried)
    left, right = st.columns(2, gap="medium")
    with left:
        cards = [_gained_card(work, place, one, weights, label) for one in _strongest(came)]
        _side(shown, "Comes in", "in", cards, len(came))
    with right:
        lost = _strongest(change.against.lost)
        cards = [_lost_card(change.published, one) for one in lost]
        _side(shown, "Goes out", "out", cards, len(change.against.lost))


def _strongest(segments: Sequence[ShownSegment]) -> list[ShownSegment]:
    """The few that are shown: events first, then by score; in order of time."""
    ordered = sorted(segments, key=lambda one: (one.reason == SCORE, -one.score, one.taken_at))
    return numbered(ordered[:SHOWN])


def _side(shown: Workspace, title: str, what: str, cards: Sequence[Card], count: int) -> None:
    st.markdown(f"### {title} :small[:gray[{count_text(count, 'segment')}]]")
    show_cards(shown, cards, 3, what)
    if count > len(cards):
        st.caption(f"The {len(cards)} strongest of {count:,}; the chart marks all of them.")


def _proposed(
    shown: Workspace, wanted: Mapping[Place, tuple[Change, Sequence[int]]]
) -> dict[Place, dict[int, ShownSegment]]:
    """What selections would show, by camera's day and row; `wanted` rows are looked up, for their pictures and files."""
    spans = [span for change, rows in wanted.values() for span in spans_of(change.day, rows)]
    if not spans:
        return {place: {} for place in wanted}
    paths = recording_paths(shown.lake, {recording_id for recording_id, _ in spans})
    stills_us = keyframes(shown.lake, wanted.keys(), spans)
    return {
        place: chosen_segments(change.day, change.ranked, paths, stills_us) for place, (change, _) in wanted.items()
    }


def _gained_card(work: Opened, place: Place, segment: ShownSegment, weights: Mapping[str, float], label: str) -> Card:
    return Card(place, segment, weights, label, lambda: _still(work, place, segment))


def _lost_card(published: CameraDay, segment: ShownSegment) -> Card:
    return Card(published.place, segment, published.weights, published.label, lambda: published.picture(segment))


def _still(work: Opened, place: Place, segment: ShownSegment) -> bytes | None:
    """Decoded from the recording; none where every picture of the segment is black or blurred, or the footage is gone."""
    at_us = segment.told["keyframe_us"]
    if at_us is None:
        return None
    pictures, _ = moment_pictures(work, place.camera, WHOLE.name, segment.recording_id, (at_us,), STILL_WIDTH)
    return pictures[0] if pictures else None


# All cameras of a day: a row for each, and what is strongest of all.


def _many(shown: Workspace, work: Opened, changes: Mapping[Place, Change], tried: Weights, label: str) -> None:
    left, right = st.columns([3, 5], gap="medium")
    with left:
        st.markdown("### By camera")
        _by_camera(changes)
    with right:
        st.markdown("### Ranked over cameras", help="Segments that show an event first, then by score.")
        _ranking(shown, changes)
    found = [(row, place) for place, change in changes.items() for row in change.against.gained]
    found.sort(key=lambda one: (*changes[one[1]].order(one[0]), one[1], one[0]))
    strongest = found[:SHOWN]
    weights = asdict(tried)
    rows: dict[Place, list[int]] = {}
    for row, place in strongest:
        rows.setdefault(place, []).append(row)
    segments = _proposed(shown, {place: (changes[place], mine) for place, mine in rows.items()})
    cards = [
        replace(_gained_card(work, place, segments[place][row], weights, label), camera=True)
        for row, place in strongest
    ]
    st.markdown(f"### Comes in :small[:gray[{count_text(len(found), 'segment')}, the strongest first]]")
    show_cards(shown, cards, SHOWN, "in")
    if len(found) > len(cards):
        st.caption(f"The {len(cards)} strongest of {len(found):,}. Choose a camera above to see all of its own.")


def _by_camera(changes: Mapping[Place, Change]) -> None:
    table = pd.DataFrame(
        [
            {
                "camera": place.camera,
                "comes in": len(change.against.gained),
                "goes out": len(change.against.lost),
                "stays": change.kept,
                "seconds": change.ranked.selection.duration_us / 1e6,
                "events left out": len(change.ranked.selection.omitted),
            }
            for place, change in changes.items()
        ]
    )
    st.dataframe(table, hide_index=True, height=min(400, 40 + 35 * len(table)))


def _ranking(shown: Workspace, changes: Mapping[Place, Change]) -> None:
    found = [(place, row) for place, change in changes.items() for row in change.reasons]
    found.sort(key=lambda one: (*changes[one[0]].order(one[1]), *one))
    gained = {place: set(change.against.gained) for place, change in changes.items()}
    table = pd.DataFrame([_row(shown, changes[place], row, new=row in gained[place]) for place, row in found[:LISTED]])
    bars: dict[str, Any] = {
        name: st.column_config.ProgressColumn(name, min_value=0, max_value=1, format="%.2f")
        for name in ("score", *COLUMN_COLOURS)
    }
    st.dataframe(table, hide_index=True, height=min(400, 40 + 35 * len(table)), column_config=bars)
    if len(found) > LISTED:
        st.caption(f"The {LISTED} first of {len(found):,}.")


def _row(shown: Workspace, change: Change, row: int, *, new: bool) -> dict[str, Any]:
    return {
        "": "▲ in" if new else "",
        "camera": change.published.place.camera,
        "time": clock_text(moment_of(change.day, row), shown.zone),
        "shown for": change.reasons[row],
        "score": float(change.ranked.scores[row]),
        **{name: float(getattr(change.day.columns, name)[row]) for name in COLUMN_COLOURS},
    }
