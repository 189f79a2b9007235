"""What follows a night's last page: people are told of its alarms, and what kept them from it is told in the report."""

from tasks.receipts import reason_of
from workspace.opened import Workspace


def tell(workspace: Workspace, *, in_flow: bool) -> list[str]:
    """Tell the alarms that are still to be told, on every channel of the settings.

    Args:
        workspace: the site; the caller holds its lock.
        in_flow: whether a flow is running, which then shows this as one of its tasks.

    Returns:
        What went wrong, a line for each matter; empty where nothing did, and where no channel is set.
    """
    notifications = workspace.settings.notifications
    if not (notifications.email or notifications.webhook):
        return []
    try:
        return list(_as_task(workspace) if in_flow else _here(workspace))
    except Exception as error:  # noqa: BLE001 — what was found stands, whether or not somebody was told of it
        return [f"notifications: {reason_of(error)}; the next run tells what was not told"]


def _as_task(workspace: Workspace) -> tuple[str, ...]:
    from tasks.notify import notify  # brings the orchestrator's library, which a night with nothing to do goes without

    return notify(str(workspace.site.root)).failed


def _here(workspace: Workspace) -> tuple[str, ...]:
    from workspace.notifications.sending import send_pending  # brings the libraries that send, for sites with a channel

    return send_pending(workspace).failed
