"""Where a network's tensors come from, and what their file says of the network's shape."""

from collections.abc import Callable, Mapping

from torch import Tensor

from infra.errors import WeightsError
from infra.weights import WeightsFile
from models.encoders.base import EncoderSpec
from models.encoders.hub import address_file
from models.encoders.specs import normalisation
from models.encoders.weights import given_file, read_state_dict, read_state_file, refuse_unknown_source
from models.networks.layouts import WeightsLayout


def state_of(spec: EncoderSpec, weights: WeightsFile | None, address: Callable[[str], str]) -> dict[str, Tensor] | None:
    """The tensors that `spec.weights` names; None for random ones.

    Args:
        spec: of a video encoder.
        weights: the workspace's file, if it has one.
        address: tag of a hub → URL of its file.

    Raises:
        WeightsError: the file is absent, altered or unreadable, or the hub cannot be reached.
    """
    kind, _, tag = spec.weights.partition(":")
    if kind == "random":
        return None
    if kind == "sha256":
        return read_state_dict(given_file(spec, weights))
    if kind != "hub":
        refuse_unknown_source(spec)
    return read_state_file(address_file(spec.name, address(tag)))


def class_count(state: Mapping[str, Tensor], weight: str) -> int | None:
    """Classes of a classifier layer whose weight is called `weight`; None where the file holds no such layer."""
    found = state.get(weight)
    return None if found is None or found.ndim != 2 else int(found.shape[0])


def without_head(state: Mapping[str, Tensor], head: str) -> dict[str, Tensor]:
    """`state` but for the tensors whose names begin with `head`: another program's classifier, of unknown shape."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(head)}


def check_normalisation(spec: EncoderSpec, weights: WeightsFile | None, layout: WeightsLayout) -> None:
    """Refuse weights that were trained on otherwise normalised pictures than the encoder would show them.

    Raises:
        WeightsError: the file's entry gives no mean and std, and the layout's are not the encoder's usual ones.
    """
    trained = layout.trained_with
    if trained is None or (weights is not None and weights.mean is not None):
        return
    usual = normalisation(spec.name, weights)
    if trained != usual:
        mean, std = (",".join(f"{value:g}" for value in values) for values in (trained.mean, trained.std))
        raise WeightsError(
            f"{spec.name}: {layout.name}'s weights were trained with {trained}, this encoder's usual is {usual}; "
            f'run "afterwatch weights add {spec.name} FILE --mean {mean} --std {std}"'
        )
