"""Weights from files: checked by hash, read without unpickling, loaded strictly.

Every tensor must be there, fit, and be wanted. Image encoders compute features, so the classifier at the end of their
networks is not built, and a file's classifier weights (whatever their class count) are dropped by name.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import NoReturn

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from infra.errors import ConfigurationError, WeightsError
from infra.weights import WeightsFile
from models.encoders.base import EncoderSpec

PICKLED = (".bin", ".pt", ".pth", ".pyth")
WRAPPERS = ("model_state", "state_dict", "model")
NAMED = 3


def remedy(encoder: str) -> str:
    """The command that brings a file of weights for `encoder`, as an error's last words."""
    return f'run "afterwatch weights add {encoder} FILE" with the right file'


def given_file(spec: EncoderSpec, weights: WeightsFile | None) -> WeightsFile:
    """The file that a spec with `sha256:` weights needs; ConfigurationError where it was not given."""
    if weights is None:
        raise ConfigurationError(f"{spec.name} needs the file with {spec.weights}, got none; {remedy(spec.name)}")
    return weights


def read_state_dict(weights: WeightsFile) -> dict[str, Tensor]:
    """Read the tensors of a workspace's file after checking its hash.

    Args:
        weights: a `.safetensors` file, or a `.pt`, `.pth`, `.pyth`, `.bin` file that torch can read without running
            code in it. `{"model_state": …}`, `{"state_dict": …}`, `{"model": …}` and `module.` prefixes are unwrapped.

    Returns:
        Tensors by name, on the CPU, in the file's own precision.

    Raises:
        WeightsError: the file is absent, altered, of another kind, or holds more than tensors.
    """
    path = weights.path
    if not path.is_file():
        raise WeightsError(f'weights {path} are not there; put the file back or run "afterwatch weights add" again')
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != weights.sha256:
        raise WeightsError(
            f"weights {path} have sha256 {found}, expected {weights.sha256}; the file was altered or cut short: "
            'fetch it again, or run "afterwatch weights add" if the change is meant'
        )
    return read_state_file(path)


def read_state_file(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file without a known hash; see `read_state_dict`."""
    if path.suffix == ".safetensors":
        try:
            return load_file(path, device="cpu")
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"weights {path} are no readable safetensors file ({error}); fetch it again") from error
    if path.suffix not in PICKLED:
        raise WeightsError(
            f'weights {path} end in "{path.suffix}", expected .safetensors, {", ".join(PICKLED)}; '
            "export the state dict as .safetensors"
        )
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"weights {path} hold more than tensors or are damaged, and files that run code are refused "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); "
            "export the state dict as .safetensors"
        ) from error
    return _unwrap(loaded, path)


def _unwrap(loaded: object, path: Path) -> dict[str, Tensor]:
    for wrapper in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
            break
    if not isinstance(loaded, Mapping) or not loaded or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise WeightsError(
            f"weights {path} hold no state dict (names with tensors, plain or under {', '.join(WRAPPERS)}); "
            "export the state dict as .safetensors"
        )
    state = {str(name): tensor for name, tensor in loaded.items()}
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def load_strictly(
    module: nn.Module,
    state: Mapping[str, Tensor],
    *,
    encoder: str,
    dropped: tuple[str, ...] = (),
    told: Mapping[str, str] | None = None,
) -> None:
    """Copy `state` into `module`, every tensor or none.

    Args:
        module: the network.
        state: tensors by name.
        encoder: name of the encoder, for the message.
        dropped: prefixes of names that do not take part in a vector (the classifier's); left out on both sides.
        told: the names that the file itself has for tensors of `state`, for the message; by default the same.

    Raises:
        WeightsError: names are missing or unexpected, or shapes differ; the message names the first few.
    """
    wanted, kept = (
        {name: tensor for name, tensor in tensors.items() if not name.startswith(dropped)}
        for tensors in (module.state_dict(), state)
    )
    # A training-step counter: older files lack it and inference never reads it.
    missing = [name for name in wanted if name not in kept and not name.endswith("num_batches_tracked")]
    said = told or {}
    unexpected = [said.get(name, name) for name in kept if name not in wanted]
    shapes = [
        f"{said.get(name, name)} {tuple(kept[name].shape)} for {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in kept and kept[name].shape != tensor.shape
    ]
    faults = [
        f"{len(names)} {fault} ({', '.join(names[:NAMED])}{', …' if len(names) > NAMED else ''})"
        for fault, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if names
    ]
    if faults:
        whole = "every tensor but the classifier's" if dropped else "every tensor"
        raise WeightsError(
            f"these weights do not fit {encoder}: {'; '.join(faults)}; {whole} must match; {remedy(encoder)}"
        )
    module.load_state_dict(kept, strict=False)


def refuse_unknown_source(spec: EncoderSpec) -> NoReturn:
    """Raise for an identity of weights that no network family knows."""
    raise ConfigurationError(
        f"{spec.name} has weights {spec.weights!r}, expected sha256:…, hub:… or random:…; make the spec with describe()"
    )
