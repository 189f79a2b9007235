"""What retention has deleted, as plans see it: days that nothing is made of any more, and that others were held against.

The keys of a day's steps tell what it was held against: the days before it. Where those are deleted, they go on counting in the
keys, so that what was made stands as it is. Only what has to be made anew is made without them.
"""

from dataclasses import replace

from lake.keys import Place
from tasks.inventory import known_inventory
from tasks.plan import FRAMES_SCOPE, DayPlan, Product, ShardPlan, all_recordings, plan_days, recordings_of
from tasks.references import STILLS, find_references, references_within
from tasks.step_plans import DaySteps
from workspace.opened import Workspace
from workspace.retention.deleted import Deleted, deleted_now


def closed_days(workspace: Workspace, camera: str) -> list[DayPlan]:
    """A camera's days of which all results were deleted, as they were embedded: their products count, and none can be read.

    Nothing of them is to do.
    """
    deleted = deleted_now(workspace.ledger)
    if not deleted.closed:
        return []
    known = all_recordings(workspace, known_inventory(workspace).present)
    closed = [
        replace(recording, there=False)
        for recording in known
        if recording.recording_id in deleted.closed and recording.place.camera == camera
    ]
    days = plan_days(workspace, closed, deleted=deleted.outputs)
    return [replace(day, shards=tuple(_without_stills(workspace, shard) for shard in day.shards)) for day in days]


def _without_stills(workspace: Workspace, shard: ShardPlan) -> ShardPlan:
    """A shard without the stills that are not there: what is kept of them is what other days are held against."""

    def readable(product: Product) -> Product:
        if product.scope != FRAMES_SCOPE or all(map(workspace.store.exists, product.paths[STILLS:])):
            return product
        return replace(product, paths=product.paths[:STILLS])

    return replace(shard, products=tuple(map(readable, shard.products)))


def as_deleted(workspace: Workspace, steps: DaySteps) -> DaySteps:
    """The steps of a closed day: what later days take of them counts as it was."""
    outputs = deleted_now(workspace.ledger).outputs
    unusual, measured = steps.unusual, steps.measured
    return replace(
        steps,
        unusual=replace(unusual, exists=unusual.exists or unusual.path in outputs),
        measured=replace(measured, exists=measured.exists or measured.path in outputs),
    )


def stands(steps: DaySteps) -> bool:
    """Whether all that is made from earlier days is there: then nothing of these is read any more."""
    return steps.score.exists and steps.segment.exists


def needed_stills(workspace: Workspace) -> frozenset[str]:
    """The stills that cameras are held against, on the days of which results are kept."""
    found: set[str] = set()
    days = plan_days(workspace, recordings_of(workspace, known_inventory(workspace).present))
    for camera in sorted({day.place.camera for day in days}):
        mine = [day for day in days if day.place.camera == camera]
        references = find_references(workspace, [*mine, *closed_days(workspace, camera)])
        found |= {reference.path for day in mine for reference in references_within(references, day)}
    return frozenset(found)


def told_deleted(deleted: Deleted, place: Place, contents: frozenset[str]) -> list[str]:
    """What retention has deleted of a camera's day, in words.

    Args:
        deleted: by the ledger.
        place: the camera's day.
        contents: its recordings.
    """
    lines = []
    if contents & deleted.closed:
        lines.append(f"{place}: what was made of it was deleted by retention")
    if place in deleted.published:
        lines.append(f"{place}: what was published of it was deleted by retention")
    return lines
