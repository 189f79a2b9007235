"""Review: mark a few moments, see all that are like them; after every label everything is ranked again."""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import streamlit as st

from dashboards.app_pages.moment_media import moment_clip, moment_pictures
from dashboards.app_pages.review_details import show_details
from dashboards.app_pages.review_parts import (
    NO_AUTHOR,
    attempt,
    chosen_review,
    identity_of,
    review_settings,
    tell_problem,
)
from dashboards.app_pages.review_timeline import show_timeline
from dashboards.app_pages.shared import empty_state, facts, workspace
from dashboards.queries import camera_days
from dashboards.wording import clock_text, day_text, duration_text, moment_text, share_text
from lake.labels import Span
from workspace.progress import Progress, audit_of, progress_of
from workspace.queue import ORDERS, Order, next_rows
from workspace.session import Ranking, Review

QUEUE = 12
STRIP = 7
STRIP_WIDTH = 240
AROUND_US = 4_000_000  # half the length of the player's clip, and of what the strip shows
HINTS = {
    "suggested": "What would teach the head most: uncertain moments, unlike one another.",
    "most relevant": "Down the ranking: what looks most like your examples.",
    "in time": "What nobody has looked at yet, in order of time.",
    "audit": "A random sample of what was not flagged: it tells how much may have been missed.",
    "disputed": "Labels that a head trained on the others disagrees with.",
}


def main() -> None:
    shown = workspace()
    if camera_days(shown.lake).empty:
        empty_state(
            ":material/video_library:",
            "No footage yet",
            "Nothing has been taken in. Put recordings below the footage folder and run the night.",
            shown.command("run"),
        )
        return
    chosen = chosen_review(shown)
    if chosen is None:
        return
    review, who = chosen
    tell_problem()
    if not who:
        st.error(NO_AUTHOR, icon=":material/person:")
    ranking = review.ranking(review_settings())
    progress = progress_of(review, ranking)
    _figures(review, ranking, progress)
    order = _order()
    queue = next_rows(review, order, QUEUE, ranking, _skipped())
    row = _current(queue, review)
    show_timeline(review, ranking, row, _go_to)
    left, right = st.columns([13, 7], gap="medium")
    with left:
        if row is None:
            _nothing_left(order, review)
        else:
            _moment(review, ranking, row, who)
    with right:
        _queue(review, ranking, queue, order, row)
    show_details(shown, review, ranking, who, _go_to)


def _figures(review: Review, ranking: Ranking, progress: Progress) -> None:
    positive = int(ranking.marks.relevant.sum())
    negative = len(ranking.marks.relevant) - positive
    found = "–" if ranking.threshold is None else str(len(ranking.events))
    audit = audit_of(review)
    missed, drawn = "–", "Draw one in the Audit tab below."
    if audit is not None:
        at = moment_text(audit.said_at, review.workspace.settings.zone)
        drawn = f"Drawn {at}: it speaks of the head as it was then. Draw a new one once much was labelled since."
        if audit.answered:
            missed = f"≤ {share_text(audit.share, 1)}"
    facts(
        ("Labels", f"{positive} relevant · {negative} not", "One answer counts per slice of near-duplicates."),
        ("Moments found", found, "Relevant moments, once there are relevant and irrelevant labels."),
        (
            "Looked at",
            share_text(progress.looked_s, progress.recorded_s),
            f"{duration_text(progress.looked_s)} of {duration_text(progress.recorded_s)} of footage, "
            f"{progress.looked} of {progress.slices} slices, in {duration_text(progress.spent_s)} of your time.",
        ),
        ("Flagged, not looked at", f"{progress.flagged_left}", "Slices above the threshold that nobody has looked at."),
        (
            "Missed at most",
            missed,
            "Relevant share of the slices that were not flagged, at 95 % confidence, from the audit's random sample. "
            f"{drawn}",
        ),
    )


# The row that is looked at: what was asked for, else the first of the queue.


