"""Judging a camera again, in the background: how it goes, and how it went."""

from datetime import UTC, datetime, timedelta

import streamlit as st

from dashboards import jobs
from dashboards.app_pages.shared import Workspace
from dashboards.wording import age_text, clock_text, duration_text, plain_text

REJUDGE = "rejudge"
LOOK_S = 2.0
NEWS = timedelta(minutes=10)


def judge_again(shown: Workspace, camera: str) -> None:
    """Make whatever of a camera does not stand as it was said: of a new threshold, its events and what follows.

    Raises:
        ConfigurationError: it is going on already, or cannot be started.
    """
    jobs.start_job(jobs.jobs_folder(shown.site), REJUDGE, camera, jobs.backfill_command(shown.site, camera))


def show_job(shown: Workspace, camera: str) -> None:
    """How judging again goes, or went a short while ago."""
    job = jobs.find_job(jobs.jobs_folder(shown.site), REJUDGE)
    if job is None:
        return
    old = job.ended_at is not None and datetime.now(UTC) - job.ended_at > NEWS
    if job.state == "running":
        st.fragment(_watched, run_every=LOOK_S)(shown)
    elif job.about == camera and not old:
        _ended(job)


def _watched(shown: Workspace) -> None:
    job = jobs.find_job(jobs.jobs_folder(shown.site), REJUDGE)
    if job is None or job.state != "running":
        st.rerun()
    with st.container(border=True):
        since = clock_text(job.started_at, shown.zone)
        st.markdown(f":material/sync: **Judging {plain_text(job.about)} again** :gray[:small[since {since}]]")
        if job.progress is not None:
            st.progress(min(job.progress, 1.0))
        st.caption(plain_text(job.last_line[-200:]))


def _ended(job: jobs.Job) -> None:
    about = plain_text(job.about)
    if job.state == "finished":
        took = "" if job.ended_at is None else f" in {duration_text((job.ended_at - job.started_at).total_seconds())}"
        ago = "" if job.ended_at is None else f", {age_text(job.ended_at)}"
        st.success(f"{about} was judged again{took}{ago}.", icon=":material/check_circle:")
        return
    how = "it was killed" if job.exit_code is None else f"exit code {job.exit_code}"
    st.error(f"Judging {about} again failed ({how}). Try again, or leave it to the night.", icon=":material/error:")
    st.code(job.last_line or "(it said nothing)", language=None, wrap_lines=True)
    st.caption(f"All it said: `{job.log}`.")
