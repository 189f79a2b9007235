"""A camera's day and its segments, as tests of segments read them."""

from datetime import date
from typing import Any

from lake.keys import Place
from tasks.plan import FRAMES_SCOPE, DayPlan, made
from tasks.step_plans import DaySteps
from tests.tasks.nights import EAST, TUESDAY, table_of
from tests.tasks.planned import plan, steps_of
from workspace.opened import Workspace

Row = dict[str, Any]


def days_of(workspace: Workspace) -> list[tuple[DayPlan, DaySteps]]:
    days = {day.place: day for day in plan(workspace)}
    return [(days[steps.place], steps) for steps in steps_of(workspace, list(days.values()))]


def day_of(workspace: Workspace, camera: str = EAST, day: date = TUESDAY) -> tuple[DayPlan, DaySteps]:
    return next(item for item in days_of(workspace) if item[0].place == Place("demo", camera, day))


def rows_of_day(workspace: Workspace, steps: DaySteps) -> list[Row]:
    return list(workspace.store.read_table(steps.segment.outputs[0]).to_pylist())


def frames_of(workspace: Workspace, day: DayPlan) -> list[Row]:
    paths = [product.paths[0] for product in made(day, FRAMES_SCOPE)]
    return sorted(table_of(workspace, paths).to_pylist(), key=lambda row: row["taken_at"])


def inside(segment: Row, row: Row, at: str) -> bool:
    return bool(row["recording_id"] == segment["recording_id"] and segment["from_us"] <= row[at] < segment["to_us"])
