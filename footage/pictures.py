"""A decoded picture, and the conversions that its consumers ask for."""

import hashlib

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from footage.regions import WHOLE, Region

Rgb = NDArray[np.uint8]
Size = tuple[int, int]


class Picture:
    """One decoded picture; conversions are made when first asked for and kept.

    Attributes:
        index: position in the recording's `FrameIndex`.
        t_us: microseconds since the recording's first picture.
    """

    def __init__(self, index: int, t_us: int, frame: VideoFrame) -> None:
        self.index = index
        self.t_us = t_us
        self._frame = frame
        self._rgb: Rgb | None = None
        self._views: dict[tuple[Region, Size], Rgb] = {}

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return self._frame.height, self._frame.width

    def rgb(self) -> Rgb:
        """uint8 (H, W, 3), the whole picture at its own size."""
        if self._rgb is None:
            self._rgb = np.asarray(self._frame.to_ndarray(format="rgb24"), dtype=np.uint8)
        return self._rgb

    def grey(self, width: int) -> NDArray[np.uint8]:
        """uint8 (h, `width`), reduced by area averaging, aspect kept."""
        height = max(1, round(self._frame.height * width / self._frame.width))
        reduced = self._frame.reformat(width=width, height=height, format="gray", interpolation=Interpolation.AREA)
        return np.asarray(reduced.to_ndarray(), dtype=np.uint8)

    def view(self, region: Region, size: Size) -> Rgb:
        """uint8 (h, w, 3): the region, squashed to `size` = (h, w) by area averaging, masked outside a polygon."""
        key = (region, size)
        if key not in self._views:
            self._views[key] = self._whole(size) if region.outline == WHOLE.outline else self._part(region, size)
        return self._views[key]

    def _whole(self, size: Size) -> Rgb:
        reduced = self._frame.reformat(width=size[1], height=size[0], format="rgb24", interpolation=Interpolation.AREA)
        return np.asarray(reduced.to_ndarray(), dtype=np.uint8)

    def _part(self, region: Region, size: Size) -> Rgb:
        part = region.crop(self.rgb())
        shrinks = part.shape[0] >= size[0] and part.shape[1] >= size[1]
        resized = cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return np.asarray(resized, dtype=np.uint8)

    def digest(self) -> str:
        """16 hexadecimal digits over the decoded samples, before any conversion of colour or size."""
        try:
            samples = self._frame.to_ndarray()
        except ValueError:  # a pixel format that NumPy has no plain form for
            samples = self.rgb()
        return hashlib.blake2b(np.ascontiguousarray(samples).data, digest_size=8).hexdigest()
