"""Charts of the Models page: what thresholds of a classifier's class come to. A sweep in, Altair charts out."""

import math
from dataclasses import dataclass
from html import escape

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboards.charts import ALARM, CURVE, MUTED, THRESHOLD
from models.sweep import Confusion, Sweep

PRECISION, RECALL, F_BETA, COST = "#E69F00", "#4C78A8", "#009E73", "#CC79A7"
MOST_POINTS = 500
"""Steps of a curve that are drawn; of more, evenly spread ones."""
CURVE_HEIGHT = 300
QUARTERS = [0, 0.25, 0.5, 0.75, 1]
SHARE = alt.Scale(domain=[0, 1], nice=False)
STEPS = 300
"""Thresholds that are offered; of more that tell clips apart, evenly spread ones."""
ROUND = 0.05
DIGITS = 4
FAINTEST, STRONGEST = 20, 130
"""Opacity of a cell of the confusion matrix that holds nothing, and all, of its row; of 255."""
TRIED, IN_USE, CANDIDATES = "this threshold", "in use", "the candidate’s own"


@dataclass(frozen=True)
class Place:
    """A threshold on the curves: its value, what it is called, and what it comes to."""

    threshold: float
    word: str
    told: Confusion


def threshold_steps(sweep: Sweep, also: tuple[float, ...]) -> list[float]:
    """Thresholds to choose from, rising: each tells clips apart from the one before, with round numbers between.

    Args:
        sweep: of the class.
        also: thresholds in (0, 1) that are among them to the last digit.
    """
    telling = sweep.thresholds[(sweep.thresholds > 0) & (sweep.thresholds < 1)]
    chosen = telling[spread(len(telling), STEPS)]
    round_ones = np.arange(1, round(1 / ROUND)) * ROUND
    # Two that read alike would be the same to a person.
    words = {threshold_text(value) for value in (*round_ones.tolist(), *chosen.tolist())}
    words -= {threshold_text(value) for value in also}
    return sorted({*also, *(value for value in map(float, words) if 0 < value < 1)})


def threshold_text(threshold: float) -> str:
    """A threshold as people read it: `0.5`, `0.9987`."""
    return f"{threshold:.{DIGITS}f}".rstrip("0").rstrip(".")


def spread(count: int, most: int) -> NDArray[np.int64]:
    """Places of at most `most` of `count` things, evenly spread, the first and last among them."""
    if count <= most:
        return np.arange(count, dtype=np.int64)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))


def precision_recall_chart(sweep: Sweep, places: list[Place]) -> alt.LayerChart:
    """Precision over recall, with thresholds as points on it and the share of the class as what guessing would reach.

    Args:
        sweep: of the class; it has clips of the class.
        places: thresholds to mark, the most important last.
    """
    recall, precision = sweep.precision_recall()
    thresholds = sweep.thresholds[1:]
    kept = spread(len(recall), MOST_POINTS)
    curve = _curve(recall[kept], precision[kept], thresholds[kept])
    share = sweep.positives / (sweep.positives + sweep.negatives)
    guess = pd.DataFrame({"x": [0.0, 1.0], "y": [share, share]})
    marks = [(one, one.told.recall, one.told.precision) for one in places]
    return _plane(curve, guess, marks, "recall", "precision", "step-before")


def roc_chart(sweep: Sweep, places: list[Place]) -> alt.LayerChart:
    """Recall over the share of other clips that raise a false alarm, as `precision_recall_chart`.

    Args:
        sweep: of the class; it has clips of the class and others.
        places: thresholds to mark, the most important last.
    """
    across, up = sweep.roc()
    kept = spread(len(across), MOST_POINTS)
    curve = _curve(across[kept], up[kept], sweep.thresholds[kept])
    guess = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]})
    marks = [(one, one.told.false_positives / sweep.negatives, one.told.recall) for one in places]
    return _plane(curve, guess, marks, "false alarm rate", "recall", "linear")


