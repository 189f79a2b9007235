"""From normal footage to an autoencoder that the night can use: trained, kept under its hash, told on a card.

Everything unfinished lies under `.afterwatch/autoencoders/<architecture>-<name>/`: the checkpoint, from which the same
call goes on, and the clips, which are taken away when the weights are made.
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any

import numpy as np

from footage.writing import write_bytes
from infra.errors import ConfigurationError
from infra.weights import Option, add_weights
from models.autoencoders.checkpoint import CheckpointError
from models.autoencoders.cuboids import Cuboids
from models.autoencoders.settings import AutoencoderSettings
from models.autoencoders.training import Trained, TrainingSettings, scores_of, train_autoencoder, training_cuboids
from models.encoders.specs import CUBOID_RATE_HZ, RANDOM, RATE, describe
from models.encoders.torch_runner import choose_device
from workspace.clips import View
from workspace.normal_footage import NormalFootage
from workspace.opened import Workspace

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
    """

    encoder: str
    version: str
    card: dict[str, Any]


def work_folder(workspace: Workspace, settings: AutoencoderSettings, name: str) -> Path:
    """Folder of what is unfinished of an autoencoder.

    Raises:
        ConfigurationError: the name cannot be one.
    """
    if not NAME.fullmatch(name) or name == RANDOM:
        raise ConfigurationError(
            f'"{name}" cannot name an autoencoder: begin with a letter or a digit, and go on with letters, digits, ".", '
            f'"_" and "-"; "{RANDOM}" stands for untrained weights'
        )
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
    restart: bool = False,
    progress: Progress = lambda _stage, _done, _total: None,
) -> FittedAutoencoder:
    """Train an autoencoder, or go on where an earlier call was broken off, and enter it in `weights.toml`.

    Args:
        workspace: where it is kept.
        settings: its shape.
        name: third part of its name as an encoder; an older one of that name goes on, if it is the same training,
            or is replaced with `restart`.
        footage: normal footage, cut with `view`.
        view: how the pictures are looked at.
        training: how.
        restart: forget an earlier call.
        progress: called with a stage, what is done and all of it.

    Raises:
        ConfigurationError: a setting is wrong, or the checkpoint of an earlier call is of another training.
        AfterwatchError: the loss is not finite.
    """
    folder = work_folder(workspace, settings, name)
    checkpoint = folder / CHECKPOINT
    if restart:
        checkpoint.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    cuboids = training_cuboids(footage.training, settings, training)
    held_out = Cuboids(footage.held_out, settings.cuboid_frames)
    try:
        trained = train_autoencoder(
            settings,
            cuboids,
            held_out,
            training,
            checkpoint=checkpoint.read_bytes() if checkpoint.is_file() else None,
            save_checkpoint=lambda content: write_bytes(checkpoint, content),
            progress=progress,
            device=str(choose_device(workspace.settings.compute.device)),
        )
    except CheckpointError as error:
        raise ConfigurationError(f"{error}: --restart deletes it") from None
    fitted = _keep(workspace, trained, name, footage, view, training, cuboids, held_out)
    shutil.rmtree(folder / "clips", ignore_errors=True)
    return fitted


def _keep(
    workspace: Workspace,
    trained: Trained,
    name: str,
    footage: NormalFootage,
    view: View,
    training: TrainingSettings,
    cuboids: Cuboids,
    held_out: Cuboids,
) -> FittedAutoencoder:
    settings = trained.settings
    encoder = f"{KIND}/{settings.architecture}/{name}"
    options: dict[str, Option] = settings.as_options()
    if view.rate_hz != CUBOID_RATE_HZ:
        options[RATE] = view.rate_hz
    unfinished = work_folder(workspace, settings, name) / "weights.safetensors"
    write_bytes(unfinished, trained.to_bytes())
    weights = add_weights(workspace.site.weights_folder, encoder, unfinished, {"options": options})
    unfinished.unlink()
    scores = scores_of(trained.network, _spread(held_out, training.validation_cuboids))
    version = weights.sha256[:12]
    card = {
        "encoder": encoder,
        "space": describe(encoder, weights).space,
        "architecture": settings.architecture,
        "settings": asdict(settings),
        "is_the_papers_size": settings.is_the_papers,
        "weights": weights.sha256,
        "training": asdict(training),
        "epochs": [asdict(epoch) for epoch in trained.epochs],
        "best_epoch": trained.best + 1,
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
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "afterwatch": distribution_version("afterwatch"),
        "torch": distribution_version("torch"),
    }
    arrays = {
        "held_out_scores": scores,
        "training_error": np.array([epoch.training for epoch in trained.epochs], np.float32),
        "validation_error": np.array([epoch.validation for epoch in trained.epochs], np.float32),
    }
    workspace.registry.save(KIND, f"{settings.architecture}.{name}", version, card, arrays)
    return FittedAutoencoder(encoder, version, card)


def _spread(cuboids: Cuboids, most: int) -> Cuboids:
    """About `most` of the cuboids, evenly spread."""
    return Cuboids(cuboids.clips, cuboids.frames, cuboids.strides, step=max(1, -(-len(cuboids) // most)))
