"""Charts and small bars of the Summaries page: arrays and data frames in, Altair charts and HTML out.

A segment's score and its columns are fractions. The probability that it is unusual is not: most of what a camera sees is
unlike nine tenths of the rest, so its axis counts nines (.9, .99, .999), and a curve high up there means rare.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboards.charts import ALARM, CURVE, EVENT, MUTED, PICKED
from dashboards.clock import Clock
from dashboards.snapshot import records
from dashboards.wording import clock_text

COLUMN_COLOURS: Mapping[str, str] = {
    "anomaly": "#D55E00",
    "memorability": "#CC79A7",
    "entropy": "#0072B2",
    "dynamics": "#009E73",
}
TRUTHS: Mapping[str, str] = {"confirmed": "#009E73", "dismissed": "#A9B2BC", "not judged": EVENT}
MARKS: Mapping[str, tuple[str, str]] = {
    "event": (ALARM, "triangle-down"),
    "score": (CURVE, "circle"),
    "stays": (CURVE, "circle"),
    "in": ("#009E73", "triangle-up"),
    "out": ("#CC79A7", "triangle-down"),
}
"""Colour and shape of what is marked as chosen."""
POINTS = 1200
"""Points of a curve above which the highest of each bin stands for it."""
NINES = 4.0
"""Top of the probability's axis: .9999."""
SCORE_HEIGHT, RARE_HEIGHT, STRIP_HEIGHT = 130, 64, 14
_FIT = alt.AutoSizeParams(type="fit-x", contains="padding")


@dataclass(frozen=True, eq=False)
class DayLine:
    """What the timeline of a camera's day shows.

    Attributes:
        curve: columns taken_at, seconds, score, probability (nan where no head scored), in order of time.
        truths: events: columns started_at, ended_at, verdict (of `TRUTHS`), told.
        marks: chosen segments: columns taken_at, seconds, segment (what a click picks), kind (of `MARKS`), told.
    """

    curve: pd.DataFrame
    truths: pd.DataFrame
    marks: pd.DataFrame


def summary_timeline(data: DayLine, clock: Clock, selected: int | None = None) -> alt.LayerChart:
    """Score and probability over time, the chosen segments as marks above, people's verdicts on events as a strip below.

    A click on a mark puts its `segment` into the selection `PICKED`; dragging moves along time, the wheel with the shift
    key zooms.
    """
    scale = alt.Scale(type="utc", nice=False, domain=clock.domain_ms)
    axis = alt.Axis(title=None, labelExpr=clock.label_expression, grid=False, tickCount=12, labelOverlap=True)
    x = alt.X("from:T", scale=scale, axis=axis)
    drawn = _curve(data.curve, clock)
    rare_top = SCORE_HEIGHT + 16
    strip_top = rare_top + RARE_HEIGHT + 10
    moving = alt.selection_interval(name="moved", bind="scales", encodings=["x"], zoom="wheel![event.shiftKey]")
    score, rare = _score_layer(drawn, x).add_params(moving), _rare_layer(drawn, x, rare_top)
    chart: alt.LayerChart = (
        alt.layer(score, rare, *_truth_strip(data.truths, clock, x, strip_top), *_marks(data.marks, clock, x, selected))
        .resolve_scale(y="independent")
        .properties(height=strip_top + STRIP_HEIGHT + 6, width="container", autosize=_FIT)
        .configure_view(stroke=None)
    )
    return chart


def thinned(curve: pd.DataFrame, maximum: int = POINTS) -> pd.DataFrame:
    """At most `maximum` rows of a curve: of each bin the highest score, and the highest probability of any in it."""
    if len(curve) <= maximum:
        return curve
    edges = np.linspace(0, len(curve), maximum + 1).round().astype(np.int64)[:-1]
    score, probability = (curve[name].to_numpy(np.float64) for name in ("score", "probability"))
    bins = np.repeat(np.arange(maximum), np.diff(np.append(edges, len(curve))))
    best = np.lexsort((-np.arange(len(curve)), score, bins))[np.append(edges[1:], len(curve)) - 1]
    kept: pd.DataFrame = curve.iloc[best].assign(probability=np.fmax.reduceat(probability, edges))
    return kept.reset_index(drop=True)


