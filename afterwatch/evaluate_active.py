"""The verb `evaluate active-learning`: what labels are worth when the queue asks for them, beside chance."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterwatch.encoder_options import load_combinations
from afterwatch.evaluate_anomalies import command_of
from afterwatch.evaluate_telling import tell_report
from afterwatch.options import JsonOption, check_out, progress_bars

if TYPE_CHECKING:
    from evaluation.protocols.active_learning import ActiveReport

DEFAULT_ENCODER = "handcrafted/motion"


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "active-learning",
        epilog="Example: afterwatch evaluate active-learning --data UCSDped2 --out results --name active-learning-ucsd-ped2",
    )(active_learning)


def active_learning(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Option(
            help="Labelled footage: UCSD, Avenue, UCF-Crime, cameras with labels.json, a rendered campaign; or clips in a folder "
            "for each class."
        ),
    ],
    encoder: Annotated[
        list[str] | None, typer.Option(help=f"Encoder to measure; repeatable. Default: {DEFAULT_ENCODER}.")
    ] = None,
    budget: Annotated[int, typer.Option(help="Questions of a night.")] = 20,
    most: Annotated[int, typer.Option(help="Labels at which it ends.")] = 256,
    start: Annotated[int, typer.Option(help="Labels of each class before the first night.")] = 2,
    uncertain_share: Annotated[
        float, typer.Option(help="Share of the queue's questions that are near the boundary.")
    ] = 0.5,
    seeds: Annotated[int, typer.Option(help="Times it is done over, with other parts and first labels.")] = 10,
    rate: Annotated[float, typer.Option(help="Most frames that are looked at in a second.")] = 5.0,
    sources: Annotated[
        Path | None,
        typer.Option(help="CSV of rows clip,source: clips of one source are never parted. Of clips by class."),
    ] = None,
    mask: Annotated[
        list[str] | None,
        typer.Option(help="Box x,y,width,height to paint over, in pixels or fractions; repeatable."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for NAME.md, .csv, .json, the figure (.png) and what it is drawn from (NAME-nights.csv)."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="What the files in that folder are called.")] = "active-learning",
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps embeddings for the next call.")] = None,
    site: Annotated[
        Path, typer.Option("--site", help="Workspace whose weights are used.", show_default="current folder")
    ] = Path("."),
    as_json: JsonOption = False,
) -> None:
    """What labels are worth: frame AUC and recall by their number, chosen by the queue, by doubt alone and by chance."""
    from evaluation.active_data import read_labelled
    from evaluation.embedding import Looking
    from evaluation.masks import Mask
    from evaluation.protocols.active_learning import ActiveSettings, run_active_learning
    from infra.errors import ConfigurationError

    check_out(out, name)
    settings = ActiveSettings(
        budget=budget,
        most=most,
        start=start,
        seeds=seeds,
        uncertain_share=uncertain_share,
        rate_hz=rate,
        looking=Looking(masks=tuple(Mask.parse(text) for text in mask or ())),
    )
    combinations = load_combinations(site, encoder or [DEFAULT_ENCODER])
    if any(len(several) > 1 for several in combinations):
        raise ConfigurationError("a retrieval head reads one encoder; name each by an --encoder of its own, without +")
    encoders = [one for (one,) in combinations]
    labelled = read_labelled(data, sources)
    with progress_bars(quiet=as_json) as progress:
        report = run_active_learning(labelled, encoders, settings, cache=cache, progress=progress)
    _tell(context, report, out, name, as_json)


def _tell(context: typer.Context, report: "ActiveReport", out: Path | None, name: str, as_json: bool) -> None:
    from evaluation.active_figures import figures_of
    from evaluation.active_tables import nights_csv, to_csv, to_json, to_markdown

    command = command_of(context)
    tell_report(
        lambda figures: to_markdown(report, command, figures),
        to_json(report),
        tables={"": to_csv(report), "nights": nights_csv(report)},
        figures=lambda: figures_of(report, name),
        out=out,
        name=name,
        as_json=as_json,
    )
