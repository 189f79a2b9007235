"""Verbs that measure novelty heads on published data: UCSD Ped1 and Ped2, CUHK Avenue, UCF-Crime."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from afterwatch.options import JsonOption, print_json, progress_bars

if TYPE_CHECKING:
    from evaluation.anomaly_tables import Report
    from evaluation.datasets.base import LabelledData
    from evaluation.heads import BuiltHead
    from evaluation.protocols.ablation import Outcome
    from evaluation.protocols.anomaly import AnomalySettings

NOT_OF_THE_RESULT = ("cache", "as_json")

DataOption = Annotated[Path, typer.Option(help="Folder of the data set, in its official layout.")]
HeadOption = Annotated[
    list[str] | None,
    typer.Option(
        "--head",
        help="Head by name: own, knn-motion, lof-motion, forest-motion, svm-motion, hasan, chong-tay, istl; repeatable.",
    ),
]
WeightsOption = Annotated[
    list[str] | None,
    typer.Option("--weights", help="Weights of a head that takes some: FILE, or HEAD=FILE; repeatable."),
]
EncoderOption = Annotated[str | None, typer.Option(help="Encoder of a head put together freely.")]
DetectorOption = Annotated[
    str | None, typer.Option(help="Its detector: lof, knn, isolation_forest, one_class_svm, cells or magnitude.")
]
ScalingOption = Annotated[Literal["none", "l2", "standardise"] | None, typer.Option(help="Its scaling.")]
ProjectionOption = Annotated[Literal["none", "pca", "gaussian", "sparse"] | None, typer.Option(help="Its projection.")]
DimensionOption = Annotated[int, typer.Option(help="Dimension of its projection.")]
SeedOption = Annotated[int, typer.Option(help="Decides projections, forests, random splits and resamples.")]
MaskOption = Annotated[
    list[str] | None,
    typer.Option("--mask", help="Box x,y,width,height to paint over, in pixels or fractions; repeatable."),
]
RateOption = Annotated[float, typer.Option(help="Most frames that are looked at in a second.")]
SmoothOption = Annotated[float, typer.Option(help="Standard deviation of the smoothing window, in seconds.")]
AlarmsOption = Annotated[float, typer.Option(help="Alarm budget: alarms that an hour of normal footage may raise.")]
PooledOption = Annotated[bool, typer.Option("--pooled", help="One head for all cameras instead of one for each.")]
AblationOption = Annotated[
    bool, typer.Option("--ablation", help="Vary scaling, projection and dimension too, for the heads' detectors.")
]
SeedsOption = Annotated[int, typer.Option(help="Random projections of each kind in the ablation.")]
ResamplesOption = Annotated[int, typer.Option(help="Resamples of the videos for the intervals.")]
OutOption = Annotated[Path | None, typer.Option(help="Folder for tables (.md, .csv, .json) and figures (.png).")]
NameOption = Annotated[str, typer.Option(help="What the files in that folder are called.")]
CacheOption = Annotated[Path | None, typer.Option(help="Folder that keeps vectors for the next call.")]
SiteOption = Annotated[
    Path, typer.Option("--site", help="Workspace whose weights are used.", show_default="current folder")
]

Runs = tuple["Report", list["Outcome"]]


def add_to(app: typer.Typer) -> None:
    """Add the verbs to `afterwatch evaluate`."""
    app.command("ucsd", epilog="Example: afterwatch evaluate ucsd --data UCSDped2 --head knn-motion --out results")(
        ucsd
    )
    app.command("avenue", epilog="Example: afterwatch evaluate avenue --data Avenue --head knn-motion --out results")(
        avenue
    )
    app.command(
        "ucf-crime",
        epilog="Example: afterwatch evaluate ucf-crime --data UCF_Crimes --head lof-motion --mask 20,172,212,21",
    )(ucf_crime)


def ucsd(
    context: typer.Context,
    data: DataOption,
    head: HeadOption = None,
    weights: WeightsOption = None,
    encoder: EncoderOption = None,
    detector: DetectorOption = None,
    scaling: ScalingOption = None,
    projection: ProjectionOption = None,
    dimension: DimensionOption = 256,
    seed: SeedOption = 0,
    mask: MaskOption = None,
    rate: RateOption = 10.0,
    smooth: SmoothOption = 0.5,
    alarms_per_hour: AlarmsOption = 1.0,
    pooled: PooledOption = False,
    ablation: AblationOption = False,
    seeds: SeedsOption = 10,
    resamples: ResamplesOption = 1000,
    out: OutOption = None,
    name: NameOption = "ucsd",
    cache: CacheOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Novelty heads on UCSD Ped1 or Ped2: frames, events and false alarms, fitted on the training clips only."""
    from evaluation.datasets.ucsd import read_ucsd_split

    heads = _heads(site, weights, head, encoder, detector, scaling, projection, dimension, seed, "knn-motion")
    settings = _frame_settings(rate, smooth, alarms_per_hour, mask, resamples, seed, pooled)
    _fixed_camera(
        context, read_ucsd_split(data), heads, settings, seeds if ablation else None, out, name, cache, as_json
    )


