"""Charts of a review: the campaign day by day, relevant bright and irrelevant dark, with labels and truth; its curves.

Each day is a band, so that weeks fit on one screen; within it time of day runs to the right. Colours are Okabe and
Ito's; labels differ in shape too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboards.wording import day_text

PICKED = "picked"
"""Name of the selection that holds the cell clicked on, by `row`."""
BINS = 480
MOST_DAYS = 60
"""Bands that are drawn at a time."""
BAND, TRUTH_BAND, STEP = 26, 5, 44
RELEVANT, IRRELEVANT, TRUTH, HERE = "#E69F00", "#0B2540", "#009E73", "#CC79A7"
UNKNOWN = "#8A929C"
SHADES = ("#0B2540", "#1F4E79", "#56719A", "#B08D57", "#E69F00", "#FFD34D")
"""From irrelevant (dark) to relevant (bright)."""


@dataclass(frozen=True, eq=False)
class Strip:
    """What is drawn of a review.

    Attributes:
        from_us, to_us: int64 (N,), rows in order of time, microseconds since 1970.
        shade: float (N,), 0 irrelevant to 1 relevant; nan where nothing is known.
        labelled: rows with an answer, and the answers.
        truth: (start, end) of what is known to be relevant; None where no truth is shown.
        here: the row that is looked at.
    """

    from_us: NDArray[np.int64]
    to_us: NDArray[np.int64]
    shade: NDArray[np.float64]
    labelled: Sequence[tuple[int, bool]]
    truth: Sequence[tuple[datetime, datetime]] | None
    here: int | None


def shades(scores: NDArray[np.float32] | None, threshold: float | None, count: int) -> NDArray[np.float64]:
    """Brightness of rows, float64 (N,) in [0, 1]: ½ at the threshold, by rank on either side of it.

    Ranks, because margins and similarities have no scale that an eye could read; without a threshold the upper
    twentieth of the ranking is bright.
    """
    if scores is None:
        return np.full(count, np.nan)
    order = np.argsort(np.argsort(scores, kind="stable"), kind="stable") / max(1, len(scores) - 1)
    if threshold is None:
        return np.asarray(np.clip((order - 0.5) / 0.45, 0.0, 1.0) * 0.9)
    above = scores > threshold
    shade = np.empty(len(scores))
    for side, low, high in ((~above, 0.0, 0.42), (above, 0.62, 1.0)):
        part = order[side]
        if len(part):
            spread = float(part.max() - part.min())
            shade[side] = low + (high - low) * ((part - part.min()) / spread if spread else 0.5)
    return shade


def days_of(strip: Strip, zone: ZoneInfo) -> list[date]:
    """The days that rows begin on, in order."""
    return [date.fromisoformat(day) for day in np.unique(_local(strip.from_us, zone)[0])]


def windows(days: Sequence[date], most: int = MOST_DAYS) -> list[list[date]]:
    """Days in portions of at most `most`, the newest first; within each in order."""
    return [list(days[max(0, end - most) : end]) for end in range(len(days), 0, -most)]


def days_drawn(strip: Strip, zone: ZoneInfo, window: Sequence[date]) -> list[date]:
    """The days of a window, and that of the row which is looked at, in order."""
    here = [] if strip.here is None else [_local(strip.from_us[[strip.here]], zone)[0][0]]
    return sorted({*window, *(date.fromisoformat(day) for day in here)})


def days_chart(strip: Strip, zone: ZoneInfo, shown: Sequence[date]) -> alt.LayerChart:
    """The bands of a campaign's days, newest last; a click on a cell puts its row into the selection `PICKED`.

    Args:
        strip: what is drawn.
        zone: of the site.
        shown: the days that are drawn, as `days_drawn` tells them.
    """
    cells = _cells(strip, zone)
    days = sorted(day.isoformat() for day in shown)
    cells = cells[cells["day"].isin(days)]
    low, high = float(cells["from"].min()), float(cells["to"].max())
    names = [day_text(date.fromisoformat(day)) for day in days]
    cells["band"] = cells["day"].map(dict(zip(days, names, strict=True)))
    y = alt.Y(
        "band:N",
        sort=names,
        title=None,
        axis=alt.Axis(domain=False, ticks=False, labelPadding=8),
        scale=alt.Scale(paddingInner=0.25),
    )
    x_scale = alt.Scale(domain=[low, high], nice=False)
    axis = alt.Axis(title=None, grid=False, labelExpr=_clock_expression(high - low), tickCount=10, labelOverlap=True)
    x = alt.X("from:Q", scale=x_scale, axis=axis)
    picked = alt.selection_point(name=PICKED, fields=["row"], on="click", clear=False, toggle=False)
    heat = (
        alt.Chart(cells)
        .mark_rect(cursor="pointer", stroke=None)
        .encode(
            x=x,
            x2="to:Q",
            y=y,
            color=alt.Color("colour:N", scale=None),
            tooltip=[alt.Tooltip("clock:N", title="go to"), alt.Tooltip("told:N", title="relevance")],
        )
        .add_params(picked)
    )
    layers: list[alt.Chart] = [heat]
    if strip.truth is not None:
        layers.append(_truth_layer(strip.truth, zone, days, names, y, x))
    marks = _marks(strip, zone, days, names)
    layers.append(
        alt.Chart(marks)
        .mark_point(filled=True, size=70, opacity=1, stroke="white", strokeWidth=0.8, cursor="pointer")
        .encode(
            x=alt.X("at:Q", scale=x_scale),
            y=y,
            shape=alt.Shape(
                "word:N",
                scale=alt.Scale(domain=["relevant", "not relevant"], range=["triangle-up", "square"]),
                legend=None,
            ),
            color=alt.Color(
                "word:N",
                scale=alt.Scale(domain=["relevant", "not relevant"], range=["#D55E00", "#56B4E9"]),
                legend=None,
            ),
            tooltip=[alt.Tooltip("clock:N", title="labelled"), alt.Tooltip("word:N", title="as")],
        )
    )
    if strip.here is not None:
        here = _at(strip, [strip.here], zone, days, names)
        layers.append(
            alt.Chart(here)
            .mark_tick(color=HERE, thickness=3, height=BAND + 8)
            .encode(x=alt.X("at:Q", scale=x_scale), y=y)
        )
    height = STEP * len(days) + 8
    chart: alt.LayerChart = (
        alt.layer(*layers)
        .resolve_scale(color="independent", shape="independent")
        .properties(height=height, width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
        .configure_view(stroke=None)
    )
    return chart


def _cells(strip: Strip, zone: ZoneInfo) -> pd.DataFrame:
    """Cells of equal width on each day's band: the brightest row in it stands for it."""
    day, second = _local(strip.from_us, zone)
    width = np.maximum((strip.to_us - strip.from_us) / 1e6, 0.04)
    span = max(1.0, float((second + width).max() - second.min()))
    cell = ((second - second.min()) / span * BINS).astype(np.int64)
    bright = np.where(np.isnan(strip.shade), -1.0, strip.shade)
    frame = pd.DataFrame({"day": day, "cell": cell, "bright": bright, "row": np.arange(len(cell))})
    best = frame.loc[frame.groupby(["day", "cell"], sort=True)["bright"].idxmax()]
    rows = best["row"].to_numpy()
    ends = frame.assign(end=second + width).groupby(["day", "cell"], sort=True)["end"].max().to_numpy()
    starts = frame.assign(start=second).groupby(["day", "cell"], sort=True)["start"].min().to_numpy()
    # A picture stands for a moment; drawn no thinner than a cell it can be clicked on.
    ends = np.maximum(ends, starts + span / BINS)
    shade = strip.shade[rows]
    told = ["not known yet" if np.isnan(value) else f"{value:.0%}" for value in shade]
    return pd.DataFrame(
        {
            "day": best["day"].to_numpy(),
            "from": starts,
            "to": ends,
            "colour": _colours(shade),
            "row": rows,
            "clock": [_clock(value) for value in second[rows]],
            "told": told,
        }
    )


