"""What every page needs: the workspace, links, pictures and the looks of a status."""

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import streamlit as st

from dashboards.media import Published, day_folder, read_published
from dashboards.serve import SITE_VARIABLE
from dashboards.snapshot import LakeReader
from dashboards.wording import plain_text
from infra.errors import ConfigurationError, LakeError
from infra.settings import SETTINGS_FILE
from infra.site import Site
from lake.keys import Place
from lake.store import Store
from workspace.opened import Workspace as OpenedWorkspace

DAY_PAGE, NIGHT_PAGE, RUNS_PAGE = "app_pages/day.py", "app_pages/night.py", "app_pages/runs.py"
ALARMS_PAGE, ANOMALIES_PAGE = "app_pages/alarms.py", "app_pages/anomalies.py"
MODELS_PAGE, SUMMARIES_PAGE = "app_pages/models.py", "app_pages/summaries.py"
REGIONS_PAGE, REVIEW_PAGE, SEARCH_PAGE = "app_pages/regions.py", "app_pages/review.py", "app_pages/search.py"

LOOKS: Mapping[str, tuple[str, str, str]] = {
    "complete": (":material/check_circle:", "green", "Complete"),
    "partial": (":material/timelapse:", "orange", "Partial"),
    "incomplete": (":material/error:", "orange", "Incomplete"),
    "failed": (":material/cancel:", "red", "Failed"),
    "open": (":material/sync:", "blue", "Not closed"),
}
"""Icon, colour and word of each status of a run."""


@dataclass(frozen=True)
class Workspace:
    """The workspace that is shown."""

    site: Site
    lake: LakeReader

    @property
    def zone(self) -> ZoneInfo:
        return self.site.settings.zone

    def command(self, words: str) -> str:
        """A command line that a person can copy."""
        return f"afterwatch {words} --site {self.site.root}"


def workspace() -> Workspace:
    """The workspace that the server was started with; settings changed since are read again.

    Raises:
        ConfigurationError: none was named, or it cannot be opened.
    """
    root = os.environ.get(SITE_VARIABLE)
    if not root:
        raise ConfigurationError('no workspace was named; start the dashboard with "afterwatch dashboard --site PATH"')
    return _open(root, settings_changed_ns(root))


def settings_changed_ns(root: str) -> int:
    """When a site's settings were written; caches of what follows from them are keyed by it."""
    try:
        return (Path(root) / SETTINGS_FILE).stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_resource(max_entries=4, show_spinner=False)
def _open(root: str, changed_ns: int) -> Workspace:  # noqa: ARG001 — part of the cache's key
    site = Site.open(Path(root))
    return Workspace(site, LakeReader(Store(site.lake_location, site.settings.lake_options)))


def opened(shown: Workspace) -> OpenedWorkspace:
    """The workspace for work: its ledger, its encoders, its regions as they are now."""
    root = str(shown.site.root)
    said = Store(shown.site.lake_location, shown.site.settings.lake_options).names("regions")
    return _open_for_work(root, settings_changed_ns(root), tuple(said))


@st.cache_resource(max_entries=4, show_spinner=False)
def _open_for_work(root: str, changed_ns: int, said: tuple[str, ...]) -> OpenedWorkspace:  # noqa: ARG001 — as above
    return OpenedWorkspace(root)


def author() -> str:
    """Who writes: a small field, filled with the operating system's user and kept for the session.

    Returns:
        The name; empty where neither a person nor the system has told one.
    """
    st.session_state.setdefault("author", _login())
    name = str(st.session_state["author"])
    # A page that is left forgets its fields; the name outlives them.
    st.session_state.setdefault("author_field", name)
    with st.popover(
        plain_text(name) or "Who are you?",
        icon=":material/person:",
        help="Your name: it stands beside what you draw and say",
    ):
        st.text_input("Your name", key="author_field", max_chars=60, on_change=_keep_author)
        st.caption("It stands beside everything that you draw and say here.")
    return name


def _keep_author() -> None:
    st.session_state["author"] = str(st.session_state["author_field"]).strip() or _login()
    st.session_state["author_field"] = st.session_state["author"]


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return ""


def published_day(site: Site, place: Place) -> tuple[Published | None, str]:
    """What was published of a camera's day, and what is wrong with it."""
    try:
        return read_published(site, place), ""
    except LakeError as error:
        return None, str(error)


def event_picture(site: Site, place: Place, relative: str | None) -> bytes | None:
    """The picture of an event; it is there before the day's summary is."""
    return Published(day_folder(site, place)).picture(relative or "")


def show_picture(content: bytes | None, alt: str, link: str | None = None) -> None:
    """A picture over the whole width, or a quiet word where there is none."""
    if content is None:
        with st.container(border=True, height=96, horizontal_alignment="center", vertical_alignment="center"):
            st.caption(":material/image_not_supported: no picture yet")
    else:
        st.image(content, width="stretch", alt=alt, link=link)


def status_badge(status: str) -> None:
    icon, colour, word = LOOKS.get(status, (":material/help:", "gray", status.capitalize()))
    st.badge(word, icon=icon, color=colour)  # type: ignore[arg-type]  # colours are of the table above


def empty_state(icon: str, title: str, text: str, command: str | None = None) -> None:
    """Says calmly that there is nothing, why, and which command changes that."""
    with st.container(border=True):
        st.markdown(f"#### {icon} {title}")
        st.markdown(text)
        if command:
            st.code(command, language="bash")


def facts(*pairs: tuple[str, str, str | None]) -> None:
    """A row of figures: (label, value, help)."""
    with st.container(horizontal=True, gap="small"):
        for label, value, hint in pairs:
            st.metric(label, value, help=hint, border=True, width="stretch")


def link_to(place: Place, event_id: str | None = None) -> dict[str, str]:
    """Query parameters under which the Day page shows a camera's day, and an event of it."""
    told = {"campaign": place.campaign, "camera": place.camera, "day": place.day.isoformat()}
    return told if event_id is None else {**told, "event": event_id}
