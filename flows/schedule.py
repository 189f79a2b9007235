"""What runs by itself: the night, and refits and backfills where the settings say when.

Each is a flow, served by `afterwatch schedule` or run by a worker of a work pool (`infra/deploy/prefect.yaml`). A run that begins
while another of its kind is at work ends as skipped, and says so: two schedules of one workspace do no harm.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, serve
from prefect.client.schemas.objects import State
from prefect.deployments.runner import RunnerDeployment
from prefect.logging import get_logger
from prefect.schedules import Cron
from prefect.states import Completed, Failed

from flows.backfill import run_backfill
from flows.missed_nights import looking_for_missed_nights
from flows.nightly import run_night
from flows.refit import run_refit
from flows.server import orchestrator
from infra.environment import prepare_orchestrator
from infra.errors import NightError
from infra.lock import BACKFILL, NIGHT, REFIT, AlreadyRunningError, backfill_lock, night_lock, refit_lock
from infra.site import Site
from lake.keys import short_hash
from tasks.deadline import deadline_of
from tasks.night_telling import tell_failure, tell_missed, tell_report
from tasks.plan import Selection
from tasks.schedule_file import expect_nights, turn
from workspace.opened import Workspace

SKIPPED = "Skipped"


@flow(name="scheduled-night", flow_run_name="night of {site}", persist_result=False)
def scheduled_night(site: str) -> State[Any]:
    """Run the night of a workspace with what its settings say now; the flow fails where the night is not complete."""
    workspace = _open(site)
    folder, settings = workspace.site.state_folder, workspace.settings
    expect_nights(folder, settings)
    with _alone(folder, NIGHT) as busy:
        if busy is not None:
            return _skipped(busy)
        began_at = datetime.now(UTC)
        try:
            report = run_night(workspace, Selection(), until=deadline_of(settings.schedule.until, settings.zone))
        except AlreadyRunningError as error:  # it began by hand in the meantime
            return _skipped(str(error))
        except NightError as error:
            untold = _untold(tell_failure(workspace, began_at, str(error)))
            return Failed(message="; ".join((str(error), *untold)))
    untold = _untold(tell_report(workspace, report.as_json()))
    if report.status in ("complete", "partial"):
        return Completed(message="; ".join((report.status, *untold)))
    return Failed(message=f"the night is {report.status}: {'; '.join((*report.attention[:5], *untold))}")


@flow(name="scheduled-backfill", flow_run_name="backfill of {site}", persist_result=False)
def scheduled_backfill(site: str) -> State[Any]:
    """Make what is missing of past days in a workspace; it gives way to a night, and the next one goes on."""
    workspace = _open(site)
    with _alone(workspace.site.state_folder, BACKFILL) as busy:
        if busy is not None:
            return _skipped(busy)
        try:
            report = run_backfill(workspace, Selection())
        except AlreadyRunningError as error:  # it began by hand in the meantime
            return _skipped(str(error))
    if report.status in ("complete", "partial"):
        return Completed(message=report.status)
    return Failed(message=f"the backfill is {report.status}: {'; '.join(report.attention[:5])}")


@flow(name="scheduled-refit", flow_run_name="refit of {site}", persist_result=False)
def scheduled_refit(site: str) -> State[Any]:
    """Train candidates in a workspace with what its settings say now; the flow fails where one model's refit does."""
    workspace = _open(site)
    with _alone(workspace.site.state_folder, REFIT) as busy:
        if busy is not None:
            return _skipped(busy)
        report = run_refit(workspace)
    if report.status == "complete":
        return Completed(message=report.message)
    return Failed(message=f"the refit is {report.status}: {report.message}")


@flow(name="missed-nights", flow_run_name="missed nights of {site}", persist_result=False)
def missed_nights(site: str) -> State[Any]:
    """Tell people of a night that is missed; for work pools: `afterwatch schedule` looks for itself."""
    workspace = _open(site)
    expect_nights(workspace.site.state_folder, workspace.settings)
    failed = _untold(tell_missed(workspace))
    return (Failed if failed else Completed)(message="; ".join(failed) or "looked")


def serve_nightly(workspace: Workspace) -> None:
    """Serve the night of a workspace until stopped, its refits where `[refit] cron` says when, and its backfills where
    `schedule.backfill_cron` does.

    Their runs are in Prefect's history like those by hand. A refit may run beside the others; a backfill gives way to a night.
    Meanwhile people are told of a night that is missed.

    Raises:
        NightError: the server that was started for it does not come up, or has ended by itself.
    """
    settings, site = workspace.settings, workspace.site
    times = [(scheduled_night, settings.schedule.cron)]
    if settings.schedule.backfill_cron is not None:
        times.append((scheduled_backfill, settings.schedule.backfill_cron))
    if settings.refit.cron is not None:
        times.append((scheduled_refit, settings.refit.cron))
    log = site.state_folder / "prefect-server.log"
    with orchestrator(log, on_end=_stop):
        # Two workspaces of one name may share a server.
        name = f"{settings.site.name} {short_hash([str(site.root)])[:6]}"
        served = [
            RunnerDeployment.from_flow(
                each,
                name=name,
                schedule=Cron(cron, timezone=settings.site.time_zone),
                parameters={"site": str(site.root)},
            )
            for each, cron in times
        ]
        expect_nights(site.state_folder, settings)
        with looking_for_missed_nights(site.root):
            # A night that finds another at work says so, and does not wait for it; and the end of one schedule stops no other's.
            serve(*served, limit=2 * len(served), pause_on_shutdown=False)


def _open(site: str) -> Workspace:
    prepare_orchestrator(Site.open(Path(site)))
    return Workspace(site)


@contextmanager
def _alone(state_folder: Path, what: str) -> Iterator[str | None]:
    """None where no other run of the kind is at work, nor begins for as long as the block lasts; else what is, in words."""
    with turn(state_folder, what) as mine:
        yield _busy(state_folder, what) if mine else f"another schedule of this workspace has begun the {what}"


def _busy(state_folder: Path, what: str) -> str | None:
    """What keeps a run from beginning, in words; a backfill keeps no night, which asks it to give way."""
    locks: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
        NIGHT: night_lock,
        BACKFILL: backfill_lock,
        REFIT: refit_lock,
    }
    try:
        with locks[what](state_folder):
            return None
    except AlreadyRunningError as error:
        return None if what == NIGHT and error.what == BACKFILL else str(error)


def _skipped(busy: str) -> State[Any]:
    get_logger("schedule").warning("skipped: %s", busy)
    return Completed(name=SKIPPED, message=busy)


def _untold(lines: list[str]) -> list[str]:
    """What kept people from being told, said where the schedule writes too."""
    for line in lines:
        get_logger("schedule").warning("%s", line)
    return lines


def _stop() -> None:
    """End what is served, as Ctrl-C does: its server is gone."""
    os.kill(os.getpid(), signal.SIGINT)
