"""What a head is: vectors in, one score each out.

A head holds what was fitted and nothing else. The threshold above which a score counts is kept beside it, so that it
can be moved without a new version; a head goes to the registry as plain arrays (safetensors) with a card, never as a
pickle.
"""

from collections.abc import Mapping
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Scores = NDArray[np.float32]
Arrays = dict[str, NDArray[Any]]


@runtime_checkable
class Head(Protocol):
    """Scores vectors of one space; deterministic; never sees a path."""

    def score(self, vectors: Vectors) -> Scores:
        """Score vectors.

        Args:
            vectors: float32 (N, D), finite, of the space the head was fitted in; N may be 0.

        Returns:
            float32 (N,), finite; higher = more anomalous or more relevant.

        Raises:
            ValueError: the shape, dtype or a value does not fit.
        """
        ...

    def to_arrays(self) -> Arrays:
        """Everything `from_arrays` needs, by name; at least one dimension each."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The head whose `to_arrays` gave `arrays`; it scores the same to the last bit."""
        ...


def check_vectors(vectors: NDArray[Any], dimension: int | None = None) -> None:
    """Raise ValueError unless `vectors` is finite float32 (N, D), with D = `dimension` where one is given."""
    if vectors.dtype != np.float32 or vectors.ndim != 2:
        raise ValueError(f"vectors are float32 (N, D), got {vectors.dtype} {vectors.shape}")
    if dimension is not None and vectors.shape[1] != dimension:
        raise ValueError(f"the head was fitted on D = {dimension}, got vectors of D = {vectors.shape[1]}")
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise ValueError(f"vectors are finite, but row {row} is not")
