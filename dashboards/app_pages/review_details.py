"""What stands under a review: the moments found, the labels, the audit, disputes, the head, and how good it all is."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pandas as pd
import streamlit as st

from dashboards.app_pages.review_head import show_head
from dashboards.app_pages.review_measures import show_agreement, show_measures
from dashboards.app_pages.review_parts import NO_AUTHOR, attempt, identity_of
from dashboards.app_pages.shared import Workspace, to_take_away
from dashboards.wording import clock_text, count_text, day_text, duration_text, moment_text, share_text
from infra.errors import AfterwatchError
from lake.keys import short_hash
from lake.labels import Label, take_back
from workspace.event_files import FORMATS, Format
from workspace.progress import AUDIT_SLICES, audit_of, draw_audit, progress_of
from workspace.queue import next_rows
from workspace.review_files import moments_file
from workspace.session import Ranking, Review

GoTo = Callable[[int], None]
LISTED = 200
TABS = "review_tab"
NAMES: dict[Format, str] = {"csv": "CSV", "json": "JSON", "otio": "Timeline"}


def show_details(shown: Workspace, review: Review, ranking: Ranking, who: str, go_to: GoTo) -> None:
    shows: dict[str, Callable[[], None]] = {
        "Moments": lambda: _moments(shown, review, ranking, go_to),
        "Labels": lambda: _labels(review, ranking, who, go_to),
        "Audit": lambda: _audit(review, ranking, who),
        "Disputed": lambda: _disputes(review, ranking, go_to),
        "Reviewers": lambda: show_agreement(review, go_to),
        "Measures": lambda: show_measures(review, progress_of(review, ranking)),
        "Head": lambda: show_head(shown, review, ranking, who),
    }
    # What nobody looks at is not computed again after every answer.
    for tab, show in zip(st.tabs(list(shows), key=TABS, on_change="rerun"), shows.values(), strict=True):
        if tab.open:
            with tab:
                show()


def _moments(shown: Workspace, review: Review, ranking: Ranking, go_to: GoTo) -> None:
    if ranking.threshold is None:
        st.caption("The moments are listed once something is labelled relevant and something is labelled not relevant.")
        return
    rows = review.moments(ranking)
    if not rows:
        st.caption("No moment is above the threshold.")
        return
    zone = shown.zone
    table = pd.DataFrame(
        [
            {
                "day": day_text(row.started_at.astimezone(zone).date()),
                "from": clock_text(row.started_at, zone),
                "to": clock_text(row.ended_at, zone),
                "lasts": duration_text((row.ended_at - row.started_at).total_seconds()),
                "peak": clock_text(row.peak_at, zone),
                "margin": round(row.score, 2),
                "probability": row.probability,
            }
            for row in rows
        ]
    )
    total = sum((row.ended_at - row.started_at).total_seconds() for row in rows)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(
            f"**{count_text(len(rows), 'moment')}**, {duration_text(total)} in all. Choose a row to go there.",
            width="content",
        )
        with st.container(horizontal=True, width="content", gap="small"):
            for form in FORMATS:
                st.download_button(
                    NAMES[form],
                    to_take_away(
                        review.workspace.guard, identity_of(review)[1:5], partial(moments_file, review, ranking, form)
                    ),
                    file_name=f"{review.use_case.name} {review.use_case.camera}.{form}",
                    key=f"review_export_{form}",
                    icon=":material/download:",
                    on_click="ignore",
                )
    probability = st.column_config.ProgressColumn("probability", min_value=0, max_value=1, format="percent")
    picked = st.dataframe(
        table,
        hide_index=True,
        key="review_moments",
        on_select="rerun",
        selection_mode="single-row",
        column_config={"probability": probability},
        height=min(420, 38 * (len(rows) + 1)),
    )
    _follow(picked, [row.row for row in rows], "review_moments_at", go_to)


def _follow(picked: object, rows: list[int], key: str, go_to: GoTo) -> None:
    """Go where a table's chosen row leads, once for each choice."""
    chosen = picked.selection["rows"]  # type: ignore[attr-defined]  # Streamlit's own type of the event is private
    at = chosen[0] if chosen else None
    if at != st.session_state.get(key):
        st.session_state[key] = at
        if at is not None and at < len(rows):
            go_to(rows[at])
            st.rerun()


