"""A candidate of a refit beside the version in service: how both do on what neither has seen, and how footage has drifted."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.model_queries import Model
from dashboards.wording import count_text, plain_text

SHOWN = {"auc": "AUC", "average_precision": "average precision", "mean_error": "mean error"}
"""Metrics whose names are no plain words."""
NUMBER, SIGNED = st.column_config.NumberColumn(format="%.3f"), st.column_config.NumberColumn(format="%+.3f")
COLUMNS = {"in service": NUMBER, "candidate": NUMBER, "difference": SIGNED}
HINT = (
    "Both were measured on recordings that neither was trained on. The interval is of the difference: whole recordings are drawn "
    "again and again, and 95 % of the differences lie in it. Where it holds 0, more footage may say otherwise."
)
NAMED = 5


def show_comparison(model: Model, *, served: str | None) -> None:
    """Show what a refit measured of a version; nothing where it was not made by one.

    Args:
        model: the version that is looked at.
        served: the version in service now.
    """
    told = model.card.get("comparison")
    if not isinstance(told, Mapping):
        return
    against = str(told.get("against", ""))
    with st.container(border=True):
        st.markdown(f"#### Beside {plain_text(against)} :small[:gray[which it was trained to replace]]", help=HINT)
        metrics = told.get("metrics") or []
        if metrics:
            st.dataframe(
                pd.DataFrame([_row(one) for one in metrics]),
                width="stretch",
                hide_index=True,
                column_config=COLUMNS,
            )
            st.caption(_held_text(told.get("held_out") or {}))
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


def _row(metric: Mapping[str, Any]) -> dict[str, Any]:
    """A metric as the table has it."""
    current, candidate, better = metric.get("current"), metric.get("candidate"), metric.get("better")
    return {
        "metric": _words(str(metric.get("name", ""))),
        "in service": current,
        "candidate": candidate,
        "difference": metric.get("difference"),
        "95 % of the difference": _interval(metric),
        "": _verdict(metric, str(better)),
    }


def _interval(metric: Mapping[str, Any]) -> str:
    low, high = metric.get("low"), metric.get("high")
    return "–" if low is None or high is None else f"{low:+.3f} … {high:+.3f}"


def _verdict(metric: Mapping[str, Any], better: str) -> str:
    """What the interval says: better, worse, or that it cannot be told."""
    low, high = metric.get("low"), metric.get("high")
    if low is None or high is None:
        return "too few recordings to tell"
    if low <= 0 <= high:
        return "no clear difference"
    return "better" if (low > 0) == (better == "higher") else "worse"


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
