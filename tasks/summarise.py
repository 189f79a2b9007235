"""Summarise: cut a camera's day into segments, score them, and choose what the summary shows."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task

from footage.health import BLACK_LUMINANCE
from lake.store import rows_of
from lake.vectors import read_embeddings
from models.events import Event
from models.summary.scores import (
    Columns,
    Weights,
    anomaly,
    combine,
    mean_over_frames,
    memorability,
    memorability_within,
    robust_scale,
    segment_vectors,
)
from models.summary.segments import Segment, cut_segments
from models.summary.selection import choose_keyframe, select_segments
from tasks.plan import FRAMES_SCOPE, DayPlan, DaySteps, Recording
from tasks.receipts import Receipt, reason_of
from workspace.opened import Workspace

RAREST = 1e-7
"""Probabilities are kept as 32-bit floats; rarer than this, they cannot be told from certainty."""
MOST_NORMALS = 5000
"""Pictures of the camera's past that memorability is measured against, spread evenly."""


@task(task_run_name="summarise {label}", persist_result=False)
def summarise(root: str, label: str, days: Sequence[tuple[DayPlan, DaySteps]]) -> list[Receipt]:
    """Summarise the days of one camera."""
    workspace = Workspace(root)
    return [summarise_day(workspace, day, steps) for day, steps in days]


def summarise_day(workspace: Workspace, day: DayPlan, steps: DaySteps) -> Receipt:
    """The task's work for one day, without an orchestrator."""
    step, began = steps.summarise, time.perf_counter()
    status, rows, message = "skipped", 0, ""
    if not step.exists:
        try:
            status, rows = "done", _summarise(workspace, day, steps)
        except Exception as error:  # noqa: BLE001 — one day must not stop the camera's others: it is reported, and tried again
            status, message = "failed", reason_of(error)
    outputs = step.outputs if status != "failed" else ()
    seconds = time.perf_counter() - began
    return Receipt(
        day.place, step.name, step.scope, step.key, status, outputs, step.inputs, rows, seconds, 0.0, message
    )


@dataclass(frozen=True, eq=False)
class _Frames:
    """The day's sampled pictures, by absolute time in microseconds."""

    table: pd.DataFrame
    at_us: NDArray[np.int64]

    def values(self, name: str) -> NDArray[np.float64]:
        return self.table[name].to_numpy(np.float64)


def _summarise(workspace: Workspace, day: DayPlan, steps: DaySteps) -> int:
    summary = workspace.settings.summary
    frames = _read_frames(workspace, day)
    recordings = recordings_of_day(day)
    segments = _segments(recordings, frames, summary.segment_s)
    scores = workspace.store.read_table(steps.score.outputs[0]).to_pandas()
    scores = scores.sort_values(["taken_at", "region"], ignore_index=True)
    surprise = _surprise(scores["probability"].to_numpy(np.float64))
    starts = _microseconds(scores["taken_at"])
    ends = starts + (scores["to_us"] - scores["from_us"]).to_numpy(np.int64)
    vectors, distinct = _looks(workspace, day, steps, segments)
    raw = Columns(
        anomaly=anomaly(segments, starts, ends, surprise),
        memorability=distinct,
        entropy=mean_over_frames(segments, frames.at_us, frames.values("entropy_bits")),
        dynamics=mean_over_frames(segments, frames.at_us, frames.values("motion")),
    )
    columns = robust_scale(raw)
    combined = combine(columns, Weights(**summary.weights.model_dump()))
    luminance = mean_over_frames(segments, frames.at_us, frames.values("luminance"))
    combined[luminance <= BLACK_LUMINANCE] = 0.0
    selection = select_segments(
        segments, combined, read_events(workspace, steps), summary.budget_s, vectors, summary.similarity_limit
    )
    reasons = {choice.index: choice.reason for choice in selection.choices}
    at_frames = _score_at(frames.at_us, starts, ends, surprise)
    keyframes = [_keyframe(segment, frames, at_frames) for segment in segments]
    owners = [recordings[segment.recording_index] for segment in segments]
    begins = [_start_us(owner) for owner in owners]
    table: dict[str, Any] = {
        "campaign": day.place.campaign,
        "camera": day.place.camera,
        "day": day.place.day,
        "recording_id": [owner.recording_id for owner in owners],
        "segment": [segment.index for segment in segments],
        "from_us": [segment.from_us - begin for segment, begin in zip(segments, begins, strict=True)],
        "to_us": [segment.to_us - begin for segment, begin in zip(segments, begins, strict=True)],
        "taken_at": pa.array([segment.from_us for segment in segments], pa.timestamp("us", tz="UTC")),
        **{
            name: getattr(columns, name).astype(np.float32)
            for name in ("anomaly", "memorability", "entropy", "dynamics")
        },
        "score": combined.astype(np.float32),
        "keyframe_us": [at - begin for at, begin in zip(keyframes, begins, strict=True)],
        "chosen": [reasons.get(number, "") for number in range(len(segments))],
    }
    workspace.store.write_table(steps.summarise.outputs[0], rows_of("segments", table))
    return len(segments)


