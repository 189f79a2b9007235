"""Classify: apply the classes of [[alarms]] to a camera's day, and make alarms of where they are found.

A classifier reads what the night has embedded: nothing is decoded, and no network is loaded. A region that was drawn is
not judged where its camera does not look where it did then: still by still, what was recorded under a moved view has no
scores, and the receipt says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task

from footage.regions import WHOLE
from infra.errors import LakeError
from lake.schema import TABLES
from lake.vectors import Embeddings, read_embeddings
from models.events import Event, find_events
from models.heads.classifier import ClassifierHead
from models.windows import Rows, Windows, grid_windows, joined
from tasks.alarms import STEP
from tasks.applied import apply_steps
from tasks.health import Displaced, displacements
from tasks.limits import going_on
from tasks.moved_view import moved_message, outside_moved_view
from tasks.plan import DayPlan, Recording
from tasks.receipts import Receipt
from tasks.rows import MICROSECOND, event_row, score_rows, write_rows
from tasks.step_plans import AlarmPlan, AlarmRegion, DaySteps, Reference
from workspace.classifiers import find_classifier, load_head
from workspace.clip_vectors import Inputs
from workspace.indexes import load_index
from workspace.opened import Workspace

POSITION = ("recording_id", "index", "from_us", "to_us", "taken_at")
"""Columns that place a window in its recording and in true time."""


@task(task_run_name="classify {label}", persist_result=False)
def classify(root: str, label: str, days: Sequence[tuple[DayPlan, DaySteps]]) -> list[Receipt]:
    """Apply the alarms of one camera to its days."""
    workspace = Workspace(root)
    return [receipt for day, steps in going_on(workspace, days) for receipt in classify_day(workspace, day, steps)]


def classify_day(workspace: Workspace, day: DayPlan, steps: DaySteps) -> list[Receipt]:
    """The task's work for one day, without an orchestrator; what exists is not made again."""
    todo = ((plan.step, partial(_apply, workspace, day, steps, plan)) for plan in steps.alarms)
    return apply_steps(day, STEP, steps.retired, todo)


@dataclass(frozen=True, eq=False)
class Scored:
    """A region of the day, scored.

    Attributes:
        windows: in order of time.
        probabilities: float32 (N,), of the alarm's class in each window.
        threshold: above which a window counts.
        events: what is found above it.
        message: what there is to know of what could not be judged.
    """

    region: str
    windows: Embeddings
    probabilities: NDArray[np.float32]
    threshold: float
    events: list[Event]
    message: str


def _apply(workspace: Workspace, day: DayPlan, steps: DaySteps, plan: AlarmPlan) -> tuple[int, str]:
    """Write scores and events of one alarm; returns the rows of scores, and what there is to know."""
    scored, message = score_alarm(workspace, day, steps.references, plan)
    parts = [_score_rows(day, plan, item) for item in scored]
    scores = pa.concat_tables(parts) if parts else TABLES["scores"].schema.empty_table()
    # Events first: scores that are there mean that the step is done.
    write_rows(workspace.store, plan.step.outputs[1], "events", day.place, event_rows(day, plan, scored))
    workspace.store.write_table(plan.step.outputs[0], scores)
    return scores.num_rows, message


def score_alarm(
    workspace: Workspace, day: DayPlan, references: Sequence[Reference], plan: AlarmPlan
) -> tuple[list[Scored], str]:
    """What an alarm finds in a day, region by region, and what there is to know; nothing is written."""
    scored: list[Scored] = []
    messages = [plan.suspended]
    if plan.regions and plan.rule is not None:
        found = find_classifier(workspace, plan.classifier, plan.version)
        head, inputs = load_head(workspace, found), Inputs.from_card(found.card)
        drawn = [region.name for region in plan.regions if region.name != WHOLE.name]
        displaced = displacements(workspace, day, references) if drawn else []
        since = "it was drawn; draw it again on a picture of now, or put the camera back"
        messages.append(moved_message(workspace, displaced, of=f" of region {', '.join(drawn)}", since=since))
        scored = [_score(workspace, day, region, inputs, head, plan, displaced) for region in plan.regions]
        messages += [item.message for item in scored]
    return scored, "; ".join(filter(None, messages))


def _score(
    workspace: Workspace,
    day: DayPlan,
    region: AlarmRegion,
    inputs: Inputs,
    head: ClassifierHead,
    plan: AlarmPlan,
    displaced: Sequence[Displaced],
) -> Scored:
    assert plan.rule is not None  # an alarm is applied by its rule
    embedded = [read_embeddings(workspace.store, paths) for paths in region.embeddings]
    windows, left_out = _windows(workspace, day, inputs, embedded)
    message = _left_out(day, region, inputs, left_out, left_out + len(windows))
    if len(windows) and windows.vectors.shape[1] != head.dimension:
        raise LakeError(
            f"the vectors of region {region.name} have {windows.vectors.shape[1]} values, and the classifier takes "
            f"{head.dimension}; fit it again on the encoders as they are"
        )
    if region.name != WHOLE.name:
        windows = outside_moved_view(windows, displaced)
    probabilities = np.empty(0, np.float32)
    if len(windows):
        probabilities = head.probabilities(windows.vectors)[:, head.classes.index(plan.class_name)]
    events = find_events(windows.from_us, windows.to_us, probabilities, plan.rule)
    return Scored(region.name, windows, probabilities, plan.rule.threshold, events, message)