def _colours(shade: NDArray[np.float64]) -> list[str]:
    """Between the colours of `SHADES`, as they are from 0 to 1; grey where nothing is known."""
    stops = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in SHADES])
    known = np.nan_to_num(shade) * (len(SHADES) - 1)
    parts = [np.interp(known, np.arange(len(SHADES)), stops[:, channel]) for channel in range(3)]
    told = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in np.rint(np.stack(parts, axis=1)).astype(int)]
    return [UNKNOWN if np.isnan(value) else colour for value, colour in zip(shade, told, strict=True)]


def _truth_layer(
    truth: Sequence[tuple[datetime, datetime]], zone: ZoneInfo, days: list[str], names: list[str], y: alt.Y, x: alt.X
) -> alt.Chart:
    rows = []
    for start, end in truth:
        local = start.astimezone(zone)
        day = local.date().isoformat()
        if day in days:
            second = _second_of_day(local)
            rows.append({"band": names[days.index(day)], "from": second, "to": second + (end - start).total_seconds()})
    drawn = pd.DataFrame(rows, columns=["band", "from", "to"])
    drawn["clock"] = [_clock(value) for value in drawn["from"]]
    bars: alt.Chart = alt.Chart(drawn).mark_bar(color=TRUTH, height=TRUTH_BAND, yOffset=BAND / 2 + 3)
    shown: alt.Chart = bars.encode(x=x, x2="to:Q", y=y, tooltip=[alt.Tooltip("clock:N", title="true from")])
    return shown


