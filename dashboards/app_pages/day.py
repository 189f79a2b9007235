"""Day: a camera's day on one timeline; a click plays the proxy of an event. The address names what is shown."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

import pandas as pd
import streamlit as st

from dashboards.app_pages.day_details import show_details
from dashboards.app_pages.shared import (
    SEARCH_PAGE,
    SUMMARIES_PAGE,
    Workspace,
    empty_state,
    facts,
    link_to,
    published_day,
    show_picture,
    workspace,
)
from dashboards.charts import ALARM, EVENT, HEALTH, PICKED, STATES, THRESHOLD, DayData, timeline
from dashboards.clock import Clock
from dashboards.media import Entry, Published, day_folder
from dashboards.queries import (
    ScoreSeries,
    camera_days,
    coverage_seconds,
    coverage_spans,
    events,
    gaps,
    health_spans,
    recordings,
    score_series,
    scores,
    threshold_of,
)
from dashboards.snapshot import records
from dashboards.wording import clock_text, count_text, day_text, duration_text, score_text, share_text, strength_text
from lake.keys import Place

LISTED = 30  # events in the list; the timeline shows all
ROOM = 4  # events beside the player; of more, the list scrolls
WINDOWS = {"Whole day": None, "1 h": 3600, "10 min": 600, "1 min": 60}
CHART = "day_timeline"


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
    place = _choose(days)
    published, problem = published_day(shown.site, place)
    found = events(shown.lake, place)
    chosen = _chosen(found)
    covered = coverage_spans(shown.lake, place, skipped=shown.site.settings.skips(place.camera))
    _figures(shown, place, found, covered)
    _timeline(shown, place, found, chosen, covered)
    if problem:
        st.warning(problem, icon=":material/broken_image:")
    elif published is None:
        st.info(
            "This day is not published yet: its pictures and videos come with the night's last step. "
            f"To make them now: `{shown.command(_run_of(place))}`",
            icon=":material/hourglass_empty:",
        )
    elif published.partial:
        st.warning("The night stopped early: this day is published in part.", icon=":material/timelapse:")
    _events(shown, place, found, chosen, published)
    if published is not None:
        _summary(shown, place, published)
    show_details(shown, place, published, covered)


def _run_of(place: Place) -> str:
    return f'run --campaign "{place.campaign}" --camera "{place.camera}" --day {place.day.isoformat()}'


# What is shown lives in the address, so that a link opens the same view.


def _choose(days: pd.DataFrame) -> Place:
    """The selectors of the page; what the address asks for, else the newest day with most alarms."""
    params = st.query_params
    left, middle, right, buttons = st.columns([3, 3, 4, 2], vertical_alignment="bottom")
    rows = days
    with left:
        campaigns = sorted(rows["campaign"].unique())
        campaign = _select("Campaign", campaigns, "campaign", rows["campaign"].iloc[0])
        rows = rows[rows["campaign"] == campaign]
    with middle:
        cameras = sorted(rows["camera"].unique())
        wanted = rows[rows["day"].astype(str) == params.get("day", "")]
        camera = _select("Camera", cameras, "camera", (wanted if len(wanted) else rows)["camera"].iloc[0])
        rows = rows[rows["camera"] == camera]
    told = {str(row.day): _day_option(row.day, row.events, row.alarms) for row in records(rows)}
    with right:
        options = list(told)
        day = _select("Day", options, "day", options[0], lambda option: told[option])
    with buttons, st.container(horizontal=True, horizontal_alignment="right"):
        at = options.index(day)
        older, newer = options[at + 1 : at + 2], options[max(at - 1, 0) : at]
        _day_button(":material/chevron_left:", "Day before", older)
        _day_button(":material/chevron_right:", "Day after", newer)
    return Place(campaign, camera, date.fromisoformat(day))


def _day_option(day: date, found: int, alarms: int) -> str:
    return f"{day_text(day)} · {count_text(alarms, 'alarm') if alarms else count_text(found, 'event')}"


def _select(
    label: str, options: Sequence[str], name: str, default: str, format_func: Callable[[str], str] = str
) -> str:
    asked = st.query_params.get(name)
    key = f"day_{name}"
    st.session_state[key] = asked if asked in options else default
    return str(st.selectbox(label, options, key=key, format_func=format_func, on_change=_remember, args=(name,)))


def _remember(name: str) -> None:
    st.query_params[name] = st.session_state[f"day_{name}"]
    _forget_event()


def _day_button(icon: str, label: str, days: Sequence[str]) -> None:
    st.button(
        icon, key=f"day_{label}", help=label, disabled=not days, on_click=_go_to_day, args=(days[0] if days else "",)
    )


def _go_to_day(day: str) -> None:
    st.query_params["day"] = day
    _forget_event()


def _forget_event() -> None:
    for name in ("event", "at"):
        st.query_params.pop(name, None)
    st.session_state.pop("day_playing", None)


def _chosen(found: pd.DataFrame) -> str | None:
    """The event that the address names, else the first one of the list."""
    asked = st.query_params.get("event")
    known = list(found["event_id"])
    return asked if asked in known else known[0] if known else None


def _play(event_id: str) -> None:
    st.query_params["event"] = event_id
    st.session_state["day_playing"] = event_id


def _picked_in_chart() -> None:
    picked = st.session_state[CHART].get("selection", {}).get(PICKED, [])
    ids = [row.get("event_id") for row in picked if isinstance(row, dict) and row.get("event_id")]
    if ids:
        _play(str(ids[0]))


def _play_segment(at_s: float) -> None:
    st.session_state["day_segment"] = at_s


# The parts of the page.


def _figures(shown: Workspace, place: Place, found: pd.DataFrame, covered: pd.DataFrame) -> None:
    seconds = coverage_seconds(covered)
    recorded = sum(seconds.values())
    missed = gaps(shown.lake, shown.site.settings.footage.gap_s, place)
    unwell = health_spans(shown.lake, [place])
    bad = seconds["corrupt"] + seconds["missing"]
    facts(
        ("Recorded", duration_text(recorded), "Time the recordings say they hold"),
        ("Analysed", share_text(seconds["analysed"], recorded), duration_text(seconds["analysed"])),
        ("Corrupt or missing", duration_text(bad) if bad else "none", "Recorded time that could not be analysed"),
        (
            "Gaps",
            f"{len(missed)} · {duration_text(missed['gap_s'].sum())}" if len(missed) else "none",
            "Between recordings",
        ),
        ("Unwell", duration_text(unwell["seconds"].sum()) if len(unwell) else "none", "Black, frozen or blurred"),
        (
            "Alarms",
            f"{int(found['alarm'].sum())} of {count_text(len(found), 'event')}",
            "Within the night's alarm budget",
        ),
    )


def _timeline(shown: Workspace, place: Place, found: pd.DataFrame, chosen: str | None, covered: pd.DataFrame) -> None:
    usable = recordings(shown.lake, place)
    usable = usable[usable["status"].isin(["ready", "partial"])]
    series = score_series(shown.lake, place)
    bar = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")
    legend, controls = bar.container(width="stretch"), bar.container(horizontal=True, width="content")
    with controls:
        picked = _head_of(found, chosen, series)
        if len(series) > 1:
            names = [f"{item.head} · {item.region}" for item in series]
            key = f"day_head_{chosen}"  # another event brings its own head's curve back
            picked = names.index(st.selectbox("Head", names, picked, key=key, label_visibility="collapsed", width=260))
        options = list(WINDOWS)
        window = st.segmented_control(
            "Window", options, default=options[0], required=True, label_visibility="collapsed", key="day_window"
        )
    clock = _clock(shown, usable, found, chosen, WINDOWS[str(window)])
    one = series[picked] if series else None
    empty = pd.DataFrame({"recording_id": [], "taken_at": pd.to_datetime([], utc=True), "seconds": [], "score": []})
    data = DayData(
        scores=scores(shown.lake, place, one, (clock.start, clock.end)) if one else empty,
        events=found,
        coverage=covered,
        gaps=gaps(shown.lake, shown.site.settings.footage.gap_s, place),
        health=health_spans(shown.lake, [place]),
        threshold=threshold_of(found, one),
    )
    legend.markdown(_legend(data), unsafe_allow_html=True)
    st.altair_chart(
        timeline(data, clock, chosen),
        width="stretch",
        key=CHART,
        on_select=_picked_in_chart,
        selection_mode=PICKED,
        alt=f"Timeline of {place.camera} on {day_text(place.day)}",
    )
    if one is None:
        st.caption(f"Not scored yet. To run the night for this day: `{shown.command(_run_of(place))}`")


def _head_of(found: pd.DataFrame, chosen: str | None, series: Sequence[ScoreSeries]) -> int:
    """Which of `series` made the chosen event; the first where there is none."""
    event = found[found["event_id"] == chosen]
    wanted = [(row.head, row.region) for row in records(event)]
    return next((at for at, item in enumerate(series) if (item.head, item.region) in wanted), 0)


def _clock(
    shown: Workspace, usable: pd.DataFrame, found: pd.DataFrame, chosen: str | None, width_s: int | None
) -> Clock:
    """The window shown: all recordings, or `width_s` seconds around the chosen event."""
    first: datetime = usable["started_at"].min().to_pydatetime()
    last: datetime = max(usable["ended_at"].max().to_pydatetime(), first + timedelta(seconds=1))
    if width_s is None:
        margin = (last - first) * 0.008
        return Clock(shown.zone, first - margin, last + margin)
    peak = found.loc[found["event_id"] == chosen, "peak_at"]
    middle = peak.iloc[0].to_pydatetime() if len(peak) else first + timedelta(seconds=width_s / 2)
    return Clock(shown.zone, middle - timedelta(seconds=width_s / 2), middle + timedelta(seconds=width_s / 2))


def _legend(data: DayData) -> str:
    """Signs and colours of the timeline: those that the day has."""

    def patch(colour: str, word: str, sign: str = "■") -> str:
        return f'<span style="white-space:nowrap"><span style="color:{colour}">{sign}</span> {word}</span>'

    marks = [patch(ALARM, "alarm", "▼"), patch(EVENT, "event", "●"), patch(THRESHOLD, "threshold", "┅")]
    states = {*data.coverage["state"], *(["gap"] if len(data.gaps) else [])}
    strips = [patch(colour, state) for state, colour in STATES.items() if state in states]
    strips += [patch(colour, kind) for kind, colour in HEALTH.items() if kind in set(data.health["kind"])]
    return f'<span style="font-size:0.8rem;opacity:0.85">{" &ensp; ".join(marks + strips)}</span>'


def _events(
    shown: Workspace, place: Place, found: pd.DataFrame, chosen: str | None, published: Published | None
) -> None:
    if found.empty:
        st.success("No event: the scores of this day stayed below the threshold.", icon=":material/done_all:")
        return
    media = published or Published(day_folder(shown.site, place))
    left, right = st.columns([11, 9], gap="medium")
    with left:
        _player(shown, found, str(chosen), media)
    with right:
        st.markdown(f"### {count_text(len(found), 'event')}")
        with st.container(height=520 if len(found) > ROOM else "content", border=False):
            for number, row in enumerate(found.head(LISTED).to_dict("records"), start=1):
                _listed(shown, number, pd.Series(row), media, chosen=row["event_id"] == chosen)
            if len(found) > LISTED:
                st.caption(f"{len(found) - LISTED} more events are on the timeline.")


def _player(shown: Workspace, found: pd.DataFrame, chosen: str, media: Published) -> None:
    ids = list(found["event_id"])
    at = ids.index(chosen)
    event = found.iloc[at]
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        badge = ":orange-badge[alarm]" if event["alarm"] else ":blue-badge[event]"
        st.markdown(f"### {clock_text(event['peak_at'], shown.zone)} {badge}", width="content")
        with st.container(horizontal=True, width="content", gap="small"):
            for label, key, target in (("Previous", "P", at - 1), ("Next", "N", at + 1)):
                there = 0 <= target < len(ids)
                st.button(
                    label,
                    key=f"day_{label}",
                    shortcut=key,
                    disabled=not there,
                    on_click=_play,
                    args=(ids[target] if there else "",),
                )
    clip = media.clips.get(chosen)
    relative = clip.path if clip is not None and clip.path else str(event["clip"] or "")
    content = media.video_bytes(relative)
    if content is None:
        show_picture(media.picture(str(event["keyframe"] or "")), alt="Key frame of the event")
        st.caption("The proxy of this event is not published yet.")
    else:
        offset_s = clip.offset_s(event["peak_at"].to_pydatetime()) if clip is not None else 0.0
        playing = st.session_state.get("day_playing") == chosen
        # Muted, or browsers refuse to start by themselves.
        st.video(content, start_time=int(offset_s), autoplay=playing, muted=True, alt="Proxy of the event")
    span = f"{clock_text(event['started_at'], shown.zone)} – {clock_text(event['ended_at'], shown.zone)}"
    recording = f" · `{clip.recording}`" if clip is not None and clip.recording else ""
    st.caption(
        f"{span} · peak score **{score_text(event['peak_score'])}** against a threshold of "
        f"{score_text(event['threshold'])} · rank {event['rank']} · "
        f"{event['head']}, region {event['region']}{recording}"
    )
    st.page_link(SEARCH_PAGE, label="Find similar", icon=":material/search:", query_params={"event": chosen})


def _listed(shown: Workspace, number: int, event: pd.Series, media: Published, *, chosen: bool) -> None:
    with st.container(border=True, gap=None):
        picture, words, button = st.columns([3, 5, 2], vertical_alignment="center", gap="small")
        clock = clock_text(event["peak_at"], shown.zone)
        with picture:
            show_picture(media.picture(str(event["keyframe"] or "")), alt=f"Event at {clock}")
        lasted = duration_text((event["ended_at"] - event["started_at"]).total_seconds())
        badge = ":orange-badge[alarm]" if event["alarm"] else ":blue-badge[event]"
        head = "" if event["head"] == shown.site.settings.novelty.name else f"{event['head']} · "
        where = head if event["region"] == "frame" else f"{head}{event['region']} · "
        words.markdown(
            f"**{clock}** {badge}  \n"
            f":gray[:small[{where}{strength_text(event['peak_score'], event['threshold'])} · {lasted} · no. {number}]]"
        )
        button.button(
            ":material/play_arrow:",
            key=f"play_{event['event_id']}",
            help=f"Play the event at {clock}",
            type="primary" if chosen else "secondary",
            on_click=_play,
            args=(event["event_id"],),
            width="stretch",
        )


def _summary(shown: Workspace, place: Place, published: Published) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown("### The day in short", width="content")
        st.page_link(
            SUMMARIES_PAGE, label="Why these, and other weights", icon=":material/movie:", query_params=link_to(place)
        )
    left, right = st.columns([11, 9], gap="medium")
    at_s = st.session_state.get("day_segment")
    with left:
        content = published.video_bytes(published.video)
        if content is None:
            st.info("The summary video is not there yet.", icon=":material/hourglass_empty:")
        else:
            st.video(
                content, start_time=int(at_s or 0), autoplay=at_s is not None, muted=True, alt="Summary of the day"
            )
            total = sum(entry.for_s for entry in published.entries)
            st.caption(f"{count_text(len(published.entries), 'segment')}, {duration_text(total)}.")
    with right, st.container(height=430, border=False):
        if not published.entries:
            st.caption("No segment was chosen.")
        for start in range(0, len(published.entries), 3):
            for column, entry in zip(st.columns(3, gap="small"), published.entries[start : start + 3], strict=False):
                with column, st.container(gap="xsmall"):
                    _segment(shown, published, entry)


def _segment(shown: Workspace, published: Published, entry: Entry) -> None:
    clock = clock_text(entry.taken_at, shown.zone)
    show_picture(published.picture(entry.keyframe), alt=f"Key frame at {clock}")
    st.button(
        clock,
        icon=":material/play_arrow:",
        key=f"segment_{entry.at_s}",
        help=f"Play the summary from {duration_text(entry.at_s)}: {entry.reason}",
        on_click=_play_segment,
        args=(entry.at_s,),
        type="tertiary",
    )
    st.caption(
        f"{entry.reason} {entry.score:.2f}" if entry.reason == "score" else f"{entry.reason} · {entry.score:.2f}"
    )


main()
