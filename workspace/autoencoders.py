"""From normal footage to an autoencoder that the night can use: trained, kept under its hash, told on a card.

The entry of `weights.toml` says which version of an autoencoder is in service. The weights of every other version, candidate
or replaced, lie in the same folder under their hash, so that any of them can be put into service.

Everything unfinished lies under `.afterwatch/autoencoders/<architecture>-<name>/`: the checkpoint, from which the same
call goes on, and the clips, which are taken away when the weights are made.
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any

import numpy as np

from footage.writing import write_bytes
from infra.errors import ConfigurationError, LakeError
from infra.weights import Option, WeightsFile, add_weights, file_sha256, read_weights
from lake.promotions import promote
from models.arrays import Arrays
from models.autoencoders.checkpoint import CheckpointError
from models.autoencoders.cuboids import Cuboids
from models.autoencoders.settings import AutoencoderSettings, settings_of
from models.autoencoders.training import Trained, TrainingSettings, scores_of, train_autoencoder, training_cuboids
from models.encoders.specs import CUBOID_RATE_HZ, RANDOM, RATE, describe
from models.encoders.torch_runner import choose_device
from workspace.classifiers import EVERY_CAMERA
from workspace.clips import View
from workspace.normal_footage import NormalFootage
from workspace.opened import Workspace
from workspace.serving import VERSION_DIGITS

KIND = "autoencoder"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
CHECKPOINT = "checkpoint.safetensors"
QUANTILES = (0.001, 0.5, 0.95, 0.999)


Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class FittedAutoencoder:
    """An autoencoder that is there to be used.

    Attributes:
        encoder: its name as an encoder.
        version: of its card in the registry.
        card: what it is, what it was trained on and how well it does.
        serves: whether the night uses it wherever the settings name it.
    """

    encoder: str
    version: str
    card: dict[str, Any]
    serves: bool


def check_name(name: str) -> None:
    """Raise ConfigurationError unless an autoencoder can be called so."""
    if not NAME.fullmatch(name) or name == RANDOM:
        raise ConfigurationError(
            f'"{name}" cannot name an autoencoder: begin with a letter or a digit, and go on with letters, digits, ".", '
            f'"_" and "-"; "{RANDOM}" stands for untrained weights'
        )


def work_folder(workspace: Workspace, settings: AutoencoderSettings, name: str) -> Path:
    """Folder of what is unfinished of an autoencoder.

    Raises:
        ConfigurationError: the name cannot be one.
    """
    check_name(name)
    return workspace.site.state_folder / "autoencoders" / f"{settings.architecture}-{name}"


def clips_folder(workspace: Workspace, settings: AutoencoderSettings, name: str) -> Path:
    """Folder for the clips that an autoencoder is trained on, as `known_footage` and `folder_footage` take it."""
    return work_folder(workspace, settings, name) / "clips"


def fit_autoencoder(
    workspace: Workspace,
    settings: AutoencoderSettings,
    name: str,
    footage: NormalFootage,
    view: View,
    training: TrainingSettings,
    *,
    author: str,
    restart: bool = False,
    progress: Progress = lambda _stage, _done, _total: None,
) -> FittedAutoencoder:
    """Train an autoencoder, or go on where an earlier call was broken off, and enter the first of a name in `weights.toml`.

    Any later one of the name is a candidate: what serves stays there until somebody puts another in its place.

    Args:
        workspace: where it is kept.
        settings: its shape.
        name: third part of its name as an encoder; an earlier call of that name goes on, if it is the same training.
        footage: normal footage, cut with `view`.
        view: how the pictures are looked at.
        training: how.
        author: who wants it.
        restart: forget an earlier call.
        progress: called with a stage, what is done and all of it.

    Raises:
        ConfigurationError: a setting is wrong, or the checkpoint of an earlier call is of another training.
        AfterwatchError: the loss is not finite.
    """
    known_until = datetime.now(UTC)
    folder = work_folder(workspace, settings, name)
    if restart:
        (folder / CHECKPOINT).unlink(missing_ok=True)
    cuboids = training_cuboids(footage.training, settings, training)
    held_out = Cuboids(footage.held_out, settings.cuboid_frames)
    try:
        trained = train_in(workspace, folder, settings, cuboids, held_out, training, progress)
    except CheckpointError as error:
        raise ConfigurationError(f"{error}: --restart deletes it") from None
    about, arrays = told_of(trained, footage, view, training, cuboids, held_out)
    about["known_until"] = known_until.isoformat(timespec="microseconds")
    fitted = keep_autoencoder(workspace, trained, name, about, author=author, candidate=False, arrays=arrays)
    shutil.rmtree(folder / "clips", ignore_errors=True)
    return fitted


def train_in(
    workspace: Workspace,
    folder: Path,
    settings: AutoencoderSettings,
    cuboids: Cuboids,
    held_out: Cuboids,
    training: TrainingSettings,
    progress: Progress,
) -> Trained:
    """Train an autoencoder, going on from the checkpoint in a folder where there is one; after each epoch one is put there.

    Raises:
        CheckpointError: the checkpoint is of another training.
        ConfigurationError, AfterwatchError: see `train_autoencoder`.
    """
    checkpoint = folder / CHECKPOINT
    folder.mkdir(parents=True, exist_ok=True)
    return train_autoencoder(
        settings,
        cuboids,
        held_out,
        training,
        checkpoint=checkpoint.read_bytes() if checkpoint.is_file() else None,
        save_checkpoint=lambda content: write_bytes(checkpoint, content),
        progress=progress,
        device=str(choose_device(workspace.settings.compute.device)),
    )


def keep_autoencoder(
    workspace: Workspace,
    trained: Trained,
    name: str,
    about: dict[str, Any],
    *,
    author: str,
    candidate: bool,
    arrays: Arrays | None = None,
) -> FittedAutoencoder:
    """Keep a trained autoencoder: its weights under their hash, its card in the registry.

    Args:
        workspace: where it is kept.
        trained: the autoencoder.
        name: third part of its name as an encoder.
        about: what its card says beside shape, weights and epochs; `footage` with `rate_hz`, where the pictures were not at
            10 Hz, is what the encoder looks at them by.
        author: who wants it.
        candidate: whether it is one also where nothing of its name is in service; the night uses a candidate when it is put
            into service.
        arrays: kept beside the errors by epoch: `held_out_scores`, say.

    Raises:
        ConfigurationError: the name cannot be one.
    """
    settings = trained.settings
    check_name(name)
    encoder = f"{KIND}/{settings.architecture}/{name}"
    options = _options(settings.as_options(), about)
    folder, content = workspace.site.weights_folder, trained.to_bytes()
    digest = hashlib.sha256(content).hexdigest()
    version = digest[:VERSION_DIGITS]
    weights = WeightsFile(folder / f"{encoder.replace('/', '-')}-{version}.safetensors", digest, options=options)
    if not weights.path.is_file() or file_sha256(weights.path) != digest:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(weights.path, content)
    card = {
        "encoder": encoder,
        "space": describe(encoder, weights).space,
        "architecture": settings.architecture,
        "settings": asdict(settings),
        "is_the_papers_size": settings.is_the_papers,
        "weights": digest,
        "epochs": [asdict(epoch) for epoch in trained.epochs],
        "best_epoch": trained.best + 1,
        "torch": distribution_version("torch"),
        **about,
    }
    errors = {
        "training_error": np.array([epoch.training for epoch in trained.epochs], np.float32),
        "validation_error": np.array([epoch.validation for epoch in trained.epochs], np.float32),
    }
    called, arrays = f"{settings.architecture}.{name}", {**errors, **(arrays or {})}
    workspace.registry.save(KIND, called, version, card, arrays, author=author)
    serving = read_weights(folder).get(encoder)
    if not candidate and serving is None:
        promote(workspace.ledger, KIND, called, version, author.strip(), EVERY_CAMERA)
        add_weights(folder, encoder, weights.path, {"options": options})
    serves = serving.sha256 == digest if serving is not None else not candidate
    return FittedAutoencoder(encoder, version, workspace.registry.card(KIND, called, version), serves)


def enter_weights(workspace: Workspace, name: str, version: str, say: Callable[[], None]) -> None:
    """Let the night use a version of an autoencoder from now on; the version it replaces stays, to be put back.

    Its vectors are of another space: the next night embeds the footage anew.

    Args:
        workspace: whose.
        name: as the registry has it, `hasan.hall`.
        version: of it.
        say: enters in the ledger that it serves; called when all else is known to do, for who may not say it may not do it.

    Raises:
        LakeError: there is no such version, its weights are gone, or are not those of its card.
    """
    encoder, weights = version_weights(workspace, name, version)
    say()
    add_weights(workspace.site.weights_folder, encoder, weights.path, {"options": weights.options})


def version_weights(workspace: Workspace, name: str, version: str) -> tuple[str, WeightsFile]:
    """The name of a version of an autoencoder as an encoder, and its weights as they are, or would be, entered to serve.

    Raises:
        LakeError: there is no such version, its card is damaged, or its weights are gone.
    """
    card = workspace.registry.card(KIND, name, version)
    try:
        encoder, digest = str(card["encoder"]), str(card["weights"])
        options = _options(settings_of(str(card["architecture"]), card["settings"]).as_options(), card)
    except (KeyError, TypeError, AttributeError) as error:
        raise LakeError(f"the card of {KIND} {name} {version} is damaged ({error!r}); fit it again") from None
    return encoder, replace(weights_of(workspace, name, version, digest), options=options)


def weights_of(workspace: Workspace, name: str, version: str, digest: str) -> WeightsFile:
    """The weights of a version of an autoencoder, in service or not.

    Raises:
        LakeError: they are gone, or are not those of its card.
    """
    folder = workspace.site.weights_folder
    for path in sorted(folder.glob(f"*-{version}.safetensors")):
        if file_sha256(path) == digest:
            return WeightsFile(path, digest)
    raise LakeError(
        f"the weights of {KIND} {name} {version} are not in {folder} any more (SHA-256 {digest}); put the file back, its name "
        f'ending in "-{version}.safetensors", or fit the autoencoder again'
    )


def _options(options: dict[str, Option], about: Mapping[str, Any]) -> dict[str, Option]:
    """Options of the encoder: its shape, and the rate of its pictures where it is not the usual one."""
    rate_hz = float(about.get("footage", {}).get("rate_hz", CUBOID_RATE_HZ))
    return options if rate_hz == CUBOID_RATE_HZ else {**options, RATE: rate_hz}


def told_of(
    trained: Trained,
    footage: NormalFootage,
    view: View,
    training: TrainingSettings,
    cuboids: Cuboids,
    held_out: Cuboids,
) -> tuple[dict[str, Any], Arrays]:
    """What a card says of the footage an autoencoder was trained on, and the arrays beside it."""
    scores = scores_of(trained.network, spread(held_out, training.validation_cuboids))
    about = {
        "training": asdict(training),
        "footage": {
            "sources": footage.sources,
            "seconds": round(footage.seconds, 3),
            "left_out_s": round(footage.left_out_s, 3),
            "rate_hz": view.rate_hz,
            "region": view.region,
            "cuboids": len(cuboids),
            "held_out_cuboids": len(held_out),
        },
        "held_out_scores": {f"{at:g}": round(float(np.quantile(scores, at)), 4) for at in QUANTILES},
    }
    return about, {"held_out_scores": scores}


def spread(cuboids: Cuboids, most: int) -> Cuboids:
    """About `most` of the cuboids, evenly spread."""
    return Cuboids(cuboids.clips, cuboids.frames, cuboids.strides, step=max(1, -(-len(cuboids) // most)))
