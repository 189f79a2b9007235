"""The verb `fit autoencoder`: a spatio-temporal autoencoder trained on normal footage."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from afterwatch.options import CameraOption, CampaignOption, JsonOption, SiteOption, print_json, progress_bars

if TYPE_CHECKING:
    from workspace.autoencoders import FittedAutoencoder

EXAMPLE = (
    "Example: afterwatch fit autoencoder --architecture istl --camera hall-east --width 0.5 --size 128 --site site"
)


def register(app: typer.Typer) -> None:
    """Add the verb to `fit`."""
    app.command("autoencoder", epilog=EXAMPLE)(fit_autoencoder)


def fit_autoencoder(
    architecture: Annotated[str, typer.Option(help="hasan, chong_tay or istl.")] = "istl",
    campaign: CampaignOption = None,
    camera: CameraOption = None,
    region: Annotated[str, typer.Option(help="Region of the camera.")] = "frame",
    data: Annotated[
        Path | None,
        typer.Option(help="Train on this folder instead: UCSD's layout, or videos and folders of images, all normal."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Third part of its name; default: the camera's, the folder's, or local.")
    ] = None,
    width: Annotated[float, typer.Option(help="Factor on the numbers of channels; 1 is the paper's.")] = 1.0,
    size: Annotated[int | None, typer.Option(help="Height and width in pixels; default: the paper's.")] = None,
    rate: Annotated[float, typer.Option(help="Pictures in a second.")] = 10.0,
    hours: Annotated[float, typer.Option(help="Most footage to train on; of more, minutes are taken evenly.")] = 2.0,
    epochs: Annotated[int, typer.Option(help="Most epochs.")] = 30,
    cuboids: Annotated[int, typer.Option(help="Most cuboids of an epoch.")] = 2000,
    batch: Annotated[int, typer.Option(help="Cuboids of a step.")] = 8,
    learning_rate: Annotated[float, typer.Option(help="Smaller where the loss is not finite.")] = 1e-3,
    patience: Annotated[int, typer.Option(help="Epochs without improvement on held-out footage until it stops.")] = 5,
    strides: Annotated[str, typer.Option(help="Strides in time of the cuboids; Hasan's are 1,2,3.")] = "1,2",
    seed: Annotated[int, typer.Option(help="Decides first weights and the order of cuboids.")] = 0,
    restart: Annotated[bool, typer.Option("--restart", help="Forget what an earlier call left unfinished.")] = False,
    author: Annotated[str | None, typer.Option(help="Who wants it; default: you.")] = None,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Train an autoencoder on normal footage; broken off, the same call goes on where it was.

    Footage that people called relevant for the novelty head is left out. The last recordings tell when to stop.
    """
    from models.autoencoders.settings import settings_of
    from models.autoencoders.training import TrainingSettings
    from workspace.autoencoders import clips_folder, fit_autoencoder
    from workspace.clips import View
    from workspace.normal_footage import folder_footage, known_footage
    from workspace.opened import Workspace

    _check(data, campaign, camera, region, hours, rate)
    settings = settings_of(architecture, {"width": width} if size is None else {"width": width, "size_px": size})
    training = TrainingSettings(
        epochs=epochs,
        cuboids_per_epoch=cuboids,
        batch_size=batch,
        learning_rate=learning_rate,
        patience=patience,
        strides=_strides(strides),
        seed=seed,
    )
    workspace = Workspace(site)
    chosen = name or _name(camera if data is None else data.resolve().name)
    view, cache = View(settings.size_px, rate, region), clips_folder(workspace, settings, chosen)
    with progress_bars(quiet=as_json) as progress:
        if data is not None:
            footage = folder_footage(data.expanduser(), view, cache, progress)
        else:
            most_s = hours * 3600
            footage = known_footage(
                workspace, view, cache, campaign=campaign, camera=camera, most_s=most_s, progress=progress
            )
        fitted = fit_autoencoder(
            workspace,
            settings,
            chosen,
            footage,
            view,
            training,
            author=author or getpass.getuser(),
            restart=restart,
            progress=progress,
        )
    if as_json:
        told = {"encoder": fitted.encoder, "version": fitted.version, "in_service": fitted.serves, "card": fitted.card}
        print_json(told)
    else:
        typer.echo(_told(fitted, camera))


def _check(data: Path | None, campaign: str | None, camera: str | None, region: str, hours: float, rate: float) -> None:
    from infra.errors import ConfigurationError

    if data is not None and (campaign, camera, region) != (None, None, "frame"):
        raise ConfigurationError(
            "--data is a folder of clips: it has no --campaign, --camera or --region; leave one out"
        )
    if hours <= 0 or not 0 < rate <= 1000:
        raise ConfigurationError(f"--hours {hours:g} and --rate {rate:g} are above 0; correct the value")


def _strides(text: str) -> tuple[int, ...]:
    from infra.errors import ConfigurationError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(f'--strides "{text}": give whole numbers separated by commas, as 1,2') from None


def _name(said: str | None) -> str:
    import re

    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", said or "").strip("-._")
    return plain or "local"


def _told(fitted: "FittedAutoencoder", camera: str | None) -> str:
    """What was made, and what to write to use it."""
    card: dict[str, Any] = fitted.card
    name = f"{card['architecture']}.{fitted.encoder.rsplit('/', 1)[1]}"
    epochs, footage, settings = card["epochs"], card["footage"], card["settings"]
    best = epochs[card["best_epoch"] - 1]
    size = "as published" if card["is_the_papers_size"] else "smaller or larger than published"
    regions = "" if footage["region"] == "frame" else f'\nregions = ["{footage["region"]}"]'
    cameras = "" if camera is None else f'\ncameras = ["{camera}"]'
    return f"""{fitted.encoder}: {settings["size_px"]} px, width {settings["width"]:g} ({size}); \
{footage["seconds"]:.0f} s of normal footage, {footage["left_out_s"]:.0f} s left out for their labels
{len(epochs)} epochs, best {card["best_epoch"]}; error of a pixel, in grey levels: \
{255 * best["training"] ** 0.5:.2f} in training, {255 * best["validation"] ** 0.5:.2f} on held-out footage
card: autoencoder {name} {fitted.version}
{_candidate_told(fitted, name)}
To let the night use it, write into afterwatch.toml, beside the other [[encoders]]:

[[encoders]]
name = "{fitted.encoder}"{cameras}{regions}

[novelty]
encoder = "{fitted.encoder}"
detector = "magnitude"
scaling = "none"{regions}"""


def _candidate_told(fitted: "FittedAutoencoder", name: str) -> str:
    """What to write to put it in the place of the version that serves; nothing of the first of a name."""
    if fitted.serves:
        return ""
    return (
        "a candidate: another version of it is in service, and stays there until you write, first to see and sign what changes\n"
        f"afterwatch models compare {name} {name}/{fitted.version} --kind autoencoder --campaign CAMPAIGN\n"
        f"afterwatch models promote {name} {fitted.version} --kind autoencoder\n"
    )
