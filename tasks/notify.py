"""Notify: tell the alarms that nobody was told of yet, on every channel of the settings."""

from prefect import task

from tasks.receipts import reason_of
from workspace.notifications.sending import NotifyOutcome, send_pending
from workspace.opened import Workspace


@task(task_run_name="notify", persist_result=False)
def notify(root: str) -> NotifyOutcome:
    """Tell what is pending; what fails is told in the outcome, and is never raised.

    It is called in the flow's own process, where the secrets are, and whose lock on the workspace (`infra.lock.night_lock`)
    keeps another run from telling the same.
    """
    try:
        return send_pending(Workspace(root))
    except Exception as error:  # noqa: BLE001 — a night whose work is done does not fail for its messages
        return NotifyOutcome(failed=(f"notifications: {reason_of(error)}",))
