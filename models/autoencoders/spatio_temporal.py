"""A spatial encoder, three convolutional LSTM layers and a spatial decoder: what Chong and Tay and ISTL share."""

from typing import NamedTuple

from torch import Tensor, nn

from models.autoencoders.base import CuboidNetwork, convolved, output_padding
from models.autoencoders.conv_lstm import ConvLstm


class Convolution(NamedTuple):
    """Channels, and side, stride and padding of the kernels."""

    channels: int
    kernel: int
    stride: int
    padding: int


class SpatioTemporal(CuboidNetwork):
    """Two convolutions of each picture, ConvLSTM over the cuboid, two transposed convolutions of each picture.

    Args:
        cuboid_frames: pictures in a cuboid.
        size_px: height and width of the pictures.
        first, second: the convolutions; the decoder mirrors them.
        hidden: channels of the three ConvLSTM layers, kernels 3 × 3.
    """

    def __init__(
        self, cuboid_frames: int, size_px: int, first: Convolution, second: Convolution, hidden: tuple[int, int, int]
    ) -> None:
        super().__init__(cuboid_frames, size_px)
        inner_px = convolved(size_px, *first[1:])
        self.conv1 = nn.Conv2d(1, *first)
        self.conv2 = nn.Conv2d(first.channels, *second)
        self.lstm1 = ConvLstm(second.channels, hidden[0])
        self.lstm2 = ConvLstm(hidden[0], hidden[1])
        self.lstm3 = ConvLstm(hidden[1], hidden[2])
        self.deconv1 = nn.ConvTranspose2d(
            hidden[2], first.channels, *second[1:], output_padding=output_padding(inner_px, *second[1:])
        )
        self.deconv2 = nn.ConvTranspose2d(
            first.channels, 1, *first[1:], output_padding=output_padding(size_px, *first[1:])
        )

    def reconstruct(self, cuboids: Tensor) -> Tensor:
        """See `CuboidNetwork.reconstruct`."""
        count, frames = cuboids.shape[:2]
        features = self.conv2(self.conv1(cuboids.flatten(0, 1).unsqueeze(1)).tanh()).tanh()
        sequence = self.lstm3(self.lstm2(self.lstm1(features.reshape(count, frames, *features.shape[1:]))))
        made: Tensor = self.deconv2(self.deconv1(sequence.flatten(0, 1)).tanh())
        return made.reshape(cuboids.shape)
