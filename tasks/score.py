"""Score: hold each snippet of a camera's day against the camera's own past, and make events of what is unlike it."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from prefect import task

from infra.errors import ConfigurationError
from infra.settings import NoveltyTable
from lake.schema import TABLES
from lake.store import Store
from lake.vectors import Embeddings, read_embeddings
from models.calibration import NormalDistribution
from models.events import Event, EventRule
from models.heads.nightly import NightRule, Standard, Verdict, fit_camera, judge, rank
from models.heads.novelty import NoveltyHead, head_named, settings_named
from tasks.health import make_health
from tasks.plan import DayPlan, DaySteps, RegionPlan, Step
from tasks.receipts import Receipt, reason_of
from tasks.rows import EPOCH, MICROSECOND, event_row, score_rows, write_rows
from workspace.opened import Workspace

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
        (steps.health, lambda: (make_health(workspace, day, steps), "")),
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
    parts = [
        score_rows(day.place, item.snippets, novelty.name, item.version, item.plan.region, _told(item.verdict))
        for item in judged
    ]
    scores = pa.concat_tables(parts) if parts else TABLES["scores"].schema.empty_table()
    # Events first: scores that are there mean that the step is done.
    write_rows(workspace.store, steps.score.outputs[1], "events", day.place, _event_rows(day, novelty, judged))
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
        named = (novelty.name, item.version, item.plan.region)
        told_of = event_row(day.place, item.snippets, *named, event, item.standard.rule.threshold)
        rows.append({**told_of, "rank": place, "alarm": alarm})
    return rows


def _told(verdict: Verdict) -> dict[str, Any]:
    return {
        "score": verdict.scores,
        "probability": verdict.probabilities.astype(np.float32),
        "flagged": verdict.flagged,
    }


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
