"""Putting a version into service, taking it out and rolling back: the buttons, and what a promotion asks for."""

from collections.abc import Callable

import streamlit as st

from dashboards.app_pages.review_parts import NO_AUTHOR, attempt
from dashboards.app_pages.shared import may
from dashboards.wording import plain_text
from infra.access import Action
from infra.errors import LakeError
from workspace.opened import Workspace as Opened
from workspace.serving import (
    AUTOENCODER,
    NamedModel,
    model_named,
    put_into_service,
    review_asked_for,
    review_of,
    roll_back,
    take_out_of_service,
)

PROMOTE: Action = "put models into service"
Then = Callable[[str], None]


def serve_controls(work: Opened, model: NamedModel, version: str, who: str, *, key: str, then: Then) -> None:
    """The button that puts a version into service; beside it, where nobody signed its flip report, a place for the reason.

    Args:
        work: whose.
        model: of which name.
        version: to put into service.
        who: says so; empty where nobody is named.
        key: begins the keys of the widgets.
        then: told the version that serves, when it does.
    """
    review = review_of(work, model, version)
    serves = version == model.serving
    st.button(
        "Put into service",
        icon=":material/publish:",
        key=f"{key}_serve",
        on_click=_serve,
        args=(work, model, version, who, then),
        disabled=not _may(who) or serves or review is None,
        help=_serve_hint(
            model, version, who, signed_by="" if review is None else review.signed_by, asked=review is None
        ),
    )
    if review is None:
        with st.popover(
            "Without a flip report", icon=":material/assignment_late:", help="Its history keeps the reason"
        ):
            st.markdown(
                f"Nobody has signed a flip report between {plain_text(str(review_asked_for(model, version)))} and "
                f"{plain_text(version)}. Why is it to serve all the same?"
            )
            reason = st.text_input("Reason", key=f"{key}_reason", max_chars=300)
            st.button(
                "Put into service unreviewed",
                key=f"{key}_unreviewed",
                on_click=_serve,
                args=(work, model, version, who, then, reason),
                disabled=not _may(who) or not reason.strip(),
                help=_why_not() if not _may(who) else None if reason.strip() else "Say why first",
            )


def leave_controls(work: Opened, model: NamedModel, who: str, *, key: str, then: Then) -> None:
    """The buttons that take what serves out of service, and that put back what served before it."""
    if model.kind != AUTOENCODER:  # the settings say whether one is used
        st.button(
            "Retire",
            icon=":material/archive:",
            key=f"{key}_retire",
            on_click=_retire,
            args=(work, model, who, then),
            disabled=not _may(who) or model.serving is None,
            help=_why_not()
            if not _may(who)
            else f"Takes {model.serving} out of service"
            if model.serving
            else "No version is in service",
        )
    if model.before is not None:
        st.button(
            f"Roll back to {plain_text(model.before[:12])}",
            icon=":material/undo:",
            key=f"{key}_roll_back",
            on_click=_roll_back,
            args=(work, model, who, then),
            disabled=not _may(who),
            help=_why_not() if not _may(who) else "The version that served before; it needs no flip report",
        )


def _may(who: str) -> bool:
    return bool(who) and may(PROMOTE)


def _why_not() -> str:
    return NO_AUTHOR if may(PROMOTE) else "Your role does not put models into service; an engineer’s does"


def _serve_hint(model: NamedModel, version: str, who: str, *, signed_by: str, asked: bool) -> str:
    if not _may(who):
        return _why_not()
    if version == model.serving:
        return "It serves already"
    if asked:
        return f"It takes the place of {model.last}: sign a flip report between the two first, or say why there is none"
    if signed_by:
        return f"{signed_by} has signed its flip report"
    return "The first of its name to serve" if model.last is None else "It served last, and is put back"


def _serve(work: Opened, model: NamedModel, version: str, who: str, then: Then, unreviewed: str = "") -> None:
    with attempt("Not put into service"):
        put_into_service(work, _now(work, model), version, who, unreviewed=unreviewed)
        st.toast(f"{model.name} {version} is in service", icon=":material/publish:")
        then(version)


def _retire(work: Opened, model: NamedModel, who: str, then: Then) -> None:
    with attempt("Not retired"):
        now = _now(work, model)
        take_out_of_service(work, now, who)
        st.toast(f"{model.name} is out of service", icon=":material/archive:")
        then(now.serving or "")


def _roll_back(work: Opened, model: NamedModel, who: str, then: Then) -> None:
    with attempt("Not rolled back"):
        now = _now(work, model)
        if now.before != model.before:
            raise LakeError(
                f"meanwhile somebody else said what serves of {model.name}, and {now.before or 'nothing'} is what served before; "
                "look again"
            )
        version = roll_back(work, now, who)
        st.toast(f"{model.name} is back at {version}", icon=":material/undo:")
        then(version)


def _now(work: Opened, model: NamedModel) -> NamedModel:
    """As it is when a button is pressed, which may be long after it was shown."""
    return model_named(work, model.name, model.kind)
