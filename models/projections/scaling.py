"""How a head brings the values of its vectors onto one scale: the first link of its chain."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from infra.errors import UnknownNameError
from models.arrays import Arrays
from models.heads.neighbours import unit_length
from models.projections.base import Vectors

ScalingName = Literal["none", "l2", "standardise"]

LEAST_DEVIATION = 0.1
"""Share of the root mean square deviation that is added (in quadrature) to each value's own: a value that never moved in
the reference would else make its first stir a million times the rest."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """(x - offset) / scale, then length 1 if `to_unit_length`; fitted on the reference only.

    `none` changes nothing; `l2` brings each vector to length 1; `standardise` each value to mean 0 and about deviation
    1 over the reference: offset = mean, scale² = σ² + (0.1 · rms σ)². Keeps the layout of a vector.

    Attributes:
        offset, scale: float32 (D,).
        to_unit_length: whether the length is 1 afterwards; a zero vector stays zero.
    """

    kind: ClassVar[str] = "scaling"

    offset: NDArray[np.float32]
    scale: NDArray[np.float32]
    to_unit_length: bool

    @classmethod
    def fit(cls, name: ScalingName, reference: Vectors) -> Self:
        """Fit on float32 (M, D); raises UnknownNameError where there is no scaling of that name."""
        check_scaling(name)
        offset = np.zeros(reference.shape[1], dtype=np.float32)
        scale = np.ones_like(offset)
        if name == "standardise":
            deviations = reference.std(axis=0, dtype=np.float64)
            floor = LEAST_DEVIATION * float(np.sqrt(np.mean(deviations**2)))
            offset = reference.mean(axis=0, dtype=np.float64).astype(np.float32)
            scale = (np.hypot(deviations, floor) if floor > 0 else np.ones_like(deviations)).astype(np.float32)
        return cls(offset, scale, name == "l2")

    def apply(self, vectors: Vectors) -> Vectors:
        """float32 (N, D), scaled; see `Projection.apply`."""
        scaled = (vectors - self.offset) / self.scale
        return unit_length(scaled) if self.to_unit_length else scaled

    def to_arrays(self) -> Arrays:
        return {
            "offset": self.offset,
            "scale": self.scale,
            "to_unit_length": np.array([self.to_unit_length], dtype=np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(arrays["offset"], arrays["scale"], bool(arrays["to_unit_length"][0]))


def check_scaling(name: str) -> None:
    """Raise UnknownNameError unless there is a scaling of that name."""
    if name not in get_args(ScalingName):
        raise UnknownNameError("scaling", name, get_args(ScalingName))
