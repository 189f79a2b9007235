"""Runs: every run, how long it took, what it did and what failed."""

from typing import Any

import pandas as pd
import streamlit as st

from dashboards.app_pages.shared import LOOKS, NIGHT_PAGE, Workspace, empty_state, facts, status_badge, workspace
from dashboards.charts import run_bars
from dashboards.runs import night, rows_of_run, run_history, steps_of
from dashboards.snapshot import records
from dashboards.wording import age_text, count_text, duration_text, moment_text

CHART_RUNS, FEWEST_BARS = 40, 3


def main() -> None:
    shown = workspace()
    history = run_history(shown.lake)
    if history.empty:
        empty_state(
            ":material/history:",
            "No run yet",
            "Each run leaves a row per step and camera's day here.",
            shown.command("run"),
        )
        return
    if len(history) >= FEWEST_BARS:
        st.altair_chart(
            run_bars(history.head(CHART_RUNS), shown.zone), width="stretch", alt="Duration of the last runs"
        )
    _table(shown, history)
    runs = list(history["run_id"])
    asked = st.query_params.get("run")
    st.session_state["runs_chosen"] = asked if asked in runs else runs[0]
    began = dict(zip(history["run_id"], history["started_at"], strict=True))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        chosen = st.selectbox(
            "Run",
            runs,
            key="runs_chosen",
            format_func=lambda run: f"{moment_text(began[run], shown.zone)} · {run}",
            on_change=_remember,
            width=440,
        )
        run = history[history["run_id"] == chosen].iloc[0]
        status_badge(run["status"])
        if run["status"] != "open":
            st.page_link(NIGHT_PAGE, label="What it found", icon=":material/nightlight:", query_params={"run": chosen})
    _details(shown, run)


def _remember() -> None:
    st.query_params["run"] = st.session_state["runs_chosen"]


def _pick(runs: list[str]) -> None:
    rows = st.session_state["runs_table"]["selection"]["rows"]
    if rows:
        st.query_params["run"] = runs[rows[0]]


def _table(shown: Workspace, history: pd.DataFrame) -> None:
    table = pd.DataFrame(
        {
            "Began": [moment_text(moment, shown.zone) for moment in history["started_at"]],
            "Status": [LOOKS.get(status, ("", "", status))[2] for status in history["status"]],
            "Took": [duration_text(seconds) for seconds in history["seconds"]],
            "Cameras": history["cameras"],
            "Done": history["done"],
            "Already there": history["skipped"],
            "Partial": history["partial"],
            "Failed": history["failed"],
            "Decoded": [duration_text(seconds) for seconds in history["decoded_s"]],
            "Run": history["run_id"],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        height=min(36 * (len(table) + 1) + 2, 300),
        key="runs_table",
        on_select=lambda: _pick(list(history["run_id"])),
        selection_mode="single-row",
        alt="Runs, newest first",
    )


def _details(shown: Workspace, run: pd.Series) -> None:
    if run["status"] == "open":
        st.info(
            f"Nothing has closed this run: it is going on, or it was killed. "
            f"Its newest row is {age_text(run['finished_at'])}. "
            "A killed run is taken up by the next one; finished work is kept.",
            icon=":material/sync:",
        )
    facts(
        ("Took", duration_text(run["seconds"]), None),
        ("Decoded", duration_text(run["decoded_s"]), None),
        ("Done", f"{run['done']:,}", "Steps of camera's days that were computed"),
        ("Already there", f"{run['skipped']:,}", "Steps whose output existed"),
        ("Failed", f"{run['failed']:,}", None),
    )
    rows = rows_of_run(shown.lake, run["run_id"])
    _failures(shown, rows)
    closed = night(shown.lake, run["run_id"])
    if closed is not None and not closed.readable:
        st.warning(
            "The closing row of this run cannot be read; the steps below are what is known.",
            icon=":material/data_alert:",
        )
    left, right = st.columns([2, 3], gap="medium")
    with left:
        st.markdown("#### Steps")
        steps = steps_of(shown.lake, run["run_id"])
        told = [duration_text(value) for value in steps["seconds"]]
        decoded = [duration_text(value) if value else "–" for value in steps["decoded_s"]]
        st.dataframe(steps.assign(seconds=told, decoded_s=decoded), hide_index=True, column_config=_headings())
        st.caption("Work is summed over all workers; it may be longer than the run took.")
    with right:
        st.markdown(f"#### Camera’s days, {count_text(len(rows), 'step')}")
        columns = ["step", "campaign", "camera", "day", "scope", "status", "seconds", "rows", "message"]
        st.dataframe(
            rows[columns],
            hide_index=True,
            height=min(36 * (len(rows) + 1) + 2, 320),
            column_config=_headings() | {"seconds": _seconds()},
        )


def _headings() -> dict[str, Any]:
    return {"seconds": "work", "decoded_s": "decoded"}


def _seconds() -> Any:
    return st.column_config.NumberColumn("seconds", format="%.1f")


def _failures(shown: Workspace, rows: pd.DataFrame) -> None:
    failed = rows[rows["status"] == "failed"]
    if failed.empty:
        return
    with st.container(border=True):
        st.markdown(f"#### :red[:material/cancel:] {count_text(len(failed), 'failure')}")
        for row in records(failed.head(20)):
            where = " · ".join(part for part in (row.camera, row.campaign, str(row.day) if row.camera else "") if part)
            st.markdown(f"**{row.step}** {where}")
            st.code(row.message or "(no message)", language=None, wrap_lines=True)
        if len(failed) > 20:
            st.caption(f"… and {len(failed) - 20} more in the rows below")
        st.markdown(f"Put the cause right, then retry only what failed: `{shown.command('retry')}`")


main()
