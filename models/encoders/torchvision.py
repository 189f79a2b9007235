"""torchvision's 18-layer video networks (Tran et al. 2018, arXiv:1711.11248): 512-d pooled features of a snippet."""

from torch import nn
from torchvision.models import video  # type: ignore[import-untyped]  # ships no type information

from infra.weights import WeightsFile
from models.encoders.base import EncoderSpec
from models.encoders.hub import address_file
from models.encoders.specs import normalisation, split_name
from models.encoders.torch_runner import TorchEncoder, seeded
from models.encoders.weights import (
    given_file,
    load_strictly,
    read_state_dict,
    read_state_file,
    refuse_unknown_source,
)

BUILDERS = {"mc3_18": video.mc3_18, "r2plus1d_18": video.r2plus1d_18, "r3d_18": video.r3d_18}
HUB_WEIGHTS = {
    "mc3_18": video.MC3_18_Weights,
    "r2plus1d_18": video.R2Plus1D_18_Weights,
    "r3d_18": video.R3D_18_Weights,
}
CLASSIFIER = ("fc.",)


def build_torchvision(
    spec: EncoderSpec, weights: WeightsFile | None, *, device: str, precision: str, batch_size: int | None
) -> TorchEncoder:
    """A `torchvision/…` encoder; see `build`."""
    architecture = split_name(spec.name).architecture
    with seeded(spec):
        module = BUILDERS[architecture](weights=None)
    dimension = int(module.fc.in_features)
    module.fc = nn.Identity()
    match spec.weights.split(":"):
        case ["random", _]:
            pass
        case ["sha256", _]:
            state = read_state_dict(given_file(spec, weights))
            load_strictly(module, state, encoder=spec.name, dropped=CLASSIFIER)
        case ["hub", tag]:
            state = read_state_file(address_file(spec.name, HUB_WEIGHTS[architecture][tag].url))
            load_strictly(module, state, encoder=spec.name, dropped=CLASSIFIER)
        case _:
            refuse_unknown_source(spec)
    pixels = normalisation(spec.name, weights)
    return TorchEncoder(module, spec, pixels, dimension, device=device, precision=precision, batch_size=batch_size)
