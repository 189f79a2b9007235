"""Anomalies: what stood out on all cameras and days of a campaign, the most unusual first, why, and what people say."""

from collections.abc import Sequence
from datetime import date, timedelta

import streamlit as st

from dashboards.anomaly_queries import Ranked, anomaly_campaigns, ranked_events
from dashboards.app_pages.anomalies_list import Shown, go_to, show_list, where_text
from dashboards.app_pages.anomalies_threshold import show_thresholds
from dashboards.app_pages.anomalies_why import show_why
from dashboards.app_pages.moment_media import moment_clip
from dashboards.app_pages.review_parts import NO_AUTHOR, attempt, tell_problem
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
from dashboards.media import Published, day_folder
from dashboards.queries import camera_days
from dashboards.wording import clock_text, day_text, duration_text
from lake.keys import Place
from lake.labels import Span, UseCase
from workspace.opened import Workspace as Opened
from workspace.verdicts import Verdicts, say_verdict, take_verdict_back, verdicts_now

FIELD_WIDTH = 180
ALL_CAMERAS, ALL_NIGHTS, LAST_WEEK = "All cameras", "All nights", "Last 7 nights"
AROUND_US = 5_000_000
EVENTS, THRESHOLDS = VIEWS = ("Events", "Thresholds")
SAID = {True: "confirmed", False: "dismissed"}
BADGES = {"confirmed": ":green-badge[confirmed]", "dismissed": ":gray-badge[dismissed]"}


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
    bar = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom", gap="small")
    with bar:
        view = _view()
        campaign = _select("Campaign", campaigns, "campaign")
    if view == THRESHOLDS:
        show_thresholds(shown, work, campaign, bar)
        return
    every = ranked_events(shown.lake, head, campaign)
    with bar:
        camera = _select("Camera", [ALL_CAMERAS, *sorted({one.camera for one in every})], "camera")
        nights = _nights(every)
        with st.container(horizontal=True, vertical_alignment="bottom", width="content", gap="medium"):
            alarms = st.toggle("Only alarms", key="anomalies_alarms")
            unjudged = st.toggle("Not judged yet", key="anomalies_open")
            who = author()
    inside = [one for one in every if camera in (ALL_CAMERAS, one.camera) and one.day in nights]
    verdicts = _said_of(verdicts_now(work), inside)
    asked = st.query_params.get("event")
    listed = [
        one
        for one in inside
        if (one.alarm or not alarms)
        # What is looked at stays in the list, were it judged a moment ago.
        and (not unjudged or one.event_id not in verdicts or one.event_id == asked)
    ]
    _events(shown, work, Shown(inside, listed, verdicts), who)


def _said_of(verdicts: Verdicts, events: Sequence[Ranked]) -> dict[str, str]:
    judged = set(verdicts.stretches)  # finding out what recordings show an event takes time
    told = {
        one.event_id: verdicts.of(one.event)
        for one in events
        if UseCase(one.camera, one.region, one.event.head) in judged
    }
    return {event_id: SAID[verdict.confirmed] for event_id, verdict in told.items() if verdict is not None}


# What is shown lives in the address, so that a link opens the same view.


def _view() -> str:
    asked = st.query_params.get("view", "")
    default = next((view for view in VIEWS if view.lower() == asked), EVENTS)
    st.session_state["anomalies_view"] = default
    chosen = st.segmented_control(
        "View", VIEWS, key="anomalies_view", on_change=_remember_view, required=True, label_visibility="collapsed"
    )
    return str(chosen or default)


def _remember_view() -> None:
    st.query_params["view"] = str(st.session_state["anomalies_view"] or EVENTS).lower()


def _select(label: str, options: Sequence[str], name: str) -> str:
    asked = st.query_params.get(name)
    key = f"anomalies_{name}"
    st.session_state[key] = asked if asked in options else options[0]
    return str(st.selectbox(label, options, key=key, on_change=_remember, args=(name,), width=FIELD_WIDTH))


def _remember(name: str) -> None:
    st.query_params[name] = str(st.session_state[f"anomalies_{name}"])
    st.query_params.pop("event", None)


def _nights(every: Sequence[Ranked]) -> set[date]:
    days = sorted({one.day for one in every}, reverse=True)
    told = {day.isoformat(): day_text(day) for day in days}
    chosen = _select_night([ALL_NIGHTS, *([LAST_WEEK] if len(days) > 7 else []), *told], told)
    if chosen == LAST_WEEK:
        return {day for day in days if day > days[0] - timedelta(days=7)}
    return set(days) if chosen == ALL_NIGHTS else {date.fromisoformat(chosen)}


def _select_night(options: Sequence[str], told: dict[str, str]) -> str:
    asked = st.query_params.get("nights")
    st.session_state["anomalies_nights"] = asked if asked in options else options[0]
    return str(
        st.selectbox(
            "Nights",
            options,
            key="anomalies_nights",
            format_func=lambda option: told.get(option, option),
            on_change=_remember,
            args=("nights",),
            width=FIELD_WIDTH,
        )
    )


# The events.


