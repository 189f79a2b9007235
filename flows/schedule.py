"""The night by itself: served at the times of the settings."""

from pathlib import Path

from prefect import flow
from prefect.schedules import Cron

from flows.nightly import run_night
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


def serve_nightly(workspace: Workspace) -> None:
    """Serve the night of a workspace until stopped; its runs are in Prefect's history like those by hand."""
    settings, site = workspace.settings, workspace.site
    with orchestrator(site.state_folder / "prefect-server.log"):
        scheduled_night.serve(
            name=settings.site.name,
            schedule=Cron(settings.schedule.cron, timezone=settings.site.time_zone),
            parameters={"site": str(site.root)},
            limit=1,
        )
