"""Score: hold each snippet of a camera's day against the camera's own past, and make events of what is unlike it."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task

from footage.health import examine
from infra.errors import ConfigurationError
from infra.settings import NoveltyTable
from lake.keys import short_hash
from lake.schema import TABLES
from lake.store import Store, rows_of
from lake.vectors import Embeddings, read_embeddings
from models.calibration import NormalDistribution
from models.events import Event, EventRule
from models.heads.nightly import NightRule, Standard, Verdict, fit_camera, judge, rank
from models.heads.novelty import NoveltyHead, head_named, settings_named
from tasks.plan import FRAMES_SCOPE, DayPlan, DaySteps, RegionPlan, Step
from tasks.receipts import Receipt, reason_of
from workspace.opened import Workspace

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
    work: list[tuple[Step, Callable[[], tuple[int, str]]]] = [
        (steps.health, lambda: _health(workspace, day, steps)),
        *((plan.fit, partial(_fit, workspace, plan, plan.fit)) for plan in steps.regions if plan.fit is not None),
        (steps.score, lambda: _judge(workspace, day, steps)),
    ]
    receipts = []
    for step, do in work:
        began = time.perf_counter()
        status, rows, message = "skipped", 0, ""
        if not step.exists:
            try:
                (rows, message), status = do(), "done"
            except Exception as error:  # noqa: BLE001 — one day must not stop the camera's others: it is reported, and tried again
                status, message = "failed", reason_of(error)
        outputs = step.outputs if status != "failed" else ()
        seconds = time.perf_counter() - began
        receipts.append(
            Receipt(
                day.place, step.name, step.scope, step.key, status, outputs, step.inputs, rows, seconds, 0.0, message
            )
        )
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
            rows.append(
                {"recording_id": recording_id, "started_at": began_at + span.from_us * MICROSECOND, **asdict(span)}
            )
    _write(workspace.store, steps.health.outputs[0], "health", day, rows)
    return len(rows), ""


def _fit(workspace: Workspace, plan: RegionPlan, step: Step) -> tuple[int, str]:
    novelty = workspace.settings.novelty
    earlier = _without_alarms(workspace.store, read_embeddings(workspace.store, plan.reference), plan.alarms)
    reference = _distinct(_thinned(earlier, novelty.maximum_reference))
    card: dict[str, Any] = {
        "kind": "novelty",
        "camera": plan.camera,
        "region": plan.region,
        "made_from": list(step.inputs),
    }
    if len(reference) < novelty.minimum_reference:
        remark = f"{len(reference)} different earlier snippets are too few; the day is compared with itself"
        workspace.registry.save("novelty", plan.camera, step.key, {**card, "usable": False, "remark": remark}, {})
        return 0, remark
    try:
        head, standard, scores = _fit_on(novelty, reference, len(plan.judged_with))
    except ConfigurationError as error:
        remark = f"the earlier footage cannot serve as reference ({error}); the day is compared with itself"
        workspace.registry.save("novelty", plan.camera, step.key, {**card, "usable": False, "remark": remark}, {})
        return 0, remark
    card |= {
        "usable": True,
        "detector": DETECTORS[novelty.detector],
        "space": reference.rows["space"][0].as_py(),
        "settings": novelty.model_dump(mode="json"),
        "reference": {"snippets": len(reference), "nights": len(np.unique(_nights(reference)))},
        "rule": asdict(standard.rule),
        "median": standard.median,
        "spread": standard.spread,
        "expected_alarms_per_night": standard.expected_alarms,
        "remark": head.normal.remark,
    }
    arrays = {f"head.{name}": value for name, value in head.to_arrays().items()}
    arrays |= {f"normal.{name}": value for name, value in standard.normal.to_arrays().items()}
    workspace.registry.save("novelty", plan.camera, step.key, card, arrays)
    return len(scores), head.normal.remark


@dataclass(frozen=True, eq=False)
class _Judged:
    """A region of the day, judged."""

    plan: RegionPlan
    version: str
    snippets: Embeddings
    standard: Standard
    verdict: Verdict


def _judge(workspace: Workspace, day: DayPlan, steps: DaySteps) -> tuple[int, str]:
    novelty = workspace.settings.novelty
    judged = [found for plan in steps.regions if (found := _judge_region(workspace, plan)) is not None]
    parts = [_score_rows(day, novelty.name, item) for item in judged]
    scores = pa.concat_tables(parts) if parts else TABLES["scores"].schema.empty_table()
    # Events first: scores that are there mean that the step is done.
    _write(workspace.store, steps.score.outputs[1], "events", day, _event_rows(day, novelty, judged))
    workspace.store.write_table(steps.score.outputs[0], scores)
    messages = [f"{plan.region}: too little footage to tell what is unusual" for plan in steps.regions]
    told = {item.plan.region for item in judged}
    messages = [message for plan, message in zip(steps.regions, messages, strict=True) if plan.region not in told]
    messages += [
        f"{item.plan.region}: no earlier footage, compared with itself" for item in judged if item.version == SELF
    ]
    return scores.num_rows, "; ".join(messages)


def _judge_region(workspace: Workspace, plan: RegionPlan) -> _Judged | None:
    """None where there is too little to compare."""
    snippets = read_embeddings(workspace.store, plan.snippets)
    fitted = None if plan.fit is None else _load(workspace, plan.camera, plan.fit.key)
    if fitted is not None and plan.fit is not None:
        head, standard = fitted
        version = plan.fit.key
        scores = head.score(snippets.vectors) if len(snippets) else np.empty(0, dtype=np.float32)
    elif len(snippets) >= FEWEST_SNIPPETS:
        version = SELF
        try:
            _, standard, scores = _fit_on(workspace.settings.novelty, snippets, len(plan.judged_with))
        except ConfigurationError:
            return None  # the snippets lie so close in time that none is left to compare another with
    else:
        return None
    return _Judged(plan, version, snippets, standard, judge(standard, scores, snippets.from_us, snippets.to_us))


def _score_rows(day: DayPlan, head: str, item: _Judged) -> pa.Table:
    names = ("recording_id", "index", "from_us", "to_us", "taken_at")
    columns: dict[str, Any] = {
        **_place(day),
        **{name: item.snippets.rows[name] for name in names},
        "head": head,
        "version": item.version,
        "region": item.plan.region,
        "score": item.verdict.scores,
        "probability": item.verdict.probabilities.astype(np.float32),
        "flagged": item.verdict.flagged,
    }
    return rows_of("scores", columns)


def _event_rows(day: DayPlan, novelty: NoveltyTable, judged: Sequence[_Judged]) -> list[dict[str, Any]]:
    """Events of all regions, ranked by how far they stand out of their region's normal; the first moments are alarms."""
    found = [(item, event) for item in judged for event in item.verdict.events]
    order = rank(
        [item.standard.excess(event.peak_score) for item, event in found], [event.from_us for _, event in found]
    )
    allowed = math.ceil(novelty.alarms_per_night)
    rows: list[dict[str, Any]] = []
    alarms: list[Event] = []
    for place, position in enumerate(order, start=1):
        item, event = found[position]
        # What two regions see of one moment is one alarm.
        told = any(other.from_us < event.to_us and other.to_us > event.from_us for other in alarms)
        alarm = len(alarms) < allowed and not told
        alarms += [event] if alarm else []
        common = {"head": novelty.name, "version": item.version, "region": item.plan.region}
        rows.append({**common, "rank": place, "alarm": alarm, **_event_row(day, novelty.name, item, event)})
    return rows


