"""Search: moments like words, a picture, an event or another moment, over every camera and campaign."""

from collections.abc import Sequence
from datetime import datetime, time
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.app_pages.moment_media import moment_clip, moment_pictures, region_of
from dashboards.app_pages.shared import REVIEW_PAGE, Workspace, empty_state, opened, settings_changed_ns, workspace
from dashboards.queries import camera_days, event_of, newest_events
from dashboards.wording import clock_text, count_text, day_text, duration_text
from footage.regions import WHOLE
from infra.errors import AfterwatchError
from lake.labels import Span
from workspace.opened import Workspace as Opened
from workspace.queries import EventQuery, ExampleQuery, Filters, ImageQuery, Query, TextQuery
from workspace.search import Found, Moment, Searcher

KINDS = {"words": "Words", "picture": "Picture", "event": "Event", "moment": "Moment"}
COLUMNS = 4
WIDTH = 320
MOST_BYTES = 20_000_000
AROUND_US = 4_000_000


def main() -> None:
    shown = workspace()
    days = camera_days(shown.lake)
    if days.empty:
        empty_state(
            ":material/video_library:",
            "No footage yet",
            "Nothing has been taken in: there is nothing to search.",
            shown.command("run"),
        )
        return
    work = opened(shown)
    kind = _kind()
    query = _query(shown, work, kind, days)
    filters, limit, encoder = _filters(shown, work, days)
    if query is None:
        return
    try:
        with st.spinner("Searching…"):
            found = _searcher_of(work).search(query, filters, limit=limit, encoder=encoder)
    except AfterwatchError as error:
        st.error(str(error), icon=":material/error:")
        return
    _results(shown, work, found)


def _searcher_of(work: Opened) -> Searcher:
    root = str(work.site.root)
    return _searcher(work, root, settings_changed_ns(root))


@st.cache_resource(max_entries=2, show_spinner=False)
def _searcher(_work: Opened, root: str, changed_ns: int) -> Searcher:  # noqa: ARG001 — the cache's key
    return Searcher(_work)


def _kind() -> str:
    asked = st.query_params.get("by")
    if "event" in st.query_params and asked is None:
        asked = "event"
    default = asked if asked in KINDS else "moment"
    chosen = st.segmented_control(
        "Search by",
        list(KINDS),
        format_func=KINDS.__getitem__,
        default=default,
        key="search_by",
        on_change=_remember_kind,
        required=True,
        label_visibility="collapsed",
    )
    return str(chosen or default)


def _remember_kind() -> None:
    st.query_params["by"] = str(st.session_state["search_by"])


def _query(shown: Workspace, work: Opened, kind: str, days: pd.DataFrame) -> Query | None:
    match kind:
        case "words":
            return _words()
        case "picture":
            return _picture(work, days)
        case "event":
            return _event(shown)
    return _example(shown, work, days)


def _words() -> Query | None:
    text = st.text_input("What is to be seen", key="search_text", placeholder="a person carrying a box")
    return TextQuery(text) if text.strip() else None


def _picture(work: Opened, days: pd.DataFrame) -> Query | None:
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    with left:
        file = st.file_uploader("A picture of what is looked for", type=["jpg", "jpeg", "png", "bmp", "webp", "tif"])
    cut = {"the whole picture": WHOLE}
    cut |= {
        f"{region.name} of {camera}": region
        for camera in sorted(days["camera"].unique())
        for region in work.regions(camera)[1:]
    }
    with right:
        part = st.selectbox("What counts of it", list(cut), key="search_part")
    if file is None:
        return None
    if file.size > MOST_BYTES:
        st.error(
            f"{file.name} has {file.size / 1e6:.0f} MB; a picture has at most {MOST_BYTES / 1e6:.0f}. Make it smaller."
        )
        return None
    try:
        return ImageQuery.read(file.getvalue(), cut[part])
    except AfterwatchError as error:
        st.error(str(error), icon=":material/broken_image:")
        return None


def _event(shown: Workspace) -> Query | None:
    found = newest_events(shown.lake)
    if found.empty:
        st.caption("There is no event yet.")
        return None
    asked = st.query_params.get("event")
    if asked and asked not in set(found["event_id"]):
        linked = event_of(shown.lake, asked)
        if linked.empty:
            st.error(f"There is no event {asked}: a later night may have replaced it.", icon=":material/link_off:")
        found = pd.concat([linked, found]) if len(linked) else found
    told = {
        row[
            "event_id"
        ]: f"{row['camera']} · {day_text(row['day'])}, {clock_text(row['peak_at'], shown.zone)} · {row['head']} · {row['region']}"
        for row in found.to_dict("records")
    }
    # An event that is not there is not replaced by another: somebody has asked for it.
    st.session_state["search_event"] = asked if asked in told else None if asked else next(iter(told))
    chosen = st.selectbox(
        "Event",
        list(told),
        index=None,
        format_func=told.__getitem__,
        key="search_event",
        on_change=_remember_event,
        placeholder="Choose an event",
    )
    return None if chosen is None else EventQuery(str(chosen))


def _remember_event() -> None:
    chosen = st.session_state["search_event"]
    if chosen is None:
        st.query_params.pop("event", None)
    else:
        st.query_params["event"] = str(chosen)


