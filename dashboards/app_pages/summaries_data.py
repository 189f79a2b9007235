"""What the Summaries page shows: what is published of camera days, and what the nights have measured of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from dashboards.app_pages.judging import said_of
from dashboards.app_pages.shared import Workspace, published_day, settings_changed_ns
from dashboards.event_rows import Ranked
from dashboards.media import Published, day_folder
from dashboards.summary_queries import day_events
from infra.errors import AfterwatchError, ConfigurationError
from lake.keys import Place
from workspace.opened import Workspace as Opened
from workspace.published_summaries import ShownSegment, ShownSummary, read_summary
from workspace.summaries import MeasuredDay, measured_files, read_measured
from workspace.verdicts import verdicts_now

MOST_CAMERAS = 256
"""Measured days that are kept in memory; of 24 h in segments of 4 s, each takes about 7 MB."""


@dataclass(frozen=True, eq=False)
class CameraDay:
    """A camera's day and what is published of it.

    Attributes:
        place: which day.
        summary: what is published; None where nothing is, or it cannot be read.
        problem: what is wrong with it, in words.
        media: its files.
    """

    place: Place
    summary: ShownSummary | None
    problem: str
    media: Published

    @property
    def segments(self) -> tuple[ShownSegment, ...]:
        return () if self.summary is None else self.summary.segments

    @property
    def weights(self) -> Mapping[str, float]:
        """What its summary was chosen by; empty where it does not say."""
        return {} if self.summary is None else self.summary.weights

    @property
    def label(self) -> str:
        """What its weights are called; empty where it does not say."""
        return "" if self.summary is None else self.summary.label

    def picture(self, segment: ShownSegment) -> bytes | None:
        """The key frame of a published segment."""
        return self.media.picture(segment.keyframe)


def camera_day(shown: Workspace, place: Place) -> CameraDay:
    """What is published of a camera's day."""
    summary, problem = None, ""
    try:
        summary = read_summary(shown.site, place)
    except ConfigurationError:
        pass  # nothing is published yet
    except AfterwatchError as error:
        problem = str(error)
    media, told = published_day(shown.site, place)
    return CameraDay(place, summary, problem or told, media or Published(day_folder(shown.site, place)))


def measured_days(work: Opened, places: Sequence[Place]) -> tuple[dict[Place, MeasuredDay], list[str]]:
    """The measured segments of camera days, and what is wrong with those that cannot be read.

    Days that no night has measured are absent.

    Args:
        work: the workspace.
        places: at least one, all of one campaign and day.
    """
    root, found, problems = str(work.site.root), {}, []
    files = measured_files(work.ledger, places[0].campaign, places[0].day)
    with st.spinner("Reading the segments…"):
        for place in places:
            if place.camera not in files:
                continue
            try:
                found[place] = _measured(work, root, settings_changed_ns(root), place, files[place.camera])
            except AfterwatchError as error:
                problems.append(str(error))
    return found, problems


@st.cache_resource(max_entries=MOST_CAMERAS, show_spinner=False)
def _measured(
    _work: Opened,
    root: str,  # noqa: ARG001 — part of the cache's key, as is the next
    changed_ns: int,  # noqa: ARG001
    place: Place,
    files: tuple[str, ...],
) -> MeasuredDay:
    return read_measured(_work, place, files)


@dataclass(frozen=True, eq=False)
class Context:
    """What people and heads say of a camera's day.

    Attributes:
        events: of all heads, in order of time.
        verdicts: by event id, `confirmed` or `dismissed`.
    """

    events: Sequence[Ranked]
    verdicts: Mapping[str, str]


def context_of(shown: Workspace, work: Opened, place: Place) -> Context:
    """Events and verdicts of a camera's day."""
    events = day_events(shown.lake, place)
    return Context(events, said_of(verdicts_now(work, place.camera), events))
