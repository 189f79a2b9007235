"""C3D (Tran et al. 2015, arXiv:1412.0767): eight 3×3×3 convolutions, five poolings, two fully connected layers."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.encoders.video_architectures import C3D_FRAMES, C3D_SIZE_PX
from models.networks.base import VideoNetwork, classified, classifier_layer

DIMENSION = 4096
CHANNELS, POOLED = 512, (1, 4, 4)
"""After the last pooling of 16 frames of 112 × 112: channels, and frames, rows and columns; they fix the first fully connected
layer."""
FLATTENED = CHANNELS * POOLED[0] * POOLED[1] * POOLED[2]


class C3D(VideoNetwork):
    """C3D over 16 frames of 112 × 112; features are those of the second fully connected layer, fc7, after its ReLU.

    Of another number of frames or another size, 32 frames of 64 × 64 as S3 has them (2 × 3 × 3 after the last pooling), the
    maps are brought to 1 × 4 × 4 by adaptive average pooling, so that the published fully connected layers fit. Those
    layers were trained without it: what they make of other inputs has to be measured.
    """

    def __init__(self, classes: int | None, frames: int = C3D_FRAMES, size_px: int = C3D_SIZE_PX) -> None:
        """Make an untrained network.

        Args:
            classes: K, or None for no classifier layer.
            frames: of a clip, at least 16.
            size_px: side of a frame, at least 16.
        """
        super().__init__(DIMENSION, classes)
        self._shape = (frames, size_px, size_px)
        self.conv1a = _convolution(3, 64)
        self.conv2a = _convolution(64, 128)
        self.conv3a, self.conv3b = _convolution(128, 256), _convolution(256, 256)
        self.conv4a, self.conv4b = _convolution(256, 512), _convolution(512, 512)
        self.conv5a, self.conv5b = _convolution(512, 512), _convolution(512, 512)
        self.fc6, self.fc7 = nn.Linear(FLATTENED, DIMENSION), nn.Linear(DIMENSION, DIMENSION)
        self.classifier = classifier_layer(DIMENSION, classes)

    def features(self, frames: Tensor) -> Tensor:
        """See `VideoNetwork.features`; ValueError unless there are as many frames of that size as it was made for."""
        if frames.shape[2:] != self._shape:
            raise ValueError(
                f"C3D takes {self._shape[0]} frames of {self._shape[1]}x{self._shape[2]}, got frames of shape "
                f"{tuple(frames.shape)}"
            )
        maps = functional.max_pool3d(functional.relu(self.conv1a(frames)), (1, 2, 2))
        for stage in ((self.conv2a,), (self.conv3a, self.conv3b), (self.conv4a, self.conv4b)):
            for convolution in stage:
                maps = functional.relu(convolution(maps))
            maps = functional.max_pool3d(maps, 2)
        maps = functional.relu(self.conv5b(functional.relu(self.conv5a(maps))))
        maps = pooled_to(functional.max_pool3d(maps, 2, padding=(0, 1, 1)), POOLED)
        return functional.relu(self.fc7(functional.relu(self.fc6(maps.flatten(1)))))

    def logits(self, frames: Tensor) -> Tensor:
        """See `VideoNetwork.logits`."""
        return classified(self.classifier, self.features(frames))


def pooled_to(maps: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Adaptive average pooling, axis by axis: `torch.nn.functional.adaptive_avg_pool3d`, which ONNX has not.

    Place i of n from m places is the mean of those from ⌊i m / n⌋ to before ⌈(i + 1) m / n⌉.

    Args:
        maps: (N, C, T, H, W).
        shape: of the last three axes; an axis that has it already is left alone.
    """
    for axis, count in enumerate(shape, start=2):
        size = maps.shape[axis]
        if size != count:
            bounds = [(number * size // count, -(-(number + 1) * size // count)) for number in range(count)]
            means = [maps.narrow(axis, first, end - first).mean(dim=axis) for first, end in bounds]
            maps = torch.stack(means, dim=axis)
    return maps


def _convolution(channels_in: int, channels_out: int) -> nn.Conv3d:
    return nn.Conv3d(channels_in, channels_out, kernel_size=3, padding=1)
