"""Training an autoencoder on normal cuboids: seeded, stopped early by footage held out, resumed where it was broken off.

Nothing here knows a path. After every epoch the whole state is handed out as bytes (a safetensors file, its numbers as
JSON in the header), and from these bytes training goes on as if it had never stopped: on a CPU to the last bit.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from infra.errors import AfterwatchError, ConfigurationError
from models.autoencoders.base import Autoencoder, CuboidNetwork, cell_errors, cuboid_scores, error_maps
from models.autoencoders.build import build_autoencoder
from models.autoencoders.checkpoint import ABOUT, Epoch, State, copied, from_checkpoint, to_checkpoint
from models.autoencoders.cuboids import STRIDES, Cuboids, Grey, mean_picture
from models.autoencoders.settings import AutoencoderSettings

Progress = Callable[[str, float, float], None]
"""Called with a stage, how much of it is done and how much there is."""
Save = Callable[[bytes], None]

VERSION = 1


@dataclass(frozen=True)
class TrainingSettings:
    """How an autoencoder is trained.

    Attributes:
        epochs: at most.
        cuboids_per_epoch: cuboids drawn for an epoch, without repetition; where there are fewer, all of them.
        batch_size: cuboids to a step.
        learning_rate, weight_decay: of AdamW (Loshchilov and Hutter 2019); the rate falls to a tenth over the epochs, by
            a cosine. The papers use AdaGrad (Hasan) and Adam (the others).
        patience: epochs without a new least error of the held-out footage after which training stops.
        gradient_norm: longest gradient; ConvLSTM layers meet steep places.
        strides: in time, of the training cuboids; held-out cuboids have stride 1.
        validation_cuboids: held-out cuboids that are reconstructed after each epoch, evenly spread.
        seed: decides first weights and the order of cuboids.
    """

    epochs: int = 30
    cuboids_per_epoch: int = 2000
    batch_size: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    patience: int = 5
    gradient_norm: float = 5.0
    strides: tuple[int, ...] = STRIDES
    validation_cuboids: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (self.epochs, self.cuboids_per_epoch, self.batch_size, self.patience, self.validation_cuboids)
        if min(counts) < 1 or min(self.learning_rate, self.gradient_norm) <= 0 or self.weight_decay < 0:
            raise ConfigurationError(
                f"epochs, cuboids_per_epoch, batch_size, patience and validation_cuboids are at least 1, learning_rate "
                f"and gradient_norm above 0, got {self}; correct the value"
            )
        if not self.strides or min(self.strides) < 1:
            raise ConfigurationError(f"strides are whole numbers of at least 1, got {self.strides}")


@dataclass(frozen=True, eq=False)
class Trained:
    """An autoencoder at its best epoch.

    Attributes:
        settings: its shape.
        state: its tensors by name, mean picture included.
        epochs: what each epoch came to.
        best: number of the best epoch, from 0.
    """

    settings: AutoencoderSettings
    state: Mapping[str, Tensor]
    epochs: tuple[Epoch, ...]
    best: int

    @cached_property
    def network(self) -> CuboidNetwork:
        """The network on the CPU, ready to reconstruct."""
        made = build_autoencoder(self.settings)
        made.load_state_dict(dict(self.state))
        return made.eval().requires_grad_(False)

    def to_bytes(self) -> bytes:
        """A safetensors file; its header says architecture and settings."""
        about = {"architecture": self.settings.architecture, **asdict(self.settings)}
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state.items()}
        return save(state, {ABOUT: json.dumps(about)})


def train_autoencoder(
    settings: AutoencoderSettings,
    clips: Cuboids,
    validation: Cuboids,
    training: TrainingSettings,
    *,
    checkpoint: bytes | None = None,
    save_checkpoint: Save = lambda _: None,
    progress: Progress = lambda _stage, _done, _total: None,
    device: str = "cpu",
) -> Trained:
    """Train on normal cuboids, until the held-out ones are not reconstructed any better.

    Args:
        settings: shape of the autoencoder.
        clips: normal cuboids, cut by `training_cuboids`.
        validation: normal cuboids of other recordings or clips.
        training: how.
        checkpoint: what `save_checkpoint` was last given, to go on from there. `epochs` and `patience` may have changed;
            on a CPU the result is that of one undisturbed call, as long as `epochs` is the same.
        save_checkpoint: called after every epoch; has to replace the old bytes whole or not at all.
        progress: called with `training`, the epochs done and the most there may be.
        device: torch's name of one.

    Raises:
        ConfigurationError: there are no cuboids, they do not fit the autoencoder, or the checkpoint is of another
            training.
        AfterwatchError: the loss is not finite.
    """
    check_sources(settings, clips, validation)
    running = RunningAutoencoder(settings, training, mean_picture(clips.clips), device)
    state = State(running.network, running.optimiser, copied(running.network))
    about = _about(settings, clips, validation, training)
    if checkpoint is not None:
        from_checkpoint(state, checkpoint, about)
    while len(state.epochs) < training.epochs and not state.took_patience(training.patience):
        trained = running.epoch(clips, len(state.epochs), progress)
        state.reached(Epoch(trained, running.error(validation)))
        save_checkpoint(to_checkpoint(state, about))
    progress("training", training.epochs, training.epochs)
    return Trained(settings, {**state.best}, tuple(state.epochs), state.best_epoch)


def training_cuboids(clips: tuple[Grey, ...], settings: AutoencoderSettings, training: TrainingSettings) -> Cuboids:
    """Every cuboid of clips at every stride of the training."""
    return Cuboids(clips, settings.cuboid_frames, training.strides)


def scores_of(network: Autoencoder, cuboids: Cuboids, batch_size: int = 8) -> NDArray[np.float32]:
    """Score of every cuboid, float32 (N,); see `cuboid_scores`."""
    found = [np.empty(0, np.float32)]
    with torch.inference_mode():
        for begin in range(0, len(cuboids), batch_size):
            batch = _unit(cuboids.batch(range(begin, min(begin + batch_size, len(cuboids)))), "cpu")
            found.append(cuboid_scores(error_maps(batch, network.forward(batch))).numpy())
    return np.concatenate(found)


def cell_errors_of(
    network: Autoencoder, settings: AutoencoderSettings, cuboids: Cuboids, batch_size: int = 8
) -> NDArray[np.float32]:
    """Errors of every cuboid by cell, float32 (N, rows · columns); see `cell_errors`."""
    found = [np.empty((0, settings.layout.dimension), np.float32)]
    with torch.inference_mode():
        for begin in range(0, len(cuboids), batch_size):
            batch = _unit(cuboids.batch(range(begin, min(begin + batch_size, len(cuboids)))), "cpu")
            found.append(cell_errors(error_maps(batch, network.forward(batch)), settings.layout).numpy())
    return np.concatenate(found)


# One epoch.


def first_network(settings: AutoencoderSettings, seed: int) -> CuboidNetwork:
    """The network that a training begins with, before it knows any footage; torch's own generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_autoencoder(settings)


