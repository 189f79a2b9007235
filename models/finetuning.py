"""Fine-tuning a whole video network end to end: backbone and classifier layer learn alarm classes from clips.

Seeded, stopped early by sources held out, resumed where it was broken off: after every epoch the whole state is handed out
as bytes, and from these bytes training goes on as if it had never stopped, on a CPU to the last bit. Nothing here knows a
path but that of the network's own weights.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from infra.errors import AfterwatchError, ConfigurationError, WeightsError
from infra.weights import WeightsFile
from models.autoencoders.checkpoint import Epoch, State, copied, from_checkpoint, to_checkpoint
from models.encoders.architectures import Normalisation
from models.encoders.base import EncoderSpec, Pixels
from models.encoders.specs import RANDOM, describe, split_name
from models.encoders.torch_runner import choose_device
from models.networks.base import VideoNetwork
from models.networks.build import build_network

Progress = Callable[[str, float, float], None]
Save = Callable[[bytes], None]

VERSION = 1


@dataclass(frozen=True)
class FinetuningSettings:
    """How a network is fine-tuned.

    Attributes:
        epochs: at most.
        batch_size: snippets of a step.
        learning_rate, weight_decay: of AdamW (Loshchilov & Hutter 2019), the same for every layer.
        patience: epochs without a new least loss of the held-out sources after which training stops.
        frozen_statistics: whether batch normalisation keeps the means and variances it has: with few clips in a step
            those of the step are noise.
        flip: whether half of the snippets, at random, are mirrored left to right.
        seed: decides the classifier layer's first weights, the order of snippets and which are mirrored.
    """

    epochs: int = 10
    batch_size: int = 8
    learning_rate: float = 1e-4
    weight_decay: float = 1e-2
    patience: int = 3
    frozen_statistics: bool = True
    flip: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.patience) < 1 or self.seed < 0:
            raise ConfigurationError(
                f"epochs, batch_size and patience are at least 1, the seed not negative, got {self}; correct the value"
            )
        if not 0 < self.learning_rate < np.inf or not 0 <= self.weight_decay < np.inf:
            raise ConfigurationError(
                f"learning_rate is above 0 and weight_decay not below, got {self}; correct the value"
            )


@dataclass(frozen=True, eq=False)
class Snippets:
    """Snippets of clips, as a network is fine-tuned on them.

    Attributes:
        pixels: uint8 RGB (M, T, H, W, 3), of all clips; maybe a file mapped into memory, larger than it.
        rows: int64 (N,), those of this side.
        targets: bool (N, K), the alarm classes of each one's clip.
        digest: of the clips they are of.
    """

    pixels: Pixels
    rows: NDArray[np.int64]
    targets: NDArray[np.bool_]
    digest: str

    def __post_init__(self) -> None:
        if self.pixels.ndim != 5 or self.pixels.dtype != np.uint8 or self.targets.shape[:1] != self.rows.shape:
            raise ValueError(
                f"pixels are uint8 (M, T, H, W, 3) and each row has targets, got {self.pixels.dtype} "
                f"{self.pixels.shape}, {self.rows.shape} and {self.targets.shape}"
            )

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Finetuned:
    """A network at its best epoch.

    Attributes:
        state: its tensors by name, classifier layer with K logits included; a file of them builds the network again.
        epochs: mean loss of what was learnt from and of what was held out, after each.
        best: number of the best epoch, from 0.
    """

    state: dict[str, Tensor]
    epochs: tuple[Epoch, ...]
    best: int

    def to_bytes(self) -> bytes:
        """A safetensors file of the network."""
        return save({name: tensor.contiguous() for name, tensor in self.state.items()})


def finetuning_device(said: str | None) -> str:
    """The device to fine-tune on: a GPU, unless another is said.

    Raises:
        ConfigurationError: none is said and there is no GPU, or the one that is said is not there.
    """
    if said is None and not torch.cuda.is_available():
        raise ConfigurationError(
            "fine-tuning a whole network takes a GPU, and none is visible; give --device cpu to do it slowly all the same"
        )
    return str(choose_device(said or "auto"))


def network_to_finetune(spec: EncoderSpec, weights: WeightsFile | None, classes: int, seed: int) -> VideoNetwork:
    """A network with the weights of an encoder and a new classifier layer of `classes` logits.

    Args:
        spec, weights: of the encoder, as `build_network` takes them.
        classes: K, at least 1.
        seed: of the new layer's weights.

    Raises:
        ConfigurationError: the encoder is no video network.
        WeightsError: its weights are absent or do not fit.
    """
    network = build_network(spec, weights)
    if network.classes is None:
        stem = "/".join(split_name(spec.name)[:2])
        whole = build_network(describe(f"{stem}/{RANDOM}"))
        try:
            # What is missing is what the file did not have: the classifier, whatever else belongs to it.
            fits = not whole.load_state_dict(network.state_dict(), strict=False).unexpected_keys
        except RuntimeError:
            fits = False
        if not fits:
            raise WeightsError(
                f"{spec.name} has weights without a classifier layer, and its options make another network than "
                f"{stem}/{RANDOM}; give weights with their classifier, of however many classes"
            )
        network = whole
    name = _classifier_name(network)
    parent, _, own = name.rpartition(".")
    old = network.get_submodule(name)
    assert isinstance(old, nn.Linear)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        new = nn.Linear(old.in_features, classes)
    setattr(network.get_submodule(parent), own, new)
    network.classes = classes
    return network


def finetune(
    network: VideoNetwork,
    normalisation: Normalisation,
    settings: FinetuningSettings,
    training: Snippets,
    held_out: Snippets,
    *,
    begun_with: Mapping[str, Any],
    checkpoint: bytes | None = None,
    save_checkpoint: Save = lambda _: None,
    progress: Progress = lambda _stage, _done, _total: None,
    device: str = "cpu",
) -> Finetuned:
    """Train a network end to end by binary cross entropy, until the held-out sources are told no better.

    Args:
        network: made by `network_to_finetune`; it is changed.
        normalisation: of its pictures, in the unit range.
        settings: how.
        training: snippets to learn from.
        held_out: snippets of other sources, which tell when to stop.
        begun_with: what tells this network and its classes from others, as JSON has it; a checkpoint of others is refused.
        checkpoint: what `save_checkpoint` was last given, to go on from there; `epochs` and `patience` may have changed.
        save_checkpoint: called after every epoch; has to replace the old bytes whole or not at all.
        progress: called with `backbone`, the epochs done and the most there may be.
        device: torch's name of one; on a GPU that has bfloat16, layers are computed in it.

    Raises:
        CheckpointError: the checkpoint is of another training.
        WeightsError: it is damaged.
        AfterwatchError: the loss is not finite.
    """
    running = _Running(network.to(device), normalisation, settings, training, held_out, torch.device(device))
    about = {**begun_with, **_about(settings, training, held_out)}
    if checkpoint is not None:
        from_checkpoint(running.state, checkpoint, about)
    while len(running.state.epochs) < settings.epochs and not running.state.took_patience(settings.patience):
        running.epoch(progress)
        save_checkpoint(to_checkpoint(running.state, about))
    progress("backbone", settings.epochs, settings.epochs)
    state = running.state
    return Finetuned(dict(state.best), tuple(state.epochs), state.best_epoch)


class _Running:
    """A network on its way."""

    def __init__(
        self,
        network: VideoNetwork,
        normalisation: Normalisation,
        settings: FinetuningSettings,
        training: Snippets,
        held_out: Snippets,
        device: torch.device,
    ) -> None:
        self._settings, self._training, self._held_out, self._device = settings, training, held_out, device
        self._network = network.requires_grad_(True)
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, foreach=False
        )
        self.state = State(network, optimiser, copied(network))  # type: ignore[arg-type]  # any module will do
        channels = (normalisation.mean, normalisation.std)
        mean, std = (torch.tensor(values, device=device).reshape(3, 1, 1, 1) for values in channels)
        self._mean, self._std = mean, std
        shown = torch.from_numpy(training.targets.sum(axis=0).astype(np.float32))
        self._positive_weight = ((len(training) - shown) / shown).to(device)

    def epoch(self, progress: Progress) -> None:
        """Train on all snippets once, in an order of the epoch's own."""
        number = len(self.state.epochs)
        # Drawn from seed and epoch alone: a resumed epoch is the one that was broken off.
        random = np.random.default_rng((self._settings.seed, number))
        order = random.permutation(len(self._training))
        flipped = random.random(len(order)) < 0.5 if self._settings.flip else np.zeros(len(order), np.bool_)
        self._train_mode()
        total = 0.0
        for begin in range(0, len(order), self._settings.batch_size):
            chosen = np.sort(order[begin : begin + self._settings.batch_size])
            self.state.optimiser.zero_grad(set_to_none=True)
            loss = self._loss(self._training, chosen, flipped[chosen])
            if not bool(torch.isfinite(loss)):
                raise AfterwatchError(
                    f"the loss became {float(loss.detach())} in epoch {number + 1} at a learning rate of "
                    f"{self._settings.learning_rate:g}; give a smaller one, and begin anew"
                )
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self.state.optimiser.step()
            total += float(loss.detach()) * len(chosen)
            progress("backbone", number + (begin + len(chosen)) / len(order), self._settings.epochs)
        self._network.eval()
        self.state.epochs.append(Epoch(total / len(order), self._loss_of_held_out()))
        best = self.state.best_epoch
        if best < 0 or self.state.epochs[-1].validation < self.state.epochs[best].validation:
            self.state.best, self.state.best_epoch = copied(self.state.network), number

    def _train_mode(self) -> None:
        self._network.train()
        if self._settings.frozen_statistics:
            for module in self._network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def _loss_of_held_out(self) -> float:
        total = 0.0
        with torch.inference_mode():
            for begin in range(0, len(self._held_out), self._settings.batch_size):
                chosen = np.arange(begin, min(begin + self._settings.batch_size, len(self._held_out)))
                loss = self._loss(self._held_out, chosen, np.zeros(len(chosen), np.bool_))
                total += float(loss) * len(chosen)
        return total / len(self._held_out)

    def _loss(self, snippets: Snippets, chosen: NDArray[np.int64], flipped: NDArray[np.bool_]) -> Tensor:
        pixels = torch.from_numpy(np.array(snippets.pixels[snippets.rows[chosen]])).to(self._device)
        frames = (pixels.permute(0, 4, 1, 2, 3).float() / 255 - self._mean) / self._std
        mirrored = torch.from_numpy(flipped).to(self._device).reshape(-1, 1, 1, 1, 1)
        targets = torch.from_numpy(snippets.targets[chosen].astype(np.float32)).to(self._device)
        with self._precision():
            logits = self._network.logits(torch.where(mirrored, frames.flip(4), frames))
        return functional.binary_cross_entropy_with_logits(logits.float(), targets, pos_weight=self._positive_weight)

    def _precision(self) -> AbstractContextManager[object]:
        if self._device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return nullcontext()


def _classifier_name(network: VideoNetwork) -> str:
    """Name of the classifier layer: the last linear one, with as many outputs as there are classes."""
    linear: list[str] = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    last = network.get_submodule(linear[-1]) if linear else None
    if not isinstance(last, nn.Linear) or last.out_features != network.classes:
        raise ConfigurationError("this network has no linear classifier layer at its end, so it cannot be fine-tuned")
    return linear[-1]


def _about(settings: FinetuningSettings, training: Snippets, held_out: Snippets) -> dict[str, Any]:
    """What else may not change between a checkpoint and its continuation."""
    told = asdict(replace(settings, epochs=1, patience=1))
    return {"version": VERSION, "training": told, "clips": [training.digest, held_out.digest]}
