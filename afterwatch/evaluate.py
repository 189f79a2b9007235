"""Verbs that measure: published experiments, from raw video to a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterwatch import (
    evaluate_actions,
    evaluate_active,
    evaluate_anomalies,
    evaluate_classifier,
    evaluate_federated,
    evaluate_segments,
    evaluate_summaries,
)
from afterwatch.options import JsonOption, print_json, progress_bars

if TYPE_CHECKING:
    from evaluation.protocols.few_shot_retrieval import FewShotReport
    from models.encoders.base import Encoder

DEFAULT_ENCODER = "handcrafted/appearance"

evaluate_app = typer.Typer(help="Published experiments on labelled footage: table and figures.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    for verbs in (
        evaluate_anomalies,
        evaluate_actions,
        evaluate_classifier,
        evaluate_segments,
        evaluate_summaries,
        evaluate_federated,
        evaluate_active,
    ):
        verbs.add_to(evaluate_app)
    app.add_typer(evaluate_app, name="evaluate")


@evaluate_app.command(
    "few-shot-retrieval",
    epilog="Example: afterwatch evaluate few-shot-retrieval --data demo-site/footage/demo --out results",
)
def few_shot_retrieval(
    data: Annotated[Path, typer.Option(help="Folder of labelled footage; its layout is found out.")],
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="Encoder to measure; repeatable. Default: handcrafted/appearance and those with weights."),
    ] = None,
    next_campaign: Annotated[
        Path | None, typer.Option(help="Labelled footage of a later campaign of the same cameras, tested on as well.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Region by name, or x,y,width,height in fractions. Default: the data's own.")
    ] = None,
    runs: Annotated[int, typer.Option(help="Random subsets for each budget.")] = 9,
    budgets: Annotated[str, typer.Option(help="Labels of each class, separated by commas.")] = "4,8,16,32,64,128,256",
    seed: Annotated[int, typer.Option(help="Decides the random subsets.")] = 0,
    gap: Annotated[float, typer.Option(help="Seconds between training and test.")] = 10.0,
    rate: Annotated[float, typer.Option(help="Most frames that are looked at in a second.")] = 10.0,
    longest_slice: Annotated[
        float, typer.Option("--slice", help="Longest temporal slice, in seconds, that one label stands for.")
    ] = 10.0,
    out: Annotated[Path | None, typer.Option(help="Folder for tables (.md, .csv, .json) and the box plot.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps embeddings for the next call.")] = None,
    site: Annotated[
        Path, typer.Option("--site", help="Workspace whose weights are used.", show_default="current folder")
    ] = Path("."),
    as_json: JsonOption = False,
) -> None:
    """How well a retrieval head finds relevant footage, by the number of labels it was given."""
    from evaluation.datasets.read import read_data
    from evaluation.protocols.few_shot_retrieval import FewShotSettings, run_few_shot_retrieval
    from evaluation.tables import summarise, to_json, to_markdown

    settings = FewShotSettings(
        budgets=_numbers(budgets), runs=runs, seed=seed, gap_s=gap, rate_hz=rate, slice_s=longest_slice
    )
    labelled = read_data(data)
    later = None if next_campaign is None else read_data(next_campaign)
    encoders = _encoders(site, encoder)
    with progress_bars(quiet=as_json) as progress:
        report = run_few_shot_retrieval(
            labelled, encoders, settings, next_campaign=later, region=region, cache=cache, progress=progress
        )
    lines = summarise(report)
    if out is not None:
        _write(out, report)
    if as_json:
        print_json(to_json(report, lines))
    else:
        typer.echo(to_markdown(report, lines))
        if out is not None:
            typer.echo(f"tables and figures: {out}")


def _numbers(text: str) -> tuple[int, ...]:
    from infra.errors import ConfigurationError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(f'--budgets "{text}": give whole numbers separated by commas, as 4,8,16') from None


def _encoders(site: Path, names: list[str] | None) -> "list[Encoder]":
    from infra.weights import read_weights
    from models.encoders.build import build
    from models.encoders.lookup import find_weights
    from models.encoders.specs import describe

    known = read_weights(site / "weights")
    chosen = list(dict.fromkeys(names or [DEFAULT_ENCODER, *known]))
    found = [(name, find_weights(known, name)) for name in chosen]
    return [build(describe(name, weights), weights) for name, weights in found]


def _write(out: Path, report: "FewShotReport") -> None:
    """Tables and figures under the protocol's name; an earlier call's are replaced."""
    import json

    from evaluation.figures import box_plot
    from evaluation.protocols.few_shot_retrieval import NEXT, PROTOCOL, TEST
    from evaluation.tables import summarise, to_csv, to_json, to_markdown
    from footage.writing import write_bytes

    lines = summarise(report)
    out.mkdir(parents=True, exist_ok=True)
    files = {
        f"{PROTOCOL}.md": to_markdown(report, lines).encode(),
        f"{PROTOCOL}.csv": to_csv(lines).encode(),
        f"{PROTOCOL}.json": (json.dumps(to_json(report, lines), indent=2) + "\n").encode(),
        f"{PROTOCOL}.png": box_plot(report, TEST),
    }
    if report.next_campaign is not None:
        files[f"{PROTOCOL}-next-campaign.png"] = box_plot(report, NEXT)
    for name, content in files.items():
        write_bytes(out / name, content)
