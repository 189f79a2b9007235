"""What stands under a camera's day: its contact sheet, the recordings, and what went wrong."""

from typing import Any

import pandas as pd
import streamlit as st

from dashboards.app_pages.shared import Workspace
from dashboards.media import Published
from dashboards.queries import gaps, health_spans, recordings
from dashboards.snapshot import records
from dashboards.wording import clock_text, duration_text
from lake.keys import Place


def show_details(shown: Workspace, place: Place, published: Published | None, covered: pd.DataFrame) -> None:
    sheet, files, unwell, versions = st.tabs(["Contact sheet", "Recordings", "Health and gaps", "Versions"])
    with sheet:
        picture = published.picture(published.contact) if published is not None else None
        if picture is None:
            st.caption("The contact sheet comes with the published day.")
        else:
            st.image(picture, width="stretch", alt="Contact sheet of the day")
    with files:
        _recordings(shown, place)
    with unwell:
        _unwell(shown, place, covered)
    with versions:
        if published is None or not published.versions:
            st.caption("The versions that made the day come with the published day.")
        else:
            st.json(dict(published.versions), expanded=2)


def _recordings(shown: Workspace, place: Place) -> None:
    found = recordings(shown.lake, place)
    table = pd.DataFrame(
        {
            "begins": [_clock_or_dash(shown, moment) for moment in found["started_at"]],
            "lasts": [duration_text(value) if pd.notna(value) else "–" for value in found["duration_s"]],
            "status": found["status"],
            "why": found["reason"],
            "picture": [f"{row.width}×{row.height}" if pd.notna(row.width) else "–" for row in records(found)],
            "codec": found["codec"],
            "rate (Hz)": found["rate_hz"].round(2),
            "MB": (found["bytes"] / 1e6).round(1),
            "recording": found["path"],
        }
    )
    st.dataframe(table, hide_index=True)


def _unwell(shown: Workspace, place: Place, covered: pd.DataFrame) -> None:
    unwell = health_spans(shown.lake, [place])
    missed = gaps(shown.lake, shown.site.settings.footage.gap_s, place)
    wrong = covered[covered["state"].isin(["corrupt", "missing"])]
    rows = [(row.started_at, row.ended_at, row.kind, f"measure {row.value:.3g}") for row in records(unwell)]
    rows += [(row.started_at, row.ended_at, "gap", "no recording") for row in records(missed)]
    rows += [(row.started_at, row.ended_at, row.state, row.reason) for row in records(wrong)]
    if not rows:
        st.caption("The camera was well, and every second was recorded and read.")
        return
    table = pd.DataFrame(
        [
            {
                "from": clock_text(start, shown.zone),
                "to": clock_text(end, shown.zone),
                "lasts": duration_text((end - start).total_seconds()),
                "what": what,
                "why": reason,
            }
            for start, end, what, reason in sorted(rows, key=lambda row: row[0])
        ]
    )
    st.dataframe(table, hide_index=True)


def _clock_or_dash(shown: Workspace, moment: Any) -> str:
    return "–" if pd.isna(moment) else clock_text(moment, shown.zone)
