"""Other views of the same footage: what a network may not tell apart (row N2).

Flips, small rotations, blur and noise change how a clip looks; a crop in time and another rate change when it is looked
at. Pictures of one view are flipped, turned and blurred alike, for the camera stands still; noise is new in each of them,
as a sensor's is. No picture is cropped: what moves at the edge would be lost.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Indices = NDArray[np.int64]

VERSION = 1
"""Raised when the same settings and seed give other views."""
LEAST_BLUR_PX = 0.1
GREY_LEVELS = 255


@dataclass(frozen=True)
class Augmentation:
    """How far a view may be from what was recorded; each view draws its own values, evenly.

    Attributes:
        flip: probability that left and right are exchanged.
        rotation_deg: most degrees that the picture is turned either way; its corners are filled by reflection.
        noise: largest standard deviation of the Gaussian noise, in grey levels.
        blur_px: largest standard deviation of the Gaussian blur, in pixels of the encoder's input.
        slowest, fastest: bounds of the rate, 1 being the true speed; above 1 pictures are skipped. The rate is drawn
            evenly on a logarithmic scale: twice as fast is as likely as half as fast.
    """

    flip: float = 0.5
    rotation_deg: float = 10.0
    noise: float = 5.0
    blur_px: float = 1.0
    slowest: float = 0.75
    fastest: float = 1.5

    def __post_init__(self) -> None:
        if not 0 <= self.flip <= 1 or not 0 <= self.rotation_deg <= 180:
            raise ValueError(f"flip is a probability and rotation_deg within 0 … 180, got {self}")
        if not 0 <= self.noise <= GREY_LEVELS or not 0 <= self.blur_px < math.inf:
            raise ValueError(f"noise is within 0 … 255 grey levels and blur_px not negative, got {self}")
        if not 0 < self.slowest <= self.fastest < math.inf:
            raise ValueError(f"rates are above 0, the slowest first, got {self}")


UNCHANGED = Augmentation(flip=0, rotation_deg=0, noise=0, blur_px=0, slowest=1, fastest=1)
"""Crops in time only."""


def views(
    clips: Pixels,
    count: int,
    random: np.random.Generator,
    *,
    frames: int,
    step: float = 1.0,
    augmentation: Augmentation = Augmentation(),
) -> Pixels:
    """Make views of clips; the same generator gives the same views.

    Args:
        clips: uint8 RGB (N, F, H, W, 3). For a crop in time and another rate, F is more than `frames` · `step`.
        count: views of each clip, V.
        random: drawn from, clip by clip.
        frames: pictures of a view, T.
        step: pictures of the clip from one of a view to the next, at true speed; at least 1 where none is to be shown
            twice.
        augmentation: how far a view may be from the clip.

    Returns:
        uint8 (N, V, T, H, W, 3).

    Raises:
        ValueError: the shape or dtype is another, or a number is out of its range.
    """
    if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[-1] != 3 or not clips.shape[1]:
        raise ValueError(f"clips are uint8 (N, F, H, W, 3) of at least one picture, got {clips.dtype} {clips.shape}")
    if count < 0:
        raise ValueError(f"the number of views is not negative, got {count}")
    made = np.empty((len(clips), count, frames, *clips.shape[2:]), dtype=np.uint8)
    for clip, mine in zip(clips, made, strict=True):
        for view in mine:
            chosen = clip[cropped(len(clip), frames, step, random, augmentation)]
            view[:] = _changed(chosen, random, augmentation)
    return made


def cropped(
    length: int, frames: int, step: float, random: np.random.Generator, augmentation: Augmentation = Augmentation()
) -> Indices:
    """Pictures of a clip of `length` that a view shows: a stretch of it at a rate, both drawn at random.

    No rate is drawn that the clip is too short for; where it is too short for the slowest, the last picture stays on.

    Returns:
        int64 (frames,), within 0 … length - 1, not falling.
    """
    _check_crop(length, frames, step)
    longest = (length - 1) / ((frames - 1) * step) if frames > 1 else math.inf
    fastest = max(augmentation.slowest, min(augmentation.fastest, longest))
    low, high = math.log(augmentation.slowest), math.log(fastest)
    rate = math.exp(low + (high - low) * random.random())
    spare = max(0.0, length - 1 - (frames - 1) * step * rate)
    return _at(random.random() * spare, length, frames, step * rate)


def centred(length: int, frames: int, step: float) -> Indices:
    """Pictures of the middle of a clip at true speed, int64 (frames,); too short a clip's last picture stays on."""
    _check_crop(length, frames, step)
    return _at(max(0.0, (length - 1 - (frames - 1) * step) / 2), length, frames, step)


def _check_crop(length: int, frames: int, step: float) -> None:
    if length < 1 or frames < 1 or not 0 < step < math.inf:
        raise ValueError(f"length and frames are at least 1, step above 0, got {length}, {frames}, {step}")


def _at(first: float, length: int, frames: int, step: float) -> Indices:
    numbers = np.rint(first + np.arange(frames) * step).astype(np.int64)
    return np.asarray(np.minimum(numbers, length - 1), np.int64)


def _changed(pictures: Pixels, random: np.random.Generator, augmentation: Augmentation) -> Pixels:
    """Pictures (T, H, W, 3), flipped, turned, blurred and with noise."""
    # All values are drawn, also those that are not used: what one setting changes does not move the others.
    flipped = random.random() < augmentation.flip
    degrees = augmentation.rotation_deg * (2 * random.random() - 1)
    blur_px, noise = augmentation.blur_px * random.random(), augmentation.noise * random.random()
    changed = pictures[:, :, ::-1] if flipped else pictures
    if degrees:
        changed = np.stack([_turned(picture, degrees) for picture in changed])
    if blur_px >= LEAST_BLUR_PX:
        changed = np.stack([_pixels(cv2.GaussianBlur(picture, (0, 0), blur_px)) for picture in changed])
    if noise:
        grain = random.standard_normal(changed.shape, dtype=np.float32) * np.float32(noise)
        changed = np.clip(np.rint(changed + grain), 0, GREY_LEVELS).astype(np.uint8)
    return changed


def _turned(picture: Pixels, degrees: float) -> Pixels:
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return _pixels(cv2.warpAffine(np.ascontiguousarray(picture), turn, (width, height), borderMode=cv2.BORDER_REFLECT))


def _pixels(made: object) -> Pixels:
    return np.asarray(made, np.uint8)
