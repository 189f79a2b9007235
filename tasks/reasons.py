"""Why an event is one: what its score is made of, where in the picture, and the normal snippets it is most like."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from footage.regions import Region
from lake.vectors import Embeddings
from models.events import Event
from models.heads.nightly import exclusion_within
from models.heads.novelty import EXPLAINED_BY
from tasks.fit import Fitted
from tasks.novelty import night_rule
from tasks.plan import SELF
from workspace.opened import Workspace

NEAREST = 3
"""Normal snippets that are named."""
ASKED_FOR = 64
"""Nearest rows looked at first; where too many of them are of one moment, four times as many, and so on."""
NO_PLACE = {"x": None, "y": None, "width": None, "height": None}


def reason_of_event(
    workspace: Workspace, fitted: Fitted, snippets: Embeddings, event: Event, region: Region
) -> dict[str, Any]:
    """The row of `reasons` of an event, less what names it.

    Args:
        workspace: the site.
        fitted: what the day was judged by.
        snippets: of the day and region; the event was found in their scores.
        event: the event; its peak is explained.
        region: of the picture that the snippets show.
    """
    vector = snippets.vectors[event.peak_index]
    excluded = _surroundings(workspace, fitted, snippets, event)
    told = fitted.head.explain(vector, EXPLAINED_BY, excluded)
    parts = [{"name": name, "share": share} for name, share in told.parts.items()]
    return {
        "parts": sorted(parts, key=lambda part: (-part["share"], part["name"])),
        **(NO_PLACE if told.place is None else _in_picture(told.place, region)),
        "nearest": _apart(workspace, fitted, vector, excluded),
    }


def _surroundings(workspace: Workspace, fitted: Fitted, snippets: Embeddings, event: Event) -> NDArray[np.bool_] | None:
    """What of the reference may not explain an event: of a day compared with itself, the event and what is near it."""
    if fitted.version != SELF:
        return None
    begins, ends = snippets.from_us, snippets.to_us
    width_us = exclusion_within(night_rule(workspace.settings.novelty, 1), begins, ends)
    peak = event.peak_index
    for start, end in ((event.from_us, event.to_us), (int(begins[peak]), int(ends[peak]))):
        near = (begins < end + width_us) & (ends > start - width_us)
        if not near.all():  # an event may last all day
            break
    return np.asarray(near)


def _in_picture(place: tuple[float, float, float, float], region: Region) -> dict[str, float]:
    """A box in fractions of a region's enclosing box, in fractions of the picture."""
    (left, top), (right, bottom) = region.bounds
    x, y, width, height = place
    return {
        "x": left + x * (right - left),
        "y": top + y * (bottom - top),
        "width": width * (right - left),
        "height": height * (bottom - top),
    }


def _apart(
    workspace: Workspace, fitted: Fitted, vector: NDArray[np.float32], excluded: NDArray[np.bool_] | None
) -> list[dict[str, Any]]:
    """The nearest normal snippets, each as far from the others in time as snippets must be to count as different."""
    reference = fitted.reference
    begins, ends = reference.begins_us, reference.ends_us
    apart_us = round(workspace.settings.novelty.exclusion_s * 1e6)
    asked, there = ASKED_FOR, len(begins) if excluded is None else int((~excluded).sum())
    while True:
        (rows,), (distances,) = fitted.head.nearest(vector[None], asked, excluded)
        chosen: list[int] = []
        for place, row in enumerate(rows):
            others = rows[chosen]
            if ((begins[row] - ends[others] >= apart_us) | (begins[others] - ends[row] >= apart_us)).all():
                chosen.append(place)
            if len(chosen) == NEAREST:
                break
        if len(chosen) == NEAREST or asked >= there:
            return [reference.told(int(rows[place]), float(distances[place])) for place in chosen]
        asked *= 4
