"""Encoders without weights: what a picture looks like, and how a snippet moves.

Each picture or snippet is computed by itself, in arrays of one fixed shape and without BLAS, so that its vector is the
same to the byte whatever stands beside it in a batch and however many threads OpenCV uses.
"""

from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from models.encoders.base import EncoderSpec, Pixels, Vectors, check_pixels

Floats = NDArray[np.float32]

ORIENTATIONS: Final = 9
CELL_PX: Final = 16
COLOUR_GRID: Final = 8
CONTRAST_FLOOR: Final = 0.04
LUMA_FLOOR: Final = 0.01

DIRECTIONS: Final = 8
STATISTICS: Final = 4
FLOW_CELL_PX: Final = 20
STILL_PX: Final = 0.1
MOVING_PX: Final = 0.25
CHANGE_GREY: Final = 3.0


class AppearanceEncoder:
    """`handcrafted/appearance`: where edges run in which direction, and which colour is where; 768 values.

    - 576: a grid of 8 × 8 cells of 16 × 16 pixels, each a histogram of 9 unsigned gradient directions (Dalal and Triggs
      2005). Magnitudes are spread over the two nearest directions, and from quarter cells over the nearest cells, so that
      a shift of some pixels changes little; a cell is divided by the root of the mean gradient energy of its 3 × 3
      neighbourhood and a floor, so that sensor noise on a plain wall stays near 0.
    - 192: the mean CIE Lab colour of each of 8 × 8 cells, each channel scaled to about [-0.5, 0.5].
    """

    def __init__(self, spec: EncoderSpec) -> None:
        self._spec = spec
        self._grid = (spec.input_size[0] // CELL_PX, spec.input_size[1] // CELL_PX)
        self._quarters = _cells(spec.input_size, CELL_PX // 2)

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    @property
    def dimension(self) -> int:
        return self._grid[0] * self._grid[1] * ORIENTATIONS + COLOUR_GRID * COLOUR_GRID * 3

    def encode(self, pixels: Pixels) -> Vectors:
        """See `Encoder.encode`."""
        check_pixels(pixels, self._spec)
        vectors = np.empty((len(pixels), self.dimension), np.float32)
        for vector, picture in zip(vectors, pixels, strict=True):
            unit = np.multiply(picture, np.float32(1 / 255), dtype=np.float32)
            edges = self._edges(np.asarray(cv2.cvtColor(unit, cv2.COLOR_RGB2GRAY), np.float32))
            vector[: edges.size] = edges
            vector[edges.size :] = _colour_layout(unit)
        return vectors

    def _edges(self, grey: Floats) -> Floats:
        """Gradient histograms, (rows · columns · 9,)."""
        # The root of luma makes a change of exposure nearly a change of scale, which the division takes away.
        grey = np.sqrt(grey + np.float32(LUMA_FLOOR))
        across = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3, scale=0.25, borderType=cv2.BORDER_REPLICATE)
        down = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=3, scale=0.25, borderType=cv2.BORDER_REPLICATE)
        magnitude, angle = (np.asarray(plane, np.float32) for plane in cv2.cartToPolar(across, down))
        rows, columns = self._grid
        turns = angle * np.float32(ORIENTATIONS / np.pi)
        quarters = _histograms(magnitude, turns, ORIENTATIONS, self._quarters).reshape(2 * rows, 2 * columns, -1)
        histograms = (_spread(_spread(quarters).swapaxes(0, 1)).swapaxes(0, 1) / CELL_PX**2).reshape(-1, ORIENTATIONS)
        energy = np.square(histograms).sum(axis=1).reshape(rows, columns)
        nearby = cv2.blur(energy, (3, 3), borderType=cv2.BORDER_REPLICATE).reshape(-1, 1)
        return np.asarray(histograms / np.sqrt(nearby + np.float32(CONTRAST_FLOOR**2)), np.float32).ravel()


