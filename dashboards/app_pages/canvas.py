"""The canvas on which regions are drawn: a component of our own, served from this machine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from dashboards.drawing import Outline, drawn_outline
from workspace.regions import SaidRegion

FOLDER = Path(__file__).parents[1] / "components"
COLOURS = ("#56B4E9", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#0072B2")
"""Okabe and Ito's, for regions in the order they were first drawn in; orange is for what is being drawn."""

_canvas = st.components.v2.component(
    "afterwatch.canvas",
    html=(FOLDER / "canvas.html").read_text(encoding="utf-8"),
    css=(FOLDER / "canvas.css").read_text(encoding="utf-8"),
    js=(FOLDER / "canvas.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Shown:
    """What the canvas shows.

    Attributes:
        subject: what is drawn on; a corner clicked on one is not carried over to another.
        picture: data URL; None where there is none.
        alt: the picture in words.
        word: said in the picture's place.
        width, height: of the picture, in pixels.
        regions: name, outline and colour of each region that counts.
        ghost: name and outline of something older, drawn dashed.
        draft: what is being drawn.
        serial: number of the answer that `draft` is to; 0 before there was one.
        naming: name of what is being drawn.
    """

    subject: str
    picture: str | None
    alt: str
    word: str
    width: int
    height: int
    regions: Sequence[tuple[str, Outline, str]]
    ghost: tuple[str, Outline] | None
    draft: Outline | None
    serial: int
    naming: str


def canvas(shown: Shown, key: str, on_drawn: Callable[[Outline | None, int], None]) -> None:
    """Show the canvas.

    Args:
        shown: what on.
        key: of the component.
        on_drawn: called before the next run with what was drawn (None where it was cleared) and its serial number.
    """

    def drawn() -> None:
        told = st.session_state[key].get("drawn")
        if isinstance(told, dict):
            serial = told.get("serial")
            on_drawn(drawn_outline(told.get("outline")), serial if isinstance(serial, int) else 0)

    _canvas(key=key, data=_data(shown), on_drawn_change=drawn)


def colours_of(versions: Sequence[SaidRegion]) -> dict[str, str]:
    """Colour of each region, by name: the same whatever is drawn or removed later.

    Args:
        versions: every statement on the camera's regions, oldest first.
    """
    names = dict.fromkeys(one.name for one in versions)
    return {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}


def _data(shown: Shown) -> dict[str, Any]:
    return {
        "subject": shown.subject,
        "picture": shown.picture,
        "alt": shown.alt,
        "word": shown.word,
        "width": shown.width,
        "height": shown.height,
        "regions": [{"name": name, "outline": outline, "colour": colour} for name, outline, colour in shown.regions],
        "ghost": None if shown.ghost is None else {"name": shown.ghost[0], "outline": shown.ghost[1]},
        "draft": shown.draft,
        "serial": shown.serial,
        "naming": shown.naming,
    }
