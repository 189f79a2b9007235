"""Pictures of the Anomalies page: the place in the picture, strips of snippets; decoded once, then remembered."""

import streamlit as st

from dashboards.anomaly_charts import error_picture, film, grey_picture, marked
from dashboards.app_pages.moment_media import region_of
from dashboards.event_rows import Ranked
from footage.regions import WHOLE, Region
from footage.writing import jpeg_bytes
from infra.errors import AfterwatchError
from workspace.moments import source_of, strip
from workspace.opened import PlannedEncoder, Workspace
from workspace.reconstructions import reconstructed

Place = tuple[float, float, float, float]
QUALITY = 85
PLACE_WIDTH = 720
RECONSTRUCTION_WIDTH = 480
FILM_WIDTH = 260
"""Pixels of the width of one picture of a strip."""
FILM_PICTURES = 3


def place_picture(
    workspace: Workspace, camera: str, region: str, recording_id: str, at_us: int, place: Place | None
) -> tuple[bytes | None, str]:
    """The whole picture at a time of a recording, with region and place drawn in; and in words what went wrong."""
    mine = region_of(workspace, camera, region)
    try:
        return _place_picture(workspace, str(workspace.site.root), mine, recording_id, at_us, place), ""
    except AfterwatchError as error:
        return None, str(error)


def film_picture(
    workspace: Workspace, camera: str, region: str, recording_id: str, from_us: int, to_us: int
) -> tuple[bytes | None, str]:
    """A snippet of a region as one strip of pictures, and in words what went wrong."""
    step = (to_us - from_us) / FILM_PICTURES
    times = tuple(round(from_us + step * (number + 0.5)) for number in range(FILM_PICTURES))
    mine = region_of(workspace, camera, region)
    try:
        return _film_picture(workspace, str(workspace.site.root), mine, recording_id, times), ""
    except AfterwatchError as error:
        return None, str(error)


def reconstruction_pictures(
    workspace: Workspace, planned: PlannedEncoder, one: Ranked
) -> tuple[tuple[bytes, bytes, bytes] | None, str]:
    """Original, reconstruction and error map of an event's peak, and in words what went wrong."""
    region, root = region_of(workspace, one.camera, one.region), str(workspace.site.root)
    try:
        return _reconstruction(
            workspace, planned, root, planned.spec.space, region, one.event.recording_id, one.peak_us
        ), ""
    except AfterwatchError as error:
        return None, str(error)


@st.cache_data(max_entries=100, show_spinner=False)
def _reconstruction(
    _workspace: Workspace,
    _planned: PlannedEncoder,
    root: str,  # noqa: ARG001 — part of the cache's key
    space: str,  # noqa: ARG001 — likewise
    region: Region,
    recording_id: str,
    at_us: int,
) -> tuple[bytes, bytes, bytes]:
    source = source_of(_workspace, recording_id)
    made = reconstructed(_workspace, _planned, source, at_us, region)
    # The network saw the region squashed to a square; people see it as it is.
    (seen,) = strip(_workspace, source, (made.t_us,), region, RECONSTRUCTION_WIDTH)
    size = made.original.shape if seen is None else seen.shape[:2]
    original, copy = (
        jpeg_bytes(grey_picture(picture, size), QUALITY) for picture in (made.original, made.reconstruction)
    )
    return original, copy, jpeg_bytes(error_picture(made.error, size), QUALITY)


@st.cache_data(max_entries=200, show_spinner=False)
def _place_picture(
    _workspace: Workspace,
    root: str,  # noqa: ARG001 — part of the cache's key
    region: Region,
    recording_id: str,
    at_us: int,
    place: Place | None,
) -> bytes | None:
    (picture,) = strip(_workspace, source_of(_workspace, recording_id), (at_us,), WHOLE, PLACE_WIDTH)
    outline = region.outline if region.name != WHOLE.name else None
    return None if picture is None else jpeg_bytes(marked(picture, place, outline), QUALITY)


@st.cache_data(max_entries=400, show_spinner=False)
def _film_picture(
    _workspace: Workspace,
    root: str,  # noqa: ARG001 — part of the cache's key
    region: Region,
    recording_id: str,
    times_us: tuple[int, ...],
) -> bytes | None:
    pictures = strip(_workspace, source_of(_workspace, recording_id), times_us, region, FILM_WIDTH)
    row = film(pictures)
    return None if row is None else jpeg_bytes(row, QUALITY)
