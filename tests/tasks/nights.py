"""Nights of a small site without an orchestrator: the steps in the flow's order, each by its plain function."""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from afterwatch.workspace_files import link_footage, make_workspace
from footage.sampling import STATES
from infra.settings import SETTINGS_FILE
from lake.ledger import Statement
from tasks.camera import best_first, embed_receipts, step_receipts
from tasks.classify import classify_day
from tasks.decisions import keep_decisions
from tasks.digest import digest_day
from tasks.embed import embed_shards
from tasks.ingest import enter, examine_file
from tasks.inventory import Inventory, Row, report, take_inventory
from tasks.plan import FRAMES_SCOPE, DayPlan, Selection
from tasks.publish import publish_day
from tasks.queue import queue_campaign, queues_due
from tasks.receipts import Receipt, ShardOutcome, record
from tasks.report import NightReport, close_night, new_report
from tasks.retrieve import retrieve_day
from tasks.score import score_day
from tasks.segment import segment_day
from tasks.step_plans import DaySteps
from tasks.steps import plan_whole_camera
from tasks.summarise import summarise_day
from tests.tasks.planned import EVERYTHING, plan
from workspace.opened import Workspace

EAST, NORTH = "hall-east", "hall-north"
MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)
HATCH = [[0.35, 0.4], [0.72, 0.4], [0.72, 0.9], [0.35, 0.9]]

SETTINGS: Mapping[str, Any] = {
    "encoders": [
        {"name": "handcrafted/appearance"},
        {"name": "handcrafted/motion", "stride_s": 0.5},
    ],
    "novelty": {
        "neighbours": 3,
        "minimum_reference": 10,
        "exclusion_s": 1.0,
        "smooth_s": 1.0,
        "merge_gap_s": 1.0,
        "floor_mad": 1.0,
        "alarms_per_night": 2.0,
    },
    "summary": {
        "segment_s": 2.0,
        "budget_s": 12.0,
        "proxy_width": 128,
        "proxy_margin_s": 1.0,
        "proxy_rate_hz": 4.0,
        "keyframes": 4,
    },
    "compute": {"decode_threads": 1},
}
"""As said for every small site: so little footage needs short snippets, and few of them."""


def configure(root: Path, changes: Mapping[str, Any] | None = None) -> Workspace:
    """Write the settings of a site, tables of `changes` over those of `SETTINGS`."""
    told: dict[str, Any] = dict(SETTINGS)
    for name, table in (changes or {}).items():
        told[name] = {**told.get(name, {}), **table} if isinstance(table, Mapping) else table
    plain = [f"{name} = {_toml(value)}" for name, value in told.items() if not isinstance(value, Mapping)]
    tables = [f"{name} = {_toml(value)}" for name, value in told.items() if isinstance(value, Mapping)]
    text = "\n".join([*plain, *tables]) + "\n"
    tomllib.loads(text)
    (root / SETTINGS_FILE).write_text(text, encoding="utf-8")
    return Workspace(root)


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case Mapping():
            return "{" + ", ".join(f'"{name}" = {_toml(inner)}' for name, inner in value.items()) + "}"
        case str():
            return f'"{value}"'
        case int() | float():
            return repr(value)
        case _:
            return "[" + ", ".join(map(_toml, value)) + "]"


def new_site(folder: Path, footage: Path | None = None, changes: Mapping[str, Any] | None = None) -> Workspace:
    """A workspace in `folder`, with a campaign `demo` linked in where `footage` is given."""
    root = make_workspace(folder)
    if footage is not None:
        link_footage(root, footage, "demo")
    return configure(root, changes)


def say_region(workspace: Workspace, camera: str, name: str, outline: Sequence[Sequence[float]] | None) -> Workspace:
    """Draw a region, or take it back; returns the workspace opened anew."""
    said = Statement(f"{camera}/{name}", "tests", outline, camera=camera)
    workspace.ledger.say("regions", [said])
    return Workspace(workspace.site.root)


