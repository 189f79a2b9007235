"""Backfill: make what is missing of recordings that the lake knows already. It takes in no new files.

A region drawn today is embedded tonight for every past day of its camera; this does it now, for as much as is asked
for, and decodes nothing that lacks nothing. Nobody is told of the alarms of past days: the next night tells them.
"""

from datetime import date, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.watch import Progress, current_watch, silent
from flows.work import Work, deadline, process, run_here
from infra.lock import night_lock
from tasks.inventory import known_inventory, report
from tasks.plan import Selection, plan_days, recordings_of
from tasks.report import NightReport
from workspace.opened import Workspace


@flow(name="backfill", flow_run_name="backfill of {site}", persist_result=False)
def backfill(
    site: str,
    campaign: str | None = None,
    camera: str | None = None,
    day: date | None = None,
    until: str | None = None,
) -> State[Any]:
    """Embed what is missing of known recordings, and make everything that depends on it.

    Args:
        site: folder of the workspace, which all workers share.
        campaign, camera, day: narrow the run.
        until: time of day, or moment, after which no new shard starts.
    """
    workspace = Workspace(site)
    with night_lock(workspace.site.state_folder):
        return _run(Work(workspace, deadline(workspace, until), current_watch()), Selection(campaign, camera, day))


def _run(work: Work, selection: Selection) -> State[Any]:
    workspace = work.workspace
    inventory = known_inventory(workspace)
    rows = list(inventory.present)
    days = plan_days(workspace, recordings_of(workspace, rows))
    process(work, [mine for mine in days if selection.takes(mine.place)], days)
    work.report.ingested = {"done": 0, "skipped": len(rows), "failed": 0, "seconds": 0.0}
    work.report.ingest = report(inventory, (), workspace.settings.footage.gap_s)
    return work.close(selection, rows)


def run_backfill(
    workspace: Workspace, selection: Selection, *, until: datetime | None = None, progress: Progress = silent
) -> NightReport:
    """Run a backfill in this process, on the runner that the settings ask for.

    Raises:
        NightError: the flow ended without a report; the message is its reason.
    """
    return run_here(backfill, workspace, selection, until, progress)
