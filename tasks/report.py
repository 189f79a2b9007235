"""The night's report: what ran, how long it took, what failed, and whether every recorded second is accounted for."""

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from footage.index import MICROSECONDS
from footage.sampling import STATES
from lake.keys import Place
from lake.ledger import RunRow
from lake.moments import moment_after
from tasks.alarms import STEP as CLASSIFY
from tasks.heads import STEP as RETRIEVE
from tasks.heads import SUSPENDED
from tasks.inventory import USABLE, Row
from tasks.limits import DEADLINE
from tasks.plan import FRAMES_SCOPE, DayPlan, Selection, plan_days, recordings_of
from tasks.receipts import Receipt
from tasks.rows import finite
from tasks.standing import standing_matters
from workspace.opened import Workspace
from workspace.retention.deleted import deleted_now

STEPS = ("ingest", "embed", "health", "fit", "score", "segment", "summarise", "publish")
"""Steps of every night. `retrieve` and `classify` come after `score` where heads are in service and alarms switched on, and
`digest` and `queue` come last where there are summaries, and something to ask about."""
DIGEST, QUEUE = "digest", "queue"
FAILED_ONLY = "what failed"
"""What a run is limited to that only takes up what failed."""
NIGHT, BACKFILL = "night", "backfill"
"""Kinds of runs over camera days."""
SITE_DAY = date(1970, 1, 1)
TOLERANCE_S = 0.001


@dataclass
class NightReport:
    """What a run has done; `status` is complete, partial (it started nothing new from some moment on) or incomplete."""

    run: str
    started_at: datetime
    status: str = "complete"
    steps: list[dict[str, Any]] = field(default_factory=list)
    decoded_s: float = 0.0
    shown_s: float = 0.0
    """Seconds decoded again for videos and pictures that people look at."""
    seconds: float = 0.0
    coverage: list[dict[str, Any]] = field(default_factory=list)
    ingest: dict[str, Any] = field(default_factory=dict)
    attention: list[str] = field(default_factory=list)
    events: int = 0
    alarms: int = 0
    expected_alarms: list[dict[str, Any]] = field(default_factory=list)
    """What each camera's thresholds would raise in a normal night; see `expected_alarms_of`."""
    ingested: dict[str, Any] = field(default_factory=lambda: {"done": 0, "skipped": 0, "failed": 0, "seconds": 0.0})
    failures: dict[str, None] = field(default_factory=dict)
    """What failed, each told once."""
    untold: list[str] = field(default_factory=list)
    """What kept alarms from being told to people; the night is no less complete for it."""
    of_workers: list[str] = field(default_factory=list)
    """Workers that were not given tasks, and why; what they would have done, others did."""
    alarms_by_head: dict[str, int] = field(default_factory=dict)
    """Alarms of each head, by the name it has in the settings."""
    queued: int = 0
    """Snippets that people are asked to judge next, of all campaigns that the run was about."""
    kind: str = NIGHT
    limited_to: str = ""
    """What the run was about, in words, where it was not about all that there is: no such run is the night that was due."""
    left_shards: dict[str, int] = field(default_factory=dict)
    """Shards that were not begun, by why."""
    left_days: dict[str, int] = field(default_factory=dict)
    """Camera days that are embedded and were not taken further, by why."""
    kept_days: int = 0
    """Camera days of which something was left that had been analysed before: what was made of them then counts on."""

    @property
    def is_cut_short(self) -> bool:
        """Whether anything was left that could have been made."""
        return bool(self.left_shards or self.left_days)

    def as_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "kind": self.kind,
            "limited_to": self.limited_to,
            "status": self.status,
            "started_at": self.started_at.isoformat(),
            "seconds": round(self.seconds, 3),
            "steps": self.steps,
            "decoded_s": round(self.decoded_s, 3),
            "shown_s": round(self.shown_s, 3),
            "coverage": self.coverage,
            "ingest": self.ingest,
            "events": self.events,
            "alarms": self.alarms,
            "alarms_by_head": self.alarms_by_head,
            "expected_alarms": self.expected_alarms,
            "queued": self.queued,
            "left": {
                "shards": sum(self.left_shards.values()),
                "days": sum(self.left_days.values()),
                "kept_days": self.kept_days,
                "why": sorted({*self.left_shards, *self.left_days}),
            },
            "attention": self.attention,
        }

    def row(self) -> RunRow:
        """The row that closes the run in the ledger."""
        finished_at = datetime.now(UTC)
        status = {"complete": "done", "partial": "partial"}.get(self.status, "failed")
        return RunRow(
            run_id=self.run,
            step="night",
            campaign="",
            camera="",
            day=SITE_DAY,
            scope="",
            key=self.run,
            status=status,
            started_at=self.started_at,
            finished_at=finished_at,
            seconds=self.seconds,
            decoded_s=self.decoded_s,
            message=json.dumps(self.as_json()),
        )


def new_report(kind: str = NIGHT) -> NightReport:
    """The report of a night that begins now; its run is named by the time and a few letters to tell two apart.

    Args:
        kind: `backfill` of one.
    """
    now = datetime.now(UTC)
    return NightReport(f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}", now, kind=kind)