def _marks(strip: Strip, zone: ZoneInfo, days: list[str], names: list[str]) -> pd.DataFrame:
    rows = [row for row, _ in strip.labelled]
    marks = _at(strip, rows, zone, days, names, keep=True)
    marks["word"] = ["relevant" if answer else "not relevant" for _, answer in strip.labelled]
    return marks.dropna(subset=["band"])


def _at(
    strip: Strip, rows: Sequence[int], zone: ZoneInfo, days: list[str], names: list[str], *, keep: bool = False
) -> pd.DataFrame:
    at = np.array(rows, dtype=np.int64)
    day, second = _local((strip.from_us[at] + strip.to_us[at]) // 2, zone)
    of_day = dict(zip(days, names, strict=True))
    told = pd.DataFrame(
        {"band": [of_day.get(one) for one in day], "at": second, "clock": [_clock(one) for one in second]}
    )
    return told if keep else told.dropna(subset=["band"])


def _local(moments_us: NDArray[np.int64], zone: ZoneInfo) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """Day (ISO) and second of the day of moments, in the site's zone."""
    local = pd.to_datetime(pd.Series(moments_us), unit="us", utc=True).dt.tz_convert(zone)
    naive = local.dt.tz_localize(None)
    midnight = naive.dt.normalize()
    second = (naive - midnight).dt.total_seconds().to_numpy()
    codes, days = pd.factorize(midnight)
    names = np.array([f"{day:%Y-%m-%d}" for day in days], dtype=object)
    return names[codes], np.asarray(second, dtype=np.float64)


def _second_of_day(moment: datetime) -> float:
    return (moment - datetime.combine(moment.date(), time(), moment.tzinfo)).total_seconds()


def _clock(second: float) -> str:
    return str(timedelta(seconds=round(second))).zfill(8)


def _clock_expression(span_s: float) -> str:
    form = "%H:%M:%S" if span_s < 1800 else "%H:%M"
    return f"utcFormat(datum.value * 1000, '{form}')"


def recall_chart(minutes: NDArray[np.float64], recall: NDArray[np.float64], recorded: float) -> alt.LayerChart:
    """Share of the true moments that were looked at, by minutes of footage looked at, beside looking at everything."""
    told = pd.DataFrame({"minutes": minutes, "recall": recall})
    even = pd.DataFrame({"minutes": [0.0, recorded], "recall": [0.0, 1.0]})
    x = alt.X("minutes:Q", title="minutes looked at", scale=alt.Scale(domain=[0, recorded], nice=False))
    y = alt.Y("recall:Q", title="true moments seen", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    chart: alt.LayerChart = (
        alt.layer(
            alt.Chart(even).mark_line(color="#8A929C", strokeDash=[5, 4]).encode(x=x, y=y),
            alt.Chart(told).mark_line(color=RELEVANT, interpolate="step-after", strokeWidth=2).encode(x=x, y=y),
        )
        .properties(height=220)
        .configure_view(stroke=None)
    )
    return chart


def budget_chart(curve: pd.DataFrame, needed: int | None) -> alt.LayerChart:
    """Quality by number of labels, mean and one standard deviation; the number that suffices is marked.

    Args:
        curve: columns labels, mean, low, high.
        needed: labels that suffice, if any number does.
    """
    x = alt.X("labels:Q", title="labels", scale=alt.Scale(type="log", base=2, nice=False))
    y = alt.Y("mean:Q", title="average precision", scale=alt.Scale(domain=[0, 1]))
    layers: list[alt.Chart] = [
        alt.Chart(curve).mark_area(color=RELEVANT, opacity=0.2).encode(x=x, y=alt.Y("low:Q"), y2="high:Q"),
        alt.Chart(curve)
        .mark_line(color=RELEVANT, point=True)
        .encode(x=x, y=y, tooltip=["labels", "mean", "low", "high"]),
    ]
    if needed is not None:
        rule = pd.DataFrame({"labels": [needed]})
        layers.append(alt.Chart(rule).mark_rule(color=TRUTH, strokeDash=[4, 4]).encode(x=x))
    chart: alt.LayerChart = alt.layer(*layers).properties(height=220).configure_view(stroke=None)
    return chart
