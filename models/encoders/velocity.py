"""An encoder without weights that looks at how fast things move, and where: `handcrafted/velocity`.

Like the other handcrafted ones it computes each snippet by itself in arrays of one fixed shape, so that a vector is the
same to the byte whatever stands beside it in a batch.
"""

from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from models.encoders.base import EncoderSpec, Pixels, Vectors, check_pixels

Floats = NDArray[np.float32]

CELL_PX: Final = 20
WINDOW_PX: Final = (24, 40)
"""Width and height of the surroundings of a cell's centre that it is averaged over: about a person's."""
MOVING_PX: Final = 0.4
"""Flow, in pixels per step, from which on a pixel moves."""
MOVING_FLOOR: Final = 0.1
"""Added to the share of moving pixels that a mean velocity is divided by: what hardly moves has hardly a velocity."""


class VelocityEncoder:
    """`handcrafted/velocity`: the velocity of what moves, around each of 12 × 18 places; 864 values for 0.4 s.

    Dense optical flow between successive pictures (DIS, Kroeger et al. 2016). Pixels whose flow is at least 0.4 pixels
    per step move. A cell holds, over the window around its centre and the steps of the snippet: the mean flow of the
    moving pixels, across and down, the mean of its magnitude, each in pixels per step, and the share of pixels that
    move.

    Averaged over moving pixels only, one who walks alone is as fast as a group; averaged over all of them, as
    `handcrafted/motion` is, a crowd and a cyclist look alike.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        self._spec = spec

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    @property
    def dimension(self) -> int:
        height, width = self._spec.input_size
        return (height // CELL_PX) * (width // CELL_PX) * 4

    def encode(self, pixels: Pixels) -> Vectors:
        """See `Encoder.encode`."""
        check_pixels(pixels, self._spec)
        vectors = np.empty((len(pixels), self.dimension), np.float32)
        for vector, snippet in zip(vectors, pixels, strict=True):
            vector[:] = _velocities(snippet)
        return vectors


def _velocities(snippet: Pixels) -> Floats:
    # One flow object for each snippet: it is not safe to share between threads.
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    greys = [cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (3, 3), 0) for picture in snippet]
    steps = np.stack([_step(flow, before, after) for before, after in pairwise(greys)])
    sums = steps.mean(axis=0, dtype=np.float32)
    moving = sums[..., 3:]
    return np.concatenate([sums[..., :3] / (moving + np.float32(MOVING_FLOOR)), moving], axis=-1).ravel()


def _step(flow: cv2.DISOpticalFlow, before: Pixels, after: Pixels) -> Floats:
    """Of one step, around each cell: flow and magnitude where it moves, averaged over all pixels, and their share."""
    field = flow.calc(before, after, np.zeros((*before.shape, 2), np.float32))
    magnitude: Floats = np.sqrt(np.square(field).sum(axis=-1))
    moving: Floats = (magnitude >= MOVING_PX).astype(np.float32)
    planes = np.dstack([field * moving[..., None], magnitude * moving, moving])
    around: Floats = np.asarray(cv2.blur(planes, WINDOW_PX, borderType=cv2.BORDER_REFLECT), np.float32)
    return np.asarray(around[CELL_PX // 2 :: CELL_PX, CELL_PX // 2 :: CELL_PX], np.float32)
