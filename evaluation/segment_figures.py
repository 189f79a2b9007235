"""Figures of segment classifiers, as S3 has them: accuracy by epoch, confusion, ROC, and segments with their scores.

Drawn without a display; the same bytes from the same heads and pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from evaluation.datasets.base import image_files
from evaluation.figures import png
from evaluation.protocols.segment_models import ModelScores, SegmentReport
from footage.decode import decode
from footage.images import read_image
from footage.pictures import Rgb
from models.heads.segment_metrics import THRESHOLD
from models.summary.scores import surprise
from models.sweep import sweep
from workspace.clip_sets.base import LabelledClip
from workspace.segment_parts import PARTS, Part

DPI = 100
COLOURS: dict[Part, str] = {"train": "#0072B2", "validation": "#E69F00", "test": "#D55E00"}
TRUTH = {True: "#D55E00", False: "0.6"}
PANEL_IN = 3.1
SHOWN = 5
"""Segments of each kind in the per-segment figure (S3's figures 4 and 5)."""
STILL_HEIGHT = 180


@dataclass(frozen=True, eq=False)
class SegmentFigure:
    """A PNG, the end of its file's name, and what it shows."""

    title: str
    ending: str
    png: bytes


def figures_of(report: SegmentReport, *, stills: bool) -> list[SegmentFigure]:
    """All figures of a report; `stills`: also the one that shows pictures of the footage."""
    drawn = [
        SegmentFigure("Accuracy by epoch, each seed and their mean", "epochs", _grid(report, _epochs)),
        SegmentFigure("Confusion of test segments at 0.5, all seeds together", "confusion", _grid(report, _confusion)),
        SegmentFigure("ROC curves of segments, a line for each seed", "roc", _grid(report, _roc)),
    ]
    if stills:
        title = "Test segments: keyframe, truth, probability and score"
        drawn.append(SegmentFigure(title, "segments", segments_figure(report.models[0])))
    return drawn


def _grid(report: SegmentReport, draw: Callable[[Axes, ModelScores], None]) -> bytes:
    """A PNG: a row for each combination of encoders, a panel for each loss."""
    columns = len(report.settings.losses)
    rows = len(report.models) // columns
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 8}):
        figure = Figure(figsize=(PANEL_IN * columns, PANEL_IN * rows), dpi=DPI, layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False)
        for place, one in enumerate(report.models):
            panel = panels[place // columns][place % columns]
            panel.set_title(f"{one.encoders}\n{one.loss.kind}", fontsize=7)
            draw(panel, one)
        return png(figure)


def _epochs(axes: Axes, one: ModelScores) -> None:
    for part in PARTS:
        curves = [run.measured.trained.curves[part].accuracy for run in one.runs if part in run.measured.trained.curves]
        if curves:
            epochs = range(1, len(curves[0]) + 1)
            axes.plot(epochs, np.array(curves).T, color=COLOURS[part], linewidth=0.6, alpha=0.3)
            axes.plot(epochs, np.mean(curves, axis=0), color=COLOURS[part], linewidth=1.8, label=part)
    axes.set_xlabel("epoch")
    axes.set_ylabel("accuracy of segments")
    axes.set_ylim(-0.01, 1.01)
    axes.grid(linewidth=0.4, alpha=0.5)
    axes.legend(loc="lower right", fontsize=7)


def _confusion(axes: Axes, one: ModelScores) -> None:
    counts = np.zeros((2, 2), dtype=np.int64)
    for run in one.runs:
        rows = one.rows(run, "test")
        told = sweep(one.segments.samples.positive[rows], run.measured.probabilities[rows]).at(THRESHOLD)
        counts += [
            [told.true_negatives, told.false_positives],
            [told.false_negatives, told.true_positives],
        ]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for truth in (0, 1):
        for predicted in (0, 1):
            share = float(shares[truth, predicted])
            words = f"{counts[truth, predicted]}\n{100 * share:.0f} %"
            axes.text(predicted, truth, words, ha="center", va="center", color="white" if share > 0.5 else "black")
    axes.set_xticks([0, 1], ["normal", "anomalous"])
    axes.set_yticks([0, 1], ["normal", "anomalous"], rotation=90, va="center")
    axes.set_xlabel("taken for")
    axes.set_ylabel("truth")


def _roc(axes: Axes, one: ModelScores) -> None:
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    for part in PARTS:
        mean, drawn = one.result("auc", part).value, False
        for run in one.runs:
            rows = one.rows(run, part)
            truth = one.segments.samples.positive[rows]
            if truth.any() and not truth.all():
                label = None if drawn else f"{part}: {mean:.3f}"
                curve = sweep(truth, run.measured.probabilities[rows]).roc()
                axes.plot(*curve, color=COLOURS[part], linewidth=0.9, label=label)
                drawn = True
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.grid(linewidth=0.4, alpha=0.5)
    axes.legend(title="ROC-AUC, mean", loc="lower right", fontsize=7, title_fontsize=7)


def segments_figure(one: ModelScores) -> bytes:
    """A PNG: anomalous test segments of the first seed above normal ones, spread evenly over their ranking.

    Under each keyframe, the segment's middle picture, stand the truth, the probability, and the score: the surprise
    −log10(1 − p) that a summary weighs.
    """
    run = one.runs[0]
    rows = np.flatnonzero(one.rows(run, "test"))
    probabilities = run.measured.probabilities
    positive = one.segments.samples.positive
    scores = surprise(probabilities)
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 8}):
        figure = Figure(figsize=(2.3 * SHOWN, 4.6), dpi=DPI, layout="constrained")
        panels = figure.subplots(2, SHOWN, squeeze=False)
        for line, kind in zip(panels, (True, False), strict=True):
            chosen = spread_evenly(rows[positive[rows] == kind], probabilities, SHOWN)
            for place, axes in enumerate(line):
                axes.set_xticks([])
                axes.set_yticks([])
                if place >= len(chosen):
                    axes.set_axis_off()
                    continue
                row = int(chosen[place])
                _draw_still(axes, one, row)
                axes.spines[:].set(color=TRUTH[kind], linewidth=2)
                truth = "anomalous" if kind else "normal"
                words = f"truth: {truth}\nprobability {probabilities[row]:.3f}\nscore {scores[row]:.2f}"
                axes.set_xlabel(words, loc="left", fontsize=8)
        return png(figure)


