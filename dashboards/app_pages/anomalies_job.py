"""Judging a camera again, in the background."""

from dashboards import jobs
from dashboards.app_pages.background_job import JobWords
from dashboards.app_pages.background_job import show_job as show
from dashboards.app_pages.shared import Workspace

REJUDGE = "rejudge"
WORDS = JobWords(REJUDGE, "Judging {} again", "{} was judged again")


def judge_again(shown: Workspace, camera: str) -> None:
    """Make whatever of a camera does not stand as it was said: of a new threshold, its events and what follows.

    Raises:
        ConfigurationError: it is going on already, or cannot be started.
    """
    command = jobs.backfill_command(shown.site, camera)
    jobs.start_job(jobs.jobs_folder(shown.site), REJUDGE, camera, command, shown.guard)


def show_job(shown: Workspace, camera: str) -> None:
    """How judging again goes, or went a short while ago."""
    show(shown, WORDS, camera)
