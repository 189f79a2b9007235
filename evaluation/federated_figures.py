"""Figure of a federated experiment: what each model comes to by round; the same bytes from the same numbers."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluation.anomaly_figures import COLOURS, DrawnFigure
from evaluation.curves import Floats
from evaluation.federated_results import Series, series_of
from evaluation.figures import png
from evaluation.protocols.federated import FEDERATED, FederatedReport

DPI = 90
PANEL_IN = 4.2


def figures_of(report: FederatedReport, name: str) -> list[DrawnFigure]:
    """The report's figure; its file begins with `name`."""
    title = "By round: frame AUC of test clips, and error on held-out normal clips; bands are one deviation over seeds"
    return [DrawnFigure(title, f"{name}-rounds.png", rounds_figure(series_of(report)))]


def rounds_figure(told: Mapping[str, Series]) -> bytes:
    """A PNG: a panel of frame AUC for each camera, one for all of them where there are several, and one of held-out errors."""
    by_camera: dict[str, list[Series]] = {}
    for one in told.values():
        by_camera.setdefault(one.camera, []).append(one)
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(told)}
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9}):
        columns = len(by_camera) + 1
        figure = Figure(figsize=(PANEL_IN * columns, 3.6), dpi=DPI, layout="constrained")
        panels = figure.subplots(1, columns, squeeze=False)[0]
        for panel, (camera, models) in zip(panels, by_camera.items(), strict=False):
            _drawn(panel, [(one.name, one.auc) for one in models], colours)
            panel.set_title(camera or "all cameras")
            panel.set_ylabel("frame AUC")
        # A client's part of a federation has the whole federation's error.
        known = [
            one for one in told.values() if np.isfinite(one.errors).all() and not one.name.startswith(f"{FEDERATED} ")
        ]
        _drawn(panels[-1], [(one.name, 255 * np.sqrt(one.errors)) for one in known], colours)
        panels[-1].set_title("held-out normal clips")
        panels[-1].set_ylabel("error of a pixel, grey levels")
        return png(figure)


def _drawn(panel: Axes, lines: Sequence[tuple[str, Floats]], colours: Mapping[str, str]) -> None:
    for name, values in lines:
        rounds = np.arange(1, values.shape[1] + 1)
        mean = values.mean(axis=0)
        wide = name.startswith(FEDERATED)
        panel.plot(
            rounds, mean, color=colours[name], linewidth=2.2 if wide else 1.2, marker="o", markersize=3, label=name
        )
        if len(values) > 1:
            spread = values.std(axis=0, ddof=1)
            panel.fill_between(rounds, mean - spread, mean + spread, color=colours[name], alpha=0.15, linewidth=0)
    panel.set_xlabel("round")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid(linewidth=0.4, alpha=0.5)
    panel.legend(fontsize=7)
