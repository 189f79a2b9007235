"""The state of a training as bytes, and back: a safetensors file whose header holds its numbers as JSON.

Nothing is pickled: the optimiser's state is tensors by the number of their parameter.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from infra.errors import ConfigurationError, WeightsError
from models.autoencoders.base import CuboidNetwork
from models.autoencoders.settings import ARCHITECTURES, AutoencoderSettings, settings_of

NETWORK, BEST, OPTIMISER = "network.", "best.", "optimiser."
ABOUT = "afterwatch"
LENGTH_BYTES = 8


@dataclass(frozen=True)
class Epoch:
    """Mean squared error of a pixel (grey in [0, 1]) after an epoch: over its training, and over held-out cuboids."""

    training: float
    validation: float


@dataclass
class State:
    """What a checkpoint holds: network and optimiser as they are, the best network, and what each epoch came to."""

    network: CuboidNetwork
    optimiser: torch.optim.AdamW
    best: dict[str, Tensor]
    best_epoch: int = -1
    epochs: list[Epoch] = field(default_factory=list)

    def reached(self, epoch: Epoch) -> None:
        """Note what the network has come to, and keep it where it is the best so far."""
        self.epochs.append(epoch)
        if self.best_epoch < 0 or epoch.validation < self.epochs[self.best_epoch].validation:
            self.best, self.best_epoch = copied(self.network), len(self.epochs) - 1

    def took_patience(self, patience: int) -> bool:
        return len(self.epochs) - 1 - self.best_epoch >= patience


def to_checkpoint(state: State, about: Mapping[str, Any]) -> bytes:
    """A state as bytes; `about` says of which training it is."""
    tensors = {f"{NETWORK}{name}": tensor for name, tensor in copied(state.network).items()}
    tensors |= {f"{BEST}{name}": tensor for name, tensor in state.best.items()}
    tensors |= {f"{OPTIMISER}{name}": tensor for name, tensor in optimiser_tensors(state.optimiser).items()}
    told = {**about, "epochs": [asdict(epoch) for epoch in state.epochs], "best_epoch": state.best_epoch}
    return save({name: tensor.contiguous() for name, tensor in tensors.items()}, {ABOUT: json.dumps(told)})


class CheckpointError(ConfigurationError):
    """A checkpoint is of another training than the one it is to go on with."""


def from_checkpoint(state: State, checkpoint: bytes, about: Mapping[str, Any]) -> None:
    """Put a state back, in place.

    Raises:
        WeightsError: the bytes are damaged.
        CheckpointError: they are of another training.
    """
    try:
        told = json.loads(header_of(checkpoint)[ABOUT])
        tensors = load(checkpoint)
    except (SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(f"the checkpoint is damaged ({error}); delete it and train again") from None
    changed = [name for name, value in about.items() if told.get(name) != value]
    if changed:
        raise CheckpointError(
            f"the checkpoint is of another training: {', '.join(changed)} differ; "
            "train under another name, or delete the checkpoint"
        )
    state.network.load_state_dict(_under(tensors, NETWORK))
    state.best = _under(tensors, BEST)
    state.best_epoch = int(told["best_epoch"])
    state.epochs = [Epoch(**epoch) for epoch in told["epochs"]]
    restore_optimiser(state.optimiser, _under(tensors, OPTIMISER))


def optimiser_tensors(optimiser: torch.optim.AdamW) -> dict[str, Tensor]:
    """An optimiser's state on the CPU, by number of the parameter and name, as in `0.exp_avg`."""
    return {
        f"{number}.{name}": value.detach().cpu()
        for number, values in optimiser.state_dict()["state"].items()
        for name, value in values.items()
    }


def restore_optimiser(optimiser: torch.optim.AdamW, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser the state that `optimiser_tensors` took from one of the same parameters."""
    kept: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, what = name.split(".", 1)
        kept.setdefault(int(number), {})[what] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": kept})


def settings_in(content: bytes) -> AutoencoderSettings:
    """What the header of an autoencoder's safetensors file says of it.

    Raises:
        WeightsError: it is no such file.
    """
    try:
        about = json.loads(header_of(content)[ABOUT])
        return settings_of(about.pop("architecture"), about)
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            f'these weights do not say which autoencoder they are of ({error!r}); make them with "afterwatch fit '
            f'autoencoder", or give architecture ({", ".join(ARCHITECTURES)}), width and size_px as options'
        ) from None


def copied(network: CuboidNetwork) -> dict[str, Tensor]:
    """A network's tensors by name, on the CPU, its own no more."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def header_of(content: bytes) -> dict[str, str]:
    """The texts in a safetensors file's header, which the library reads from files only; ValueError or KeyError where none."""
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    if not 0 < length <= len(content) - LENGTH_BYTES:
        raise ValueError("no safetensors header")
    found: dict[str, str] = json.loads(content[LENGTH_BYTES : LENGTH_BYTES + length])["__metadata__"]
    return found
