"""Video networks as snippet encoders: their features, or with `+logits` in the name their classifier's logits."""

from torch import nn

from infra.errors import WeightsError
from infra.weights import WeightsFile
from models.encoders.base import EncoderSpec
from models.encoders.specs import normalisation, split_name
from models.encoders.torch_runner import TorchEncoder
from models.encoders.video_architectures import LOGITS
from models.encoders.weights import remedy
from models.networks.base import Logits
from models.networks.build import build_network


def build_video(
    spec: EncoderSpec, weights: WeightsFile | None, *, device: str, precision: str, batch_size: int | None
) -> TorchEncoder:
    """An encoder of a family of video networks; see `build`."""
    network = build_network(spec, weights)
    module: nn.Module = network
    dimension = network.dimension
    if split_name(spec.name).architecture.endswith(LOGITS):
        if network.classes is None:
            raise WeightsError(
                f"{spec.name} gives a classifier's logits, and its weights hold no classifier layer; "
                f'use "{spec.name.replace(LOGITS, "")}" for features, or {remedy(spec.name)}'
            )
        module, dimension = Logits(network), network.classes
    pixels = normalisation(spec.name, weights)
    return TorchEncoder(module, spec, pixels, dimension, device=device, precision=precision, batch_size=batch_size)
