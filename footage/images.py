"""Single pictures that people bring along, read and cut as a recording's pictures are."""

from pathlib import Path

import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from footage.pictures import Picture, Rgb, Size
from footage.regions import WHOLE, Region
from infra.errors import ConfigurationError

LARGEST_BYTES = 256 * 2**20


def read_image(source: Path | bytes) -> Rgb:
    """Read a picture file (JPEG, PNG, WebP, TIFF, BMP, …), turned upright as its Exif data say.

    Args:
        source: the file, or its content.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ConfigurationError: there is no such file, or it is no picture that can be read.
    """
    name = str(source) if isinstance(source, Path) else f"the image of {len(source)} bytes"
    try:
        if isinstance(source, Path) and source.stat().st_size > LARGEST_BYTES:
            raise ConfigurationError(f"{name} is larger than {LARGEST_BYTES // 2**20} MiB; give a smaller picture")
        content = source.read_bytes() if isinstance(source, Path) else source
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {error.strerror}; give the path of a picture") from None
    try:
        bgr = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR) if content else None
    except cv2.error as error:  # more pixels than OpenCV takes
        raise ConfigurationError(f"{name} cannot be read ({error.err}); give a smaller picture") from None
    if bgr is None:
        raise ConfigurationError(f"{name} is no picture that can be read; give a JPEG or a PNG, say")
    return check_image(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def check_image(rgb: NDArray[np.generic]) -> Rgb:
    """`rgb` as it is, where it is a picture: uint8 (H, W, 3), at least one pixel each way.

    Raises:
        ConfigurationError: it is none.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
        raise ConfigurationError(f"a picture is uint8 RGB of shape (H, W, 3), got {rgb.dtype} {rgb.shape}; convert it")
    return np.asarray(rgb, dtype=np.uint8)


def cut(rgb: Rgb, size: Size, region: Region = WHOLE) -> Rgb:
    """uint8 (h, w, 3): a picture, or a region of it, squashed to `size` = (h, w) as `Picture.view` does it."""
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(check_image(rgb)), format="rgb24")
    return Picture(0, 0, frame).view(region, size)
