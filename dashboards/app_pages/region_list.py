"""The regions that a camera has: how far each is embedded, every version of it, and embedding it now."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pandas as pd
import streamlit as st
from streamlit.errors import StreamlitAPIException

from dashboards import jobs
from dashboards.app_pages.canvas import colours_of
from dashboards.app_pages.region_form import NOTICE, problem_of, take_up
from dashboards.app_pages.shared import REVIEW_PAGE, Workspace, may
from dashboards.drawing import shape_text
from dashboards.region_queries import embedded_recordings, recording_count
from dashboards.snapshot import records
from dashboards.wording import age_text, clock_text, count_text, duration_text, moment_text, plain_text
from infra.errors import AfterwatchError
from lake.keys import Place
from workspace.opened import Workspace as Opened
from workspace.regions import SaidRegion, remove_region, say_region

LISTED = 100  # statements in the history
ROOM = 6  # of more, the history scrolls
FRESH_S = 5
LOOK_S = 2.0
"""Seconds between looks at a job that runs."""
NEWS = timedelta(hours=1)
"""For how long it is told that embedding has ended well."""
_GHOST = "regions_ghost"

Drawn = tuple[tuple[str, datetime], ...]


def region_list(
    shown: Workspace, work: Opened, place: Place, said: Sequence[SaidRegion], versions: Sequence[SaidRegion], who: str
) -> None:
    """The regions that count, and what is to be done about those that wait."""
    st.markdown(f"### {count_text(len(said), 'region').capitalize()} of {plain_text(place.camera)}")
    if not said:
        st.caption("The whole picture is always embedded; a region is looked at by itself as well.")
        return
    held = recording_count(shown.lake, place.camera)
    spaces = {one.name: _spaces(work, one.name) for one in said}
    ready = _ready(shown, place.camera, said, spaces)
    colours = colours_of(versions)
    for one in said:
        with st.container(border=True, gap="xsmall"):
            _listed(work, place, one, colours[one.name], versions, who)
            _state(place, one.name, ready[one.name], held, embeds=bool(spaces[one.name]))
    waiting = [name for name, count in ready.items() if spaces[name] and count < held]
    drawn = [one for one in said if one.name in waiting]
    _embedding(shown, place.camera, waiting, lambda: sum(_ready(shown, place.camera, drawn, spaces).values()), held)


def _listed(work: Opened, place: Place, one: SaidRegion, colour: str, versions: Sequence[SaidRegion], who: str) -> None:
    drawn = [version for version in versions if version.name == one.name and version.region is not None]
    shape = shape_text(one.region.outline) if one.region is not None else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f'<span style="color:{colour}">■</span> **{plain_text(one.name)}** '
            f":gray[:small[{shape} · version {len(drawn)}]]",
            unsafe_allow_html=True,
            width="stretch",
        )
        st.button(
            ":material/edit:",
            key=f"redraw_{one.name}",
            help="Draw it anew: move it or reshape it, then save",
            type="tertiary",
            on_click=take_up,
            args=(one,),
        )
        st.button(
            ":material/delete:",
            key=f"remove_{one.name}",
            help="Remove it; its versions and what was embedded of it are kept",
            type="tertiary",
            on_click=_remove,
            args=(work, place.camera, one.name, who),
        )


def _state(place: Place, name: str, ready: int, held: int, *, embeds: bool) -> None:
    """How far a region is embedded, and the way to the review once there is something to see."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
        if not embeds:
            st.caption(":material/block: no encoder of the settings embeds it: see `regions` under `[[encoders]]`")
        elif ready == 0:
            st.caption(":material/hourglass_empty: not embedded yet")
        elif ready < held:
            st.caption(f":material/timelapse: {ready} of {count_text(held, 'recording')} embedded")
        else:
            st.caption(f":material/check_circle: all {count_text(held, 'recording')} embedded")
        if ready:
            _review_link(place, name)


def _review_link(place: Place, name: str) -> None:
    told = {"campaign": place.campaign, "camera": place.camera, "region": name}
    try:
        st.page_link(REVIEW_PAGE, label="Review", icon=":material/rate_review:", query_params=told, width="content")
    except StreamlitAPIException:  # this installation has no review page
        return


