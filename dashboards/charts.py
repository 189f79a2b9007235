"""Charts of the pages: data frames in, Altair charts out.

Colours are Okabe and Ito's, which people who see few colours tell apart; on top of that alarms differ in shape, and
states in the words of their tooltips. All are mid-tones that stand on a light and on a dark ground.

Moments are drawn on a UTC scale shifted to the site's zone, so a chart shows the site's clock whatever the browser's.
"""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboards.clock import Clock
from dashboards.snapshot import records
from dashboards.wording import clock_text, duration_text, share_text

ALARM, EVENT, CURVE, THRESHOLD = "#D55E00", "#56B4E9", "#4C78A8", "#8A929C"
STATES = {
    "analysed": "#009E73",
    "skipped": "#A9B2BC",
    "corrupt": "#D55E00",
    "missing": "#E69F00",
    "waiting": "#6FA8DC",
    "gap": "#8D6BB0",
}
HEALTH = {"black": "#6B7280", "frozen": "#0072B2", "blurred": "#CC79A7", "moved": "#A6761D"}
STATUSES = {
    "complete": "#009E73",
    "partial": "#E69F00",
    "incomplete": "#E69F00",
    "failed": "#D55E00",
    "open": "#0072B2",
}
MUTED = "#8A929C"
PICKED = "picked"
"""Name of the selection that holds the event clicked on, by `event_id`."""

STEEP = 8.0
"""Times the threshold above which a score makes the curve's scale logarithmic."""
CURVE_HEIGHT, STRIP_HEIGHT, STRIP_STEP = 150, 14, 24
_SPANS = 1200
# As wide as the page, and as high as told: else the axis would take its height from the strips.
_FIT = alt.AutoSizeParams(type="fit-x", contains="padding")


@dataclass(frozen=True, eq=False)
class DayData:
    """What the timeline of a camera's day shows; frames as `dashboards.queries` returns them."""

    scores: pd.DataFrame
    events: pd.DataFrame
    coverage: pd.DataFrame
    gaps: pd.DataFrame
    health: pd.DataFrame
    threshold: float | None = None


def timeline(data: DayData, clock: Clock, selected: str | None = None) -> alt.LayerChart:
    """Score curve with its threshold, events, and strips of coverage and health below, on one axis of time.

    A click on an event puts its `event_id` into the selection `PICKED`; dragging moves along time, the wheel with the
    shift key zooms.
    """
    scale, axis = alt.Scale(type="utc", nice=False, domain=clock.domain_ms), _time_axis(clock)
    x = alt.X("from:T", scale=scale, axis=axis)
    peak = alt.X("peak:T", scale=scale, axis=axis)
    layers: list[alt.Chart] = []
    layers += _curve_layers(data, clock, x)
    layers += _event_layers(data.events, clock, (x, peak), selected)
    coverage = pd.concat(
        [coarsened(data.coverage, clock), data.gaps.assign(state="gap", reason="no recording")], ignore_index=True
    )
    top = CURVE_HEIGHT + 18
    layers += _strip(coverage, "state", STATES, "coverage", top, clock, x)
    layers += _strip(data.health, "kind", HEALTH, "health", top + STRIP_STEP, clock, x)
    moving = alt.selection_interval(name="moved", bind="scales", encodings=["x"], zoom="wheel![event.shiftKey]")
    layers[0] = layers[0].add_params(moving)
    height = top + STRIP_STEP + STRIP_HEIGHT + 6
    chart: alt.LayerChart = (
        alt.layer(*layers).properties(height=height, width="container", autosize=_FIT).configure_view(stroke=None)
    )
    return chart


def _score_scale(data: DayData) -> alt.Scale:
    """Logarithmic where the highest score would press all the others onto the ground."""
    score = data.scores["score"]
    usual = data.threshold or (float(score.median()) if len(score) else 0.0)
    steep = len(score) > 0 and score.min() > 0 and score.max() > STEEP * usual
    span = [CURVE_HEIGHT, 14]
    return alt.Scale(type="log", range=span, nice=False) if steep else alt.Scale(range=span, zero=False, nice=True)


def _time_axis(clock: Clock) -> alt.Axis:
    return alt.Axis(title=None, labelExpr=clock.label_expression, grid=False, tickCount=12, labelOverlap=True)


