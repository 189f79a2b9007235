"""The verb `evaluate summaries`: summaries against people's (TVSum, SumMe), and what a campaign's summaries show of what is anomalous."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterwatch.evaluate_anomalies import SiteOption, WeightsOption, command_of
from afterwatch.evaluate_telling import tell_report
from afterwatch.options import JsonOption, progress_bars

if TYPE_CHECKING:
    from collections.abc import Callable

    from evaluation.bootstrap import BootstrapSettings
    from evaluation.summary_sights import Encoders, LookSettings
    from evaluation.summary_tables import Report


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "summaries",
        epilog="Example: afterwatch evaluate summaries --data UCSDped2 --out results --name summary-ucsd-ped2",
    )(summaries)


def summaries(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Option(
            help="TVSum (ydata-tvsum50.mat), SumMe (GT/*.mat) or their preprocessed features (.h5); or labelled footage: UCSD, "
            "Avenue, UCF-Crime, cameras with labels.json. Its layout is found out."
        ),
    ],
    videos: Annotated[
        Path | None,
        typer.Option(help="Folder of the videos of TVSum or SumMe, named as there; without it people alone."),
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(
            "--head",
            help="Head that tells what is anomalous, by name: knn-motion, which is the nights' own, own, lof-motion, "
            "forest-motion, svm-motion, hasan, chong-tay, istl; repeatable. Default: knn-motion.",
        ),
    ] = None,
    weights: WeightsOption = None,
    share: Annotated[
        float | None,
        typer.Option(
            help="Length of a summary in parts of the footage. Default: 0.15 against people, 0.1 of a campaign."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Random summaries.")] = 100,
    seed: Annotated[int, typer.Option(help="The first of them, and what decides the resamples.")] = 0,
    mask: Annotated[
        list[str] | None,
        typer.Option("--mask", help="Box x,y,width,height to paint over, in pixels or fractions; repeatable."),
    ] = None,
    resamples: Annotated[int, typer.Option(help="Resamples of the videos for the intervals.")] = 1000,
    out: Annotated[
        Path | None, typer.Option(help="Folder for tables (.md, .csv, .json) and the figure (.png).")
    ] = None,
    name: Annotated[str, typer.Option(help="What the files in that folder are called.")] = "summaries",
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps vectors for the next call.")] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Summaries held against people's choices, or by what they show of what is anomalous; beside chance and equal distances."""
    from evaluation.bootstrap import BootstrapSettings
    from evaluation.datasets.summary_read import is_annotated
    from evaluation.heads import DEFAULT_HEADS, build_heads, head_named
    from evaluation.masks import Mask
    from evaluation.summary_sights import LookSettings, encoders
    from infra.errors import ConfigurationError

    heads = [head_named(one) for one in dict.fromkeys(head or DEFAULT_HEADS)]
    by = encoders(build_heads(heads, site / "weights", weights or ()))
    look = LookSettings(masks=tuple(Mask.parse(text) for text in mask or ()))
    bootstrap = BootstrapSettings(resamples=resamples, seed=seed)
    with progress_bars(quiet=as_json) as progress:
        if is_annotated(data):
            report = _against_people(data, videos, share, seeds, seed, look, by, bootstrap, cache, progress)
        elif videos is not None:
            raise ConfigurationError(f"--videos is for TVSum and SumMe; {data} holds neither's annotations")
        else:
            report = _of_campaign(data, share, seeds, seed, look, by, bootstrap, cache, progress)
    _tell(context, report, out, name, as_json)


def _against_people(
    data: Path,
    videos: Path | None,
    share: float | None,
    seeds: int,
    seed: int,
    look: "LookSettings",
    by: "Encoders",
    bootstrap: "BootstrapSettings",
    cache: Path | None,
    progress: "Callable[[str, float, float], None]",
) -> "Report":
    from evaluation.datasets.summary_read import read_annotated
    from evaluation.protocols.summaries import SummarySettings, run_summaries
    from evaluation.summary_methods import score_shots

    settings = SummarySettings(SummarySettings.share if share is None else share, seeds, seed, bootstrap)
    measured, scores, remarks = score_shots(read_annotated(data, videos), look, by, cache, progress)
    return run_summaries(measured, settings, scores, remarks, progress)


def _of_campaign(
    data: Path,
    share: float | None,
    seeds: int,
    seed: int,
    look: "LookSettings",
    by: "Encoders",
    bootstrap: "BootstrapSettings",
    cache: Path | None,
    progress: "Callable[[str, float, float], None]",
) -> "Report":
    from evaluation.datasets.anomalies_read import read_footage
    from evaluation.protocols.summary_campaign import CampaignSettings, run_campaign

    settings = CampaignSettings(CampaignSettings.share if share is None else share, seeds, seed, look, bootstrap)
    return run_campaign(read_footage(data), settings, by, cache_folder=cache, progress=progress)


def _tell(context: typer.Context, report: "Report", out: Path | None, name: str, as_json: bool) -> None:
    from evaluation.summary_figures import figures_of
    from evaluation.summary_tables import details_csv, to_csv, to_json, to_markdown

    command = command_of(context)
    tell_report(
        lambda figures: to_markdown(report, command, figures),
        to_json(report),
        tables={"": to_csv(report), "details": details_csv(report)},
        figures=lambda: figures_of(report, name),
        out=out,
        name=name,
        as_json=as_json,
    )
