"""Score: hold each snippet of a camera's day against the camera's own past, and make events of what is unlike it."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task

from footage.health import examine
from infra.errors import AfterwatchError, ConfigurationError
from infra.settings import NoveltyTable
from lake.keys import short_hash
from lake.schema import TABLES
from lake.store import Store, rows_of
from lake.vectors import Embeddings, read_embeddings
from models.calibration import NormalDistribution
from models.events import Event, EventRule
from models.heads.nightly import NightRule, Standard, Verdict, fit_camera, judge
from models.heads.novelty import NoveltyHead, head_named, settings_named
from tasks.plan import FRAMES_SCOPE, DayPlan, DaySteps
from tasks.receipts import Receipt
from tasks.workspace import Workspace

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DETECTORS = {"lof": "local_outlier_factor", "knn": "nearest_neighbours"}
SELF = "self"
"""Version of the head of a day without earlier footage: it is compared with itself."""
FEWEST_SNIPPETS = 8
"""Below this a day without earlier footage says nothing about what is unusual in it."""


@task(task_run_name="score {label}", persist_result=False)
def score(root: str, label: str, days: Sequence[tuple[DayPlan, DaySteps]]) -> list[Receipt]:
    """Examine the health of, and judge, the days of one camera, in order of day."""
    workspace = Workspace(root)
    return [receipt for day, steps in days for receipt in score_day(workspace, day, steps)]


def score_day(workspace: Workspace, day: DayPlan, steps: DaySteps) -> list[Receipt]:
    """The task's work for one day, without an orchestrator; what exists is not made again."""
    receipts = []
    for step, work in ((steps.health, _health), (steps.fit, _fit), (steps.score, _judge)):
        if step is None:
            continue
        began = time.perf_counter()
        status, rows, message = "skipped", 0, ""
        if not step.exists:
            try:
                rows, message = work(workspace, day, steps)
                status = "done"
            except AfterwatchError as error:
                status, message = "failed", str(error)
        outputs = step.outputs if status != "failed" else ()
        seconds = time.perf_counter() - began
        receipts.append(
            Receipt(day.place, step.name, step.scope, step.key, status, outputs, step.inputs, rows, seconds, 0.0, message)
        )
        if status == "failed":
            break
    return receipts


def _health(workspace: Workspace, day: DayPlan, steps: DaySteps) -> tuple[int, str]:
    tables = [workspace.store.read_table(product.paths[0]) for product in day.products(FRAMES_SCOPE) if product.exists]
    frames = pa.concat_tables(tables).to_pandas()
    usual = float(frames["sharpness"].median()) if len(frames) else 0.0
    rows = []
    for recording_id, part in frames.groupby("recording_id", sort=True):
        part = part.sort_values("t_us")
        began_at = part["taken_at"].iloc[0] - part["t_us"].iloc[0] * MICROSECOND
        columns = (part[name].to_numpy(np.float64) for name in ("luminance", "entropy_bits", "sharpness", "motion"))
        for span in examine(part["t_us"].to_numpy(np.int64), *columns, usual_sharpness=usual):
            rows.append({"recording_id": recording_id, "started_at": began_at + span.from_us * MICROSECOND, **asdict(span)})
    _write(workspace.store, steps.health.outputs[0], "health", day, rows)
    return len(rows), ""


def _fit(workspace: Workspace, day: DayPlan, steps: DaySteps) -> tuple[int, str]:
    novelty = workspace.settings.novelty
    reference = _distinct(_thinned(read_embeddings(workspace.store, steps.reference), novelty.maximum_reference))
    if steps.fit is None:
        raise ValueError(f"{day.place} has no earlier footage to fit a head on")
    if len(reference) < novelty.minimum_reference:
        remark = f"{len(reference)} earlier snippets are too few; the day is compared with itself"
        card = {"kind": "novelty", "camera": day.place.camera, "usable": False, "remark": remark}
        workspace.registry.save("novelty", day.place.camera, steps.fit.key, card, {})
        return 0, remark
    head, standard, scores = _fit_on(novelty, reference)
    card = {
        "kind": "novelty",
        "camera": day.place.camera,
        "usable": True,
        "detector": DETECTORS[novelty.detector],
        "space": reference.rows["space"][0].as_py(),
        "region": novelty.region,
        "settings": novelty.model_dump(mode="json"),
        "reference": {"snippets": len(reference), "nights": len(np.unique(_nights(reference)))},
        "rule": asdict(standard.rule),
        "expected_alarms_per_night": standard.expected_alarms,
        "remark": head.normal.remark,
        "made_from": list(steps.fit.inputs),
    }
    arrays = {f"head.{name}": value for name, value in head.to_arrays().items()}
    arrays |= {f"normal.{name}": value for name, value in standard.normal.to_arrays().items()}
    workspace.registry.save("novelty", day.place.camera, steps.fit.key, card, arrays)
    return len(scores), head.normal.remark


