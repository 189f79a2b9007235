"""The verb `fit projection`: a linear layer on a frozen encoder, trained by one of the losses of metric learning."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.options import CameraOption, CampaignOption, JsonOption, SiteOption, print_json, progress_bars

if TYPE_CHECKING:
    from models.encoders.base import Encoder
    from workspace.opened import Workspace
    from workspace.projections import FittedProjection, Origin
    from workspace.training_clips import Clip

EXAMPLE = "Example: afterwatch fit projection --data ucf101 --loss supervised_contrastive --name actions --site site"
LABELLED_MOST, UNLABELLED_MOST = 2000, 1000


def register(app: typer.Typer) -> None:
    """Add the verb to `fit`."""
    app.command("projection", epilog=EXAMPLE)(fit_projection)


def fit_projection(
    data: Annotated[Path | None, typer.Option(help="Train on this folder: a folder of videos for each class.")] = None,
    campaign: CampaignOption = None,
    camera: CameraOption = None,
    region: Annotated[str, typer.Option(help="Region of the camera.")] = "frame",
    name: Annotated[
        str | None,
        typer.Option(help="What the settings call it; default: the folder's name, the camera's or the campaign's."),
    ] = None,
    encoder: Annotated[str | None, typer.Option(help="Whose vectors; default: that of [novelty].")] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            help="cross_entropy, triplet, supervised_contrastive or self_supervised; default: supervised_contrastive "
            "for a folder, self_supervised for a campaign."
        ),
    ] = None,
    dimension: Annotated[int, typer.Option(help="Values of a projected vector.")] = 256,
    views: Annotated[int, typer.Option(help="Augmented views of each sample.")] = 4,
    epochs: Annotated[int, typer.Option(help="Most epochs.")] = 20,
    patience: Annotated[
        int, typer.Option(help="Epochs without a better silhouette of other sources until it stops.")
    ] = 5,
    batch: Annotated[int, typer.Option(help="Samples of a step, each with all its views.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="Smaller where the loss is not finite.")] = 1e-3,
    temperature: Annotated[float, typer.Option(help="Of the contrastive losses.")] = 0.1,
    margin: Annotated[float, typer.Option(help="Of the triplet loss.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Decides views, split, first weights and order.")] = 0,
    source: Annotated[
        str | None,
        typer.Option(help="Regular expression: clips in whose path it finds the same are of one source video."),
    ] = None,
    most: Annotated[
        int | None, typer.Option(help="About as many samples in all. Default: 2000 of a folder, 1000 of a campaign.")
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps vectors for the next call.")] = None,
    author: Annotated[str | None, typer.Option(help="Who wants it; default: you.")] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Train a projection of an encoder's vectors, and say how well it tells classes apart in videos it never saw.

    On a campaign it learns, without labels, to tell moments from one another whatever the light and the noise; what was
    confirmed to be an anomaly is left out.
    """
    import getpass

    from models.projections.trained import ProjectionTraining, loss_named
    from workspace import projections
    from workspace.opened import Workspace
    from workspace.viewed_clips import Viewing, embed_clips

    _check(data, campaign, camera, region, source, most)
    called = name or _plain((camera or campaign or "") if data is None else data.expanduser().resolve().name)
    projections.check_name(called)
    settings = ProjectionTraining(
        loss_named(loss or ("self_supervised" if data is None else "supervised_contrastive")),
        dimension=dimension,
        epochs=epochs,
        batch_size=batch,
        learning_rate=learning_rate,
        temperature=temperature,
        margin=margin,
        patience=patience,
        seed=seed,
    )
    viewing = Viewing(views, seed=seed)
    workspace = Workspace(site)
    chosen = encoder or workspace.settings.novelty.encoder
    loaded = _encoder(workspace, chosen)
    threads = workspace.settings.compute.decode_threads
    with progress_bars(quiet=as_json) as progress:
        if data is not None:
            clips, origin = _of_folder(workspace, loaded, data.expanduser(), source, most or LABELLED_MOST, progress)
        else:
            clips, origin = _of_campaign(workspace, loaded, campaign, camera, region, most or UNLABELLED_MOST)
        projections.check_clips(clips, viewing, settings)
        samples = embed_clips(clips, loaded, viewing, cache=cache, threads=threads, progress=progress)
        fitted = projections.fit_projection(
            workspace,
            called,
            chosen,
            loaded.spec,
            clips,
            samples,
            viewing,
            settings,
            origin,
            author=author or getpass.getuser(),
            progress=progress,
        )
    if as_json:
        print_json({"projection": fitted.name, "version": fitted.version, "card": fitted.card})
    else:
        typer.echo(_told(fitted))