def _spaces(work: Opened, name: str) -> list[str]:
    """Spaces in which the settings embed a region."""
    return [one.spec.space for one in work.encoders if one.table.regions == "all" or name in one.table.regions]


def _ready(
    shown: Workspace, camera: str, said: Sequence[SaidRegion], spaces: Mapping[str, Sequence[str]]
) -> dict[str, int]:
    """Recordings that every encoder has embedded, by region."""
    drawn = tuple((one.name, one.said_at) for one in said)
    rows = records(_embedded_rows(str(shown.site.root), camera, drawn, shown))
    done = {(row.region, row.space): int(row.recordings) for row in rows}
    return {one.name: min((done.get((one.name, space), 0) for space in spaces[one.name]), default=0) for one in said}


@st.cache_data(ttl=FRESH_S, max_entries=50, show_spinner=False)
def _embedded_rows(root: str, camera: str, drawn: Drawn, _shown: Workspace) -> pd.DataFrame:  # noqa: ARG001 — the root is part of the cache's key
    return embedded_recordings(_shown.lake, camera, drawn)


# Embedding it now.


def _embedding(shown: Workspace, camera: str, waiting: Sequence[str], done: Callable[[], int], held: int) -> None:
    """What is being embedded, and the button that begins it; `done` counts the recordings of all that wait."""
    job = jobs.find_job(jobs.jobs_folder(shown.site), jobs.BACKFILL)
    running = job is not None and job.state == "running"
    old = job is not None and job.ended_at is not None and datetime.now(UTC) - job.ended_at > NEWS
    if job is not None and (running or (job.about == camera and not (job.state == "finished" and old))):
        st.fragment(_job, run_every=LOOK_S if running else None)(
            shown, camera, done, held * len(waiting), watching=running
        )
    if waiting and not running:
        with st.container(border=True):
            names = ", ".join(plain_text(name) for name in waiting)
            wait = "waits" if len(waiting) == 1 else "wait"
            st.markdown(f":material/schedule: **{names}** {wait} for the next night.")
            st.button(
                "Embed it now" if len(waiting) == 1 else "Embed them now",
                icon=":material/play_arrow:",
                key="regions_embed",
                help=f"Decodes the recordings of {camera} only, in the background; you can leave this page",
                on_click=_embed,
                args=(shown, camera),
                disabled=not may("start runs"),
            )


def _job(shown: Workspace, camera: str, done: Callable[[], int], total: int, *, watching: bool) -> None:
    job = jobs.find_job(jobs.jobs_folder(shown.site), jobs.BACKFILL)
    if job is None:
        return
    if watching and job.state != "running":  # it has ended: the rest of the page has news, too
        _embedded_rows.clear()
        st.rerun()
    about = plain_text(job.about)
    with st.container(border=True):
        if job.state == "running":
            st.markdown(f":material/sync: **Embedding {about}** :gray[:small[since {_clock(shown, job)}]]")
            progress, words = job.progress, _said_last(job)
            if progress is None and job.about == camera and total:
                progress = done() / total
                words = words or "A day counts when all of it is done."
            if progress is not None:
                st.progress(min(progress, 1.0))
            st.caption(words)
        elif job.state == "finished":
            took = (
                "" if job.ended_at is None else f" in {duration_text((job.ended_at - job.started_at).total_seconds())}"
            )
            ago = "" if job.ended_at is None else f" · {age_text(job.ended_at)}"
            st.markdown(f":green[:material/check_circle:] **{about} was embedded**{took} :gray[:small[{ago}]]")
        else:
            how = "it was killed" if job.exit_code is None else f"exit code {job.exit_code}"
            st.markdown(
                f":red[:material/error:] **Embedding {about} failed** :gray[:small[{how}, begun {_clock(shown, job)}]]"
            )
            st.code(job.last_line or "(it said nothing)", language=None, wrap_lines=True)
            st.caption(
                f"All it said: `{job.log}`. What it had finished is kept; start it again, or leave it to the night."
            )


def _clock(shown: Workspace, job: jobs.Job) -> str:
    return clock_text(job.started_at, shown.zone)


def _said_last(job: jobs.Job) -> str:
    return plain_text(job.last_line[-200:])


