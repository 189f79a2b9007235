"""What an evaluation of summaries prints: Markdown for people, CSV and JSON for programs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from evaluation.bootstrap import BootstrapSettings
from evaluation.csv_text import csv_text
from evaluation.datasets.ucf_crime import LAYOUT as UCF_CRIME
from evaluation.datasets.ucf_crime import OFFICIAL_TEST_VIDEOS
from evaluation.markdown import table
from evaluation.protocols import summaries, summary_campaign
from evaluation.protocols.summaries import METRICS, SummaryReport
from evaluation.protocols.summary_campaign import CURVES, DIGEST, FOOTAGE, SHARES, CampaignReport
from evaluation.results import Result
from evaluation.summary_choices import COLUMNS, OF_HEADS, ORACLE, OWN, RANDOM

Report = SummaryReport | CampaignReport

PEOPLE_TITLES = {"f1_mean": "F1 mean", "f1_max": "F1 max", "kendall_tau": "Kendall τ", "spearman_rho": "Spearman ρ"}
SHOWN_TITLES = {"anomalous_share": "anomalous share", "anomalous_recall": "anomalous recall", "length_share": "length"}


def to_json(report: Report) -> dict[str, Any]:
    """The object that `--json` prints."""
    annotated = isinstance(report, SummaryReport)
    smoke = {"smoke": smoke_of(report)} if smoke_of(report) else {}
    return {
        "protocol": summaries.PROTOCOL if annotated else summary_campaign.PROTOCOL,
        "data": report.data.name,
        "share": report.settings.share,
        **smoke,
        "notes": list(report.data.notes),
        "results": [result.to_json() for result in report.results],
    }


def to_csv(report: Report) -> str:
    """One row for each number; empty where it is undefined."""
    rows = [(one.name, one.metric, *map(_number, (one.value, one.low, one.high)), one.n) for one in report.results]
    return csv_text(("name", "metric", "value", "low", "high", "n"), rows)


def details_csv(report: Report) -> str:
    """What the figure is drawn from: every video, or every length, by each method."""
    if isinstance(report, SummaryReport):
        rows: list[Sequence[object]] = [
            (name, video.video_id, *map(_number, values))
            for name, told in report.methods.items()
            for video, values in zip(report.data.videos, told.tolist(), strict=True)
        ]
        return csv_text(("method", "video", *METRICS), rows)
    rows = [
        (name, f"{share:.2f}", *map(_number, values))
        for name, curve in report.curves.items()
        for share, values in zip(SHARES, curve.tolist(), strict=True)
    ]
    return csv_text(("method", "length", *CURVES), rows)


def to_markdown(report: Report, command: str, figures: Mapping[str, str] | None = None) -> str:
    """What was run and by which command, then the tables.

    Args:
        report: of either protocol.
        command: that makes it.
        figures: files that lie beside the text, by what they show.
    """
    lines = [f"# Summaries: {report.data.name} ({report.data.layout})", ""]
    if smoke_of(report):
        lines += [f"**{smoke_of(report)[0].upper()}{smoke_of(report)[1:]}.**", ""]
    lines += ["Made by:", "", "```sh", command, "```", ""]
    lines += _annotated(report) if isinstance(report, SummaryReport) else _campaign(report)
    for title, file in (figures or {}).items():
        lines += ["", f"![{title}]({file})"]
    return "\n".join([*lines, ""])


def smoke_of(report: Report) -> str:
    """Why this is no benchmark; empty where it may be one."""
    there = len(report.data.videos)
    if report.data.layout != UCF_CRIME or there >= OFFICIAL_TEST_VIDEOS:
        return ""
    return f"smoke result, not a benchmark: {there} of {OFFICIAL_TEST_VIDEOS} test videos"


def _annotated(report: SummaryReport) -> list[str]:
    data, settings = report.data, report.settings
    told = [video.importance if video.importance is not None else video.summaries for video in data.videos]
    people = sorted({len(one) for one in told if one is not None})
    scored = all(video.importance is not None for video in data.videos)
    lines = [
        f"- {len(data.videos)} videos, {sum(video.seconds for video in data.videos) / 60:.1f} minutes; people who annotated "
        f"each: {people[0] if len(people) == 1 else f'{people[0]} to {people[-1]}'}.",
        *(f"- {note}" for note in data.notes),
        f"- Summary: at most {100 * settings.share:g} % of a video's frames, the shots with the largest sum of values by an exact "
        "knapsack; of equally long shots that are worth the same the earlier. "
        + (
            "People's scores become summaries in the same way."
            if scored
            else "People's summaries are their own choice."
        ),
        "- F1: of frames, against each person's summary; mean and maximum over people. The data set is published with the "
        f"{data.reduction}.",
        "- τ: Kendall's τ-b, ρ: Spearman's, of every frame's score with each person's"
        + ("" if scored else " summary (1 inside, 0 outside)")
        + "; the mean over people. Ties share their rank.",
        "- `human`: each person against every other one. `random`: a random number for each frame, the mean over "
        f"{settings.seeds} seeds from {settings.seed}. `uniform`: shots at equal distances; its summary itself is ranked.",
        *(f"- {remark}" for remark in report.remarks),
        f"- Mean over videos; intervals: {_interval(settings.bootstrap)}.",
        "",
    ]
    rows = [[f"`{name}`", *(_cell(report.results, name, metric) for metric in METRICS)] for name in report.methods]
    return [*lines, *table(["method", *(PEOPLE_TITLES[metric] for metric in METRICS)], rows)]


def _campaign(report: CampaignReport) -> list[str]:
    lines = [*_about_footage(report), ""]
    names = {result.name for result in report.results}
    for kind in ("", f" {DIGEST}"):
        mine = [method for method in report.curves if method + kind in names]
        if not mine:
            continue
        title = "A summary of each camera, pooled" if not kind else "One digest of all cameras"
        rows = [
            [f"`{method}`", *(_cell(report.results, method + kind, metric) for metric in SHOWN_TITLES)]
            for method in mine
        ]
        lines += [f"{title}, {100 * report.settings.share:g} % of the footage:", ""]
        lines += [*table(["method", *SHOWN_TITLES.values()], rows), ""]
    return lines[:-1]


def _about_footage(report: CampaignReport) -> list[str]:
    data, settings = report.data, report.settings
    look, hours = settings.look, sum(video.index.extent_us for video in data.videos) / 3.6e9
    cameras = len({video.camera for video in data.videos})
    (whole,) = [one.value for one in report.results if one.name == FOOTAGE]
    longest = sorted(set(report.segment_s.values()))
    lengths = f"{longest[0]:.1f} s" if len(longest) == 1 else f"{longest[0]:.1f} to {longest[-1]:.1f} s"
    weights = ", ".join(f"{one.name} {getattr(look.weights, one.name):g}" for one in fields(look.weights))
    told = [f"{name} HEAD" if name in OF_HEADS else name for name in COLUMNS]
    alone = ", ".join(f"`{name}`" for name in told)
    lines = [
        f"- Anomalous: {data.use_case}.",
        f"- Test: {len(data.videos)} videos of {cameras} camera{'s' * (cameras > 1)}, {60 * hours:.1f} minutes; "
        f"**{100 * whole:.1f} %** of that time is anomalous, which is what a blind choice shows on average.",
        *(f"- {note}" for note in data.notes),
        f"- Judged by: {report.judged_by}. No event and no label is told to a method.",
        f"- Segments: {look.segment_s:g} s as at night, or as long as the summary where that is shorter (here {lengths}, "
        f"{report.segments} segments in all); "
        f"{look.rate_hz:g} picture{'s' * (look.rate_hz != 1)} a second; of two segments that look alike by more than "
        f"{look.similarity_limit:g} one is shown.",
        *(f"- Head `{head.name}`: {head.encoder}; {head.composition}." for head in report.heads),
        f"- `{OWN} HEAD`: {weights}, the default weights; {alone}: one column alone (`motion`: dynamics). `{RANDOM}`: segments by lot, "
        f"{settings.seeds} of them. `{ORACLE}`: the best choice of somebody who knows the labels.",
        "- Share: of the summary's time what is anomalous. Recall: of all anomalous time what the summary shows.",
        f"- Intervals: {_interval(settings.bootstrap)}, with and without an anomaly apart; of `{RANDOM}`: between which nineteen "
        "of twenty lots lie. Where no video's summary shows anything anomalous, no resample does: 0 to 0 is no certainty.",
    ]
    if look.masks:
        lines.append(f"- Painted over: {'; '.join(str(mask) for mask in look.masks)}.")
    return lines


def _interval(bootstrap: BootstrapSettings) -> str:
    return f"{100 * bootstrap.level:g} %, {bootstrap.resamples} resamples of whole videos, seed {bootstrap.seed}"


def _cell(results: Sequence[Result], name: str, metric: str) -> str:
    (found,) = [one for one in results if (one.name, one.metric) == (name, metric)]
    if math.isnan(found.value):
        return "–"
    interval = "" if math.isnan(found.low) or metric == "length_share" else f" [{found.low:.3f}, {found.high:.3f}]"
    # A zero that came from below would read as minus nothing.
    return f"{found.value + 0.0:.3f}{interval}".replace("-0.000", "0.000")


def _number(value: float) -> str:
    return f"{value:.6f}" if math.isfinite(value) else ""
