"""A candidate of a refit beside the version in service: how both do on what neither has seen, and how footage has drifted."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.app_pages.shared import opened, workspace
from dashboards.model_queries import Model
from dashboards.wording import count_text, plain_text
from workspace.autoencoder_readers import promotion_words
from workspace.comparisons import chosen_words, threshold_words, verdict
from workspace.serving import AUTOENCODER

SHOWN = {"auc": "AUC", "average_precision": "average precision", "mean_error": "mean error"}
"""Metrics whose names are no plain words."""
NUMBER, SIGNED = st.column_config.NumberColumn(format="%.3f"), st.column_config.NumberColumn(format="%+.3f")
DIGITS = 12
"""Of a version, as a heading of the table."""
THIS = "this version"
HINT = (
    "Both were measured on recordings that neither was trained on. The interval is of the difference: whole recordings are drawn "
    "again and again, and 95 % of the differences lie in it. Where it holds 0, more footage may say otherwise."
)
NAMED = 5


def show_comparison(model: Model, *, served: str | None) -> None:
    """Show what a refit measured of a version, and of an autoencoder what its promotion would do; otherwise nothing.

    Args:
        model: the version that is looked at.
        served: the version in service now.
    """
    if model.kind == AUTOENCODER and not model.serving:
        st.warning(
            plain_text(f"Put into service: {promotion_words(opened(workspace()), model.name)}"),
            icon=":material/publish:",
        )
    told = model.card.get("comparison")
    if not isinstance(told, Mapping):
        return
    against = str(told.get("against", ""))
    with st.container(border=True):
        st.markdown(f"#### Beside {plain_text(against)} :small[:gray[which it was trained to replace]]", help=HINT)
        metrics = told.get("metrics") or []
        if metrics:
            st.dataframe(
                pd.DataFrame([_row(one, told) for one in metrics]),
                width="stretch",
                hide_index=True,
                column_config={against[:DIGITS]: NUMBER, THIS: NUMBER, "difference": SIGNED},
            )
            st.caption(_held_text(told.get("held_out") or {}))
            if threshold_words(told):
                st.caption(plain_text(f"{threshold_words(told)}."))
        if chosen_words(told):
            st.warning(plain_text(f"{chosen_words(told)}."), icon=":material/balance:")
        if told.get("remark"):
            st.info(plain_text(str(told["remark"])), icon=":material/info:")
        drift = model.card.get("drift")
        if isinstance(drift, Mapping) and drift.get("words"):
            st.markdown(
                f":material/trending_up: Since {plain_text(against)} was fitted, {plain_text(str(drift['words']))}."
            )
        if served != against and not model.serving:
            now = f"{plain_text(served)} is in service now" if served else "No version is in service now"
            st.caption(f"{now}, not the one that this one was held against.")


def _row(metric: Mapping[str, Any], comparison: Mapping[str, Any]) -> dict[str, Any]:
    """A metric as the table has it."""
    return {
        "metric": _words(str(metric.get("name", ""))),
        # By its version: what was in service then may be retired by now, and this one in service.
        str(comparison.get("against", ""))[:DIGITS]: metric.get("current"),
        THIS: metric.get("candidate"),
        "difference": metric.get("difference"),
        "95 % of the difference": _interval(metric),
        "": verdict(metric, comparison),
    }


def _interval(metric: Mapping[str, Any]) -> str:
    low, high = metric.get("low"), metric.get("high")
    return "–" if low is None or high is None else f"{low:+.3f} … {high:+.3f}"


def _held_text(held: Mapping[str, Any]) -> str:
    names = [str(name) for name in held.get("recordings") or ()]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return plain_text(
        f"{count_text(int(held.get('samples') or 0), 'sample')}, {int(held.get('positives') or 0)} of them what it looks for, of "
        f"{count_text(len(names), 'recording')}: {', '.join(names[:NAMED])}{more}"
    )


def _words(name: str) -> str:
    of, _, last = name.rpartition(" ")
    return f"{of} {SHOWN.get(last, last)}".strip()