class MotionEncoder:
    """`handcrafted/motion`: where things move, which way and how fast; 576 values for a snippet of 2 s.

    Dense optical flow between successive pictures (DIS, Kroeger et al. 2016), gathered in 6 × 8 cells of 20 × 20 pixels.
    A cell holds 8 values of direction, the mean over pixels and time of the flow's magnitude in pixels per step spread
    over the two nearest directions, then 4 statistics: mean magnitude, its standard deviation over time, its peak over
    time, and the share of pixels that moved. All but the share are compressed by log(1 + 4x), so that a runner does not
    drown a walker.

    Flow counts above a tenth of a pixel per step, and as far as the picture changed there beyond its common change of
    brightness: fully from 3 grey levels on, below with the square of the change. Where nothing changes, flow on a plain
    wall is guesswork; drifting lights and sensor noise move next to nothing.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        self._spec = spec
        self._grid = (spec.input_size[0] // FLOW_CELL_PX, spec.input_size[1] // FLOW_CELL_PX)
        self._cells = _cells(spec.input_size, FLOW_CELL_PX)

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    @property
    def dimension(self) -> int:
        return self._grid[0] * self._grid[1] * (DIRECTIONS + STATISTICS)

    def encode(self, pixels: Pixels) -> Vectors:
        """See `Encoder.encode`."""
        check_pixels(pixels, self._spec)
        vectors = np.empty((len(pixels), self.dimension), np.float32)
        for vector, snippet in zip(vectors, pixels, strict=True):
            vector[:] = self._motion(snippet)
        return vectors

    def _motion(self, snippet: Pixels) -> Floats:
        # One flow object for each snippet: it is not safe to share between threads.
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        greys = [cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (3, 3), 0) for picture in snippet]
        steps = [self._step(flow, before, after) for before, after in pairwise(greys)]
        directions = np.mean([step[0] for step in steps], axis=0, dtype=np.float32)
        speeds = np.stack([step[1] for step in steps])
        shares = np.mean([step[2] for step in steps], axis=0, dtype=np.float32)
        compressed = np.log1p(
            4 * np.column_stack([directions, speeds.mean(axis=0), speeds.std(axis=0), speeds.max(axis=0)])
        )
        return np.column_stack([compressed, shares]).astype(np.float32).ravel()

    def _step(self, flow: cv2.DISOpticalFlow, before: Pixels, after: Pixels) -> tuple[Floats, Floats, Floats]:
        """Of one step, per cell: magnitude by direction (cells, 8), mean magnitude and share of moving pixels (cells,)."""
        field = flow.calc(before, after, np.zeros((*self._spec.input_size, 2), np.float32))
        magnitude, angle = (np.asarray(part, np.float32) for part in cv2.cartToPolar(field[..., 0], field[..., 1]))
        magnitude = np.maximum(magnitude - np.float32(STILL_PX), 0) * _trust(before, after)
        per_cell = np.float32(1 / FLOW_CELL_PX**2)
        turns = angle * np.float32(DIRECTIONS / (2 * np.pi))
        directions = _histograms(magnitude, turns, DIRECTIONS, self._cells) * per_cell
        speeds = self._per_cell(magnitude) * per_cell
        shares = self._per_cell((magnitude > MOVING_PX).astype(np.float32)) * per_cell
        return directions, speeds, shares

    def _per_cell(self, plane: Floats) -> Floats:
        rows, columns = self._grid
        summed = plane.reshape(rows, FLOW_CELL_PX, columns, FLOW_CELL_PX).sum(axis=(1, 3), dtype=np.float32)
        return np.asarray(summed.ravel(), np.float32)


def _cells(size: tuple[int, int], cell_px: int) -> NDArray[np.int32]:
    """Number of the square cell that each pixel lies in, (H, W), counted row by row."""
    columns = size[1] // cell_px
    down, across = np.arange(size[0], dtype=np.int32) // cell_px, np.arange(size[1], dtype=np.int32) // cell_px
    return np.asarray(down[:, None] * columns + across[None, :], np.int32)


def _histograms(magnitude: Floats, turns: Floats, bins: int, cells: NDArray[np.int32]) -> Floats:
    """Sum magnitudes per cell and direction, each shared between its two nearest directions.

    Args:
        magnitude: (H, W).
        turns: directions in units of a bin, (H, W), counted modulo `bins`.
        bins: number of directions.
        cells: (H, W), as `_cells` makes them.

    Returns:
        (cells, bins).
    """
    lower = np.floor(turns)
    upper = magnitude * (turns - lower)
    low = lower.astype(np.int32) % bins
    first = cells * bins
    index = np.stack([first + low, first + (low + 1) % bins])
    summed = np.bincount(index.ravel(), np.stack([magnitude - upper, upper]).ravel(), (int(cells[-1, -1]) + 1) * bins)
    return summed.astype(np.float32).reshape(-1, bins)


def _spread(halves: Floats) -> Floats:
    """Sum half cells into cells along the first axis, (2n, …) → (n, …), a quarter of each counted for its neighbour."""
    padded = np.pad(halves, ((1, 1), *((0, 0),) * (halves.ndim - 1)))
    outer, inner = np.float32(0.25), np.float32(0.75)
    return np.asarray(outer * (padded[0:-3:2] + padded[3::2]) + inner * (padded[1:-2:2] + padded[2:-1:2]), np.float32)


def _colour_layout(unit: Floats) -> Floats:
    """Mean Lab colour of a grid of cells, (grid · grid · 3,), scaled to about [-0.5, 0.5]."""
    small = cv2.resize(unit, (COLOUR_GRID, COLOUR_GRID), interpolation=cv2.INTER_AREA)
    lab = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2Lab), np.float32)
    # L runs over [0, 100]; a and b over about [-128, 127], mostly far inside.
    scaled = (lab - np.array([50, 0, 0], np.float32)) / np.array([100, 128, 128], np.float32)
    return np.asarray(scaled, np.float32).ravel()


def _trust(before: Pixels, after: Pixels) -> Floats:
    """How far flow is to be trusted, (H, W) in [0, 1]: by the change of grey beyond the picture's common change."""
    difference = np.asarray(cv2.subtract(after, before, dtype=cv2.CV_32F), np.float32)
    difference -= np.float32(np.median(difference))
    change = cv2.blur(np.abs(difference), (5, 5))
    return np.asarray(np.square(np.minimum(change * np.float32(1 / CHANGE_GREY), 1)), np.float32)