def spread_evenly(rows: NDArray[np.int64], scores: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """At most `count` of the rows, evenly from the highest score to the lowest; equal scores in order of row.

    >>> spread_evenly(np.arange(5), np.array([0.1, 0.5, 0.3, 0.2, 0.4]), 3).tolist()
    [1, 2, 0]
    """
    ranked = rows[np.argsort(-scores[rows], kind="stable")]
    places = np.unique(np.rint(np.linspace(0, len(ranked) - 1, min(count, len(ranked)))).astype(np.int64))
    return np.asarray(ranked[places], dtype=np.int64)


def _draw_still(axes: Axes, one: ModelScores, row: int) -> None:
    """The picture nearest to a segment's middle, small; words where none of the segment can be decoded."""
    segments = one.segments
    video = segments.videos.videos[int(segments.samples.video[row])]
    span = np.array([segments.from_us[row], segments.to_us[row]])
    first, end = np.searchsorted(video.index.t_us, span)
    middle = int(np.searchsorted(video.index.t_us, span.mean(), side="right")) - 1
    found = _nearest(video, np.arange(first, max(end, first + 1)), middle)
    if found is None:
        axes.text(0.5, 0.5, "no picture\ncan be decoded", ha="center", va="center", transform=axes.transAxes)
        return
    step = max(1, found.shape[0] // STILL_HEIGHT)
    axes.imshow(found[::step, ::step], aspect="equal")


def _nearest(video: LabelledClip, numbers: NDArray[np.int64], middle: int) -> Rgb | None:
    if video.path.is_dir():
        return read_image(image_files(video.path)[middle])
    nearest = min(decode(video.path, video.index, numbers), key=lambda one: abs(one.index - middle), default=None)
    return None if nearest is None else nearest.rgb()
