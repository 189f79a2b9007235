"""The night by itself: served at the times of the settings."""

from prefect.schedules import Cron

from flows.nightly import nightly
from flows.runners import task_runner
from tasks.workspace import Workspace


def serve_nightly(workspace: Workspace, name: str | None = None) -> None:
    """Serve the night of a workspace until stopped; runs appear in Prefect's history like those by hand."""
    table, settings = workspace.settings.schedule, workspace.settings
    nightly.with_options(task_runner=task_runner(settings.cluster)).serve(
        name=name or f"{settings.site.name}",
        schedule=Cron(table.cron, timezone=settings.site.time_zone),
        parameters={"site": str(workspace.site.root), "until": table.until.isoformat() if table.until else None},
        limit=1,
        pause_on_shutdown=False,
    )
