"""The head of an alarm: a stack of linear layers on a frozen encoder's vectors, one logit for each alarm class (row T4).

There is no logit for the normal class: what is normal is what no alarm class claims. Applied without torch; training is in
`models.heads.classifier_training`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from infra.errors import ConfigurationError, UnknownNameError
from models.arrays import Arrays, array_text, text_array
from models.heads.base import Vectors, check_vectors

ClassWeights = Literal["balanced", "none"]
Layer = tuple[NDArray[np.float32], NDArray[np.float32]]

LIMIT = 10.0
"""Standard deviations beyond which a value counts as no farther: one that hardly moved in training would else, at its first
stir, make a number that no layer was trained for."""
MOST_HIDDEN, MOST_MEMBERS, MOST_EPOCHS, MOST_RATE = 65_536, 64, 100_000, 1e6
"""Beyond these a number is a slip of the hand."""
SEEDS = 2**32
"""Seeds that NumPy's and scikit-learn's generators take."""
BLOCK_ROWS = 4096
"""Rows put through the layers at once."""


@dataclass(frozen=True)
class ClassifierSettings:
    """How a head is trained.

    Attributes:
        hidden: values of each hidden layer, a Linear–ReLU–Dropout; none: one linear layer, a logistic regression.
        dropout: share of a hidden layer's values left out at random while it trains.
        learning_rate, weight_decay: of AdamW (Loshchilov & Hutter 2019); without weight decay it is Adam.
        epochs: at most; all of them where there is no `patience`.
        batch_size: windows of a step.
        patience: epochs without a lower loss of sources held out inside the training part after which training stops;
            the number of epochs is then theirs (see `classifier_training`). None: `epochs`, whatever they say.
        class_weights: `balanced` weighs the windows of a class by how many there are of the rest to each of them.
        members: heads trained beside one another from other first weights; their logits are averaged.
        seed: decides first weights, dropout and the order of windows.
    """

    hidden: tuple[int, ...] = (256,)
    dropout: float = 0.5
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    epochs: int = 50
    batch_size: int = 10
    patience: int | None = None
    class_weights: ClassWeights = "balanced"
    members: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (self.epochs, self.batch_size, self.members, *self.hidden)
        if min(counts) < 1 or (self.patience is not None and self.patience < 1):
            raise ConfigurationError(
                f"hidden, epochs, batch_size, members and patience are at least 1, got {self}; correct the value"
            )
        for name, most, values in (
            ("hidden", MOST_HIDDEN, self.hidden),
            ("members", MOST_MEMBERS, (self.members,)),
            ("epochs", MOST_EPOCHS, (self.epochs,)),
        ):
            if max(values, default=0) > most:
                raise ConfigurationError(f"{name} is at most {most}, got {max(values)}; correct the value")
        if not 0 <= self.dropout < 1:
            raise ConfigurationError(f"dropout is a share from 0 to below 1, got {self.dropout}; correct the value")
        if not 0 < self.learning_rate <= MOST_RATE or not 0 <= self.weight_decay <= MOST_RATE:
            raise ConfigurationError(
                f"learning_rate is above 0, weight_decay at least 0, and both at most {MOST_RATE:g}, got "
                f"{self.learning_rate} and {self.weight_decay}; correct the value"
            )
        if self.class_weights not in get_args(ClassWeights):
            raise UnknownNameError("class weights", self.class_weights, get_args(ClassWeights))
        if not 0 <= self.seed < SEEDS:
            raise ConfigurationError(f"seed is a number from 0 to {SEEDS - 1}, got {self.seed}; correct the value")


PUBLISHED = ClassifierSettings(
    hidden=(512,),
    dropout=0.5,
    learning_rate=1e-4,
    weight_decay=0.0,
    epochs=10,
    batch_size=10,
    patience=None,
    class_weights="none",
    members=1,
)
"""Those of S2's lab (row T4): Adam at 0.0001, 10 epochs, batches of 10, dropout 0.5, plain BCE with logits. It does not say how
wide its hidden layers are."""


@dataclass(frozen=True, eq=False)
class ClassifierHead:
    """Vectors to logits: standardised, through the layers of each member, averaged over members.

    Attributes:
        classes: of the logits, in order; the normal class is none of them.
        offset, scale: float32 (D,); a value x becomes (x - offset) / scale, kept within ±`LIMIT`.
        layers: weight float32 (members, in, out) and bias float32 (members, out) of each layer, the first with in = D, the
            last with out = K = classes; a ReLU stands between two.
    """

    classes: tuple[str, ...]
    offset: NDArray[np.float32]
    scale: NDArray[np.float32]
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"a head has at least one class, each of another name, got {self.classes}")
        if self.offset.ndim != 1 or self.offset.shape != self.scale.shape or not (self.scale > 0).all():
            raise ValueError("offset and scale are (D,), and scale is above 0")
        if not self.layers or any(weight.ndim != 3 or bias.ndim != 2 for weight, bias in self.layers):
            raise ValueError("weights are (members, in, out) and biases (members, out), one layer at least")
        widths = [len(self.offset), *(weight.shape[2] for weight, _ in self.layers)]
        fits = [
            weight.shape == (self.members, into, out) and bias.shape == (self.members, out)
            for (weight, bias), (into, out) in zip(self.layers, pairwise(widths), strict=True)
        ]
        if not fits or not all(fits) or widths[-1] != len(self.classes):
            raise ValueError(
                f"layers lead from {widths[0]} values to {len(self.classes)} classes, got "
                f"{[(weight.shape, bias.shape) for weight, bias in self.layers]}"
            )

    @property
    def dimension(self) -> int:
        """D, the values of a vector that it takes."""
        return len(self.offset)

    @property
    def members(self) -> int:
        """Heads whose logits are averaged."""
        return len(self.layers[0][0])

    def logits(self, vectors: Vectors) -> NDArray[np.float32]:
        """Logits of vectors.

        Args:
            vectors: float32 (N, D), finite; N may be 0.

        Returns:
            float32 (N, K).

        Raises:
            ValueError: the shape, dtype or a value does not fit.
        """
        check_vectors(vectors, self.dimension)
        found = np.empty((len(vectors), len(self.classes)), np.float32)
        for start in range(0, len(vectors), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            scaled = np.clip((vectors[block] - self.offset) / self.scale, -LIMIT, LIMIT)
            found[block] = np.mean([self._member(scaled, number) for number in range(self.members)], axis=0)
        return found

    def probabilities(self, vectors: Vectors) -> NDArray[np.float32]:
        """Probability of each class on its own, the logistic function of its logit: float32 (N, K), see `logits`."""
        return np.asarray(expit(self.logits(vectors)), np.float32)

    def _member(self, values: NDArray[np.float32], number: int) -> NDArray[np.float32]:
        *hidden, (weight, bias) = self.layers
        for inner, offset in hidden:
            values = np.maximum(values @ inner[number] + offset[number], 0)
        return np.asarray(values @ weight[number] + bias[number], np.float32)

    def to_arrays(self) -> Arrays:
        """Everything `from_arrays` needs, by name."""
        arrays: Arrays = {
            "classes": text_array("\n".join(self.classes)),
            "offset": self.offset,
            "scale": self.scale,
        }
        for number, (weight, bias) in enumerate(self.layers):
            arrays |= {f"layer{number}.weight": weight, f"layer{number}.bias": bias}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The head whose `to_arrays` gave `arrays`; its logits are the same to the last bit."""
        count = sum(name.endswith(".weight") for name in arrays)
        layers = tuple((arrays[f"layer{number}.weight"], arrays[f"layer{number}.bias"]) for number in range(count))
        return cls(tuple(array_text(arrays["classes"]).split("\n")), arrays["offset"], arrays["scale"], layers)
