"""Verify the published summaries of a site.

What is published is held against the lake, the lake's own rows against the steps taken again beside it, and the pictures
and vectors that an entry rests on against its recording. A value that was altered anywhere on this way stands out.
"""

from collections.abc import Callable, Iterator, Sequence

from lake.keys import Place
from lake.ledger import FINISHED
from tasks.plan import DayPlan, Selection
from tasks.publish import ENTRIES
from tasks.step_plans import DaySteps
from tasks.steps import plan_camera
from tasks.verify_day import DayVerifier, Found
from tasks.verify_recordings import Recordings
from workspace.opened import Workspace
from workspace.published_summaries import published_places
from workspace.retention.deleted import deleted_now

PUBLISH = "publish"

Progress = Callable[[str, float, float], None]


def verify_summaries(
    workspace: Workspace,
    days: Sequence[DayPlan],
    selection: Selection,
    recordings: Recordings,
    *,
    render: bool,
    threads: int,
    progress: Progress,
) -> Found:
    """Verify every published summary that is selected.

    Args:
        workspace: the site.
        days: all days, as they are planned now.
        selection: which of them to verify.
        recordings: of the site.
        render: publish each day again into a temporary folder, and compare the files byte by byte.
        threads: threads of the decoder; 0 for one per core.
        progress: told of every camera's day.
    """
    found = Found()
    published = [place for place in published_places(workspace.site) if selection.takes(place)]
    planned = dict(_planned(workspace, days, selection))
    once, deleted = _once_published(workspace), deleted_now(workspace.ledger).published
    for place in sorted(planned.keys() - set(published) - deleted):
        if place in once or planned[place][1].summarise.exists:
            found.differences.append(f"{place}: was summarised, and no {ENTRIES} is published; run the night again")
    for number, place in enumerate(published, start=1):
        if place not in planned:
            found.differences.append(f"{place}: {ENTRIES} is published, and the lake knows no recording of that day")
        else:
            DayVerifier(workspace, *planned[place], recordings, found, threads).verify(render=render)
        progress("summaries", number, len(published))
    return found


def _once_published(workspace: Workspace) -> set[Place]:
    """Camera days of which the ledger says that they were published."""
    rows = workspace.ledger.rows("runs").select(["step", "status", "campaign", "camera", "day"]).to_pylist()
    return {
        Place(row["campaign"], row["camera"], row["day"])
        for row in rows
        if row["step"] == PUBLISH and row["status"] in FINISHED
    }


def _planned(
    workspace: Workspace, days: Sequence[DayPlan], selection: Selection
) -> Iterator[tuple[Place, tuple[DayPlan, DaySteps]]]:
    """The selected days and their steps, by what is there and said now."""
    for camera in sorted({day.place.camera for day in days}):
        mine = {day.place: day for day in days if day.place.camera == camera}
        chosen = {place for place in mine if selection.takes(place)}
        for steps in plan_camera(workspace, list(mine.values()), chosen) if chosen else ():
            yield steps.place, (mine[steps.place], steps)
