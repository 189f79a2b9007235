"""pytorchvideo's networks whole: features are what enters their head, averaged over time and place.

2048 values for slow_r50 and r2plus1d_r50, 2304 for slowfast_r50, 192 for the x3d family, whose head projects them to
2048 before it classifies.
"""

from pytorchvideo.models import hub as zoo  # type: ignore[import-untyped]  # ships no type information
from pytorchvideo.models.hub import r2plus1d, resnet, slowfast, x3d  # type: ignore[import-untyped]  # ships no type information
from torch import Tensor

from models.networks.base import VideoNetwork, classified
from models.networks.slowfast import pack_pathways

ALPHA = 4
BUILDERS = {
    "r2plus1d_r50": zoo.r2plus1d_r50,
    "slow_r50": zoo.slow_r50,
    "slowfast_r50": zoo.slowfast_r50,
    "x3d_m": zoo.x3d_m,
    "x3d_s": zoo.x3d_s,
    "x3d_xs": zoo.x3d_xs,
}
ADDRESSES = {
    **r2plus1d.checkpoint_paths,
    **resnet.checkpoint_paths,
    **slowfast.checkpoint_paths,
    **x3d.checkpoint_paths,
}
HEAD_BLOCKS = {"slowfast_r50": 6}
"""Number of the block that classifies; 5 but where said."""


class PytorchvideoNetwork(VideoNetwork):
    """Blocks of the library, the head among them where there are classes; names of tensors as in the hub's files."""

    def __init__(self, architecture: str, classes: int | None) -> None:
        """Make an untrained network.

        Args:
            architecture: a key of `BUILDERS`.
            classes: K, or None for no head.
        """
        options = {} if classes is None else {"model_num_class": classes}
        blocks = BUILDERS[architecture](pretrained=False, **options).blocks
        head = blocks[-1]
        x3d_head = architecture.startswith("x3d")
        super().__init__(int(head.pool.pre_conv.in_channels if x3d_head else head.proj.in_features), classes)
        self.blocks = blocks if classes is not None else blocks[:-1]
        self.two_pathways = architecture.startswith("slowfast")

    def features(self, frames: Tensor) -> Tensor:
        """See `VideoNetwork.features`."""
        return self._maps(frames).mean(dim=(2, 3, 4))

    def logits(self, frames: Tensor) -> Tensor:
        """See `VideoNetwork.logits`: the hub's own pooling windows, the mean over their positions, no softmax."""
        if self.classes is None:
            return classified(None, frames)
        head = self.blocks[-1]
        maps = self._maps(frames)
        if head.pool is not None:
            maps = head.pool(maps)
        return classified(head.proj, maps.mean(dim=(2, 3, 4)))

    def _maps(self, frames: Tensor) -> Tensor:
        """(N, 3, T, H, W) → (N, C, T', H', W'), what enters the head."""
        maps: Tensor | list[Tensor] = pack_pathways(frames, ALPHA) if self.two_pathways else frames
        for block in self.blocks if self.classes is None else self.blocks[:-1]:
            maps = block(maps)
        assert isinstance(maps, Tensor)
        return maps


def head_prefix(architecture: str) -> str:
    """Beginning of the names of the head's tensors."""
    return f"blocks.{HEAD_BLOCKS.get(architecture, 5)}."
