"""TSN and TSM: a ResNet-50 over each segment's picture, agreeing by the mean.

Temporal segment networks, Wang et al. 2016 (arXiv:1608.00859). Temporal shift module, Lin et al. 2019
(arXiv:1811.08383): before the first convolution of every residual branch, an eighth of the channels comes from the
segment after and another eighth from the segment before; the identity path keeps the segment's own.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet50  # type: ignore[import-untyped]  # ships no type information

from models.networks.base import VideoNetwork, classified, classifier_layer

DIMENSION = 2048
SHIFT_SHARE = 8
"""One channel in this many comes from the next segment, and as many from the one before."""


def temporal_shift(maps: Tensor, segments: int) -> Tensor:
    """Exchange channels between neighbouring segments; beyond the ends there are zeros.

    Args:
        maps: (N · `segments`, C, H, W), the segments of a clip side by side.
        segments: T.

    Returns:
        The same shape: of segment t, channels [0, C/8) are those of t + 1, [C/8, 2C/8) those of t - 1, the rest its own.
    """
    clips = maps.reshape(-1, segments, *maps.shape[1:])
    fold = maps.shape[1] // SHIFT_SHARE
    after = functional.pad(clips[:, 1:, :fold], (0, 0, 0, 0, 0, 0, 0, 1))
    before = functional.pad(clips[:, :-1, fold : 2 * fold], (0, 0, 0, 0, 0, 0, 1, 0))
    return torch.cat((after, before, clips[:, :, 2 * fold :]), dim=2).reshape(maps.shape)


class Shifted(nn.Module):
    """A convolution behind a temporal shift."""

    def __init__(self, net: nn.Module, segments: int) -> None:
        super().__init__()
        self.net, self.segments = net, segments

    def forward(self, maps: Tensor) -> Tensor:
        """(N · T, C, H, W) → (N · T, C', H, W)."""
        convolved: Tensor = self.net(temporal_shift(maps, self.segments))
        return convolved


class SegmentNetwork(VideoNetwork):
    """A ResNet-50 over segments, with or without a temporal shift."""

    def __init__(self, segments: int, classes: int | None, *, shift: bool) -> None:
        """Make an untrained network.

        Args:
            segments: pictures of a clip, T.
            classes: K, or None for no classifier layer.
            shift: TSM, else TSN.
        """
        super().__init__(DIMENSION, classes)
        self.segments = segments
        self.backbone = resnet50(weights=None)
        self.backbone.fc = nn.Identity()
        if shift:
            for stage in (self.backbone.layer1, self.backbone.layer2, self.backbone.layer3, self.backbone.layer4):
                for block in stage:
                    block.conv1 = Shifted(block.conv1, segments)
        self.classifier = classifier_layer(DIMENSION, classes)

    def features(self, frames: Tensor) -> Tensor:
        """See `VideoNetwork.features`; ValueError unless T is the number of segments."""
        if frames.shape[2] != self.segments:
            raise ValueError(f"this network takes {self.segments} segments, got frames of shape {tuple(frames.shape)}")
        pictures = frames.transpose(1, 2).flatten(0, 1)
        by_segment: Tensor = self.backbone(pictures)
        return by_segment.reshape(-1, self.segments, DIMENSION).mean(dim=1)

    def logits(self, frames: Tensor) -> Tensor:
        """See `VideoNetwork.logits`: the mean of the segments' logits, which is the layer over the mean of features."""
        return classified(self.classifier, self.features(frames))
