"""Verify, from the lake's own rows: steps of a camera's day taken again beside the lake, and compared row by row."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from infra.errors import LakeError
from lake.store import Store
from tasks.classify import classify_day
from tasks.plan import DayPlan
from tasks.retrieve import retrieve_day
from tasks.score import score_day
from tasks.step_plans import DaySteps, Step
from tasks.verify_recordings import furthest, same_number
from workspace.opened import Workspace

MOST_LINES = 20
"""Differences that are told of one file, each by itself; of more, how many there are."""
PLACE = ("campaign", "camera", "day")

Row = dict[str, Any]


class ScratchStore(Store):
    """A lake to work in that is thrown away: it reads what another holds, and keeps what is written in memory.

    Args:
        lake: what is read; nothing of it changes.
    """

    def __init__(self, lake: Store) -> None:
        super().__init__(lake.location, lake.options)
        self._written: dict[str, bytes] = {}

    def exists(self, path: str) -> bool:
        return path in self._written or super().exists(path)

    def names(self, folder: str) -> list[str]:
        mine = {path for path in self._written if path.rsplit("/", 1)[0] == folder}
        return sorted({*super().names(folder), *mine})

    def write_bytes(self, path: str, content: bytes) -> None:
        self._written[path] = content

    def read_bytes(self, path: str) -> bytes:
        return self._written[path] if path in self._written else super().read_bytes(path)

    def delete(self, path: str) -> None:
        raise LakeError(f"{path} belongs to the lake; a verification deletes nothing")


def scratch(workspace: Workspace) -> Workspace:
    """The same site, with a lake to work in that is thrown away."""
    beside = Workspace(workspace.site.root)
    beside.store = ScratchStore(workspace.store)
    return beside


def judged_again(workspace: Workspace, day: DayPlan, steps: DaySteps) -> list[str]:
    """Score a day again, and apply its heads and alarms again, by the heads as the registry holds them.

    Returns:
        Where what comes out differs from the lake's `scores`, `events` and what else these steps write; a step whose files
        are not there is left out.
    """
    beside = scratch(workspace)
    anew = _from_the_start(steps)
    receipts = [
        *score_day(beside, day, anew),
        *retrieve_day(beside, day, replace(anew, heads=tuple(head for head in anew.heads if not head.step.exists))),
        *classify_day(
            beside, day, replace(anew, alarms=tuple(alarm for alarm in anew.alarms if not alarm.step.exists))
        ),
    ]
    lines: list[str] = []
    for receipt in receipts:
        if receipt.status == "failed":
            lines.append(f"{receipt.step} {receipt.scope} cannot be made again: {receipt.message}".replace("  ", " "))
        if receipt.status == "done":
            for path in receipt.outputs:
                lines += compare_rows(path, workspace.store.read_table(path), beside.store.read_table(path))
    return lines


def _from_the_start(steps: DaySteps) -> DaySteps:
    """The same steps with the judging of the day still to be done where it was done; heads are taken as they are."""

    def again(step: Step) -> Step:
        return replace(step, exists=not step.exists)

    regions = tuple(
        plan if plan.fit is None else replace(plan, fit=replace(plan.fit, exists=True)) for plan in steps.regions
    )
    return replace(
        steps,
        health=replace(steps.health, exists=True),
        regions=regions,
        score=again(steps.score),
        heads=tuple(replace(head, step=again(head.step)) for head in steps.heads),
        alarms=tuple(replace(alarm, step=again(alarm.step)) for alarm in steps.alarms),
        retired=(),
    )


def compare_rows(path: str, kept: pa.Table, derived: pa.Table) -> list[str]:
    """Compare rows of one table, in the order in which they are kept: the same inputs give the same rows in the same order.

    Args:
        path: of the file in the lake.
        kept: what it holds.
        derived: what was made again.

    Returns:
        A line for each value that differs, beyond rounding; of many, the first ones and how many there are.
    """
    table = path.split("/", 1)[0]
    if kept.schema.names != derived.schema.names:
        return [f"{table} has the columns {kept.schema.names} in the lake, {derived.schema.names} made again"]
    lines = []
    if kept.num_rows != derived.num_rows:
        lines.append(f"{table} has {kept.num_rows} rows in the lake, {derived.num_rows} made again")
    found = list(_differences(table, kept.to_pylist(), derived.to_pylist()))
    if len(found) > MOST_LINES:
        found = [*found[:MOST_LINES], f"{table}: {len(found) - MOST_LINES} more values differ"]
    return [*lines, *found]


def _differences(table: str, kept: Sequence[Row], derived: Sequence[Row]) -> Iterator[str]:
    for number, (old, new) in enumerate(zip(kept, derived, strict=False)):
        for column, value in old.items():
            position = differing(value, new[column])
            if position is not None:
                what = f"{column}{position} of {row_name(old, number)}"
                yield f"{table}: {what} is {_told(value, position)} in the lake, {_told(new[column], position)} made again"


def row_name(row: Row, number: int) -> str:
    """How a person finds a row: by what it is about and where it is in time."""
    parts = [str(row[name]) for name in ("head", "region", "event_id") if row.get(name)]
    if "recording_id" in row and "from_us" in row:
        parts.append(f"recording {row['recording_id'][:8]} at {row['from_us'] / 1e6:.3f} s")
    return " ".join(parts) or f"row {number}"


def differing(kept: Any, now: Any) -> str | None:
    """Where two values of a column differ: the position in a list, as `[3]`, or nothing; None: they are the same."""
    if isinstance(kept, list) and isinstance(now, list):
        if any(isinstance(item, dict) for item in (*kept, *now)):
            return None if _same_items(kept, now) else ""
        worst = furthest(np.asarray(kept, dtype=np.float64), np.asarray(now, dtype=np.float64))
        return None if worst is None else (f"[{worst}]" if len(kept) == len(now) else "")
    if isinstance(kept, float) or isinstance(now, float):
        return None if same_number(kept, now) else ""
    return None if kept == now else ""


def _same_items(kept: Sequence[Row], now: Sequence[Row]) -> bool:
    return len(kept) == len(now) and all(
        old.keys() == new.keys() and all(differing(old[name], new[name]) is None for name in old)
        for old, new in zip(kept, now, strict=True)
    )


def _told(value: Any, position: str) -> Any:
    return value[int(position[1:-1])] if position else value
