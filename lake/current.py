"""What counts now: the newest word of the ledgers on every file, recording and statement."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from infra.errors import LakeError
from lake.ledger import FINISHED, Ledger, newest


@dataclass(frozen=True)
class Output:
    """A file that counts: the newest word of the ledger on a step, a camera's day and a scope names it.

    `run_id` is the run that said so, which may have found it there.
    """

    table: str
    campaign: str
    camera: str
    day: date
    scope: str
    path: str
    run_id: str


def current_outputs(ledger: Ledger) -> list[Output]:
    """The files that count, in order of place and path."""
    return outputs_of(ledger.rows("runs").to_pylist())


def outputs_of(runs: Sequence[dict[str, Any]]) -> list[Output]:
    """The files that count by these rows of `runs`, oldest first; in order of place and path.

    Segments that were written with their summary, as they were before they were a step of their own, do not: they say
    nothing of what weights are applied to. A night measures them anew, of what is embedded.
    """
    rows = [row for row in runs if row["status"] in FINISHED]
    latest = newest(rows, ("step", "campaign", "camera", "day", "scope"), "finished_at")
    outputs = [
        Output(path.split("/", 1)[0], row["campaign"], row["camera"], row["day"], row["scope"], path, row["run_id"])
        for row in latest
        for path in row["outputs"]
        if not (row["step"] == "summarise" and path.startswith("segments/"))
    ]
    return sorted(outputs, key=lambda output: (output.table, output.campaign, output.camera, output.day, output.path))


def runs_began(ledger: Ledger) -> dict[str, datetime]:
    """When each run began at the latest: the second that it is named by, or its first row where that is earlier."""
    began: dict[str, datetime] = {}
    for row in ledger.rows("runs").select(["run_id", "started_at"]).to_pylist():
        name, moment = row["run_id"], row["started_at"]
        if name not in began:
            began[name] = _named_moment(name) or moment
        began[name] = min(began[name], moment)
    return began


def _named_moment(run_id: str) -> datetime | None:
    with suppress(ValueError):
        return datetime.strptime(run_id[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return None


def recordings_now(ledger: Ledger) -> list[dict[str, Any]]:
    """The newest row of each recording's path, in order of path; files that have gone are left in, as `gone`."""
    return recordings_of(ledger.rows("recordings").to_pylist())


def recordings_of(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same of these rows of `recordings`, oldest first."""
    return newest(rows, ("path",), "seen_at")


def statements_now(ledger: Ledger, table: str, *, each_author: bool = False) -> list[dict[str, Any]]:
    """What counts of a table of statements: the newest of each key, its value decoded; what was taken back is gone.

    Args:
        ledger: of the lake.
        table: one of `STATEMENTS`.
        each_author: the newest of each key and author; else of all authors together.
    """
    keys = ("campaign", "camera", "key", *(("author",) if each_author else ()))
    latest = newest(ledger.rows(table).to_pylist(), keys, "said_at")
    decoded = [{**row, "value": _decoded(table, row)} for row in latest]
    return [row for row in decoded if row["value"] is not None]


def _decoded(table: str, row: dict[str, Any]) -> Any:
    try:
        return json.loads(row["value"])
    except (TypeError, ValueError):
        raise LakeError(
            f"{table} holds a statement of {row['author']!r} on {row['key']!r} that is no JSON; say it again, or take it back"
        ) from None