def _windows(
    workspace: Workspace, day: DayPlan, inputs: Inputs, embedded: Sequence[Embeddings]
) -> tuple[Embeddings, int]:
    """The windows of a region's day that every input has vectors of, in order of time, and how many lack some.

    Recording by recording, as in training: no window reaches over the end of one, also where two overlap.
    """
    parts: list[Embeddings] = []
    left_out = 0
    by_recording = [_by_recording(one) for one in embedded]
    nothing = [one.take(np.empty(0, np.int64)) for one in embedded]
    for recording in {shard.recording.recording_id: shard.recording for shard in day.shards}.values():
        mine = [one.get(recording.recording_id, none) for one, none in zip(by_recording, nothing, strict=True)]
        own = None if inputs.window_item is None else mine[inputs.items.index(inputs.window_item)]
        if own is None:
            extent_us = load_index(workspace.store, recording.recording_id).extent_us
            windows = grid_windows(extent_us, inputs.window_s, inputs.stride_s)
        else:
            windows = own.column("from_us"), own.column("to_us")
        left_out += len(windows[0])
        if not all(map(len, mine)):
            continue
        of_inputs = [
            (item.pooling, Rows(one.column("from_us"), one.column("to_us"), one.vectors))
            for item, one in zip(inputs.items, mine, strict=True)
        ]
        kept, vectors = joined(of_inputs, windows)
        left_out -= len(kept)
        rows = _grid_rows(mine[0], recording, windows) if own is None else own.rows.select(POSITION)
        parts.append(Embeddings(vectors, rows.take(kept)))
    filled = [part for part in parts if len(part)]
    if not filled:
        return Embeddings(np.empty((0, 0), np.float32), _position_rows([], [], [], [], [])), left_out
    vectors = np.concatenate([part.vectors for part in filled])
    whole = Embeddings(vectors, pa.concat_tables([part.rows for part in filled]))
    return whole.take(np.lexsort((whole.column("index"), whole.from_us))), left_out


def _by_recording(embeddings: Embeddings) -> dict[str, Embeddings]:
    """What is there of each recording."""
    owners = embeddings.rows["recording_id"].combine_chunks().dictionary_encode()
    codes = np.asarray(owners.indices)
    return {
        name: embeddings.take(np.flatnonzero(codes == code)) for code, name in enumerate(owners.dictionary.to_pylist())
    }


def _grid_rows(vectors: Embeddings, recording: Recording, windows: Windows) -> pa.Table:
    """Rows of windows that are nobody's snippet: each is placed by its own span, and by the first picture in it."""
    middles = (vectors.column("from_us") + vectors.column("to_us")) // 2
    first = np.minimum(np.searchsorted(middles, windows[0]), len(middles) - 1)
    taken_at = [recording.started_at + int(at) * MICROSECOND for at in windows[0]]
    return _position_rows([recording.recording_id] * len(first), vectors.column("index")[first], *windows, taken_at)


def _position_rows(
    recording_ids: Sequence[str], index: Any, from_us: Any, to_us: Any, taken_at: Sequence[datetime]
) -> pa.Table:
    schema = pa.schema([TABLES["scores"].schema.field(name) for name in POSITION])
    columns = (recording_ids, index, from_us, to_us, taken_at)
    return pa.Table.from_arrays(
        [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def _score_rows(day: DayPlan, plan: AlarmPlan, scored: Scored) -> pa.Table:
    told = {
        "score": scored.probabilities,
        "probability": scored.probabilities,
        "normalised": [None] * len(scored.windows),
        "flagged": scored.probabilities > scored.threshold,
    }
    return score_rows(day.place, scored.windows, plan.step.scope, plan.version, scored.region, told)


def event_rows(day: DayPlan, plan: AlarmPlan, scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """Every event is an alarm; the most probable is the first of the day, whatever its region."""
    found = [(item, event) for item in scored for event in item.events]
    found.sort(key=lambda one: (-one[1].peak_score, one[1].from_us, one[0].region))
    rows = []
    for rank, (item, event) in enumerate(found, start=1):
        named = (plan.step.scope, plan.version, item.region)
        told = event_row(day.place, item.windows, *named, event, item.threshold)
        rows.append({**told, "rank": rank, "alarm": True, "deviations": None})
    return rows


def _left_out(day: DayPlan, region: AlarmRegion, inputs: Inputs, left_out: int, windows: int) -> str:
    """What there is to know of what could not be judged: recordings without windows, and windows without a vector."""
    told = []
    if inputs.window_item is not None:
        scope = region.scopes[inputs.items.index(inputs.window_item)]
        recordings = {shard.recording.recording_id for shard in day.shards}
        lacking = {
            shard.recording.recording_id
            for shard in day.shards
            if not any(product.exists and product.scope == scope for product in shard.products)
        }
        if lacking:
            whose = inputs.window_item.encoder
            told.append(f"{len(lacking)} of {len(recordings)} recordings are not embedded, or not whole, by {whose}")
    if left_out:
        told.append(f"{left_out} of {windows} windows lack a vector of some encoder")
    return f"region {region.name}: {', '.join(told)}" if told else ""
