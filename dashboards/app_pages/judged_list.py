"""Events that people judge, as a list to go through: what the Alarms and the Anomalies page share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from dashboards.app_pages.shared import Workspace, event_picture, show_picture
from dashboards.event_rows import Ranked
from dashboards.told_events import same_now
from dashboards.wording import clock_text
from lake.deliveries import Delivery
from lake.keys import Place

LISTED = 20
HEIGHT, ROOM = 960, 8  # of the list in pixels, and events that fit into it
MARKS = {"confirmed": ":green-badge[:material/check:]", "dismissed": ":gray-badge[:material/close:]"}


@dataclass(frozen=True)
class Shown:
    """What the filters leave.

    Attributes:
        every: all events within the filters, judged or not.
        listed: those of them that are listed, in their order.
        verdicts: by event id, `confirmed` or `dismissed`; those that nobody judged are absent.
    """

    every: Sequence[Ranked]
    listed: Sequence[Ranked]
    verdicts: dict[str, str]


@dataclass(frozen=True)
class Listing:
    """How a page lists its events.

    Attributes:
        page: the page; keys of its widgets begin with it.
        counted: how many events there are, in words.
        order: how they are ordered, in a sentence.
        title, strength: of an event: what it is called, and how strong it is, in few words.
        badge: beside an event that nobody judged.
    """

    page: str
    counted: Callable[[Sequence[Ranked]], str]
    order: str
    title: Callable[[Ranked], str]
    strength: Callable[[Ranked], str]
    badge: Callable[[Ranked], str]


def go_to(event_id: str) -> None:
    """Show another event; which one is in the address."""
    st.query_params["event"] = event_id


def followed(deliveries: Sequence[Delivery], events: Sequence[Ranked], asked: str) -> str | None:
    """The event to show for a link: the one asked for, or what a message told by that name as it stands now, which is said.

    Args:
        deliveries: all that count.
        events: all that the page could show.
        asked: id of the event in the address; empty where it names none.

    Returns:
        Id of the event; empty where none was asked for, None where the one asked for is there no more.
    """
    if not asked or asked in {one.event_id for one in events}:
        return asked
    follow = same_now(deliveries, events, asked)
    if follow is None:
        return None
    st.info(
        "The day was judged again since that message. This is the same moment as it stands now.",
        icon=":material/update:",
    )
    return follow.event_id


def number_of(listed: Sequence[Ranked], asked: str | None) -> int | None:
    """Which of those listed is shown: the one asked for, else the first; None where a link asks for one that is gone."""
    if asked is None:
        return None
    return next((number for number, one in enumerate(listed) if one.event_id == asked), 0)


def show_gone() -> None:
    """In place of the event of a link that is there no more: no other is opened, or it would be judged for that one."""
    st.warning(
        "The event of this link counts no more: a later run, another threshold or other settings took it away. "
        "The events in the list count now; choose one to look at it.",
        icon=":material/link_off:",
    )


def where_text(one: Ranked) -> str:
    return one.camera if one.region == "frame" else f"{one.camera} · {one.region}"


def show_list(shown: Workspace, listing: Listing, found: Shown, at: int | None) -> None:
    """How many there are, and the list; number `at` is the one that is shown, None where none is."""
    confirmed = sum(found.verdicts.get(one.event_id) == "confirmed" for one in found.every)
    dismissed = sum(found.verdicts.get(one.event_id) == "dismissed" for one in found.every)
    st.markdown(
        f"{listing.counted(found.every)}  \n"
        f":small[:gray[{confirmed} confirmed · {dismissed} dismissed · "
        f"{len(found.every) - confirmed - dismissed} open]]",
        help=listing.order,
    )
    first = (at or 0) // LISTED * LISTED
    with st.container(height=HEIGHT if len(found.listed) > ROOM else "content", border=False):
        for number, one in enumerate(found.listed[first : first + LISTED], start=first):
            _listed(shown, listing, found, number, one, chosen=number == at)
    if len(found.listed) > LISTED:
        _pages(listing, found, first)


def _pages(listing: Listing, found: Shown, first: int) -> None:
    last = min(first + LISTED, len(found.listed))
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        for icon, label, target in (
            (":material/chevron_left:", "The ones before", first - LISTED),
            (":material/chevron_right:", "The next ones", first + LISTED),
        ):
            there = 0 <= target < len(found.listed)
            st.button(
                icon,
                key=f"{listing.page}_page_{label}",
                help=label,
                disabled=not there,
                on_click=go_to,
                args=(found.listed[target].event_id if there else "",),
            )
            if target < first:
                st.caption(f"{first + 1} – {last} of {len(found.listed)}", width="content")


def _listed(shown: Workspace, listing: Listing, found: Shown, number: int, one: Ranked, *, chosen: bool) -> None:
    place = Place(one.campaign, one.camera, one.day)
    clock = clock_text(one.event.peak_at, shown.zone)
    with st.container(border=True, gap=None):
        picture, words = st.columns([8, 12], vertical_alignment="center", gap="small")
        with picture:
            show_picture(event_picture(shown.site, place, one.keyframe), alt=f"{one.camera} at {clock}")
        badge = MARKS.get(found.verdicts.get(one.event_id, ""), listing.badge(one))
        with words, st.container(gap=None):
            st.button(
                listing.title(one),
                key=f"{listing.page}_go_{one.event_id}",
                help=f"Number {number + 1}: show it",
                type="primary" if chosen else "tertiary",
                on_click=go_to,
                args=(one.event_id,),
            )
            st.markdown(
                f":small[{one.day:%a} {one.day.day} {one.day:%b}, {clock}]  \n"
                f"{badge} :gray[:small[{listing.strength(one)}]]"
            )