def _curve_layers(data: DayData, clock: Clock, x: alt.X) -> list[alt.Chart]:
    curve = _pieces(data.scores)
    # A score is about a span: it stands in its middle, where the event it makes stands too.
    middle = clock.shifted(curve["taken_at"]) + pd.to_timedelta(curve["seconds"] / 2, unit="s")
    drawn = pd.DataFrame({"from": middle, "score": curve["score"], "piece": curve["piece"]})
    drawn["at"] = [clock_text(moment, clock.zone) for moment in curve["taken_at"]]
    axis = alt.Axis(title=None, tickCount=4, minExtent=64, maxExtent=64, gridOpacity=0.4, format="~s")
    y = alt.Y("score:Q", scale=_score_scale(data), axis=axis)
    tips = [alt.Tooltip("at:N", title="time"), alt.Tooltip("score:Q", title="score", format=".3~g")]
    layers = [
        alt.Chart(drawn)
        .mark_line(color=CURVE, strokeWidth=1.3, clip=True)
        .encode(x=x, y=y, detail="piece:N", tooltip=tips)
    ]
    if data.threshold is not None:
        rule = pd.DataFrame({"score": [data.threshold], "word": [f"threshold {data.threshold:.3g}"]})
        mark = alt.Chart(rule).mark_rule(color=THRESHOLD, strokeDash=[5, 4], strokeWidth=1.3)
        layers.append(mark.encode(y=y, tooltip=alt.Tooltip("word:N", title="")))
    word = alt.Chart(pd.DataFrame({"word": ["score"]})).mark_text(
        align="right", color=MUTED, fontSize=11, dx=-36, clip=False
    )
    layers.append(word.encode(text="word:N", x=alt.value(0), y=alt.value(4)))
    return layers


def _event_layers(
    events: pd.DataFrame, clock: Clock, axes: tuple[alt.X, alt.X], selected: str | None
) -> list[alt.Chart]:
    events = events.sort_values("alarm", kind="stable")  # what is drawn last lies on top
    drawn = pd.DataFrame(
        {
            "event_id": events["event_id"],
            "from": clock.shifted(events["started_at"]),
            "to": clock.shifted(events["ended_at"]),
            "peak": clock.shifted(events["peak_at"]),
            "kind": ["alarm" if alarm else "event" for alarm in events["alarm"]],
            "rank": events["rank"],
            "score": events["peak_score"],
            "selected": events["event_id"] == selected,
            "span": [
                f"{clock_text(row.started_at, clock.zone)} – {clock_text(row.ended_at, clock.zone)}"
                for row in records(events)
            ],
        }
    )
    tips = [
        alt.Tooltip("kind:N", title="click to play"),
        alt.Tooltip("rank:Q", title="rank"),
        alt.Tooltip("span:N", title="time"),
        alt.Tooltip("score:Q", title="peak score", format=".3~g"),
    ]
    picked = alt.selection_point(name=PICKED, fields=["event_id"], on="click", clear=False, toggle=False)
    colour = alt.Color("kind:N", scale=alt.Scale(domain=["alarm", "event"], range=[ALARM, EVENT]), legend=None)
    shape = alt.Shape(
        "kind:N", scale=alt.Scale(domain=["alarm", "event"], range=["triangle-down", "circle"]), legend=None
    )
    chosen = alt.datum.selected
    x, peak = axes
    bars = (
        alt.Chart(drawn)
        .mark_rect(clip=True, cursor="pointer", stroke=None)
        .encode(
            x=x,
            x2="to:T",
            y=alt.value(14),
            y2=alt.value(CURVE_HEIGHT),
            color=colour,
            opacity=alt.condition(chosen, alt.value(0.45), alt.value(0.2)),
            tooltip=tips,
        )
    )
    marks = (
        alt.Chart(drawn)
        .mark_point(filled=True, opacity=1, clip=True, cursor="pointer")
        .encode(
            x=peak,
            y=alt.value(8),
            color=colour,
            shape=shape,
            size=alt.condition(chosen, alt.value(220), alt.value(110)),
            tooltip=tips,
        )
        .add_params(picked)
    )
    return [bars, marks]


