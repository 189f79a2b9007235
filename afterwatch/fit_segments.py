"""The verb `fit segments`: a classifier of anomalous segments, on annotated videos."""

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from afterwatch.classifier_texts import fitted_told, number, plain_name
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
from afterwatch.options import JsonOption, SiteOption, duration, print_json, print_table, progress_bars
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
    from workspace.classifier_fitting import FittedClassifier

EXAMPLE = "Example: afterwatch fit segments --data videos --annotations anomalies.json --encoder handcrafted/action --site site"
COLUMNS = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced"),
    ("auc", "ROC-AUC"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("f1", "F1"),
    ("average_precision", "AP"),
    ("mean_average_precision", "mAP"),
    ("temporal_iou", "IoU"),
)


def register(app: typer.Typer) -> None:
    """Add the verb to `fit`."""
    app.command("segments", epilog=EXAMPLE)(fit_segments)


def fit_segments(
    data: Annotated[Path, typer.Option(help="Folder of videos, annotated or in a folder for each class.")],
    annotations: AnnotationsOption = None,
    unlisted: UnlistedOption = "left-out",
    layout: LayoutOption = None,
    name: Annotated[str | None, typer.Option(help="What the settings call it; default: the folder's name.")] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help=f"Whose vectors; repeatable, side by side. Default: {DEFAULT_ENCODER}."),
    ] = None,
    loss: Annotated[str, typer.Option(help="mil, pairwise, s3 or bce.")] = "mil",
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
    hidden: HiddenOption = None,
    dropout: DropoutOption = None,
    epochs: EpochsOption = None,
    batch: BatchOption = None,
    learning_rate: LearningRateOption = None,
    weight_decay: WeightDecayOption = None,
    class_weights: ClassWeightsOption = None,
    members: MembersOption = None,
    seed: Annotated[int, typer.Option(help="Decides parts, first weights, dropout and order.")] = 0,
    threshold_by: Annotated[
        str | None,
        typer.Option(help="Choose the threshold on the validation part: f2, recall=0.8, … Default: it is 0.5."),
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps vectors for the next call.")] = None,
    author: Annotated[str | None, typer.Option(help="Who wants it; default: you.")] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Train a classifier of anomalous segments on annotated videos, and say how well it tells videos of other sources.

    It is a classifier with the class "anomaly": alarms, thresholds and export work as with any other. The first version of
    a name is put into service; any other is a candidate until "afterwatch models promote".
    """
    import getpass

    from models.sweep import Criterion
    from workspace.classifier_fitting import check_name
    from workspace.clip_vectors import clip_windows
    from workspace.finetuning import unseen_part
    from workspace.opened import Workspace
    from workspace.segment_fitting import fit_segments as fit
    from workspace.segment_parts import check_parts, check_segments, read_split, split_videos
    from workspace.segment_sets import annotated_segments, read_segment_videos, segment_inputs

    criterion = None if threshold_by is None else Criterion.parse(threshold_by)
    (chosen,) = segment_losses([loss], ranking_weight, smoothness_weight, sparsity_weight)
    settings = segment_head(
        hidden=hidden,
        dropout=dropout,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        class_weights=class_weights,
        members=members,
        seed=seed,
    )
    workspace = Workspace(site)
    folder = data.expanduser()
    called = name or plain_name(folder.resolve().name)
    check_name(called)
    (encoders,) = load_combinations(site, ["+".join(encoder or [DEFAULT_ENCODER])])
    specs = [one.spec for one in encoders]
    with progress_bars(quiet=as_json) as progress:
        videos = read_segment_videos(
            folder,
            annotations,
            unlisted=unlisted,
            suffixes=workspace.settings.footage.suffixes,
            layout=layout,
            source=source,
            sources=sources,
            progress=progress,
        )
        videos = videos.within(unseen_part(workspace.registry, videos.as_clips(), specs))
        videos, parts = (videos, split_videos(videos, seed)) if split is None else read_split(split, videos)
        check_parts(videos, parts)
        inputs = segment_inputs(
            videos, specs, frames=frames, stride_s=stride, frame_rate_hz=frame_rate_of(site, frame_rate)
        )
        began = perf_counter()
        threads = workspace.settings.compute.decode_threads
        windows = clip_windows(videos.as_clips(), encoders, inputs, cache=cache, threads=threads, progress=progress)
        embedding_s = perf_counter() - began
        segments = annotated_segments(videos, windows, inputs, overlap)
        check_segments(segments, parts)
        fitted = fit(
            workspace,
            called,
            folder.resolve().name,
            segments,
            inputs,
            parts,
            settings,
            chosen,
            overlap=overlap,
            criterion=criterion,
            author=author or getpass.getuser(),
            progress=progress,
        )
    if as_json:
        print_json(fitted_told(fitted, embedding_s))
    else:
        _tell(fitted, embedding_s)


def _tell(fitted: "FittedClassifier", embedding_s: float) -> None:
    """What was made, how good it is on each part, and what to write to use it."""
    card = fitted.card
    data = card["data"]
    clips = ", ".join(f"{some} {label}" for label, some in data["clips"].items())
    rate = "" if card["frame_rate_hz"] is None else f"frame encoders at {card['frame_rate_hz']:g} Hz; "
    typer.echo(
        f"{clips}: {data['windows']} segments of {card['window_s']:g} s, {data['windows_anomalous']} of them anomalous; {rate}"
        f"embedded in {duration(embedding_s)}, then {fitted.seconds_per_epoch:.2f} s an epoch, {card['epochs']} epochs"
    )
    if data["left_out"]:
        more = f", and {len(data['left_out']) - 1} more" if len(data["left_out"]) > 1 else ""
        typer.echo(f"left out: {data['left_out'][0]}{more}")
    if card["remark"]:
        typer.echo(card["remark"])
    rows = [
        (part, str(len(data["split"][part])), str(told["segments"]), *(number(told[key]) for key, _ in COLUMNS))
        for part, told in card["parts"].items()
    ]
    titles = ("part", "videos", "segments", *(title for _, title in COLUMNS))
    print_table(titles, rows, "\nat a probability of 0.5")
    (threshold,) = card["thresholds"].values()
    state = "in service" if fitted.serves else f"a candidate; afterwatch models promote {fitted.name} {fitted.version}"
    typer.echo(
        f"\nthreshold {threshold['threshold']:.3f} ({threshold['criterion']}); another one is chosen on the "
        f"{card['fold_part']} part: afterwatch models threshold {fitted.name} --by f2"
    )
    typer.echo(f"classifier {fitted.name} {fitted.version}: {state}\n")
    typer.echo("To let the night raise alarms, see to it that its encoders are in afterwatch.toml, and write there:\n")
    typer.echo(f'[[alarms]]\nname = "anomaly"\nclassifier = "{fitted.name}"')