def _events(shown: Workspace, work: Opened, found: Shown, who: str) -> None:
    if not found.every:
        st.success("No event: the scores stayed below their thresholds.", icon=":material/done_all:")
        return
    if not found.listed:
        st.success("Nothing is left here: every event within these filters is judged.", icon=":material/done_all:")
        return
    ids = [one.event_id for one in found.listed]
    asked = st.query_params.get("event", "")
    at = ids.index(asked) if asked in ids else 0
    left, right = st.columns([13, 32], gap="medium")
    with left:
        show_list(shown, found, at)
    with right:
        _event(shown, work, found, at, who)


def _event(shown: Workspace, work: Opened, found: Shown, at: int, who: str) -> None:
    one = found.listed[at]
    said = found.verdicts.get(one.event_id, "")
    clock = clock_text(one.event.peak_at, shown.zone)
    badge = BADGES.get(said, ":orange-badge[alarm]" if one.alarm else ":blue-badge[event]")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"### {where_text(one)} :small[:gray[{day_text(one.day)},]] {clock} {badge}", width="content")
        st.caption(f"{at + 1} of {len(found.listed)}", width="content")
    _buttons(work, found, at, who)
    show_why(shown, work, one, lambda: _clip(shown, work, one))
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


def _clip(shown: Workspace, work: Opened, one: Ranked) -> None:
    """The published proxy, which knows the whole event; else a short clip of its peak."""
    media = Published(day_folder(shown.site, Place(one.campaign, one.camera, one.day)))
    content = media.video_bytes(one.clip)
    if content is None:
        around = Span(one.event.recording_id, max(0, one.peak_us - AROUND_US), one.peak_us + AROUND_US)
        content = moment_clip(work, one.camera, one.region, around)
    if content is None:
        st.caption(":material/videocam_off: Its video is gone, and so is the footage.")
    else:
        st.video(content, autoplay=True, muted=True, loop=True, alt="The event")
    lasted = duration_text((one.event.ended_at - one.event.started_at).total_seconds())
    first, last = (clock_text(moment, shown.zone) for moment in (one.event.started_at, one.event.ended_at))
    st.caption(f"{first} – {last} · {lasted}")


# What people say.


def _buttons(work: Opened, found: Shown, at: int, who: str) -> None:
    one = found.listed[at]
    hint = None if who else NO_AUTHOR
    following = _following(found, at)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        for label, icon, key, confirmed in (
            ("Confirm", ":material/check:", "Y", True),
            ("Dismiss", ":material/close:", "N", False),
        ):
            st.button(
                label,
                icon=icon,
                key=f"anomalies_{label}",
                shortcut=key,
                type="primary" if confirmed else "secondary",
                on_click=_judge,
                args=(work, one, confirmed, who, following),
                disabled=not who,
                help=hint,
            )
        for label, icon, key, target in (
            ("Previous", ":material/arrow_back:", "B", at - 1),
            ("Next", ":material/arrow_forward:", "S", at + 1),
        ):
            there = 0 <= target < len(found.listed)
            st.button(
                label,
                icon=icon,
                key=f"anomalies_{label}",
                shortcut=key,
                disabled=not there,
                on_click=go_to,
                args=(found.listed[target].event_id if there else "",),
            )
        judged = st.session_state.get("anomalies_judged") or []
        st.button(
            "Undo",
            icon=":material/undo:",
            key="anomalies_undo",
            shortcut="U",
            on_click=_undo,
            args=(work, {other.event_id: other for other in found.every}, one.event_id, who),
            disabled=not who or not (judged or one.event_id in found.verdicts),
            help=hint or "Takes your last verdict back, or the one on this event",
        )
    if who:
        st.caption(
            "Kept with your name. From the next fit on, what is confirmed is left out of the camera’s normal, and what is "
            "dismissed belongs to it."
        )
    else:
        st.caption(f":material/person: {NO_AUTHOR}")


def _following(found: Shown, at: int) -> str:
    """The next event that nobody has judged, beginning after this one; this one where there is none."""
    around = [*found.listed[at + 1 :], *found.listed[:at]]
    return next((one.event_id for one in around if one.event_id not in found.verdicts), found.listed[at].event_id)


def _judge(work: Opened, one: Ranked, confirmed: bool, who: str, following: str) -> None:
    with attempt("Not saved"):
        say_verdict(work, one.event, confirmed, who)
        st.session_state.setdefault("anomalies_judged", []).append(one.event_id)
        st.query_params["event"] = following
        st.toast(f"{where_text(one)}: {SAID[confirmed]}", icon=":material/check:")


def _undo(work: Opened, known: dict[str, Ranked], shown: str, who: str) -> None:
    """Take back the newest verdict of this session on an event of the campaign; else the one on the event shown."""
    judged: list[str] = st.session_state.get("anomalies_judged") or []
    event_id = next((one for one in reversed(judged) if one in known), shown)
    with attempt("Not taken back"):
        taken = take_verdict_back(work, known[event_id].event, who)
        if event_id in judged:
            judged.reverse()
            judged.remove(event_id)
            judged.reverse()
        st.query_params["event"] = event_id
        st.toast("Taken back" if taken else "Nothing stands that could be taken back.", icon=":material/undo:")


main()
