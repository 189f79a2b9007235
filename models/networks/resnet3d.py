"""The 50-layer 3D ResNet (Hara et al. 2018, arXiv:1711.09577): a ResNet-50 whose 3×3 kernels are 3×3×3."""

from torch import Tensor, nn
from torch.nn import functional

from models.networks.base import VideoNetwork, classified, classifier_layer

EXPANSION = 4
BLOCKS = (3, 4, 6, 3)
WIDTHS = (64, 128, 256, 512)
DIMENSION = WIDTHS[-1] * EXPANSION


class Bottleneck(nn.Module):
    """1×1×1, 3×3×3 and 1×1×1 convolutions beside the identity or, where the shape changes, a projection (type B)."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        channels_out = width * EXPANSION
        self.conv1 = nn.Conv3d(channels_in, width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, channels_out, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm3d(channels_out)
        self.downsample = (
            None
            if stride == 1 and channels_in == channels_out
            else nn.Sequential(
                nn.Conv3d(channels_in, channels_out, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm3d(channels_out),
            )
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, T, H, W) → (N, 4 · width, T', H', W')."""
        branch = functional.relu(self.bn1(self.conv1(maps)))
        branch = functional.relu(self.bn2(self.conv2(branch)))
        branch = self.bn3(self.conv3(branch))
        return functional.relu(branch + (maps if self.downsample is None else self.downsample(maps)))


class ResNet3d(VideoNetwork):
    """The network over 16 frames of 112 × 112, or over any other clip: what is left after the last stage is averaged."""

    def __init__(self, classes: int | None) -> None:
        super().__init__(DIMENSION, classes)
        self.conv1 = nn.Conv3d(3, 64, kernel_size=7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        channels = (64, *(width * EXPANSION for width in WIDTHS))
        self.layer1 = _stage(channels[0], WIDTHS[0], BLOCKS[0], stride=1)
        self.layer2 = _stage(channels[1], WIDTHS[1], BLOCKS[1], stride=2)
        self.layer3 = _stage(channels[2], WIDTHS[2], BLOCKS[2], stride=2)
        self.layer4 = _stage(channels[3], WIDTHS[3], BLOCKS[3], stride=2)
        self.fc = classifier_layer(DIMENSION, classes)

    def features(self, frames: Tensor) -> Tensor:
        """See `VideoNetwork.features`."""
        maps = functional.relu(self.bn1(self.conv1(frames)))
        maps = functional.max_pool3d(maps, kernel_size=3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps = stage(maps)
        return maps.mean(dim=(2, 3, 4))

    def logits(self, frames: Tensor) -> Tensor:
        """See `VideoNetwork.logits`."""
        return classified(self.fc, self.features(frames))


def _stage(channels_in: int, width: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = Bottleneck(channels_in, width, stride)
    return nn.Sequential(first, *(Bottleneck(width * EXPANSION, width, 1) for _ in range(blocks - 1)))
