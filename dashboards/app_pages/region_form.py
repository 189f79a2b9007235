"""The form beside the canvas: what is being drawn, its place in numbers, its name; saving it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from dashboards.drawing import Bounds, Outline, fitted, shape_text
from dashboards.wording import plain_text
from infra.errors import AfterwatchError, ConfigurationError
from workspace.opened import Workspace as Opened
from workspace.regions import SaidRegion, check_name, say_region

FIELDS = {"left": "Left", "top": "Top", "width": "Width", "height": "Height"}
_DRAFT, _NAME, _PROBLEM, _OUTSIDE = "regions_draft", "regions_name", "regions_problem", "regions_outside"
NOTICE = "regions_notice"


@dataclass(frozen=True)
class Draft:
    """What is being drawn; it belongs to one camera.

    Attributes:
        camera: whose.
        outline: in fractions of the picture; None while nothing is drawn.
        serial: number of the canvas's answer that it was last told.
        name: as typed so far.
    """

    camera: str
    outline: Outline | None = None
    serial: int = 0
    name: str = ""


def draft_of(camera: str) -> Draft:
    """The draft of a camera; one of another camera is forgotten."""
    kept = st.session_state.get(_DRAFT)
    if not isinstance(kept, Draft) or kept.camera != camera:
        kept = Draft(camera, serial=kept.serial if isinstance(kept, Draft) else 0)
        _put(kept)
        for name in (_PROBLEM, NOTICE):
            st.session_state.pop(name, None)
    # A page that is left forgets its fields; the draft outlives them. What is there is left alone: a field that is
    # set again takes away what somebody is typing.
    if _NAME not in st.session_state:
        st.session_state[_NAME] = kept.name
    if _field("left") not in st.session_state:
        _fill_fields(kept.outline)
    return kept


def take_drawn(outline: Outline | None, serial: int) -> None:
    """What the canvas tells becomes the draft."""
    kept = st.session_state[_DRAFT]
    _keep(Draft(kept.camera, outline, serial, kept.name))
    _fill_fields(outline)


def take_up(said: SaidRegion) -> None:
    """A region that exists is drawn anew: its outline becomes the draft."""
    if said.region is not None:
        kept = st.session_state[_DRAFT]
        _put(Draft(said.camera, said.region.outline, kept.serial, said.name))


def form(
    work: Opened,
    camera: str,
    said: Sequence[SaidRegion],
    versions: Sequence[SaidRegion],
    draft: Draft,
    who: str,
    drawn_on: datetime | None,
) -> None:
    """Fields and buttons for what is being drawn."""
    # What is said has its place also while there is nothing to say: a field that moves loses what is typed into it.
    with st.container():
        _tell()
    with st.container(border=True):
        current = {one.name: one for one in said}
        st.markdown(f"### Redraw {plain_text(draft.name)}" if draft.name in current else "### New region")
        st.text_input("Name", key=_NAME, max_chars=64, placeholder="hatch", on_change=_typed_name)
        _say_problem(_name_problem(draft.name))
        columns = st.columns(4, gap="small")
        for column, (name, label) in zip(columns, FIELDS.items(), strict=True):
            column.number_input(
                f"{label} %",
                value=None,
                min_value=0.0,
                max_value=100.0,
                step=0.5,
                format="%.1f",
                key=_field(name),
                on_change=_typed_place,
            )
        _say_problem(st.session_state.get(_OUTSIDE, ""))
        st.caption(_advice(draft, current, versions))
        with st.container(horizontal=True, gap="small"):
            st.button("Save", type="primary", key="regions_save", on_click=_save, args=(work, camera, who, drawn_on))
            if draft.outline is not None or draft.name:
                st.button("Discard", type="tertiary", key="regions_discard", on_click=forget_draft)


def forget_draft() -> None:
    """Nothing is being drawn any more."""
    kept = st.session_state[_DRAFT]
    _put(Draft(kept.camera, None, kept.serial))


def problem_of(action: str, error: AfterwatchError) -> None:
    """Say at the next run what could not be done."""
    st.session_state[_PROBLEM] = f"{action}: {error}"


def _say_problem(problem: str) -> None:
    with st.container():
        if problem:
            st.error(problem, icon=":material/error:")


def _tell() -> None:
    """What the last action came to; said once."""
    problem, notice = st.session_state.pop(_PROBLEM, None), st.session_state.pop(NOTICE, None)
    if problem:
        st.error(problem, icon=":material/error:")
    if notice:
        st.success(notice, icon=":material/check_circle:")


def _advice(draft: Draft, current: dict[str, SaidRegion], versions: Sequence[SaidRegion]) -> str:
    if draft.outline is None:
        return "Draw on the picture, or give a box in numbers."
    shape = f"A {shape_text(draft.outline)}."
    if draft.name not in current:
        return shape
    number = 1 + sum(one.name == draft.name and one.region is not None for one in versions)
    return f"{shape} Saving makes it version {number} of {plain_text(draft.name)}; earlier ones are kept."


def _name_problem(name: str) -> str:
    try:
        if name:
            check_name(name)
    except ConfigurationError as error:
        return str(error)
    return ""


# What a person does.


def _typed_name() -> None:
    kept = st.session_state[_DRAFT]
    _keep(Draft(kept.camera, kept.outline, kept.serial, str(st.session_state[_NAME]).strip()))


def _typed_place() -> None:
    """Numbers move and stretch what is drawn; where nothing is yet, they make a box."""
    told = [st.session_state[_field(name)] for name in FIELDS]
    st.session_state.pop(_OUTSIDE, None)
    if any(value is None for value in told):
        return
    kept = st.session_state[_DRAFT]
    try:
        _keep(Draft(kept.camera, fitted(kept.outline, Bounds(*told)), kept.serial, kept.name))
    except ConfigurationError as error:
        st.session_state[_OUTSIDE] = str(error)


def _save(work: Opened, camera: str, who: str, drawn_on: datetime | None) -> None:
    draft = st.session_state[_DRAFT]
    try:
        if _OUTSIDE in st.session_state:
            raise ConfigurationError(st.session_state[_OUTSIDE])
        if not draft.name:
            raise ConfigurationError("the region has no name; type one, such as hatch")
        check_name(draft.name)
        if draft.outline is None:
            raise ConfigurationError("nothing is drawn; drag a box over the picture, or give a box in numbers")
        said = say_region(work.ledger, camera, draft.name, draft.outline, who, drawn_on)
    except AfterwatchError as error:
        problem_of("Not saved", error)
        return
    forget_draft()
    st.session_state[NOTICE] = f"**{plain_text(said.name)}** is saved. The next night embeds it, or you do now, below."


def _put(draft: Draft) -> None:
    """Another draft takes the place of the one before, in the fields too."""
    _keep(draft)
    st.session_state[_NAME] = draft.name
    _fill_fields(draft.outline)


def _fill_fields(outline: Outline | None) -> None:
    """The numbers are those of the outline; without one there are none."""
    st.session_state.pop(_OUTSIDE, None)
    bounds = None if outline is None else Bounds.of(outline)
    for name in FIELDS:
        st.session_state[_field(name)] = None if bounds is None else getattr(bounds, name)


def _keep(draft: Draft) -> None:
    st.session_state[_DRAFT] = draft


def _field(name: str) -> str:
    return f"regions_{name}"
