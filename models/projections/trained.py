"""A projection that was trained: one linear layer on a frozen encoder's vectors (rows N2 and N4).

Applied without torch. Training is in `models.projections.training`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError, UnknownNameError
from models.arrays import Arrays
from models.projections.base import Vectors

LossName = Literal["cross_entropy", "triplet", "supervised_contrastive", "self_supervised"]
SELF_SUPERVISED: LossName = "self_supervised"
"""The loss that needs no labels, but at least two views of each sample."""

Alike = Literal["classes", "views"]
LOSSES: tuple[LossName, ...] = get_args(LossName)

BLOCK_ROWS = 4096
"""Rows multiplied at once, in float64."""


@dataclass(frozen=True)
class ProjectionTraining:
    """How a projection is trained.

    Attributes:
        loss: `cross_entropy`: of a further linear layer to the classes, which is dropped afterwards; `triplet`: margin
            loss over the hardest positive and negative of each sample in its batch (Hermans et al. 2017);
            `supervised_contrastive` (Khosla et al. 2020); `self_supervised`: the same, where only views of one sample
            are alike.
        dimension: d; at most that of the vectors: reduced where it is more.
        epochs: at most.
        batch_size: samples of a step, each with all its views.
        learning_rate, weight_decay: of AdamW (Loshchilov & Hutter 2019).
        temperature: τ of the contrastive losses.
        margin: α of the triplet loss, between distances of vectors of length 1.
        patience: epochs without a new best of the validation samples after which training stops.
        seed: decides the first weights and the order of the samples.
    """

    loss: LossName = "supervised_contrastive"
    dimension: int = 256
    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    temperature: float = 0.1
    margin: float = 0.2
    patience: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        loss_named(self.loss)
        if min(self.dimension, self.epochs, self.patience) < 1 or self.batch_size < 2:
            raise ConfigurationError(
                f"dimension, epochs and patience are at least 1, batch_size at least 2, got {self}; correct the value"
            )
        rates = (self.learning_rate, self.temperature, self.margin)
        if not all(0 < rate < np.inf for rate in rates) or not 0 <= self.weight_decay < np.inf:
            raise ConfigurationError(
                f"learning_rate, temperature and margin are above 0, weight_decay not below, got {self}; "
                "correct the value"
            )
        if self.seed < 0:
            raise ConfigurationError(f"seed is not negative, got {self.seed}; correct the value")

    @property
    def brings_together(self) -> Alike:
        """What the loss makes alike, by whose silhouette training stops."""
        return "views" if self.loss == SELF_SUPERVISED else "classes"

    @property
    def to_unit_length(self) -> bool:
        """Whether projected vectors have length 1: the losses that compare vectors compare their directions."""
        return self.loss != "cross_entropy"


def loss_named(name: str) -> LossName:
    """The loss of that name; raises UnknownNameError where there is none."""
    for known in LOSSES:
        if name == known:
            return known
    raise UnknownNameError("loss", name, LOSSES)


@dataclass(frozen=True, eq=False)
class ViewedVectors:
    """Samples of a frozen encoder: each as it was recorded, and as augmented views of it.

    Attributes:
        plain: float32 (N, D).
        views: float32 (N, V, D), V ≥ 1.
        labels: int64 (N,), numbers of classes from 0; None where nothing is known of them.
    """

    plain: Vectors
    views: Vectors
    labels: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        shape = self.views.shape
        if self.views.ndim != 3 or not shape[1] or self.plain.shape != (shape[0], shape[2]):
            raise ValueError(f"plain is (N, D) and views (N, V, D), got {self.plain.shape} and {shape}")
        if self.labels is not None and (self.labels.shape != shape[:1] or (self.labels < 0).any()):
            raise ValueError(f"labels are numbers of classes, one for each of {shape[0]} samples")
        if not np.isfinite(self.plain).all() or not np.isfinite(self.views).all():
            raise ValueError("vectors are finite")

    def __len__(self) -> int:
        return len(self.views)


@dataclass(frozen=True, eq=False)
class TrainedProjection:
    """(x - offset) · matrix + bias, reckoned in float64, then length 1 if `to_unit_length`.

    It takes vectors as the encoder gives them: offset and matrix hold the scale of the vectors it was trained on.

    Attributes:
        offset: float64 (D,).
        matrix: float64 (D, d).
        bias: float64 (d,).
        to_unit_length: whether the length is 1 afterwards; a zero vector stays zero.
    """

    kind: ClassVar[str] = "trained"

    offset: NDArray[np.float64]
    matrix: NDArray[np.float64]
    bias: NDArray[np.float64]
    to_unit_length: bool

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.matrix.shape != (len(self.offset), len(self.bias)):
            raise ValueError(
                f"the matrix is (D, d), offset (D,) and bias (d,), got {self.matrix.shape}, {self.offset.shape} and "
                f"{self.bias.shape}"
            )

    @property
    def dimension(self) -> int:
        """d, the values of a projected vector."""
        return len(self.bias)

    def apply(self, vectors: Vectors) -> Vectors:
        """float32 (N, D) to float32 (N, d); see `Projection.apply`.

        Raises:
            ValueError: the vectors are of another length.
        """
        if vectors.ndim != 2 or vectors.shape[1] != len(self.offset):
            raise ValueError(f"this projection takes vectors (N, {len(self.offset)}), got {vectors.shape}")
        projected = np.empty((len(vectors), self.dimension), dtype=np.float32)
        for start in range(0, len(vectors), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            values = (vectors[block] - self.offset) @ self.matrix + self.bias
            if self.to_unit_length:
                lengths = np.linalg.norm(values, axis=1, keepdims=True)
                values /= np.where(lengths > 0, lengths, 1)
            projected[block] = values
        return projected

    def to_arrays(self) -> Arrays:
        flag = np.array([self.to_unit_length], dtype=np.uint8)
        return {"offset": self.offset, "matrix": self.matrix, "bias": self.bias, "to_unit_length": flag}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(arrays["offset"], arrays["matrix"], arrays["bias"], bool(arrays["to_unit_length"][0]))


def silhouette(vectors: Vectors, labels: NDArray[np.int64]) -> float | None:
    """How much nearer vectors are to their own class than to the next: the mean silhouette (Rousseeuw 1987).

    Args:
        vectors: float32 (N, D); distances are Euclidean.
        labels: int64 (N,).

    Returns:
        Within [-1, 1]; None where it is not defined, with one class or as many as vectors.
    """
    from sklearn.metrics import silhouette_score  # a site that joins a federation starts sooner without

    if not 2 <= len(np.unique(labels)) < len(labels):
        return None
    return float(silhouette_score(vectors.astype(np.float64), labels))


def silhouette_of(samples: ViewedVectors, of: Alike, projection: TrainedProjection | None = None) -> float | None:
    """Silhouette of samples, projected if a projection is given.

    Args:
        samples: at least one.
        of: what is alike: the samples of a class, as they were recorded, or the views of a sample.
        projection: None leaves the encoder's vectors as they are.

    Returns:
        See `silhouette`; None also for classes where there are no labels.
    """
    if of == "views":
        count, each, dimension = samples.views.shape
        vectors, labels = samples.views.reshape(-1, dimension), np.repeat(np.arange(count), each)
    elif samples.labels is not None:
        vectors, labels = samples.plain, samples.labels
    else:
        return None
    return silhouette(vectors if projection is None else projection.apply(vectors), labels)
