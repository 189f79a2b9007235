"""torchvision's 18-layer video networks (Tran et al. 2018, arXiv:1711.11248) whole: 512 pooled features of a snippet."""

from torch import Tensor, nn
from torchvision.models import video  # type: ignore[import-untyped]  # ships no type information

from models.networks.base import VideoNetwork, classified

BUILDERS = {"mc3_18": video.mc3_18, "r2plus1d_18": video.r2plus1d_18, "r3d_18": video.r3d_18}
HUB_WEIGHTS = {
    "mc3_18": video.MC3_18_Weights,
    "r2plus1d_18": video.R2Plus1D_18_Weights,
    "r3d_18": video.R3D_18_Weights,
}
HEAD = "fc."
"""Beginning of the names of the classifier's tensors."""


class TorchvisionNetwork(VideoNetwork):
    """The library's network taken apart; names of tensors as in its files."""

    def __init__(self, architecture: str, classes: int | None) -> None:
        """Make an untrained network.

        Args:
            architecture: a key of `BUILDERS`.
            classes: K, or None for no classifier layer.
        """
        options = {} if classes is None else {"num_classes": classes}
        whole = BUILDERS[architecture](weights=None, **options)
        super().__init__(int(whole.fc.in_features), classes)
        self.stem = whole.stem
        self.layer1, self.layer2, self.layer3, self.layer4 = whole.layer1, whole.layer2, whole.layer3, whole.layer4
        self.avgpool = whole.avgpool
        self.fc: nn.Linear | None = None if classes is None else whole.fc

    def features(self, frames: Tensor) -> Tensor:
        """See `VideoNetwork.features`."""
        maps = frames
        for part in (self.stem, self.layer1, self.layer2, self.layer3, self.layer4, self.avgpool):
            maps = part(maps)
        return maps.flatten(1)

    def logits(self, frames: Tensor) -> Tensor:
        """See `VideoNetwork.logits`."""
        return classified(self.fc, self.features(frames))
