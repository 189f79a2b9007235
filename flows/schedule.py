"""The night by itself, and refits: served at the times of the settings."""

from pathlib import Path

from prefect import flow, serve
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron

from flows.nightly import run_night
from flows.refit import run_refit
from flows.server import orchestrator
from infra.environment import prepare_orchestrator
from infra.errors import NightError
from infra.site import Site
from tasks.deadline import deadline_of
from tasks.plan import Selection
from workspace.opened import Workspace


@flow(name="scheduled-night", flow_run_name="night of {site}", persist_result=False)
def scheduled_night(site: str) -> str:
    """Run the night of a workspace with what its settings say now; the flow fails where the night is not complete."""
    prepare_orchestrator(Site.open(Path(site)))
    workspace = Workspace(site)
    report = run_night(
        workspace, Selection(), until=deadline_of(workspace.settings.schedule.until, workspace.settings.zone)
    )
    if report.status not in ("complete", "partial"):
        raise NightError(f"the night is {report.status}: {'; '.join(report.attention[:5])}")
    return report.status


@flow(name="scheduled-refit", flow_run_name="refit of {site}", persist_result=False)
def scheduled_refit(site: str) -> str:
    """Train candidates in a workspace with what its settings say now; the flow fails where one model's refit does."""
    prepare_orchestrator(Site.open(Path(site)))
    report = run_refit(Workspace(site))
    if report.status != "complete":
        raise NightError(f"the refit is {report.status}: {report.message}")
    return report.message


def serve_nightly(workspace: Workspace) -> None:
    """Serve the night of a workspace until stopped, and its refits where `[refit] cron` says when.

    Their runs are in Prefect's history like those by hand. A refit and a night may run beside one another; where refits are
    served, a run that begins while another of its kind is still at work fails, and says so.
    """
    settings, site = workspace.settings, workspace.site
    times = [(scheduled_night, settings.schedule.cron)]
    if settings.refit.cron is not None:
        times.append((scheduled_refit, settings.refit.cron))
    with orchestrator(site.state_folder / "prefect-server.log"):
        served = [
            RunnerDeployment.from_flow(
                each,
                name=settings.site.name,
                schedule=Cron(cron, timezone=settings.site.time_zone),
                parameters={"site": str(site.root)},
            )
            for each, cron in times
        ]
        serve(*served, limit=len(served))  # a refit of hours keeps no night waiting
