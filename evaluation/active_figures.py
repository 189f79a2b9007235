"""Figure of active learning: what a head comes to by the labels it was given; the same bytes from the same numbers."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.active_choice import STRATEGIES
from evaluation.active_tables import values
from evaluation.anomaly_figures import COLOURS, DrawnFigure
from evaluation.figures import png
from evaluation.protocols.active_learning import ActiveReport

DPI = 90
PANELS = (
    ("frame_auc", "frame AUC of test videos"),
    ("recall", "recall of relevant frames, margin above 0"),
    ("relevant_share", "relevant ones among the labels"),
)
TITLE = "By number of labels; bands are one deviation over seeds, whose videos differ"


def figures_of(report: ActiveReport, name: str) -> list[DrawnFigure]:
    """The report's figure; its file begins with `name`."""
    return [DrawnFigure(TITLE, f"{name}.png", labels_figure(report))]


def labels_figure(report: ActiveReport) -> bytes:
    """A PNG: a row for each encoder, a panel for each of AUC, recall and share of relevant labels."""
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9}):
        size = (4.4 * len(PANELS), 3.3 * len(report.encoders) + 0.3)
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        panels = figure.subplots(len(report.encoders), len(PANELS), squeeze=False)
        for row, encoder in enumerate(report.encoders):
            for column, (metric, title) in enumerate(PANELS):
                _drawn(panels[row][column], report, encoder, metric)
                if row == 0:
                    panels[row][column].set_title(title)
            panels[row][0].set_ylabel(encoder)
            panels[row][0].legend(fontsize=8)
        return png(figure)


def _drawn(panel: Axes, report: ActiveReport, encoder: str, metric: str) -> None:
    for colour, strategy in zip(COLOURS, STRATEGIES, strict=False):
        held = values(report, encoder, strategy, metric)
        labels = values(report, encoder, strategy, "labels").mean(axis=0)
        # Where nothing is left to ask, a line ends.
        kept = np.append(True, np.diff(labels) > 0)
        labels, mean = labels[kept], held.mean(axis=0)[kept]
        width = 2.2 if strategy == "queue" else 1.2
        panel.plot(labels, mean, color=colour, linewidth=width, marker="o", markersize=3, label=strategy)
        if len(held) > 1:
            spread = held.std(axis=0, ddof=1)[kept]
            panel.fill_between(labels, mean - spread, mean + spread, color=colour, alpha=0.12, linewidth=0)
    panel.set_xlabel("labels")
    panel.grid(linewidth=0.4, alpha=0.5)
