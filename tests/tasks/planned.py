"""The present plan of a small site: its days, steps and keys. Imports nothing that decodes, infers or orchestrates."""

from collections.abc import Sequence

from tasks.inventory import Row, take_inventory
from tasks.plan import DayPlan, Selection, ShardPlan, plan_days, recordings_of
from tasks.step_plans import DaySteps
from tasks.steps import plan_camera
from workspace.opened import Workspace

EVERYTHING = Selection()


def plan(workspace: Workspace, rows: Sequence[Row] | None = None) -> list[DayPlan]:
    """The embedding of all days; of what the footage folder holds where no rows are given."""
    return plan_days(workspace, recordings_of(workspace, take_inventory(workspace).present if rows is None else rows))


def steps_of(workspace: Workspace, days: Sequence[DayPlan], chosen: Selection = EVERYTHING) -> list[DaySteps]:
    """The steps of all chosen days, camera by camera."""
    places = {day.place for day in days if chosen.takes(day.place)}
    cameras = sorted({day.place.camera for day in days})
    return [
        steps
        for camera in cameras
        for steps in plan_camera(workspace, [day for day in days if day.place.camera == camera], places)
    ]


def keys_of(workspace: Workspace) -> dict[tuple[str, str, str, str], set[str]]:
    """Keys by camera, day, step and scope, of everything that the present settings ask for."""
    days = plan(workspace)
    keys: dict[tuple[str, str, str, str], set[str]] = {}
    for day in days:
        for shard in day.shards:
            for product in shard.products:
                name = (day.place.camera, day.place.day.isoformat(), "embed", product.scope)
                keys.setdefault(name, set()).add(product.key)
    for steps in steps_of(workspace, days):
        for step in steps.all:
            name = (steps.place.camera, steps.place.day.isoformat(), step.name, step.scope)
            keys.setdefault(name, set()).add(step.key)
    return keys


def shards_of(days: Sequence[DayPlan]) -> list[ShardPlan]:
    return [shard for day in days for shard in day.shards]