def _embed(shown: Workspace, camera: str) -> None:
    try:
        command = jobs.backfill_command(shown.site, camera)
        jobs.start_job(jobs.jobs_folder(shown.site), jobs.BACKFILL, camera, command, shown.guard)
    except AfterwatchError as error:
        problem_of("Not started", error)


# Versions.


def chosen_version(versions: Sequence[SaidRegion]) -> tuple[str, SaidRegion] | None:
    """The version that is laid over the picture, with what it is called there."""
    asked = st.session_state.get(_GHOST)
    numbered = _numbered(versions)
    return next(((f"{one.name} · version {number}", one) for number, one in numbered if asked == _key(one)), None)


def history(
    shown: Workspace, work: Opened, camera: str, said: Sequence[SaidRegion], versions: Sequence[SaidRegion], who: str
) -> None:
    """Every statement on the camera's regions, newest first."""
    standing = {_key(one) for one in said}
    asked = st.session_state.get(_GHOST)
    st.markdown("### Versions")
    st.caption("Everything that was ever drawn stays: lay an old outline over the picture, or bring it back.")
    newest = [*reversed(_numbered(versions))]
    with st.container(height=300 if len(newest) > ROOM else "content", border=False, gap="xsmall"):
        for number, one in newest[:LISTED]:
            _statement(shown, work, camera, one, number, who, now=_key(one) in standing, laid=asked == _key(one))
        if len(newest) > LISTED:
            st.caption(f"{len(newest) - LISTED} older statements are in the lake.")


def _statement(
    shown: Workspace, work: Opened, camera: str, one: SaidRegion, number: int, who: str, *, now: bool, laid: bool
) -> None:
    name = plain_text(one.name)
    if one.region is None:
        what = f"**{name}** :gray[removed]"
    else:
        what = f"**{name}** version {number} :gray[:small[{shape_text(one.region.outline)}]]"
    columns = st.columns([5, 5, 3], vertical_alignment="center", gap="small")
    columns[0].markdown(f"{what} {':green-badge[in use]' if now else ''}")
    on = "" if one.drawn_on is None else f" · on the picture of {moment_text(one.drawn_on, shown.zone)}"
    columns[1].caption(f"{moment_text(one.said_at, shown.zone)} · {plain_text(one.author)}{on}")
    if one.region is None or now:
        return
    with columns[2], st.container(horizontal=True, gap="small", horizontal_alignment="right"):
        st.button(
            ":material/visibility_off:" if laid else ":material/visibility:",
            key=f"lay_{_key(one)}",
            help="Take it off the picture" if laid else "Lay it over the picture",
            type="tertiary",
            on_click=_lay,
            args=(None if laid else one,),
        )
        st.button(
            "Restore",
            icon=":material/restore:",
            key=f"restore_{_key(one)}",
            type="tertiary",
            on_click=_restore,
            args=(work, camera, one, number, who),
        )


def _numbered(versions: Sequence[SaidRegion]) -> list[tuple[int, SaidRegion]]:
    """Statements in order of time; those that draw are numbered by region, from 1."""
    counts: dict[str, int] = {}
    numbered = []
    for one in versions:
        counts[one.name] = counts.get(one.name, 0) + (one.region is not None)
        numbered.append((counts[one.name], one))
    return numbered


def _key(one: SaidRegion) -> str:
    return f"{one.name}@{one.said_at.isoformat()}"


def _lay(one: SaidRegion | None) -> None:
    st.session_state[_GHOST] = None if one is None else _key(one)


def _remove(work: Opened, camera: str, name: str, who: str) -> None:
    try:
        remove_region(work.ledger, camera, name, who)
    except AfterwatchError as error:
        problem_of("Not removed", error)
        return
    st.session_state[NOTICE] = (
        f"**{plain_text(name)}** is removed. Its versions stay below: restore one to bring it back."
    )


def _restore(work: Opened, camera: str, one: SaidRegion, number: int, who: str) -> None:
    if one.region is None:
        return
    try:
        say_region(work.ledger, camera, one.name, one.region.outline, who, one.drawn_on)
    except AfterwatchError as error:
        problem_of("Not restored", error)
        return
    _lay(None)
    st.session_state[NOTICE] = f"**{plain_text(one.name)}** has the outline of version {number} again."
