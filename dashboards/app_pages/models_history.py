"""Who put which version of a model into service, when and why, and who signed what it would change."""

import pandas as pd
import streamlit as st

from dashboards.app_pages.shared import Workspace
from dashboards.wording import moment_text
from lake.promotions import Promotion
from workspace.serving import NamedModel

DIGITS = 12
"""Of a version, as the selector has it."""


def show_history(shown: Workspace, model: NamedModel) -> None:
    """Every word on which version serves, the newest first; nothing where none was said."""
    if not model.words:
        return
    rows = [
        {
            "when": moment_text(word.said_at, shown.zone),
            "who": word.author,
            "what": word.action,
            "from": (word.before or "–")[:DIGITS],
            "to": (word.after or "–")[:DIGITS],
            "why": why_text(word),
            "signed by": word.review.signed_by or "–",
        }
        for word in reversed(model.words)
    ]
    with st.expander(f"History ({len(rows)})", icon=":material/manage_history:"):
        st.dataframe(
            pd.DataFrame(rows),
            width="stretch",
            height=min(320, 40 + 35 * len(rows)),
            hide_index=True,
            column_config={"why": st.column_config.TextColumn(width="large")},
        )


def why_text(word: Promotion) -> str:
    """Why, in a few words: what somebody wrote, the report that was signed, or that there was nothing to compare with."""
    if word.review.unreviewed:
        return f"unreviewed: {word.review.unreviewed}"
    if word.review.report:
        return f"flip report {word.review.report}"
    return word.reason
