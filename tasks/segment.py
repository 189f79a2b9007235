"""Segment: cut a camera's day into segments, and measure what each of them is worth.

Nothing of it depends on weights, on a budget or on events: whoever weighs otherwise chooses again among the same rows.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task

from lake.schema import LOOK_VALUES, TABLES
from lake.store import Store, rows_of
from models.summary.keyframes import choose_keyframes, least_sharpness
from models.summary.looks import looks_of
from models.summary.scores import (
    Column,
    Columns,
    anomaly,
    mean_over_frames,
    memorability,
    memorability_within,
    robust_scale,
    segment_vectors,
)
from models.summary.segments import Segments, overlaps
from tasks.day_material import DayMaterial, Looks, Pictures, Scores, Times, read_material
from tasks.limits import going_on
from tasks.plan import DayPlan
from tasks.receipts import Receipt, reason_of
from tasks.rows import EPOCH, MICROSECOND, place_columns
from tasks.segmentation import Cutting, cut_day
from tasks.step_plans import DaySteps, Measured
from tasks.summary_steps import left_out_of_segments, standing_past, standing_segment, told_again
from workspace.opened import Workspace

RAW = {"surprise": "anomaly", "distinctiveness": "memorability", "entropy_bits": "entropy", "motion": "dynamics"}
"""Columns of `segments` that hold what was measured, and those that hold it scaled."""


@task(task_run_name="segment {label}", persist_result=False)
def segment(root: str, label: str, days: Sequence[tuple[DayPlan, DaySteps]], decode_threads: int) -> list[Receipt]:
    """Segment the days of one camera, in order of day."""
    workspace = Workspace(root)
    return [segment_day(workspace, day, steps, decode_threads) for day, steps in going_on(workspace, days)]


def segment_day(workspace: Workspace, day: DayPlan, steps: DaySteps, decode_threads: int = 1) -> Receipt:
    """The task's work for one day, without an orchestrator.

    An alarm that failed is left out, which the receipt says; what is made then is another step than the full one, which is
    left to the next night.
    """
    step, began = standing_segment(workspace.store, steps), time.perf_counter()
    status, rows, decoded_s = "skipped", 0, 0.0
    if step.exists:
        left_out = left_out_of_segments(workspace.store, steps)
        message = told_again(workspace, day.place, step, steps.segment, left_out)
    else:
        try:
            found = measure(workspace, day, steps, decode_threads)
            workspace.store.write_table(step.outputs[0], found.rows)
            status, rows, decoded_s, message = "done", found.rows.num_rows, found.decoded_s, found.message
        except Exception as error:  # noqa: BLE001 — one day must not stop the camera's others: it is reported, and tried again
            status, message = "failed", reason_of(error)
    outputs = step.outputs if status != "failed" else ()
    seconds = time.perf_counter() - began
    return Receipt(
        day.place, step.name, step.scope, step.key, status, outputs, step.inputs, rows, seconds, decoded_s, message
    )


@dataclass(frozen=True, eq=False)
class Measurement:
    """A day's segments.

    Attributes:
        rows: of `segments`, in order of time.
        decoded_s: seconds of footage decoded to place cuts.
        message: what there is to know of what could not be measured.
    """

    rows: pa.Table
    decoded_s: float
    message: str


def measure_day(workspace: Workspace, day: DayPlan, steps: DaySteps) -> pa.Table:
    """The rows of `segments` of a day, from what the lake holds of it: the same whenever they are asked for.

    Of a recording that is gone, cuts cannot be found again: where the day was segmented before, they stay where they were.
    """
    return measure(workspace, day, steps).rows


def measure(workspace: Workspace, day: DayPlan, steps: DaySteps, decode_threads: int = 1) -> Measurement:
    """Cut a day into segments and measure them.

    Args:
        workspace: the site.
        day: as it is embedded.
        steps: of it, scored and classified; what failed of that is left out.
        decode_threads: threads that decode a recording, where cuts are looked for.

    Raises:
        LakeError: the scores that count are not there.
    """
    material = read_material(workspace, day, steps)
    cutting = cut_day(workspace, day.place.camera, material, decode_threads, _known_cuts(workspace.store, steps))
    past = standing_past(workspace.store, steps)
    told = [left_out_of_segments(workspace.store, steps), *material.told, cutting.told]
    rows = TABLES["segments"].schema.empty_table()
    if len(cutting.segments):
        exclusion_us = round(workspace.settings.novelty.exclusion_s * 1e6)
        rows = _rows(day, material, cutting, _past_columns(workspace.store, past), exclusion_us)
    return Measurement(rows, cutting.decoded_s, "; ".join(filter(None, told)))


def _rows(day: DayPlan, material: DayMaterial, cutting: Cutting, past: Columns | None, exclusion_us: int) -> pa.Table:
    segments, axis, pictures = cutting.segments, material.axis, material.pictures
    owners = segments.recording
    from_us, to_us = (at - axis.bases_us[owners] for at in (segments.from_us, segments.to_us))
    vectors, distinct = _distinct(material.looks, cutting, exclusion_us)
    raw = _kept(
        Columns(
            anomaly=_highest(segments, material.scores, material.scores.surprise),
            memorability=distinct,
            entropy=mean_over_frames(segments, pictures.at_us, pictures.values("entropy_bits")),
            dynamics=mean_over_frames(segments, pictures.at_us, pictures.motion),
        )
    )
    scaled = robust_scale(raw, past)
    keyframes = _keyframes(segments, pictures, material.scores)
    none = keyframes < 0
    keyframe_us = pictures.at_us[np.where(none, 0, keyframes)] - axis.bases_us[owners] if not none.all() else keyframes
    recordings = [axis.recordings[owner] for owner in owners]
    return rows_of(
        "segments",
        {
            **place_columns(day.place),
            "recording_id": [recording.recording_id for recording in recordings],
            "segment": segments.index,
            "from_us": from_us,
            "to_us": to_us,
            "taken_at": [EPOCH + int(at) * MICROSECOND for at in from_us + axis.starts_us[owners]],
            "begins_at": segments.begins_at.tolist(),
            **{name: _nullable(getattr(raw, column)) for name, column in RAW.items()},
            **{field.name: getattr(scaled, field.name).astype(np.float32) for field in fields(scaled)},
            "probability": _nullable(_highest(segments, material.scores, material.scores.probability)),
            "keyframe_us": pa.array(keyframe_us, mask=none),
            "look": _looks(vectors, len(segments)),
        },
    )


def _distinct(looks: Looks, cutting: Cutting, exclusion_us: int) -> tuple[NDArray[np.float32] | None, Column]:
    """Each segment's vector, and how unlike the camera's past (or the rest of its day) it looks."""
    if not len(looks.vectors):
        return None, np.full(len(cutting.segments), np.nan)
    vectors = segment_vectors(cutting.segments, looks.from_us, looks.to_us, looks.vectors)
    if len(looks.normals):
        return vectors, memorability(vectors, looks.normals)
    return vectors, memorability_within(vectors, cutting.in_true_time, exclusion_us)


def _looks(vectors: NDArray[np.float32] | None, count: int) -> NDArray[np.float16]:
    if vectors is None:
        return np.full((count, LOOK_VALUES), np.nan, dtype=np.float16)
    return looks_of(vectors).astype(np.float16)


def _highest(segments: Segments, scores: Scores, values: Column) -> Column:
    return anomaly(segments, scores.from_us, scores.to_us, values)


def _kept(columns: Columns) -> Columns:
    """Columns as the lake keeps them: what is scaled today is what later days read."""
    kept = (getattr(columns, field.name).astype(np.float32).astype(np.float64) for field in fields(columns))
    return Columns(*kept)


def _past_columns(store: Store, past: Sequence[Measured]) -> Columns | None:
    """Raw columns of the earlier days."""
    parts = [store.read_table(item.path, list(RAW)) for item in past]
    if not parts:
        return None
    table = pa.concat_tables(parts)
    return Columns(**{column: table[name].to_numpy().astype(np.float64) for name, column in RAW.items()})


def _keyframes(segments: Segments, pictures: Pictures, scores: Scores) -> Times:
    """int64 (S,), number of the picture that stands for each segment; -1: none does."""
    sharpness, luminance = pictures.values("sharpness"), pictures.values("luminance")
    highest = np.zeros(len(pictures.at_us))
    at, snippet = overlaps(pictures.at_us, pictures.at_us + 1, scores.from_us, scores.to_us)
    np.maximum.at(highest, at, scores.surprise[snippet])
    firsts, lasts = np.searchsorted(pictures.at_us, [segments.from_us, segments.to_us])
    return choose_keyframes(
        pictures.at_us,
        sharpness,
        luminance,
        highest,
        firsts,
        lasts,
        least_sharpness=least_sharpness(sharpness, luminance),
    )


def _known_cuts(store: Store, steps: DaySteps) -> dict[str, list[int]] | None:
    """Times of the cuts in each recording, as the day's segments in the lake have them; None where it has none."""
    (path,) = standing_segment(store, steps).outputs
    if not store.exists(path):
        return None
    known: dict[str, list[int]] = {}
    for row in store.read_table(path, ["recording_id", "from_us", "begins_at"]).to_pylist():
        if row["begins_at"] == "cut":
            known.setdefault(row["recording_id"], []).append(row["from_us"])
    return known


def _nullable(column: Column) -> "pa.Array[Any]":
    values = column.astype(np.float32)
    return pa.array(values, mask=~np.isfinite(values))
