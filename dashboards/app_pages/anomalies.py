"""Anomalies: what stood out on all cameras and days of a campaign, the most unusual first, why, and what people say."""

from collections.abc import Sequence

import streamlit as st

from dashboards.anomaly_queries import anomaly_campaigns, campaign_of, ranked_events
from dashboards.app_pages.address import ALL_CAMERAS, chosen, chosen_nights, chosen_view
from dashboards.app_pages.anomalies_threshold import show_thresholds
from dashboards.app_pages.anomalies_why import DEVIATIONS, show_why
from dashboards.app_pages.judged_list import Listing, Shown, followed, number_of, show_gone, show_list, where_text
from dashboards.app_pages.judging import BADGES, said_of, show_buttons, show_clip
from dashboards.app_pages.review_parts import tell_problem
from dashboards.app_pages.shared import (
    DAY_PAGE,
    SEARCH_PAGE,
    Workspace,
    author,
    empty_state,
    link_to,
    opened,
    workspace,
)
from dashboards.event_rows import Ranked
from dashboards.queries import camera_days
from dashboards.told_events import told_as
from dashboards.wording import clock_text, count_text, day_text
from lake.deliveries import Delivery
from lake.keys import Place
from workspace.notifications.pending import told_now
from workspace.opened import Workspace as Opened
from workspace.verdicts import verdicts_now

PAGE = "anomalies"
EVENTS, THRESHOLDS = VIEWS = ("Events", "Thresholds")
NOTE = (
    "From the next fit on, what is confirmed is left out of the camera’s normal, and what is dismissed belongs to it."
)


def main() -> None:
    shown = workspace()
    if camera_days(shown.lake).empty:
        empty_state(
            ":material/video_library:",
            "No footage yet",
            "Nothing has been taken in. Put recordings below the footage folder and run the night.",
            shown.command("run"),
        )
        return
    head = shown.site.settings.novelty.name
    campaigns = anomaly_campaigns(shown.lake, head)
    if not campaigns:
        empty_state(
            ":material/hourglass_empty:",
            "Not scored yet",
            "No night has compared this footage with the camera’s own past yet.",
            shown.command("run"),
        )
        return
    tell_problem()
    work = opened(shown)
    judged = verdicts_now(work)
    deliveries = told_now(work, judged.known)
    _turn_to_campaign(shown, deliveries, campaigns)
    bar = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom", gap="small")
    with bar:
        view = chosen_view(PAGE, VIEWS)
        campaign = chosen(PAGE, "Campaign", campaigns, "campaign")
    if view == THRESHOLDS:
        show_thresholds(shown, work, campaign, bar)
        return
    every = ranked_events(shown.lake, head, campaign)
    with bar:
        camera = chosen(PAGE, "Camera", [ALL_CAMERAS, *sorted({one.camera for one in every})], "camera")
        nights = chosen_nights(PAGE, {one.day for one in every})
        with st.container(horizontal=True, vertical_alignment="bottom", width="content", gap="medium"):
            alarms = st.toggle("Only alarms", key="anomalies_alarms")
            unjudged = st.toggle("Not judged yet", key="anomalies_open")
            who = author()
    inside = [one for one in every if camera in (ALL_CAMERAS, one.camera) and one.day in nights]
    verdicts = said_of(judged, inside)
    asked = followed(deliveries, every, st.query_params.get("event", ""))
    listed = [
        one
        for one in inside
        if (one.alarm or not alarms)
        # What is looked at stays in the list, were it judged a moment ago.
        and (not unjudged or one.event_id not in verdicts or one.event_id == asked)
    ]
    _events(shown, work, Shown(inside, listed, verdicts), asked, who)


def _turn_to_campaign(shown: Workspace, deliveries: Sequence[Delivery], campaigns: Sequence[str]) -> None:
    """Show the campaign of the event that the address names, or of the one that a message told by that name."""
    asked = st.query_params.get("event", "")
    if not asked:
        return
    campaign = campaign_of(shown.lake, shown.site.settings.novelty.name, asked)
    if campaign is None:
        told = told_as(deliveries, asked)
        campaign = None if told is None else told.campaign
    if campaign is not None and campaign in campaigns:
        st.query_params["campaign"] = campaign


def _events(shown: Workspace, work: Opened, found: Shown, asked: str | None, who: str) -> None:
    if not found.every:
        st.success("No event: the scores stayed below their thresholds.", icon=":material/done_all:")
        return
    if not found.listed:
        st.success("Nothing is left here: every event within these filters is judged.", icon=":material/done_all:")
        return
    at = number_of(found.listed, asked)
    left, right = st.columns([13, 32], gap="medium")
    with left:
        show_list(shown, LISTING, found, at)
    with right:
        if at is None:
            show_gone()
        else:
            _event(shown, work, found, at, who)


def _event(shown: Workspace, work: Opened, found: Shown, at: int, who: str) -> None:
    one = found.listed[at]
    said = found.verdicts.get(one.event_id, "")
    clock = clock_text(one.event.peak_at, shown.zone)
    badge = BADGES.get(said, ":orange-badge[alarm]" if one.alarm else ":blue-badge[event]")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"### {where_text(one)} :small[:gray[{day_text(one.day)},]] {clock} {badge}", width="content")
        st.caption(f"{at + 1} of {len(found.listed)}", width="content")
    show_buttons(work, PAGE, found, at, who, where_text, NOTE)
    show_why(shown, work, one, lambda: show_clip(shown, work, one))
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        place = Place(one.campaign, one.camera, one.day)
        st.page_link(
            DAY_PAGE, label="Its day", icon=":material/calendar_today:", query_params=link_to(place, one.event_id)
        )
        st.page_link(SEARCH_PAGE, label="Find similar", icon=":material/search:", query_params={"event": one.event_id})
        st.button(
            "Threshold of this camera",
            icon=":material/tune:",
            type="tertiary",
            on_click=_to_threshold,
            args=(one.camera, one.region),
        )


def _to_threshold(camera: str, region: str) -> None:
    st.query_params["view"] = THRESHOLDS.lower()
    st.query_params["camera"] = camera
    st.query_params["region"] = region


def _counted(every: Sequence[Ranked]) -> str:
    return f"**{count_text(len(every), 'event')}** · {count_text(sum(one.alarm for one in every), 'alarm')}"


def _strength(one: Ranked) -> str:
    deviations = one.event.deviations
    if deviations is not None:
        return f"{deviations:,.0f} deviations" if deviations >= 10 else f"{deviations:.1f} deviations"
    return f"{one.ratio:.1f}× threshold" if one.ratio is not None else ""


def _badge(one: Ranked) -> str:
    return ":orange-badge[alarm]" if one.alarm else ""


LISTING = Listing(
    page=PAGE,
    counted=_counted,
    order=f"The most unusual first, by deviations above the normal of their own camera and region. {DEVIATIONS}",
    title=where_text,
    strength=_strength,
    badge=_badge,
)


main()