def _strip(
    spans: pd.DataFrame, what: str, colours: dict[str, str], title: str, top: int, clock: Clock, x: alt.X
) -> list[alt.Chart]:
    drawn = pd.DataFrame(
        {
            "from": clock.shifted(spans["started_at"]),
            "to": clock.shifted(spans["ended_at"]),
            title: spans[what],
            "colour": [colours.get(name, MUTED) for name in spans[what]],
            "span": [
                f"{clock_text(row.started_at, clock.zone)} – {clock_text(row.ended_at, clock.zone)}"
                for row in records(spans)
            ],
            "reason": spans.get("reason", ""),
        }
    )
    tips = [alt.Tooltip(f"{title}:N"), alt.Tooltip("span:N", title="time"), alt.Tooltip("reason:N")]
    ground = alt.Chart(pd.DataFrame({"word": [title]}))
    line = ground.mark_rule(color=MUTED, opacity=0.35).encode(y=alt.value(top + STRIP_HEIGHT))
    word = ground.mark_text(align="right", color=MUTED, fontSize=11, dx=-8, clip=False).encode(
        text="word:N", x=alt.value(0), y=alt.value(top + STRIP_HEIGHT / 2)
    )
    bars = (
        alt.Chart(drawn)
        .mark_rect(clip=True)
        .encode(
            x=x,
            x2="to:T",
            y=alt.value(top),
            y2=alt.value(top + STRIP_HEIGHT),
            color=alt.Color("colour:N", scale=None),
            tooltip=tips,
        )
    )
    return [line, bars, word]


def _pieces(curve: pd.DataFrame) -> pd.DataFrame:
    """Numbers the stretches of a curve, so that no line is drawn over a gap."""
    step = curve["taken_at"].diff()
    typical = step[step > pd.Timedelta(0)].median() if len(curve) > 1 else pd.Timedelta(0)
    broken = (curve["recording_id"] != curve["recording_id"].shift()) & (step > 1.5 * typical) | (step > 5 * typical)
    return curve.assign(piece=broken.cumsum())


