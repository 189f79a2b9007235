"""What a detector is: it says how unlike the normal vectors another one is.

A detector sees vectors after scaling and projection, and nothing of what they stand for; `models.heads.novelty` makes
it a head.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.arrays import Arrays

Vectors = NDArray[np.float32]
Scores = NDArray[np.float32]

MINIMUM_REFERENCE = 2
"""Reference rows below which nothing can be held against anything."""


@runtime_checkable
class Detector(Protocol):
    """Scores vectors against the reference it was fitted on; deterministic."""

    kind: ClassVar[str]
    """Name under which the detector is known and stored; see `models.detectors.build`."""

    @property
    def remark(self) -> str:
        """What a person should know of the fit, for the card; empty where nothing."""
        ...

    def score(self, vectors: Vectors) -> Scores:
        """float32 (N, d), finite, of the reference's d, to float32 (N,); higher = more anomalous. N may be 0."""
        ...

    def to_arrays(self) -> Arrays:
        """Everything `from_arrays` needs, by name; at least one dimension each."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The detector whose `to_arrays` gave `arrays`; it scores the same to the last bit."""
        ...


@runtime_checkable
class Accountable(Protocol):
    """A detector that tells by itself what its score is made of."""

    def parts(self, vector: Vectors) -> dict[str, NDArray[np.floating[Any]]]:
        """What each part of each cell adds to the score of a vector (d,): (rows, columns), at least 0, by part."""
        ...
