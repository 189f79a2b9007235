"""The dashboards: `streamlit run` starts here, through `dashboards.serve`."""

from base64 import b64encode

import streamlit as st

from dashboards.app_pages.shared import (
    ALARMS_PAGE,
    ANOMALIES_PAGE,
    DAY_PAGE,
    MODELS_PAGE,
    NIGHT_PAGE,
    REGIONS_PAGE,
    REVIEW_PAGE,
    RUNS_PAGE,
    SEARCH_PAGE,
    SUMMARIES_PAGE,
    workspace,
)
from dashboards.wording import zone_text
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


def main() -> None:
    st.set_page_config(page_title="Afterwatch", page_icon=ICON, layout="wide")
    st.html(STYLE)
    page = st.navigation(
        [
            st.Page(NIGHT_PAGE, title="Night", icon=":material/nightlight:", url_path="night", default=True),
            st.Page(DAY_PAGE, title="Day", icon=":material/calendar_today:", url_path="day"),
            st.Page(SUMMARIES_PAGE, title="Summaries", icon=":material/movie:", url_path="summaries"),
            st.Page(ALARMS_PAGE, title="Alarms", icon=":material/notifications_active:", url_path="alarms"),
            st.Page(ANOMALIES_PAGE, title="Anomalies", icon=":material/crisis_alert:", url_path="anomalies"),
            st.Page(REVIEW_PAGE, title="Review", icon=":material/rate_review:", url_path="review"),
            st.Page("app_pages/queue.py", title="Queue", icon=":material/checklist:", url_path="queue"),
            st.Page(SEARCH_PAGE, title="Search", icon=":material/search:", url_path="search"),
            st.Page(REGIONS_PAGE, title="Regions", icon=":material/crop:", url_path="regions"),
            st.Page(MODELS_PAGE, title="Models", icon=":material/model_training:", url_path="models"),
            st.Page(RUNS_PAGE, title="Runs", icon=":material/history:", url_path="runs"),
        ],
        position="top",
    )
    try:
        shown = workspace()
        header = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom")
        header.markdown(f"# {page.title}", width="content")
        header.caption(
            f":material/videocam: **{shown.site.settings.site.name}** &nbsp;·&nbsp; "
            f":material/schedule: times in {zone_text(shown.zone)}",
            width="content",
        )
        page.run()
    except AfterwatchError as error:
        st.error(str(error), icon=":material/error:")
        st.caption("Nothing was changed. Put it right, then reload this page.")


main()