def nines(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """−log10(1 − p), at most `NINES`: .9 is 1, .99 is 2."""
    return np.asarray(-np.log10(np.maximum(1.0 - probability, 10.0**-NINES)))


def bars_html(columns: Mapping[str, float], weights: Mapping[str, float] | None = None) -> str:
    """The four columns as small bars, a line each; those that do not count are faint.

    Args:
        columns: name → 0 to 1.
        weights: name → how much it counts; None where that is not known.
    """
    lines = []
    for name, colour in COLUMN_COLOURS.items():
        value = min(max(float(columns[name]), 0.0), 1.0)
        faint = weights is not None and not weights.get(name, 0.0) > 0
        lines.append(
            f'<div title="{name} {value:.2f}" style="display:flex;align-items:center;gap:6px;'
            f'opacity:{0.35 if faint else 1}"><span style="width:5.6em;font-size:0.7rem;color:{MUTED}">{name}</span>'
            f'<span style="flex:1;height:5px;border-radius:2px;background:{MUTED}33">'
            f'<span style="display:block;height:5px;border-radius:2px;width:{100 * value:.0f}%;background:{colour}">'
            "</span></span></div>"
        )
    return f'<div style="line-height:1.15">{"".join(lines)}</div>'


def legend_html(kinds: Sequence[str], verdicts: Sequence[str]) -> str:
    """Signs and colours of the timeline: those that it has."""
    signs = {"triangle-down": "▼", "triangle-up": "▲", "circle": "●"}
    words = {"event": "for an event", "score": "for its score", "stays": "stays", "in": "comes in", "out": "goes out"}

    def patch(colour: str, sign: str, word: str) -> str:
        return f'<span style="white-space:nowrap"><span style="color:{colour}">{sign}</span> {word}</span>'

    told = [patch(MARKS[kind][0], signs[MARKS[kind][1]], words[kind]) for kind in MARKS if kind in set(kinds)]
    told += [patch(colour, "■", word) for word, colour in TRUTHS.items() if word in set(verdicts)]
    return f'<span style="font-size:0.8rem;opacity:0.85">{" &ensp; ".join(told)}</span>'


def _curve(curve: pd.DataFrame, clock: Clock) -> pd.DataFrame:
    """The curve as it is drawn, in pieces: no line goes over a gap."""
    within = curve[(curve["taken_at"] >= clock.start) & (curve["taken_at"] < clock.end)].reset_index(drop=True)
    thin = thinned(within)
    step = thin["taken_at"].diff()
    typical = step[step > pd.Timedelta(0)].median() if len(thin) > 1 else pd.Timedelta(0)
    return pd.DataFrame(
        {
            "from": clock.shifted(thin["taken_at"]) + pd.to_timedelta(thin["seconds"] / 2, unit="s"),
            "score": thin["score"],
            "probability": thin["probability"],
            "nines": nines(thin["probability"].to_numpy(np.float64)),
            "piece": (step > 5 * typical).cumsum() if len(thin) > 1 else 0,
            "at": [clock_text(moment, clock.zone) for moment in thin["taken_at"]],
        }
    )


def _score_layer(drawn: pd.DataFrame, x: alt.X) -> alt.Chart:
    axis = alt.Axis(
        title="score",
        titleColor=MUTED,
        titleFontWeight="normal",
        titleFontSize=11,
        titleY=SCORE_HEIGHT / 2 + 8,
        values=[0, 0.25, 0.5, 0.75, 1],
        minExtent=44,
        maxExtent=44,
        gridOpacity=0.35,
        orient="left",
        format=".2~f",
    )
    y = alt.Y("score:Q", scale=alt.Scale(domain=[0, 1], range=[SCORE_HEIGHT, 16], nice=False), axis=axis)
    tips = [alt.Tooltip("at:N", title="time"), alt.Tooltip("score:Q", format=".2f")]
    line: alt.Chart = (
        alt.Chart(drawn)
        .mark_line(color=CURVE, strokeWidth=1.2, clip=True)
        .encode(x=x, y=y, detail="piece:N", tooltip=tips)
    )
    return line


def _rare_layer(drawn: pd.DataFrame, x: alt.X, top: int) -> alt.Chart:
    axis = alt.Axis(
        title="probability",
        titleColor=MUTED,
        titleFontWeight="normal",
        titleFontSize=11,
        titleY=top + RARE_HEIGHT / 2,
        values=[0, 1, 2, 3],
        labelExpr="['0', '.9', '.99', '.999'][datum.value]",
        labelOverlap=False,
        minExtent=44,
        maxExtent=44,
        gridOpacity=0.25,
        orient="left",
    )
    scale = alt.Scale(domain=[0, NINES], range=[top + RARE_HEIGHT, top], nice=False)
    y = alt.Y("nines:Q", scale=scale, axis=axis, stack=False)
    tips = [alt.Tooltip("at:N", title="time"), alt.Tooltip("probability:Q", format=".4~f")]
    area: alt.Chart = (
        alt.Chart(drawn[np.isfinite(drawn["nines"])])
        .mark_area(color=ALARM, opacity=0.45, clip=True, line={"color": ALARM, "strokeWidth": 0.8})
        .encode(x=x, y=y, detail="piece:N", tooltip=tips)
    )
    return area


def _truth_strip(truths: pd.DataFrame, clock: Clock, x: alt.X, top: int) -> list[alt.Chart]:
    # What is drawn last lies on top: what somebody said before what nobody did.
    importance = list(TRUTHS)[::-1]
    truths = truths.iloc[np.argsort([importance.index(told) for told in truths["verdict"]], kind="stable")]
    drawn = pd.DataFrame(
        {
            "from": clock.shifted(truths["started_at"]),
            "to": clock.shifted(truths["ended_at"]),
            "verdict": truths["verdict"],
            "colour": [TRUTHS[verdict] for verdict in truths["verdict"]],
            "told": truths["told"],
        }
    )
    ground = alt.Chart(pd.DataFrame({"word": ["truth"]}))
    line = ground.mark_rule(color=MUTED, opacity=0.35).encode(y=alt.value(top + STRIP_HEIGHT))
    word = ground.mark_text(align="right", color=MUTED, fontSize=11, dx=-8, clip=False).encode(
        text="word:N", x=alt.value(0), y=alt.value(top + STRIP_HEIGHT / 2)
    )
    spans = (
        alt.Chart(drawn)
        # The outline keeps an event of seconds visible over a day.
        .mark_rect(clip=True, strokeWidth=1.5)
        .encode(
            x=x,
            x2="to:T",
            y=alt.value(top),
            y2=alt.value(top + STRIP_HEIGHT),
            color=alt.Color("colour:N", scale=None),
            stroke=alt.Stroke("colour:N", scale=None),
            tooltip=[alt.Tooltip("told:N", title="event"), alt.Tooltip("verdict:N")],
        )
    )
    return [line, word, spans]


def _marks(marks: pd.DataFrame, clock: Clock, x: alt.X, selected: int | None) -> list[alt.Chart]:
    middle = clock.shifted(marks["taken_at"]) + pd.to_timedelta(marks["seconds"] / 2, unit="s")
    drawn = pd.DataFrame(
        {
            "from": middle,
            "segment": marks["segment"],
            "kind": marks["kind"],
            "colour": [MARKS[kind][0] for kind in marks["kind"]],
            "shape": [MARKS[kind][1] for kind in marks["kind"]],
            "size": [220 if row.segment == selected else 90 for row in records(marks)],
            "told": marks["told"],
            "at": [clock_text(moment, clock.zone) for moment in marks["taken_at"]],
        }
    )
    picked = alt.selection_point(name=PICKED, fields=["segment"], on="click", clear=False, toggle=False)
    points = (
        alt.Chart(drawn)
        .mark_point(filled=True, opacity=0.95, clip=True, cursor="pointer")
        .encode(
            x=x,
            y=alt.value(8),
            color=alt.Color("colour:N", scale=None),
            shape=alt.Shape("shape:N", scale=None),
            size=alt.Size("size:Q", scale=None),
            tooltip=[alt.Tooltip("at:N", title="time"), alt.Tooltip("told:N", title="why")],
        )
        .add_params(picked)
    )
    return [points]
