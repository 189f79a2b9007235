"""Nawaratne et al. 2019, "Spatiotemporal Anomaly Detection Using Deep Learning for Real-Time Video Surveillance" (ISTL).

IEEE Transactions on Industrial Informatics 16 (1), figure 2: layers C1, C2, CL1, CL2, DCL1, DC1, DC2. For 8 pictures of
224 × 224, each picture by itself but in the ConvLSTM::

    1×224×224   C1   conv 27×27 stride 4     128×56×56
                C2   conv 13×13 stride 2      64×28×28
                CL1  ConvLSTM 3×3             64×28×28
                CL2  ConvLSTM 3×3             32×28×28
                DCL1 ConvLSTM 3×3             64×28×28
                DC1  deconv 13×13 stride 2   128×56×56
                DC2  deconv 27×27 stride 4     1×224×224

Maps are padded, so that a stride divides their size; activations are tanh, the last layer is linear.
"""

from models.autoencoders.settings import IstlSettings
from models.autoencoders.spatio_temporal import Convolution, SpatioTemporal


class Istl(SpatioTemporal):
    """See the module; sizes other than 224 follow the same rules."""

    def __init__(self, settings: IstlSettings) -> None:
        wide, middle, narrow = (settings.channels(count) for count in (128, 64, 32))
        super().__init__(
            settings.cuboid_frames,
            settings.size_px,
            Convolution(wide, kernel=27, stride=4, padding=13),
            Convolution(middle, kernel=13, stride=2, padding=6),
            (middle, narrow, middle),
        )
