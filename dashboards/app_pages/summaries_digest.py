"""All cameras of a day in one video, and everything that their summaries show, ranked over cameras."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.app_pages.shared import Workspace, empty_state, facts, show_picture
from dashboards.app_pages.summaries_cards import Card, show_cards
from dashboards.app_pages.summaries_data import CameraDay, camera_day
from dashboards.app_pages.summaries_package import show_package
from dashboards.app_pages.summaries_watch import COLUMNS, ROOM, STORY_HEIGHT, chosen_segment, play, run_of, show_player
from dashboards.media import Published
from dashboards.summary_charts import COLUMN_COLOURS, bars_html
from dashboards.summary_rows import Digest, DigestEntry, read_digest, why_text
from dashboards.wording import clock_text, count_text, duration_text, plain_text
from infra.errors import LakeError
from lake.keys import Place
from workspace.opened import Workspace as Opened
from workspace.published_summaries import SCORE

RANKED = "summaries_ranked"
LISTED = 400


def show_digest(shown: Workspace, work: Opened, places: Sequence[Place]) -> None:
    """The digest of a campaign's day, and the summaries that it is cut from."""
    days = {place.camera: camera_day(shown, place) for place in places}
    for day in days.values():
        if day.problem:
            st.warning(day.problem, icon=":material/broken_image:")
    if not any(day.segments for day in days.values()):
        empty_state(
            ":material/hourglass_empty:",
            "Nothing is published of this day yet",
            "The summaries come with the night’s last step. To make them now:",
            shown.command(run_of(places[0], camera=False)),
        )
        return
    digest, problem = _digest(shown, places[0])
    if problem:
        st.warning(problem, icon=":material/broken_image:")
    if digest is not None and digest.entries:
        _video(shown, digest, days)
    elif not problem:
        st.info(
            "The digest of this day is not made yet; it comes with the next run: "
            f"`{shown.command(run_of(places[0], camera=False))}`",
            icon=":material/hourglass_empty:",
        )
    _ranked(shown, list(days.values()))
    show_package(shown, work)


def _digest(shown: Workspace, place: Place) -> tuple[Digest | None, str]:
    try:
        return read_digest(shown.site, place.campaign, place.day), ""
    except LakeError as error:
        return None, str(error)


def _video(shown: Workspace, digest: Digest, days: dict[str, CameraDay]) -> None:
    cameras = len({entry.place.camera for entry in digest.entries})
    events = sum(entry.segment.reason != SCORE for entry in digest.entries)
    omitted = ", ".join(f"{camera} {name}" for camera, name in digest.omitted)
    facts(
        ("Length", duration_text(digest.duration_s), "Of the digest"),
        ("Cameras", f"{cameras} of {len(days)}", "Shown in the digest"),
        ("For an event", str(events), "Alarms of all cameras come first, then other events"),
        ("For their score", str(len(digest.entries) - events), "Segments that fill the rest"),
        ("Events left out", str(len(digest.omitted)), omitted or "Every event of the summaries is shown"),
    )
    for camera, reason in digest.left_out:
        st.warning(f"{camera} is not in the digest: {reason}", icon=":material/videocam_off:")
    one = chosen_segment([entry.segment for entry in digest.entries])
    entry = next(entry for entry in digest.entries if entry.segment is one)
    player, story = st.columns([11, 9], gap="medium")
    with player:
        show_player(Published(digest.folder).video_bytes(digest.video), one)
        _why(shown, digest, entry, days)
    with story:
        _storyboard(shown, digest, days)


