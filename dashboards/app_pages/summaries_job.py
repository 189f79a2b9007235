"""Publishing a day again, in the background: how it goes, and how it went."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import streamlit as st

from dashboards import jobs
from dashboards.app_pages.shared import Workspace
from dashboards.wording import age_text, clock_text, duration_text, plain_text
from lake.keys import Place

PUBLICATION = "publication"
LOOK_S = 2.0
NEWS = timedelta(minutes=10)


def publish_now(shown: Workspace, places: Sequence[Place]) -> None:
    """Make what is missing of a camera's day, or of all cameras' of one: with other weights, its summary and its files.

    Raises:
        ConfigurationError: it is going on already, or cannot be started.
    """
    command = jobs.day_command(shown.site, places[0], every_camera=len(places) > 1)
    jobs.start_job(jobs.jobs_folder(shown.site), PUBLICATION, _about(places), command)


def show_job(shown: Workspace, places: Sequence[Place]) -> None:
    """How publishing goes, or went a short while ago."""
    job = jobs.find_job(jobs.jobs_folder(shown.site), PUBLICATION)
    if job is None:
        return
    old = job.ended_at is not None and datetime.now(UTC) - job.ended_at > NEWS
    if job.state == "running":
        st.fragment(_watched, run_every=LOOK_S)(shown)
    elif job.about == _about(places) and not old:
        _ended(job)


def _about(places: Sequence[Place]) -> str:
    one = places[0]
    return f"{one.campaign} {one.day.isoformat()}" if len(places) > 1 else f"{one.camera} {one.day.isoformat()}"


def _watched(shown: Workspace) -> None:
    job = jobs.find_job(jobs.jobs_folder(shown.site), PUBLICATION)
    if job is None or job.state != "running":
        st.rerun()
    with st.container(border=True):
        since = clock_text(job.started_at, shown.zone)
        st.markdown(f":material/sync: **Publishing {plain_text(job.about)}** :gray[:small[since {since}]]")
        if job.progress is not None:
            st.progress(min(job.progress, 1.0))
        st.caption(plain_text(job.last_line[-200:]))


def _ended(job: jobs.Job) -> None:
    about = plain_text(job.about)
    if job.state == "finished":
        took = "" if job.ended_at is None else f" in {duration_text((job.ended_at - job.started_at).total_seconds())}"
        ago = "" if job.ended_at is None else f", {age_text(job.ended_at)}"
        st.success(f"{about} was published{took}{ago}.", icon=":material/check_circle:")
        return
    how = "it was killed" if job.exit_code is None else f"exit code {job.exit_code}"
    st.error(f"Publishing {about} failed ({how}). Try again, or leave it to the night.", icon=":material/error:")
    st.code(job.last_line or "(it said nothing)", language=None, wrap_lines=True)
    st.caption(f"All it said: `{job.log}`.")
