"""The ranked events of the Anomalies page as a list to go through."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from dashboards.anomaly_queries import Ranked
from dashboards.app_pages.anomalies_why import DEVIATIONS
from dashboards.app_pages.shared import Workspace, event_picture, show_picture
from dashboards.wording import clock_text, count_text
from lake.keys import Place

LISTED = 20
HEIGHT, ROOM = 960, 8  # of the list in pixels, and events that fit into it
MARKS = {"confirmed": ":green-badge[:material/check:]", "dismissed": ":gray-badge[:material/close:]"}


@dataclass(frozen=True)
class Shown:
    """What the filters leave.

    Attributes:
        every: all ranked events of the campaign.
        listed: those that pass the filters, the most unusual first.
        verdicts: by event id, `confirmed` or `dismissed`; those that nobody judged are absent.
    """

    every: Sequence[Ranked]
    listed: Sequence[Ranked]
    verdicts: dict[str, str]


def go_to(event_id: str) -> None:
    """Show another event; which one is in the address."""
    st.query_params["event"] = event_id


def show_list(shown: Workspace, found: Shown, at: int) -> None:
    """How many there are, and the ranked list; number `at` is the one that is shown."""
    confirmed = sum(found.verdicts.get(one.event_id) == "confirmed" for one in found.every)
    dismissed = sum(found.verdicts.get(one.event_id) == "dismissed" for one in found.every)
    alarms = sum(one.alarm for one in found.every)
    st.markdown(
        f"**{count_text(len(found.every), 'event')}** · {count_text(alarms, 'alarm')}  \n"
        f":small[:gray[{confirmed} confirmed · {dismissed} dismissed · "
        f"{len(found.every) - confirmed - dismissed} open]]",
        help=f"The most unusual first, by deviations above the normal of their own camera and region. {DEVIATIONS}",
    )
    first = at // LISTED * LISTED
    with st.container(height=HEIGHT if len(found.listed) > ROOM else "content", border=False):
        for number, one in enumerate(found.listed[first : first + LISTED], start=first):
            _listed(shown, found, number, one, chosen=number == at)
    if len(found.listed) > LISTED:
        _pages(found, first)


def _pages(found: Shown, first: int) -> None:
    last = min(first + LISTED, len(found.listed))
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        for icon, label, target in (
            (":material/chevron_left:", "The ones before", first - LISTED),
            (":material/chevron_right:", "The next ones", first + LISTED),
        ):
            there = 0 <= target < len(found.listed)
            st.button(
                icon,
                key=f"anomalies_page_{label}",
                help=label,
                disabled=not there,
                on_click=go_to,
                args=(found.listed[target].event_id if there else "",),
            )
            if target < first:
                st.caption(f"{first + 1} – {last} of {len(found.listed)}", width="content")


def _listed(shown: Workspace, found: Shown, number: int, one: Ranked, *, chosen: bool) -> None:
    place = Place(one.campaign, one.camera, one.day)
    clock = clock_text(one.event.peak_at, shown.zone)
    with st.container(border=True, gap=None):
        picture, words = st.columns([8, 12], vertical_alignment="center", gap="small")
        with picture:
            show_picture(event_picture(shown.site, place, one.keyframe), alt=f"{one.camera} at {clock}")
        badge = MARKS.get(found.verdicts.get(one.event_id, ""), ":orange-badge[alarm]" if one.alarm else "")
        with words, st.container(gap=None):
            st.button(
                where_text(one),
                key=f"anomalies_go_{one.event_id}",
                help=f"Number {number + 1}: show it",
                type="primary" if chosen else "tertiary",
                on_click=go_to,
                args=(one.event_id,),
            )
            st.markdown(
                f":small[{one.day:%a} {one.day.day} {one.day:%b}, {clock}]  \n{badge} :gray[:small[{_strength(one)}]]"
            )


def where_text(one: Ranked) -> str:
    return one.camera if one.region == "frame" else f"{one.camera} · {one.region}"


def _strength(one: Ranked) -> str:
    deviations = one.event.deviations
    if deviations is not None:
        return f"{deviations:,.0f} deviations" if deviations >= 10 else f"{deviations:.1f} deviations"
    return f"{one.ratio:.1f}× threshold" if one.ratio is not None else ""
