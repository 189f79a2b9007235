"""The verb `evaluate classifier`: alarm classifiers by cross-validation."""

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
    PatienceOption,
    PublishedOption,
    WeightDecayOption,
    head_settings,
)
from afterwatch.options import JsonOption, check_out, print_json, progress_bars

if TYPE_CHECKING:
    from evaluation.protocols.classification import ClassificationReport

FOLDS = 5
NAME = "classifier"
EXAMPLE = (
    "Example: afterwatch evaluate classifier --data fights --encoder handcrafted/action --encoder timm/mobilenetv2_100 "
    "--encoder handcrafted/action+timm/mobilenetv2_100 --out results"
)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("classifier", epilog=EXAMPLE)(classifier)


def classifier(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="Folder of labelled clips; its layout is found out.")],
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Encoder, or several side by side with + between them; repeatable. Default: {DEFAULT_ENCODER}."
        ),
    ] = None,
    alarm: Annotated[
        list[str] | None, typer.Option(help="Class to recognise; repeatable. Default: all but the normal one.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(help=f"Folds over source videos. Default: the official split where there is one, else {FOLDS}."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Times it is done over, with other folds and first weights.")] = 5,
    layout: Annotated[str | None, typer.Option(help="folders, dcsass or ucf101. Default: found out.")] = None,
    official_list: Annotated[int | None, typer.Option("--list", help="Official list of UCF101. Default: 1.")] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Regular expression: clips in whose path it finds the same are of one source video."),
    ] = None,
    sources: Annotated[
        Path | None,
        typer.Option(
            help="CSV of rows clip,source: clips of one source, or of one place, that their names do not tell."
        ),
    ] = None,
    frame_rate: Annotated[
        float | None, typer.Option(help="Pictures of a second that frame encoders see. Default: 1.")
    ] = None,
    window: Annotated[
        float | None, typer.Option(help="Seconds of a window where all encoders are of frames. Default: 2.")
    ] = None,
    published: PublishedOption = False,
    hidden: HiddenOption = None,
    dropout: DropoutOption = None,
    epochs: EpochsOption = None,
    patience: PatienceOption = None,
    batch: BatchOption = None,
    learning_rate: LearningRateOption = None,
    weight_decay: WeightDecayOption = None,
    class_weights: ClassWeightsOption = None,
    members: MembersOption = None,
    resamples: Annotated[int, typer.Option(help="Resamples of the source videos for the intervals.")] = 1000,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for tables (.md, .csv, .json), curves (.png) and each clip's probabilities (.csv)."),
    ] = None,
    name: Annotated[str, typer.Option(help="What the files in that folder are called.")] = NAME,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps vectors for the next call.")] = None,
    site: Annotated[
        Path, typer.Option("--site", help="Workspace whose weights are used.", show_default="current folder")
    ] = Path("."),
    as_json: JsonOption = False,
) -> None:
    """How well alarm classifiers recognise clips that they have not seen, by encoder: the same training as fit classifier."""
    from evaluation.bootstrap import BootstrapSettings
    from evaluation.protocols.classification import ClassificationSettings, run_classification
    from lake.registry import Registry
    from workspace.clip_rows import FRAME_RATE_HZ
    from workspace.clip_sets.read import read_clip_set
    from workspace.clip_sets.sources import with_sources
    from workspace.finetuning import unseen_part

    check_out(out, name)
    head = head_settings(
        published=published,
        hidden=hidden,
        dropout=dropout,
        epochs=epochs,
        patience=patience,
        batch_size=batch,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        class_weights=class_weights,
        members=members,
    )
    combinations = load_combinations(site, encoder or [DEFAULT_ENCODER])
    with progress_bars(quiet=as_json) as progress:
        clip_set = read_clip_set(data, layout, official_list=official_list, source=source, progress=progress)
        clip_set = clip_set if sources is None else with_sources(clip_set, sources)
        specs = [one.spec for combination in combinations for one in combination]
        clip_set = unseen_part(Registry(site / "models"), clip_set, specs)
        has_split = {clip.split for clip in clip_set.clips} == {"train", "test"}
        settings = ClassificationSettings(
            folds=(None if has_split else FOLDS) if folds is None else folds,
            seeds=seeds,
            head=head,
            alarm=tuple(alarm or ()),
            frame_rate_hz=FRAME_RATE_HZ if frame_rate is None else frame_rate,
            window_s=window,
            bootstrap=BootstrapSettings(resamples=resamples),
        )
        called = data.expanduser().resolve().name
        report = run_classification(called, clip_set, combinations, settings, cache=cache, progress=progress)
    _tell(context, report, out, name, as_json)


def _tell(context: typer.Context, report: "ClassificationReport", out: Path | None, name: str, as_json: bool) -> None:
    """Print the result and, where a folder is named, write it; an earlier call's files are replaced."""
    import json

    from afterwatch.evaluate_anomalies import command_of
    from evaluation.classification_figures import curves_figure
    from evaluation.classification_tables import scores_to_csv, to_csv, to_json, to_markdown
    from footage.writing import write_bytes

    if out is not None:
        figure = f"{name}-curves.png"
        files = {
            f"{name}.md": to_markdown(report, command_of(context), figure).encode(),
            f"{name}.csv": to_csv(report).encode(),
            f"{name}.json": (json.dumps(to_json(report), indent=2) + "\n").encode(),
            f"{name}-scores.csv": scores_to_csv(report).encode(),
            figure: curves_figure(report),
        }
        for file, content in files.items():
            write_bytes(out / file, content)
    if as_json:
        print_json(to_json(report))
    else:
        typer.echo(to_markdown(report, command_of(context)))
        if out is not None:
            typer.echo(f"tables and figures: {out}")
