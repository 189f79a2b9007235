"""ROC and precision–recall curves of classifiers; the same bytes from the same scores."""

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.figures import png
from evaluation.protocols.classification import ClassificationReport
from models.sweep import sweep

DPI = 100
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
MOST_CLASSES = 12
"""Classes drawn; of more, the first ones."""


def curves_figure(report: ClassificationReport) -> bytes:
    """A PNG: a row for each class, ROC curves to the left and precision over recall to the right.

    Each encoder has a colour, and a line for each seed.
    """
    classes = report.classes[:MOST_CLASSES]
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9}):
        figure = Figure(figsize=(9.0, 4.2 * len(classes) + 0.3), dpi=DPI, layout="constrained")
        panels = figure.subplots(len(classes), 2, squeeze=False)
        for row, name in enumerate(classes):
            roc, precisions = panels[row]
            roc.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
            for place, one in enumerate(report.encoders):
                truth = one.windows.clip_set.targets([name])[one.tested, 0]
                auc, colour = one.result("auc", name).value, COLOURS[place % len(COLOURS)]
                for seed, run in enumerate(one.runs):
                    told = sweep(truth, run.scores[:, row])
                    label = f"{one.name}: {auc:.3f}" if seed == 0 else None
                    roc.plot(*told.roc(), color=colour, linewidth=0.9, label=label)
                    precisions.plot(*told.precision_recall(), color=colour, linewidth=0.9)
            _framed(roc, "false positive rate of clips", f"true positive rate of clips, {name}")
            _framed(precisions, "recall", f"precision, {name}")
            roc.legend(title="AUC, mean over seeds", loc="lower right", fontsize=7)
        return png(figure)


def _framed(axes: Axes, across: str, up: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.grid(linewidth=0.4, alpha=0.5)
