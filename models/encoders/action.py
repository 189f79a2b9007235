"""An encoder without weights that looks at how things move, wherever they do: `handcrafted/action`.

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

FEATURES: Final = 11
LATER: Final = (2, 5, 10)
"""Features that are taken a second time, half a second later: speed, acceleration and change of grey."""
LATER_STEPS: Final = 4
REDUCTION: Final = 2
"""DIS finds flow at half the picture's size and enlarges it: features are computed there, in a quarter of the time."""
GREY_LEVELS: Final = 10.0
"""Change of grey that weighs as much as a flow of one pixel per step."""
VARIANCE_FLOOR: Final = 1e-3


class ActionEncoder:
    """`handcrafted/action`: how the motion of a snippet is distributed, but not where; 120 values for 2 s.

    Dense optical flow between successive pictures (DIS, Kroeger et al. 2016), less its median, which is the camera's own
    motion. At each pixel and step eleven features: flow (across without its sign, and down) and its magnitude; the change
    of flow along the motion in the same three forms (acceleration, as in the violent flows of Hassner et al. 2012, but
    where the pixel has gone to); the magnitudes of the four derivatives of flow in the plane, which are the motion
    boundaries of Dalal et al. 2006; and the absolute change of grey beyond the picture's common change. Speed, acceleration
    and change of grey are taken again from the same pixel half a second later. All are compressed by the root with their
    sign.

    The vector describes the Gaussian of these 14 features over all pixels and steps. With mean m and covariance C it is
    the matrix logarithm of [[C + mmᵀ, m], [mᵀ, 1]] (Lovrić et al. 2000; covariance of motion features: Guo et al. 2013),
    with 0.001 added to each variance: its upper triangle row by row, values off the diagonal times √2, so that the
    distance of two vectors is the log-Euclidean distance of the two Gaussians (Arsigny et al. 2006). The vector of a
    picture that stands still is subtracted: where nothing moves, all is 0.

    Where something happens leaves the vector nearly as it is, and so does mirroring the snippet: a fight in a corner that
    no training clip shows is a fight. Down and up differ: who falls does not rise.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        self._spec = spec

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    @property
    def dimension(self) -> int:
        order = FEATURES + len(LATER) + 1
        return order * (order + 1) // 2

    def encode(self, pixels: Pixels) -> Vectors:
        """See `Encoder.encode`."""
        check_pixels(pixels, self._spec)
        vectors = np.empty((len(pixels), self.dimension), np.float32)
        for vector, snippet in zip(vectors, pixels, strict=True):
            vector[:] = _log_gaussian(_moments(_features(snippet)))
        return vectors


def _features(snippet: Pixels) -> Floats:
    """Compressed features of each step but the last, (T - 2, 11, H / 2 · W / 2)."""
    # One flow object for each snippet: it is not safe to share between threads.
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    greys = [cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (3, 3), 0) for picture in snippet]
    steps = [_step(flow, before, after) for before, after in pairwise(greys)]
    rows, columns = steps[0][1].shape
    place = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).astype(np.float32)
    features = np.stack([_step_features(now, change, then, place) for (now, change), (then, _) in pairwise(steps)])
    return np.asarray(np.copysign(np.sqrt(np.abs(features)), features), np.float32)


def _step(flow: cv2.DISOpticalFlow, before: Pixels, after: Pixels) -> tuple[Floats, Floats]:
    """Of one step: flow less the camera's (H / 2, W / 2, 2), in pixels of the input, and change of grey (H / 2, W / 2)."""
    field = _reduced(np.asarray(flow.calc(before, after, np.zeros((*before.shape, 2), np.float32)), np.float32))
    difference = np.asarray(cv2.subtract(after, before, dtype=cv2.CV_32F), np.float32)
    change = _reduced(np.abs(difference - np.median(difference))) * np.float32(1 / GREY_LEVELS)
    return np.asarray(field - np.median(field, axis=(0, 1)), np.float32), change


def _reduced(plane: Floats) -> Floats:
    size = (plane.shape[1] // REDUCTION, plane.shape[0] // REDUCTION)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _step_features(now: Floats, change: Floats, then: Floats, place: Floats) -> Floats:
    """The features of one step, (11, H / 2 · W / 2), from its flow, its change of grey and the next step's flow."""
    target = place + now * np.float32(1 / REDUCTION)
    across, down = target[..., 0], target[..., 1]
    arrived = cv2.remap(then, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    kinds = [part for field in (now, np.asarray(arrived, np.float32) - now) for part in _signless(field)]
    for axis in range(2):
        part = np.ascontiguousarray(now[..., axis])
        for order in ((1, 0), (0, 1)):
            kinds.append(np.abs(cv2.Sobel(part, cv2.CV_32F, *order, ksize=3, scale=0.125)))
    return np.stack([*kinds, change]).reshape(FEATURES, -1)


def _signless(field: Floats) -> tuple[Floats, Floats, Floats]:
    """A field's part across without its sign, its part down and its magnitude."""
    return np.abs(field[..., 0]), field[..., 1], np.sqrt(np.square(field).sum(axis=-1))


def _moments(features: Floats) -> NDArray[np.float64]:
    """Mean of the products of the features, those half a second later and 1, float64 (15, 15)."""
    now, then = features[:-LATER_STEPS], features[LATER_STEPS:, list(LATER)]
    ones = np.ones((len(now), 1, now.shape[2]), np.float32)
    total = np.zeros((FEATURES + len(LATER) + 1,) * 2)
    for step in np.concatenate([now, then, ones], axis=1).astype(np.float64):
        # Not a product of BLAS: how that is summed may depend on the number of threads.
        total += np.einsum("ip,jp->ij", step, step)
    return np.asarray(total / (len(now) * now.shape[2]))


def _log_gaussian(moments: NDArray[np.float64]) -> Floats:
    """Upper triangle of the logarithm of a matrix of moments, (D,), less that of stillness."""
    floor = np.append(np.full(len(moments) - 1, VARIANCE_FLOOR), 0.0)
    values, axes = np.linalg.eigh(moments + np.diag(floor))
    # The smallest eigenvalue is positive but for rounding.
    logarithm = (axes * np.log(np.maximum(values, 1e-9))) @ axes.T
    logarithm -= np.diag(np.log(floor + (floor == 0)))
    rows, columns = np.triu_indices(len(moments))
    return np.asarray(logarithm[rows, columns] * np.where(rows == columns, 1, np.sqrt(2)), np.float32)
