"""How good a review is: two reviewers against each other, what is seen by when, and whether a head travels."""

import math
from collections.abc import Callable

import pandas as pd
import streamlit as st

from dashboards.app_pages.review_parts import identity_of, known_truths, review_settings
from dashboards.review_charts import budget_chart, recall_chart
from dashboards.wording import clock_text, count_text, day_text, plain_text, share_text
from infra.errors import AfterwatchError
from models.heads.retrieval import RetrievalSettings
from models.transfer import BudgetPoint
from workspace.measures import agreements, own_curve, recall_curve, travel
from workspace.progress import Progress
from workspace.session import Review

MOST_CONFLICTS = 20
"""Conflicts of two reviewers that are shown, each with a button; the rest are counted."""
TOO_FEW = (
    "There are too few labels of this campaign for a curve: it takes relevant and irrelevant ones from several minutes."
)


def show_agreement(review: Review, go_to: Callable[[int], None]) -> None:
    pairs = agreements(review)
    if not pairs:
        st.caption("Once two people have labelled this use case, it stands here how far they agree.")
        return
    zone = review.workspace.settings.zone
    for pair in pairs:
        kappa = "–" if math.isnan(pair.kappa) else f"{pair.kappa:.2f}"
        agree = "–" if math.isnan(pair.share) else share_text(pair.share, 1)
        st.markdown(
            f"**{plain_text(pair.first)}** and **{plain_text(pair.second)}**: {count_text(pair.moments, 'moment')} labelled by both, "
            f"agreement {agree}, Cohen's κ **{kappa}**."
        )
        for conflict in pair.conflicts[:MOST_CONFLICTS]:
            with st.container(horizontal=True, vertical_alignment="center"):
                moment = f"{day_text(review.place(conflict.row).day)}, {clock_text(review.moment(conflict.row), zone)}"
                st.button(
                    moment,
                    key=f"review_conflict_{pair.first}_{pair.second}_{conflict.row}",
                    icon=":material/arrow_forward:",
                    on_click=go_to,
                    args=(conflict.row,),
                )
                yes, no = plain_text(conflict.relevant_by), plain_text(conflict.irrelevant_by)
                st.caption(f"{yes} says relevant, {no} says not")
        left = len(pair.conflicts) - MOST_CONFLICTS
        if left > 0:
            st.caption(f"{left} more on which they differ; settle these first.")


def show_measures(review: Review, progress: Progress) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("#### Seen by when")
        _recall(review, progress)
    with right:
        st.markdown("#### How many labels")
        _own(review)
    st.markdown("#### Does it travel?")
    _travel(review)


def _recall(review: Review, progress: Progress) -> None:
    names = known_truths(review)
    if not names:
        st.caption(
            "Where the truth is known, this shows how much of it was seen after how many minutes of looking. "
            "Import it with `afterwatch labels import FILE --role truth`."
        )
        return
    default = review.use_case.name if review.use_case.name in names else names[0]
    name = st.selectbox("Known truth", names, index=names.index(default), key="review_recall_truth")
    curve = recall_curve(review, name)
    st.altair_chart(recall_chart(curve.minutes, curve.recall, progress.recorded_s / 60), width="stretch")
    seen = curve.recall[-1]
    if not math.isnan(seen):
        minutes = curve.minutes[-1]
        st.caption(
            f"{share_text(seen, 1)} of the true moments seen in {minutes:.1f} of {progress.recorded_s / 60:.1f} minutes. "
            "Dashed: watching everything from the beginning to the end."
        )


def _own(review: Review) -> None:
    said = tuple(review.workspace.store.names("labels"))
    _curve(*_own_curve(review, identity_of(review), said, review_settings()))


@st.cache_data(max_entries=16, show_spinner="Counting labels…", hash_funcs={RetrievalSettings: repr})
def _own_curve(
    _review: Review,
    identity: tuple[str, ...],  # noqa: ARG001 — with `said`, the cache's key
    said: tuple[str, ...],  # noqa: ARG001 — files of the ledger: they never change
    settings: RetrievalSettings,
) -> tuple[list[BudgetPoint], int | None, str]:
    return own_curve(_review, settings)


def _curve(curve: list[BudgetPoint], needed: int | None, remark: str) -> None:
    if not curve:
        st.caption(remark or TOO_FEW)
        return
    told = pd.DataFrame(
        {
            "labels": [point.budget for point in curve],
            "mean": [point.average_precision for point in curve],
            "low": [max(0.0, point.average_precision - point.average_precision_sd) for point in curve],
            "high": [min(1.0, point.average_precision + point.average_precision_sd) for point in curve],
        }
    )
    st.altair_chart(budget_chart(told, needed), width="stretch")
    if needed is None:
        st.caption("The curve still rises: more labels would help.")
    else:
        st.caption(f"From {count_text(needed, 'label')} on, more do not help by more than 0.02.")


def _travel(review: Review) -> None:
    st.caption(
        "Holds the head that other campaigns' labels train against this campaign: does it look like what they saw, and how "
        "many labels of this campaign would bring it back?"
    )
    if not st.button("Compare with the other campaigns", icon=":material/compare_arrows:", key="review_travel"):
        return
    try:
        with st.spinner("Comparing…"):
            told = travel(review, review_settings())
    except AfterwatchError as error:
        st.info(str(error), icon=":material/info:")
        return
    far = told.drift
    st.markdown(
        f"Trained on **{', '.join(plain_text(name) for name in told.trained_on)}**. **{share_text(far.far_share, 1)}** of this campaign looks like nothing "
        f"in them ({share_text(far.expected_share, 1)} would be usual); its margins differ by {far.statistic:.2f} "
        f"(Kolmogorov–Smirnov, p = {far.p_value:.3f} by blocks)."
    )
    if told.checked:
        st.markdown(f"Of {count_text(told.checked, 'label')} here it gets **{share_text(told.right, 1)}** right.")
    _curve(list(told.curve), told.needed, told.remark)
