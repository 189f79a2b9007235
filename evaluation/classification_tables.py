"""What classifiers come to, as people and programs read it: JSON, CSV, Markdown, and each clip's probabilities."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from evaluation.classification_metrics import CHOSEN, FIXED, MACRO, TOP_1
from evaluation.csv_text import csv_text
from evaluation.markdown import table
from evaluation.protocols.classification import PROTOCOL, ClassificationReport, EncoderScores
from models.heads.classifier import ClassifierSettings

AREAS = (("auc", "AUC"), ("average_precision", "AP"))
AT_THRESHOLD = (("accuracy", "accuracy"), ("precision", "precision"), ("recall", "recall"), ("f1", "F1"), ("f2", "F2"))
LEFT_OUT_SHOWN = 10


def to_json(report: ClassificationReport) -> dict[str, Any]:
    """The object that `--json` prints."""
    settings = report.settings
    return {
        "protocol": PROTOCOL,
        "data": report.data,
        "layout": report.clip_set.layout,
        "split": _split_words(report),
        "classes": list(report.classes),
        "normal": report.clip_set.normal,
        "clips": report.clip_set.counts,
        "sources": len(set(report.clip_set.sources)),
        "left_out": list(report.clip_set.left_out),
        "seeds": list(range(settings.seeds)),
        "head": {key: value for key, value in asdict(settings.head).items() if key != "seed"},
        "inputs": {one.name: one.inputs.to_card() for one in report.encoders},
        "results": [result.to_json() for one in report.encoders for result in one.results],
    }


def to_csv(report: ClassificationReport) -> str:
    """One row for each result; empty where a number is undefined."""
    rows = [
        (one.name, one.metric, *("" if math.isnan(x) else f"{x:.6f}" for x in (one.value, one.low, one.high)), one.n)
        for scores in report.encoders
        for one in scores.results
    ]
    return csv_text(("name", "metric", "value", "low", "high", "n"), rows)


def scores_to_csv(report: ClassificationReport) -> str:
    """One row for each encoder, seed and clip that was tested on: what its classes' probabilities are, and the thresholds."""
    rows = []
    for one in report.encoders:
        for seed, run in enumerate(one.runs):
            for place, number in enumerate(one.tested.tolist()):
                clip, fold = one.windows.clip_set.clips[number], int(run.fold[place])
                probabilities = [f"{value:.6f}" for value in run.scores[place]]
                thresholds = [f"{value:.6f}" for value in run.thresholds[fold]]
                rows.append((one.name, seed, fold, clip.name, clip.source, clip.label, *probabilities, *thresholds))
    titles = [f"{what} {name}" for what in ("probability", "threshold") for name in report.classes]
    return csv_text(("encoder", "seed", "fold", "clip", "source", "label", *titles), rows)


def to_markdown(report: ClassificationReport, command: str, figure: str | None = None) -> str:
    """What was measured, by which command, and a table for each class; `figure` is the file of the curves."""
    lines = [f"# Alarm classifiers on {report.data}", "", f"`{command}`", "", *_about(report), ""]
    for name in report.classes if len(report.classes) == 1 else (MACRO, *report.classes):
        lines += [f"## {_title(name, report)}", "", *_tables(report, name), ""]
    if any(result.name.endswith(f" {TOP_1}") for one in report.encoders for result in one.results):
        rows = [[f"`{one.name}`", _cell(one, "accuracy", TOP_1)] for one in report.encoders]
        lines += ["## The class with the greatest probability", "", *table(["encoders", "accuracy"], rows), ""]
    if figure is not None:
        lines += ["## Curves", "", f"![ROC and precision over recall, a line for each seed]({figure})", ""]
    if report.clip_set.left_out:
        lines += ["## Left out", "", *_left_out(report.clip_set.left_out), ""]
    return "\n".join(lines).rstrip() + "\n"


def _title(name: str, report: ClassificationReport) -> str:
    return f"Mean over {len(report.classes)} classes" if name == MACRO else name