@dataclass
class Night:
    """What a night did."""

    inventory: Inventory
    rows: list[Row]
    report: NightReport
    outcomes: list[ShardOutcome] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)

    def done(self) -> set[tuple[str, str, str, str]]:
        """(camera, day, step, scope) of everything that was made of a camera's day; digests and queues are of all cameras."""
        made = (receipt for receipt in self.receipts if receipt.status == "done" and receipt.place.camera)
        return {(made.place.camera, made.place.day.isoformat(), made.step, made.scope) for made in made}

    def failed(self) -> list[Receipt]:
        return [receipt for receipt in self.receipts if receipt.status in ("failed", "partial")]


def ingest(workspace: Workspace, *, retry: bool = False) -> tuple[Inventory, list[Row]]:
    """Examine what is new and enter it; returns the inventory, and the rows that count now."""
    inventory = take_inventory(workspace, retry=retry)
    examined = enter(workspace, inventory, [examine_file(workspace, file) for file in inventory.new])
    return inventory, [*inventory.present, *examined]


def run(workspace: Workspace, selection: Selection = EVERYTHING, *, retry: bool = False) -> Night:
    """A whole night."""
    told = new_report()
    inventory, rows = ingest(workspace, retry=retry)
    night = Night(inventory, rows, told)
    failed = sum(row["status"] == "quarantined" for row in rows[len(inventory.present) :])
    told.ingested = {
        "done": len(inventory.new) - failed,
        "skipped": len(inventory.present),
        "failed": failed,
        "seconds": 0.0,
    }
    days = plan(workspace, rows)
    chosen = [day for day in days if selection.takes(day.place)]
    for mine in best_first(chosen):
        outcomes = embed_shards(workspace, [shard for day in mine for shard in day.shards if shard.todo], 1)
        night.outcomes += outcomes
        now = {day.place: day for day in plan(workspace, rows)}
        receipts = [receipt for day in mine for receipt in embed_receipts(day, now[day.place], outcomes)]
        same = [day for place, day in now.items() if place.camera == mine[0].place.camera]
        places = {day.place for day in mine}
        planned = plan_whole_camera(workspace, same, places)
        keep_decisions(workspace, planned, places)
        for day, steps in planned:
            if day.place in places and any(product.exists for product in day.products(FRAMES_SCOPE)):
                receipts += step_receipts(steps) if steps.exist else finish_day(workspace, day, steps)
        record(workspace.ledger, told.run, receipts)
        night.receipts += receipts
    digests = sorted({(day.place.campaign, day.place.day) for day in chosen})
    receipts = [digest_day(workspace, campaign, day, 1) for campaign, day in digests]
    record(workspace.ledger, told.run, receipts)
    night.receipts += receipts
    queues = queues_due(workspace, [day.place for day in chosen])
    receipts = [receipt for queue in queues for receipt in queue_campaign(workspace, queue)]
    record(workspace.ledger, told.run, receipts)
    night.receipts += receipts
    for receipt in night.failed():
        told.failures.setdefault(f"{receipt.place}: {receipt.step} failed — {receipt.message}")
    told.ingest = report(inventory, rows[len(inventory.present) :], workspace.settings.footage.gap_s)
    late = sum(outcome.status == "late" for outcome in night.outcomes)
    close_night(workspace, told, selection, rows, night.receipts, late)
    return night


def finish_day(workspace: Workspace, day: DayPlan, steps: DaySteps) -> list[Receipt]:
    """Score, retrieve, classify, segment, summarise and publish a day."""
    receipts = [*score_day(workspace, day, steps), *retrieve_day(workspace, day, steps)]
    receipts += classify_day(workspace, day, steps)
    receipts += [segment_day(workspace, day, steps), summarise_day(workspace, day, steps)]
    return [*receipts, publish_day(workspace, day, steps, 1)]


def table_of(workspace: Workspace, paths: Sequence[str]) -> pa.Table:
    """The rows of several files, one after the other."""
    return pa.concat_tables([workspace.store.read_table(path) for path in paths])


def seconds_us(table: pa.Table) -> dict[str, int]:
    """Microseconds of each state in a table of coverage."""
    sums = dict.fromkeys(STATES, 0)
    for row in table.to_pylist():
        sums[row["state"]] += row["to_us"] - row["from_us"]
    return sums


def tree(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
