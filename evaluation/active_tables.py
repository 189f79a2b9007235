"""What the simulation of active learning prints: Markdown for people, CSV and JSON for programs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.active_choice import STRATEGIES, Strategy
from evaluation.csv_text import csv_text
from evaluation.markdown import table
from evaluation.protocols.active_learning import PROTOCOL, ActiveReport, Night
from evaluation.results import Result
from evaluation.tallies import Summary

Floats = NDArray[np.float64]

MEASURES: dict[str, Callable[[Night], float]] = {
    "frame_auc": lambda night: night.frame_auc,
    "frame_ap": lambda night: night.frame_ap,
    "recall": lambda night: night.recall,
    "precision": lambda night: night.precision,
    "relevant_share": lambda night: night.relevant / night.labels,
    "labels": lambda night: float(night.labels),
}
"""Metrics of a night by name; `relevant_share` is of the labels so far."""
ALL_NIGHTS, ABOVE, REACH = "frame_auc_all_nights", "_above_random", "labels_to_reach"


@dataclass(frozen=True)
class Reached:
    """Labels at which the mean AUC over seeds is first what chance comes to at the end; nan where it never is.

    Attributes:
        auc: what chance comes to, the mean over seeds.
        of: mean number of labels that chance has then.
        labels: by strategy, the mean number of labels.
    """

    auc: float
    of: float
    labels: dict[Strategy, float]


def labels_of(report: ActiveReport, encoder: str) -> tuple[int, ...]:
    """Most labels there are before the first night and after each, up to the last in which any run had something to ask."""
    return report.settings.labels[: max(len(run.nights) for run in report.runs if run.encoder == encoder)]


def values(report: ActiveReport, encoder: str, strategy: Strategy, metric: str) -> Floats:
    """float64 (seeds, nights + 1): a metric before the first night and after each of `labels_of`."""
    measure, nights = MEASURES[metric], range(len(labels_of(report, encoder)))
    return np.array([[measure(run.at(place)) for place in nights] for run in report.of(encoder, strategy)])


def reached(report: ActiveReport, encoder: str) -> Reached:
    """How many labels each strategy takes to come to what chance comes to at the end."""
    curves = {name: values(report, encoder, name, "frame_auc").mean(axis=0) for name in STRATEGIES}
    labels = {name: values(report, encoder, name, "labels").mean(axis=0) for name in STRATEGIES}
    target = float(curves["random"][-1])
    first = {
        name: float(labels[name][int(np.argmax(curve >= target))]) if (curve >= target).any() else math.nan
        for name, curve in curves.items()
    }
    return Reached(target, float(labels["random"][-1]), first)


def results(report: ActiveReport) -> list[Result]:
    """Every number; `low` and `high` are a standard deviation over seeds below and above the mean."""
    told = []
    for encoder in report.encoders:
        target = reached(report, encoder)
        for strategy in STRATEGIES:
            name = f"{strategy} {encoder}"
            auc = values(report, encoder, strategy, "frame_auc")
            by_chance = values(report, encoder, "random", "frame_auc")
            told.append(_result(name, ALL_NIGHTS, auc.mean(axis=1)))
            if strategy != "random":
                told.append(_result(name, ALL_NIGHTS + ABOVE, (auc - by_chance).mean(axis=1)))
            told.append(Result(name, REACH, target.labels[strategy], math.nan, math.nan, len(auc)))
            for place, labels in enumerate(labels_of(report, encoder)):
                at = f"{name} at {labels}"
                for metric in MEASURES:
                    told.append(_result(at, metric, values(report, encoder, strategy, metric)[:, place]))
                if strategy != "random":
                    told.append(_result(at, f"frame_auc{ABOVE}", (auc - by_chance)[:, place]))
    return told


def to_json(report: ActiveReport) -> dict[str, Any]:
    """The object that `--json` prints."""
    settings, head = report.settings, report.settings.retrieval
    return {
        "protocol": PROTOCOL,
        "data": report.data.name,
        "notes": list(report.data.notes),
        "settings": {
            "budget": settings.budget,
            "most": settings.most,
            "start": settings.start,
            "seeds": settings.seeds,
            "uncertain_share": settings.uncertain_share,
            "rate_hz": settings.rate_hz,
            "masks": [str(mask) for mask in settings.looking.masks],
            "cost": head.cost,
            "gamma": head.gamma,
            "balanced": head.balanced,
        },
        "parts": [
            {
                "seed": seed,
                "pool": list(part.pool),
                "test": list(part.test),
                "sizes": {encoder: asdict(sizes) for encoder, sizes in part.sizes.items()},
            }
            for seed, part in enumerate(report.parts)
        ],
        "results": [one.to_json() for one in results(report)],
    }


def to_csv(report: ActiveReport) -> str:
    """One row for each number; empty where it is undefined."""
    rows = [(one.name, one.metric, *map(_number, (one.value, one.low, one.high)), one.n) for one in results(report)]
    return csv_text(("name", "metric", "value", "low", "high", "n"), rows)


def nights_csv(report: ActiveReport) -> str:
    """What the figure is drawn from: every run night by night."""
    rows = [
        (run.encoder, run.strategy, run.seed, place, *(_number(measure(night)) for measure in MEASURES.values()))
        for run in report.runs
        for place, night in enumerate(run.nights)
    ]
    return csv_text(("encoder", "strategy", "seed", "night", *MEASURES), rows)


def to_markdown(report: ActiveReport, command: str, figures: dict[str, str]) -> str:
    """The page: what was run, then for each encoder what the labels were worth; `figures` are files by title."""
    text = [
        f"# Active learning: {report.data.name} ({report.data.layout})",
        "",
        "Made by:",
        "",
        "```sh",
        command,
        "```",
        "",
    ]
    text += [*_heading(report), ""]
    for title, file in figures.items():
        text += [f"![{title}]({file})", "", f"{title}.", ""]
    for encoder in report.encoders:
        text += [
            f"## {encoder}",
            "",
            _pool(report, encoder),
            "",
            *_totals(report, encoder),
            "",
            *_by_night(report, encoder),
            "",
        ]
    return "\n".join(text)


def _heading(report: ActiveReport) -> list[str]:
    settings, head = report.settings, report.settings.retrieval
    pool, test = (_range([len(getattr(part, side)) for part in report.parts]) for side in ("pool", "test"))
    masks = ", ".join(str(mask) for mask in settings.looking.masks)
    own = (
        f" The {len(report.data.train)} training videos of the data set are always in the pool; its test videos are parted."
        if report.data.train
        else ""
    )
    regions = {camera: report.data.region(camera, None).name for camera in sorted(report.data.regions)}
    seen = ", ".join(f"{camera}: {region}" for camera, region in regions.items() if report.data.regions[camera])
    return [
        f"- Relevant: {report.data.use_case}.{f' Regions: {seen}.' if seen else ''}",
        f"- Parts: {pool} videos to ask about, {test} to test on, parted anew by each of {settings.seeds} "
        f"seeds; no test video is asked about.{own}",
        f"- Labels: {settings.start} of each class by lot, then {settings.budget} a night, {settings.most} at most.",
        f"- `queue`: the night's own choice, {100 * settings.uncertain_share:.0f} % of it uncertain, the rest different. "
        "`uncertain`: all of it uncertain. `random`: temporal slices by lot. All have the same first labels and parts.",
        f"- Head: one for all footage, fitted anew after each night: SVC with C = {head.cost:g}, γ = {head.gamma}, "
        f"{'balanced' if head.balanced else 'equal'} class weights, on vectors of unit length. Nothing was searched for.",
        f"- Frames: at most {settings.rate_hz:g} of a second{f'; painted over: {masks}' if masks else ''}. AUC and average "
        "precision of the test frames' margins, unsmoothed, all test videos pooled; recall and precision above margin 0.",
        f"- Numbers: mean ± standard deviation over {settings.seeds} seeds. Most of a deviation is of the parts, which are the same for "
        "all: how strategies differ is told seed by seed (`above random`).",
        *(f"- Of the data: {note}" for note in report.data.notes),
    ]


def _pool(report: ActiveReport, encoder: str) -> str:
    sizes = [part.sizes[encoder] for part in report.parts]
    asked = np.mean([one.relevant / one.rows for one in sizes])
    tested = np.mean([one.tested_relevant / one.tested for one in sizes])
    return (
        f"Pool: {_range([one.rows for one in sizes])} frames, {100 * asked:.1f} % of them relevant, in "
        f"{_range([one.slices for one in sizes])} temporal slices. Test: {_range([one.tested for one in sizes])} frames, "
        f"{100 * tested:.1f} % relevant."
    )


def _totals(report: ActiveReport, encoder: str) -> list[str]:
    target = reached(report, encoder)
    by_chance = values(report, encoder, "random", "frame_auc").mean(axis=1)
    rows = []
    for strategy in STRATEGIES:
        auc = values(report, encoder, strategy, "frame_auc")
        above = auc.mean(axis=1) - by_chance
        better = f"{int((above > 0).sum())} of {len(above)}"
        rows.append(
            (
                f"`{strategy}`",
                _spread(auc.mean(axis=1)),
                "" if strategy == "random" else _spread(above, signed=True),
                "" if strategy == "random" else better,
                _whole(target.labels[strategy]),
                _whole(float(values(report, encoder, strategy, "labels")[:, -1].mean())),
                _spread(auc[:, -1]),
            )
        )
    titles = (
        "strategy",
        "AUC, mean over all nights",
        "above random",
        "seeds above random",
        f"labels to AUC {target.auc:.3f}",
        "labels at the end",
        "AUC at the end",
    )
    return [
        f"Chance comes to an AUC of {target.auc:.3f} with {target.of:.0f} labels; *labels to* it: where the mean over seeds first is as "
        "high.",
        "",
        *table(titles, rows),
    ]


def _by_night(report: ActiveReport, encoder: str) -> list[str]:
    def held(strategy: Strategy, metric: str) -> Floats:
        return values(report, encoder, strategy, metric)

    above = held("queue", "frame_auc") - held("random", "frame_auc")
    rows = []
    for place, labels in enumerate(labels_of(report, encoder)):
        cells = [str(labels), *(_spread(held(strategy, "frame_auc")[:, place]) for strategy in STRATEGIES)]
        cells.append(_spread(above[:, place], signed=True))
        cells += [_spread(held(strategy, "recall")[:, place]) for strategy in STRATEGIES]
        cells += [_spread(held(strategy, "relevant_share")[:, place], digits=2) for strategy in STRATEGIES]
        rows.append(tuple(cells))
    titles = (
        "labels at most",
        *(f"AUC {strategy}" for strategy in STRATEGIES),
        "queue above random",
        *(f"recall {strategy}" for strategy in STRATEGIES),
        *(f"relevant of labels, {strategy}" for strategy in STRATEGIES),
    )
    told = "By night, the first row before any:"
    if len(rows) < len(report.settings.labels):
        told = "By night, the first row before any; after the last, nothing of the pool was left to ask:"
    return [told, "", *table(titles, rows)]


def _range(counts: Sequence[int]) -> str:
    return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)}–{max(counts)}"


def _result(name: str, metric: str, over_seeds: Floats) -> Result:
    summary = Summary.of(over_seeds.tolist())
    return Result(
        name, metric, summary.mean, summary.mean - summary.deviation, summary.mean + summary.deviation, summary.n
    )


def _spread(over_seeds: Floats, digits: int = 3, *, signed: bool = False) -> str:
    summary = Summary.of(over_seeds.tolist())
    if math.isnan(summary.mean):
        return "–"
    deviation = "" if math.isnan(summary.deviation) else f" ± {summary.deviation:.{digits}f}"
    return f"{summary.mean:{'+' if signed else ''}.{digits}f}{deviation}"


def _whole(value: float) -> str:
    return "never" if math.isnan(value) else f"{value:.0f}"


def _number(value: float) -> str:
    return f"{value:.6f}" if math.isfinite(value) else ""
