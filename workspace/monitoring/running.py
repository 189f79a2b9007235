"""Which run is at work in a workspace, told without touching its lock: who asks must never be what keeps a night from beginning."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from lake.ledger import Ledger
from workspace.opened import Workspace

LOCK = "night.lock"
"""File of the state folder that a run holds locked, and writes the number of its process into."""
CLOSING = ("night", "refit")
"""Steps whose rows close a run, or are all of it."""


@dataclass(frozen=True)
class Running:
    """A run at work.

    Attributes:
        kind: night or backfill.
        process: its number.
        run: its name; empty until its first step is entered.
        steps: that it has entered so far.
        days: camera days that these are of.
        newest_at: when the last of them was entered; None likewise.
    """

    kind: str
    process: int
    run: str = ""
    steps: int = 0
    days: int = 0
    newest_at: datetime | None = None


def running_now(workspace: Workspace) -> Running | None:
    """The run that holds the workspace's lock on this machine, and how far it has come by the ledger."""
    holder = _holder(workspace.site.state_folder / LOCK)
    if holder is None:
        return None
    process, kind = holder
    rows = _open_rows(workspace.ledger)
    if not rows:
        return Running(kind, process)
    run = max(rows, key=lambda row: row["finished_at"])["run_id"]
    mine = [row for row in rows if row["run_id"] == run]
    days = {(row["campaign"], row["camera"], row["day"]) for row in mine if row["camera"]}
    return Running(kind, process, run, len(mine), len(days), max(row["finished_at"] for row in mine))


def _holder(lock: Path) -> tuple[int, str] | None:
    """Process and kind of the run, where that process is alive and has the file open; numbers are given again."""
    try:
        words = lock.read_text(encoding="utf-8").split()
        number = int(words[0])
        opened = {file.path for file in psutil.Process(number).open_files()}
    except psutil.AccessDenied:
        opened = {str(lock.resolve())}  # another user's: it is alive, and its number stands there
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        return None
    kind = "backfill" if words[1:] == ["backfill"] else "night"
    return (number, kind) if str(lock.resolve()) in opened else None


def _open_rows(ledger: Ledger) -> list[dict[str, Any]]:
    """Rows of runs that nothing has closed, newer than the last run that was."""
    names = ["run_id", "step", "campaign", "camera", "day", "finished_at"]
    rows = ledger.rows("runs").select(names).to_pylist()
    closed = {row["run_id"] for row in rows if row["step"] in CLOSING}
    since = max((row["finished_at"] for row in rows if row["step"] == "night"), default=None)
    return [row for row in rows if row["run_id"] not in closed and (since is None or row["finished_at"] > since)]
