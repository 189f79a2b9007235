"""What every page needs: the workspace, links, pictures and the looks of a status."""

import getpass
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboards.media import Published, day_folder, read_published
from dashboards.serve import SITE_VARIABLE
from dashboards.sign_in import signs_in
from dashboards.snapshot import LakeReader
from dashboards.wording import plain_text
from infra.access import Action, Actor, SignedIn, acting, acts_by, environment_actor, signed_in, system_user
from infra.errors import AccessError, ConfigurationError, LakeError
from infra.settings import SETTINGS_FILE
from infra.site import Site
from lake.audit import About
from lake.guard import Guard
from lake.keys import Place
from lake.ledger import Ledger
from lake.store import Store
from workspace.opened import Workspace as OpenedWorkspace
from workspace.opened import audit_head

DAY_PAGE, NIGHT_PAGE, RUNS_PAGE = "app_pages/day.py", "app_pages/night.py", "app_pages/runs.py"
ALARMS_PAGE, ANOMALIES_PAGE = "app_pages/alarms.py", "app_pages/anomalies.py"
MODELS_PAGE, SUMMARIES_PAGE = "app_pages/models.py", "app_pages/summaries.py"
QUEUE_PAGE = "app_pages/queue.py"
REGIONS_PAGE, REVIEW_PAGE, SEARCH_PAGE = "app_pages/regions.py", "app_pages/review.py", "app_pages/search.py"

LOOKS: Mapping[str, tuple[str, str, str]] = {
    "complete": (":material/check_circle:", "green", "Complete"),
    "partial": (":material/timelapse:", "orange", "Partial"),
    "incomplete": (":material/error:", "orange", "Incomplete"),
    "failed": (":material/cancel:", "red", "Failed"),
    "open": (":material/sync:", "blue", "Not closed"),
}
"""Icon, colour and word of each status of a run."""
LOOK: Action = "look at the dashboards"


class AskingReader(LakeReader):
    """Reads a lake for those who may look: whoever keeps it, whoever asks now is asked who they are."""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        acting().require(LOOK)
        return super().rows(sql, parameters)


@dataclass(frozen=True)
class Workspace:
    """The workspace that is shown, to whoever may look; it is kept for all sessions and carries nobody's role.

    Attributes:
        site: its settings and places.
        lake: reads it.
        guard: asks whether who acts may do something, and enters it in the audit.
    """

    site: Site
    lake: LakeReader
    guard: Guard

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
        AccessError: nobody is signed in, or somebody without a role.
    """
    acting().require(LOOK)
    return site_shown()


def site_shown() -> Workspace:
    """The workspace, before anybody is asked who they are: for the sign-in page alone.

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
    store = Store(site.lake_location, site.settings.lake_options)
    return Workspace(site, AskingReader(store), Guard(Ledger(store), acting, audit_head(site)))


def opened(shown: Workspace) -> OpenedWorkspace:
    """The workspace for work: its ledger, its encoders, its regions as they are now. It is kept for all sessions, and asks
    at every write who acts then."""
    acting().require(LOOK)
    root = str(shown.site.root)
    said = Store(shown.site.lake_location, shown.site.settings.lake_options).names("regions")
    return _open_for_work(root, settings_changed_ns(root), tuple(said))


@st.cache_resource(max_entries=4, show_spinner=False)
def _open_for_work(root: str, changed_ns: int, said: tuple[str, ...]) -> OpenedWorkspace:  # noqa: ARG001 — as above
    return OpenedWorkspace(root)


def sign_in_now() -> SignedIn:
    """Whom the provider names in this session, and their role; each time anew, as the settings are now.

    Raises:
        AccessError: the settings changed whether people sign in, which counts when the dashboards start.
    """
    table = site_shown().site.settings.access
    if (table.sign_in == "oidc") != signs_in():
        raise AccessError(
            f'[access] sign_in = "{table.sign_in}" was set while the dashboards ran, and counts when they start; start them anew'
        )
    if not signs_in():
        return SignedIn(Actor(_typed_author() or system_user(), "engineer", "dashboard"))
    return signed_in(st.user.to_dict(), table, datetime.now(UTC))


def session_actor() -> Actor:
    """Who acts in this session; outside of one, as in a thread of a page, whoever the server works for."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return environment_actor()
    return sign_in_now().actor


# Whatever is opened in this server, and by whichever page, asks this session.
acts_by(session_actor)


def may(action: Action) -> bool:
    """Whether who looks may do something: to show no button that would be refused."""
    return acting().may(action)


def to_take_away(guard: Guard, on: Sequence[str], make: Callable[[], bytes]) -> Callable[[], bytes]:
    """The content of a download, asked for and entered when somebody takes it.

    It is made outside of every session, so that the button remembers whose it is.

    Args:
        guard: is asked.
        on: what is taken away.
        make: its content.
    """
    actor = acting()

    def taken() -> bytes:
        guard.for_actor(actor).ask("take footage and results away", About(tuple(on)))
        return make()

    return taken


def author(action: Action = "label and judge") -> str:
    """Who writes: the person who is signed in; where nobody signs in, a small field, filled with the operating system's user
    and kept for the session.

    Args:
        action: what the name is for.

    Returns:
        The name; empty where neither a person nor the system has told one, and where their role does not allow it.
    """
    if signs_in():
        actor = acting()
        return actor.name if actor.may(action) else ""
    name = _typed_author()
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


def _typed_author() -> str:
    st.session_state.setdefault("author", _login())
    return str(st.session_state["author"])


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
