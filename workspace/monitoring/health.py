"""Whether the parts of an installation are well: flow, dashboards, workers and disks, each with its own line and reasons."""

import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infra.errors import AfterwatchError
from workspace.monitoring.figures import last_night
from workspace.monitoring.running import running_now
from workspace.opened import Workspace
from workspace.room import room_left

TIMEOUT_S = 3.0
MOST_BYTES = 1 << 20
WELL = ("complete", "partial")


@dataclass(frozen=True)
class Health:
    """One part: whether it is well, what there is to know, and why it is not."""

    part: str
    told: str
    reasons: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.reasons

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.ok, "told": self.told, "reasons": list(self.reasons)}


@dataclass(frozen=True)
class Dashboards:
    """What the dashboards' server answered: whether it is up, and its sessions where it tells them."""

    up: bool
    told: str
    sessions: int | None = None


def flow_health(workspace: Workspace, missed: str = "") -> Health:
    """Of nights: how the last one ended, whether one is at work, and whether one was missed.

    Args:
        workspace: the site.
        missed: the missed night in words; empty where none is.
    """
    try:
        found, running = last_night(workspace), running_now(workspace)
    except (AfterwatchError, OSError, ValueError, KeyError) as error:
        return Health("flow", "", (f"the ledger cannot be read: {error}",))
    reasons = [missed] if missed else []
    told = "no night was run yet"
    if found is not None:
        row, report = found
        told = f"the last night ended {row['finished_at']:%Y-%m-%d %H:%M} UTC: {report['status']}"
        if report["status"] not in WELL:
            reasons.append(
                f"the last night is {report['status']}: {'; '.join(report['attention'][:3]) or 'it says no more'}"
            )
    if running is not None:
        told += f"; a {running.kind} is at work (process {running.process}, {running.steps} steps so far)"
    return Health("flow", told, tuple(reasons))


def room_health(workspace: Workspace) -> Health:
    """Of the disks that runs write to."""
    room = room_left(workspace)
    return Health("room", room.words, () if room.enough else (room.words,))


def dashboards_health(workspace: Workspace, answer: Dashboards) -> Health:
    """Of the dashboards' server."""
    if not workspace.settings.watch.dashboards:
        return Health("dashboards", "not watched (watch.dashboards = false)")
    return Health("dashboards", answer.told, () if answer.up else (answer.told,))


def ask_dashboards(address: str) -> Dashboards:
    """Ask a dashboards' server whether it is well, and how many sessions are open.

    Args:
        address: of the server, as `http://127.0.0.1:8501`.
    """
    base = address.rstrip("/")
    try:
        answer = _get(f"{base}/_stcore/health")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return Dashboards(False, f"nothing answers at {base} ({reason})")
    if answer.strip() != "ok":
        return Dashboards(False, f"{base} answers, and is no dashboards' server that is well")
    sessions = _sessions(base)
    told = f"{base} answers" + ("" if sessions is None else f", {sessions} sessions")
    return Dashboards(True, told, sessions)


def all_well(lines: Sequence[Health]) -> bool:
    """Whether every part is."""
    return all(line.ok for line in lines)


def _sessions(base: str) -> int | None:
    """Open sessions, as the server's own metrics tell them; None where they do not."""
    try:
        text = _get(f"{base}/_stcore/metrics")
    except (OSError, ValueError):
        return None
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.split("{")[0] == "active_sessions":
            try:
                return int(float(value))
            except ValueError:
                return None
    return None


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        return str(answer.read(MOST_BYTES).decode("utf-8", errors="replace"))