def recordings_of_day(day: DayPlan) -> list[Recording]:
    """The day's recordings, in order of start."""
    return list({shard.recording.path: shard.recording for shard in day.shards}.values())


def read_events(workspace: Workspace, steps: DaySteps) -> list[Event]:
    """The day's events, by rank; for want of a scale that regions share, the rank (negated) stands for the peak."""
    rows = workspace.store.read_table(steps.score.outputs[1]).sort_by("rank").to_pandas()
    columns = (_microseconds(rows[name]) for name in ("started_at", "ended_at", "peak_at"))
    return [
        Event(int(start), int(end), int(peak), -float(rank), 0, 0, 0)
        for start, end, peak, rank in zip(*columns, rows["rank"], strict=True)
    ]


def _read_frames(workspace: Workspace, day: DayPlan) -> _Frames:
    parts = [workspace.store.read_table(product.paths[0]) for product in day.products(FRAMES_SCOPE) if product.exists]
    table = pa.concat_tables(parts).to_pandas().sort_values(["taken_at", "recording_id"], ignore_index=True)
    return _Frames(table, _microseconds(table["taken_at"]))


def _segments(recordings: Sequence[Recording], frames: _Frames, segment_s: float) -> list[Segment]:
    """Segments in which at least one picture was sampled."""
    step_us = int(np.median(np.diff(frames.at_us))) if len(frames.at_us) > 1 else 1
    spans = []
    for recording in recordings:
        mine = frames.table["recording_id"] == recording.recording_id
        begin = _start_us(recording)
        last_us = int(frames.table["t_us"][mine].max()) if mine.any() else 0
        spans.append((begin, begin + min(last_us + step_us, recording.duration_us)))
    segments = cut_segments(spans, round(segment_s * 1e6))
    seen = np.isfinite(mean_over_frames(segments, frames.at_us, frames.values("luminance")))
    return [segment for segment, there in zip(segments, seen, strict=True) if there]


def _looks(
    workspace: Workspace, day: DayPlan, steps: DaySteps, segments: Sequence[Segment]
) -> tuple[NDArray[np.float32] | None, NDArray[np.float64]]:
    """Each segment's vector, and how unlike the camera's past (or the rest of its day) it looks."""
    summary = workspace.settings.summary
    scope = f"{workspace.encoder(summary.encoder).spec.space}/frame"
    paths = [path for product in day.products(scope) if product.exists for path in product.paths]
    looks = read_embeddings(workspace.store, paths)
    if not len(looks):
        return None, np.full(len(segments), np.nan)
    normals = read_embeddings(workspace.store, steps.normals).vectors
    # A fixed camera's pictures are nearly the same; what tells them apart is how they differ from the usual one.
    usual = (normals if len(normals) else looks.vectors).mean(axis=0)
    vectors = segment_vectors(segments, looks.from_us, looks.to_us, looks.vectors - usual)
    if len(normals):
        spread = np.linspace(0, len(normals) - 1, min(len(normals), MOST_NORMALS)).round().astype(np.int64)
        return vectors, memorability(vectors, normals[spread] - usual)
    return vectors, memorability_within(vectors, segments, round(workspace.settings.novelty.exclusion_s * 1e6))


def _surprise(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """−log10 of how often a normal score is as high: the scores of regions and heads on one scale."""
    return np.asarray(-np.log10(np.maximum(1.0 - probability, RAREST)))


def _score_at(
    at_us: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Highest score of the snippets each picture falls into; 0 outside of all."""
    highest = np.zeros(len(at_us))
    firsts, lasts = np.searchsorted(at_us, starts), np.searchsorted(at_us, ends)
    for first, last, score in zip(firsts, lasts, scores, strict=True):
        highest[first:last] = np.maximum(highest[first:last], score)
    return highest


def _keyframe(segment: Segment, frames: _Frames, scores: NDArray[np.float64]) -> int:
    first, last = np.searchsorted(frames.at_us, [segment.from_us, segment.to_us])
    rows = slice(int(first), int(last))
    sharpness, luminance = (frames.values(name)[rows] for name in ("sharpness", "luminance"))
    return int(frames.at_us[rows][choose_keyframe(frames.at_us[rows], sharpness, luminance, scores[rows])])


def _start_us(recording: Recording) -> int:
    return round(recording.started_at.timestamp() * 1e6)


def _microseconds(column: "pd.Series[Any]") -> NDArray[np.int64]:
    return column.dt.as_unit("us").astype("int64").to_numpy() if len(column) else np.empty(0, dtype=np.int64)
