"""Segments as cards: a picture, its time, why it is in, its columns as bars, and a tick for the package."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from dashboards.app_pages.shared import Workspace, show_picture
from dashboards.summary_charts import bars_html
from dashboards.summary_rows import why_text
from dashboards.wording import clock_text, plain_text
from lake.keys import Place
from workspace.published_summaries import SCORE, ShownSegment

TICKED = "summaries_ticked"
Name = tuple[Place, str, int, int]


@dataclass(frozen=True, eq=False)
class Ticked:
    """A segment that is ticked for the package.

    Attributes:
        place, segment: what.
        label: name of the weights that it was chosen by; empty where that is not known.
        versions: of everything it was made with, as far as a publication tells them.
    """

    place: Place
    segment: ShownSegment
    label: str
    versions: Mapping[str, Any]

    @property
    def name(self) -> Name:
        """What it shows of the footage, whatever it was ticked for."""
        return self.place, *self.segment.span


@dataclass(frozen=True, eq=False)
class Card:
    """A segment as it is shown.

    Attributes:
        place, segment: what.
        weights, label: what it was chosen by, and what that is called; empty where they are not known.
        picture: makes its picture; None where there is none.
        camera: whether the camera is told.
        play: what its time does when clicked, with arguments; None where nothing can be played.
        chosen: whether it is the one that is looked at.
        versions: of everything it was made with; empty of what is not published.
    """

    place: Place
    segment: ShownSegment
    weights: Mapping[str, float]
    label: str
    picture: Callable[[], bytes | None]
    camera: bool = False
    play: tuple[Callable[..., None], tuple[Any, ...]] | None = None
    chosen: bool = False
    versions: Mapping[str, Any] = field(default_factory=dict)


def show_cards(shown: Workspace, cards: Sequence[Card], columns: int, what: str) -> None:
    """Cards in rows of `columns`; `what` tells the keys of one grid from another's."""
    for start in range(0, len(cards), columns):
        for column, card in zip(st.columns(columns, gap="small"), cards[start : start + columns], strict=False):
            with column:
                _card(shown, card, what)


def _card(shown: Workspace, card: Card, what: str) -> None:
    segment, clock = card.segment, clock_text(card.segment.taken_at, shown.zone)
    why = why_text(segment, card.weights)
    key = f"{card.place.camera}_{segment.recording_id}_{segment.from_us}"
    with st.container(border=True, gap="xsmall"):
        show_picture(card.picture(), alt=f"{card.place.camera} at {clock}")
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap="small"):
            if card.play is None:
                st.markdown(f"**{clock}**", width="content")
            else:
                go, arguments = card.play
                st.button(
                    clock,
                    icon=":material/play_arrow:",
                    key=f"summaries_{what}_{key}",
                    help=f"Play it. It is in {why}",
                    type="primary" if card.chosen else "tertiary",
                    on_click=go,
                    args=arguments,
                )
            mine = Ticked(card.place, segment, card.label, card.versions)
            st.checkbox(
                "In the package",
                key=f"summaries_tick_{what}_{key}",
                value=mine.name in _ticks(),
                label_visibility="collapsed",
                help="Tick it for the package",
                on_change=_tick,
                args=(mine, f"summaries_tick_{what}_{key}"),
            )
        where = f"{plain_text(card.place.camera)} · " if card.camera else ""
        event = "" if segment.reason == SCORE else f":material/notifications: {plain_text(segment.reason)} · "
        st.markdown(
            f":small[:gray[{where}{event}score {segment.score:.2f}]]", help=f"In {why}" if card.play is None else None
        )
        st.html(bars_html(segment.columns, card.weights or None))


# What is ticked outlives its cards: other views, cameras and days add to the same package.


def _ticks() -> dict[Name, Ticked]:
    ticks: dict[Name, Ticked] = st.session_state.setdefault(TICKED, {})
    return ticks


def _tick(one: Ticked, key: str) -> None:
    if st.session_state[key]:
        _ticks()[one.name] = one
    else:
        _ticks().pop(one.name, None)


def ticked() -> list[Ticked]:
    """What is ticked, by place and time."""
    return sorted(_ticks().values(), key=lambda one: (one.place, one.segment.taken_at, one.segment.span))


def untick_all() -> None:
    """Tick nothing."""
    _ticks().clear()
    # The boxes are drawn anew, as what is ticked says.
    for key in [str(key) for key in st.session_state if str(key).startswith("summaries_tick_")]:
        del st.session_state[key]
