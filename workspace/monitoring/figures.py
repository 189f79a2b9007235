"""The figures that an operator's monitoring sees: of the last night, of the run at work, of recordings, queues and disks.

They are read from the ledger and the state folder; nothing is decoded, and no lock is taken.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Literal

from footage.sampling import STATES
from lake.current import current_outputs, recordings_now
from lake.keys import Place
from workspace.monitoring.running import running_now
from workspace.opened import Workspace
from workspace.retention.deleted import GONE, deleted_now, entries_now
from workspace.retention.holds import holds_now
from workspace.room import room_left

PREFIX = "afterwatch"
NIGHT_STATES = ("complete", "partial", "incomplete")
RECORDING_STATES = ("ready", "partial", "quarantined", "duplicate", "gone")
USABLE = ("ready", "partial")
RUNS = ("night", "backfill")
POLICIES = ("superseded", "published", "results", "footage")

Row = dict[str, Any]
Values = dict[tuple[str, ...], float]


@dataclass(frozen=True)
class Figure:
    """A figure with all of its values.

    Attributes:
        name: without the prefix; its last word is the unit, where it has one.
        told: what it is, in a sentence.
        values: by the values of its labels.
        labels: their names.
        kind: how it goes: a counter only ever goes up.
    """

    name: str
    told: str
    values: Mapping[tuple[str, ...], float]
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


def one(name: str, told: str, value: float) -> Figure:
    """A figure without labels."""
    return Figure(name, told, {(): float(value)})


def by(label: str, name: str, told: str, values: Mapping[str, float]) -> Figure:
    """A figure with one label."""
    return Figure(name, told, {(key,): float(value) for key, value in values.items()}, (label,))


def figures(workspace: Workspace, now: datetime | None = None) -> list[Figure]:
    """All figures as they are now. A part that cannot be read is told as such, and the others are told all the same."""
    moment = datetime.now(UTC) if now is None else now
    parts: dict[str, Callable[[], Iterator[Figure]]] = {
        "night": lambda: _night(workspace, moment),
        "run": lambda: _run(workspace),
        "recordings": lambda: _recordings(workspace),
        "queue": lambda: _queue(workspace),
        "deliveries": lambda: _deliveries(workspace),
        "room": lambda: _room(workspace),
        "retention": lambda: _retention(workspace),
    }
    found = [by("version", "build_info", "The version that tells.", {version("afterwatch"): 1})]
    readable: dict[str, float] = {}
    for name, part in parts.items():
        try:
            found += list(part())
            readable[name] = 1
        except Exception:  # noqa: BLE001 — whatever is damaged is told as such, and monitoring goes on
            readable[name] = 0
    return [*found, by("part", "readable", "Whether a part of these figures could be read: 1 or 0.", readable)]


def last_night(workspace: Workspace) -> tuple[Row, Row] | None:
    """The newest row that closes a night or a backfill, and the report in it; None before the first."""
    rows = workspace.ledger.rows("runs").to_pylist()
    closing = max((row for row in rows if row["step"] == "night"), key=lambda row: row["finished_at"], default=None)
    return None if closing is None else (closing, json.loads(closing["message"]))


def _night(workspace: Workspace, now: datetime) -> Iterator[Figure]:
    found = last_night(workspace)
    if found is None:
        return
    row, report = found
    status = {name: float(report["status"] == name) for name in NIGHT_STATES}
    yield by("status", "night_status", "How the last night ended: 1 for its status, 0 for the others.", status)
    began, ended = row["started_at"].timestamp(), row["finished_at"].timestamp()
    yield one("night_started_timestamp_seconds", "When the last night began, in Unix time.", began)
    yield one("night_finished_timestamp_seconds", "When the last night ended, in Unix time.", ended)
    yield one("night_age_seconds", "Time since the last night ended.", now.timestamp() - ended)
    yield one("night_duration_seconds", "How long the last night took.", report["seconds"])
    lines = report["coverage"]
    covered = {name: sum(line[f"{name}_s"] for line in lines) for name in (*STATES, "recorded")}
    yield by("state", "night_footage_seconds", "Recorded time that the last night accounted for, by state.", covered)
    states = ("done", "skipped", "failed")
    steps: Values = {(step["step"], name): float(step[name]) for step in report["steps"] for name in states}
    yield Figure("night_steps", "Steps of the last night, by what became of them.", steps, ("step", "status"))
    left = sum(max(0.0, line["recorded_s"] - sum(line[f"{name}_s"] for name in STATES)) for line in lines)
    yield one("night_unaccounted_seconds", "Recorded time that the last night left unaccounted for.", left)
    shards = report.get("left", {}).get("shards", 0)
    yield one("night_left_shards", "Shards that the last night left for the next run.", shards)
    yield one("night_attention", "Matters of the last night that want attention.", len(report["attention"]))
    yield one("night_events", "Events of the days that the last night was about.", report["events"])
    alarms = report.get("alarms_by_head", {})
    yield by("head", "night_alarms", "Alarms of the days that the last night was about, by head.", alarms)


def _run(workspace: Workspace) -> Iterator[Figure]:
    running = running_now(workspace)
    at_work = {kind: float(running is not None and running.kind == kind) for kind in RUNS}
    yield by("kind", "run_active", "Whether a night or a backfill is at work on this machine: 1 or 0.", at_work)
    if running is None:
        return
    yield one("run_steps", "Steps that the run at work has entered so far.", running.steps)
    yield one("run_camera_days", "Camera days that the run at work has entered so far.", running.days)
    if running.newest_at is not None:
        told = "When the run at work last entered a step, in Unix time."
        yield one("run_newest_step_timestamp_seconds", told, running.newest_at.timestamp())


def _recordings(workspace: Workspace) -> Iterator[Figure]:
    rows = recordings_now(workspace.ledger)
    counts = Counter(row["status"] for row in rows)
    states = {name: counts[name] for name in RECORDING_STATES}
    yield by("status", "recordings", "Files that were ever found, by what they are now.", states)
    outputs = current_outputs(workspace.ledger)
    looked_at = {Place(item.campaign, item.camera, item.day) for item in outputs if item.table == "coverage"}
    closed = deleted_now(workspace.ledger).closed
    waiting = [
        row
        for row in rows
        if row["status"] in USABLE
        and not workspace.settings.skips(row["camera"])
        and row["recording_id"] not in closed
        and Place(row["campaign"], row["camera"], row["day"]) not in looked_at
    ]
    days = {(row["campaign"], row["camera"], row["day"]) for row in waiting}
    yield one("backlog_camera_days", "Camera days with recordings, of which none was analysed yet.", len(days))
    yield one(
        "backlog_seconds", "Recorded time of these camera days.", sum(row["duration_us"] for row in waiting) / 1e6
    )


def _queue(workspace: Workspace) -> Iterator[Figure]:
    from workspace.queue_items import read_queue  # brings the arithmetic of heads along

    told = "Snippets that people are asked to judge and have not."
    yield one("queue_length", told, len(read_queue(workspace).left))


def _deliveries(workspace: Workspace) -> Iterator[Figure]:
    from workspace.notifications.pending import pending

    table = workspace.settings.notifications
    names = [*(channel.name for channel in table.email), *(channel.name for channel in table.webhook)]
    waiting = {name: len(pending(workspace, name)) for name in names}
    yield by("channel", "deliveries_waiting", "Events that a channel is still to tell.", waiting)


def _room(workspace: Workspace) -> Iterator[Figure]:
    room = room_left(workspace)
    yield one("room_free_bytes", "Free bytes of the fullest disk that runs write to.", room.free_bytes)
    yield one("room_reserve_bytes", "Free bytes below which a run starts nothing new.", room.reserve_bytes)


def _retention(workspace: Workspace) -> Iterator[Figure]:
    yield one("holds", "Holds that count.", len(holds_now(workspace.ledger)))
    gone = Counter(entry.policy for entry in entries_now(workspace.ledger) if entry.state == GONE)
    counts: Values = {(policy,): float(gone[policy]) for policy in POLICIES}
    yield Figure("deleted_files", "Files that retention has deleted, by policy.", counts, ("policy",), "counter")
