"""What an evaluation of novelty heads prints: Markdown for people, CSV and JSON for programs."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaluation.ablation_tables import ablation_section
from evaluation.bootstrap import BootstrapSettings
from evaluation.datasets.base import LabelledData, LabelledVideo
from evaluation.frame_metrics import ANOMALOUS, EVENT_RULE, MACRO, MICRO, RECALLS
from evaluation.markdown import table
from evaluation.protocols import ucf_crime
from evaluation.protocols.ablation import Outcome
from evaluation.protocols.anomaly import PROTOCOL, AnomalyReport, AnomalySettings, HeadScores
from evaluation.protocols.thesis import SplitScores
from evaluation.protocols.ucf_crime import SULTANI, UcfCrimeReport
from evaluation.results import Result

Report = AnomalyReport | UcfCrimeReport


def protocol_of(report: Report) -> str:
    """Name of the protocol, which its files carry."""
    return PROTOCOL if isinstance(report, AnomalyReport) else ucf_crime.PROTOCOL


def to_json(report: Report, outcomes: Sequence[Outcome] = ()) -> dict[str, Any]:
    """The object that `--json` prints."""
    told = [_share(report.data), *report.results, *(result for one in outcomes for result in one.results())]
    smoke = {"smoke": report.smoke} if isinstance(report, UcfCrimeReport) else {}
    return {
        "protocol": protocol_of(report),
        "data": report.data.name,
        **smoke,
        "notes": list(report.data.notes),
        "results": [result.to_json() for result in told],
    }


def to_csv(report: Report, outcomes: Sequence[Outcome] = ()) -> str:
    """One row for each number; empty where it is undefined."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("name", "metric", "value", "low", "high", "n"))
    for one in (_share(report.data), *report.results, *(result for out in outcomes for result in out.results())):
        numbers = (f"{value:.6f}" if math.isfinite(value) else "" for value in (one.value, one.low, one.high))
        writer.writerow((one.name, one.metric, *numbers, one.n))
    return text.getvalue()


def to_markdown(
    report: Report, command: str, outcomes: Sequence[Outcome] = (), figures: Mapping[str, str] | None = None
) -> str:
    """What was run and by which command, then a table of frames, of events, and of what was varied.

    Args:
        report: of either protocol.
        command: that makes it.
        outcomes: of the ablation.
        figures: files that lie beside the text, by what they show.
    """
    lines = [f"# {report.data.layout}: {report.data.name}", ""]
    if isinstance(report, UcfCrimeReport) and report.smoke:
        lines += [f"**{report.smoke[0].upper()}{report.smoke[1:]}.**", ""]
    lines += ["Made by:", "", "```sh", command, "```", "", *_about_data(report.data), ""]
    if isinstance(report, AnomalyReport):
        lines += _about_frames(report.settings, report.heads)
        lines += ["", *_frames(report.heads, ""), "", *_events(report.heads, ""), ""]
    else:
        lines += _thesis(report)
        lines += ["", "## Protocol `sultani`", "", f"- Normal footage: {report.trained_on}."]
        lines += _about_frames(report.settings.frames, report.sultani)
        lines += ["", *_frames(report.sultani, SULTANI), "", *_events(report.sultani, SULTANI), ""]
    for title, file in (figures or {}).items():
        lines += [f"![{title}]({file})", ""]
    if outcomes:
        lines += [*ablation_section(outcomes), ""]
    return "\n".join(lines)


def _share(data: LabelledData) -> Result:
    frames, anomalous, _, _ = _extent(data.videos)
    return Result("test", "anomalous_share", anomalous / max(1, frames), math.nan, math.nan, frames)


def _extent(videos: Iterable[LabelledVideo]) -> tuple[int, int, int, float]:
    """Frames, anomalous ones, anomalous events, hours."""
    held = list(videos)
    frames = sum(len(video.index) for video in held)
    anomalous = sum(last - first for video in held for first, last in video.relevant)
    events = sum(len(video.relevant) for video in held)
    return frames, anomalous, events, sum(video.index.extent_us for video in held) / 3.6e9


def _about_data(data: LabelledData) -> list[str]:
    frames, anomalous, events, hours = _extent(data.videos)
    both = sum(1 for video in data.videos if video.relevant)
    lines = [
        f"- Anomalous: {data.use_case}.",
        f"- Test: {len(data.videos)} videos, {both} of them with an anomaly; {frames} frames, {anomalous} of them "
        f"anomalous ({100 * anomalous / max(1, frames):.1f} %); {events} anomalous events in {60 * hours:.1f} minutes.",
    ]
    if data.train:
        frames, _, _, hours = _extent(data.train)
        lines.append(f"- Training: {len(data.train)} normal videos, {frames} frames, {60 * hours:.1f} minutes.")
    return [*lines, *(f"- {note}" for note in data.notes)]


