"""Retrieve: apply the heads in service to a camera's day, and make events of what they find relevant.

A head is not applied where its camera does not look where it did when the head was trained: still by still, what was
recorded under a moved view has no scores, and the receipt says so.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task

from footage.health import is_moved
from lake.schema import TABLES
from lake.vectors import Embeddings, read_embeddings
from models.events import Event, EventRule, find_events, speaks_until
from models.heads.retrieval import RetrievalHead, Sigmoid, retrieval_head
from tasks.heads import KIND, STEP, SUSPENDED, SUSPENDED_FOR
from tasks.health import Displaced, displacements
from tasks.plan import DayPlan, DaySteps, HeadPlan
from tasks.receipts import Receipt, reason_of
from tasks.rows import event_row, score_rows, write_rows
from workspace.opened import Workspace


@task(task_run_name="retrieve {label}", persist_result=False)
def retrieve(root: str, label: str, days: Sequence[tuple[DayPlan, DaySteps]]) -> list[Receipt]:
    """Apply the heads of one camera to its days."""
    workspace = Workspace(root)
    return [receipt for day, steps in days for receipt in retrieve_day(workspace, day, steps)]


def retrieve_day(workspace: Workspace, day: DayPlan, steps: DaySteps) -> list[Receipt]:
    """The task's work for one day, without an orchestrator; what exists is not made again."""
    receipts = [
        Receipt(day.place, step.name, step.scope, step.key, "skipped", message=step.remark)
        for step in steps.retired
        if step.name == STEP
    ]
    for plan in steps.heads:
        step, began = plan.step, time.perf_counter()
        status, rows, message = "skipped", 0, step.remark
        if not step.exists:
            try:
                (rows, message), status = _apply(workspace, day, steps, plan), "done"
            except Exception as error:  # noqa: BLE001 — one head must not stop the others: it is reported, and tried again
                status, message = "failed", reason_of(error)
        outputs = step.outputs if status != "failed" else ()
        seconds = time.perf_counter() - began
        receipts.append(
            Receipt(
                day.place, step.name, step.scope, step.key, status, outputs, step.inputs, rows, seconds, 0.0, message
            )
        )
    return receipts


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
    scores, message = TABLES["scores"].schema.empty_table(), ""
    rows: list[dict[str, Any]] = []
    if plan.suspended:
        message = f"{SUSPENDED}: {plan.suspended}"
    else:
        serving = _load(workspace, plan)
        displaced = displacements(workspace, day, steps.references, serving.reference)
        snippets = read_embeddings(workspace.store, plan.snippets)
        snippets = snippets.take(np.flatnonzero(~_under_moved_view(snippets, displaced)))
        message = _told(workspace, displaced)
        if len(snippets):
            scores, rows = _score(day, plan, serving, snippets, workspace.settings.reach_s)
    # Events first: scores that are there mean that the step is done.
    write_rows(workspace.store, plan.step.outputs[1], "events", day.place, rows)
    workspace.store.write_table(plan.step.outputs[0], scores)
    return scores.num_rows, message


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


def _under_moved_view(snippets: Embeddings, displaced: Sequence[Displaced]) -> NDArray[np.bool_]:
    """bool (N,): which snippets reach into a still of a moved camera."""
    hidden = np.zeros(len(snippets), dtype=np.bool_)
    moved = [still for still, share in displaced if is_moved(share)]
    if not moved or not len(snippets):
        return hidden
    owners = np.asarray(snippets.rows["recording_id"].to_pylist(), dtype=object)
    begins, ends = snippets.column("from_us"), snippets.column("to_us")
    for still in moved:
        hidden |= (owners == still.recording_id) & (begins < still.to_us) & (ends > still.from_us)
    return hidden


def _told(workspace: Workspace, displaced: Sequence[Displaced]) -> str:
    moved = sorted(
        ((still.taken_at, share) for still, share in displaced if share is not None and is_moved(share)),
        key=lambda item: item[0],
    )
    if not moved:
        return ""
    since, share = moved[0]
    how = "shows another view" if share >= 1 else f"has moved by {100 * share:.1f} % of the picture's width"
    return (
        f"{SUSPENDED_FOR} {len(moved)} of {len(displaced)} stills, from {since.astimezone(workspace.settings.zone):%H:%M} "
        f"on: the camera {how} since the head was trained; draw the region again and train it there"
    )
