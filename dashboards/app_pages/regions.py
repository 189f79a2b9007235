"""Regions: parts of a camera's picture, drawn on a moment of its footage. The address names what is shown."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import streamlit as st

from dashboards.app_pages.canvas import Shown, canvas, colours_of
from dashboards.app_pages.region_form import Draft, draft_of, form, take_drawn
from dashboards.app_pages.region_list import chosen_version, history, region_list
from dashboards.app_pages.shared import Workspace, author, empty_state, opened, workspace
from dashboards.queries import camera_days
from dashboards.region_queries import Stretch, stretches
from dashboards.snapshot import records
from dashboards.wording import clock_text, count_text, day_text
from footage.regions import WHOLE
from footage.writing import jpeg_bytes
from infra.errors import FootageError
from lake.keys import Place
from workspace.moments import source_of, strip
from workspace.opened import Workspace as Opened
from workspace.regions import SaidRegion, region_versions, regions_now

CANVAS = "regions_canvas"
WIDEST = 1280  # pixels of the picture that is drawn on; wider ones are reduced
MOMENTS = 1440  # the most that the slider offers
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300)


@dataclass(frozen=True)
class Still:
    """A moment of a camera and its picture.

    Attributes:
        moment: true time.
        stretch: recording that the moment is in.
        picture: data URL; None where there is none.
        word: why there is none.
    """

    moment: datetime
    stretch: Stretch
    picture: str | None
    word: str = ""


def main() -> None:
    shown = workspace()
    days = camera_days(shown.lake)
    if days.empty:
        empty_state(
            ":material/crop:",
            "No footage yet",
            "A region is drawn on a picture of its camera. Put recordings below the footage folder and run the night.",
            shown.command("run"),
        )
        return
    place, who = _choose(days)
    work = opened(shown)
    said, versions = regions_now(work.ledger, place.camera), region_versions(work.ledger, place.camera)
    held = stretches(shown.lake, place)
    if not held:
        empty_state(":material/crop:", "No picture to draw on", "The recordings of this day hold none; choose another.")
        return
    moment = _moment(held)
    draft = draft_of(place.camera)
    left, right = st.columns([13, 7], gap="medium")
    with left:
        still = _still(shown, work, held, moment)
        _canvas(place, still, said, versions, draft)
        _slider(shown, held, still)
    with right:
        form(work, place.camera, said, versions, draft, who, still.moment if still.picture else None)
        region_list(shown, work, place, said, versions, who)
    if versions:
        history(shown, work, place.camera, said, versions, who)


# What is shown lives in the address, so that a link opens the same view.


def _choose(days: pd.DataFrame) -> tuple[Place, str]:
    """The selectors and who is drawing; what the address asks for, else the newest day."""
    columns = st.columns([3, 3, 4, 2], vertical_alignment="bottom")
    rows = days
    with columns[0]:
        campaign = _select("Campaign", sorted(rows["campaign"].unique()), "campaign", rows["campaign"].iloc[0])
        rows = rows[rows["campaign"] == campaign]
    with columns[1]:
        camera = _select("Camera", sorted(rows["camera"].unique()), "camera", rows["camera"].iloc[0])
        rows = rows[rows["camera"] == camera]
    told = {str(row.day): f"{day_text(row.day)} · {count_text(row.recordings, 'recording')}" for row in records(rows)}
    with columns[2]:
        day = _select("Day of the picture", list(told), "day", next(iter(told)), lambda option: told[option])
    with columns[3], st.container(horizontal=True, horizontal_alignment="right"):
        who = author("draw regions")
    return Place(campaign, camera, date.fromisoformat(day)), who


def _select(
    label: str, options: Sequence[str], name: str, default: str, format_func: Callable[[str], str] = str
) -> str:
    asked = st.query_params.get(name)
    key = f"regions_{name}"
    st.session_state[key] = asked if asked in options else default
    return str(st.selectbox(label, options, key=key, format_func=format_func, on_change=_remember, args=(name,)))


def _remember(name: str) -> None:
    st.query_params[name] = st.session_state[f"regions_{name}"]
    st.query_params.pop("at", None)


def _moment(held: Sequence[Stretch]) -> datetime:
    """The recorded moment that the address asks for, else one near the middle of the day's last recording."""
    try:
        asked = datetime.fromisoformat(st.query_params.get("at", ""))
        asked = asked if asked.tzinfo is not None else asked.replace(tzinfo=UTC)
    except ValueError:
        last = held[-1]
        asked = last.started_at + timedelta(seconds=round(last.duration_us / 2e6))
    return _recorded(held, asked)


def _recorded(held: Sequence[Stretch], moment: datetime) -> datetime:
    """The recorded moment that is nearest."""
    ends = [min(max(moment, one.started_at), one.ended_at - timedelta(microseconds=1)) for one in held]
    return min(ends, key=lambda end: abs(end - moment))


