"""Weight sets: saved under a name in versions, put into use for the nights, taken back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import pandas as pd
import streamlit as st

from dashboards.app_pages.review_parts import NO_AUTHOR, attempt
from dashboards.app_pages.shared import Workspace, may
from dashboards.app_pages.summaries_job import publish_now
from dashboards.wording import count_text, moment_text, plain_text
from lake.keys import Place
from lake.weight_sets import COLUMNS, SETTINGS, WeightSet, save_weight_set, use_weight_set
from models.summary.scores import Weights
from workspace.opened import Workspace as Opened
from workspace.weight_sets import NamedWeights

NAME_WIDTH = 180


def told_set(shown: Workspace, label: str, saved: WeightSet | None, *, in_use: bool) -> str:
    """A set in the words of the selector."""
    state = ", in use" if in_use else ""
    if saved is None:
        return f"{label}: [summary.weights]{state}"
    return f"{label} · {saved.author}, {moment_text(saved.said_at, shown.zone)}{state}"


def show_sets(
    shown: Workspace,
    work: Opened,
    places: Sequence[Place],
    base: NamedWeights,
    tried: Weights,
    in_use: NamedWeights,
    sets: Mapping[str, WeightSet],
    who: str,
) -> None:
    """Save what is tried, put a saved set into use, publish the day by what is in use.

    Args:
        shown, work: the workspace.
        places: the camera days that are looked at.
        base: what the sliders started from.
        tried: where they are.
        in_use: what the nights go by.
        sets: all that are saved, by label, the newest version of a name first.
        who: the author; empty where nobody said.
    """
    moved = tried != base.weights
    # No callbacks: what they show would replace the top of the page, of which this is a fragment.
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.text_input(
            "Save as",
            "" if base.label == SETTINGS else base.label.split("/")[0],
            key=f"summaries_name_{base.label}",
            placeholder="e.g. busy",
            max_chars=60,
            width=NAME_WIDTH,
            help="Of a name that is there already, the next version",
        ).strip()
        save = st.button(
            "Save",
            icon=":material/save:",
            key="summaries_save",
            type="primary",
            disabled=not who or not name,
            help=NO_AUTHOR if not who else "Name it first" if not name else "Keeps these weights with your name",
        )
        use = st.button(
            "Use for the nights",
            icon=":material/publish:",
            key="summaries_use",
            disabled=not who or moved or base.label == in_use.label,
            help=_use_hint(base, in_use, who, moved=moved),
        )
        back = st.button(
            "Back to the settings",
            icon=":material/settings_backup_restore:",
            key="summaries_back",
            disabled=not who or in_use.label == SETTINGS,
            help=NO_AUTHOR if not who else "The nights go by [summary.weights] again",
        )
        again = st.button(
            "Publish now",
            icon=":material/play_arrow:",
            key="summaries_publish",
            help=f"Makes {'this day' if len(places) == 1 else 'the day of all cameras'} anew by the weights in use "
            f"({in_use.label}), in the background: nothing is embedded or measured again. You can leave this page",
            disabled=not may("start runs"),
        )
    st.caption(
        f"In use: **{plain_text(in_use.label)}**. The next run chooses every summary by it; *Publish now* does it for "
        f"{'this day' if len(places) == 1 else 'this day of all cameras'}. Moving a slider changes nothing by itself."
    )
    if save:
        with attempt("Not saved"):
            saved = save_weight_set(work.ledger, name, **asdict(tried), author=who)
            st.query_params["weights"] = saved.label
            st.toast(f"Saved as {saved.label}", icon=":material/save:")
    if use or back:
        with attempt("Not put into use"):
            use_weight_set(work.ledger, None if back else base.label, who)
            st.toast(f"{SETTINGS if back else base.label} is in use", icon=":material/publish:")
    if again:
        with attempt("Not started"):
            publish_now(shown, places)
    if save or use or back or again:
        st.rerun()
    _versions(shown, sets, in_use)


def _use_hint(base: NamedWeights, in_use: NamedWeights, who: str, *, moved: bool) -> str:
    if not who:
        return NO_AUTHOR
    if moved:
        return "Save what you moved first, or choose a saved set above"
    if base.label == in_use.label:
        return f"{base.label} is in use already"
    return f"From the next run on, summaries are chosen by {base.label} instead of {in_use.label}"


def _versions(shown: Workspace, sets: Mapping[str, WeightSet], in_use: NamedWeights) -> None:
    if not sets:
        return
    with st.expander(f"Saved: {count_text(len(sets), 'version')} of weight sets", icon=":material/history:"):
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "set": label,
                        "state": "in use" if label == in_use.label else "",
                        **{column: one.weights[column] for column in COLUMNS},
                        "by": one.author,
                        "saved": moment_text(one.said_at, shown.zone),
                    }
                    for label, one in sets.items()
                ]
            ),
            hide_index=True,
            width="stretch",
            height=min(320, 40 + 35 * len(sets)),
        )
