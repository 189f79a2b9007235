"""The task that writes a digest; what it does is in `tasks.digest`, which a night with nothing to do can load."""

from collections.abc import Sequence
from datetime import date

from prefect import task

from tasks.digest import digest_day
from tasks.receipts import Receipt
from workspace.opened import Workspace


@task(task_run_name="digest {campaign} {day}", persist_result=False)
def digest(root: str, campaign: str, day: date, threads: int, cameras: Sequence[str]) -> list[Receipt]:
    """Write the digest of a campaign's day, of these cameras."""
    return [digest_day(Workspace(root), campaign, day, threads, cameras)]
