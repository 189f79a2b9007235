"""Backfill: make what is missing of recordings that the lake knows already. It takes in no new files.

A region drawn today is embedded tonight for every past day of its camera; this does it now, for as much as is asked
for, and decodes nothing that lacks nothing. Nobody is told of the alarms of past days: the next night tells them.

It is what can wait: on a scheduler that is shared its tasks go last, and it works in rounds of a few days, since it gives way to a
night that is to begin. What is finished then stays, and the next backfill, or the night itself, goes on from there.
"""

from datetime import date, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.machine import worker_count
from flows.runners import BACKFILL
from flows.watch import Progress, current_watch, silent
from flows.work import Work, deadline, finish, run_here, take_up
from infra.lock import NIGHT, AlreadyRunningError, backfill_lock
from tasks.camera import rounds
from tasks.forecast import forecast
from tasks.inventory import known_inventory, report
from tasks.limits import GAVE_WAY, reason_to_stop
from tasks.plan import DayPlan, Selection, plan_days, recordings_of
from tasks.report import BACKFILL as BACKFILL_KIND
from tasks.report import NightReport, new_report
from workspace.opened import Workspace


@flow(name="backfill", flow_run_name="backfill of {site}", persist_result=False)
def backfill(
    site: str,
    campaign: str | None = None,
    camera: str | None = None,
    day: date | None = None,
    until: str | None = None,
) -> State[Any]:
    """Embed what is missing of known recordings, and make everything that depends on it, as long as no night is to begin.

    Args:
        site: folder of the workspace, which all workers share.
        campaign, camera, day: narrow the run.
        until: time of day, or moment, after which no new shard starts.
    """
    workspace, selection = Workspace(site), Selection(campaign, camera, day)
    work = Work(workspace, deadline(workspace, until), current_watch(), new_report(BACKFILL_KIND), priority=BACKFILL)
    try:
        with backfill_lock(workspace.site.state_folder):
            return _run(work, selection)
    except AlreadyRunningError as error:
        if error.what != NIGHT:
            raise
        work.stopped = GAVE_WAY  # it began while this was about to
        return _run(work, selection)


def _run(work: Work, selection: Selection) -> State[Any]:
    workspace = work.workspace
    inventory = known_inventory(workspace)
    rows = list(inventory.present)
    days = plan_days(workspace, recordings_of(workspace, rows))
    chosen = [mine for mine in days if selection.takes(mine.place)]
    width = worker_count(workspace.settings.cluster)
    due = {found.place for found in forecast(workspace, selection, width, known_only=True).days}
    if not work.stopped:
        take_up(work, [day for day in chosen if day.place not in due], days)
    _in_rounds(work, [day for day in chosen if day.place in due], days, width)
    finish(work, chosen)
    work.report.ingested = {"done": 0, "skipped": len(rows), "failed": 0, "seconds": 0.0}
    work.report.ingest = report(inventory, (), workspace.settings.footage.gap_s)
    return work.close(selection, rows)


def _in_rounds(work: Work, chosen: list[DayPlan], all_days: list[DayPlan], width: int) -> None:
    """Take days up a few at a time; those of rounds that are not begun are left."""
    work.total_s = sum(day.todo_s for day in chosen)
    for some in rounds(chosen, width):
        why = reason_to_stop(work.workspace, work.until)
        if why or not work.may_go_on():
            _leave(work, some, why or work.stopped)
        else:
            take_up(work, some, all_days)


def _leave(work: Work, days: list[DayPlan], why: str) -> None:
    """Count what is not begun."""
    shards = sum(1 for day in days for shard in day.shards if shard.todo)
    embedded = sum(not day.todo_s for day in days)
    for counts, count in ((work.report.left_shards, shards), (work.report.left_days, embedded)):
        if count:
            counts[why] = counts.get(why, 0) + count


def run_backfill(
    workspace: Workspace, selection: Selection, *, until: datetime | None = None, progress: Progress = silent
) -> NightReport:
    """Run a backfill in this process, on the runner that the settings ask for.

    Raises:
        AlreadyRunningError: a backfill is running.
        NightError: the flow ended without a report; the message is its reason.
    """
    return run_here(backfill, workspace, selection, until, progress)