def _go_to(moment: datetime) -> None:
    st.query_params["at"] = moment.isoformat()


# The picture.


def _still(shown: Workspace, work: Opened, held: Sequence[Stretch], moment: datetime) -> Still:
    stretch = next(one for one in held if one.started_at <= moment < one.ended_at)
    width = min(stretch.width, WIDEST)
    try:
        picture = _decoded(str(shown.site.root), stretch.recording_id, stretch.t_us(moment), width, work)
    except FootageError as error:
        return Still(moment, stretch, None, str(error))
    return Still(moment, stretch, picture)


@st.cache_data(max_entries=100, show_spinner=False)
def _decoded(root: str, recording_id: str, t_us: int, width: int, _work: Opened) -> str:  # noqa: ARG001 — the root is part of the cache's key
    """The picture on display at a time of a recording, as a data URL.

    Raises:
        FootageError: the recording is gone, or the picture cannot be decoded.
    """
    source = source_of(_work, recording_id)
    if not source.path.is_file():
        raise FootageError(
            f"The footage is gone: {source.relative} is not below the footage folder any more. Bring it back, choose "
            "another day, or give the region's place in numbers."
        )
    try:
        (picture,) = strip(_work, source, [t_us], WHOLE, width)
    except OSError as error:  # the lake has no index of its pictures, or the file went while it was read
        raise FootageError(
            f"{source.relative} cannot be read ({error}). Choose another moment, or run the night."
        ) from None
    if picture is None:
        raise FootageError(f"{source.relative} has no picture here that can be decoded. Choose another moment.")
    return f"data:image/jpeg;base64,{b64encode(jpeg_bytes(picture)).decode()}"


def _canvas(
    place: Place, still: Still, said: Sequence[SaidRegion], versions: Sequence[SaidRegion], draft: Draft
) -> None:
    colours = colours_of(versions)
    word, region = chosen_version(versions) or ("", None)
    canvas(
        Shown(
            subject=place.camera,
            picture=still.picture,
            alt=f"Picture of {place.camera}",
            word=still.word,
            width=still.stretch.width,
            height=still.stretch.height,
            regions=[(one.name, one.region.outline, colours[one.name]) for one in said if one.region is not None],
            ghost=None if region is None or region.region is None else (word, region.region.outline),
            draft=draft.outline,
            serial=draft.serial,
            naming=draft.name or "new region",
        ),
        CANVAS,
        take_drawn,
    )


def _slider(shown: Workspace, held: Sequence[Stretch], still: Still) -> None:
    """Recorded moments of the day, and a step of a second either way."""
    moments = _moments(held, still.moment)
    told = {moment.isoformat(): clock_text(moment, shown.zone) for moment in moments}
    st.session_state["regions_at"] = still.moment.isoformat()
    least = timedelta(seconds=0.5)
    before = max((one for one in _neighbours(held, still.moment, -1) if one < still.moment - least), default=None)
    after = min((one for one in _neighbours(held, still.moment, 1) if one > still.moment + least), default=None)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        _step(":material/chevron_left:", "A second earlier", before)
        if len(told) > 1:
            st.select_slider(
                "Moment",
                list(told),
                key="regions_at",
                format_func=lambda moment: told[moment],
                on_change=_slid,
                label_visibility="collapsed",
                width="stretch",
            )
        _step(":material/chevron_right:", "A second later", after)
    day = day_text(still.moment.astimezone(shown.zone).date())
    st.caption(f"{day}, {clock_text(still.moment, shown.zone)} · `{still.stretch.path}`")


def _slid() -> None:
    _go_to(datetime.fromisoformat(str(st.session_state["regions_at"])))


def _step(icon: str, label: str, moment: datetime | None) -> None:
    st.button(icon, key=f"regions_{label}", help=label, disabled=moment is None, on_click=_go_to, args=(moment,))


def _neighbours(held: Sequence[Stretch], moment: datetime, seconds: int) -> list[datetime]:
    """Recorded moments about `seconds` away, and the ends of the recordings, which lie across the gaps."""
    ends = [end for one in held for end in (one.started_at, one.ended_at - timedelta(microseconds=1))]
    return [*ends, _recorded(held, moment + timedelta(seconds=seconds))]


def _moments(held: Sequence[Stretch], chosen: datetime) -> list[datetime]:
    """Moments evenly over the recorded time, with the chosen one among them in its second's place."""
    recorded_s = sum(one.duration_us for one in held) / 1e6
    step_s = next((step for step in STEPS_S if recorded_s / step <= MOMENTS), STEPS_S[-1])
    seconds = {
        int(moment.timestamp()): moment
        for one in held
        for number in range(max(1, int(one.duration_us / 1e6 / step_s)))
        for moment in [one.started_at + timedelta(seconds=number * step_s)]
    }
    seconds[int(chosen.timestamp())] = chosen
    return [seconds[second] for second in sorted(seconds)]


main()
