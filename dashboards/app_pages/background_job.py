"""A job in the background, as the page that started it shows it: how it goes, and how it went."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import streamlit as st

from dashboards import jobs
from dashboards.app_pages.shared import Workspace
from dashboards.wording import age_text, clock_text, duration_text, plain_text

LOOK_S = 2.0
NEWS = timedelta(minutes=10)


@dataclass(frozen=True)
class JobWords:
    """A kind of job and how it is told; `{}` is what it is about.

    Attributes:
        name: of the kind; one job of it runs at a time.
        doing: while it runs, and where it failed.
        done: afterwards.
    """

    name: str
    doing: str
    done: str


def show_job(shown: Workspace, words: JobWords, about: str) -> None:
    """How the job goes, whatever it is about; or how the one that is about this went a short while ago."""
    job = jobs.find_job(jobs.jobs_folder(shown.site), words.name)
    if job is None:
        return
    old = job.ended_at is not None and datetime.now(UTC) - job.ended_at > NEWS
    if job.state == "running":
        st.fragment(_watched, run_every=LOOK_S)(shown, words)
    elif job.about == about and not old:
        _ended(job, words)


def _watched(shown: Workspace, words: JobWords) -> None:
    job = jobs.find_job(jobs.jobs_folder(shown.site), words.name)
    if job is None or job.state != "running":
        st.rerun()
    with st.container(border=True):
        since = clock_text(job.started_at, shown.zone)
        doing = words.doing.format(plain_text(job.about))
        st.markdown(f":material/sync: **{doing}** :gray[:small[since {since}]]")
        if job.progress is not None:
            st.progress(min(job.progress, 1.0))
        st.caption(plain_text(job.last_line[-200:]))


def _ended(job: jobs.Job, words: JobWords) -> None:
    about = plain_text(job.about)
    if job.state == "finished":
        took = "" if job.ended_at is None else f" in {duration_text((job.ended_at - job.started_at).total_seconds())}"
        ago = "" if job.ended_at is None else f", {age_text(job.ended_at)}"
        st.success(f"{words.done.format(about)}{took}{ago}.", icon=":material/check_circle:")
        return
    how = "it was killed" if job.exit_code is None else f"exit code {job.exit_code}"
    failed = f"{words.doing.format(about)} failed ({how})"
    st.error(f"{failed}. Try again, or leave it to the night.", icon=":material/error:")
    st.code(job.last_line or "(it said nothing)", language=None, wrap_lines=True)
    st.caption(f"All it said: `{job.log}`.")
