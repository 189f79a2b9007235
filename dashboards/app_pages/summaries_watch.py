"""A camera's day in minutes: its summary, why each segment is in, and where in the day it lies."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pandas as pd
import streamlit as st

from dashboards.app_pages.shared import (
    ALARMS_PAGE,
    ANOMALIES_PAGE,
    DAY_PAGE,
    Workspace,
    empty_state,
    facts,
    link_to,
    show_picture,
)
from dashboards.app_pages.summaries_cards import Card, show_cards
from dashboards.app_pages.summaries_data import CameraDay, Context, camera_day, context_of, measured_days
from dashboards.app_pages.summaries_package import show_package
from dashboards.charts import PICKED
from dashboards.clock import Clock
from dashboards.summary_charts import DayLine, bars_html, legend_html, summary_timeline
from dashboards.summary_rows import day_line, mark_rows, truth_rows, why_text
from dashboards.wording import clock_text, day_text, duration_text, plain_text
from lake.keys import Place
from models.summary.scores import Weights, combine
from workspace.opened import Workspace as Opened
from workspace.published_summaries import SCORE, ShownSegment
from workspace.summaries import MeasuredDay
from workspace.weight_sets import weights_in_use

CHART = "summaries_timeline"
COLUMNS, ROOM, STORY_HEIGHT = 3, 9, 800
"""Of the storyboard: cards beside each other, cards that fit, and pixels of height where there are more."""
RAW: Mapping[str, tuple[str, str]] = {
    "surprise": ("surprise", "{:.2f}"),
    "distinctiveness": ("distinctiveness", "{:.3f}"),
    "entropy_bits": ("entropy", "{:.2f} bit"),
    "motion": ("motion", "{:.1f} grey levels"),
}
"""Raw values of a segment's columns: what they are called and how they are written."""
BEGINS: Mapping[str, str] = {
    "recording": "the recording’s start",
    "length": "the end of the one before",
    "change": "a change of what is seen",
    "cut": "a cut",
}


def show_watch(shown: Workspace, work: Opened, place: Place) -> None:
    """The summary of one camera's day."""
    day = camera_day(shown, place)
    if day.problem:
        st.warning(day.problem, icon=":material/broken_image:")
        return
    if day.summary is None:
        empty_state(
            ":material/hourglass_empty:",
            "Not published yet",
            "The summary of this day comes with the night's last step. To make it now:",
            shown.command(run_of(place)),
        )
        return
    if not day.segments:
        st.success("Nothing was chosen: no event, and no segment that scores.", icon=":material/done_all:")
        return
    _figures(day)
    if day.summary.partial:
        st.warning("The night stopped early: this day is published in part.", icon=":material/timelapse:")
    context = context_of(shown, work, place)
    one = chosen_segment(day.segments)
    _timeline(shown, work, day, context, one)
    # Beside each other: browsers start no video that is out of sight.
    player, story = st.columns([11, 9], gap="medium")
    with player:
        show_player(day.media.video_bytes(day.summary.video), one)
        _why(shown, day, context, one)
    with story:
        _storyboard(shown, day, one)
    show_package(shown, work)
    _details(day)


def run_of(place: Place, *, camera: bool = True) -> str:
    """The command that makes what is missing of a camera's day, or of a campaign's."""
    of = f' --camera "{place.camera}"' if camera else ""
    return f'run --campaign "{place.campaign}"{of} --day {place.day.isoformat()}'


def chosen_segment(segments: Sequence[ShownSegment]) -> ShownSegment:
    """The segment that the address names, else the first."""
    asked = st.query_params.get("segment", "")
    return next((one for one in segments if str(one.number) == asked), segments[0])


def play(number: int) -> None:
    """Show the video from a segment on."""
    st.query_params["segment"] = str(number)


def show_player(content: bytes | None, one: ShownSegment) -> None:
    """The video from a segment on; it starts by itself once somebody asked for one."""
    if content is None:
        st.info("The video is not there yet.", icon=":material/hourglass_empty:")
        return
    asked = "segment" in st.query_params
    # Muted, or browsers refuse to start by themselves.
    st.video(content, start_time=int(one.at_s) if asked else 0, autoplay=asked, muted=True, alt="Summary of the day")


def _figures(day: CameraDay) -> None:
    summary = day.summary
    if summary is None:
        return
    alone = len(summary.segments) - summary.events_shown
    weights = ", ".join(f"{name} {value:g}" for name, value in summary.weights.items())
    facts(
        ("Length", duration_text(summary.duration_s), "Of the summary"),
        ("For an event", str(summary.events_shown), "Segments that show an event: every event gets one first"),
        ("For their score", str(alone), "Segments that fill the rest: the highest scores that look unlike each other"),
        (
            "Events left out",
            str(len(summary.omitted)),
            f"No room, or no segment: {', '.join(summary.omitted)}" if summary.omitted else "Every event is shown",
        ),
        ("Weights", summary.label or "not told", weights or "Published before summaries told their weights"),
    )


# Why one segment is in.


def _why(shown: Workspace, day: CameraDay, context: Context, one: ShownSegment) -> None:
    clock = clock_text(one.taken_at, shown.zone)
    badge = ":blue-badge[score]" if one.reason == SCORE else f":orange-badge[{plain_text(one.reason)}]"
    st.markdown(f"### {clock} {badge} :small[:gray[{one.number} of {len(day.segments)}]]")
    st.markdown(f"In the summary **{plain_text(why_text(one, day.weights))}**, with a score of **{one.score:.2f}**.")
    bars, values = st.columns(2, gap="medium")
    with bars:
        st.html(bars_html(one.columns, day.weights or None))
        show_picture(day.picture(one), alt=f"Key frame at {clock}")
    with values:
        _values(one)
    _link(shown, day.place, context, one)


