"""Scores of the few-shot experiment as numbers: summaries, the JSON form of results, CSV and Markdown."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evaluation.markdown import row
from evaluation.protocols.few_shot_retrieval import NEXT, PROTOCOL, TEST, FewShotReport, Score
from evaluation.tallies import OVERLAPS, Summary, false_events_name, measures, pooled

HEADLINE_BUDGET = 128
"""S0's tables are of 128 + 128 labels."""

Average = Literal["micro", "macro"]


@dataclass(frozen=True)
class Line:
    """A metric of one encoder, part and budget.

    Attributes:
        encoder, part, budget: which.
        labels: the labels that there were, as `64 + 23`; a range where cameras differ.
        average: `micro`: footage of a run pooled, summarised over runs; `macro`: summarised over run × unit.
        metric: name of the metric.
        summary: mean, standard deviation and n.
    """

    encoder: str
    part: str
    budget: int
    labels: str
    average: Average
    metric: str
    summary: Summary

    @property
    def name(self) -> str:
        """Head, encoder, budget, average, and the part where it is not the test part of the data itself."""
        part = "" if self.part == TEST else f" {self.part}"
        return f"support_vectors {self.encoder} {self.budget}+{self.budget} {self.average}{part}"


def summarise(report: FewShotReport) -> list[Line]:
    """Every metric of every encoder, part, budget and average, in the order of the tables."""
    lines = []
    for encoder in report.encoders:
        for part in _parts(report):
            for budget in sorted(report.settings.budgets):
                scores = [s for s in report.scores if (s.encoder, s.part, s.budget) == (encoder, part, budget)]
                labels = f"{_range(s.relevant for s in scores)} + {_range(s.irrelevant for s in scores)}"
                averages: tuple[tuple[Average, list[dict[str, float]]], ...] = (
                    ("micro", by_run(scores)),
                    ("macro", list(by_run_and_unit(scores).values())),
                )
                for average, values in averages:
                    for metric in values[0]:
                        summary = Summary.of(value[metric] for value in values)
                        lines.append(Line(encoder, part, budget, labels, average, metric, summary))
    return lines


def by_run(scores: Iterable[Score]) -> list[dict[str, float]]:
    """Metrics of each run, all its footage pooled."""
    held = list(scores)
    runs = sorted({score.run for score in held})
    return [measures(pooled(score.tally for score in held if score.run == run)) for run in runs]


def by_run_and_unit(scores: Iterable[Score]) -> dict[tuple[int, str], dict[str, float]]:
    """Metrics of each unit in each run."""
    held = list(scores)
    keys = sorted({(score.run, score.unit) for score in held})
    return {key: measures(pooled(s.tally for s in held if (s.run, s.unit) == key)) for key in keys}


def to_json(report: FewShotReport, lines: Sequence[Line]) -> dict[str, Any]:
    """The object that `--json` prints; `low` and `high` are a standard deviation below and above the mean."""
    results = [
        {
            "name": line.name,
            "metric": line.metric,
            "value": _finite(line.summary.mean),
            "low": _finite(line.summary.mean - line.summary.deviation),
            "high": _finite(line.summary.mean + line.summary.deviation),
            "n": line.summary.n,
        }
        for line in lines
    ]
    shares = [
        {"name": part, "metric": "anomalous_share", "value": share, "low": None, "high": None, "n": frames}
        for part, (frames, share, _, _) in _extent(report).items()
    ]
    return {"protocol": PROTOCOL, "data": report.data.name, "split": report.split.how, "results": [*shares, *results]}


def to_csv(lines: Sequence[Line]) -> str:
    """One row for each line; empty where a number is undefined."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("encoder", "part", "budget", "labels", "average", "metric", "mean", "deviation", "n"))
    for line in lines:
        numbers = ("" if math.isnan(x) else f"{x:.6f}" for x in (line.summary.mean, line.summary.deviation))
        writer.writerow(
            (line.encoder, line.part, line.budget, line.labels, line.average, line.metric, *numbers, line.summary.n)
        )
    return text.getvalue()


def to_markdown(report: FewShotReport, lines: Sequence[Line]) -> str:
    """What was run, and for each encoder and part a table by budget and one in the form of S0's."""
    text = [*_heading(report), ""]
    for encoder in report.encoders:
        for part in _parts(report):
            mine = [line for line in lines if (line.encoder, line.part) == (encoder, part)]
            where = "" if part == TEST else f", {part}"
            text += [f"### {encoder}{where}", "", *_by_budget(mine), "", *_headline(mine, report), ""]
    return "\n".join(text)


