"""What segment classifiers come to, as people and programs read it: JSON, CSV, Markdown, and each segment's probability."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, stdev
from typing import Any

from evaluation.classification_tables import LEFT_OUT_SHOWN, head_words
from evaluation.csv_text import csv_text
from evaluation.markdown import table
from evaluation.protocols.segment_models import PROTOCOL, ModelScores, SegmentReport
from models.losses import LossKind, SegmentLossSettings
from workspace.segment_parts import PARTS, Part

COLUMNS = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("auc", "ROC-AUC"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("f1", "F1"),
    ("average_precision", "AP"),
    ("mean_average_precision", "mAP"),
    ("temporal_iou", "temporal IoU"),
    ("bce", "BCE"),
    ("loss", "own loss"),
)
COMPARED = tuple(column for column in COLUMNS if column[0] != "loss")
TERMS: dict[LossKind, str] = {
    "mil": "BCE + {ranking_weight:g} · MIL ranking hinge + {smoothness_weight:g} · smoothness + {sparsity_weight:g} · sparsity",
    "pairwise": "BCE + {ranking_weight:g} · pairwise hinge in the batch + {smoothness_weight:g} · smoothness",
    "s3": "BCE + {ranking_weight:g} · S3's contrastive formula − {smoothness_weight:g} · S3's smoothness, by their letter",
    "bce": "BCE alone",
}


def to_json(report: SegmentReport) -> dict[str, Any]:
    """The object that `--json` prints."""
    settings, videos = report.settings, report.data.videos
    return {
        "protocol": PROTOCOL,
        "data": report.data.name,
        "layout": videos.layout,
        "split": report.split,
        "videos": len(videos),
        "anomalous_videos": int(videos.anomalous.sum()),
        "sources": len({video.source for video in videos.videos}),
        "left_out": list(videos.left_out),
        "seeds": list(range(settings.seeds)),
        "overlap": settings.overlap,
        "head": {key: value for key, value in asdict(settings.head).items() if key != "seed"},
        "losses": {loss.kind: asdict(loss) for loss in settings.losses},
        "inputs": {one.encoders: one.inputs.to_card() for one in report.models},
        "spans": {one.encoders: _spans_told(one) for one in report.models},
        "results": [result.to_json() for one in report.models for result in one.results],
    }


def to_csv(report: SegmentReport) -> str:
    """One row for each encoders, loss and part: means and deviations over seeds; empty where a number is undefined."""
    titles = [title for metric, _ in COLUMNS for title in (metric, f"{metric}_deviation")]
    rows = [
        (one.encoders, one.loss.kind, part, *(_number(one.result(title, part).value) for title in titles))
        for one in report.models
        for part in PARTS
    ]
    return csv_text(("encoders", "trained_on", "part", *titles), rows)


def scores_to_csv(report: SegmentReport) -> str:
    """One row for each model, seed and segment: its video, span, part, truth and probability."""
    rows = []
    for one in report.models:
        segments, videos = one.segments, one.segments.videos.videos
        for run in one.runs:
            for place, number in enumerate(segments.samples.video.tolist()):
                rows.append(
                    (
                        one.encoders,
                        one.loss.kind,
                        run.seed,
                        videos[number].name,
                        f"{segments.from_us[place] / 1e6:.3f}",
                        f"{segments.to_us[place] / 1e6:.3f}",
                        run.parts[videos[number].name],
                        int(segments.samples.positive[place]),
                        f"{run.measured.probabilities[place]:.6f}",
                    )
                )
    titles = ("encoders", "trained_on", "seed", "video", "from_s", "to_s", "part", "anomalous", "probability")
    return csv_text(titles, rows)


def to_markdown(report: SegmentReport, command: str, figures: Mapping[str, str] | None = None) -> str:
    """What was measured, by which command, and one table with every loss; `figures` are files by what they show."""
    lines = [f"# Segment models on {report.data.name}", "", f"`{command}`", "", *_about(report), ""]
    lines += ["## With and without the terms of the loss", ""]
    for part in reversed(PARTS):
        rows = [
            [f"`{one.encoders}`", one.loss.kind, *(_cell(one, metric, part) for metric, _ in COLUMNS)]
            for one in report.models
        ]
        lines += [f"{part[0].upper()}{part[1:]}:", ""]
        lines += [*table(["encoders", "loss", *(title for _, title in COLUMNS)], rows), ""]
    lines += _differences(report)
    for title, file in (figures or {}).items():
        lines += [f"## {title}", "", f"![{title}]({file})", ""]
    left_out = report.data.videos.left_out
    if left_out:
        lines += ["## Left out", "", *_left_out(left_out), ""]
    return "\n".join(lines).rstrip() + "\n"


def loss_words(loss: SegmentLossSettings) -> str:
    """A loss and its weights, in words."""
    return TERMS[loss.kind].format(**asdict(loss))


def _about(report: SegmentReport) -> list[str]:
    videos, settings = report.data.videos, report.settings
    anomalous = int(videos.anomalous.sum())
    lines = [
        f"- Data: {len(videos)} videos, {anomalous} of them with an anomaly, of "
        f"{len({video.source for video in videos.videos})} source videos; {videos.layout}.",
        *(f"- {note}" for note in report.data.notes),
        f"- Split: training, validation and test, {report.split}; seeds 0 to {settings.seeds - 1}. Validation decides "
        "nothing: it is reported beside the test.",
        f"- Head: {head_words(settings.head)}.",
        *(f"- `{loss.kind}`: {loss_words(loss)}." for loss in settings.losses),
        f"- A segment is anomalous where at least {100 * settings.overlap:g} % of it is annotated, and taken for anomalous "
        "above a probability of 0.5.",
        "- Numbers: mean ± standard deviation over seeds. Balanced accuracy is what S3 calls AUC. mAP is the mean of the "
        "average precision of anomalous segments (AP) and of normal ones. Temporal IoU is of time, pooled over the videos "
        "of a part. BCE can be compared between losses, the own loss cannot.",
    ]
    told = set()
    for one in report.models:
        if one.encoders not in told:
            told.add(one.encoders)
            lines.append(f"- `{one.encoders}`: {_inputs_words(one)}.")
    return lines


def _inputs_words(one: ModelScores) -> str:
    inputs, samples = one.inputs, one.segments.samples
    shares = []
    for part in PARTS:
        held = [one.rows(run, part) for run in one.runs]
        count = sum(int(rows.sum()) for rows in held) / len(held)
        anomalous = sum(int(samples.positive[rows].sum()) for rows in held) / len(held)
        shares.append(f"{part} {count:.0f} with {100 * anomalous / max(1, count):.0f} % anomalous")
    rate = "" if inputs.frame_rate_hz is None else f", frame encoders at {inputs.frame_rate_hz:g} Hz"
    lost = f", {one.segments.lost} lost" if one.segments.lost else ""
    spans = _spans_told(one)
    if short := spans["in_no_anomalous_segment"]:
        lost += f", {short} of {spans['annotated']} annotated spans too short to make one anomalous"
    return (
        f"segments of {inputs.window_s:g} s every {inputs.stride_s:g} s{rate}, {len(samples)} of "
        f"{samples.vectors.shape[1]} values{lost} (mean over seeds: {', '.join(shares)})"
    )


def _spans_told(one: ModelScores) -> dict[str, int]:
    """How many spans are annotated in the videos that have segments, and how many of them count as normal."""
    annotated = sum(map(len, one.segments.videos.spans_us))
    return {"annotated": annotated, "in_no_anomalous_segment": len(one.segments.short)}


def _cell(one: ModelScores, metric: str, part: Part) -> str:
    value, deviation = one.result(metric, part).value, one.result(f"{metric}_deviation", part).value
    if math.isnan(value):
        return "–"
    return f"{value:.3f}" + ("" if math.isnan(deviation) else f" ± {deviation:.3f}")


def _differences(report: SegmentReport) -> list[str]:
    """What each loss adds to cross entropy alone, seed by seed: both have the same parts and begin with the same weights."""
    plain = {one.encoders: one for one in report.models if one.loss.kind == "bce"}
    others = [one for one in report.models if one.loss.kind != "bce" and one.encoders in plain]
    if not others:
        return []
    rows = [
        [f"`{one.encoders}`", one.loss.kind, *(_difference(one, plain[one.encoders], metric) for metric, _ in COMPARED)]
        for one in others
    ]
    return [
        "## What the terms change",
        "",
        "Test, difference from `bce` with the same parts and first weights, mean ± standard deviation over seeds:",
        "",
        *table(["encoders", "loss", *(title for _, title in COMPARED)], rows),
        "",
    ]


def _difference(one: ModelScores, plain: ModelScores, metric: str) -> str:
    pairs = [
        getattr(mine.measured.metrics["test"], metric) - getattr(theirs.measured.metrics["test"], metric)
        for mine, theirs in zip(one.runs, plain.runs, strict=True)
    ]
    known = [pair for pair in pairs if not math.isnan(pair)]
    if not known:
        return "–"
    return f"{fmean(known):+.3f}" + (f" ± {stdev(known):.3f}" if len(known) > 1 else "")


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def _left_out(told: Sequence[str]) -> list[str]:
    rest = len(told) - LEFT_OUT_SHOWN
    return [f"- {one}" for one in told[:LEFT_OUT_SHOWN]] + ([f"- and {rest} more"] if rest > 0 else [])