def _check(
    data: Path | None, campaign: str | None, camera: str | None, region: str, source: str | None, most: int | None
) -> None:
    from infra.errors import ConfigurationError

    if (data is None) == (campaign is None):
        raise ConfigurationError("give --data, a folder with videos for each class, or --campaign, and not both")
    if data is not None and (camera, region) != (None, "frame"):
        raise ConfigurationError("--data is a folder of clips: it has no --camera or --region; leave them out")
    if data is None and source is not None:
        raise ConfigurationError("--source tells clips of a folder apart; a campaign's recordings are apart already")
    if most is not None and most < 1:
        raise ConfigurationError(f"--most {most} is at least 1; correct the value")


def _plain(said: str) -> str:
    """A name made of what there is."""
    import re

    return re.sub(r"[^A-Za-z0-9._-]+", "-", said).strip("-._") or "trained"


def _encoder(workspace: "Workspace", name: str) -> "Encoder":
    """One of the settings' encoders, or any other whose weights are at hand."""
    from infra.weights import read_weights
    from models.encoders.build import build
    from models.encoders.lookup import find_weights
    from models.encoders.specs import describe

    compute = workspace.settings.compute
    planned = next((known for known in workspace.encoders if known.table.name == name), None)
    if planned is None:
        known = read_weights(workspace.site.weights_folder)
        weights = find_weights(known, name)
        spec = describe(name, weights)
    else:
        spec, weights = planned.spec, planned.weights
    return build(spec, weights, device=compute.device, precision=compute.precision, batch_size=compute.batch_size)


def _of_folder(
    workspace: "Workspace", encoder: "Encoder", data: Path, source: str | None, most: int, progress: Any
) -> "tuple[list[Clip], Origin]":
    from workspace.projections import Origin
    from workspace.training_clips import class_clips

    suffixes = workspace.settings.footage.suffixes
    clips, left_out = class_clips(data, encoder.spec, suffixes, pattern=source, most=most, progress=progress)
    return clips, Origin({"folder": data.resolve().name, "source": source}, tuple(left_out))


def _of_campaign(
    workspace: "Workspace", encoder: "Encoder", campaign: str | None, camera: str | None, region: str, most: int
) -> "tuple[list[Clip], Origin]":
    from workspace.projections import Origin
    from workspace.training_clips import camera_clips

    clips = camera_clips(workspace, encoder.spec, campaign or "", camera, region, most=most)
    return clips, Origin({"campaign": campaign, "camera": camera, "region": region})


def _told(fitted: "FittedProjection") -> str:
    """What was made, how good it is, and what to write to use it."""
    from workspace.projections import part_sizes

    card = fitted.card
    data, settings = card["data"], card["settings"]
    silhouettes = "\n".join(
        f"silhouette of {alike}, in the sources held out: {_number(told['raw'])} of the encoder's vectors, "
        f"{_number(told['untrained'])} of a random projection, {_number(told['trained'])} of the trained one"
        for alike, told in card["metrics"]["silhouette"].items()
        if told["raw"] is not None
    )
    left_out = f"\n{len(data['left_out'])} clips left out, first: {data['left_out'][0]}" if data["left_out"] else ""
    lost = f"\n{data['windows_lost']} samples left out: a picture of them is missing" if data["windows_lost"] else ""
    remark = f"\n{card['remark']}" if card["remark"] else ""
    return f"""{card["encoder"]} to {settings["dimension"]} values by {settings["loss"]}: {part_sizes(card)}{left_out}{lost}
epoch {card["best_epoch"]} of {card["epochs"][-1]["number"]} had the best silhouette of the sources to stop by{remark}
{silhouettes}
card: projection {fitted.name} {fitted.version}

To let the night use it, write into afterwatch.toml:

[novelty]
encoder = "{card["encoder"]}"
scaling = "{card["scaling"]}"
projection = "{fitted.name}/{fitted.version}\""""


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
