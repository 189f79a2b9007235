"""One event of the Alarms page: picture and video, its probability against the threshold, who was told."""

from collections.abc import Collection, Sequence
from datetime import timedelta

import streamlit as st

from dashboards.alarm_charts import Raised, probability_chart
from dashboards.alarm_queries import probabilities
from dashboards.app_pages.judged_list import Shown, where_text
from dashboards.app_pages.judging import BADGES, show_buttons, show_clip
from dashboards.app_pages.shared import (
    DAY_PAGE,
    MODELS_PAGE,
    SEARCH_PAGE,
    Workspace,
    event_picture,
    facts,
    link_to,
    show_picture,
)
from dashboards.clock import Clock
from dashboards.event_rows import Ranked
from dashboards.told_events import told_of
from dashboards.wording import clock_text, day_text, duration_text, moment_text, plain_text
from infra.alarm_settings import AlarmTable
from lake.deliveries import Delivery
from lake.keys import Place
from workspace.opened import Workspace as Opened
from workspace.verdicts import Verdict

AROUND = timedelta(seconds=60)
"""Time before and after an event whose probabilities are drawn."""
NOTE = "Nobody is told of an alarm that was dismissed before its message was sent."


def title_of(one: Ranked) -> str:
    """What an alarm is called: its name and where it is."""
    return f"{one.event.head} · {where_text(one)}"


def show_event(
    shown: Workspace,
    work: Opened,
    found: Shown,
    at: int,
    who: str,
    verdict: Verdict | None,
    deliveries: Sequence[Delivery],
) -> None:
    """The panel of event number `at` of those listed.

    Args:
        shown, work: the workspace.
        found: what is listed.
        at: number of the event.
        who: the author; empty where nobody said.
        verdict: what counts of the event.
        deliveries: all that count.
    """
    one = found.listed[at]
    clock = clock_text(one.event.peak_at, shown.zone)
    badge = ":orange-badge[open]" if verdict is None else BADGES[verdict.word]
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(
            f"### {plain_text(title_of(one))} :small[:gray[{day_text(one.day)},]] {clock} {badge}", width="content"
        )
        st.caption(f"{at + 1} of {len(found.listed)}", width="content")
    show_buttons(work, "alarms", found, at, who, title_of, NOTE)
    picture, clip = st.columns(2, gap="small")
    with picture:
        place = Place(one.campaign, one.camera, one.day)
        show_picture(event_picture(shown.site, place, one.keyframe), alt=f"{title_of(one)} at {clock}")
        st.caption(f"The most probable moment, {clock}")
    with clip:
        show_clip(shown, work, one)
    _figures(shown, one)
    _probability(shown, one)
    _words(shown, one, verdict, told_of(deliveries, one.event))
    _links(shown, one)


def _figures(shown: Workspace, one: Ranked) -> None:
    def told(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f}"

    lasted = duration_text((one.event.ended_at - one.event.started_at).total_seconds())
    facts(
        (
            "Probability",
            told(one.event.peak_score),
            "The highest within the event, smoothed as the alarm’s settings say",
        ),
        ("Threshold", told(one.event.threshold), "What it was held against on its night"),
        ("Lasted", lasted, None),
        ("Campaign", one.campaign, f"{where_text(one)}, {day_text(one.day)}, times in {shown.zone.key}"),
    )


def _probability(shown: Workspace, one: Ranked) -> None:
    curve = probabilities(shown.lake, one.event, AROUND)
    if curve.empty:
        st.caption("The probabilities of this night are gone.")
        return
    span = (one.event.started_at, one.event.ended_at)
    clock = Clock(shown.zone, span[0] - AROUND, span[1] + AROUND)
    st.altair_chart(
        probability_chart(Raised(curve, span, one.event.peak_at, one.event.threshold), clock),
        width="stretch",
        alt="Probabilities around the event against the threshold",
    )


def _words(shown: Workspace, one: Ranked, verdict: Verdict | None, told: Sequence[Delivery]) -> None:
    lines = []
    if verdict is not None:
        said_at = moment_text(verdict.said_at, shown.zone)
        lines.append(f":material/person: {verdict.word.capitalize()} by {plain_text(verdict.author)}, {said_at}.")
    lines += [_delivery_text(shown, delivery) for delivery in told]
    lines += _untold(shown, one, verdict, {delivery.channel for delivery in told})
    st.markdown("  \n".join(lines))


def _delivery_text(shown: Workspace, one: Delivery) -> str:
    channel, moment = plain_text(one.channel), moment_text(one.said_at, shown.zone)
    match one.status:
        case "begun":
            return f":material/outgoing_mail: **{channel}** is being sent a message that tells it, since {moment}."
        case "settled":
            return f":material/notifications_off: **{channel}** is not told of it, as {plain_text(one.author)} chose {moment}."
        case "sent":
            together = ", in one message with others" if one.digest else ""
            return f":material/mark_email_read: **{channel}** was told {moment}{together}."


def _untold(shown: Workspace, one: Ranked, verdict: Verdict | None, told: Collection[str]) -> list[str]:
    """Which channels have told nobody of the event, and why; empty where all have."""
    settings = shown.site.settings
    alarm: AlarmTable | None = next((alarm for alarm in settings.alarms if alarm.name == one.event.head), None)
    channels = [channel.name for channel in settings.notifications.email]
    channels += [channel.name for channel in settings.notifications.webhook]
    left = [channel for channel in channels if channel not in told]
    if channels and not left:
        return []
    if not channels:
        why = "no channel of notifications is set up"
    elif alarm is not None and not alarm.notify:
        why = "this alarm is not notified (notify = false)"
    elif verdict is not None and not verdict.confirmed:
        why = "it was dismissed before a message was sent"
    else:
        why = f"the next night tells {plain_text(', '.join(left))}, or now: `{shown.command('notify')}`"
    return [f":material/notifications: {'Not told further' if told else 'Nobody was told'}: {why}"]


def _links(shown: Workspace, one: Ranked) -> None:
    place = Place(one.campaign, one.camera, one.day)
    classifier = {
        alarm.name: (*alarm.classifier_version, alarm.class_name or "") for alarm in shown.site.settings.alarms
    }
    name, version, class_name = classifier[one.event.head]
    model = {"kind": "classifier", "name": name, "version": version, "class": class_name}
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        st.page_link(
            DAY_PAGE, label="Its day", icon=":material/calendar_today:", query_params=link_to(place, one.event_id)
        )
        st.page_link(SEARCH_PAGE, label="Find similar", icon=":material/search:", query_params={"event": one.event_id})
        st.page_link(
            MODELS_PAGE,
            label="Threshold of its classifier",
            icon=":material/tune:",
            query_params={key: value for key, value in model.items() if value},
        )