def coarsened(spans: pd.DataFrame, clock: Clock, maximum: int = _SPANS) -> pd.DataFrame:
    """Coverage spans few enough to draw; what went wrong stays visible however short it was.

    Up to `maximum` spans are left as they are. Of more, each of `maximum` equal bins takes the state corrupt or
    missing where it holds any, else the state with the most time in it.
    """
    inside = spans[(spans["ended_at"] > clock.start) & (spans["started_at"] < clock.end)].reset_index(drop=True)
    if len(inside) <= maximum:
        return inside
    edges = np.linspace(clock.start.timestamp(), clock.end.timestamp(), maximum + 1)
    states = inside["state"].to_numpy()
    bounds = np.stack([_seconds(inside["started_at"]), _seconds(inside["ended_at"])], axis=1)
    held = {}
    for state in ("corrupt", "missing", "analysed", "skipped"):
        # Recordings may overlap: a bound never lies before the one ahead of it.
        mine = np.maximum.accumulate(bounds[states == state].reshape(-1))
        # Seconds in this state up to each bound; between two bounds it grows evenly, or not at all.
        gone = np.stack([np.zeros(len(mine) // 2), mine[1::2] - mine[::2]], axis=1).reshape(-1).cumsum()
        held[state] = np.diff(np.interp(edges, mine, gone)) if len(mine) else np.zeros(maximum)
    least = 1e-6
    worse = np.where(held["analysed"] >= held["skipped"], "analysed", "skipped")
    worse = np.where(held["missing"] > least, "missing", worse)
    worse = np.where(held["corrupt"] > least, "corrupt", worse)
    worse = np.where(sum(held.values()) > least, worse, "")
    starts = np.flatnonzero(np.concatenate([[True], worse[1:] != worse[:-1]]))
    stops = np.append(starts[1:], maximum)
    kept = [(worse[a], edges[a], edges[b]) for a, b in zip(starts, stops, strict=True) if worse[a]]
    return pd.DataFrame(
        {
            "state": [state for state, _, _ in kept],
            "reason": "seen from afar: zoom in for the spans",
            "started_at": pd.to_datetime([start for _, start, _ in kept], unit="s", utc=True),
            "ended_at": pd.to_datetime([end for _, _, end in kept], unit="s", utc=True),
        }
    )


def _seconds(moments: pd.Series) -> NDArray[np.float64]:
    """Seconds since 1970."""
    return np.asarray(moments.dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[us]").astype("int64")) / 1e6


def coverage_bars(cameras: pd.DataFrame) -> alt.LayerChart:
    """Stacked bars of a night's coverage, one per camera, as shares of what was recorded, with the numbers beside them.

    Args:
        cameras: columns campaign, camera, recorded_s, analysed_s, skipped_s, corrupt_s, missing_s.
    """
    several = cameras["campaign"].nunique() > 1
    names = [f"{row.camera} · {row.campaign}" if several else row.camera for row in records(cameras)]
    rows = []
    for order, state in enumerate(("analysed", "skipped", "corrupt", "missing")):
        for name, row in zip(names, cameras.to_dict("records"), strict=True):
            value = float(row[f"{state}_s"])
            if value > 0:
                told = f"{duration_text(value)} ({share_text(value, row['recorded_s'])})"
                rows.append({"camera": name, "state": state, "order": order, "seconds": value, "told": told})
    numbers = pd.DataFrame(
        {
            "camera": names,
            "told": [
                f"{share_text(row['analysed_s'], row['recorded_s'])} of {duration_text(row['recorded_s'])}"
                for row in cameras.to_dict("records")
            ],
        }
    )
    y = alt.Y(
        "camera:N", sort=names, axis=alt.Axis(title=None, labelLimit=220, domain=False, ticks=False, labelFontSize=12)
    )
    bars = (
        alt.Chart(pd.DataFrame(rows, columns=["camera", "state", "order", "seconds", "told"]))
        .mark_bar(height=16)
        .encode(
            y=y,
            x=alt.X("seconds:Q", stack="normalize", axis=alt.Axis(title=None, format="%", grid=False, tickCount=4)),
            color=alt.Color(
                "state:N",
                scale=alt.Scale(domain=list(STATES)[:4], range=list(STATES.values())[:4]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            order="order:Q",
            tooltip=[alt.Tooltip("camera:N"), alt.Tooltip("state:N"), alt.Tooltip("told:N", title="time")],
        )
    )
    words = (
        alt.Chart(numbers)
        .mark_text(align="left", dx=8, color=MUTED, fontSize=12)
        .encode(y=y, x=alt.value("width"), text="told:N")
    )
    chart: alt.LayerChart = (
        alt.layer(bars, words)
        .properties(height=alt.Step(26), padding={"right": 170, "left": 4, "top": 4, "bottom": 4}, width="container")
        .configure_view(stroke=None)
    )
    return chart


def run_bars(history: pd.DataFrame, clock_zone: ZoneInfo) -> alt.Chart:
    """How long each run took, oldest on the left, coloured by how it ended.

    Args:
        history: columns run_id, status, started_at, seconds.
    """
    oldest_first = history.sort_values("started_at")
    drawn = pd.DataFrame(
        {
            "run": oldest_first["run_id"],
            "minutes": oldest_first["seconds"] / 60,
            "status": oldest_first["status"],
            "when": [f"{moment.astimezone(clock_zone):%d %b %H:%M}" for moment in oldest_first["started_at"]],
            "took": [duration_text(seconds) for seconds in oldest_first["seconds"]],
        }
    )
    seen = [status for status in STATUSES if status in set(drawn["status"])]
    scale = alt.Scale(domain=seen, range=[STATUSES[status] for status in seen])
    chart: alt.Chart = (
        alt.Chart(drawn)
        .mark_bar(size=14, minBandSize=3)
        .encode(
            x=alt.X("run:N", sort=list(drawn["run"]), axis=None),
            y=alt.Y("minutes:Q", axis=alt.Axis(title="minutes", tickCount=3)),
            color=alt.Color("status:N", scale=scale, legend=alt.Legend(title=None, orient="top")),
            tooltip=["run:N", alt.Tooltip("when:N", title="began"), alt.Tooltip("took:N", title="took"), "status:N"],
        )
        .properties(height=130, width="container")
    )
    return chart