def _heading(report: FewShotReport) -> list[str]:
    settings, rule = report.settings, report.settings.rule
    told = [
        f"- data: {report.data.name} ({report.data.layout}); relevant: {report.data.use_case}",
        f"- regions: {', '.join(f'{camera}: {region}' for camera, region in report.region.items())}",
        f"- split: {report.split.how}",
    ]
    for part, (frames, share, events, hours) in _extent(report).items():
        told.append(
            f"- {part}: {frames} frames, {100 * share:.1f} % of them relevant; {events} relevant events in "
            f"{hours * 60:.1f} minutes; calling every frame relevant would be right in {share:.3f}"
        )
    for (encoder, camera), (relevant, irrelevant) in report.pools.items():
        told.append(f"- pool of {encoder}, {camera}: {relevant} relevant and {irrelevant} irrelevant temporal slices")
    head = settings.retrieval
    told += [
        f"- {settings.runs} runs, seed {settings.seed}; SVC with C = {head.cost:g}, γ = {head.gamma}, "
        f"{'balanced' if head.balanced else 'equal'} class weights, on vectors of unit length",
        f"- a label stands for a temporal slice of at most {settings.slice_s:g} s",
        f"- events: margins averaged over {rule.smooth_s:g} s, above {rule.threshold:g}, merged up to a gap of "
        f"{rule.merge_gap_s:g} s, at least {rule.minimum_s:g} s long; frames: margin above {rule.threshold:g}, unsmoothed",
        "- what is undefined (the precision of a run or unit that predicts nothing) is left out of mean and n; a mean "
        "without ± is of one value",
        *(f"- {note}" for note in report.data.notes),
    ]
    return told


BY_BUDGET = (
    ("accuracy", "accuracy"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("event_recall_70", "event recall@70"),
    ("event_precision_70", "event precision@70"),
    ("event_f1_70", "event F1@70"),
    ("false_events_per_hour", "false events/h"),
)


def _by_budget(lines: Sequence[Line]) -> list[str]:
    held = {(line.budget, line.metric): line for line in lines if line.average == "micro"}
    rows = [row("budget", "labels", *(title for _, title in BY_BUDGET)), row(*("---",) * (2 + len(BY_BUDGET)))]
    for budget in sorted({line.budget for line in lines}):
        mine = [held[budget, metric] for metric, _ in BY_BUDGET]
        rows.append(row(str(budget), mine[0].labels, *(_shown(line.summary, line.metric) for line in mine)))
    runs = max(line.summary.n for line in held.values())
    return [f"By label budget; micro, mean ± standard deviation over {runs} runs:", "", *rows]


def _headline(lines: Sequence[Line], report: FewShotReport) -> list[str]:
    budgets = sorted(report.settings.budgets)
    budget = HEADLINE_BUDGET if HEADLINE_BUDGET in budgets else budgets[-1]
    mine = [line for line in lines if line.budget == budget]
    rows = [row("", "", "n", "accuracy", "precision", "recall", "F1", "false events/h"), row(*("---",) * 8)]
    for average in ("micro", "macro"):
        held = {line.metric: line.summary for line in mine if line.average == average}
        frames = [_shown(held[metric], metric) for metric in ("accuracy", "precision", "recall")]
        rows.append(row(average, "frames", str(held["accuracy"].n), *frames, "", ""))
        for overlap in sorted(OVERLAPS, reverse=True):
            percent, rate = round(100 * overlap), false_events_name(overlap)
            recall, precision, f1 = (held[f"event_{metric}_{percent}"] for metric in ("recall", "precision", "f1"))
            shown = [_shown(one, "") for one in (recall, precision, recall, f1)]
            rows.append(row(average, f"events @ TO {percent} %", str(recall.n), *shown, _shown(held[rate], rate)))
    return [
        f"At {budget} + {budget} labels asked for ({mine[0].labels} there); micro over runs, macro over run × unit. "
        "An event's accuracy is its recall:",
        "",
        *rows,
    ]


def _shown(summary: Summary, metric: str) -> str:
    if summary.n == 0:
        return "–"
    digits = 1 if metric.startswith("false_events") else 3
    deviation = "" if math.isnan(summary.deviation) else f" ± {summary.deviation:.{digits}f}"
    return f"{summary.mean:.{digits}f}{deviation}"


def _parts(report: FewShotReport) -> tuple[str, ...]:
    return (TEST,) if report.next_campaign is None else (TEST, NEXT)


def _extent(report: FewShotReport) -> dict[str, tuple[int, float, int, float]]:
    """By part: frames, share of them that is relevant, relevant events, hours."""
    told = {}
    for part in _parts(report):
        first = next(score for score in report.scores if score.part == part)
        same = [
            score.tally
            for score in report.scores
            if (score.part, score.encoder, score.run, score.budget) == (part, first.encoder, first.run, first.budget)
        ]
        whole = pooled(same)
        relevant = whole.true_positives + whole.false_negatives
        frames = relevant + whole.false_positives + whole.true_negatives
        events = sum(len(match.coverage) for match in whole.matches[OVERLAPS[0]])
        told[part] = (frames, relevant / max(1, frames), events, whole.seconds / 3600)
    return told


def _range(values: Iterable[int]) -> str:
    held = sorted(set(values))
    return str(held[0]) if len(held) == 1 else f"{held[0]}–{held[-1]}"


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value