def _labels(review: Review, ranking: Ranking, who: str, go_to: GoTo) -> None:
    labels = sorted(review.labels(), key=lambda label: label.said_at, reverse=True)
    if not labels:
        st.caption("Nothing is labelled yet.")
        return
    zone = review.workspace.settings.zone
    if ranking.marks.lost:
        st.warning(
            f"{count_text(len(ranking.marks.lost), 'label')} of this campaign without effect: no picture of that moment is "
            "embedded. Embed the recordings concerned, or take the labels back.",
            icon=":material/link_off:",
        )
    count, labels = len(labels), labels[:LISTED]
    rows = [review.row_of(label.span) if label.campaign == review.campaign else None for label in labels]
    table = pd.DataFrame(
        [
            {
                "answer": "relevant" if label.relevant else "not relevant",
                "moment": "–" if row is None else f"{day_text(label.day)}, {clock_text(review.moment(row), zone)}",
                "campaign": label.campaign,
                "author": label.author,
                "said": moment_text(label.said_at, zone),
            }
            for label, row in zip(labels, rows, strict=True)
        ]
    )
    listed = f", the newest {LISTED} listed" if count > LISTED else ""
    st.caption(
        f"{count_text(count, 'label')}{listed}. Every word stays in the ledger; the newest of a moment counts. "
        f"Import and export: `afterwatch labels --help`."
    )
    picked = st.dataframe(
        table,
        hide_index=True,
        key=f"review_labels_{_list_key(labels)}",
        on_select="rerun",
        selection_mode="multi-row",
        height=min(420, 38 * (len(table) + 1)),
    )
    chosen = [position for position in picked.selection["rows"] if position < len(labels)]
    with st.container(horizontal=True):
        row = rows[chosen[0]] if len(chosen) == 1 else None
        st.button("Go there", icon=":material/arrow_forward:", disabled=row is None, on_click=go_to, args=(row,))
        # The labels as they stand here, not their positions: by the next run somebody may have said more.
        st.button(
            "Take back",
            icon=":material/delete:",
            disabled=not chosen or not who,
            on_click=_take_back,
            args=(review, [labels[position] for position in chosen], who),
            help=None if who else NO_AUTHOR,
        )


def _list_key(labels: list[Label]) -> str:
    """Names a list of labels: positions chosen in one mean nothing in another."""
    return short_hash([[label.key, label.campaign, label.author, label.said_at.isoformat()] for label in labels])


def _take_back(review: Review, labels: list[Label], who: str) -> None:
    with attempt("Not taken back"):
        take_back(review.workspace.ledger, labels, who)


def _audit(review: Review, ranking: Ranking, who: str) -> None:
    audit = audit_of(review)
    if audit is None:
        st.markdown(
            "A head finds what is like your labels; what it misses you do not see. An audit shows you "
            f"{AUDIT_SLICES} slices of what was **not** flagged, drawn at random; your answers bound what was missed."
        )
    else:
        zone = review.workspace.settings.zone
        st.markdown(
            f"Drawn {moment_text(audit.said_at, zone)} from {audit.unflagged} slices that were not flagged: "
            f"**{audit.answered} of {audit.drawn}** answered, **{audit.relevant}** relevant."
        )
        if audit.answered:
            st.markdown(
                f"At 95 % confidence at most **{share_text(audit.share, 1)}** of what was not flagged is relevant: "
                f"at most **{count_text(audit.slices, 'slice')}**."
            )
        if audit.left:
            st.caption(
                "Choose *audit* above the queue to answer the rest. The bound holds for what was drawn; the more you answer, the tighter it is."
            )
    word = "Draw a sample" if audit is None else "Draw a new sample"
    if st.button(word, icon=":material/casino:", disabled=not who, help=None if who else NO_AUTHOR):
        try:
            draw_audit(review, ranking, who, seed=int(datetime.now(UTC).timestamp()))
        except AfterwatchError as error:
            st.error(str(error), icon=":material/error:")
        else:
            st.session_state["review_row"] = None
            st.rerun()


def _disputes(review: Review, ranking: Ranking, go_to: GoTo) -> None:
    rows = next_rows(review, "disputed", LISTED, ranking)
    if not rows or ranking.trained is None:
        st.caption(
            "No label is disputed: heads trained without a label agree with it. It takes labels from several minutes."
        )
        return
    margins = dict(zip(ranking.marks.rows.tolist(), ranking.trained.margins(review.campaign).tolist(), strict=True))
    said = dict(zip(ranking.marks.rows.tolist(), ranking.marks.relevant.tolist(), strict=True))
    zone = review.workspace.settings.zone
    st.caption("Heads trained without these labels say the opposite. A wrong click, or a case the head has not seen.")
    table = pd.DataFrame(
        [
            {
                "moment": f"{day_text(review.place(row).day)}, {clock_text(review.moment(row), zone)}",
                "labelled": "relevant" if said[row] else "not relevant",
                "margin without it": round(margins[row], 2),
            }
            for row in rows
        ]
    )
    picked = st.dataframe(table, hide_index=True, key="review_disputes", on_select="rerun", selection_mode="single-row")
    _follow(picked, rows, "review_disputes_at", go_to)
