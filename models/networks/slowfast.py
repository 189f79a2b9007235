"""SlowFast on ResNet-50 (Feichtenhofer et al. 2019, arXiv:1812.03982), the body pytorchvideo's.

A slow pathway sees one frame in alpha, a fast one sees all with 1/beta of the channels; after the stem and after each
stage but the last a convolution over time brings the fast pathway's maps into the slow one.

Two programs trained the weights people have, and they differ in arithmetic that no shape shows:

================  ===============================  ==================================
                  PySlowFast, pytorchvideo         MMAction2
================  ===============================  ==================================
slow frames       evenly from first to last        every alpha-th, from the first
fusion            convolution, batch norm, ReLU    convolution
pooling           windows of 7 × 7, then the mean  the mean over all places
================  ===============================  ==================================
"""

from dataclasses import dataclass
from typing import Literal

import torch
from pytorchvideo.models.slowfast import (  # type: ignore[import-untyped]  # ships no type information
    FastToSlowFusionBuilder,
    create_slowfast,
)
from torch import Tensor, nn
from torch.nn import functional

from models.networks.base import VideoNetwork, classified, classifier_layer

Trainer = Literal["pyslowfast", "mmaction2"]

STEM_CHANNELS = 64
SLOW_DIMENSION = 2048
POOL_WINDOW = 7
"""Side of the pooling window: of the last maps of a training crop of 224 pixels."""


@dataclass(frozen=True)
class SlowFastSettings:
    """A SlowFast network's shape.

    Attributes:
        alpha: frames of the fast pathway to one of the slow.
        beta: channels of the slow pathway to one of the fast; divides 64.
        fusion_kernel: length in frames of the convolutions that bring fast maps to the slow pathway; odd.
        trained_by: whose arithmetic, see the module.
    """

    alpha: int
    beta: int
    fusion_kernel: int
    trained_by: Trainer = "pyslowfast"

    def __post_init__(self) -> None:
        if self.alpha < 1 or self.beta < 1 or STEM_CHANNELS % self.beta or self.fusion_kernel % 2 == 0:
            raise ValueError(f"alpha is at least 1, beta divides {STEM_CHANNELS}, fusion_kernel is odd: {self}")


def pack_pathways(frames: Tensor, alpha: int) -> list[Tensor]:
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


class SlowFast(VideoNetwork):
    """SlowFast R50; features are the slow pathway's 2048 values, then the fast one's 2048 / beta."""

    def __init__(self, settings: SlowFastSettings, classes: int | None) -> None:
        super().__init__(SLOW_DIMENSION + SLOW_DIMENSION // settings.beta, classes)
        self.settings = settings
        normalised = settings.trained_by == "pyslowfast"
        fusion = FastToSlowFusionBuilder(
            slowfast_channel_reduction_ratio=settings.beta,
            conv_fusion_channel_ratio=2,
            conv_kernel_size=(settings.fusion_kernel, 1, 1),
            conv_stride=(settings.alpha, 1, 1),
            norm=nn.BatchNorm3d if normalised else None,
            activation=nn.ReLU if normalised else None,
        )
        body = create_slowfast(
            slowfast_channel_reduction_ratio=(settings.beta,),
            stem_dim_outs=(STEM_CHANNELS, STEM_CHANNELS // settings.beta),
            fusion_builder=fusion.create_module,
            head=None,
        )
        self.blocks = body.blocks[:-1]  # the last one pools for one clip length and crop only
        self.classifier = classifier_layer(self.dimension, classes)

    def features(self, frames: Tensor) -> Tensor:
        """See `VideoNetwork.features`; ValueError unless T is a multiple of alpha."""
        if frames.shape[2] % self.settings.alpha:
            raise ValueError(f"T is a multiple of alpha = {self.settings.alpha}, got frames {tuple(frames.shape)}")
        pathways = self.pathways(frames)
        for block in self.blocks:
            pathways = block(pathways)
        return torch.cat([self._pooled(maps) for maps in pathways], dim=1)

    def logits(self, frames: Tensor) -> Tensor:
        """See `VideoNetwork.logits`."""
        return classified(self.classifier, self.features(frames))

    def pathways(self, frames: Tensor) -> list[Tensor]:
        """[(N, 3, T / alpha, H, W), (N, 3, T, H, W)] of (N, 3, T, H, W)."""
        if self.settings.trained_by == "pyslowfast":
            return pack_pathways(frames, self.settings.alpha)
        return [frames[:, :, :: self.settings.alpha], frames]

    def _pooled(self, maps: Tensor) -> Tensor:
        if self.settings.trained_by == "pyslowfast":
            window = [min(POOL_WINDOW, side) for side in maps.shape[3:]]
            maps = functional.avg_pool3d(maps, (maps.shape[2], *window), stride=1)
        return maps.mean(dim=(2, 3, 4))


def slow_first(weight: Tensor, beta: int) -> Tensor:
    """A classifier's weight (K, D) whose columns are the fast pathway's first, as MMAction2 has them, in our order."""
    fast = SLOW_DIMENSION // beta
    return torch.cat((weight[:, fast:], weight[:, :fast]), dim=1)