def _about(report: ClassificationReport) -> list[str]:
    data, settings = report.clip_set, report.settings
    counts = ", ".join(f"{count} {name}" for name, count in data.counts.items())
    lines = [
        f"- Data: {len(data)} clips ({counts}) of {len(set(data.sources))} source videos, layout `{data.layout}`; "
        + (f"`{data.normal}` is normal." if data.normal else "no class is normal."),
        f"- Split: {_split_words(report)}.",
        f"- Head: {head_words(settings.head)}; seeds 0 to {settings.seeds - 1}.",
        "- A clip's score is the mean probability of its windows; it is recognised above the threshold. The F2 threshold is the "
        "one with the best F2 in a cross-validation inside the training part.",
        f"- Numbers: mean ± standard deviation over {settings.seeds} seeds, and in brackets the "
        f"{100 * settings.bootstrap.level:g} % interval of the mean from {settings.bootstrap.resamples} resamples of the source "
        "videos.",
    ]
    for one in report.encoders:
        lines.append(f"- `{one.name}`: {_inputs_words(one)}.")
    return lines


def _split_words(report: ClassificationReport) -> str:
    folds = report.settings.folds
    if folds is not None:
        return f"{folds} folds over source videos, parted anew by each seed"
    sides = [clip.split for clip in report.clip_set.clips]
    return f"the official one, {sides.count('train')} clips to train and {sides.count('test')} to test"


def head_words(head: ClassifierSettings) -> str:
    """A head's settings, in words."""
    layers = " and ".join(map(str, head.hidden)) if head.hidden else "no"
    stopping = f"at most {head.epochs} epochs, patience {head.patience}" if head.patience else f"{head.epochs} epochs"
    return (
        f"{layers} hidden values, dropout {head.dropout:g}, learning rate {head.learning_rate:g}, weight decay "
        f"{head.weight_decay:g}, batches of {head.batch_size}, {stopping}, class weights {head.class_weights}, "
        f"{head.members} {'member' if head.members == 1 else 'members'}"
    )


def _inputs_words(one: EncoderScores) -> str:
    inputs, windows = one.inputs, one.windows
    epochs = [epochs for run in one.runs for epochs in run.epochs]
    told = [
        f"windows of {inputs.window_s:g} s every {inputs.stride_s:g} s",
        f"{len(windows.clip)} windows of {windows.vectors.shape[1]} values",
        f"trained for {f'{min(epochs)} to {max(epochs)}' if min(epochs) < max(epochs) else min(epochs)} epochs",
    ]
    if inputs.frame_rate_hz is not None:
        told.insert(1, f"frame encoders at {inputs.frame_rate_hz:g} Hz")
    if windows.lost:
        told.append(f"{windows.lost} windows lost")
    return ", ".join(told)


def _tables(report: ClassificationReport, name: str) -> list[str]:
    lines: list[str] = []
    if name != MACRO:
        shown = [one.windows.clip_set.targets([name])[one.tested].mean() for one in report.encoders[:1]]
        lines += [f"{100 * float(np.mean(shown)):.1f} % of the clips that are tested on are of this class.", ""]
    rows = [[f"`{one.name}`", *(_cell(one, metric, name) for metric, _ in AREAS)] for one in report.encoders]
    lines += table(["encoders", *(title for _, title in AREAS)], rows)
    for at in (FIXED, CHOSEN):
        which = f"{name} {at}"
        rows = [
            [f"`{one.name}`", *(_cell(one, metric, which) for metric, _ in AT_THRESHOLD)] for one in report.encoders
        ]
        lines += [
            "",
            f"{at[0].upper()}{at[1:]}:",
            "",
            *table(["encoders", *(title for _, title in AT_THRESHOLD)], rows),
        ]
    return lines


def _cell(one: EncoderScores, metric: str, which: str) -> str:
    found, deviation = one.result(metric, which), one.result(f"{metric}_deviation", which).value
    if math.isnan(found.value):
        return "–"
    spread = "" if math.isnan(deviation) else f" ± {deviation:.3f}"
    interval = "" if math.isnan(found.low) else f" [{found.low:.3f}, {found.high:.3f}]"
    return f"{found.value:.3f}{spread}{interval}"


def _left_out(told: Sequence[str]) -> list[str]:
    rest = len(told) - LEFT_OUT_SHOWN
    return [f"- {one}" for one in told[:LEFT_OUT_SHOWN]] + ([f"- and {rest} more"] if rest > 0 else [])
