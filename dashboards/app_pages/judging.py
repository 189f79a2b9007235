"""Confirm, dismiss, go on, undo: how the Alarms and the Anomalies page take what people say of an event."""

from collections.abc import Callable, Sequence

import streamlit as st

from dashboards.app_pages.judged_list import Shown, go_to
from dashboards.app_pages.moment_media import moment_clip
from dashboards.app_pages.review_parts import NO_AUTHOR, attempt
from dashboards.app_pages.shared import Workspace
from dashboards.event_rows import Ranked
from dashboards.media import Published, day_folder
from dashboards.wording import clock_text, duration_text
from lake.keys import Place
from lake.labels import Span, UseCase
from workspace.opened import Workspace as Opened
from workspace.verdicts import Verdicts, say_verdict, take_verdict_back

AROUND_US = 5_000_000
SAID = {True: "confirmed", False: "dismissed"}
BADGES = {"confirmed": ":green-badge[confirmed]", "dismissed": ":gray-badge[dismissed]"}


def said_of(verdicts: Verdicts, events: Sequence[Ranked]) -> dict[str, str]:
    """`confirmed` or `dismissed` of each event that somebody judged, by event id."""
    judged = set(verdicts.stretches)  # finding out what recordings show an event takes time
    told = {
        one.event_id: verdicts.of(one.event)
        for one in events
        if UseCase(one.camera, one.region, one.event.head) in judged
    }
    return {event_id: SAID[verdict.confirmed] for event_id, verdict in told.items() if verdict is not None}


def show_clip(shown: Workspace, work: Opened, one: Ranked) -> None:
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


def show_buttons(
    work: Opened, page: str, found: Shown, at: int, who: str, title: Callable[[Ranked], str], note: str
) -> None:
    """The buttons of event number `at`, their keys on the keyboard, and what becomes of a verdict.

    Args:
        work: the workspace.
        page: the page; keys of its widgets begin with it.
        found: what is listed.
        at: number of the event among those listed.
        who: the author; empty where nobody said.
        title: what an event is called.
        note: what a verdict is good for.
    """
    one = found.listed[at]
    hint = None if who else NO_AUTHOR
    judged: list[str] = st.session_state.get(f"{page}_judged") or []
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        for label, icon, key, confirmed in (
            ("Confirm", ":material/check:", "Y", True),
            ("Dismiss", ":material/close:", "N", False),
        ):
            st.button(
                label,
                icon=icon,
                key=f"{page}_{label}",
                shortcut=key,
                type="primary" if confirmed else "secondary",
                on_click=_judge,
                args=(work, page, one, title(one), confirmed, who, _following(found, at)),
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
                key=f"{page}_{label}",
                shortcut=key,
                disabled=not there,
                on_click=go_to,
                args=(found.listed[target].event_id if there else "",),
            )
        st.button(
            "Undo",
            icon=":material/undo:",
            key=f"{page}_undo",
            shortcut="U",
            on_click=_undo,
            args=(work, page, {other.event_id: other for other in found.every}, one.event_id, who),
            disabled=not who or not (judged or one.event_id in found.verdicts),
            help=hint or "Takes your last verdict back, or the one on this event",
        )
    st.caption(f"Kept with your name. {note}" if who else f":material/person: {NO_AUTHOR}")


def _following(found: Shown, at: int) -> str:
    """The next event that nobody has judged, beginning after this one; this one where there is none."""
    around = [*found.listed[at + 1 :], *found.listed[:at]]
    return next((one.event_id for one in around if one.event_id not in found.verdicts), found.listed[at].event_id)


def _judge(work: Opened, page: str, one: Ranked, title: str, confirmed: bool, who: str, following: str) -> None:
    with attempt("Not saved"):
        say_verdict(work, one.event, confirmed, who)
        st.session_state.setdefault(f"{page}_judged", []).append(one.event_id)
        st.query_params["event"] = following
        st.toast(f"{title}: {SAID[confirmed]}", icon=":material/check:")


def _undo(work: Opened, page: str, known: dict[str, Ranked], shown: str, who: str) -> None:
    """Take back the newest verdict of this session on an event within the filters; else the one on the event shown."""
    judged: list[str] = st.session_state.get(f"{page}_judged") or []
    event_id = next((one for one in reversed(judged) if one in known), shown)
    with attempt("Not taken back"):
        taken = take_verdict_back(work, known[event_id].event, who)
        if event_id in judged:
            judged.reverse()
            judged.remove(event_id)
            judged.reverse()
        st.query_params["event"] = event_id
        st.toast("Taken back" if taken else "Nothing stands that could be taken back.", icon=":material/undo:")
