"""What a video network is: clips in, features or class scores out."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from infra.errors import WeightsError

KINETICS_CLASSES = 400
"""Classes of a network with random weights."""


class VideoNetwork(nn.Module, ABC):
    """A network over clips, with its classifier layer where its weights hold one.

    Called as a module it gives features.

    Attributes:
        dimension: length D of a feature vector.
        classes: count K of classes; None without a classifier layer.
    """

    dimension: int
    classes: int | None

    def __init__(self, dimension: int, classes: int | None) -> None:
        super().__init__()
        self.dimension = dimension
        self.classes = classes

    @abstractmethod
    def features(self, frames: Tensor) -> Tensor:
        """What enters the classifier layer, averaged over positions or segments.

        Args:
            frames: float (N, 3, T, H, W), normalised.

        Returns:
            (N, D).
        """

    @abstractmethod
    def logits(self, frames: Tensor) -> Tensor:
        """The published network's scores before any softmax: dropout as in evaluation, its own order of pooling.

        Args:
            frames: float (N, 3, T, H, W), normalised.

        Returns:
            (N, K).

        Raises:
            WeightsError: the network has no classifier layer.
        """

    def forward(self, frames: Tensor) -> Tensor:
        """See `features`."""
        return self.features(frames)


class Logits(nn.Module):
    """A network seen through its classifier layer: called, it gives logits."""

    def __init__(self, network: VideoNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 3, T, H, W) → (N, K)."""
        return self.network.logits(frames)


def classifier_layer(dimension: int, classes: int | None) -> nn.Linear | None:
    """The last layer of a network: D values to K classes, or none."""
    return None if classes is None else nn.Linear(dimension, classes)


def classified(layer: nn.Linear | None, features: Tensor) -> Tensor:
    """`layer` over `features`.

    Raises:
        WeightsError: there is no layer.
    """
    if layer is None:
        raise WeightsError(
            "this network has no classifier layer, for its weights hold none; use its features, "
            "or add weights that were saved with their classifier"
        )
    scores: Tensor = layer(features)
    return scores