def _current(queue: Sequence[int], review: Review) -> int | None:
    _arrive(review)
    asked = st.session_state.get("review_row")
    if asked is not None and 0 <= asked < len(review.block.norms):
        row: int | None = int(asked)
    else:
        row = queue[0] if queue else None
    if row != st.session_state.get("review_shown"):
        st.session_state["review_shown"], st.session_state["review_since"] = row, time.monotonic()
    return row


def _arrive(review: Review) -> None:
    """Go where a link leads, once."""
    at = st.query_params.get("at")
    arrived = (identity_of(review), at)
    if at and st.session_state.get("review_arrived") != arrived:
        st.session_state["review_arrived"] = arrived
        with suppress(ValueError):
            moment = datetime.fromisoformat(at)
            st.session_state["review_row"] = review.row_at(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _skipped() -> list[int]:
    skipped: list[int] = st.session_state.setdefault("review_skipped", [])
    return skipped


def _go_to(row: int) -> None:
    _remember_shown()
    st.session_state["review_row"] = int(row)


def _next() -> None:
    _remember_shown()
    st.session_state["review_row"] = None


def _remember_shown() -> None:
    here = st.session_state.get("review_shown")
    if here is not None:
        st.session_state.setdefault("review_visited", []).append(here)


def _back() -> None:
    visited = st.session_state.get("review_visited") or []
    if visited:
        st.session_state["review_row"] = visited.pop()


def _spent() -> float:
    """Seconds since the moment came up; at most a minute, for people go away."""
    return min(60.0, time.monotonic() - float(st.session_state.get("review_since", time.monotonic())))


def _answer(review: Review, row: int, relevant: bool, who: str) -> None:
    with attempt("Not saved"):
        review.answer(row, relevant, who, _spent())
        _next()


def _skip(review: Review, row: int, who: str) -> None:
    with attempt("Not saved"):
        review.look(row, who, _spent())
        _skipped().append(row)
        _next()


def _undo(review: Review, who: str) -> None:
    with attempt("Not taken back"):
        label = review.undo(who)
        if label is None:
            st.toast("There is nothing of yours to take back.", icon=":material/undo:")
            return
        row = review.row_of(label.span) if label.campaign == review.campaign else None
        st.session_state["review_row"] = row
        st.toast("Taken back: " + ("relevant" if label.relevant else "not relevant"), icon=":material/undo:")


def _order() -> Order:
    asked = st.session_state.get("review_order")
    return next((order for order in ORDERS if order == asked), "suggested")


def _nothing_left(order: Order, review: Review) -> None:
    with st.container(border=True):
        if order == "audit" and audit_of(review) is None:
            st.markdown("#### :material/casino: No sample drawn yet")
            st.markdown("Draw one under *Audit* below: its answers bound what may have been missed.")
        else:
            st.markdown("#### :material/done_all: Nothing left here")
            st.markdown("Choose another order on the right, or click on the timeline.")


def _moment(review: Review, ranking: Ranking, row: int, who: str) -> None:
    zone = review.workspace.settings.zone
    moment = review.moment(row)
    said = {int(mark): bool(answer) for mark, answer in zip(ranking.marks.rows, ranking.marks.relevant, strict=True)}
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(
            f"### {clock_text(moment, zone)} :small[:gray[{day_text(moment.astimezone(zone).date())}]] {_badges(ranking, row, said)}",
            width="content",
        )
        st.caption(_score_words(ranking, row), width="content")
    _buttons(review, row, who)
    span = review.samples.span(row)
    middle_us = (span.from_us + span.to_us) // 2
    times = [max(0, middle_us + round(AROUND_US * (step - STRIP // 2) / (STRIP // 2))) for step in range(STRIP)]
    pictures, problem = _pictures(review, span.recording_id, tuple(times))
    if problem:
        st.warning(problem, icon=":material/broken_image:")
        return
    for column, picture, at_us in zip(st.columns(STRIP, gap="xsmall"), pictures, times, strict=True):
        with column:
            if picture is None:
                st.caption("–")
            else:
                st.image(picture, width="stretch", alt="Picture of the moment")
            at = (at_us - middle_us) / 1e6
            st.caption("**here**" if abs(at) < 0.01 else f"{at:+.1f} s")
    around = Span(span.recording_id, max(0, middle_us - AROUND_US), middle_us + AROUND_US)
    case = review.use_case
    content = moment_clip(review.workspace, case.camera, case.region, around)
    if content is not None:
        st.video(content, autoplay=True, muted=True, loop=True, alt="The moment, eight seconds")


def _pictures(review: Review, recording_id: str, times_us: tuple[int, ...]) -> tuple[list[bytes | None], str]:
    case = review.use_case
    return moment_pictures(review.workspace, case.camera, case.region, recording_id, times_us, STRIP_WIDTH)


def _badges(ranking: Ranking, row: int, said: dict[int, bool]) -> str:
    if row in said:
        return ":orange-badge[labelled relevant]" if said[row] else ":blue-badge[labelled not relevant]"
    if ranking.scores is None or ranking.threshold is None:
        return ""
    return ":orange-badge[flagged]" if ranking.scores[row] > ranking.threshold else ":gray-badge[not flagged]"


def _score_words(ranking: Ranking, row: int) -> str:
    if ranking.scores is None:
        return "not ranked yet"
    if ranking.threshold is None:
        return f"similarity {ranking.scores[row]:.3f}"
    words = f"margin {ranking.scores[row]:+.2f}"
    return words if ranking.probability is None else f"{words} · probability {ranking.probability[row]:.0%}"


def _buttons(review: Review, row: int, who: str) -> None:
    hint = None if who else NO_AUTHOR
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Relevant",
            icon=":material/thumb_up:",
            key="review_yes",
            shortcut="Y",
            type="primary",
            on_click=_answer,
            args=(review, row, True, who),
            disabled=not who,
            help=hint,
        )
        st.button(
            "Not relevant",
            icon=":material/thumb_down:",
            key="review_no",
            shortcut="N",
            on_click=_answer,
            args=(review, row, False, who),
            disabled=not who,
            help=hint,
        )
        st.button(
            "Skip",
            icon=":material/skip_next:",
            key="review_skip",
            shortcut="S",
            on_click=_skip,
            args=(review, row, who),
            disabled=not who,
            help=hint,
        )
        st.button(
            "Back",
            icon=":material/arrow_back:",
            key="review_back",
            shortcut="B",
            on_click=_back,
            disabled=not st.session_state.get("review_visited"),
        )
        st.button(
            "Undo",
            icon=":material/undo:",
            key="review_undo",
            shortcut="U",
            on_click=_undo,
            args=(review, who),
            disabled=not who,
            help=hint,
        )


def _queue(review: Review, ranking: Ranking, queue: Sequence[int], order: Order, row: int | None) -> None:
    st.selectbox("Look at next", ORDERS, key="review_order", on_change=_next)
    st.caption(HINTS[order])
    zone = review.workspace.settings.zone
    with st.container(height=560, border=False):
        for start in range(0, len(queue), 3):
            for column, one in zip(st.columns(3, gap="small"), queue[start : start + 3], strict=False):
                with column, st.container(gap="xsmall"):
                    span = review.samples.span(one)
                    pictures, _ = _pictures(review, span.recording_id, ((span.from_us + span.to_us) // 2,))
                    if pictures and pictures[0] is not None:
                        st.image(pictures[0], width="stretch", alt="Next moment")
                    told = "" if ranking.scores is None else f" {ranking.scores[one]:+.2f}"
                    st.button(
                        f"{clock_text(review.moment(one), zone)}{told}",
                        key=f"review_go_{one}",
                        type="primary" if one == row else "tertiary",
                        on_click=_go_to,
                        args=(one,),
                    )
        if not queue:
            st.caption("Nothing in this order.")


main()
