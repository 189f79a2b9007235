"""Pictures that people bring along are read, refused with a reason, and cut as a recording's pictures are."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from footage.images import cut, read_image
from footage.pictures import Picture
from footage.regions import WHOLE, Region
from infra.errors import ConfigurationError


def drawn(height: int = 60, width: int = 80) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(rgb: NDArray[np.uint8], kind: str = ".png") -> bytes:
    there, content = cv2.imencode(kind, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    assert there
    return content.tobytes()


@pytest.mark.parametrize("kind", [".png", ".bmp", ".tiff"])
def test_what_was_written_is_read(tmp_path: Path, kind: str) -> None:
    rgb, file = drawn(), tmp_path / f"picture{kind}"
    file.write_bytes(encoded(rgb, kind))
    assert np.array_equal(read_image(file), rgb)
    assert np.array_equal(read_image(file.read_bytes()), rgb)


def test_grey_transparent_and_deep_pictures_become_8_bit_rgb() -> None:
    grey = np.full((5, 6), 77, np.uint8)
    for content in (grey, np.dstack([grey] * 3 + [np.full_like(grey, 9)]), grey.astype(np.uint16) * 257):
        found = read_image(cv2.imencode(".png", content)[1].tobytes())
        assert found.dtype == np.uint8
        assert np.array_equal(found, np.full((5, 6, 3), 77))


@pytest.mark.parametrize("content", [b"", b"no picture", encoded(drawn())[:40]], ids=["empty", "text", "cut short"])
def test_what_is_no_picture_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "query.png"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"query\.png is no picture that can be read; give a JPEG"):
        read_image(file)
    with pytest.raises(ConfigurationError, match=f"image of {len(content)} bytes"):
        read_image(content)


def test_what_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    for file in (tmp_path / "absent.png", tmp_path):
        with pytest.raises(ConfigurationError, match=f"{file} cannot be read"):
            read_image(file)


@pytest.mark.parametrize(
    "region", [WHOLE, Region.box("part", 0.2, 0.1, 0.5, 0.6), Region("t", ((0, 0), (1, 0), (0.5, 1)))]
)
def test_it_is_cut_as_a_recordings_picture(region: Region) -> None:
    rgb = drawn()
    frame = VideoFrame.from_ndarray(rgb, format="rgb24")
    for size in ((16, 24), (128, 128)):
        found = cut(rgb, size, region)
        assert found.shape == (*size, 3)
        assert np.array_equal(found, Picture(7, 0, frame).view(region, size))


def test_an_odd_sized_part_of_a_larger_array_is_cut_rightly() -> None:
    rgb = drawn(61, 83)[5:58, 3:80]
    assert np.array_equal(cut(rgb, (53, 77)), rgb)


@pytest.mark.parametrize("rgb", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_an_array_that_is_no_picture_is_refused(rgb: NDArray[np.uint8]) -> None:
    with pytest.raises(ConfigurationError, match="uint8 RGB of shape"):
        cut(rgb, (4, 4))
