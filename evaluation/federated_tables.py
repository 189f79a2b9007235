"""What a federated experiment prints: Markdown for people, CSV and JSON for programs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from evaluation.csv_text import csv_text
from evaluation.curves import Floats
from evaluation.datasets.base import LabelledData
from evaluation.federated_data import GreyClip
from evaluation.federated_results import (
    TARGET,
    Series,
    against,
    deviation,
    difference,
    difference_of_clients,
    results,
    series_of,
)
from evaluation.markdown import table
from evaluation.protocols.federated import CENTRAL, FEDERATED, PROTOCOL, SINGLE, FederatedReport

GREY_LEVELS = 255


def to_json(report: FederatedReport) -> dict[str, Any]:
    """The object that `--json` prints."""
    told, settings = series_of(report), report.settings
    return {
        "protocol": PROTOCOL,
        "experiment": 2 if report.several else 1,
        "data": [data.name for data in _sets(report)],
        "notes": [note for data in _sets(report) for note in data.notes],
        "settings": {
            **asdict(settings),
            "model": {"architecture": settings.model.architecture, **asdict(settings.model)},
        },
        "clients": [
            {
                "seed": seed,
                "client": site.name,
                "camera": site.camera,
                "training": _names(site.training),
                "held_out": _names(site.held_out),
            }
            for seed, sites in enumerate(report.sites)
            for site in sites
        ],
        "bytes": {run.method: {"sent": run.sent, "received": run.received} for run in report.of(FEDERATED)[:1]},
        "missing": [one for run in report.runs for one in run.missing],
        "results": [one.to_json() for one in results(report, told)],
    }


def to_csv(report: FederatedReport) -> str:
    """One row for each number; empty where it is undefined."""
    rows = [
        (one.name, one.metric, *map(_number, (one.value, one.low, one.high)), one.n)
        for one in results(report, series_of(report))
    ]
    return csv_text(("name", "metric", "value", "low", "high", "n"), rows)


def rounds_csv(report: FederatedReport) -> str:
    """What the figure is drawn from: every model by seed and round."""
    rows = [
        (
            one.name,
            seed,
            number,
            number * report.settings.local_epochs,
            *map(_number, (one.auc[seed, number - 1], one.ap[seed, number - 1])),
            _number(one.errors[seed, number - 1], 9),
            int(one.rounds[seed] == number),
        )
        for one in series_of(report).values()
        for seed in range(report.settings.seeds)
        for number in range(1, report.settings.rounds + 1)
    ]
    titles = ("name", "seed", "round", "epochs", "frame_auc", "frame_ap", "held_out_error", "chosen")
    return csv_text(titles, rows)


def to_markdown(report: FederatedReport, command: str, figures: Mapping[str, str] | None = None) -> str:
    """What was run and by which command, then the tables; `figures` are files by what they show."""
    told = series_of(report)
    lines = [f"# Federated training: {' and '.join(data.name for data in _sets(report))}", ""]
    lines += ["Made by:", "", "```sh", command, "```", "", *_about(report), ""]
    rows = [_row(one) for one in told.values()]
    lines += [
        *table(["model", "tested on", "held-out error", "round", "frame AUC", "last round", "frame AP"], rows),
        "",
    ]
    lines += [_compared(report, told), "", *_by_round(report, told)]
    for title, file in (figures or {}).items():
        lines += ["", f"![{title}]({file})"]
    return "\n".join([*lines, ""])


def _row(one: Series) -> list[str]:
    return [
        f"`{one.name}`",
        one.camera or "all cameras",
        _spread(GREY_LEVELS * np.sqrt(one.chosen_errors), 2),
        _rounds(one),
        _spread(one.chosen_auc),
        _spread(one.auc[:, -1]),
        _spread(one.chosen_ap),
    ]


def _rounds(one: Series) -> str:
    numbers = sorted(set(one.rounds.tolist()))
    if numbers == [0]:
        return "–"
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]}"


def _compared(report: FederatedReport, told: dict[str, Series]) -> str:
    apart, name = difference(report, told), against(report)
    verdict = "is" if float(np.mean(apart)) >= -TARGET else "is not"
    words = (
        f"`{FEDERATED}` less `{name}`, seed by seed: **{_points(apart)} points** of frame AUC. It {verdict} within {TARGET:g} "
        f"point of `{name}`."
    )
    if report.several:
        return words
    own = _points(difference_of_clients(report, told))
    return f"{words} With each client's own mean picture, the mean over the clients: {own} points."


def _points(values: Floats) -> str:
    spread = deviation(values)
    return f"{float(np.mean(values)):+.2f}" + ("" if math.isnan(spread) else f" ± {spread:.2f}")


def _by_round(report: FederatedReport, told: dict[str, Series]) -> list[str]:
    count = report.settings.rounds
    shown = sorted({1, count, *np.linspace(1, count, min(count, 6)).round().astype(int).tolist()})
    rows = [[f"`{one.name}`", *(_spread(one.auc[:, number - 1]) for number in shown)] for one in told.values()]
    return ["Frame AUC by round:", "", *table(["model", *map(str, shown)], rows)]


def _about(report: FederatedReport) -> list[str]:
    settings = report.settings
    frames = sum(len(truth) for truth in _truths(report))
    anomalous = sum(int(truth.sum()) for truth in _truths(report))
    cameras = ", ".join(f"`{one.camera}`" for one in report.cameras)
    model = settings.model
    size = "as published" if model.is_the_papers else "not the published size"
    lines = [
        *(f"- {data.name}: {data.layout}; anomalous is {data.use_case}." for data in _sets(report)),
        f"- Test: {frames} frames of {len(report.cameras)} camera{'s' * report.several} ({cameras}), {anomalous} of them anomalous "
        f"({100 * anomalous / frames:.1f} %).",
        *dict.fromkeys(f"- {note}" for data in _sets(report) for note in data.notes),
        *_parts(report),
        f"- Model: `{model.architecture}`, {model.size_px} px, width {model.width:g} ({size}); {settings.rounds} rounds of "
        f"{settings.local_epochs} local epoch{'s' * (settings.local_epochs != 1)}, everything else "
        f"{settings.rounds * settings.local_epochs} epochs; an epoch is every cuboid of a site once, cuboids every "
        f"{settings.step} pictures at strides {', '.join(map(str, settings.strides))}; batches of {settings.batch_size}, learning "
        f"rate {settings.learning_rate:g}; the optimiser's state is {settings.optimiser} between rounds.",
        "- Every training is a federation through the same code; `central` and the single ones are those of one client. The same seed "
        "has the same first weights and the same clips held out. The clients' tensors are averaged by their cuboids (FedAvg).",
        "- The round is the one with the least error on held-out normal clips, shown in grey levels (root of the mean square of a "
        "pixel). Test clips decide nothing. Mean picture and deviation stay with each client.",
        f"- Scores: root of the sum of squared errors, a cuboid every {settings.score_step} pictures, linear in time between them, "
        f"smoothed by a Gaussian of {settings.smooth_s:g} s, in robust deviations above the median of the site's training cuboids.",
        _meaning(report),
        _crossed(report),
    ]
    return lines + [f"- Missing: {one}." for run in report.runs for one in run.missing]


def _parts(report: FederatedReport) -> list[str]:
    clients = report.sites[0]
    counts = [(len(_names(site.training)), len(_names(site.held_out))) for site in clients]
    told = ", ".join(
        f"`{site.name}`{f' ({site.camera})' * report.several} {training} + {held}"
        for site, (training, held) in zip(clients, counts, strict=True)
    )
    dealt = "Which are held out" if report.several else "Who has which"
    return [
        f"- Normal clips to train on + held out: {told}. {dealt} is drawn anew by each seed, 0 to {len(report.sites) - 1}."
    ]


def _meaning(report: FederatedReport) -> str:
    common = (
        "Numbers: mean ± standard deviation over seeds; they say how trainings differ, not how other test clips would."
    )
    if report.several:
        return f"- `{FEDERATED}` and `{SINGLE}`: frames of all cameras pooled, each scored by its own client's model. {common}"
    return (
        f"- `{FEDERATED}`: the shared weights with the mean picture and deviation of all the clients' training clips, as "
        f"`{CENTRAL}` has them; `{FEDERATED} client 1`, …: with that client's own, as that site would have it. {common}"
    )


def _crossed(report: FederatedReport) -> str:
    run = report.of(FEDERATED)[0]
    clients = len(report.clients)
    footage = sum(clip.frames.size for site in report.sites[0] for clip in (*site.training, *site.held_out))
    pixels = footage * report.settings.model.size_px**2
    return (
        f"- What crossed in a federation of {report.settings.rounds} rounds: {run.received / clients / 1e6:.1f} MB from each client "
        f"(weights, number of cuboids, losses) and {run.sent / clients / 1e6:.1f} MB to it; no picture. The clients' pictures, as "
        f"small as the model sees them, are {pixels / clients / 1e6:.1f} MB each."
    )


def _truths(report: FederatedReport) -> list[np.ndarray]:
    """Test frames of each camera."""
    sites = report.of(FEDERATED)[0].rounds[0]
    return list({one.camera: one.truth for one in sites}.values())


def _sets(report: FederatedReport) -> list[LabelledData]:
    return list({one.data.name: one.data for one in report.cameras}.values())


def _names(clips: Sequence[GreyClip]) -> list[str]:
    """Stretches that clips are of: the video, with its frames where it is not whole."""
    return list(dict.fromkeys(clip.name for clip in clips))


def _spread(values: Floats, digits: int = 3) -> str:
    mean, spread = float(np.mean(values)), deviation(values)
    if math.isnan(mean):
        return "–"
    return f"{mean:.{digits}f}" + ("" if math.isnan(spread) else f" ± {spread:.{digits}f}")


def _number(value: float, digits: int = 6) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else ""
