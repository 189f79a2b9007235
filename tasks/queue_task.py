"""The task that makes a campaign's queue; what it does is in `tasks.queue`, which a night with nothing to do can load."""

from prefect import task

from tasks.queue import QueuePlan, queue_campaign
from tasks.receipts import Receipt
from workspace.opened import Workspace


@task(task_run_name="queue {campaign}", persist_result=False)
def queue(root: str, campaign: str, plan: QueuePlan) -> list[Receipt]:
    """Choose what is asked next of a campaign."""
    return queue_campaign(Workspace(root), plan)
