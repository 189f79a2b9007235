"""Score: hold each snippet of a camera's day against the camera's own past, and make events of what is unlike it."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from prefect import task

from infra.settings import NoveltyTable
from lake.schema import TABLES
from lake.vectors import Embeddings, read_embeddings
from models.events import Event
from models.heads.nightly import Standard, Verdict, judge, rank
from tasks.fit import Fitted, head_for, make_head, scores_of
from tasks.health import make_health
from tasks.limits import going_on
from tasks.plan import SELF, DayPlan
from tasks.projections import ProjectionPlan
from tasks.reasons import reason_of_event
from tasks.receipts import Receipt, reason_of
from tasks.rows import EPOCH, MICROSECOND, event_row, finite, score_rows, write_rows
from tasks.step_plans import DaySteps, RegionPlan, Step
from workspace.opened import Workspace


@task(task_run_name="score {label}", persist_result=False)
def score(root: str, label: str, days: Sequence[tuple[DayPlan, DaySteps]]) -> list[Receipt]:
    """Examine the health of, and judge, the days of one camera, in order of day."""
    workspace = Workspace(root)
    return [receipt for day, steps in going_on(workspace, days) for receipt in score_day(workspace, day, steps)]


def score_day(workspace: Workspace, day: DayPlan, steps: DaySteps) -> list[Receipt]:
    """The task's work for one day, without an orchestrator; what exists is not made again."""
    work: list[tuple[Step, Callable[[], tuple[int, str]]]] = [
        (steps.health, lambda: (make_health(workspace, day, steps), "")),
        *(
            (plan.fit, partial(make_head, workspace, plan, plan.fit, steps.projection))
            for plan in steps.regions
            if plan.fit is not None
        ),
        (steps.score, lambda: _judge(workspace, day, steps)),
    ]
    receipts = []
    for step, do in work:
        began = time.perf_counter()
        status, rows, message = "skipped", 0, step.remark
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


@dataclass(frozen=True, eq=False)
class _Judged:
    """A region of the day, judged.

    Attributes:
        plan: of the region.
        fitted: what it was judged by.
        snippets: what was judged.
        standard: what the scores are held against: the budget's, μ's or a person's.
        verdict: by that standard.
        by_budget: by the alarm budget alone.
    """

    plan: RegionPlan
    fitted: Fitted
    snippets: Embeddings
    standard: Standard
    verdict: Verdict
    by_budget: Verdict

    def named(self, novelty: NoveltyTable) -> tuple[str, str, str]:
        """Head, version and region, as every row has them."""
        return novelty.name, self.fitted.version, self.plan.region


@dataclass(frozen=True, eq=False)
class _Ranked:
    """An event of a region: 1 is the camera's most unusual."""

    item: _Judged
    event: Event
    place: int
    alarm: bool


def _judge(workspace: Workspace, day: DayPlan, steps: DaySteps) -> tuple[int, str]:
    novelty, place = workspace.settings.novelty, day.place
    judged = [
        found for plan in steps.regions if (found := _judge_region(workspace, plan, steps.projection)) is not None
    ]
    parts = [score_rows(place, item.snippets, *item.named(novelty), _told(item.verdict)) for item in judged]
    scores = pa.concat_tables(parts) if parts else TABLES["scores"].schema.empty_table()
    ranked = _ranked(judged, novelty, [(item.standard, item.verdict) for item in judged])
    by_budget = _ranked(judged, novelty, [(item.fitted.standard, item.by_budget) for item in judged])
    rows = {
        "events": _event_rows(day, novelty, ranked),
        "standards": [_standard_row(item, novelty) for item in judged],
        "unusual": [_unusual_row(found, novelty) for found in by_budget if found.alarm],
    }
    rows["reasons"] = _reason_rows(workspace, ranked, rows["events"])
    # Scores last: what is there of them mean that the step is done.
    for path in steps.score.outputs[1:]:
        table = path.split("/", 1)[0]
        write_rows(workspace.store, path, table, place, rows[table])
    workspace.store.write_table(steps.score.outputs[0], scores)
    return scores.num_rows, "; ".join(_messages(steps, judged))


def _messages(steps: DaySteps, judged: Sequence[_Judged]) -> list[str]:
    told = {item.plan.region for item in judged}
    messages = [steps.score.remark] if steps.score.remark else []
    messages += [
        f"{plan.region}: too little footage to tell what is unusual"
        for plan in steps.regions
        if plan.region not in told
    ]
    messages += [
        f"{item.plan.region}: no earlier footage, compared with itself"
        for item in judged
        if item.fitted.version == SELF
    ]
    return messages