def _judge(workspace: Workspace, day: DayPlan, steps: DaySteps) -> tuple[int, str]:
    novelty = workspace.settings.novelty
    scope = f"{workspace.encoder(novelty.encoder).spec.space}/{novelty.region}"
    paths = [path for product in day.products(scope) if product.exists for path in product.paths]
    snippets = read_embeddings(workspace.store, paths)
    judged = _judged(workspace, steps, snippets)
    if judged is None:
        message = f"{len(snippets)} snippets are too few to tell what is unusual"
        for path, table in zip(steps.score.outputs, ("scores", "events"), strict=True):
            _write(workspace.store, path, table, day, [])
        return 0, message
    version, standard, verdict = judged
    common = {"head": novelty.name, "version": version, "region": novelty.region}
    columns: dict[str, Any] = {
        **_place(day),
        **common,
        **{name: snippets.rows[name] for name in ("recording_id", "index", "from_us", "to_us", "taken_at")},
        "score": verdict.scores,
        "probability": verdict.probabilities.astype(np.float32),
        "flagged": verdict.flagged,
    }
    events = [
        {**common, **_event_row(day, novelty.name, version, snippets, event, alarm, rank, standard)}
        for rank, (event, alarm) in enumerate(zip(verdict.events, verdict.alarms, strict=True), start=1)
    ]
    # Events first: scores that are there mean that the step is done.
    _write(workspace.store, steps.score.outputs[1], "events", day, events)
    workspace.store.write_table(steps.score.outputs[0], rows_of("scores", columns))
    return len(snippets), "" if version != SELF else "no earlier footage: compared with itself"


def _judged(workspace: Workspace, steps: DaySteps, snippets: Embeddings) -> tuple[str, Standard, Verdict] | None:
    novelty = workspace.settings.novelty
    fitted = None if steps.fit is None else _load(workspace, steps.place.camera, steps.fit.key)
    if fitted is not None and steps.fit is not None:
        head, standard = fitted
        version = steps.fit.key
        scores = head.score(snippets.vectors) if len(snippets) else np.empty(0, dtype=np.float32)
    elif len(snippets) >= FEWEST_SNIPPETS:
        version = SELF
        try:
            _, standard, scores = _fit_on(novelty, snippets)
        except ConfigurationError:
            return None  # the snippets lie so close in time that none is left to compare another with
    else:
        return None
    return version, standard, judge(standard, scores, snippets.from_us, snippets.to_us, novelty.alarms_per_night)


def _fit_on(novelty: NoveltyTable, reference: Embeddings) -> tuple[NoveltyHead, Standard, NDArray[np.float32]]:
    rule = NightRule(
        events=EventRule(
            threshold=0.0,
            minimum_count=novelty.minimum_count,
            minimum_s=novelty.minimum_s,
            merge_gap_s=novelty.merge_gap_s,
            smooth_s=novelty.smooth_s,
        ),
        alarms_per_night=novelty.alarms_per_night,
        floor_deviations=novelty.floor_mad,
        hysteresis_deviations=novelty.hysteresis_mad,
        exclusion_us=round(novelty.exclusion_s * 1e6),
    )
    settings = settings_named(DETECTORS[novelty.detector], novelty.neighbours, novelty.scaling)
    return fit_camera(settings, reference.vectors, reference.from_us, reference.to_us, _nights(reference), rule)


def _nights(reference: Embeddings) -> NDArray[np.int64]:
    return np.asarray(reference.rows["day"].cast(pa.int32()), dtype=np.int64)


def _load(workspace: Workspace, camera: str, version: str) -> tuple[NoveltyHead, Standard] | None:
    """The head fitted on the camera's past; None where its past was too short."""
    card, arrays = workspace.registry.load("novelty", camera, version)
    if not card["usable"]:
        return None
    parts: dict[str, dict[str, Any]] = {"head": {}, "normal": {}}
    for name, value in arrays.items():
        part, key = name.split(".", 1)
        parts[part][key] = value
    normal = NormalDistribution.from_arrays(parts["normal"])
    standard = Standard(EventRule(**card["rule"]), normal, card["expected_alarms_per_night"])
    return head_named(card["detector"], parts["head"]), standard


def _thinned(reference: Embeddings, most: int) -> Embeddings:
    """At most `most` rows, spread evenly over time."""
    if len(reference) <= most:
        return reference
    return reference.take(np.linspace(0, len(reference) - 1, most).round().astype(np.int64))


def _distinct(reference: Embeddings) -> Embeddings:
    """The first of each vector: repeated ones (a still scene, a frozen picture) would make all else look sparse."""
    _, first = np.unique(reference.vectors, axis=0, return_index=True)
    return reference.take(np.sort(first).astype(np.int64))


def _event_row(
    day: DayPlan, head: str, version: str, snippets: Embeddings, event: Event, alarm: bool, rank: int, standard: Standard
) -> dict[str, Any]:
    started_at, ended_at, peak_at = (EPOCH + at * MICROSECOND for at in (event.from_us, event.to_us, event.peak_us))
    place = [day.place.campaign, day.place.camera]
    event_id = short_hash([head, version, place, event.from_us, event.to_us])[:12]
    began_us = int(snippets.from_us[event.peak_index]) - int(snippets.column("from_us")[event.peak_index])
    return {
        "event_id": event_id,
        "rank": rank,
        "alarm": alarm,
        "recording_id": snippets.rows["recording_id"][event.peak_index].as_py(),
        "started_at": started_at,
        "ended_at": ended_at,
        "peak_at": peak_at,
        "peak_us": event.peak_us - began_us,
        "peak_score": event.peak_score,
        "threshold": standard.rule.threshold,
        "keyframe": f"keyframes/{event_id}.jpg",
        "clip": f"events/{event_id}.mp4",
    }


def _place(day: DayPlan) -> dict[str, Any]:
    return {"campaign": day.place.campaign, "camera": day.place.camera, "day": day.place.day}


def _write(store: Store, path: str, table: str, day: DayPlan, rows: Sequence[dict[str, Any]]) -> None:
    names = [name for name in TABLES[table].schema.names if name not in ("campaign", "camera", "day")]
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in names}
    store.write_table(path, rows_of(table, {**_place(day), **columns}))
