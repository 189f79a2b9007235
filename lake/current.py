"""What counts now: the newest word of the ledgers on every file, recording and statement."""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

from lake.ledger import FINISHED, Ledger, newest


@dataclass(frozen=True)
class Output:
    """A file that counts: the newest word of the ledger on a step, a camera's day and a scope names it."""

    table: str
    campaign: str
    camera: str
    day: date
    scope: str
    path: str


def current_outputs(ledger: Ledger) -> list[Output]:
    """The files that count, in order of place and path."""
    rows = [row for row in ledger.rows("runs").to_pylist() if row["status"] in FINISHED]
    latest = newest(rows, ("step", "campaign", "camera", "day", "scope"), "finished_at")
    outputs = [
        Output(path.split("/", 1)[0], row["campaign"], row["camera"], row["day"], row["scope"], path)
        for row in latest
        for path in row["outputs"]
    ]
    return sorted(outputs, key=lambda output: (output.table, output.campaign, output.camera, output.day, output.path))


def recordings_now(ledger: Ledger) -> list[dict[str, Any]]:
    """The newest row of each recording's path, in order of path; files that have gone are left in, as `gone`."""
    return newest(ledger.rows("recordings").to_pylist(), ("path",), "seen_at")


def statements_now(ledger: Ledger, table: str, *, each_author: bool = False) -> list[dict[str, Any]]:
    """What counts of a table of statements: the newest of each key, its value decoded; what was taken back is gone.

    Args:
        ledger: of the lake.
        table: one of `STATEMENTS`.
        each_author: the newest of each key and author; else of all authors together.
    """
    keys = ("campaign", "camera", "key", *(("author",) if each_author else ()))
    latest = newest(ledger.rows(table).to_pylist(), keys, "said_at")
    decoded = [{**row, "value": json.loads(row["value"])} for row in latest]
    return [row for row in decoded if row["value"] is not None]
