"""Autoencoders as snippet encoders: a vector says how far each cell of the picture is from its reconstruction.

Each value is the root of the sum of squared errors of a cell's pixels over the cuboid, so that the Euclidean length of
a vector is the cuboid's score (S1), and the nearest normal vectors, or one cell's usual error, can be asked for as well.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from infra.weights import WeightsFile
from models.autoencoders.base import CuboidNetwork, cell_errors, cuboid_scores, error_maps, grey_of
from models.autoencoders.build import build_autoencoder
from models.encoders.architectures import Normalisation
from models.encoders.base import EncoderSpec, Pixels, check_pixels
from models.encoders.specs import autoencoder_settings
from models.encoders.torch_runner import TorchEncoder, seeded
from models.encoders.weights import given_file, load_strictly, read_state_dict, refuse_unknown_source
from models.layout import Layout

UNIT = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Leaves grey / 255 as it is: the mean picture of the training footage lies in the network."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A snippet beside what the autoencoder makes of it.

    Attributes:
        original, reconstruction: uint8 (T, H, W), grey.
        error: uint8 (T, H, W), the absolute difference of the two in grey levels.
        score: of the cuboid, the root of its sum of squared errors, full scale being 1.
        cells: float32 (rows, columns), each cell's share of the score: their squares add to its square.
    """

    original: NDArray[np.uint8]
    reconstruction: NDArray[np.uint8]
    error: NDArray[np.uint8]
    score: float
    cells: NDArray[np.float32]


class CellErrors(nn.Module):
    """RGB snippets in, errors by cell out."""

    def __init__(self, network: CuboidNetwork, layout: Layout) -> None:
        super().__init__()
        self.network, self.layout = network, layout

    def forward(self, rgb: Tensor) -> Tensor:
        """(N, 3, T, H, W) in [0, 1] → (N, rows · columns)."""
        grey = grey_of(rgb)
        return cell_errors(error_maps(grey, self.network(grey)), self.layout)


class AutoencoderEncoder(TorchEncoder):
    """An `autoencoder/…` encoder; see `build`."""

    def __init__(
        self, network: CuboidNetwork, spec: EncoderSpec, *, device: str, precision: str, batch_size: int | None
    ) -> None:
        if spec.layout is None:
            raise ValueError(f"{spec.name} has no layout; make the spec with describe()")
        self._layout = spec.layout
        module = CellErrors(network, spec.layout)
        dimension = spec.layout.dimension
        super().__init__(module, spec, UNIT, dimension, device=device, precision=precision, batch_size=batch_size)
        self._network = network

    def reconstruct(self, pixels: Pixels) -> Reconstruction:
        """What the autoencoder makes of a snippet.

        Args:
            pixels: uint8 RGB (T, H, W, 3) of the spec's size.

        Raises:
            ValueError: the shape or dtype is another.
        """
        check_pixels(pixels[None], self.spec)
        with torch.inference_mode(), self._autocast():
            grey = grey_of(self._input(pixels[None]))
            made = self._network(grey).float()
            errors = error_maps(grey, made)
            score = float(cuboid_scores(errors))
            cells = cell_errors(errors, self._layout).cpu().numpy()
        difference = (grey - made.clamp(0, 1)).abs()
        return Reconstruction(
            original=_levels(grey),
            reconstruction=_levels(made),
            error=_levels(difference),
            score=score,
            cells=cells.reshape(self._layout.rows, self._layout.columns),
        )


def _levels(unit: Tensor) -> NDArray[np.uint8]:
    """(1, T, H, W) in [0, 1], what is beyond cut off, as uint8 (T, H, W)."""
    found: NDArray[np.uint8] = (unit[0] * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    return found


def build_autoencoder_encoder(
    spec: EncoderSpec, weights: WeightsFile | None, *, device: str, precision: str, batch_size: int | None
) -> AutoencoderEncoder:
    """An `autoencoder/…` encoder; see `build`."""
    with seeded(spec):
        network = build_autoencoder(autoencoder_settings(spec.name, weights))
    match spec.weights.split(":"):
        case ["random", _]:
            pass
        case ["sha256", _]:
            load_strictly(network, read_state_dict(given_file(spec, weights)), encoder=spec.name)
        case _:
            refuse_unknown_source(spec)
    return AutoencoderEncoder(network, spec, device=device, precision=precision, batch_size=batch_size)
