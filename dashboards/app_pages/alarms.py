"""Alarms: events of the classes that raise one, on all cameras, the newest night first, and what people say of them."""

from collections.abc import Sequence

import streamlit as st

from dashboards.alarm_queries import alarm_events, scored_alarms
from dashboards.app_pages.address import ALL_CAMERAS, chosen, chosen_nights
from dashboards.app_pages.alarms_event import show_event, title_of
from dashboards.app_pages.alarms_rules import show_rules
from dashboards.app_pages.judged_list import Listing, Shown, followed, number_of, show_gone, show_list
from dashboards.app_pages.judging import said_of
from dashboards.app_pages.review_parts import tell_problem
from dashboards.app_pages.shared import Workspace, author, empty_state, opened, workspace
from dashboards.event_rows import Ranked
from dashboards.wording import count_text
from infra.alarm_settings import AlarmTable
from workspace.notifications.pending import told_now
from workspace.verdicts import verdicts_now

PAGE = "alarms"
ALL_ALARMS = "All alarms"
EVERY, OPEN, CONFIRMED, DISMISSED = VERDICTS = ("All", "Open", "Confirmed", "Dismissed")
EXAMPLE = """[[alarms]]
name = "fight"             # what pages and messages call it
classifier = "fights"      # the version in service"""


def main() -> None:
    shown = workspace()
    alarms = shown.site.settings.alarms
    if not alarms:
        _explain(shown)
        return
    tell_problem()
    names = [alarm.name for alarm in alarms]
    every = alarm_events(shown.lake, names)
    work = opened(shown)
    if not every:
        _nothing(shown, alarms)
        show_rules(shown, work, expanded=True)
        return
    bar = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
    with bar:
        alarm = chosen(PAGE, "Alarm", [ALL_ALARMS, *sorted({one.event.head for one in every})], "alarm")
        camera = chosen(PAGE, "Camera", [ALL_CAMERAS, *sorted({one.camera for one in every})], "camera")
        nights = chosen_nights(PAGE, {one.day for one in every})
        verdict = chosen(PAGE, "Verdict", VERDICTS, "verdict")
        st.space("stretch")
        who = author()
    inside = [
        one
        for one in every
        if alarm in (ALL_ALARMS, one.event.head) and camera in (ALL_CAMERAS, one.camera) and one.day in nights
    ]
    verdicts = verdicts_now(work)
    said = said_of(verdicts, inside)
    deliveries = told_now(work, verdicts.known)
    asked = followed(deliveries, every, st.query_params.get("event", ""))
    listed = [one for one in inside if one.event_id == asked or _matches(said.get(one.event_id), verdict)]
    found = Shown(inside, listed, said)
    if listed:
        at = number_of(listed, asked)
        left, right = st.columns([13, 32], gap="medium")
        with left:
            show_list(shown, LISTING, found, at)
        with right:
            if at is None:
                show_gone()
            else:
                show_event(shown, work, found, at, who, verdicts.of(listed[at].event), deliveries)
    else:
        st.success("Nothing is left within these filters.", icon=":material/done_all:")
    show_rules(shown, work)


def _matches(said: str | None, verdict: str) -> bool:
    """Whether an event passes the filter of verdicts; what is looked at stays anyhow, were it judged a moment ago."""
    return verdict == EVERY or (said or OPEN.lower()) == verdict.lower()


def _explain(shown: Workspace) -> None:
    empty_state(
        ":material/notifications_off:",
        "No alarm is set up",
        "An alarm is a class of a classifier that the night looks for. Train one from clips of what it should find and "
        "of what is normal (see *Models*), then say in `afterwatch.toml` that it raises an alarm:",
    )
    st.code(shown.command("fit classifier --data CLIPS --name fights"), language="bash")
    st.code(EXAMPLE, language="toml")


def _nothing(shown: Workspace, alarms: Sequence[AlarmTable]) -> None:
    looked = scored_alarms(shown.lake, [alarm.name for alarm in alarms])
    if looked.empty:
        empty_state(
            ":material/hourglass_empty:",
            "Not looked for yet",
            "No night has looked for these alarms yet. The next run does; where one cannot, its report on the Night page "
            "says why.",
            shown.command("run"),
        )
    else:
        nights, cameras = int(looked["nights"].max()), int(looked["cameras"].max())
        st.success(
            f"No alarm: {count_text(nights, 'night')} of {count_text(cameras, 'camera')} stayed below the thresholds.",
            icon=":material/done_all:",
        )


def _counted(every: Sequence[Ranked]) -> str:
    nights = len({one.day for one in every})
    return f"**{count_text(len(every), 'alarm')}** in {count_text(nights, 'night')}"


def _strength(one: Ranked) -> str:
    return "" if one.event.peak_score is None else f"probability {one.event.peak_score:.2f}"


LISTING = Listing(
    page=PAGE,
    counted=_counted,
    order="The newest night first; within a night, the most probable first.",
    title=title_of,
    strength=_strength,
    badge=lambda _: ":orange-badge[open]",
)


main()
