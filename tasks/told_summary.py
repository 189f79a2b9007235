"""What the `summary.json` of a camera's day says, from the lake's rows and what is shown; its files' hashes come to it."""

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from footage.regions import WHOLE
from lake.store import Store
from tasks.plan import FRAMES_SCOPE, DayPlan, Recording
from tasks.segment_sheets import CONTACT, FIGURE, best_of
from tasks.shown_pictures import SUMMARY
from tasks.shown_segments import SampledPictures, told_entry
from tasks.step_plans import DaySteps
from tasks.summarise import select
from tasks.summary_steps import standing_applied, standing_segment, standing_summarise
from workspace.opened import Workspace

Row = dict[str, Any]


def told_summary(
    workspace: Workspace,
    day: DayPlan,
    steps: DaySteps,
    segments: pa.Table,
    entries: Sequence[Row],
    events: Sequence[Row],
    gone: Sequence[Recording],
) -> Row:
    """Everything that `summary.json` says but `made`, which tells of the files.

    Args:
        workspace: the site.
        day: as it is embedded.
        steps: of it.
        segments: rows of `segments`, in the order of `tasks.summarise.read_segments`.
        entries: what the summary shows, as `entries_of` gives it; `still` is empty where there is no such picture.
        events: of the day, as they are told.
        gone: recordings that are gone, and that something is not shown of.
    """
    place, weights = day.place, steps.summary.weights
    pictures = SampledPictures(workspace.store, day)
    selection, _ = select(workspace, steps, segments)
    lacking = lacking_of(workspace.store, steps)
    stands_in = standing_summarise(workspace.store, steps).key != steps.summarise.key
    sheets = bool(best_of(entries, workspace.settings.summary.keyframes))
    return {
        "key": steps.publish.key,
        "campaign": place.campaign,
        "camera": place.camera,
        "day": place.day.isoformat(),
        "partial": bool(lacking or gone) or stands_in or _is_partial(workspace, day, steps),
        "lacking": list(lacking),
        "gone": [{"recording": item.path, "recording_id": item.recording_id} for item in gone],
        "video": SUMMARY if entries else "",
        "contact": CONTACT if sheets else "",
        "figure": FIGURE if sheets else "",
        "duration_s": sum(entry["to_us"] - entry["from_us"] for entry in entries) / 1e6,
        "weights": {"label": weights.label, "values": asdict(weights.weights)},
        "entries": [told_entry(entry, pictures) for entry in entries],
        "omitted": [{"name": event.name, "event_id": event.event_id} for event in selection.omitted],
        "events": list(events),
        "versions": _versions(workspace, steps),
    }


def gone_of(
    recordings: Sequence[Recording], chosen: Sequence[Row], entries: Sequence[Row], events: Sequence[Row]
) -> list[Recording]:
    """Recordings that are gone, and of which a segment, its still or an event is not shown.

    Args:
        recordings: of the day.
        chosen: rows of `summaries`.
        entries: what of them the summary shows.
        events: of the day, as they are told.
    """
    shown = {(entry["recording_id"], entry["segment"]) for entry in entries}
    lost = {row["recording_id"] for row in chosen if (row["recording_id"], row["segment"]) not in shown}
    lost |= {entry["recording_id"] for entry in entries if entry["keyframe_us"] is not None and not entry["still"]}
    lost |= {event["recording_id"] for event in events if not event["clip"]}
    return [item for item in recordings if item.recording_id in lost and not item.there]


def lacking_of(store: Store, steps: DaySteps) -> tuple[str, ...]:
    """Names of the heads and alarms whose step did not come to its end: what they find is not known yet."""
    there = standing_applied(store, steps)
    return tuple(step.scope for step in (*steps.retrieves, *steps.classifies) if step not in there)


def _versions(workspace: Workspace, steps: DaySteps) -> Row:
    store, encoders = workspace.store, workspace.encoders
    return {
        "afterwatch": version("afterwatch"),
        "score": steps.score.key,
        "segment": standing_segment(store, steps).key,
        "summarise": standing_summarise(store, steps).key,
        **({"retrieve": {step.scope: step.key for step in steps.retrieves}} if steps.heads else {}),
        **({"classify": {step.scope: step.key for step in steps.classifies}} if steps.alarms else {}),
        "spaces": {encoder.table.name: encoder.spec.space for encoder in encoders},
        "weights": {encoder.table.name: encoder.spec.weights for encoder in encoders},
    }


def _is_partial(workspace: Workspace, day: DayPlan, steps: DaySteps) -> bool:
    """Whether something is lacking of what the publication is made from; its key changes when that comes."""
    settings = workspace.settings
    novelty, looks = (
        workspace.encoder(name).spec.space for name in (settings.novelty.encoder, settings.summary.encoder)
    )
    scopes = {FRAMES_SCOPE, f"{looks}/{WHOLE.name}", *(f"{novelty}/{plan.region}" for plan in steps.regions)}
    scopes |= {head.scope for head in steps.heads if not head.suspended}
    scopes |= {scope for alarm in steps.alarms for region in alarm.regions for scope in region.scopes}
    return any(not product.exists for scope in scopes for product in day.products(scope))
