"""The chart of the Alarms page: probabilities around an event against the threshold that raised it."""

from dataclasses import dataclass
from datetime import datetime

import altair as alt
import pandas as pd

from dashboards.charts import ALARM, CURVE, MUTED, THRESHOLD
from dashboards.clock import Clock
from dashboards.wording import clock_text

HEIGHT = 190
POINT_SIZE, PEAK_SIZE = 22, 90


@dataclass(frozen=True, eq=False)
class Raised:
    """What raised an alarm.

    Attributes:
        curve: columns recording_id, taken_at, seconds, probability, in order of time; at least one row.
        span: when the event begins and ends.
        peak_at: its highest probability.
        threshold: what it was held against; None where that is not known.
    """

    curve: pd.DataFrame
    span: tuple[datetime, datetime]
    peak_at: datetime
    threshold: float | None


def probability_chart(raised: Raised, clock: Clock) -> alt.LayerChart:
    """Probabilities over time, the event as a band behind them, the threshold as a line."""
    scale = alt.Scale(type="utc", nice=False, domain=clock.domain_ms)
    axis = alt.Axis(title=None, labelExpr=clock.label_expression, grid=False, tickCount=8, labelOverlap=True)
    x = alt.X("from:T", scale=scale, axis=axis)
    y_axis = alt.Axis(
        title="probability", titleColor=MUTED, values=[0, 0.25, 0.5, 0.75, 1], gridOpacity=0.35, format=".2~f"
    )
    y = alt.Y("probability:Q", scale=alt.Scale(domain=[0, 1], nice=False), axis=y_axis)
    chart: alt.LayerChart = (
        alt.layer(_band(raised, clock, x), *_threshold(raised, y), *_curve(raised, clock, x, y))
        .properties(height=HEIGHT, width="container")
        .configure_view(stroke=None)
    )
    return chart


def _band(raised: Raised, clock: Clock, x: alt.X) -> alt.Chart:
    began, ended = (clock.shifted(pd.Series(pd.to_datetime([moment], utc=True))) for moment in raised.span)
    told = " – ".join(clock_text(moment, clock.zone) for moment in raised.span)
    drawn = pd.DataFrame({"from": began, "to": ended, "told": [told]})
    band: alt.Chart = (
        alt.Chart(drawn)
        .mark_rect(color=ALARM, opacity=0.16, clip=True)
        .encode(x=x, x2="to:T", tooltip=alt.Tooltip("told:N", title="event"))
    )
    return band


def _threshold(raised: Raised, y: alt.Y) -> list[alt.Chart]:
    if raised.threshold is None:
        return []
    word = f"threshold {raised.threshold:.2f}"
    drawn = alt.Chart(pd.DataFrame({"probability": [raised.threshold], "word": [word]}))
    rule = drawn.mark_rule(color=THRESHOLD, strokeDash=[5, 4], strokeWidth=1.5)
    below = raised.threshold > 0.85
    words = drawn.mark_text(
        color=THRESHOLD, align="left", fontSize=12, dx=5, dy=9 if below else -7, baseline="middle"
    ).encode(y=y, x=alt.value(0), text="word:N")
    return [rule.encode(y=y, tooltip=alt.Tooltip("word:N", title="")), words]


def _curve(raised: Raised, clock: Clock, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    curve = raised.curve
    # A probability is about a span: it stands in its middle.
    middle = curve["taken_at"] + pd.to_timedelta(curve["seconds"] / 2, unit="s")
    step = middle.diff()
    typical = step[step > pd.Timedelta(0)].median()
    drawn = pd.DataFrame(
        {
            "from": clock.shifted(middle),
            "probability": curve["probability"],
            "piece": (step > 2.5 * typical).cumsum(),
            "at": [clock_text(moment, clock.zone) for moment in middle],
        }
    )
    tips = [alt.Tooltip("at:N", title="time"), alt.Tooltip("probability:Q", format=".2f")]
    base = alt.Chart(drawn)
    peak = (middle - pd.Timestamp(raised.peak_at)).abs().idxmin()
    line = 1.0 if raised.threshold is None else raised.threshold
    marked = drawn.assign(
        colour=[ALARM if probability > line else CURVE for probability in drawn["probability"]],
        size=[PEAK_SIZE if number == peak else POINT_SIZE for number in drawn.index],
    )
    points = alt.Chart(marked).mark_circle(opacity=1, clip=True)
    return [
        base.mark_line(color=CURVE, strokeWidth=1.4, clip=True).encode(x=x, y=y, detail="piece:N", tooltip=tips),
        points.encode(
            x=x,
            y=y,
            color=alt.Color("colour:N", scale=None),
            size=alt.Size("size:Q", scale=None),
            tooltip=tips,
        ),
    ]