def _fit_on(
    novelty: NoveltyTable, reference: Embeddings, regions: int
) -> tuple[NoveltyHead, Standard, NDArray[np.float32]]:
    rule = NightRule(
        events=EventRule(
            threshold=0.0,
            minimum_count=novelty.minimum_count,
            minimum_s=novelty.minimum_s,
            merge_gap_s=novelty.merge_gap_s,
            smooth_s=novelty.smooth_s,
        ),
        alarms_per_night=novelty.alarms_per_night / regions,  # the budget is the camera's, not the region's
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
    standard = Standard(
        EventRule(**card["rule"]), normal, card["median"], card["spread"], card["expected_alarms_per_night"]
    )
    return head_named(card["detector"], parts["head"]), standard


def _thinned(reference: Embeddings, most: int) -> Embeddings:
    """At most `most` rows, spread evenly over time."""
    if len(reference) <= most:
        return reference
    return reference.take(np.linspace(0, len(reference) - 1, most).round().astype(np.int64))


def _without_alarms(store: Store, reference: Embeddings, paths: Sequence[str]) -> Embeddings:
    """The reference without what raised an alarm on its day: that is not what the camera usually sees."""
    keep = np.ones(len(reference), dtype=np.bool_)
    for path in paths:
        for row in store.read_table(path, ["started_at", "ended_at", "alarm"]).to_pylist():
            if row["alarm"]:
                start, end = ((row[name] - EPOCH) // MICROSECOND for name in ("started_at", "ended_at"))
                keep &= (reference.to_us <= start) | (reference.from_us >= end)
    return reference.take(np.flatnonzero(keep))


def _distinct(reference: Embeddings) -> Embeddings:
    """The first of each vector: repeated ones (a still scene, a frozen picture) would make all else look sparse."""
    _, first = np.unique(reference.vectors, axis=0, return_index=True)
    return reference.take(np.sort(first).astype(np.int64))


def _event_row(day: DayPlan, head: str, item: _Judged, event: Event) -> dict[str, Any]:
    snippets = item.snippets
    started_at, ended_at, peak_at = (EPOCH + at * MICROSECOND for at in (event.from_us, event.to_us, event.peak_us))
    told = [head, item.version, item.plan.region, day.place.campaign, day.place.camera, event.from_us, event.to_us]
    event_id = short_hash(told)[:12]
    began_us = int(snippets.from_us[event.peak_index]) - int(snippets.column("from_us")[event.peak_index])
    return {
        "event_id": event_id,
        "recording_id": snippets.rows["recording_id"][event.peak_index].as_py(),
        "started_at": started_at,
        "ended_at": ended_at,
        "peak_at": peak_at,
        "peak_us": event.peak_us - began_us,
        "peak_score": event.peak_score,
        "threshold": item.standard.rule.threshold,
        "keyframe": f"keyframes/{event_id}.jpg",
        "clip": f"events/{event_id}.mp4",
    }


def _place(day: DayPlan) -> dict[str, Any]:
    return {"campaign": day.place.campaign, "camera": day.place.camera, "day": day.place.day}


def _write(store: Store, path: str, table: str, day: DayPlan, rows: Sequence[dict[str, Any]]) -> None:
    names = [name for name in TABLES[table].schema.names if name not in ("campaign", "camera", "day")]
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in names}
    store.write_table(path, rows_of(table, {**_place(day), **columns}))
