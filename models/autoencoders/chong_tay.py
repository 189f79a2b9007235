"""Chong and Tay 2017, "Abnormal Event Detection in Videos using Spatiotemporal Autoencoder" (arXiv:1701.01546), figure 3.

For 10 pictures of 227 × 227, each picture by itself but in the ConvLSTM::

    1×227×227   conv 11×11 stride 4     128×55×55
                conv 5×5 stride 2        64×26×26
                ConvLSTM 3×3             64×26×26
                ConvLSTM 3×3             32×26×26
                ConvLSTM 3×3             64×26×26
                deconv 5×5 stride 2     128×55×55
                deconv 11×11 stride 4     1×227×227

Activations are tanh (section 3.3.1); the last layer is linear.
"""

from models.autoencoders.settings import ChongTaySettings
from models.autoencoders.spatio_temporal import Convolution, SpatioTemporal


class ChongTay(SpatioTemporal):
    """See the module; sizes other than 227 follow the same rules."""

    def __init__(self, settings: ChongTaySettings) -> None:
        wide, middle, narrow = (settings.channels(count) for count in (128, 64, 32))
        super().__init__(
            settings.cuboid_frames,
            settings.size_px,
            Convolution(wide, kernel=11, stride=4, padding=0),
            Convolution(middle, kernel=5, stride=2, padding=0),
            (middle, narrow, middle),
        )
