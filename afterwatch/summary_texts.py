"""What the verbs over summaries print, for people and for programs."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from afterwatch.options import print_table
from afterwatch.summary_weights import COLUMNS, in_words

if TYPE_CHECKING:
    from lake.keys import Place
    from workspace.opened import Workspace
    from workspace.published_summaries import ShownSegment, ShownSummary
    from workspace.summaries import MeasuredDay, RankedDay
    from workspace.weight_sets import NamedWeights


def listed(place: "Place", summary: "ShownSummary | str") -> tuple[object, ...]:
    """A day's row in the list; what is wrong with its summary stands in the last column."""
    who = (place.campaign, place.camera, place.day.isoformat())
    if isinstance(summary, str):
        return (*who, "", "", "", "", "", summary)
    counts = (len(summary.segments), summary.events_shown, len(summary.omitted))
    return (*who, f"{summary.duration_s:.1f}", *counts, summary.label or "not told", "partial" * summary.partial)


def told_place(place: "Place") -> dict[str, Any]:
    """Which camera's day, for programs."""
    return {"campaign": place.campaign, "camera": place.camera, "day": place.day.isoformat()}


def told_summary(place: "Place", summary: "ShownSummary | str") -> dict[str, Any]:
    """A summary as a whole, for programs, or what is wrong with it."""
    if isinstance(summary, str):
        return {**told_place(place), "error": summary}
    return {
        **told_place(place),
        "folder": str(summary.folder),
        "video": summary.video,
        "contact": summary.contact,
        "duration_s": summary.duration_s,
        "segments": len(summary.segments),
        "events": summary.events_shown,
        "omitted": list(summary.omitted),
        "weights": {"label": summary.label, "values": dict(summary.weights)} if summary.label else None,
        "partial": summary.partial,
    }


def told_segment(segment: "ShownSegment", summary: "ShownSummary") -> dict[str, Any]:
    """A segment for programs: as `summary.json` has it, its number, and what makes most of its score."""
    from workspace.published_summaries import main_part

    part = main_part(segment, summary.weights)
    return {
        **segment.told,
        "number": segment.number,
        "main_column": part and part[0],
        "main_share": part and round(part[1], 6),
    }


def tell_head(summary: "ShownSummary") -> None:
    """Print what a summary is, and where its video lies."""
    omitted = f"; not shown: {', '.join(summary.omitted)}" if summary.omitted else ""
    typer.echo(
        f"{summary.place}: {summary.duration_s:.1f} s, {len(summary.segments)} segments, {summary.events_shown} of them "
        f"for an event{omitted}; weights {summary.label or 'not told'}" + ("; partial" if summary.partial else "")
    )
    typer.echo(str(summary.folder / summary.video) if summary.video else "there is no video: nothing is shown")


def why(segment: "ShownSegment", summary: "ShownSummary") -> str:
    """Why a segment is in its summary, in words."""
    from workspace.published_summaries import SCORE, main_part

    if segment.reason != SCORE:
        # Older publications call them event 1, event 2, …
        return f"event {segment.reason.removeprefix('event ')}" + (f" ({segment.event_id})" if segment.event_id else "")
    part = main_part(segment, summary.weights)
    return "its score" if part is None else f"its score, {part[1]:.0%} of it {part[0]}"


def ranked_rows(
    workspace: "Workspace", measured: "MeasuredDay", ranked: "RankedDay", gained: set[int]
) -> list[dict[str, Any]]:
    """What a selection would show, for programs, in order of time."""
    from workspace.known_recordings import KnownRecordings
    from workspace.summaries import moment_of

    known = KnownRecordings(workspace.ledger)
    rows = []
    for choice in ranked.selection.choices:
        recording_id, from_us, to_us = measured.span(choice.index)
        rows.append(
            {
                "change": "gained" if choice.index in gained else "kept",
                "taken_at": moment_of(measured, choice.index).isoformat(),
                "recording": known.name_of(recording_id),
                "recording_id": recording_id,
                "from_us": from_us,
                "to_us": to_us,
                "score": round(float(ranked.scores[choice.index]), 6),
                **{name: round(float(getattr(measured.columns, name)[choice.index]), 6) for name in COLUMNS},
                "reason": choice.reason,
                "event_id": choice.event_id,
            }
        )
    return rows


def lost_row(segment: "ShownSegment") -> dict[str, Any]:
    """A published segment that a selection would not show, as `ranked_rows` tells those it would."""
    return {
        "change": "lost",
        "taken_at": segment.taken_at.isoformat(),
        "recording": segment.recording,
        "recording_id": segment.recording_id,
        "from_us": segment.from_us,
        "to_us": segment.to_us,
        "score": segment.score,
        **segment.columns,
        "reason": segment.reason,
        "event_id": segment.event_id,
    }


def tell_ranked(
    workspace: "Workspace",
    chosen: "NamedWeights",
    ranked: "RankedDay",
    rows: list[dict[str, Any]],
    published: "ShownSummary | None",
) -> None:
    """Print a selection, with + and − against the published summary."""
    signs = {"gained": "+", "lost": "−", "kept": ""}
    counts = {change: sum(row["change"] == change for row in rows) for change in signs}
    against = (
        f"against the published one {counts['gained']} gained, {counts['lost']} lost"
        if published
        else "nothing is published to compare it with"
    )
    left = {
        words: [wanted.name for wanted in ranked.selection.omitted if bool(len(wanted.rows)) == has_rows]
        for words, has_rows in (("no room for", True), ("no segment for", False))
    }
    typer.echo(
        f"weights {in_words(chosen)}: {ranked.selection.duration_us / 1e6:.1f} s, "
        f"{len(ranked.selection.choices)} segments; {against}"
        + "".join(f"; {words} {', '.join(names)}" for words, names in left.items() if names)
    )
    zone = workspace.settings.zone
    print_table(
        ("", "begins", "seconds", "recording", "from_s", "score", *COLUMNS, "reason"),
        [
            (
                signs[row["change"]],
                f"{datetime.fromisoformat(row['taken_at']).astimezone(zone):%H:%M:%S}",
                (row["to_us"] - row["from_us"]) / 1e6,
                row["recording"],
                row["from_us"] / 1e6,
                f"{row['score']:.3f}",
                *(f"{row[name]:.2f}" for name in COLUMNS),
                row["reason"],
            )
            for row in rows
        ],
    )