def avenue(
    context: typer.Context,
    data: DataOption,
    head: HeadOption = None,
    weights: WeightsOption = None,
    encoder: EncoderOption = None,
    detector: DetectorOption = None,
    scaling: ScalingOption = None,
    projection: ProjectionOption = None,
    dimension: DimensionOption = 256,
    seed: SeedOption = 0,
    mask: MaskOption = None,
    rate: RateOption = 10.0,
    smooth: SmoothOption = 0.5,
    alarms_per_hour: AlarmsOption = 1.0,
    ablation: AblationOption = False,
    seeds: SeedsOption = 10,
    resamples: ResamplesOption = 1000,
    out: OutOption = None,
    name: NameOption = "avenue",
    cache: CacheOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Novelty heads on CUHK Avenue: frames, events and false alarms, fitted on the training videos only."""
    from evaluation.datasets.avenue import read_avenue

    heads = _heads(site, weights, head, encoder, detector, scaling, projection, dimension, seed, "knn-motion")
    settings = _frame_settings(rate, smooth, alarms_per_hour, mask, resamples, seed, False)
    _fixed_camera(context, read_avenue(data), heads, settings, seeds if ablation else None, out, name, cache, as_json)


def ucf_crime(
    context: typer.Context,
    data: DataOption,
    head: HeadOption = None,
    weights: WeightsOption = None,
    encoder: EncoderOption = None,
    detector: DetectorOption = None,
    scaling: ScalingOption = None,
    projection: ProjectionOption = None,
    dimension: DimensionOption = 256,
    seed: SeedOption = 0,
    mask: MaskOption = None,
    rate: RateOption = 4.0,
    smooth: SmoothOption = 0.5,
    alarms_per_hour: AlarmsOption = 1.0,
    runs: Annotated[int, typer.Option(help="Random splits of the thesis' protocol.")] = 10,
    gap: Annotated[float, typer.Option(help="Seconds between training and test where one video gives both.")] = 10.0,
    by_time: Annotated[
        bool,
        typer.Option(
            "--by-time", help="Files of another rate than 30 Hz were resampled: label them by time, not by frame."
        ),
    ] = False,
    ablation: AblationOption = False,
    seeds: SeedsOption = 10,
    resamples: ResamplesOption = 1000,
    out: OutOption = None,
    name: NameOption = "ucf-crime",
    cache: CacheOption = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Novelty heads on UCF-Crime by both protocols: the thesis' snippets, and frame AUC over all test videos."""
    from evaluation.bootstrap import BootstrapSettings
    from evaluation.datasets.ucf_crime import read_ucf_crime
    from evaluation.heads import detectors_to_vary
    from evaluation.protocols.ablation import AblationSettings
    from evaluation.protocols.thesis import ThesisSettings
    from evaluation.protocols.ucf_crime import UcfCrimeSettings, ablate_ucf_crime, run_ucf_crime

    heads = _heads(site, weights, head, encoder, detector, scaling, projection, dimension, seed, "lof-motion")
    frames = _frame_settings(rate, smooth, alarms_per_hour, mask, resamples, seed, False)
    thesis = ThesisSettings(runs, seed, gap, BootstrapSettings(resamples=resamples, seed=seed))
    settings = UcfCrimeSettings(frames, thesis)
    varied = AblationSettings(detectors_to_vary(heads), seeds=seeds) if ablation else None
    with progress_bars(quiet=as_json) as progress:
        report = run_ucf_crime(read_ucf_crime(data, by_time=by_time), heads, settings, cache=cache, progress=progress)
        outcomes = ablate_ucf_crime(report, heads, varied, progress) if varied is not None else []
    _tell(context, report, outcomes, out, name, as_json)


def _fixed_camera(
    context: typer.Context,
    data: "LabelledData",
    heads: "Sequence[BuiltHead]",
    settings: "AnomalySettings",
    seeds: int | None,
    out: Path | None,
    name: str,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Run the protocol, and what is to be varied where there are seeds."""
    from evaluation.heads import detectors_to_vary
    from evaluation.protocols.ablation import AblationSettings, ablate_frames
    from evaluation.protocols.anomaly import embed_videos, run_anomaly

    varied = AblationSettings(detectors_to_vary(heads), seeds=seeds) if seeds is not None else None
    with progress_bars(quiet=as_json) as progress:
        vectors = embed_videos(data, heads, settings, cache=cache, progress=progress)
        report = run_anomaly(data, heads, settings, vectors, progress)
        outcomes = ablate_frames(report, vectors, varied, progress) if varied is not None else []
    _tell(context, report, outcomes, out, name, as_json)


def _heads(
    site: Path,
    weights: list[str] | None,
    names: list[str] | None,
    encoder: str | None,
    detector: str | None,
    scaling: Literal["none", "l2", "standardise"] | None,
    projection: Literal["none", "pca", "gaussian", "sparse"] | None,
    dimension: int,
    seed: int,
    default: str,
) -> "tuple[BuiltHead, ...]":
    """Heads by name, and the one put together freely where any of its parts was named."""
    from evaluation.heads import MOTION, build_heads, composed, head_named
    from models.projections.linear import ProjectionSettings

    specs = [head_named(name) for name in dict.fromkeys(names or ())]
    if any(part is not None for part in (encoder, detector, scaling, projection)):
        chosen = ProjectionSettings(projection or "none", dimension, seed)
        specs.append(composed(encoder or MOTION, detector or "knn", scaling or "standardise", chosen, seed))
    return build_heads(specs or [head_named(default)], site / "weights", weights or ())


def _frame_settings(
    rate: float,
    smooth: float,
    alarms_per_hour: float,
    masks: list[str] | None,
    resamples: int,
    seed: int,
    pooled: bool,
) -> "AnomalySettings":
    from evaluation.bootstrap import BootstrapSettings
    from evaluation.masks import Mask
    from evaluation.novelty import CurveSettings
    from evaluation.protocols.anomaly import AnomalySettings

    return AnomalySettings(
        rate_hz=rate,
        pooled=pooled,
        masks=tuple(Mask.parse(text) for text in masks or ()),
        curves=CurveSettings(smooth_s=smooth, alarms_per_hour=alarms_per_hour),
        bootstrap=BootstrapSettings(resamples=resamples, seed=seed),
    )


def _tell(
    context: typer.Context,
    report: "Report",
    outcomes: "Sequence[Outcome]",
    out: Path | None,
    name: str,
    as_json: bool,
) -> None:
    """Print the result and, where a folder is named, write it; an earlier call's files are replaced."""
    import json

    from evaluation.anomaly_figures import figures_of
    from evaluation.anomaly_tables import to_csv, to_json, to_markdown
    from footage.writing import write_bytes

    if out is not None:
        figures = figures_of(report, name)
        text = to_markdown(report, command_of(context), outcomes, {one.title: one.file for one in figures})
        files = {
            f"{name}.md": text.encode(),
            f"{name}.csv": to_csv(report, outcomes).encode(),
            f"{name}.json": (json.dumps(to_json(report, outcomes), indent=2) + "\n").encode(),
            **{one.file: one.png for one in figures},
        }
        out.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            write_bytes(out / file, content)
    if as_json:
        print_json(to_json(report, outcomes))
    else:
        typer.echo(to_markdown(report, command_of(context), outcomes))
        if out is not None:
            typer.echo(f"tables and figures: {out}")


def command_of(context: typer.Context) -> str:
    """The call as it can be repeated: what decides the result and is not the default."""
    words = ["afterwatch", "evaluate", context.info_name or ""]
    for parameter in context.command.params:
        value: Any = context.params.get(parameter.name or "")
        if parameter.name in NOT_OF_THE_RESULT or value is None or value == parameter.default:
            continue
        flag = parameter.opts[0]
        if value is True:
            words.append(flag)
        else:
            for one in value if isinstance(value, list | tuple) else [value]:
                words += [flag, str(one)]
    return shlex.join(words)
