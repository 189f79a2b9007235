"""Hasan et al. 2016, "Learning Temporal Regularity in Video Sequences" (arXiv:1604.04574), figure 4 and section 3.2.2.

A fully convolutional autoencoder that takes a cuboid's pictures as channels. For 10 pictures of 227 × 227::

    10×227×227  conv 11×11 stride 4   512×55×55   pool 2×2   512×27×27
                conv 5×5 padding 2    256×27×27   pool 2×2   256×13×13
                conv 3×3 padding 1    128×13×13
                deconv 3×3            256×13×13   unpool     256×27×27
                deconv 5×5            512×27×27   unpool     512×55×55
                deconv 11×11 stride 4  10×227×227

Max pooling hands its places to the unpooling of the same size; activations are tanh, for symmetry of encoder and
decoder; the last layer is linear.
"""

from torch import Tensor, nn
from torch.nn import functional

from models.autoencoders.base import CuboidNetwork, output_padding
from models.autoencoders.settings import HasanSettings


class Hasan(CuboidNetwork):
    """See the module; sizes other than 227 follow the same rules."""

    def __init__(self, settings: HasanSettings) -> None:
        super().__init__(settings.cuboid_frames, settings.size_px)
        wide, middle, narrow = (settings.channels(count) for count in (512, 256, 128))
        frames = settings.cuboid_frames
        self.conv1 = nn.Conv2d(frames, wide, 11, stride=4)
        self.conv2 = nn.Conv2d(wide, middle, 5, padding=2)
        self.conv3 = nn.Conv2d(middle, narrow, 3, padding=1)
        self.deconv1 = nn.ConvTranspose2d(narrow, middle, 3, padding=1)
        self.deconv2 = nn.ConvTranspose2d(middle, wide, 5, padding=2)
        self.deconv3 = nn.ConvTranspose2d(
            wide, frames, 11, stride=4, output_padding=output_padding(settings.size_px, 11, 4)
        )

    def reconstruct(self, cuboids: Tensor) -> Tensor:
        """See `CuboidNetwork.reconstruct`."""
        first = self.conv1(cuboids).tanh()
        pooled, first_places = functional.max_pool2d(first, 2, return_indices=True)
        second = self.conv2(pooled).tanh()
        pooled, second_places = functional.max_pool2d(second, 2, return_indices=True)
        deep = self.deconv1(self.conv3(pooled).tanh()).tanh()
        deep = functional.max_unpool2d(deep, second_places, [2, 2], output_size=second.shape[2:])
        deep = functional.max_unpool2d(self.deconv2(deep).tanh(), first_places, [2, 2], output_size=first.shape[2:])
        made: Tensor = self.deconv3(deep)
        return made
