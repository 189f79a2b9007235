"""The night, in order: ingest → embed → fit and score → retrieve, classify → segment → summarise → publish → digest → queue →
notify → report. The work itself is in `tasks`, and what it shares with other flows in `flows.work`."""

import time
from datetime import date, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture

from flows.watch import Progress, current_watch, silent
from flows.work import Work, deadline, process, run_here
from infra.lock import night_lock
from tasks.history import failed_places
from tasks.ingest import Examined, enter, examine
from tasks.inventory import Inventory, Row, report, take_inventory
from tasks.plan import Selection, plan_days, recordings_of
from tasks.report import FAILED_ONLY, NightReport
from tasks.telling import tell
from workspace.opened import Workspace

FILES_PER_TASK = 32


@flow(name="nightly", flow_run_name="night of {site}", persist_result=False)
def nightly(
    site: str,
    campaign: str | None = None,
    camera: str | None = None,
    day: date | None = None,
    until: str | None = None,
    retry: bool = False,
) -> State[Any]:
    """Process what is new, everything that depends on it, and nothing else. A backfill that is at work is asked to give way.

    Args:
        site: folder of the workspace, which all workers share.
        campaign, camera, day: narrow the run.
        until: time of day, or moment, after which no new shard starts.
        retry: take up what failed, and only that.
    """
    workspace = Workspace(site)
    with night_lock(workspace.site.state_folder, asking=get_run_logger().warning):
        return _run(Work(workspace, deadline(workspace, until), current_watch()), campaign, camera, day, retry)


def _run(work: Work, campaign: str | None, camera: str | None, day: date | None, retry: bool) -> State[Any]:
    selection = Selection(campaign, camera, day)
    inventory = take_inventory(work.workspace, retry=retry)
    examined = _ingest(work, inventory)
    rows = [*inventory.present, *examined]
    days = plan_days(work.workspace, recordings_of(work.workspace, rows))
    chosen = [mine for mine in days if selection.takes(mine.place)]
    if retry:
        work.report.limited_to = FAILED_ONLY
        again = failed_places(work.workspace, examined)
        chosen = [mine for mine in chosen if mine.place in again]
    process(work, chosen, days)
    work.report.untold += tell(work.workspace, in_flow=True)
    work.report.ingest = report(inventory, examined, work.workspace.settings.footage.gap_s)
    return work.close(selection, rows)


def run_night(
    workspace: Workspace,
    selection: Selection,
    *,
    until: datetime | None = None,
    retry: bool = False,
    progress: Progress = silent,
) -> NightReport:
    """Run a night in this process, on the runner that the settings ask for.

    Raises:
        AlreadyRunningError: another night is running.
        NightError: the flow ended without a report; the message is its reason.
    """
    return run_here(nightly, workspace, selection, until, progress, retry=retry)


def _ingest(work: Work, inventory: Inventory) -> list[Row]:
    began, files = time.perf_counter(), inventory.new
    groups = [files[start : start + FILES_PER_TASK] for start in range(0, len(files), FILES_PER_TASK)]
    futures: list[tuple[int, PrefectFuture[Examined]]] = [
        (len(group), examine.submit(work.root, f"{group[0].path} +{len(group) - 1}", group)) for group in groups
    ]
    rows: list[Row] = []
    done = 0
    work.watch.progress("ingest", 0, len(files))
    for count, future in futures:
        examined = work.result(future, "ingest")
        rows += examined.rows if examined is not None else ()
        done += count
        work.watch.progress("ingest", done, len(files))
    entered = enter(work.workspace, inventory, rows)
    failed = sum(row["status"] == "quarantined" for row in entered)
    work.report.ingested = {
        "done": len(entered) - failed,
        "skipped": len(inventory.present),
        "failed": failed,
        "seconds": round(time.perf_counter() - began, 3),
    }
    return entered
