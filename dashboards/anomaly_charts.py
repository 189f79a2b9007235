"""Charts and pictures of the Anomalies page: arrays and data frames in, Altair charts and pixels out.

Scores are drawn in deviations above the camera's normal, so that cameras, regions and nights share one scale. It is
linear near the normal and logarithmic far above it (symlog): a peak a hundred times the usual leaves the rest readable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import altair as alt
import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboards.charts import ALARM, CURVE, EVENT, MUTED, THRESHOLD
from models.calibration import NormalDistribution

PLACE_RGB = (213, 94, 0)
"""RGB of the box around the place of an event, as alarms are drawn."""
REGION_RGB = (230, 159, 0)
"""RGB of a region's outline, as on the Regions page."""
FAINT = 48
"""Grey levels of error that are shown at full brightness at least."""
FILM_GAP = 4
"""Pixels between the pictures of a strip."""
BARS = 70
PART_HEIGHT, NORMAL_HEIGHT, NIGHTS_HEIGHT = 24, 130, 330
BENT_AT = 4.0
"""Deviations about which the scale turns from linear to logarithmic."""
PARTS: Mapping[str, str] = {
    "direction": "direction of motion",
    "speed": "speed of motion",
    "moving": "how much moves",
    "error": "what could not be reconstructed",
}
"""What the parts of a score are called on the page; others keep their name."""

Rgb = NDArray[np.uint8]


def parts_bars(parts: Sequence[tuple[str, float]]) -> alt.LayerChart:
    """The parts of a score as bars, the largest on top, with their shares beside them.

    Args:
        parts: name and share of each; shares add to 1.
    """
    drawn = pd.DataFrame(
        {
            "part": [PARTS.get(name, name) for name, _ in parts],
            "share": [share for _, share in parts],
            "told": [f"{share:.0%}" for _, share in parts],
        }
    )
    axis = alt.Axis(title=None, labelLimit=190, domain=False, ticks=False, labelFontSize=12)
    y = alt.Y("part:N", sort=list(drawn["part"]), axis=axis)
    x = alt.X("share:Q", scale=alt.Scale(domain=[0, 1]), axis=None)
    bars = (
        alt.Chart(drawn).mark_bar(height=14, color=ALARM, cornerRadiusEnd=2).encode(y=y, x=x, tooltip=["part", "told"])
    )
    words = alt.Chart(drawn).mark_text(align="left", dx=6, color=MUTED, fontSize=12).encode(y=y, x=x, text="told:N")
    chart: alt.LayerChart = (
        alt.layer(bars, words)
        .properties(
            height=alt.Step(PART_HEIGHT), width="container", padding={"right": 34, "left": 4, "top": 2, "bottom": 2}
        )
        .configure_view(stroke=None)
    )
    return chart


def normal_chart(
    usual: NormalDistribution, middle: float, spread: float, peak: float, threshold: float | None
) -> alt.LayerChart:
    """Where an event's peak lies beside what the camera usually scores.

    Args:
        usual: distribution of the camera's normal scores.
        middle, spread: their median and robust standard deviation, above 0.
        peak: score of the event's peak.
        threshold: what it was held against; None where that is not known.
    """
    peak = (peak - middle) / spread
    threshold = None if threshold is None else (threshold - middle) / spread
    knots = (usual.scores - middle) / spread
    lowest, highest = min(float(knots[0]), -1.0), max(float(knots[-1]), peak, threshold or 0.0) * 1.15
    edges = _unbent(np.linspace(_bent(lowest), _bent(highest), BARS + 1))
    share = np.diff(usual.fraction_below(np.minimum(middle + edges * spread, np.nextafter(usual.scores[-1], -np.inf))))
    drawn = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "share": share})
    drawn = drawn[drawn["share"] > 0]
    drawn["tall"] = np.sqrt(drawn["share"] / drawn["share"].max())
    drawn["told"] = [f"{one:.2%} of the usual scores" for one in drawn["share"]]
    scale = alt.Scale(type="symlog", constant=BENT_AT, domain=[lowest, highest], nice=False)
    axis = alt.Axis(title=None, grid=False, values=_ticks(highest))
    x = alt.X("from:Q", scale=scale, axis=axis)
    tall = alt.Y("tall:Q", scale=alt.Scale(domain=[0, 1.3]), axis=None)
    layers: list[alt.Chart] = [
        alt.Chart(drawn)
        .mark_rect(color=CURVE, opacity=0.75, stroke=None)
        .encode(x=x, x2="to:Q", y=tall, y2=alt.datum(0), tooltip=alt.Tooltip("told:N", title="here"))
    ]
    marks = [("this event", peak, ALARM, 3.0)]
    if threshold is not None:
        marks.append(("threshold", threshold, THRESHOLD, 1.5))
    for word, value, colour, width in marks:
        rule = alt.Chart(pd.DataFrame({"from": [value], "word": [f"{word} {value:.1f}"]}))
        dash = [5, 4] if width < 2 else [1, 0]
        layers.append(
            rule.mark_rule(color=colour, strokeWidth=width, strokeDash=dash).encode(
                x=x, tooltip=alt.Tooltip("word:N", title="")
            )
        )
        beside = value > _unbent(np.array([_bent(highest) * 0.7]))[0]
        layers.append(
            rule.mark_text(
                color=colour, align="right" if beside else "left", dx=-5 if beside else 5, fontSize=12, baseline="top"
            ).encode(x=x, y=alt.value(0 if width > 2 else 16), text="word:N")
        )
    chart: alt.LayerChart = (
        alt.layer(*layers).properties(height=NORMAL_HEIGHT, width="container").configure_view(stroke=None)
    )
    return chart


