"""Notify: tell the alarms that nobody was told of yet, on every channel of the settings."""

from prefect import task

from workspace.notifications.sending import NotifyOutcome, send_pending
from workspace.opened import Workspace


@task(task_run_name="notify", persist_result=False)
def notify(root: str) -> NotifyOutcome:
    """Tell what is pending; what a channel fails at is told in the outcome.

    It is called in the flow's own process, where the secrets are, and whose lock on the workspace (`infra.lock.night_lock`)
    keeps another run from telling the same. `tasks.telling` keeps any other error from the night.
    """
    return send_pending(Workspace(root))
