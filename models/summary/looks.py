"""Looks: short vectors that tell which segments show the same."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.heads.neighbours import unit_length
from models.projections.linear import Linear

LOOK_VALUES = 64


def looks_of(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Shorten vectors so that cosines between them stay about what they were.

    Vectors of more than 64 values are multiplied by a matrix of Gaussian numbers, one for each D and always the same
    (Johnson & Lindenstrauss 1984), and brought back to length 1. The cosine of two looks then is the correlation of 64
    draws from a pair of Gaussians of that correlation: around the true cosine c, with standard deviation about
    (1 − c²) / 8. A cosine of 0.9 is told within ± 0.05 nineteen times of twenty, one of 1 exactly. Vectors of 64 values
    or fewer are padded with zeros: their cosines stay.

    Args:
        vectors: floating (S, D), D at least 1; a row with nan has no look.

    Returns:
        float32 (S, 64) of length 1; zero for a zero vector, nan for a row with nan.

    Raises:
        ValueError: the shape is another, or a value is infinite.
    """
    if vectors.ndim != 2 or vectors.shape[1] < 1 or np.isinf(vectors).any():
        raise ValueError(f"vectors are (S, D), D at least 1, and not infinite, got {vectors.shape}")
    known = np.isfinite(vectors).all(axis=1)
    looks = np.full((len(vectors), LOOK_VALUES), np.nan, dtype=np.float32)
    unit, dimension = unit_length(vectors[known]), vectors.shape[1]
    if dimension > LOOK_VALUES:
        matrix = np.random.default_rng(dimension).standard_normal((dimension, LOOK_VALUES))
        looks[known] = unit_length(Linear(np.zeros(dimension), matrix).apply(unit))
    else:
        looks[known] = np.pad(unit, ((0, 0), (0, LOOK_VALUES - dimension)))
    return looks