@dataclass(frozen=True, eq=False)
class NightsData:
    """What the chart of recent nights shows.

    Attributes:
        labels: a few words for each night, in order.
        curves: columns night (number), piece (of what hangs together), at (0 to 1 within the night), when (words),
            deviations.
        found: events at the line: columns night, at, when, deviations, kind (`alarm` or `event`).
        budget: columns night, deviations, told: the threshold of each night before any person's choice.
        line: the threshold that is tried, in deviations; None where none is.
    """

    labels: tuple[str, ...]
    curves: pd.DataFrame
    found: pd.DataFrame
    budget: pd.DataFrame
    line: float | None


def nights_chart(data: NightsData) -> alt.LayerChart:
    """Scores of recent nights side by side, the threshold that is tried as a line, and the events above it."""
    count = len(data.labels)
    words = "[" + ", ".join(f"'{label}'" for label in data.labels) + "]"
    axis = alt.Axis(
        title=None,
        values=[night + 0.5 for night in range(count)],
        labelExpr=f"{words}[floor(datum.value)]",
        labelFontSize=12,
        labelOverlap=True,
        grid=False,
        ticks=False,
        domain=False,
    )
    x_scale = alt.Scale(domain=[0, count], nice=False)
    top = max([float(data.curves["deviations"].max()) if len(data.curves) else 0.0, data.line or 0.0, 6.0]) * 1.2
    y_scale = alt.Scale(type="symlog", constant=BENT_AT, domain=[-2, top], nice=False, clamp=True)
    y_axis = alt.Axis(title="deviations above normal", titleColor=MUTED, values=_ticks(top), gridOpacity=0.35)
    y = alt.Y("deviations:Q", scale=y_scale, axis=y_axis)

    def placed(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(x=rows["night"] + 0.03 + 0.94 * rows["at"]) if len(rows) else rows.assign(x=[])

    x = alt.X("x:Q", scale=x_scale, axis=axis)
    tips = [alt.Tooltip("when:N", title="time"), alt.Tooltip("deviations:Q", title="deviations", format=".1f")]
    curve = (
        alt.Chart(placed(data.curves))
        .mark_line(color=CURVE, strokeWidth=1.1, clip=True)
        .encode(x=x, y=y, detail="piece:N", tooltip=tips)
    )
    bars = data.budget.assign(x=data.budget["night"] + 0.01, end=data.budget["night"] + 0.99)
    budget = (
        alt.Chart(bars)
        .mark_rule(color=THRESHOLD, strokeWidth=2, strokeDash=[3, 3])
        .encode(x=x, x2="end:Q", y=y, tooltip=alt.Tooltip("told:N", title=""))
    )
    told = placed(data.found)
    told = told.assign(colour=[ALARM if kind == "alarm" else EVENT for kind in told["kind"]])
    marks = (
        alt.Chart(told)
        .mark_point(filled=True, opacity=1, size=70, stroke="white", strokeWidth=0.8)
        .encode(x=x, y=y, color=alt.Color("colour:N", scale=None), tooltip=[*tips, alt.Tooltip("kind:N")])
    )
    chart: alt.LayerChart = (
        alt.layer(curve, budget, *_line(data.line, y), marks)
        .properties(height=NIGHTS_HEIGHT, width="container")
        .configure_view(stroke=None)
    )
    return chart


def _line(deviations: float | None, y: alt.Y) -> list[alt.Chart]:
    if deviations is None:
        return []
    drawn = pd.DataFrame({"deviations": [deviations], "told": [f"this line: {deviations:.1f}"]})
    rule = alt.Chart(drawn).mark_rule(color=ALARM, strokeWidth=2)
    return [rule.encode(y=y, tooltip=alt.Tooltip("told:N", title=""))]


def highest_of_bins(values: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Places of the highest of each of `bins` runs of equal length, int64 (≤ `bins`,); all places where there are fewer."""
    if len(values) <= bins:
        return np.arange(len(values), dtype=np.int64)
    edges = np.linspace(0, len(values), bins + 1).round().astype(np.int64)
    kept = [int(a + np.argmax(values[a:b])) for a, b in pairwise(edges)]
    return np.array(kept, dtype=np.int64)


def marked(
    picture: Rgb,
    place: tuple[float, float, float, float] | None,
    outline: Sequence[tuple[float, float]] | None = None,
) -> Rgb:
    """A picture with the place of an event as a box and the region's outline drawn in.

    Args:
        picture: uint8 (H, W, 3).
        place: (x, y, width, height) in fractions of the picture.
        outline: corners in fractions of the picture.
    """
    shown = picture.copy()
    height, width = shown.shape[:2]
    thin = max(1, round(width / 500))
    if outline is not None:
        corners = np.rint(np.array(outline) * [width - 1, height - 1]).astype(np.int32)
        cv2.polylines(shown, [corners], isClosed=True, color=REGION_RGB, thickness=thin, lineType=cv2.LINE_AA)
    if place is not None:
        x, y, wide, high = place
        first = round(x * (width - 1)), round(y * (height - 1))
        last = round((x + wide) * (width - 1)), round((y + high) * (height - 1))
        # White under the colour: it shows on dark and on bright ground.
        cv2.rectangle(shown, first, last, (255, 255, 255), 2 * thin + 2)
        cv2.rectangle(shown, first, last, PLACE_RGB, 2 * thin)
    return np.asarray(shown, dtype=np.uint8)


def film(pictures: Sequence[Rgb | None]) -> Rgb | None:
    """Pictures of one size side by side; those that are not there stay grey. None where none is there."""
    there = [picture for picture in pictures if picture is not None]
    if not there:
        return None
    grey = np.full_like(there[0], 128)
    gap = np.full((there[0].shape[0], FILM_GAP, 3), 255, dtype=np.uint8)
    row = [part for picture in pictures for part in (gap, grey if picture is None else picture)][1:]
    return np.asarray(np.hstack(row), dtype=np.uint8)


def grey_picture(grey: NDArray[np.uint8], size: tuple[int, ...]) -> Rgb:
    """A grey picture (H, W) as RGB, stretched to `size`, height and width."""
    large = cv2.resize(grey, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(large, cv2.COLOR_GRAY2RGB), dtype=np.uint8)


def error_picture(error: NDArray[np.uint8], size: tuple[int, ...]) -> Rgb:
    """An error map (H, W), in grey levels, in colours from black over red to yellow, stretched to `size`.

    The brightest is the largest error, or `FAINT` where all are smaller, so that nothing is made to look like something.
    """
    full = max(int(error.max()), FAINT)
    scaled = np.clip(error.astype(np.float32) * (255 / full), 0, 255).astype(np.uint8)
    large = cv2.resize(scaled, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(large, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _bent(value: float) -> float:
    return float(np.sign(value) * np.log1p(abs(value) / BENT_AT))


def _unbent(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sign(values) * BENT_AT * np.expm1(np.abs(values)))


def _ticks(highest: float) -> list[int]:
    return [tick for tick in (0, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000) if tick <= highest]
