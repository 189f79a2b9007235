"""Publishing a day again, in the background."""

from collections.abc import Sequence

from dashboards import jobs
from dashboards.app_pages.background_job import JobWords
from dashboards.app_pages.background_job import show_job as show
from dashboards.app_pages.shared import Workspace
from lake.keys import Place

PUBLICATION = "publication"
WORDS = JobWords(PUBLICATION, "Publishing {}", "{} was published")


def publish_now(shown: Workspace, places: Sequence[Place]) -> None:
    """Make what is missing of a camera's day, or of all cameras' of one: with other weights, its summary and its files.

    Raises:
        ConfigurationError: it is going on already, or cannot be started.
    """
    command = jobs.day_command(shown.site, places[0], every_camera=len(places) > 1)
    jobs.start_job(jobs.jobs_folder(shown.site), PUBLICATION, _about(places), command, shown.guard)


def show_job(shown: Workspace, places: Sequence[Place]) -> None:
    """How publishing goes, or went a short while ago."""
    show(shown, WORDS, _about(places))


def _about(places: Sequence[Place]) -> str:
    one = places[0]
    return f"{one.campaign} {one.day.isoformat()}" if len(places) > 1 else f"{one.camera} {one.day.isoformat()}"