def count_steps(receipts: Iterable[Receipt], ingested: dict[str, Any]) -> list[dict[str, Any]]:
    """How often each step was done, skipped and failed, and the seconds of work in it."""
    receipts = list(receipts)
    steps = list(STEPS)
    for step in (RETRIEVE, CLASSIFY):
        if any(receipt.step == step for receipt in receipts):
            steps.insert(steps.index("segment"), step)
    steps += [step for step in (DIGEST, QUEUE) if any(receipt.step == step for receipt in receipts)]
    counts: dict[str, dict[str, Any]] = {
        step: {"step": step, "done": 0, "skipped": 0, "failed": 0, "seconds": 0.0} for step in steps
    }
    counts["ingest"].update(ingested)
    for receipt in receipts:
        line = counts[receipt.step]
        line["failed" if receipt.status in ("failed", "partial") else receipt.status] += 1
        line["seconds"] = round(line["seconds"] + receipt.seconds, 3)
    return list(counts.values())


def close_night(
    workspace: Workspace,
    report: NightReport,
    selection: Selection,
    rows: Sequence[Row],
    receipts: Sequence[Receipt],
    late: int = 0,
) -> None:
    """Add the night up, judge it, and enter it into the ledger.

    The night is incomplete where a step failed or a recorded second is not accounted for; where it only left something for
    the next run, as its deadline makes it, it is partial.

    Args:
        workspace: the site.
        report: of the run so far.
        selection: what the run was about.
        rows: of the recordings, as they are now.
        receipts: of all that was done or found there.
        late: shards that the deadline came before, beside those that the report tells of.
    """
    report.limited_to = report.limited_to or selection.words
    if late:
        report.left_shards[DEADLINE] = report.left_shards.get(DEADLINE, 0) + late
    mine = [row for row in rows if row["camera"] and selection.takes(Place(row["campaign"], row["camera"], row["day"]))]
    days = [day for day in plan_days(workspace, recordings_of(workspace, rows)) if selection.takes(day.place)]
    report.coverage = coverage_of(workspace, days, mine)
    report.steps = count_steps(receipts, report.ingested)
    report.decoded_s = sum(receipt.decoded_s for receipt in receipts if receipt.step == "embed")
    report.shown_s = sum(receipt.decoded_s for receipt in receipts if receipt.step in ("publish", DIGEST))
    report.events, report.alarms_by_head = _count_events(workspace, receipts)
    report.alarms = sum(report.alarms_by_head.values())
    report.expected_alarms = expected_alarms_of(workspace, receipts)
    report.queued = _count_queued(workspace, receipts)
    report.attention = attention_of(report, list(report.failures), standing_matters(workspace, receipts))
    covered = all(is_covered(line) for line in report.coverage)
    if report.failures or (not covered and not report.is_cut_short):
        report.status = "incomplete"
    elif report.is_cut_short:
        report.status = "partial"
    report.seconds = (datetime.now(UTC) - report.started_at).total_seconds()
    finished_at = moment_after(workspace.ledger, "runs", "finished_at")
    workspace.ledger.record([replace(report.row(), finished_at=finished_at)])
    for table in ("runs", "recordings"):
        workspace.ledger.compact(table)


def _count_events(workspace: Workspace, receipts: Sequence[Receipt]) -> tuple[int, dict[str, int]]:
    """Events of all heads, and alarms by head; heads that raise none by their nature are left out, and those that were
    suspended: none looked for is not none found."""
    events = 0
    alarms: dict[str, int] = {}
    for receipt in receipts:
        for path in (path for path in receipt.outputs if path.startswith("events/")):
            raised = workspace.store.read_table(path, ["alarm"])["alarm"].to_pylist()
            events += len(raised)
            if receipt.step != RETRIEVE and not receipt.message.startswith(f"{SUSPENDED}:"):
                alarms[receipt.scope] = alarms.get(receipt.scope, 0) + sum(raised)
    return events, dict(sorted(alarms.items()))


def _count_queued(workspace: Workspace, receipts: Sequence[Receipt]) -> int:
    """Rows of the queues that count."""
    paths = {path for receipt in receipts for path in receipt.outputs if path.startswith(f"{QUEUE}/")}
    return sum(workspace.store.read_table(path, ["rank"]).num_rows for path in paths)


def expected_alarms_of(workspace: Workspace, receipts: Sequence[Receipt]) -> list[dict[str, Any]]:
    """What each camera's thresholds would raise in a night like those it knows to be normal, a line for each camera.

    It is that of the newest day of the run, from the normal scores alone: no anomaly needs to be labelled. The regions are
    added up, so what two of them see of one moment counts twice. A camera that was not judged has no line.

    Returns:
        `camera`; `per_night`: events per normal night; `regions`: each with its `threshold`, what set it (`source`: budget,
        mu or chosen), `per_night` and the `nights` that tell.
    """
    newest: dict[str, tuple[date, str]] = {}
    for receipt in receipts:
        for path in receipt.outputs:
            if path.startswith("standards/"):
                camera, day = receipt.place.camera, receipt.place.day
                newest[camera] = max(newest.get(camera, (day, path)), (day, path))
    lines = []
    for camera, (_, path) in sorted(newest.items()):
        rows = workspace.store.read_table(path).sort_by("region").to_pylist()
        regions = [
            {
                "region": row["region"],
                "threshold": finite(row["threshold"]),
                "source": row["source"],
                "per_night": round(row["expected_alarms"], 3),
                "nights": row["nights"],
            }
            for row in rows
        ]
        if regions:
            per_night = round(sum(row["expected_alarms"] for row in rows), 3)
            lines.append({"camera": camera, "per_night": per_night, "regions": regions})
    return lines