def _why(shown: Workspace, digest: Digest, entry: DigestEntry, days: dict[str, CameraDay]) -> None:
    segment, day = entry.segment, days.get(entry.place.camera)
    clock = clock_text(segment.taken_at, shown.zone)
    badge = ":blue-badge[score]" if segment.reason == SCORE else f":orange-badge[{plain_text(segment.reason)}]"
    st.markdown(
        f"### {plain_text(entry.place.camera)} :small[:gray[{clock}]] {badge} "
        f":small[:gray[{segment.number} of {len(digest.entries)}]]"
    )
    weights = {} if day is None else day.weights
    st.markdown(f"In the digest **{plain_text(why_text(segment, weights))}**, with a score of **{segment.score:.2f}**.")
    bars, still = st.columns([3, 4], gap="medium")
    with bars:
        st.html(bars_html(segment.columns, weights or None))
    with still:
        show_picture(_picture(days, entry), alt=f"Key frame of {entry.place.camera} at {clock}")
    st.caption(f"`{segment.recording}`, {segment.from_us / 1e6:.3f} s – {segment.to_us / 1e6:.3f} s")
    st.button(
        f"The whole summary of {entry.place.camera}",
        icon=":material/videocam:",
        key="summaries_to_camera",
        type="tertiary",
        on_click=_to_camera,
        args=(entry.place.camera, _number_in(day, entry)),
    )


def _number_in(day: CameraDay | None, entry: DigestEntry) -> int | None:
    """The number of a digest's segment in its camera's own summary; None where that has changed since."""
    segments = () if day is None else day.segments
    return next((one.number for one in segments if one.span == entry.segment.span), None)


def _to_camera(camera: str, number: int | None) -> None:
    st.query_params["camera"] = camera
    if number is None:
        st.query_params.pop("segment", None)
    else:
        st.query_params["segment"] = str(number)


# Everything that the summaries show, ranked over cameras.


def _ranked(shown: Workspace, days: Sequence[CameraDay]) -> None:
    found = [(day, segment) for day in days for segment in day.segments]
    found.sort(key=lambda one: (one[1].reason == SCORE, -one[1].score, one[1].taken_at, one[0].place))
    st.markdown(
        f"### Ranked over cameras :small[:gray[{count_text(len(found), 'segment')} of {count_text(len(days), 'camera')}]]",
        help="Segments that show an event first, then by score. Every score is on its own camera’s scale.",
    )
    listed = found[:LISTED]
    table = pd.DataFrame(
        [
            {
                "camera": day.place.camera,
                "time": clock_text(segment.taken_at, shown.zone),
                "shown for": segment.reason,
                "score": segment.score,
                **segment.columns,
            }
            for day, segment in listed
        ]
    )
    bars: dict[str, Any] = {
        name: st.column_config.ProgressColumn(name, min_value=0, max_value=1, format="%.2f")
        for name in ("score", *COLUMN_COLOURS)
    }
    st.dataframe(
        table,
        hide_index=True,
        height=min(360, 40 + 35 * len(table)),
        column_config=bars,
        key=RANKED,
        on_select=lambda: _picked([(day.place.camera, segment.number) for day, segment in listed]),
        selection_mode="single-row",
    )
    st.caption("Tick a row to see it in its camera’s summary.")
    if len(found) > len(listed):
        st.caption(f"{len(found) - len(listed):,} more are in the summaries of their cameras.")


def _picked(listed: Sequence[tuple[str, int]]) -> None:
    rows = st.session_state[RANKED].get("selection", {}).get("rows", [])
    if rows and rows[0] < len(listed):
        _to_camera(*listed[rows[0]])


def _storyboard(shown: Workspace, digest: Digest, days: dict[str, CameraDay]) -> None:
    one = chosen_segment([entry.segment for entry in digest.entries])
    cards = [
        Card(
            entry.place,
            entry.segment,
            *_weights_of(days, entry),
            lambda entry=entry: _picture(days, entry),  # type: ignore[misc]  # the entry of this round
            camera=True,
            play=(play, (entry.segment.number,)),
            chosen=entry.segment is one,
            versions=days[entry.place.camera].media.versions if entry.place.camera in days else {},
        )
        for entry in digest.entries
    ]
    with st.container(height=STORY_HEIGHT if len(cards) > ROOM else "content", border=False):
        show_cards(shown, cards, COLUMNS, "digest")


def _weights_of(days: dict[str, CameraDay], entry: DigestEntry) -> tuple[Mapping[str, float], str]:
    day = days.get(entry.place.camera)
    return ({}, "") if day is None else (day.weights, day.label)


def _picture(days: dict[str, CameraDay], entry: DigestEntry) -> bytes | None:
    """The still that the camera's own summary has of it."""
    day = days.get(entry.place.camera)
    return None if day is None else day.picture(entry.segment)
