"""C3D (Tran et al. 2015, arXiv:1412.0767): eight 3×3×3 convolutions, five poolings, two fully connected layers."""

from torch import Tensor, nn
from torch.nn import functional

from models.networks.base import VideoNetwork, classified, classifier_layer

DIMENSION = 4096
FRAMES, SIZE_PX = 16, 112
FLATTENED = 512 * 1 * 4 * 4
"""Channels × frames × rows × columns after the last pooling; the first fully connected layer fixes the input's size."""


class C3D(VideoNetwork):
    """C3D over 16 frames of 112 × 112; features are those of the second fully connected layer, fc7, after its ReLU."""

    def __init__(self, classes: int | None) -> None:
        super().__init__(DIMENSION, classes)
        self.conv1a = _convolution(3, 64)
        self.conv2a = _convolution(64, 128)
        self.conv3a, self.conv3b = _convolution(128, 256), _convolution(256, 256)
        self.conv4a, self.conv4b = _convolution(256, 512), _convolution(512, 512)
        self.conv5a, self.conv5b = _convolution(512, 512), _convolution(512, 512)
        self.fc6, self.fc7 = nn.Linear(FLATTENED, DIMENSION), nn.Linear(DIMENSION, DIMENSION)
        self.classifier = classifier_layer(DIMENSION, classes)

    def features(self, frames: Tensor) -> Tensor:
        """See `VideoNetwork.features`; ValueError unless there are 16 frames of 112 × 112."""
        if frames.shape[2:] != (FRAMES, SIZE_PX, SIZE_PX):
            raise ValueError(
                f"C3D takes {FRAMES} frames of {SIZE_PX}x{SIZE_PX}, got frames of shape {tuple(frames.shape)}"
            )
        maps = functional.max_pool3d(functional.relu(self.conv1a(frames)), (1, 2, 2))
        for stage in ((self.conv2a,), (self.conv3a, self.conv3b), (self.conv4a, self.conv4b)):
            for convolution in stage:
                maps = functional.relu(convolution(maps))
            maps = functional.max_pool3d(maps, 2)
        maps = functional.relu(self.conv5b(functional.relu(self.conv5a(maps))))
        flattened = functional.max_pool3d(maps, 2, padding=(0, 1, 1)).flatten(1)
        return functional.relu(self.fc7(functional.relu(self.fc6(flattened))))

    def logits(self, frames: Tensor) -> Tensor:
        """See `VideoNetwork.logits`."""
        return classified(self.classifier, self.features(frames))


def _convolution(channels_in: int, channels_out: int) -> nn.Conv3d:
    return nn.Conv3d(channels_in, channels_out, kernel_size=3, padding=1)