def coverage_of(workspace: Workspace, days: Sequence[DayPlan], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Seconds of each state per camera and day, beside the recorded seconds they must add up to.

    Recordings that cannot be used but have a length count as corrupt, those of skipped cameras as skipped, and shards
    that are not embedded as nothing at all: then the sums do not match, and the night is incomplete. Of recordings
    that are gone, the part that was embedded counts. Those of which retention deleted the results count as skipped;
    `deleted_s` says how much that is, where there is any.
    """
    closed = deleted_now(workspace.ledger).closed
    deleted: dict[tuple[str, str, date], float] = defaultdict(float)
    sums: dict[tuple[str, str, date], dict[str, float]] = defaultdict(lambda: dict.fromkeys((*STATES, "recorded"), 0.0))
    for row in rows:
        place = (row["campaign"], row["camera"], row["day"])
        if row["status"] in USABLE or (row["status"] == "quarantined" and row["duration_us"]):
            sums[place]["recorded"] += row["duration_us"] / MICROSECONDS
            if row["status"] == "quarantined":
                sums[place]["corrupt"] += row["duration_us"] / MICROSECONDS
            elif workspace.settings.skips(row["camera"]) or row["recording_id"] in closed:
                sums[place]["skipped"] += row["duration_us"] / MICROSECONDS
                deleted[place] += row["duration_us"] / MICROSECONDS if row["recording_id"] in closed else 0.0
    for day in days:
        place = (day.place.campaign, day.place.camera, day.place.day)
        sums[place]["recorded"] += sum(shard.seconds for shard in day.shards if not shard.recording.there)
        for product in day.products(FRAMES_SCOPE):
            if product.exists:
                for state, seconds in _seconds(workspace.store.read_table(product.paths[1])).items():
                    sums[place][state] += seconds
    return [
        {
            "campaign": campaign,
            "camera": camera,
            "day": day.isoformat(),
            "recorded_s": round(told["recorded"], 6),
            **{f"{state}_s": round(told[state], 6) for state in STATES},
            **({"deleted_s": round(seconds, 6)} if (seconds := deleted[campaign, camera, day]) else {}),
        }
        for (campaign, camera, day), told in sorted(sums.items())
    ]


def is_covered(line: dict[str, Any]) -> bool:
    """Whether the states of a line of the coverage add up to the recorded time."""
    return bool(abs(line["recorded_s"] - sum(line[f"{state}_s"] for state in STATES)) <= TOLERANCE_S)


def _seconds(table: pa.Table) -> dict[str, float]:
    spans = table.append_column("us", pc.subtract(table["to_us"], table["from_us"]))
    summed = spans.group_by("state").aggregate([("us", "sum")])
    return {row["state"]: row["us_sum"] / MICROSECONDS for row in summed.to_pylist()}


def attention_of(report: NightReport, failures: Sequence[str], standing: Sequence[str] = ()) -> list[str]:
    """What a person should look at in the morning, most pressing first."""
    lines = [*failures, *report.untold, *report.of_workers, *_left(report)]
    for line in report.coverage:
        place = f"{line['campaign']} · {line['camera']} · {line['day']}"
        if not is_covered(line):
            accounted = sum(line[f"{state}_s"] for state in STATES)
            lines.append(f"{place}: {accounted:.1f} of {line['recorded_s']:.1f} recorded seconds are accounted for")
        if line["corrupt_s"] or line["missing_s"]:
            lines.append(f"{place}: {line['corrupt_s']:.1f} s corrupt, {line['missing_s']:.1f} s missing")
    lines += standing
    lines += [f"{item['path']}: {item['status']} — {item['reason']}" for item in report.ingest.get("problems", [])]
    return lines


def _left(report: NightReport) -> list[str]:
    """What was left for the next run, and why."""
    lines = []
    for why in dict.fromkeys((*report.left_shards, *report.left_days)):
        shards, days = report.left_shards.get(why, 0), report.left_days.get(why, 0)
        if why == DEADLINE and not days:
            lines.append(f"the deadline came before {shards} shards; the next run takes them up")
            continue
        counts = [f"{shards} shards to embed"] if shards else []
        counts += [f"{days} camera days to go on with"] if days else []
        lines.append(f"{why}; {' and '.join(counts)} are left for the next run")
    if report.kept_days:
        lines.append(
            f"{report.kept_days} camera days keep what was made of them before until the rest of them is made anew"
        )
    return lines
