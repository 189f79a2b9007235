"""Pictures and clips of moments as pages show them: decoded when first asked for, then remembered."""

import streamlit as st

from footage.regions import WHOLE, Region
from footage.writing import jpeg_bytes
from infra.errors import AfterwatchError
from lake.labels import Span
from workspace.moments import clip, source_of, strip
from workspace.opened import Workspace

QUALITY = 80


def moment_pictures(
    workspace: Workspace, camera: str, region: str, recording_id: str, times_us: tuple[int, ...], width: int
) -> tuple[list[bytes | None], str]:
    """JPEGs of a region at some times of a recording, and in words what went wrong."""
    mine = region_of(workspace, camera, region)
    try:
        return _pictures(workspace, str(workspace.site.root), mine, recording_id, times_us, width), ""
    except AfterwatchError as error:
        return [], str(error)


def moment_clip(workspace: Workspace, camera: str, region: str, span: Span) -> bytes | None:
    """A short video of a span; none where it cannot be made any more."""
    try:
        path = clip(workspace, source_of(workspace, span.recording_id), span, region_of(workspace, camera, region))
        return path.read_bytes()
    except (AfterwatchError, OSError):
        return None


def region_of(workspace: Workspace, camera: str, name: str) -> Region:
    """A region as it is drawn now; the whole picture where it was taken back."""
    return next((region for region in workspace.regions(camera) if region.name == name), WHOLE)


@st.cache_data(max_entries=1000, show_spinner=False)
def _pictures(
    _workspace: Workspace,
    root: str,  # noqa: ARG001 — part of the cache's key
    region: Region,
    recording_id: str,
    times_us: tuple[int, ...],
    width: int,
) -> list[bytes | None]:
    pictures = strip(_workspace, source_of(_workspace, recording_id), times_us, region, width)
    return [None if picture is None else jpeg_bytes(picture, QUALITY) for picture in pictures]
