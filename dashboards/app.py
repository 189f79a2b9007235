"""The dashboards: `streamlit run` starts here, through `dashboards.serve`."""

import streamlit as st

from dashboards.app_pages.shared import DAY_PAGE, NIGHT_PAGE, RUNS_PAGE, workspace
from dashboards.wording import zone_text
from infra.errors import AfterwatchError

STYLE = """
<style>
  .stMainBlockContainer { padding-top: 4.25rem; padding-bottom: 3rem; max-width: 1500px; }
  .stMetric { padding: 0.55rem 0.8rem; }
  [data-testid="stImage"] img, [data-testid="stImageContainer"] img, video { border-radius: 6px; }
</style>
"""


def main() -> None:
    st.set_page_config(page_title="Afterwatch", page_icon=":material/nightlight:", layout="wide")
    st.html(STYLE)
    page = st.navigation(
        [
            st.Page(NIGHT_PAGE, title="Night", icon=":material/nightlight:", url_path="night", default=True),
            st.Page(DAY_PAGE, title="Day", icon=":material/calendar_today:", url_path="day"),
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
