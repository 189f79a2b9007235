"""From the state of the hall to the picture a camera takes of it. Pure: the same arguments give the same pixels."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from footage.synthetic.actors import draw_actors
from footage.synthetic.geometry import Brush, View
from footage.synthetic.hall import backdrop
from footage.synthetic.plan import SceneState

NOISE_ROOM = 64
NOISE_LEVEL = 2.4
"""Deviation of the sensor's noise in brightness, of 255."""


def render(view: View, state: SceneState, seed: int, shot: int) -> NDArray[np.uint8]:
    """Takes one picture.

    Args:
        view: Camera and size.
        state: The hall at that instant.
        seed: Seed of the hall's surfaces and of the noise.
        shot: Number of the picture; another number has other noise.

    Returns:
        uint8 RGB, shape (height, width, 3).
    """
    empty = backdrop(view, seed)
    picture = cv2.addWeighted(empty.lamps, state.lamps, empty.daylight, state.daylight, 0.0).astype(
        np.uint8, copy=False
    )
    draw_actors(Brush(picture, view, 0.74 * state.lamps + 0.26 * state.daylight), state)
    if view.width >= 320:
        picture = cv2.GaussianBlur(picture, (3, 3), 0.55).astype(np.uint8, copy=False)
    top, left = np.random.default_rng([seed, shot, 3]).integers(0, NOISE_ROOM, 2)
    noise = _noise(view.width, view.height, seed)[top : top + view.height, left : left + view.width]
    noisy: NDArray[np.uint8] = cv2.add(picture, noise, dtype=cv2.CV_8U).astype(np.uint8, copy=False)
    return noisy


@lru_cache(maxsize=4)
def _noise(width: int, height: int, seed: int) -> NDArray[np.int16]:
    rng = np.random.default_rng([seed, width, height, 4])
    shape = (height + NOISE_ROOM, width + NOISE_ROOM)
    luma = rng.normal(0, NOISE_LEVEL, (*shape, 1)).astype(np.float32)
    colour = cv2.GaussianBlur(rng.normal(0, 2.0, (*shape, 3)).astype(np.float32), (0, 0), 1.0)
    return np.round(luma + colour).astype(np.int16)
