"""Cuboids cut from clips of grey frames while they are asked for; none is kept."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Rows = NDArray[np.int64]

STRIDES = (1, 2)
"""Strides in time of Chong and Tay's and ISTL's augmentation; Hasan's is (1, 2, 3)."""
CHUNK = 256


@dataclass(frozen=True, eq=False)
class Cuboids:
    """Every run of `frames` pictures of some clips, at every stride, numbered through.

    Attributes:
        clips: uint8 (F, H, W) each, in memory or memory-mapped; pictures of a clip follow one another evenly.
        frames: pictures in a cuboid.
        strides: of a cuboid's pictures in time; 2 takes every other picture, so that what moves, moves twice as fast.
        step: pictures from one cuboid's first picture to the next one's.
    """

    clips: Sequence[Grey]
    frames: int
    strides: tuple[int, ...] = (1,)
    step: int = 1

    def __post_init__(self) -> None:
        if self.frames < 1 or self.step < 1 or not self.strides or min(self.strides) < 1:
            raise ValueError(f"frames, step and strides are at least 1: {self.frames}, {self.step}, {self.strides}")
        shapes = {(clip.dtype.name, clip.shape[1:]) for clip in self.clips}
        if len(shapes) > 1 or any(name != "uint8" or len(shape) != 2 for name, shape in shapes):
            raise ValueError(f"clips are uint8 (F, H, W) of one size, got {sorted(shapes)}")

    @cached_property
    def _runs(self) -> tuple[list[tuple[int, int]], Rows]:
        """(clip, stride) of each run of cuboids, and how many there are before it, all of them at the end."""
        kinds, counts = [], [0]
        for number, clip in enumerate(self.clips):
            for stride in self.strides:
                spare = len(clip) - ((self.frames - 1) * stride + 1)
                if spare >= 0:
                    kinds.append((number, stride))
                    counts.append(spare // self.step + 1)
        return kinds, np.cumsum(counts).astype(np.int64)

    def __len__(self) -> int:
        return int(self._runs[1][-1])

    def pictures(self, number: int) -> tuple[int, Rows]:
        """The clip of a cuboid, and int64 (frames,), which of its pictures it holds."""
        if not 0 <= number < len(self):
            raise IndexError(f"cuboid {number} of {len(self)}")
        kinds, before = self._runs
        run = int(np.searchsorted(before, number, side="right")) - 1
        clip, stride = kinds[run]
        first = (number - int(before[run])) * self.step
        return clip, first + np.arange(self.frames, dtype=np.int64) * stride

    def batch(self, numbers: Sequence[int] | Rows) -> Grey:
        """uint8 (N, frames, H, W)."""
        found = [self.pictures(int(number)) for number in numbers]
        return np.stack([self.clips[clip][rows] for clip, rows in found])

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits over pictures and cutting; other footage has another."""
        told = hashlib.blake2b(repr((self.frames, self.strides, self.step)).encode(), digest_size=8)
        for clip in self.clips:
            told.update(repr(clip.shape).encode())
            for begin in range(0, len(clip), CHUNK):
                told.update(np.ascontiguousarray(clip[begin : begin + CHUNK]).data)
        return told.hexdigest()


def mean_picture(clips: Sequence[Grey]) -> tuple[NDArray[np.float32], float]:
    """Mean picture of clips, float32 (H, W), and the standard deviation of all pixels around it, in the unit range.

    Raises:
        ValueError: there is no picture.
    """
    count = sum(len(clip) for clip in clips)
    if not count:
        raise ValueError("there is no picture to take the mean of")
    total = np.zeros(clips[0].shape[1:], np.float64)
    squares = np.zeros(clips[0].shape[1:], np.float64)
    for clip in clips:
        for begin in range(0, len(clip), CHUNK):
            part = np.asarray(clip[begin : begin + CHUNK], np.float64) / 255
            total += part.sum(axis=0)
            squares += np.square(part).sum(axis=0)
    mean = total / count
    variance = float((squares / count - np.square(mean)).mean())
    # A scene in which nothing ever changes is scaled by one grey level.
    return mean.astype(np.float32), max(variance, (1 / 255) ** 2) ** 0.5
