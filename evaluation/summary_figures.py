"""Figures of summaries: what is shown against a summary's length, and how people's agreement is spread over videos; the same bytes
from the same numbers."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.anomaly_figures import COLOURS, DrawnFigure
from evaluation.figures import png
from evaluation.protocols.summaries import METRICS, SummaryReport
from evaluation.protocols.summary_campaign import CURVES, FOOTAGE, SHARES, CampaignReport
from evaluation.summary_choices import ORACLE, OWN, RANDOM, UNIFORM
from evaluation.summary_tables import PEOPLE_TITLES, SHOWN_TITLES

DPI = 100
BLIND = (RANDOM, UNIFORM, ORACLE)
"""Drawn dashed: nothing of the footage is known to them, or everything."""


def figures_of(report: SummaryReport | CampaignReport, name: str) -> list[DrawnFigure]:
    """All figures of a report; their files begin with `name`."""
    if isinstance(report, SummaryReport):
        return [DrawnFigure("Every video by each method", f"{name}.png", videos_figure(report))]
    title = "Anomalous share and recall of the cameras' summaries by their length"
    return [DrawnFigure(title, f"{name}.png", lengths_figure(report))]


def lengths_figure(report: CampaignReport) -> bytes:
    """A PNG: a line for each method over the length of a summary, share to the left and recall to the right."""
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9}):
        figure = Figure(figsize=(10.0, 4.2), dpi=DPI, layout="constrained")
        panels = figure.subplots(1, len(CURVES))
        for place, (panel, metric) in enumerate(zip(panels, CURVES, strict=True)):
            for number, (method, curve) in enumerate(report.curves.items()):
                panel.plot(
                    100 * np.array(SHARES),
                    curve[:, place],
                    color=COLOURS[number % len(COLOURS)],
                    linestyle="--" if method in BLIND else "-",
                    linewidth=2.2 if method.split()[0] == OWN else 1.2,
                    marker="o",
                    markersize=3,
                    label=method,
                )
            panel.set_xlabel("length of the summary, % of the footage")
            panel.set_ylabel(SHOWN_TITLES[metric])
            _framed(panel)
        (whole,) = [one.value for one in report.results if one.name == FOOTAGE]
        panels[0].axhline(whole, color="0.6", linewidth=0.8)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
        return png(figure)


def videos_figure(report: SummaryReport) -> bytes:
    """A PNG: a panel for each metric, a box for each method over the videos."""
    names = list(report.methods)
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9}):
        figure = Figure(figsize=(2.0 + 0.5 * len(METRICS) * (len(names) + 1), 3.6), dpi=DPI, layout="constrained")
        panels = figure.subplots(1, len(METRICS))
        for place, (panel, metric) in enumerate(zip(panels, METRICS, strict=True)):
            columns = [told[np.isfinite(told[:, place]), place] for told in report.methods.values()]
            _boxes(panel, columns)
            panel.set_xticks(range(1, len(names) + 1), names, rotation=30, ha="right")
            panel.set_title(PEOPLE_TITLES[metric])
            if place >= len(METRICS) // 2:
                panel.axhline(0, color="0.6", linewidth=0.8)
        return png(figure)


def _boxes(panel: Axes, columns: Sequence[np.ndarray]) -> None:
    places = list(range(1, len(columns) + 1))
    boxes = panel.boxplot(columns, positions=places, widths=0.55, showfliers=False, manage_ticks=False)
    for kind in ("boxes", "whiskers", "caps", "medians"):
        for artist in boxes[kind]:
            artist.set_color(COLOURS[0])
    for place, held in zip(places, columns, strict=True):
        # Spread evenly, not by chance, so that equal values can be told apart.
        spread = [place + 0.4 * ((number + 0.5) / max(1, len(held)) - 0.5) for number in range(len(held))]
        panel.plot(spread, held, "o", color=COLOURS[1], markersize=3, alpha=0.7, markeredgewidth=0)
    panel.grid(axis="y", linewidth=0.4, alpha=0.5)


def _framed(panel: Axes) -> None:
    panel.set_ylim(-0.03, 1.03)
    panel.grid(linewidth=0.4, alpha=0.5)
