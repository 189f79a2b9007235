"""Selectors whose choice lives in the address, so that a link opens the same view."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta

import streamlit as st

from dashboards.wording import day_text

FIELD_WIDTH = 180
ALL_CAMERAS, ALL_NIGHTS, LAST_WEEK = "All cameras", "All nights", "Last 7 nights"


def chosen(
    page: str,
    label: str,
    options: Sequence[str],
    name: str,
    *,
    told: Mapping[str, str] | None = None,
    forget: Collection[str] = ("event",),
    hint: str | None = None,
    width: int = FIELD_WIDTH,
) -> str:
    """A field to choose one of `options` with; the address keeps it as `name`.

    Args:
        page: the page; keys of its widgets begin with it.
        label: what stands above the field.
        options: what can be chosen; the first is chosen where the address says nothing.
        name: parameter of the address.
        told: what options are called; those that are absent are called what they are.
        forget: parameters that another choice takes out of the address.
        hint: help beside the label.
        width: of the field, in pixels.
    """
    asked = st.query_params.get(name)
    key = f"{page}_{name}"
    st.session_state[key] = asked if asked in options else options[0]
    words = told or {}
    answer = st.selectbox(
        label,
        options,
        key=key,
        format_func=lambda option: words.get(option, option),
        on_change=_remember,
        args=(page, name, forget),
        help=hint,
        width=width,
    )
    return str(answer)


def _remember(page: str, name: str, forget: Collection[str]) -> None:
    st.query_params[name] = str(st.session_state[f"{page}_{name}"])
    for other in forget:
        st.query_params.pop(other, None)


def chosen_view(page: str, views: Sequence[str]) -> str:
    """Which of a page's views is shown; the first where the address says nothing."""
    asked = st.query_params.get("view", "")
    default = next((view for view in views if view.lower() == asked), views[0])
    key = f"{page}_view"
    st.session_state[key] = default
    answer = st.segmented_control(
        "View",
        views,
        key=key,
        on_change=_remember_view,
        args=(key, views[0]),
        required=True,
        label_visibility="collapsed",
    )
    return str(answer or default)


def _remember_view(key: str, first: str) -> None:
    st.query_params["view"] = str(st.session_state[key] or first).lower()


def chosen_nights(page: str, found: Collection[date]) -> set[date]:
    """Which of the nights in which something was found are shown."""
    days = sorted(set(found), reverse=True)
    told = {day.isoformat(): day_text(day) for day in days}
    answer = chosen(page, "Nights", [ALL_NIGHTS, *([LAST_WEEK] if len(days) > 7 else []), *told], "nights", told=told)
    if answer == LAST_WEEK:
        return {day for day in days if day > days[0] - timedelta(days=7)}
    return set(days) if answer == ALL_NIGHTS else {date.fromisoformat(answer)}
