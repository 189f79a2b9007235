"""The verb `evaluate segments`: segment classifiers by encoder and loss, S3's report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterwatch.encoder_options import load_combinations
from afterwatch.head_options import (
    DEFAULT_ENCODER,
    BatchOption,
    ClassWeightsOption,
    DropoutOption,
    EpochsOption,
    HiddenOption,
    LearningRateOption,
    MembersOption,
    WeightDecayOption,
)
from afterwatch.options import JsonOption, check_out, print_json, progress_bars
from afterwatch.segment_options import (
    AnnotationsOption,
    FrameRateOption,
    FramesOption,
    LayoutOption,
    OverlapOption,
    RankingOption,
    SmoothnessOption,
    SourceOption,
    SourcesOption,
    SparsityOption,
    SplitOption,
    StrideOption,
    UnlistedOption,
    frame_rate_of,
    segment_head,
    segment_losses,
)

if TYPE_CHECKING:
    from evaluation.protocols.segment_models import SegmentData, SegmentReport
    from workspace.clip_sets.base import Progress

NAME = "segments"
LOSSES = ("mil", "bce")
EXAMPLE = (
    "Example: afterwatch evaluate segments --data videos --annotations anomalies.json --encoder handcrafted/action "
    "--encoder handcrafted/action+handcrafted/appearance --loss mil --loss bce --out results"
)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("segments", epilog=EXAMPLE)(segments)


def segments(
    context: typer.Context,
    data: Annotated[
        Path, typer.Option(help="Folder of videos, annotated or in a folder for each class; or UCSD Ped1 or Ped2.")
    ],
    annotations: AnnotationsOption = None,
    unlisted: UnlistedOption = "left-out",
    layout: LayoutOption = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Encoder, or several side by side with + between them; repeatable. Default: {DEFAULT_ENCODER}."
        ),
    ] = None,
    loss: Annotated[
        list[str] | None, typer.Option(help="mil, pairwise, s3 or bce; repeatable. Default: mil and bce.")
    ] = None,
    ranking_weight: RankingOption = None,
    smoothness_weight: SmoothnessOption = None,
    sparsity_weight: SparsityOption = None,
    frames: FramesOption = 32,
    overlap: OverlapOption = 0.5,
    stride: StrideOption = None,
    frame_rate: FrameRateOption = None,
    source: SourceOption = None,
    sources: SourcesOption = None,
    split: SplitOption = None,
    seeds: Annotated[int, typer.Option(help="Times it is done over, with other parts and first weights.")] = 5,
    hidden: HiddenOption = None,
    dropout: DropoutOption = None,
    epochs: EpochsOption = None,
    batch: BatchOption = None,
    learning_rate: LearningRateOption = None,
    weight_decay: WeightDecayOption = None,
    class_weights: ClassWeightsOption = None,
    members: MembersOption = None,
    no_stills: Annotated[
        bool, typer.Option("--no-stills", help="Leave the figure out that shows pictures of the footage.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for tables (.md, .csv, .json), figures (.png) and each segment's probability (.csv)."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="What the files in that folder are called.")] = NAME,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps vectors for the next call.")] = None,
    site: Annotated[
        Path, typer.Option("--site", help="Workspace whose weights are used.", show_default="current folder")
    ] = Path("."),
    as_json: JsonOption = False,
) -> None:
    """How well segment classifiers tell anomalous segments of other videos, with and without the terms of their loss."""
    from dataclasses import replace

    from evaluation.protocols.segment_models import SegmentSettings, run_segment_models
    from lake.registry import Registry
    from workspace.finetuning import unseen_part
    from workspace.segment_parts import read_split

    check_out(out, name)
    settings = SegmentSettings(
        losses=segment_losses(loss or LOSSES, ranking_weight, smoothness_weight, sparsity_weight),
        seeds=seeds,
        head=segment_head(
            hidden=hidden,
            dropout=dropout,
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            class_weights=class_weights,
            members=members,
        ),
        frames=frames,
        overlap=overlap,
        stride_s=stride,
        frame_rate_hz=frame_rate_of(site, frame_rate),
    )
    combinations = load_combinations(site, encoder or [DEFAULT_ENCODER])
    specs = [one.spec for combination in combinations for one in combination]
    with progress_bars(quiet=as_json) as progress:
        found = _data(data.expanduser(), annotations, unlisted, layout, source, sources, progress)
        videos = found.videos.within(unseen_part(Registry(site / "models"), found.videos.as_clips(), specs))
        videos, parts = (videos, None) if split is None else read_split(split, videos)
        report = run_segment_models(
            replace(found, videos=videos), combinations, settings, parts=parts, cache=cache, progress=progress
        )
        _tell(context, report, out, name, not no_stills, as_json)


def _data(
    folder: Path,
    annotations: Path | None,
    unlisted: str,
    layout: str | None,
    source: str | None,
    sources: Path | None,
    progress: "Progress",
) -> "SegmentData":
    """Annotated videos, folders of classes, or UCSD's clips with their labels."""
    from evaluation.datasets.ucsd import NOTES, is_ucsd, read_ucsd_split
    from evaluation.protocols.segment_models import SegmentData, labelled_segment_data
    from infra.errors import ConfigurationError
    from workspace.segment_sets import read_segment_videos

    if annotations is None and layout is None and folder.is_dir() and is_ucsd(folder):
        if source is not None or sources is not None:
            raise ConfigurationError("clips of UCSD are their own sources; leave --source and --sources out")
        parted_anew = (
            "The data set's own split, normal clips to train and the others to test, is not kept: all clips are parted "
            "anew. They are of one camera, and some follow one another at once, so parts are more alike than other cameras "
            "would be."
        )
        return labelled_segment_data(read_ucsd_split(folder), (NOTES[0], parted_anew))
    videos = read_segment_videos(
        folder, annotations, unlisted=unlisted, layout=layout, source=source, sources=sources, progress=progress
    )
    return SegmentData(folder.resolve().name, videos)


def _tell(
    context: typer.Context, report: "SegmentReport", out: Path | None, name: str, stills: bool, as_json: bool
) -> None:
    """Print the result and, where a folder is named, write it; an earlier call's files are replaced."""
    import json

    from afterwatch.evaluate_anomalies import command_of
    from evaluation.segment_figures import figures_of
    from evaluation.segment_tables import scores_to_csv, to_csv, to_json, to_markdown
    from footage.writing import write_bytes

    if out is not None:
        drawn = figures_of(report, stills=stills)
        named = {one.title: f"{name}-{one.ending}.png" for one in drawn}
        files = {
            f"{name}.md": to_markdown(report, command_of(context), named).encode(),
            f"{name}.csv": to_csv(report).encode(),
            f"{name}.json": (json.dumps(to_json(report), indent=2) + "\n").encode(),
            f"{name}-scores.csv": scores_to_csv(report).encode(),
            **{named[one.title]: one.png for one in drawn},
        }
        for file, content in files.items():
            write_bytes(out / file, content)
    if as_json:
        print_json(to_json(report))
    else:
        typer.echo(to_markdown(report, command_of(context)))
        if out is not None:
            typer.echo(f"tables and figures: {out}")