def _judge_region(workspace: Workspace, plan: RegionPlan, projection: ProjectionPlan | None) -> _Judged | None:
    """None where there is too little to compare."""
    mu = workspace.settings.novelty.mu
    snippets = read_embeddings(workspace.store, plan.snippets)
    fitted = head_for(workspace, plan, snippets, projection)
    if fitted is None:
        return None
    scores, spans = scores_of(fitted, snippets), (snippets.from_us, snippets.to_us)
    standard = fitted.standard
    by_budget = verdict = judge(standard, scores, *spans)
    if plan.deviations is not None or mu is not None:
        standard = standard.chosen(plan.deviations) if plan.deviations is not None else standard.with_mu(mu or 0.0)
        verdict = judge(standard, scores, *spans)
    return _Judged(plan, fitted, snippets, standard, verdict, by_budget)


def _ranked(
    judged: Sequence[_Judged], novelty: NoveltyTable, verdicts: Sequence[tuple[Standard, Verdict]]
) -> list[_Ranked]:
    """Events of all regions, ranked by how far they stand out of their region's normal.

    Of those that the budget found, the first moments are alarms; where μ or a person put the threshold, all are.
    """
    found = [
        (item, standard, event)
        for item, (standard, verdict) in zip(judged, verdicts, strict=True)
        for event in verdict.events
    ]
    order = rank(
        [standard.excess(event.peak_score) for _, standard, event in found], [event.from_us for *_, event in found]
    )
    left = math.ceil(novelty.alarms_per_night)
    ranked: list[_Ranked] = []
    alarms: list[Event] = []
    for place, position in enumerate(order, start=1):
        item, standard, event = found[position]
        alarm = standard.source != "budget"
        if not alarm and left:
            # What two regions see of one moment is one alarm.
            alarm = not any(other.from_us < event.to_us and other.to_us > event.from_us for other in alarms)
            left -= alarm
        alarms += [event] if alarm else []
        ranked.append(_Ranked(item, event, place, alarm))
    return ranked


def _event_rows(day: DayPlan, novelty: NoveltyTable, ranked: Sequence[_Ranked]) -> list[dict[str, Any]]:
    rows = []
    for found in ranked:
        item, standard = found.item, found.item.standard
        told = event_row(day.place, item.snippets, *item.named(novelty), found.event, standard.rule.threshold)
        deviations = finite(standard.excess(found.event.peak_score))
        rows.append({**told, "rank": found.place, "alarm": found.alarm, "deviations": deviations})
    return rows


def _reason_rows(
    workspace: Workspace, ranked: Sequence[_Ranked], events: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    rows = []
    for found, event in zip(ranked, events, strict=True):
        item = found.item
        regions = {region.name: region for region in workspace.regions(item.plan.camera)}
        region = regions[item.plan.region]
        names = {name: event[name] for name in ("head", "version", "region", "event_id")}
        rows.append({**names, **reason_of_event(workspace, item.fitted, item.snippets, found.event, region)})
    return rows


def _standard_row(item: _Judged, novelty: NoveltyTable) -> dict[str, Any]:
    standard = item.standard
    return {
        **dict(zip(("head", "version", "region"), item.named(novelty), strict=True)),
        "threshold": standard.rule.threshold,
        "source": standard.source,
        "hysteresis": standard.rule.hysteresis,
        "median": standard.median,
        "spread": standard.spread,
        "low": standard.scale.low,
        "high": standard.scale.high,
        "nights": standard.nights.count,
        "expected_alarms": standard.expected_alarms,
    }


def _unusual_row(found: _Ranked, novelty: NoveltyTable) -> dict[str, Any]:
    started_at, ended_at = (EPOCH + at * MICROSECOND for at in (found.event.from_us, found.event.to_us))
    names = dict(zip(("head", "version", "region"), found.item.named(novelty), strict=True))
    return {**names, "started_at": started_at, "ended_at": ended_at}


def _told(verdict: Verdict) -> dict[str, Any]:
    normalised = verdict.normalised.astype(np.float32)
    return {
        "score": verdict.scores,
        "probability": verdict.probabilities.astype(np.float32),
        "normalised": pa.array(normalised, mask=~np.isfinite(normalised)),
        "flagged": verdict.flagged,
    }
