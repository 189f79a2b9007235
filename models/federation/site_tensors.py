"""Shared tensors into a network and out of it, and what a site keeps between rounds: all that the kinds of sites have in common.

A site's memory is a safetensors file: the optimiser's state, and where the generators of random numbers stand, so that the
next round goes on as if training had never stopped. Nothing in it is pickled, and it never leaves the site.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from threading import RLock
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from infra.errors import ConfigurationError, WeightsError
from models.autoencoders.checkpoint import ABOUT, CheckpointError, header_of, optimiser_tensors, restore_optimiser
from models.federation.base import Tensors

VERSION = 1
OPTIMISER, GENERATOR = "optimiser.", "generator"

TORCH_GENERATOR = RLock()
"""Held while torch's own generator is seeded and drawn from: sites that train in threads of one process share it."""

Parameters = Mapping[str, nn.Parameter]


def take_in(parameters: Parameters, shared: Tensors) -> None:
    """Copy shared tensors into parameters of the same names, which stay on their device.

    Raises:
        ConfigurationError: a tensor is absent, unknown, or of another shape or type.
    """
    if wrong := sorted(set(parameters) ^ set(shared)):
        raise ConfigurationError(
            f"the shared tensors are not those of this model: {', '.join(wrong)} absent or unknown; make a plan of it anew"
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            value, wanted = shared[name], (tuple(parameter.shape), _dtype(parameter))
            if (value.shape, value.dtype.name) != wanted:
                raise ConfigurationError(
                    f"the shared tensor {name} is {value.dtype.name} {value.shape}, this model's is {wanted[1]} {wanted[0]}; "
                    "make a plan of it anew"
                )
            # Copied: what comes off the wire may be memory that cannot be written.
            parameter.copy_(torch.from_numpy(np.array(value)))


def given_out(parameters: Parameters) -> Tensors:
    """Parameters as arrays of their own."""
    return {name: parameter.detach().cpu().numpy().copy() for name, parameter in parameters.items()}


def epochs_of_round(round_number: int, rounds: int, local_epochs: int) -> range:
    """Numbers, from 0, of the epochs of a round among those of the whole training.

    Raises:
        ConfigurationError: there is no such round.

    >>> epochs_of_round(2, 3, 5)
    range(5, 10)
    """
    if not 1 <= round_number <= rounds:
        raise ConfigurationError(f"round {round_number} is none of the plan's; they are 1 to {rounds}")
    return range((round_number - 1) * local_epochs, round_number * local_epochs)


@dataclass(frozen=True)
class Remembered:
    """What a memory holds beside the optimiser's state.

    Attributes:
        order: state of NumPy's generator that the order of samples is drawn from; None where there is none.
        generator: uint8, state of torch's own; None where nothing is drawn from it.
    """

    order: Mapping[str, Any] | None = None
    generator: Tensor | None = None

    def restore(self, random: np.random.Generator) -> None:
        """Put a generator, and torch's own where its state is here, where the round before has left them.

        Raises:
            WeightsError: a state is none.
        """
        try:
            random.bit_generator.state = self.order or {}
            if self.generator is not None:
                torch.random.set_rng_state(self.generator)
        except (TypeError, ValueError, KeyError, RuntimeError) as error:
            raise WeightsError(f"this site's memory is damaged ({error}); delete it, and it begins anew") from None


def to_memory(
    optimiser: torch.optim.AdamW, about: Mapping[str, Any], round_number: int, remembered: Remembered = Remembered()
) -> bytes:
    """A site's memory after a round.

    Args:
        optimiser: as the round has left it.
        about: which training it is of, in values of JSON.
        round_number: from 1.
        remembered: the rest.
    """
    tensors = {f"{OPTIMISER}{name}": value for name, value in optimiser_tensors(optimiser).items()}
    if remembered.generator is not None:
        tensors[GENERATOR] = remembered.generator
    told = {"about": _told(about), "round": round_number, "order": remembered.order}
    return save({name: value.contiguous() for name, value in tensors.items()}, {ABOUT: json.dumps(told)})


def from_memory(memory: bytes, optimiser: torch.optim.AdamW, about: Mapping[str, Any], round_number: int) -> Remembered:
    """Give the optimiser its state back before `round_number`, in place; returns the rest.

    Raises:
        WeightsError: the bytes are damaged.
        CheckpointError: they are of another training, or of this round or a later one.
    """
    try:
        told = json.loads(header_of(memory)[ABOUT])
        tensors = load(memory)
        of, after, order = told["about"], int(told["round"]), told["order"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"this site's memory is damaged ({error}); delete it, and it begins anew") from None
    if of != _told(about):
        raise CheckpointError("this site's memory is of another training; delete it, or train under another name")
    if after >= round_number:
        raise CheckpointError(
            f"this site's memory is of round {after}, and round {round_number} goes on from an earlier one: give that of "
            f"round {round_number - 1}"
        )
    generator = tensors.pop(GENERATOR, None)
    restore_optimiser(optimiser, {name.removeprefix(OPTIMISER): value for name, value in tensors.items()})
    return Remembered(order, generator)


def _told(about: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON has it: tuples are lists."""
    told: dict[str, Any] = json.loads(json.dumps({**about, "version": VERSION}))
    return told


def _dtype(parameter: Tensor) -> str:
    return str(parameter.dtype).removeprefix("torch.")
