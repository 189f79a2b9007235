"""The dashboards: `streamlit run` starts here, through `dashboards.serve`."""

from base64 import b64encode
from pathlib import Path

import streamlit as st

from dashboards.app_pages.shared import (
    ALARMS_PAGE,
    ANOMALIES_PAGE,
    DAY_PAGE,
    LOOK,
    MODELS_PAGE,
    NIGHT_PAGE,
    QUEUE_PAGE,
    REGIONS_PAGE,
    REVIEW_PAGE,
    RUNS_PAGE,
    SEARCH_PAGE,
    SUMMARIES_PAGE,
    workspace,
)
from dashboards.app_pages.sign_in import person_menu, sign_in_page, signed_in_person
from dashboards.first_runs import FIRST_RUNS
from dashboards.wording import zone_text
from infra.access import Action, SignedIn
from infra.errors import AfterwatchError

# In the page itself: Streamlit would fetch an icon of its own from the network.
ICON = (
    "data:image/svg+xml;base64,"
    + b64encode(
        b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">'
        b'<path fill="#E69F00" d="M15 2a10 10 0 1 0 7 13A8.500 8.500 0 0 1 15 2z"/></svg>'
    ).decode()
)
STYLE = """
<style>
  .stMainBlockContainer { padding-top: 4.25rem; padding-bottom: 3rem; max-width: 1500px; }
  .stMetric > div { padding: 0.5rem 0.85rem !important; }
  .stMetric { padding: 0 !important; }
  .stMetric [data-testid="stMetricValue"] { line-height: 1.3; padding-bottom: 0; }
  [data-testid="stImage"] img, [data-testid="stImageContainer"] img, video { border-radius: 6px; }
</style>
"""


# Of each page its file, title, icon, and what one does there: who may not, does not find it in the menu.
PAGES: tuple[tuple[str, str, str, Action], ...] = (
    (NIGHT_PAGE, "Night", "nightlight", LOOK),
    (DAY_PAGE, "Day", "calendar_today", LOOK),
    (SUMMARIES_PAGE, "Summaries", "movie", LOOK),
    (ALARMS_PAGE, "Alarms", "notifications_active", LOOK),
    (ANOMALIES_PAGE, "Anomalies", "crisis_alert", LOOK),
    (REVIEW_PAGE, "Review", "rate_review", "label and judge"),
    (QUEUE_PAGE, "Queue", "checklist", "label and judge"),
    (SEARCH_PAGE, "Search", "search", LOOK),
    (REGIONS_PAGE, "Regions", "crop", "draw regions"),
    (MODELS_PAGE, "Models", "model_training", "compare models"),
    (RUNS_PAGE, "Runs", "history", LOOK),
)


def main() -> None:
    st.set_page_config(page_title="Afterwatch", page_icon=ICON, layout="wide")
    st.html(STYLE)
    try:
        found = signed_in_person()
        if found.actor.role == "none":
            _sign_in_alone()
            return
        page, action = _navigation(found)
        shown = workspace()
        header = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom")
        header.markdown(f"# {page.title}", width="content")
        right = header.container(horizontal=True, width="content", vertical_alignment="center", gap="small")
        right.caption(
            f":material/videocam: **{shown.site.settings.site.name}** &nbsp;·&nbsp; "
            f":material/schedule: times in {zone_text(shown.zone)}",
            width="content",
        )
        with right:
            person_menu(found)
        found.actor.require(action)
        with FIRST_RUNS.of(page.title), shown.lake.held():
            page.run()
    except AfterwatchError as error:
        st.error(str(error), icon=":material/error:")
        st.caption("Nothing was changed. Put it right, then reload this page.")


def _navigation(found: SignedIn) -> tuple[st.Page, Action]:
    """The page of the address, and what one does there. What the role may not do is not in the menu; a link to it is told so."""
    pages = [
        st.Page(
            file,
            title=title,
            icon=f":material/{icon}:",
            url_path=Path(file).stem,
            default=number == 0,
            visibility="visible" if found.actor.may(action) else "hidden",
        )
        for number, (file, title, icon, action) in enumerate(PAGES)
    ]
    page = st.navigation(pages, position="top")
    return page, next(action for _, title, _, action in PAGES if title == page.title)


def _sign_in_alone() -> None:
    """The sign-in page, under every address."""
    stems = [Path(file).stem for file, *_ in PAGES]
    pages = [st.Page(sign_in_page, title="Sign in", url_path=stem, default=stem == stems[0]) for stem in stems]
    st.navigation(pages, position="hidden").run()


main()
