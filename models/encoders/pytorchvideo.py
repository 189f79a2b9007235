"""pytorchvideo's networks for snippets: what enters their head, averaged over time and place.

2048 values for slow_r50 and r2plus1d_r50, 2304 for slowfast_r50, 192 for the x3d family.
"""

import torch
from pytorchvideo.models import hub as zoo  # type: ignore[import-untyped]  # ships no type information
from pytorchvideo.models.hub import r2plus1d, resnet, slowfast, x3d  # type: ignore[import-untyped]  # ships no type information
from torch import Tensor, nn

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

ALPHA = 4
BUILDERS = {
    "r2plus1d_r50": zoo.r2plus1d_r50,
    "slow_r50": zoo.slow_r50,
    "slowfast_r50": zoo.slowfast_r50,
    "x3d_m": zoo.x3d_m,
    "x3d_s": zoo.x3d_s,
    "x3d_xs": zoo.x3d_xs,
}
ADDRESSES = {
    **r2plus1d.checkpoint_paths,
    **resnet.checkpoint_paths,
    **slowfast.checkpoint_paths,
    **x3d.checkpoint_paths,
}


def pack_pathways(frames: Tensor, alpha: int = ALPHA) -> list[Tensor]:
    """SlowFast's two inputs: T / alpha frames for the slow pathway, all T for the fast one.

    The slow frames lie evenly from the first to the last, rounded down, as in the reference `PackPathway` (PySlowFast,
    `pack_pathway_output`; Feichtenhofer et al. 2019, arXiv:1812.03982): of 32 frames 0, 4, 8, 13, 17, 22, 26, 31.

    Args:
        frames: (N, C, T, H, W).
        alpha: frame-rate ratio of the pathways; at most T.

    Returns:
        [(N, C, T // alpha, H, W), (N, C, T, H, W)].
    """
    count = frames.shape[2]
    # Picked on the CPU: rounding down must not depend on a device's division.
    picks = torch.linspace(0, count - 1, count // alpha).long().to(frames.device)
    return [frames.index_select(2, picks), frames]


class Trunk(nn.Module):
    """The blocks before the head, then the mean over time and place; names of tensors as in the whole network."""

    def __init__(self, blocks: nn.ModuleList, *, two_pathways: bool) -> None:
        super().__init__()
        self.blocks = blocks
        self.two_pathways = two_pathways

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 3, T, H, W) → (N, D)."""
        features: Tensor | list[Tensor] = pack_pathways(frames) if self.two_pathways else frames
        for block in self.blocks:
            features = block(features)
        assert isinstance(features, Tensor)
        return features.mean(dim=(2, 3, 4))


def build_pytorchvideo(
    spec: EncoderSpec, weights: WeightsFile | None, *, device: str, precision: str, batch_size: int | None
) -> TorchEncoder:
    """A `pytorchvideo/…` encoder; see `build`."""
    architecture = split_name(spec.name).architecture
    with seeded(spec):
        blocks = BUILDERS[architecture](pretrained=False).blocks
    head = blocks[-1]
    x3d_head = architecture.startswith("x3d")
    dimension = int(head.pool.pre_conv.in_channels if x3d_head else head.proj.in_features)
    module = Trunk(blocks[:-1], two_pathways=architecture.startswith("slowfast"))
    dropped = (f"blocks.{len(blocks) - 1}.",)
    match spec.weights.split(":"):
        case ["random", _]:
            pass
        case ["sha256", _]:
            load_strictly(module, read_state_dict(given_file(spec, weights)), encoder=spec.name, dropped=dropped)
        case ["hub", _]:
            state = read_state_file(address_file(spec.name, ADDRESSES[architecture]))
            load_strictly(module, state, encoder=spec.name, dropped=dropped)
        case _:
            refuse_unknown_source(spec)
    pixels = normalisation(spec.name, weights)
    return TorchEncoder(module, spec, pixels, dimension, device=device, precision=precision, batch_size=batch_size)