def _example(shown: Workspace, work: Opened, days: pd.DataFrame) -> Query | None:
    columns = st.columns([3, 3, 3, 3], vertical_alignment="bottom")
    params = st.query_params
    with columns[0]:
        camera = _choose("Camera", sorted(days["camera"].unique()), "camera")
    with columns[1]:
        regions = [region.name for region in work.regions(camera)]
        region = _choose("Region", regions, "region")
    mine = days[days["camera"] == camera]
    with columns[2]:
        options = [str(day) for day in mine["day"].unique()]
        day = _choose("Day", options, "day")
    with columns[3]:
        try:
            default = time.fromisoformat(params.get("time", ""))
        except ValueError:
            default = None
        clock = st.text_input(
            "Time of day", value=default.isoformat() if default else "", key="search_time", placeholder="08:01:10"
        )
    if not clock.strip():
        st.caption("Say at what time something like it is to be seen.")
        return None
    try:
        moment = datetime.combine(datetime.fromisoformat(day).date(), time.fromisoformat(clock.strip()), shown.zone)
    except ValueError:
        st.error(f'"{clock}" is no time of day; write it as 08:01:10.', icon=":material/schedule:")
        return None
    params["time"] = clock.strip()
    return ExampleQuery(camera, region, moment)


def _choose(label: str, options: Sequence[str], name: str) -> str:
    asked = st.query_params.get(name)
    key = f"search_{name}"
    st.session_state[key] = asked if asked in options else options[0]
    return str(st.selectbox(label, options, key=key, on_change=_remember, args=(name,)))


def _remember(name: str) -> None:
    st.query_params[name] = str(st.session_state[f"search_{name}"])


def _filters(shown: Workspace, work: Opened, days: pd.DataFrame) -> tuple[Filters, int, str | None]:
    with st.expander("Where to search", icon=":material/filter_alt:"):
        first = st.columns(3)
        campaign = first[0].selectbox(
            "In campaign", ["all", *sorted(days["campaign"].unique())], key="search_in_campaign"
        )
        camera = first[1].selectbox("On camera", ["all", *sorted(days["camera"].unique())], key="search_on_camera")
        names = sorted({region.name for one in days["camera"].unique() for region in work.regions(one)})
        region = first[2].selectbox("In region", ["all", *names], key="search_in_region")
        second = st.columns(3)
        span = second[0].date_input(
            "Days",
            value=(days["day"].min(), days["day"].max()),
            min_value=days["day"].min(),
            max_value=days["day"].max(),
            key="search_days",
        )
        limit = second[1].number_input("Moments at most", 4, 200, 20, step=4, key="search_limit")
        encoder = second[2].selectbox(
            "Encoder", ["the best", *(one.table.name for one in work.encoders)], key="search_encoder"
        )
    start, end = _bounds(shown, span, days)
    places = [None if value == "all" else str(value) for value in (campaign, camera, region)]
    return (
        Filters(places[0], places[1], places[2], start, end),
        int(limit),
        None if encoder == "the best" else str(encoder),
    )


def _bounds(shown: Workspace, span: Any, days: pd.DataFrame) -> tuple[datetime | None, datetime | None]:
    """From the first day's beginning to the last one's end, where less than all days are chosen."""
    chosen = tuple(span) if isinstance(span, tuple | list) else (span,)
    if not chosen or (chosen[0], chosen[-1]) == (days["day"].min(), days["day"].max()):
        return None, None
    start = datetime.combine(chosen[0], time(), shown.zone)
    end = datetime.combine(chosen[-1], time(), shown.zone) + pd.Timedelta(days=1).to_pytimedelta()
    return start, end


def _results(shown: Workspace, work: Opened, found: Found) -> None:
    if not found.moments:
        st.info("Nothing is embedded within these limits; widen the search.", icon=":material/search_off:")
        return
    st.caption(
        f"{count_text(len(found.moments), 'moment')}, the most alike first; {found.searched:,} vectors of "
        f"{found.encoder or found.space} were compared."
    )
    for start in range(0, len(found.moments), COLUMNS):
        row = found.moments[start : start + COLUMNS]
        for column, moment in zip(st.columns(COLUMNS, gap="small"), row, strict=False):
            with column, st.container(border=True, gap="xsmall"):
                _hit(shown, work, moment, found.encoder)


def _hit(shown: Workspace, work: Opened, moment: Moment, encoder: str) -> None:
    key = f"{moment.recording_id[:12]}_{moment.region}_{moment.peak_us}"
    pictures, problem = moment_pictures(
        work, moment.camera, moment.region, moment.recording_id, (moment.peak_us,), WIDTH
    )
    if st.session_state.get("search_playing") == key:
        region = region_of(work, moment.camera, moment.region)
        around = Span(moment.recording_id, max(0, moment.peak_us - AROUND_US), moment.peak_us + AROUND_US)
        content = moment_clip(work, moment.camera, region.name, around)
        if content is not None:
            st.video(content, autoplay=True, muted=True, loop=True, alt="The moment, eight seconds")
    elif pictures and pictures[0] is not None:
        st.image(pictures[0], width="stretch", alt="Picture of the moment")
    else:
        st.caption(problem or "no picture")
    lasts = duration_text((moment.ended_at - moment.started_at).total_seconds())
    where = moment.camera if moment.region == "frame" else f"{moment.camera} · {moment.region}"
    st.markdown(
        f"**{clock_text(moment.peak_at, shown.zone)}** :small[:gray[{day_text(moment.day)}]]  \n"
        f":small[{where} · {moment.score:.3f} · {lasts}]"
    )
    with st.container(horizontal=True, gap="small"):
        st.button("", icon=":material/play_arrow:", key=f"search_play_{key}", help="Play", on_click=_play, args=(key,))
        st.page_link(
            REVIEW_PAGE,
            label="Review",
            icon=":material/rate_review:",
            query_params={
                "campaign": moment.campaign,
                "camera": moment.camera,
                "region": moment.region,
                "encoder": encoder,
                "at": moment.peak_at.isoformat(),
            },
        )


def _play(key: str) -> None:
    st.session_state["search_playing"] = None if st.session_state.get("search_playing") == key else key


main()