class RunningAutoencoder:
    """A network on its way, on footage of one place: what central training and a site of a federation both run.

    Args:
        settings: shape of the autoencoder.
        training: how; its `epochs` decide how the learning rate falls.
        normalisation: `mean_picture` of the clips that are trained on.
        device: torch's name of one.
    """

    def __init__(
        self,
        settings: AutoencoderSettings,
        training: TrainingSettings,
        normalisation: tuple[NDArray[np.float32], float],
        device: str,
    ) -> None:
        self._training, self._device = training, device
        self.network = first_network(settings, training.seed)
        self.network.set_normalisation(*normalisation)
        self.network.to(device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, foreach=False
        )

    def epoch(self, clips: Cuboids, number: int, progress: Progress = lambda _stage, _done, _total: None) -> float:
        """Train for epoch `number`, from 0; returns the mean squared error of a pixel while it trained."""
        training = self._training
        # Drawn from seed and epoch alone: a resumed epoch is the one that was broken off.
        order = np.random.default_rng((training.seed, number)).permutation(len(clips))[: training.cuboids_per_epoch]
        starts = range(0, len(order), training.batch_size)
        total = 0.0
        self.network.train()
        for done, begin in enumerate(starts):
            for group in self.optimiser.param_groups:
                group["lr"] = training.learning_rate * _decay((number + done / len(starts)) / training.epochs)
            chosen = order[begin : begin + training.batch_size]
            total += self._step(_unit(clips.batch(chosen), self._device), number) * len(chosen)
            progress("training", number + (done + 1) / len(starts), training.epochs)
        self.network.eval()
        return total / len(order)

    def error(self, cuboids: Cuboids) -> float:
        """Mean squared error of a pixel over the cuboids that `measured` chooses."""
        return _validated(self.network, cuboids, measured(cuboids, self._training), self._device)

    def _step(self, batch: Tensor, epoch: int) -> float:
        """One step down; returns the mean squared error before it."""
        self.optimiser.zero_grad(set_to_none=True)
        error = error_maps(batch, self.network(batch)).mean()
        # Errors are small beside full scale, and Adam's epsilon is not scaled with them: the loss is in the network's units.
        loss = error / self.network.deviation.square()
        if not torch.isfinite(loss):
            raise AfterwatchError(
                f"the loss became {float(loss.detach())} in epoch {epoch + 1}; a finite one is needed to go on: use a smaller "
                f"learning rate than {self._training.learning_rate:g}, and train again from the beginning"
            )
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._training.gradient_norm)
        self.optimiser.step()
        return float(error.detach())


