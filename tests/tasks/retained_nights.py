"""Retention on a small site, as if days had gone by: the clock is said, and the ledger is as old as it would be."""

import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.retained import needed_stills
from tests.tasks.nights import configure
from workspace.opened import Workspace
from workspace.retention.deleting import Run, run_retention

WHO = "keeper"
IDLE = {"idle_days": 1000}
"""So that nothing is deleted by a clock that jumped is tested elsewhere; here it jumps."""


def later(days: float) -> Callable[[], datetime]:
    """A clock that is so many days ahead."""
    return lambda: datetime.now(UTC) + timedelta(days=days)


def retain(workspace: Workspace, days: float, **policies: Any) -> Run:
    """Set policies, and let retention run some days from now."""
    opened = set_policies(workspace, **policies)
    return run_retention(opened, WHO, now=later(days), needed=lambda: needed_stills(opened))


def set_policies(workspace: Workspace, changes: Mapping[str, Any] | None = None, **policies: Any) -> Workspace:
    """The site opened anew, with these policies; the footage of tests is linked, so that outside is allowed."""
    table = {**IDLE, "allow_outside": True, **policies}
    return configure(workspace.site.root, {"retention": table, **(changes or {})})


def own_footage(workspace: Workspace) -> Workspace:
    """The site with footage of its own in place of a link."""
    for link in workspace.site.footage_root.iterdir():
        if link.is_symlink():
            target = link.resolve()
            link.unlink()
            shutil.copytree(target, link)
    return workspace


def files_below(folder: Path) -> set[str]:
    """Files by their path below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def found_earlier(workspace: Workspace, day: date, days: float) -> Workspace:
    """The site, with what the ledger says of a day's recordings said so many days before it was."""
    for name in workspace.store.names("recordings"):
        rows = workspace.store.read_table(name)
        moments = [
            row["seen_at"] - timedelta(days=days) if row["day"] == day else row["seen_at"] for row in rows.to_pylist()
        ]
        column = rows.schema.get_field_index("seen_at")
        told = pa.array(moments, type=rows.schema.field("seen_at").type)
        workspace.store.write_table(name, rows.set_column(column, rows.schema.field("seen_at"), told))
    return Workspace(workspace.site.root)
