"""What a projection is: vectors in, other vectors out, usually shorter ones."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.arrays import Arrays

Vectors = NDArray[np.float32]


@runtime_checkable
class Projection(Protocol):
    """Moves vectors into another space; fitted on the reference at most; deterministic."""

    kind: ClassVar[str]
    """Name under which the projection is stored; see `models.projections.build`."""

    def apply(self, vectors: Vectors) -> Vectors:
        """float32 (N, D), finite, to float32 (N, d), finite; N may be 0."""
        ...

    def to_arrays(self) -> Arrays:
        """Everything `from_arrays` needs, by name; at least one dimension each."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The projection whose `to_arrays` gave `arrays`; it gives the same vectors to the last bit."""
        ...
