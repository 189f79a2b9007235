"""Figures of novelty heads: ROC curves, and score curves with the truth; the same bytes from the same scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from evaluation.figures import png
from evaluation.frame_metrics import ScoredVideo
from evaluation.protocols.anomaly import AnomalyReport, HeadScores
from evaluation.protocols.ucf_crime import UcfCrimeReport

DPI = 100
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
TRUTH = "#D55E00"
MOST_VIDEOS = 24
"""Videos drawn in one figure; of more, the first ones with an anomaly."""
COLUMNS = 4
MOST_POINTS = 1000


@dataclass(frozen=True, eq=False)
class DrawnFigure:
    """A PNG, the name of its file, and what it shows."""

    title: str
    file: str
    png: bytes


def figures_of(report: AnomalyReport | UcfCrimeReport, name: str) -> list[DrawnFigure]:
    """All figures of a report; their files begin with `name`."""
    heads = report.heads if isinstance(report, AnomalyReport) else report.sultani
    drawn = [DrawnFigure("ROC curves of frames", f"{name}-roc.png", roc_figure(heads))]
    for head in heads:
        spec = head.head.spec
        title = f"Scores of {spec.name}, with the truth behind them and the alarm threshold"
        drawn.append(DrawnFigure(title, f"{name}-{spec.name}.png", curves_figure(head)))
    return drawn


def roc_figure(heads: Sequence[HeadScores]) -> bytes:
    """A PNG: the ROC curve of each head over all test frames pooled."""
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9}):
        figure = Figure(figsize=(5.2, 5.0), dpi=DPI, layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
        for place, head in enumerate(heads):
            false, true = head.metrics.curve()
            auc = next(one.value for one in head.results if one.metric == "frame_auc" and one.name.endswith(" micro"))
            label = f"{head.head.spec.name}: {auc:.3f}"
            axes.plot(false, true, color=COLOURS[place % len(COLOURS)], linewidth=1.3, label=label)
        axes.set_xlabel("false positive rate of frames")
        axes.set_ylabel("true positive rate of frames")
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.01)
        axes.grid(linewidth=0.4, alpha=0.5)
        axes.legend(title="frame AUC, micro", loc="lower right")
        return png(figure)


def curves_figure(head: HeadScores) -> bytes:
    """A PNG: a panel for each test video with its scores, the truth behind them and the alarm threshold."""
    videos = _drawn(head.videos)
    columns = min(COLUMNS, len(videos))
    rows = -(-len(videos) // columns)
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 8}):
        figure = Figure(figsize=(3.2 * columns, 1.9 * rows + 0.4), dpi=DPI, layout="constrained")
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for panel, one in zip(panels.flat, videos, strict=False):
            seconds = one.video.index.t_us / 1e6
            for first, last in one.true_events / 1e6:
                panel.axvspan(first, last, color=TRUTH, alpha=0.2, linewidth=0)
            kept = np.unique(np.linspace(0, len(seconds) - 1, min(MOST_POINTS, len(seconds))).astype(np.int64))
            panel.plot(seconds[kept], one.scores[kept], color=COLOURS[0], linewidth=1.0)
            if np.isfinite(one.threshold):
                panel.axhline(one.threshold, color="0.3", linewidth=0.8, linestyle="--")
            panel.set_title(one.video.video_id)
            panel.margins(x=0)
        for panel in panels.flat[len(videos) :]:
            panel.set_visible(False)
        figure.supxlabel("seconds")
        figure.supylabel("deviations above the normal median")
        return png(figure)


def _drawn(videos: Sequence[ScoredVideo]) -> list[ScoredVideo]:
    if len(videos) <= MOST_VIDEOS:
        return list(videos)
    return [one for one in videos if one.truth.any()][:MOST_VIDEOS]
