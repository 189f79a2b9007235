"""What the ledger says of past nights."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from lake.keys import Place
from lake.ledger import newest
from tasks.inventory import USABLE, Row
from workspace.opened import Workspace


def last_nights(workspace: Workspace) -> dict[str, Any]:
    """The last night's report, and the run that has not closed, if there is one.

    Returns:
        `last`: a report or None; `running`: run, steps so far and the age of the newest, or None.
    """
    # A refit is no night, and goes on beside one.
    rows = [row for row in workspace.ledger.rows("runs").to_pylist() if row["step"] != "refit"]
    nights = [row for row in rows if row["step"] == "night"]
    closed = {row["run_id"] for row in nights}
    last = max(nights, key=lambda row: row["finished_at"], default=None)
    since = last["finished_at"] if last is not None else datetime.min.replace(tzinfo=UTC)
    open_rows = [row for row in rows if row["run_id"] not in closed and row["finished_at"] > since]
    running = None
    if open_rows:
        newest = max(open_rows, key=lambda row: row["finished_at"])
        age = datetime.now(UTC) - newest["finished_at"]
        running = {"run": newest["run_id"], "steps": len(open_rows), "age": f"{age.total_seconds():.0f} s"}
    return {"last": None if last is None else json.loads(last["message"]), "running": running}


def failed_places(workspace: Workspace, examined: Sequence[Row]) -> set[Place]:
    """Camera days whose newest word on some step is that it failed or was left unfinished, and those of files that
    have just been taken out of quarantine."""
    rows = workspace.ledger.rows("runs").to_pylist()
    latest = newest(rows, ("step", "campaign", "camera", "day", "scope"), "finished_at")
    failed = [row for row in latest if row["status"] in ("failed", "partial") and row["camera"]]
    mended = [row for row in examined if row["status"] in USABLE]
    return {Place(row["campaign"], row["camera"], row["day"]) for row in [*failed, *mended]}
