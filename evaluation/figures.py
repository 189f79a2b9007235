"""The box plot of the few-shot experiment; drawn without a display, the same bytes from the same scores."""

import io
import math

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evaluation.protocols.few_shot_retrieval import FewShotReport
from evaluation.tables import by_run_and_unit

PANELS = (
    ("accuracy", "frame accuracy"),
    ("precision", "frame precision"),
    ("recall", "frame recall"),
    ("event_recall_70", "event recall @ TO 70 %"),
    ("event_precision_70", "event precision @ TO 70 %"),
)
BOX, DOT = "#0072B2", "#E69F00"
DPI = 100


def box_plot(report: FewShotReport, part: str) -> bytes:
    """A PNG: a row for each encoder, a panel for each metric, a box for each budget over run × unit.

    Boxes reach from the first to the third quartile, whiskers over the last values within 1.5 times that; dots are the
    single values, as in S0's figure 5.
    """
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9}):
        rows, columns = len(report.encoders), len(PANELS)
        figure = Figure(figsize=(3.1 * columns, 2.9 * rows + 0.3), dpi=DPI, layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for row, encoder in enumerate(report.encoders):
            values = _values(report, encoder, part)
            for column, (metric, title) in enumerate(PANELS):
                _panel(panels[row][column], [by_budget[metric] for by_budget in values.values()], list(values))
                if row == 0:
                    panels[row][column].set_title(title)
                if row == rows - 1:
                    panels[row][column].set_xlabel("labels asked for of each class")
            panels[row][0].set_ylabel(encoder)
        return png(figure)


def png(figure: Figure) -> bytes:
    """A figure as it is on any machine; to be called inside its `rc_context`."""
    target = io.BytesIO()
    FigureCanvasAgg(figure)
    # The writer's own name and version would change the bytes with the library.
    figure.savefig(target, format="png", metadata={"Software": None})
    return target.getvalue()


def _values(report: FewShotReport, encoder: str, part: str) -> dict[int, dict[str, list[float]]]:
    """By budget and metric, what is defined over run × unit."""
    told: dict[int, dict[str, list[float]]] = {}
    for budget in sorted(report.settings.budgets):
        scores = [s for s in report.scores if (s.encoder, s.part, s.budget) == (encoder, part, budget)]
        found = by_run_and_unit(scores).values()
        told[budget] = {name: [one[name] for one in found if not math.isnan(one[name])] for name, _ in PANELS}
    return told


def _panel(axes: Axes, values: list[list[float]], budgets: list[int]) -> None:
    places = range(1, len(budgets) + 1)
    boxes = axes.boxplot(values, positions=list(places), widths=0.55, showfliers=False, manage_ticks=False)
    for kind in ("boxes", "whiskers", "caps", "medians"):
        for artist in boxes[kind]:
            artist.set_color(BOX)
    for place, held in zip(places, values, strict=True):
        # Spread evenly, not by chance, so that equal values can be told apart.
        spread = [place + 0.4 * ((number + 0.5) / len(held) - 0.5) for number in range(len(held))]
        axes.plot(spread, held, "o", color=DOT, markersize=3, alpha=0.7, markeredgewidth=0)
    axes.set_xticks(list(places), [str(budget) for budget in budgets])
    axes.set_ylim(-0.03, 1.03)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
