"""Health: black, frozen and blurred stretches of a camera's day, and those in which it was moved."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
import pyarrow as pa

from footage.health import HealthSpan, displacement, examine, moved_spans
from footage.statistics import Grey
from lake.stills import Still, read_stills
from tasks.plan import FRAMES_SCOPE, DayPlan, made
from tasks.references import STILLS, reference_at
from tasks.rows import MICROSECOND, write_rows
from tasks.step_plans import DaySteps, Reference
from workspace.opened import Workspace

Displaced = tuple[Still, float | None]


def make_health(workspace: Workspace, day: DayPlan, steps: DaySteps) -> int:
    """Write the health of a camera's day; returns the stretches found."""
    tables = [workspace.store.read_table(product.paths[0]) for product in made(day, FRAMES_SCOPE)]
    frames = pa.concat_tables(tables).to_pandas()
    usual = float(frames["sharpness"].median()) if len(frames) else 0.0
    moved = _moved_by_recording(displacements(workspace, day, steps.references))
    rows = []
    for recording_id, part in frames.groupby("recording_id", sort=True):
        part = part.sort_values("t_us")
        began_at = part["taken_at"].iloc[0] - part["t_us"].iloc[0] * MICROSECOND
        spans = [*_unwell(part, usual), *moved.get(str(recording_id), ())]
        rows += [
            {"recording_id": recording_id, "started_at": began_at + span.from_us * MICROSECOND, **asdict(span)}
            for span in sorted(spans, key=lambda span: span.from_us)
        ]
    write_rows(workspace.store, steps.health.outputs[0], "health", day.place, rows)
    return len(rows)


def displacements(
    workspace: Workspace, day: DayPlan, references: Sequence[Reference], reference: Grey | None = None
) -> list[Displaced]:
    """How far the camera had moved in each still of its day.

    Args:
        workspace: the site.
        day: the camera's day.
        references: the stills that the camera is held against, each from its own moment on.
        reference: uint8 (h, w), held against instead, where it is given.
    """
    pictures = {item: _picture(workspace, item) for item in references} if reference is None else {}
    found: list[Displaced] = []
    for still in _stills(workspace, day):
        before = reference
        if before is None:
            held = reference_at(references, still.until)
            before = None if held is None else pictures[held]
        found.append((still, None if before is None else displacement(before, still.picture)))
    return found


def _stills(workspace: Workspace, day: DayPlan) -> list[Still]:
    """The day's stills, by recording and time."""
    paths = [path for product in made(day, FRAMES_SCOPE) for path in product.paths[STILLS:]]
    return sorted(read_stills(workspace.store, paths), key=lambda still: (still.recording_id, still.from_us))


def _picture(workspace: Workspace, reference: Reference) -> Grey:
    stills = read_stills(workspace.store, [reference.path])
    return next(still.picture for still in stills if still.from_us == reference.from_us)


def _moved_by_recording(displaced: Iterable[Displaced]) -> dict[str, list[HealthSpan]]:
    stills: dict[str, list[tuple[int, int, float | None]]] = {}
    for still, share in displaced:
        stills.setdefault(still.recording_id, []).append((still.from_us, still.to_us, share))
    return {recording_id: moved_spans(mine) for recording_id, mine in stills.items()}


def _unwell(part: pd.DataFrame, usual_sharpness: float) -> list[HealthSpan]:
    columns = (part[name].to_numpy(np.float64) for name in ("luminance", "entropy_bits", "sharpness", "motion"))
    return examine(part["t_us"].to_numpy(np.int64), *columns, usual_sharpness=usual_sharpness)
