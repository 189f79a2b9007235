"""Summaries: a camera's day or all cameras' in minutes, why each segment is in, and what other weights would show."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboards.app_pages.address import ALL_CAMERAS, chosen, chosen_view
from dashboards.app_pages.review_parts import tell_problem
from dashboards.app_pages.shared import author, empty_state, opened, workspace
from dashboards.app_pages.summaries_digest import show_digest
from dashboards.app_pages.summaries_watch import show_watch
from dashboards.app_pages.summaries_weights import show_weights
from dashboards.queries import camera_days
from dashboards.snapshot import records
from dashboards.wording import count_text, day_text
from lake.keys import Place

PAGE = "summaries"
WATCH, WEIGHTS = VIEWS = ("Watch", "Weights")


def main() -> None:
    shown = workspace()
    days = camera_days(shown.lake)
    if days.empty:
        empty_state(
            ":material/video_library:",
            "No footage yet",
            "Nothing has been taken in. Put recordings below the footage folder and run the night.",
            shown.command("run"),
        )
        return
    tell_problem()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        view = chosen_view(PAGE, VIEWS)
        places, several = _choose(days)
        st.space("stretch")
        who = author("set weights")
    if view == WEIGHTS:
        show_weights(shown, opened(shown), places, who)
    elif several:
        show_digest(shown, opened(shown), places)
    else:
        show_watch(shown, opened(shown), places[0])


def _choose(days: pd.DataFrame) -> tuple[list[Place], bool]:
    """The camera days that are shown, and whether they are all cameras of a day together."""
    newest_first = list(dict.fromkeys(days["campaign"]))
    campaign = chosen(PAGE, "Campaign", newest_first, "campaign", forget=("segment", "day", "camera"))
    days = days[days["campaign"] == campaign]
    told = {day.isoformat(): _told(records(days[days["day"] == day])) for day in sorted(set(days["day"]), reverse=True)}
    day = chosen(PAGE, "Day", list(told), "day", told=told, forget=("segment",), width=260)
    rows = [row for row in records(days) if row.day.isoformat() == day]
    cameras = sorted(row.camera for row in rows)
    options = [ALL_CAMERAS, *cameras] if len(cameras) > 1 else cameras
    camera = chosen(PAGE, "Camera", options, "camera", forget=("segment",))
    places = [Place(campaign, name, rows[0].day) for name in cameras if camera in (ALL_CAMERAS, name)]
    return places, camera == ALL_CAMERAS


def _told(rows: Sequence[object]) -> str:
    return f"{day_text(rows[0].day)} · {count_text(len(rows), 'camera')}"  # type: ignore[attr-defined]  # rows of a frame


main()
