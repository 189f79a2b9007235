"""Why an event is one: its place in the picture, the parts of its score, the camera's normal, the nearest normals."""

from collections.abc import Callable

import numpy as np
import streamlit as st

from dashboards.anomaly_charts import PARTS, normal_chart, parts_bars
from dashboards.anomaly_queries import Neighbour, Reason, day_scores, reason_of, standard_of
from dashboards.app_pages.anomalies_media import film_picture, place_picture, reconstruction_pictures
from dashboards.app_pages.shared import Workspace, empty_state
from dashboards.event_rows import Ranked
from dashboards.wording import clock_text, day_text, score_text
from infra.errors import AfterwatchError
from models.calibration import NormalDistribution
from workspace.anomalies import normal_scores
from workspace.opened import Workspace as Opened
from workspace.reconstructions import reconstructs

SNIPPET_US = 2_000_000
"""Length of the strip of an event whose snippets' length is not known."""
NEAREST = 3
DEVIATIONS = (
    "One deviation is how far this camera’s scores usually stray from their middle (their robust standard deviation). "
    "So cameras and regions can be compared."
)


def show_why(shown: Workspace, work: Opened, one: Ranked, show_clip: Callable[[], None]) -> None:
    """The panel of one event; `show_clip` puts its video beside the picture."""
    reason = reason_of(shown.lake, one.event)
    picture, clip = st.columns(2, gap="small")
    with picture:
        _picture(work, one, reason)
    with clip:
        show_clip()
    if reason is None:
        empty_state(
            ":material/psychology_alt:",
            "No reasons kept",
            "The night that found this event did not keep why yet. The next run keeps the reasons of its events; "
            "for this camera it can be done now:",
            shown.command(f'backfill --campaign "{one.campaign}" --camera "{one.camera}"'),
        )
        return
    measured, parts = st.columns([3, 2], gap="medium")
    with measured:
        _against_normal(shown, work, one)
    with parts:
        _parts(reason)
    _nearest(shown, work, one, reason)
    _reconstruction(shown, work, one)  # last: loading a network takes seconds


def _picture(work: Opened, one: Ranked, reason: Reason | None) -> None:
    place = None if reason is None else reason.place
    content, problem = place_picture(work, one.camera, one.region, one.event.recording_id, one.peak_us, place)
    if content is None:
        st.caption(f":material/broken_image: {problem or 'no picture can be decoded here'}")
        return
    st.image(content, width="stretch", alt="The event’s peak, its place marked")
    if place is not None:
        st.caption("The box marks where it differs most from the normal.")
    elif one.region != "frame":
        st.caption(f"The outline is the region {one.region}.")


def _against_normal(shown: Workspace, work: Opened, one: Ranked) -> None:
    st.markdown("**Against this camera’s normal** :small[:gray[in deviations]]", help=DEVIATIONS)
    standard, usual = standard_of(shown.lake, one.event), _usual(shown, work, one)
    peak = one.event.peak_score
    if standard is None or usual is None or peak is None:
        st.caption("The normal scores of this night were not kept.")
        return
    median, spread = standard
    if spread <= 0:
        st.caption("All normal scores of this camera are equal; this one is another.")
        return
    st.altair_chart(
        normal_chart(usual, median, spread, peak, one.event.threshold),
        width="stretch",
        alt="The event’s score beside the camera’s usual scores",
    )
    st.caption(f"{_rarity(usual, peak)} Score {score_text(peak)}, usually about {score_text(median)}.")


def _rarity(usual: NormalDistribution, peak: float) -> str:
    if peak > usual.scores[-1]:
        return "Higher than every usual score."
    above = 1.0 - float(usual.fraction_below(np.array([peak]))[0])
    return f"About one in {max(1.0, 1 / max(above, 1e-9)):,.0f} of the usual scores is as high."


def _usual(shown: Workspace, work: Opened, one: Ranked) -> NormalDistribution | None:
    """The normal scores of the head; of a day that was compared with itself, the day's own."""
    try:
        found = _normal_scores(work, str(work.site.root), one.camera, one.event.version)
    except AfterwatchError:
        return None  # a damaged head is the night's to tell; the page shows what there is
    if found is not None:
        return found
    scores = day_scores(shown.lake, one.event)
    return NormalDistribution.fit(scores) if len(scores) else None


@st.cache_data(max_entries=100, show_spinner=False)
def _normal_scores(_work: Opened, root: str, camera: str, version: str) -> NormalDistribution | None:  # noqa: ARG001 — the root is part of the cache's key
    return normal_scores(_work.registry, camera, version)


def _parts(reason: Reason) -> None:
    st.markdown("**What its score is made of**")
    if not reason.parts:
        st.caption("The vectors of this encoder have no parts that could be told apart.")
        return
    st.altair_chart(parts_bars(reason.parts), width="stretch", alt="Parts of the score")
    name, share = reason.parts[0]
    if len(reason.parts) > 1:
        st.caption(f"Mostly {PARTS.get(name, name)}: {share:.0%} of the difference to the nearest normals.")


# What the camera's normal looks like at its most alike.


def _nearest(shown: Workspace, work: Opened, one: Ranked, reason: Reason) -> None:
    st.markdown("**The most similar normal moments of this camera**")
    found = reason.nearest[:NEAREST]
    if not found:
        st.caption("None was kept.")
        return
    length_us = found[0].to_us - found[0].from_us
    half_us = (length_us if length_us > 0 else SNIPPET_US) // 2
    columns = st.columns(2, gap="small")
    with columns[0]:
        first_us = max(0, one.peak_us - half_us)
        _film(work, one, one.event.recording_id, first_us, one.peak_us + half_us)
        moment = clock_text(one.event.peak_at, shown.zone)
        st.markdown(f":small[**This event**, {day_text(one.day)}, {moment}]")
    for number, neighbour in enumerate(found, start=1):
        with columns[number % 2]:
            _film(work, one, neighbour.recording_id, neighbour.from_us, neighbour.to_us)
            _when(shown, neighbour)


def _film(work: Opened, one: Ranked, recording_id: str, from_us: int, to_us: int) -> None:
    content, problem = film_picture(work, one.camera, one.region, recording_id, from_us, to_us)
    if content is None:
        st.caption(f":material/broken_image: {problem or 'no picture can be decoded here'}")
    else:
        st.image(content, width="stretch", alt="A snippet")


def _when(shown: Workspace, neighbour: Neighbour) -> None:
    day = neighbour.taken_at.astimezone(shown.zone).date()
    st.markdown(
        f":small[**Normal**, {day_text(day)}, {clock_text(neighbour.taken_at, shown.zone)} "
        f":gray[· distance {score_text(neighbour.distance)}]]"
    )


# What an autoencoder makes of it.


def _reconstruction(shown: Workspace, work: Opened, one: Ranked) -> None:
    planned = work.encoder(shown.site.settings.novelty.encoder)
    if not reconstructs(planned):
        return
    st.markdown("**What the autoencoder makes of it**")
    with st.spinner("Reconstructing…"):
        pictures, problem = reconstruction_pictures(work, planned, one)
    if pictures is None:
        st.caption(f":material/broken_image: {problem}")
        return
    words = ("Original", "Reconstruction", "Error: the brighter, the less it was expected")
    for column, content, word in zip(st.columns(3, gap="small"), pictures, words, strict=True):
        with column:
            st.image(content, width="stretch", alt=word)
            st.caption(word)
