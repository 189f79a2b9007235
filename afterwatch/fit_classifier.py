"""The verb `fit classifier`: the head of an alarm, on what frozen encoders see of labelled clips."""

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from afterwatch.classifier_texts import fitted_told, plain_name, tell_fitted
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
from afterwatch.options import JsonOption, SiteOption, print_json, progress_bars

if TYPE_CHECKING:
    from infra.weights import WeightsFile
    from models.encoders.base import Encoder, EncoderSpec
    from workspace.clip_vectors import Inputs
    from workspace.opened import Workspace

EXAMPLE = "Example: afterwatch fit classifier --data fights --site site"


def register(app: typer.Typer) -> None:
    """Add the verb to `fit`."""
    app.command("classifier", epilog=EXAMPLE)(fit_classifier)


def fit_classifier(
    data: Annotated[Path, typer.Option(help="Folder of labelled clips: a folder for each class, DCSASS, or UCF101.")],
    name: Annotated[str | None, typer.Option(help="What the settings call it; default: the folder's name.")] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help=f"Whose vectors; repeatable, side by side. Default: {DEFAULT_ENCODER}."),
    ] = None,
    alarm: Annotated[
        list[str] | None,
        typer.Option(help="Class to raise an alarm for; repeatable. Default: every class but the normal one."),
    ] = None,
    layout: Annotated[str | None, typer.Option(help="folders, dcsass or ucf101; default: found out.")] = None,
    official_list: Annotated[int | None, typer.Option("--list", help="UCF101's list: 1, 2 or 3.")] = None,
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
        float | None, typer.Option(help="Pictures in a second for frame encoders; default: [sampling], else 1.")
    ] = None,
    window: Annotated[
        float | None, typer.Option(help="Seconds of a window, where every encoder is a frame encoder; default: 2.")
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
    seed: Annotated[int, typer.Option(help="Decides folds, first weights, dropout and order.")] = 0,
    folds: Annotated[int, typer.Option(help="Parts of the cross-validation, by source video.")] = 5,
    threshold_by: Annotated[
        str, typer.Option(help="What the threshold is chosen by: f2, recall=0.8, precision=0.9, or cost=1,5.")
    ] = "f2",
    finetune: Annotated[
        str | None,
        typer.Option(help="Fine-tune the encoder itself first, on a GPU, and keep it as family/architecture/NAME."),
    ] = None,
    finetune_epochs: Annotated[int, typer.Option(help="Most epochs of fine-tuning.")] = 10,
    finetune_batch: Annotated[int, typer.Option(help="Snippets of a step of fine-tuning.")] = 8,
    finetune_rate: Annotated[float, typer.Option(help="Learning rate of fine-tuning.")] = 1e-4,
    moving_statistics: Annotated[
        bool, typer.Option("--moving-statistics", help="Fine-tune the statistics of batch normalisation as well.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="Where to fine-tune: cuda, cuda:N or cpu; default: a GPU, refused without one.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget a fine-tuning that an earlier call left unfinished.")
    ] = False,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps vectors for the next call.")] = None,
    author: Annotated[str | None, typer.Option(help="Who wants it; default: you.")] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Train the head of an alarm on labelled clips, and say how well it tells clips of other source videos.

    One pass over the videos makes the vectors; then an epoch takes seconds. The first version of a name is put into
    service; any other is a candidate until "afterwatch models promote".
    """
    import getpass

    from models.finetuning import FinetuningSettings
    from models.sweep import Criterion
    from workspace import classifier_fitting as fitting
    from workspace.clip_sets.read import read_clip_set
    from workspace.clip_sets.sources import with_sources
    from workspace.clip_vectors import clip_windows
    from workspace.finetuning import finetune_encoder, unseen_part
    from workspace.opened import Workspace

    criterion = Criterion.parse(threshold_by)
    settings = head_settings(
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
        seed=seed,
    )
    workspace = Workspace(site)
    folder = data.expanduser()
    called = name or plain_name(folder.resolve().name)
    fitting.check_name(called)
    names = list(encoder or [])
    # What cannot be loaded is told before anything is decoded.
    loaded = None if finetune is not None else _inputs(workspace, names, frame_rate, window)
    where = None if finetune is None else _finetuning_device(workspace, names, finetune, device)
    who = author or getpass.getuser()
    with progress_bars(quiet=as_json) as progress:
        clip_set = read_clip_set(
            folder,
            layout,
            suffixes=workspace.settings.footage.suffixes,
            official_list=official_list,
            source=source,
            progress=progress,
        )
        # A list of sources may name clips of the test side as well.
        clip_set = fitting.training_part(clip_set if sources is None else with_sources(clip_set, sources))
        classes = clip_set.alarm_classes(alarm or [])
        if finetune is not None and where is not None:
            spec, weights = _described(workspace, names[0])
            tuned = finetune_encoder(
                workspace,
                finetune,
                folder.resolve().name,
                clip_set,
                classes,
                spec,
                weights,
                FinetuningSettings(
                    finetune_epochs,
                    finetune_batch,
                    finetune_rate,
                    frozen_statistics=not moving_statistics,
                    seed=seed,
                ),
                device=where,
                author=who,
                head_folds=folds,
                restart=restart,
                progress=progress,
            )
            names = [tuned.encoder]
        encoders, inputs = loaded or _inputs(workspace, names, frame_rate, window)
        clip_set = unseen_part(workspace.registry, clip_set, [one.spec for one in encoders])
        fitting.check_clips(clip_set, classes, folds, seed)
        began = perf_counter()
        windows = clip_windows(
            clip_set,
            encoders,
            inputs,
            cache=cache,
            threads=workspace.settings.compute.decode_threads,
            progress=progress,
        )
        embedding_s = perf_counter() - began
        fitted = fitting.fit_classifier(
            workspace,
            called,
            folder.resolve().name,
            windows,
            inputs,
            classes,
            settings,
            folds=folds,
            criterion=criterion,
            author=who,
            progress=progress,
        )
    if as_json:
        print_json(fitted_told(fitted, embedding_s))
    else:
        tell_fitted(workspace, fitted, embedding_s)


def _inputs(
    workspace: "Workspace", names: list[str], frame_rate: float | None, window_s: float | None
) -> "tuple[list[Encoder], Inputs]":
    """The encoders, loaded, and what a classifier on them looks at; strides are those of the settings."""
    from infra.settings import AtRate
    from workspace.clip_vectors import inputs_of

    encoders = [_encoder(workspace, name) for name in names or [DEFAULT_ENCODER]]
    specs = [encoder.spec for encoder in encoders]
    leading = next((spec.space for spec in specs if spec.kind == "snippet"), None)
    strides = {planned.spec.space: planned.stride_s for planned in workspace.encoders if planned.spec.kind == "snippet"}
    sampling = workspace.settings.sampling
    rate_hz = sampling.rate_hz if frame_rate is None and isinstance(sampling, AtRate) else frame_rate
    stride_s = None if leading is None else strides.get(leading)
    return encoders, inputs_of(specs, window_s=window_s, stride_s=stride_s, frame_rate_hz=rate_hz)


def _described(workspace: "Workspace", name: str) -> "tuple[EncoderSpec, WeightsFile | None]":
    """One of the settings' encoders, or any other whose weights are at hand."""
    from infra.weights import read_weights
    from models.encoders.lookup import find_weights
    from models.encoders.specs import describe

    planned = next((known for known in workspace.encoders if known.table.name == name), None)
    if planned is not None:
        return planned.spec, planned.weights
    known = read_weights(workspace.site.weights_folder)
    weights = find_weights(known, name)
    return describe(name, weights), weights


def _encoder(workspace: "Workspace", name: str) -> "Encoder":
    """An encoder, loaded."""
    from models.encoders.build import build

    compute = workspace.settings.compute
    spec, weights = _described(workspace, name)
    return build(spec, weights, device=compute.device, precision=compute.precision, batch_size=compute.batch_size)


def _finetuning_device(workspace: "Workspace", names: list[str], finetune: str, device: str | None) -> str:
    """The device to fine-tune on, after a look at what is to be fine-tuned."""
    from infra.errors import ConfigurationError
    from models.finetuning import finetuning_device
    from workspace.finetuning import encoder_name

    if len(names) != 1:
        raise ConfigurationError(f"--finetune trains one network: name it with one --encoder, got {len(names)}")
    encoder_name(_described(workspace, names[0])[0], finetune)
    return finetuning_device(device)
