"""What an autoencoder is, and how far a cuboid is from its reconstruction.

A cuboid is a run of T grey pictures, values in [0, 1]. Trained on normal footage only, an autoencoder reconstructs what
is normal; the root of the sum of squared errors is the cuboid's score.
"""

from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.layout import Layout

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601), as in OpenCV."""


@runtime_checkable
class Autoencoder(Protocol):
    """Cuboids in, their reconstructions out."""

    @property
    def cuboid_frames(self) -> int:
        """Pictures T in a cuboid."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        ...

    def forward(self, cuboids: Tensor) -> Tensor:
        """float32 (N, T, H, W) in [0, 1] → the same shape; values may leave [0, 1] a little."""
        ...


class CuboidNetwork(nn.Module):
    """A network between two fixed steps: the training footage's mean picture is taken away, and added again.

    The papers subtract the mean picture and scale by the standard deviation (Hasan section 4.1, Chong and Tay section
    3.1). Both are buffers, kept in one file with the weights: what is fed is grey / 255, and what comes out is compared
    with what was fed. An empty scene is reconstructed from the first step of training on.

    Args:
        cuboid_frames: pictures in a cuboid.
        size_px: height and width of the pictures.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, cuboid_frames: int, size_px: int) -> None:
        super().__init__()
        self._frames, self._size_px = cuboid_frames, size_px
        self.register_buffer("mean", torch.zeros(size_px, size_px))
        self.register_buffer("deviation", torch.ones(()))

    @property
    def cuboid_frames(self) -> int:
        return self._frames

    @property
    def size(self) -> tuple[int, int]:
        return self._size_px, self._size_px

    def set_normalisation(self, mean: NDArray[np.float32], deviation: float) -> None:
        """Set the mean picture, float32 (H, W), and the standard deviation around it, both in the unit range."""
        if mean.shape != self.size or not deviation > 0:
            raise ValueError(f"the mean is of shape {self.size} and the deviation positive: {mean.shape}, {deviation}")
        self.mean.copy_(torch.from_numpy(np.ascontiguousarray(mean)))
        self.deviation.fill_(deviation)

    def forward(self, cuboids: Tensor) -> Tensor:
        """See `Autoencoder.forward`."""
        if cuboids.shape[1:] != (self._frames, *self.size):
            raise ValueError(
                f"this autoencoder takes (N, {self._frames}, {self._size_px}, {self._size_px}), got {cuboids.shape}"
            )
        made: Tensor = self.reconstruct((cuboids - self.mean) / self.deviation)
        return made * self.deviation + self.mean

    def reconstruct(self, cuboids: Tensor) -> Tensor:
        """Normalised cuboids (N, T, H, W) → the same shape, normalised; unbounded, since the input is."""
        raise NotImplementedError


def output_padding(size_px: int, kernel: int, stride: int, padding: int = 0) -> int:
    """What a transposed convolution adds so that it undoes the convolution's change of size."""
    return (size_px + 2 * padding - kernel) % stride


def convolved(size_px: int, kernel: int, stride: int, padding: int = 0) -> int:
    """Size after a convolution."""
    return (size_px + 2 * padding - kernel) // stride + 1


# Scores.


def grey_of(rgb: Tensor) -> Tensor:
    """(N, 3, T, H, W) in [0, 1] → grey (N, T, H, W) in [0, 1]."""
    red, green, blue = rgb.unbind(1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def error_maps(original: Tensor, reconstruction: Tensor) -> Tensor:
    """Squared error of each pixel, float32 (N, T, H, W)."""
    return (original.float() - reconstruction.float()).square()


def cuboid_scores(errors: Tensor) -> Tensor:
    """Score of each cuboid: the root of the sum of its squared errors (S1; Chong and Tay 2017, equation 4).

    Args:
        errors: squared errors (N, T, H, W).

    Returns:
        (N,), in units of full scale: 1 is one pixel wrong by black against white.
    """
    return errors.sum(dim=(1, 2, 3)).sqrt()


def cell_errors(errors: Tensor, layout: Layout) -> Tensor:
    """Root of the sum of squared errors in each cell of the picture, over all pictures of the cuboid.

    Every pixel is in one cell, so that the Euclidean length of a row is the cuboid's score.

    Args:
        errors: squared errors (N, T, H, W).
        layout: with one value to a cell; cells differ by a pixel where the picture cannot be divided evenly.

    Returns:
        (N, rows · columns), row by row from the top left.
    """
    count, _, height, width = errors.shape
    summed = _summed(
        _summed(errors.sum(dim=1), cell_bounds(height, layout.rows)).mT, cell_bounds(width, layout.columns)
    )
    return summed.mT.reshape(count, layout.cells).sqrt()


def cell_bounds(size_px: int, cells: int) -> list[int]:
    """Where the cells of a side begin, and where the last one ends."""
    if cells > size_px:
        raise ValueError(f"{size_px} pixels cannot be divided into {cells} cells")
    return [round(number * size_px / cells) for number in range(cells + 1)]


def _summed(values: Tensor, bounds: list[int]) -> Tensor:
    """(N, A, B) → (N, cells, B). Sums of squares lose their last digits in a running sum, so each is its own."""
    return torch.stack([values[:, begin:end].sum(dim=1) for begin, end in pairwise(bounds)], dim=1)