def measured(cuboids: Cuboids, training: TrainingSettings) -> NDArray[np.int64]:
    """Numbers of the `validation_cuboids` of cuboids that are reconstructed, evenly spread; all where there are fewer."""
    count = min(training.validation_cuboids, len(cuboids))
    return np.unique(np.linspace(0, len(cuboids) - 1, count).round().astype(np.int64))


def _decay(share: float) -> float:
    return 0.55 + 0.45 * float(np.cos(np.pi * min(share, 1.0)))


def _validated(network: CuboidNetwork, validation: Cuboids, chosen: NDArray[np.int64], device: str) -> float:
    """Mean squared error of a pixel over held-out cuboids."""
    total = 0.0
    with torch.inference_mode():
        for begin in range(0, len(chosen), 8):
            batch = _unit(validation.batch(chosen[begin : begin + 8]), device)
            total += float(error_maps(batch, network(batch)).mean()) * len(batch)
    return total / len(chosen)


def _unit(grey: Grey, device: str) -> Tensor:
    return torch.from_numpy(np.require(grey, requirements=["C", "W"])).to(device).float() / 255


def check_sources(settings: AutoencoderSettings, clips: Cuboids, validation: Cuboids) -> None:
    """Raise ConfigurationError where there are no cuboids to train on or to hold out, or of another size."""
    wanted = (settings.cuboid_frames, settings.size_px, settings.size_px)
    for what, cuboids in (("training", clips), ("held-out", validation)):
        if not len(cuboids):
            raise ConfigurationError(
                f"there are no {what} cuboids: no clip of {len(cuboids.clips)} has {cuboids.frames} pictures; add footage"
            )
        if (cuboids.frames, *cuboids.clips[0].shape[1:]) != wanted:
            raise ConfigurationError(
                f"{what} cuboids are of {(cuboids.frames, *cuboids.clips[0].shape[1:])}, the autoencoder takes {wanted}; "
                "cut them for its size"
            )


def _about(
    settings: AutoencoderSettings, clips: Cuboids, validation: Cuboids, training: TrainingSettings
) -> dict[str, Any]:
    """What may not change between a checkpoint and its continuation."""
    told = asdict(training)
    for free in ("epochs", "patience"):
        del told[free]
    return {
        "version": VERSION,
        "architecture": settings.architecture,
        "settings": asdict(settings),
        "training": {**told, "strides": list(training.strides)},
        "footage": [clips.digest, validation.digest],
    }
