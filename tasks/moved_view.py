"""What was recorded while a camera did not look where its regions were drawn: heads are not applied to it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from footage.health import is_moved
from lake.vectors import Embeddings
from tasks.heads import SUSPENDED_FOR
from tasks.health import Displaced
from workspace.opened import Workspace


def outside_moved_view(snippets: Embeddings, displaced: Sequence[Displaced]) -> Embeddings:
    """The snippets that reach into no still of a moved camera."""
    moved = [still for still, share in displaced if is_moved(share)]
    if not moved or not len(snippets):
        return snippets
    hidden: NDArray[np.bool_] = np.zeros(len(snippets), dtype=np.bool_)
    owners = np.asarray(snippets.rows["recording_id"].to_pylist(), dtype=object)
    begins, ends = snippets.column("from_us"), snippets.column("to_us")
    for still in moved:
        hidden |= (owners == still.recording_id) & (begins < still.to_us) & (ends > still.from_us)
    return snippets.take(np.flatnonzero(~hidden))


def moved_message(workspace: Workspace, displaced: Sequence[Displaced], *, of: str = "", since: str) -> str:
    """What a receipt tells of stills of a moved camera; empty where there are none.

    Args:
        workspace: the site.
        displaced: the stills of a day.
        of: whose pictures are meant, where not all heads of the step are.
        since: since when, and what to do.
    """
    moved = sorted(
        ((still.taken_at, share) for still, share in displaced if share is not None and is_moved(share)),
        key=lambda item: item[0],
    )
    if not moved:
        return ""
    first, share = moved[0]
    how = "shows another view" if share >= 1 else f"has moved by {100 * share:.1f} % of the picture's width"
    return (
        f"{SUSPENDED_FOR} {len(moved)} of {len(displaced)} stills{of}, from "
        f"{first.astimezone(workspace.settings.zone):%H:%M} on: the camera {how} since {since}"
    )
