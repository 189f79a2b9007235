"""Summarise: choose what the summary of a camera's day shows, by the weights in use, within the budget."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from prefect import task

from infra.errors import LakeError
from lake.store import rows_of
from models.summary.scores import Column
from models.summary.selection import Selection
from tasks.limits import going_on
from tasks.plan import DayPlan, Recording
from tasks.receipts import Receipt, reason_of
from tasks.rows import place_columns
from tasks.step_plans import DaySteps
from tasks.summary_steps import (
    left_out_of_summary,
    standing_applied,
    standing_segment,
    standing_summarise,
    told_again,
)
from workspace.opened import Workspace
from workspace.summaries import MeasuredDay, in_order, measured_day, rank_day

KEPT = ("recording_id", "segment", "from_us", "to_us", "taken_at")
"""Columns of `summaries` that a segment brings along."""
MOST_TOLD = 10
"""Events without room, and likewise without a segment, that a message names."""


@task(task_run_name="summarise {label}", persist_result=False)
def summarise(root: str, label: str, days: Sequence[tuple[DayPlan, DaySteps]]) -> list[Receipt]:
    """Summarise the days of one camera."""
    workspace = Workspace(root)
    return [summarise_day(workspace, day, steps) for day, steps in going_on(workspace, days)]


def summarise_day(workspace: Workspace, day: DayPlan, steps: DaySteps) -> Receipt:
    """The task's work for one day, without an orchestrator.

    Heads and alarms that failed have no events here; what is made then is another step than the full one, which is left to
    the next night.
    """
    step, began = standing_summarise(workspace.store, steps), time.perf_counter()
    left_out = left_out_of_summary(workspace.store, steps)
    status, rows = "skipped", 0
    if step.exists:
        message = told_again(workspace, day.place, step, steps.summarise, left_out)
    else:
        try:
            segments = read_segments(workspace, steps)
            selection, scores = select(workspace, steps, segments)
            chosen = _rows(steps, segments, selection, scores)
            workspace.store.write_table(step.outputs[0], chosen)
            status, rows = "done", chosen.num_rows
            message = "; ".join(filter(None, (left_out, _not_shown(selection))))
        except Exception as error:  # noqa: BLE001 — one day must not stop the camera's others: it is reported, and tried again
            status, message = "failed", reason_of(error)
    outputs = step.outputs if status != "failed" else ()
    seconds = time.perf_counter() - began
    return Receipt(
        day.place, step.name, step.scope, step.key, status, outputs, step.inputs, rows, seconds, 0.0, message
    )


def select_day(workspace: Workspace, day: DayPlan, steps: DaySteps, segments: pa.Table | None = None) -> pa.Table:
    """The rows of `summaries` of a day: the same whenever they are asked for.

    Args:
        workspace: the site.
        day: whose summary it is.
        steps: of it; what is there of them counts.
        segments: rows of `segments`, in any order; None: those of the lake.
    """
    if day.place != steps.place:
        raise ValueError(f"the steps are those of {steps.place}, not of {day.place}")
    segments = read_segments(workspace, steps) if segments is None else in_order(segments)
    return _rows(steps, segments, *select(workspace, steps, segments))


def read_segments(workspace: Workspace, steps: DaySteps) -> pa.Table:
    """The rows of `segments` that a day's summary is chosen among, in order of true time, then of recording.

    Raises:
        LakeError: there are none, since the step failed.
    """
    (path,) = standing_segment(workspace.store, steps).outputs
    if not workspace.store.exists(path):
        raise LakeError("the day has no segments to choose among; the next night makes them")
    return in_order(workspace.store.read_table(path))


def read_day(workspace: Workspace, steps: DaySteps, segments: pa.Table) -> MeasuredDay:
    """A day's segments with the events of all heads and alarms whose files are there.

    Args:
        workspace: the site.
        steps: of the day.
        segments: S rows of `segments`, in the order of `read_segments`.
    """
    found_by = (steps.score, *standing_applied(workspace.store, steps))
    events = [row for step in found_by for row in workspace.store.read_table(step.outputs[1]).to_pylist()]
    return measured_day(steps.place, segments, events, workspace.settings)


def select(workspace: Workspace, steps: DaySteps, segments: pa.Table) -> tuple[Selection, Column]:
    """The summary, and the score of each segment, float64 (S,), by the weights in use.

    Args:
        workspace: the site.
        steps: of the day.
        segments: S rows of `segments`, in the order of `read_segments`.
    """
    summary = workspace.settings.summary
    day = read_day(workspace, steps, segments)
    ranked = rank_day(day, steps.summary.weights.weights, summary.budget_s, summary.similarity_limit)
    return ranked.selection, ranked.scores


def recordings_of_day(day: DayPlan) -> list[Recording]:
    """The day's recordings, in order of start."""
    return list({shard.recording.path: shard.recording for shard in day.shards}.values())


def _rows(steps: DaySteps, segments: pa.Table, selection: Selection, scores: Column) -> pa.Table:
    rows = np.array(selection.indices, dtype=np.int64)
    chosen = segments.take(rows)
    columns: dict[str, Any] = {name: chosen[name] for name in KEPT}
    return rows_of(
        "summaries",
        {
            **place_columns(steps.place),
            **columns,
            "score": scores[rows].astype(np.float32),
            "reason": [choice.reason for choice in selection.choices],
            "event_id": [choice.event_id for choice in selection.choices],
            "weights": steps.summary.weights.label,
        },
    )


def _not_shown(selection: Selection) -> str:
    """What there is to know of the events that the summary does not show."""
    without_room = [event.name for event in selection.omitted if len(event.rows)]
    without_segment = [event.name for event in selection.omitted if not len(event.rows)]
    told = [f"no room for {_named(without_room)}"] if without_room else []
    told += [f"no segment for {_named(without_segment)}"] if without_segment else []
    return "; ".join(told)


def _named(events: Sequence[str]) -> str:
    more = [f"{len(events) - MOST_TOLD} more"] if len(events) > MOST_TOLD else []
    return ", ".join([*events[:MOST_TOLD], *more])