def _curve(x: NDArray[np.float64], y: NDArray[np.float64], thresholds: NDArray[np.float64]) -> pd.DataFrame:
    order = np.arange(len(x))
    return pd.DataFrame({"x": x, "y": y, "order": order, "at": [threshold_text(value) for value in thresholds]})


def _plane(
    curve: pd.DataFrame,
    guess: pd.DataFrame,
    marks: list[tuple[Place, float, float]],
    across: str,
    up: str,
    interpolate: str,
) -> alt.LayerChart:
    x = alt.X("x:Q", scale=SHARE, axis=_share_axis(across))
    y = alt.Y("y:Q", scale=SHARE, axis=_share_axis(up))
    tips = [
        alt.Tooltip("at:N", title="threshold"),
        alt.Tooltip("x:Q", title=across, format=".3f"),
        alt.Tooltip("y:Q", title=up, format=".3f"),
    ]
    layers = [
        alt.Chart(guess).mark_line(color=THRESHOLD, strokeDash=[4, 4], strokeWidth=1).encode(x=x, y=y),
        alt.Chart(curve)
        .mark_line(color=CURVE, strokeWidth=2, interpolate=interpolate)  # type: ignore[arg-type]  # one of Vega's
        .encode(x=x, y=y, order="order:Q"),
        # Wide and all but invisible: what a pointer finds.
        alt.Chart(curve).mark_circle(color=CURVE, size=60, opacity=0.01).encode(x=x, y=y, tooltip=tips),
        *(layer for one, at_x, at_y in marks if math.isfinite(at_x + at_y) for layer in _mark(one, at_x, at_y, x, y)),
    ]
    chart: alt.LayerChart = (
        alt.layer(*layers).properties(height=CURVE_HEIGHT, width="container").configure_view(stroke=None)
    )
    return chart


def _share_axis(title: str | None) -> alt.Axis:
    return alt.Axis(title=title, titleColor=MUTED, values=QUARTERS, gridOpacity=0.35, format=".2~f")


