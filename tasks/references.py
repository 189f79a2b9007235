"""Which still a camera is held against, to tell whether it was moved.

That is its earliest one, until somebody draws a region on a later picture: from that picture's moment on it is the still
of then. So a camera that was moved for good is told of until its regions are drawn anew, and earlier days stay judged by
what was right for them. Keys hold the identity of the still, so a day is examined again when, and only when, the still
it is held against is another.
"""

from collections.abc import Sequence
from datetime import datetime

from footage.registration import is_telling
from lake.stills import read_stills
from tasks.plan import FRAMES_SCOPE, DayPlan, Product, Recording, made
from tasks.step_plans import Reference
from workspace.opened import Workspace

STILLS = 2
"""Place of the stills among the files of a shard's `frames`."""


def find_references(workspace: Workspace, days: Sequence[DayPlan]) -> list[Reference]:
    """A camera's references, in order of the moments they count from.

    Args:
        workspace: the site.
        days: all days of the camera, of whatever campaign, as far as they are embedded.
    """
    if not days:
        return []
    shards = sorted(
        (shard for day in days for shard in day.shards),
        key=lambda shard: (shard.recording.started_at, shard.recording.path, shard.shard.number),
    )
    held = [
        (shard.recording, product)
        for shard in shards
        for product in shard.products
        if product.scope == FRAMES_SCOPE and product.exists and len(product.paths) > STILLS
    ]
    moments: list[datetime | None] = [None, *workspace.drawn_on(days[0].place.camera)]
    found = (_first_still(workspace, held, since) for since in moments)
    return [reference for reference in found if reference is not None]


def _first_still(
    workspace: Workspace, held: Sequence[tuple[Recording, Product]], since: datetime | None
) -> Reference | None:
    """The first still that ends after `since` and shows enough; a window that holds the moment counts."""
    for recording, product in held:
        if since is not None and recording.ended_at <= since:
            continue
        for still in read_stills(workspace.store, product.paths[STILLS:]):
            if (since is None or still.until > since) and is_telling(still.picture):
                return Reference(since, product.key, product.paths[STILLS], still.from_us)
    return None


def reference_at(references: Sequence[Reference], until: datetime) -> Reference | None:
    """The reference of a still that ends at `until`; None where the camera has none."""
    return next((item for item in reversed(references) if item.since is None or item.since < until), None)


def references_within(references: Sequence[Reference], day: DayPlan) -> tuple[Reference, ...]:
    """Those of a camera's references that stills of a day are held against."""
    recordings = [shard.recording for shard in day.shards]
    if not references or not made(day, FRAMES_SCOPE):
        return ()
    first = reference_at(references, min(recording.started_at for recording in recordings))
    last = reference_at(references, max(recording.ended_at for recording in recordings))
    places = [references.index(item) for item in (first, last) if item is not None]
    return tuple(references[min(places) : max(places) + 1]) if places else ()
