"""Retrieve: apply the heads in service to a camera's day, and make events of what they find relevant.

A head is not applied where its camera does not look where it did when the head was trained: still by still, what was
recorded under a moved view has no scores, and the receipt says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task

from lake.schema import TABLES
from lake.vectors import Embeddings, read_embeddings
from models.events import Event, EventRule, find_events, speaks_until
from models.heads.retrieval import RetrievalHead, Sigmoid, retrieval_head
from tasks.applied import apply_steps
from tasks.heads import KIND, STEP, SUSPENDED
from tasks.health import displacements
from tasks.limits import going_on
from tasks.moved_view import moved_message, outside_moved_view
from tasks.plan import DayPlan
from tasks.receipts import Receipt
from tasks.rows import event_row, score_rows, write_rows
from tasks.step_plans import DaySteps, HeadPlan, Reference
from workspace.opened import Workspace


@task(task_run_name="retrieve {label}", persist_result=False)
def retrieve(root: str, label: str, days: Sequence[tuple[DayPlan, DaySteps]]) -> list[Receipt]:
    """Apply the heads of one camera to its days."""
    workspace = Workspace(root)
    return [receipt for day, steps in going_on(workspace, days) for receipt in retrieve_day(workspace, day, steps)]


def retrieve_day(workspace: Workspace, day: DayPlan, steps: DaySteps) -> list[Receipt]:
    """The task's work for one day, without an orchestrator; what exists is not made again."""
    todo = ((plan.step, partial(_apply, workspace, day, steps, plan)) for plan in steps.heads)
    return apply_steps(day, STEP, steps.retired, todo)


@dataclass(frozen=True, eq=False)
class _Serving:
    """A head out of the registry."""

    use_case: str
    region: str
    head: RetrievalHead
    calibration: Sigmoid | None
    rule: EventRule
    reference: NDArray[np.uint8] | None


def _apply(workspace: Workspace, day: DayPlan, steps: DaySteps, plan: HeadPlan) -> tuple[int, str]:
    """Write scores and events of one head; returns the rows of scores, and what there is to know."""
    scores, rows, message = score_head(workspace, day, steps.references, plan)
    # Events first: scores that are there mean that the step is done.
    write_rows(workspace.store, plan.step.outputs[1], "events", day.place, rows)
    workspace.store.write_table(plan.step.outputs[0], scores)
    return scores.num_rows, message


def score_head(
    workspace: Workspace, day: DayPlan, references: Sequence[Reference], plan: HeadPlan
) -> tuple[pa.Table, list[dict[str, Any]], str]:
    """Scores and rows of events that a head makes of a day, and what there is to know; nothing is written."""
    scores, message = TABLES["scores"].schema.empty_table(), ""
    rows: list[dict[str, Any]] = []
    if plan.suspended:
        message = f"{SUSPENDED}: {plan.suspended}"
    else:
        serving = _load(workspace, plan)
        displaced = displacements(workspace, day, references, serving.reference)
        snippets = outside_moved_view(read_embeddings(workspace.store, plan.snippets), displaced)
        since = "the head was trained; draw the region again and train it there"
        message = moved_message(workspace, displaced, since=since)
        if len(snippets):
            scores, rows = _score(day, plan, serving, snippets, workspace.settings.reach_s)
    return scores, rows, message


def _load(workspace: Workspace, plan: HeadPlan) -> _Serving:
    card, arrays = workspace.registry.load(KIND, plan.name, plan.version)
    parts: dict[str, dict[str, NDArray[Any]]] = {"head": {}, "calibration": {}}
    for name, value in arrays.items():
        part, dot, key = name.partition(".")
        if dot and part in parts:
            parts[part][key] = value
    calibration = Sigmoid.from_arrays(parts["calibration"]) if parts["calibration"] else None
    return _Serving(
        card["use_case"]["name"],
        card["use_case"]["region"],
        retrieval_head(card["kind"], parts["head"]),
        calibration,
        EventRule(**card["rule"]),
        arrays.get("reference"),
    )


def _score(
    day: DayPlan, plan: HeadPlan, serving: _Serving, snippets: Embeddings, reach_s: float
) -> tuple[pa.Table, list[dict[str, Any]]]:
    margins = serving.head.score(snippets.vectors)
    calibration = serving.calibration
    told: dict[str, Any] = {
        "score": margins,
        "probability": [None] * len(margins) if calibration is None else calibration.probability(margins),
        "normalised": [None] * len(margins),
        "flagged": margins > serving.rule.threshold,
    }
    named = (serving.use_case, plan.version, serving.region)
    until_us = speaks_until(snippets.from_us, snippets.to_us, round(reach_s * 1e6))
    events = find_events(snippets.from_us, until_us, margins, serving.rule)
    ranked: list[Event] = sorted(events, key=lambda event: (-event.peak_score, event.from_us))
    rows = [
        {
            **event_row(day.place, snippets, *named, event, serving.rule.threshold),
            "rank": rank,
            "alarm": False,
            "deviations": None,
        }
        for rank, event in enumerate(ranked, start=1)
    ]
    return score_rows(day.place, snippets, *named, told), rows