def _mark(place: Place, at_x: float, at_y: float, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    colour = _colour(place)
    told = f"{place.word} {threshold_text(place.threshold)}"
    drawn = alt.Chart(pd.DataFrame({"x": [at_x], "y": [at_y], "told": [told]}))
    point = drawn.mark_point(filled=place.word == TRIED, color=colour, size=110, opacity=1, strokeWidth=2.5)
    return [point.encode(x=x, y=y, tooltip=alt.Tooltip("told:N", title=""))]


def _colour(place: Place) -> str:
    return ALARM if place.word == TRIED else MUTED


def thresholds_chart(sweep: Sweep, places: list[Place], beta: float) -> alt.LayerChart:
    """Precision, recall and Fβ over the threshold."""
    kept = spread(len(sweep.thresholds), MOST_POINTS)
    named = {
        "precision": (sweep.precision, PRECISION),
        "recall": (sweep.recall, RECALL),
        f"F{beta:g}": (sweep.f_beta(beta), F_BETA),
    }
    parts = [
        pd.DataFrame({"at": sweep.thresholds[kept], "share": values[kept], "what": what})
        for what, (values, _) in named.items()
    ]
    drawn = pd.concat(parts).dropna()
    x = _threshold_axis()
    y = alt.Y("share:Q", scale=SHARE, axis=_share_axis(None))
    scale = alt.Scale(domain=list(named), range=[colour for _, colour in named.values()])
    colour = alt.Color("what:N", scale=scale, legend=alt.Legend(title=None, orient="top", labelFontSize=12))
    tips = [
        alt.Tooltip("what:N", title=""),
        alt.Tooltip("at:Q", title="threshold", format=".3f"),
        alt.Tooltip("share:Q", title="value", format=".3f"),
    ]
    lines = alt.Chart(drawn).mark_line(strokeWidth=2, interpolate="step").encode(x=x, y=y, color=colour, tooltip=tips)
    chart: alt.LayerChart = (
        alt.layer(lines, *_rules(places)).properties(height=CURVE_HEIGHT, width="container").configure_view(stroke=None)
    )
    return chart


def cost_chart(sweep: Sweep, places: list[Place], false_alarm: float, missed: float) -> alt.LayerChart:
    """What false alarms and missed ones cost together, over the threshold."""
    kept = spread(len(sweep.thresholds), MOST_POINTS)
    drawn = pd.DataFrame({"at": sweep.thresholds[kept], "cost": sweep.cost(false_alarm, missed)[kept]})
    y = alt.Y("cost:Q", axis=alt.Axis(title="cost", titleColor=MUTED, gridOpacity=0.35, tickCount=5))
    tips = [alt.Tooltip("at:Q", title="threshold", format=".3f"), alt.Tooltip("cost:Q", format=".4~g")]
    line = (
        alt.Chart(drawn)
        .mark_line(color=COST, strokeWidth=2, interpolate="step")
        .encode(x=_threshold_axis(), y=y, tooltip=tips)
    )
    chart: alt.LayerChart = (
        alt.layer(line, *_rules(places)).properties(height=CURVE_HEIGHT, width="container").configure_view(stroke=None)
    )
    return chart


def _threshold_axis() -> alt.X:
    axis = alt.Axis(title="threshold", titleColor=MUTED, values=QUARTERS, grid=False, format=".2~f")
    return alt.X("at:Q", scale=alt.Scale(domain=[0, 1], nice=False, clamp=True), axis=axis)


def _rules(places: list[Place]) -> list[alt.Chart]:
    return [
        alt.Chart(pd.DataFrame({"at": [one.threshold], "told": [f"{one.word} {threshold_text(one.threshold)}"]}))
        .mark_rule(color=_colour(one), strokeWidth=2, strokeDash=[1, 0] if one.word == TRIED else [4, 4])
        .encode(x=_threshold_axis(), tooltip=alt.Tooltip("told:N", title=""))
        for one in places
    ]


def confusion_table(told: Confusion, class_name: str) -> str:
    """How many clips of the class and of the others are told right and wrong, as HTML; stronger is more of its row.

    HTML, because text on coloured cells takes the page's own colour there, on a light and on a dark ground.
    """
    cells = [
        _cell(told.true_positives, told.false_negatives, "found", F_BETA),
        _cell(told.false_negatives, told.true_positives, "missed", ALARM),
        _cell(told.false_positives, told.true_negatives, "false alarms", ALARM),
        _cell(told.true_negatives, told.false_positives, "rightly quiet", F_BETA),
    ]
    names = [f'<div style="{_HEAD};text-align:right">{escape(name)}</div>' for name in (class_name, "other")]
    heads = [f'<div style="{_HEAD};text-align:center">{word}</div>' for word in ("alarm", "no alarm")]
    rows = ["<div></div>", *heads, names[0], *cells[:2], names[1], *cells[2:]]
    return (
        '<div role="table" style="display:grid;grid-template-columns:minmax(2.5rem,max-content) 1fr 1fr;gap:6px;'
        f'grid-template-rows:auto 1fr 1fr;height:{CURVE_HEIGHT - 30}px">{"".join(rows)}</div>'
    )


_HEAD = "font-size:0.8rem;opacity:0.75;align-self:center;overflow-wrap:anywhere;max-width:8rem"


def _cell(clips: int, beside: int, word: str, colour: str) -> str:
    share = clips / max(1, clips + beside)
    strength = round(FAINTEST + (STRONGEST - FAINTEST) * share)
    return (
        f'<div title="{word}: {clips}, {share:.0%} of its row" style="display:flex;flex-direction:column;'
        f'align-items:center;justify-content:center;border-radius:6px;background:{colour}{strength:02x}">'
        f'<span style="font-size:1.5rem;font-weight:600;line-height:1.3">{clips:,}</span>'
        f'<span style="font-size:0.8rem;opacity:0.85">{word}</span></div>'
    )