def _values(one: ShownSegment) -> None:
    lines = [
        f":gray[{words}] &ensp; {form.format(one.told[name])}"
        for name, (words, form) in RAW.items()
        if one.told.get(name) is not None
    ]
    if one.probability is not None:
        lines.insert(0, f":gray[probability] &ensp; {one.probability:.4g}")
    if str(one.told.get("begins_at")) in BEGINS:
        lines.append(f":gray[begins at] &ensp; {BEGINS[str(one.told['begins_at'])]}")
    lines += [
        f":gray[recording] &ensp; `{one.recording}`",
        f":gray[from] &ensp; {one.from_us / 1e6:.3f} s &ensp; :gray[to] &ensp; {one.to_us / 1e6:.3f} s",
    ]
    st.markdown("  \n".join(f":small[{line}]" for line in lines))


def _link(shown: Workspace, place: Place, context: Context, one: ShownSegment) -> None:
    """To the page of the event that it is shown for; else to its day."""
    event = next((event for event in context.events if event.event_id == one.event_id), None)
    settings = shown.site.settings
    with st.container(horizontal=True, gap="medium"):
        if event is not None and event.event.head == settings.novelty.name:
            query = {"event": event.event_id}
            st.page_link(ANOMALIES_PAGE, label="Its event", icon=":material/crisis_alert:", query_params=query)
        elif event is not None and event.event.head in {alarm.name for alarm in settings.alarms}:
            query = {"event": event.event_id}
            st.page_link(ALARMS_PAGE, label="Its alarm", icon=":material/notifications_active:", query_params=query)
        known = None if event is None else event.event_id
        st.page_link(DAY_PAGE, label="Its day", icon=":material/calendar_today:", query_params=link_to(place, known))
        if event is not None and event.event_id in context.verdicts:
            st.caption(f"Judged: {context.verdicts[event.event_id]}")


# Where in the day it lies.


def _timeline(shown: Workspace, work: Opened, day: CameraDay, context: Context, one: ShownSegment) -> None:
    found, problems = measured_days(work, [day.place])
    for problem in problems:
        st.warning(problem, icon=":material/broken_image:")
    marks = [(segment, "score" if segment.reason == SCORE else "event") for segment in day.segments]
    measured = found.get(day.place)
    if measured is None:
        empty = pd.DataFrame({"taken_at": pd.to_datetime([], utc=True), "seconds": [], "score": [], "probability": []})
        data = DayLine(empty, truth_rows(context.events, context.verdicts), mark_rows(marks))
        clock = _around(shown, day.segments)
    else:
        weights = Weights(**day.weights) if day.weights else weights_in_use(work).weights
        data = day_line(measured, combine(measured.columns, weights), context.events, context.verdicts, marks)
        clock = day_clock(shown, measured)
    st.markdown(legend_html([kind for _, kind in marks], list(data.truths["verdict"])), unsafe_allow_html=True)
    st.altair_chart(
        summary_timeline(data, clock, one.number),
        width="stretch",
        key=CHART,
        on_select=_picked_in_chart,
        selection_mode=PICKED,
        alt=f"Scores of {day.place.camera} on {day_text(day.place.day)}, and what the summary shows",
    )
    if measured is None:
        st.caption(
            "This day was summarised before nights kept the scores of every segment; the next run measures them, of what "
            f"is embedded. To do it now: `{shown.command(run_of(day.place))}`"
        )


def day_clock(shown: Workspace, measured: MeasuredDay) -> Clock:
    """The whole measured day."""
    first, last = int(measured.segments.from_us.min()), int(measured.segments.to_us.max())
    margin = round((last - first) * 0.008)
    start, end = (pd.Timestamp(at, unit="us", tz="UTC").to_pydatetime() for at in (first - margin, last + margin))
    return Clock(shown.zone, start, end)


def _around(shown: Workspace, segments: Sequence[ShownSegment]) -> Clock:
    first: datetime = min(segment.taken_at for segment in segments)
    last: datetime = max(segment.taken_at for segment in segments)
    return Clock(shown.zone, first - timedelta(minutes=1), last + timedelta(minutes=1))


def _picked_in_chart() -> None:
    picked = st.session_state[CHART].get("selection", {}).get(PICKED, [])
    numbers = [row["segment"] for row in picked if isinstance(row, dict) and row.get("segment") is not None]
    if numbers:
        play(int(numbers[0]))


def _storyboard(shown: Workspace, day: CameraDay, one: ShownSegment) -> None:
    cards = [
        Card(
            day.place,
            segment,
            day.weights,
            day.label,
            lambda segment=segment: day.picture(segment),  # type: ignore[misc]  # the segment of this round
            play=(play, (segment.number,)),
            chosen=segment.number == one.number,
            versions=day.media.versions,
        )
        for segment in day.segments
    ]
    with st.container(height=STORY_HEIGHT if len(cards) > ROOM else "content", border=False):
        show_cards(shown, cards, COLUMNS, "story")


def _details(day: CameraDay) -> None:
    figure, sheet = st.tabs(["Segments in figures", "Contact sheet"])
    told = {"Segments in figures": day.media.figure, "Contact sheet": day.media.contact}
    for tab, (name, file) in zip((figure, sheet), told.items(), strict=True):
        with tab:
            picture = day.media.picture(file)
            if picture is None:
                st.caption("It comes with the next publication of this day.")
            else:
                st.image(picture, width="stretch", alt=name)
