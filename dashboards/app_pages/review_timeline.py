"""The timeline of a review: days as bands, a window of them where there are many, and what its colours mean."""

from collections.abc import Callable
from datetime import date
from functools import partial

import streamlit as st

from dashboards.app_pages.review_parts import true_spans, truth_choice
from dashboards.review_charts import (
    IRRELEVANT,
    MOST_DAYS,
    PICKED,
    RELEVANT,
    TRUTH,
    Strip,
    days_chart,
    days_drawn,
    days_of,
    shades,
    windows,
)
from dashboards.wording import count_text, day_text
from workspace.session import Ranking, Review

CHART = "review_timeline"


def show_timeline(review: Review, ranking: Ranking, row: int | None, go_to: Callable[[int], None]) -> None:
    """Draw a campaign's ranking; a click goes to a moment."""
    block = review.block
    truth_name = truth_choice(review)
    truth = true_spans(review, truth_name) if truth_name else None
    strip = Strip(
        block.from_us,
        review.until_us,
        shades(ranking.scores, ranking.threshold, len(block.norms)),
        list(zip(ranking.marks.rows.tolist(), ranking.marks.relevant.tolist(), strict=True)),
        truth,
        row,
    )
    zone = review.workspace.settings.zone
    days = days_of(strip, zone)
    drawn = days_drawn(strip, zone, _window(days))
    picked = partial(_picked, go_to)
    chart = days_chart(strip, zone, drawn)
    st.altair_chart(chart, key=CHART, on_select=picked, selection_mode=[PICKED], width="stretch")
    if len(drawn) < len(days):
        st.caption(
            f"{count_text(len(days) - len(drawn), 'day')} of {len(days)} not drawn: choose others above. "
            "What is ranked, found and counted is of all of them."
        )
    _legend(truth is not None, ranking)


def _window(days: list[date]) -> list[date]:
    """The days that are chosen to be drawn."""
    parts = windows(days)
    if len(parts) < 2:
        return days
    words = [f"{day_text(part[0])} – {day_text(part[-1])}" for part in parts]
    words[0] = f"newest {MOST_DAYS} days"
    chosen = st.selectbox("Days drawn", words, key="review_window", width=360)
    return parts[words.index(chosen)]


def _picked(go_to: Callable[[int], None]) -> None:
    selection = st.session_state.get(CHART)
    points = selection["selection"].get(PICKED) if selection else None
    if points:
        go_to(int(points[0]["row"]))


def _legend(with_truth: bool, ranking: Ranking) -> None:
    swatch = '<span style="display:inline-block;width:0.8em;height:0.8em;border-radius:2px;background:{};"></span>'
    parts = [f"{swatch.format(RELEVANT)} relevant", f"{swatch.format(IRRELEVANT)} not relevant"]
    parts += [
        '<span style="color:#D55E00">▲</span> labelled relevant',
        '<span style="color:#56B4E9">■</span> labelled not relevant',
    ]
    if with_truth:
        parts.append(f"{swatch.format(TRUTH)} known to be true")
    if ranking.trained is None:
        parts.append("mark one relevant moment to begin: everything is then ranked by likeness to it")
    elif ranking.threshold is None:
        parts.append("ranked by likeness; mark something <b>not</b> relevant and a classifier takes over")
    else:
        parts.append(f"fitted and scored in {ranking.seconds:.2f} s")
    st.html(f'<div style="font-size:0.85rem;opacity:0.8">{" &ensp; ".join(parts)}</div>')