def _about_frames(settings: AnomalySettings, heads: Sequence[HeadScores]) -> list[str]:
    curves = settings.curves
    lines = [
        f"- Looked at: up to {settings.rate_hz:g} frames per second, the whole picture; a frame between, or one that could "
        "not be decoded, has a score linear in time between its neighbours.",
        f"- Curves: smoothed by a Gaussian of {curves.smooth_s:g} s (cut off at three of it), then in robust deviations "
        "above the median of the normal footage's scores, each normal video scored by what the others taught. Nothing is "
        "normalised by a test video.",
        f"- Threshold: the lowest within an alarm budget of {curves.alarms_per_hour:g} per hour of normal footage, and at "
        f"least {curves.floor_deviations:g} deviations. Events: above it, merged up to a gap of {EVENT_RULE.merge_gap_s:g} s, at "
        f"least {EVENT_RULE.minimum_s:g} s long; fixed beforehand.",
        f"- Intervals: {_interval_words(settings.bootstrap)}.",
    ]
    if settings.masks:
        lines.append(f"- Painted over: {'; '.join(str(mask) for mask in settings.masks)}.")
    for head in heads:
        lost = sum(video.lost for video in head.videos)
        told = [head.head.spec.composition, *([head.remark] if head.remark else [])]
        told += [f"{lost} frames that were looked at have no vector"] if lost else []
        lines.append(f"- `{head.head.spec.name}`: `{head.head.encoder.spec.name}`; {'; '.join(told)}.")
    return lines


def _interval_words(bootstrap: BootstrapSettings) -> str:
    return (
        f"{100 * bootstrap.level:g} %, {bootstrap.resamples} resamples of whole videos, with and without an anomaly apart, "
        f"seed {bootstrap.seed}; macro is the mean over videos with frames of both kinds"
    )


def _frames(heads: Sequence[HeadScores], suffix: str) -> list[str]:
    columns = [(MICRO, "frame_auc"), (MICRO, "frame_ap"), (MACRO, "frame_auc"), (MACRO, "frame_ap")]
    columns += [(ANOMALOUS, "frame_auc"), (ANOMALOUS, "frame_ap")]
    rows = [[head.head.spec.name, *(_cell(head, average, metric) for average, metric in columns)] for head in heads]
    titles = ["head", "AUC micro", "AP micro", "AUC macro", "AP macro", "AUC anomalous videos", "AP anomalous videos"]
    return [f"Frames{', ' + suffix if suffix else ''}:", "", *table(titles, rows)]


def _events(heads: Sequence[HeadScores], suffix: str) -> list[str]:
    metrics = ["event_recall_50", "event_recall_70", "event_recall_90", "event_precision_70", "false_events_per_hour"]
    titles = ["head", "threshold", "alarms/h on normal footage", "recall@50", "recall@70", "recall@90", "precision@70"]
    rows = []
    for head in heads:
        standards = head.standards.values()
        thresholds = _range([one.threshold for one in standards], 2)
        expected = _range([one.expected_per_hour for one in standards], 1)
        rows.append([head.head.spec.name, thresholds, expected, *(_cell(head, MICRO, metric) for metric in metrics)])
    at = [f"false_events_per_hour_at_recall_{round(100 * recall)}" for recall in RECALLS]
    paid = [[head.head.spec.name, *(_cell(head, MICRO, metric) for metric in at)] for head in heads]
    return [
        f"Events at the alarm threshold{', ' + suffix if suffix else ''}:",
        "",
        *table([*titles, "false/h"], rows),
        "",
        "False events per hour (TO 70 %) at the highest threshold that finds such a share of the events; the threshold is "
        "read off the test videos:",
        "",
        *table(["head", *(f"recall {100 * recall:g} %" for recall in RECALLS)], paid),
    ]


def _cell(head: HeadScores, average: str, metric: str) -> str:
    (found,) = [one for one in head.results if one.metric == metric and one.name.endswith(f" {average}")]
    return shown(found, 1 if metric.startswith("false_events") else 3)


def shown(result: Result, digits: int = 3) -> str:
    """A number with its interval, or a dash."""
    if math.isnan(result.value):
        return "–"
    interval = "" if math.isnan(result.low) else f" [{result.low:.{digits}f}, {result.high:.{digits}f}]"
    return f"{result.value:.{digits}f}{interval}"


def _range(values: Sequence[float], digits: int) -> str:
    low, high = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    return low if low == high else f"{low}–{high}"


def _thesis(report: UcfCrimeReport) -> list[str]:
    settings = report.settings.thesis
    lines = [
        "## Protocol `thesis`",
        "",
        "- The test videos that have an anomaly, cut end to end into snippets; one is anomalous if at least 4 of 16 of its "
        "pictures are.",
        f"- Random: {settings.runs} splits, 80 % of the normal snippets to train (seed {settings.seed}). Blocked in time: a "
        f"fifth of each video's normal snippets in turn, {settings.gap_s:g} s between training and test. By video: a fifth of "
        "the videos in turn.",
        f"- Intervals: {_interval_words(settings.bootstrap).split(', with')[0]}, seed {settings.bootstrap.seed}.",
    ]
    for space, snippets in report.snippets.items():
        lines.append(
            f"- `{space}`: {len(snippets)} snippets of {len(snippets.videos)} videos, {int(snippets.anomalous.sum())} of "
            "them anomalous."
        )
    rows = [_split_row(name, part) for name, parts in report.thesis.items() for part in parts]
    titles = ["head", "split", "trained on", "tested on", "AUC", "± over runs", "runs", "the guard"]
    return [*lines, "", *table(titles, rows)]


def _split_row(name: str, part: SplitScores) -> list[str]:
    auc, deviation = part.results
    guard = f"**leaks**: {part.leak.removeprefix('the split leaks: ').split(';')[0]}" if part.leak else "passes"
    counts = [f"{part.trained:.0f}", f"{part.tested:.0f}"]
    return [name, part.split, *counts, shown(auc), shown(deviation), str(auc.n), guard]
