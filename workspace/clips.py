"""Clips of small grey pictures, kept as `.npy` files below a folder that may be deleted at any time.

They are memory-mapped when read, and named by what they hold: a clip that is there is not decoded again.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from footage.decode import decode
from footage.images import cut, read_image
from footage.index import MICROSECONDS, FrameIndex
from footage.probe import probe
from footage.regions import WHOLE, Region
from footage.writing import write_bytes
from infra.errors import LakeError

Grey = NDArray[np.uint8]

IMAGES = (".tif", ".tiff", ".jpg", ".jpeg", ".png", ".bmp")
VIDEOS = (".mp4", ".mkv", ".avi", ".mov", ".m4v", ".ts", ".webm", ".mpg")


@dataclass(frozen=True)
class View:
    """How a picture is looked at.

    Attributes:
        size_px: height and width it is squashed to.
        rate_hz: pictures per second.
        region: name of the part that is looked at; each camera has its own of that name.
    """

    size_px: int
    rate_hz: float
    region: str = WHOLE.name


def decoded(path: Path, index: FrameIndex, span: tuple[int, int], view: View, region: Region) -> list[Grey]:
    """Clips of a span at an even rate; where no picture is on display or one cannot be decoded, a new clip begins."""
    step_us = MICROSECONDS / view.rate_hz
    numbers = np.arange(int(np.ceil(span[0] / step_us)), int(np.ceil(span[1] / step_us)))
    shown = index.on_display(np.rint(numbers * step_us).astype(np.int64))
    wanted = np.unique(shown[shown >= 0])
    pictures = {
        picture.index: _grey(picture.view(region, (view.size_px, view.size_px)))
        for picture in decode(path, index, wanted, threads=0)
    }
    runs: list[list[Grey]] = [[]]
    for number in shown.tolist():
        if number in pictures:
            runs[-1].append(pictures[number])
        elif runs[-1]:
            runs.append([])
    return [np.stack(run) for run in runs if run]


def _grey(rgb: NDArray[np.uint8]) -> Grey:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def kept(cache: Path, about: list[object], made: Callable[[], list[Grey]]) -> list[Grey]:
    """Clips from the cache's file for `about`, or made now and put there, all in one file."""
    stem = hashlib.blake2b(json.dumps(about).encode(), digest_size=12).hexdigest()
    bounds, pixels = cache / f"{stem}.json", cache / f"{stem}.npy"
    if not bounds.is_file():
        clips = made()
        cache.mkdir(parents=True, exist_ok=True)
        content = BytesIO()
        np.save(content, np.concatenate(clips) if clips else np.empty((0, 1, 1), np.uint8))
        write_bytes(pixels, content.getvalue())
        # Written last: where it lies, the pictures do.
        write_bytes(bounds, json.dumps(np.cumsum([0, *map(len, clips)]).tolist()).encode())
    edges = json.loads(bounds.read_text(encoding="utf-8"))
    if len(edges) < 2:
        return []
    mapped = mapped_pictures(pixels)
    return [mapped[begin:end] for begin, end in pairwise(edges)]


def mapped_pictures(file: Path) -> Grey:
    """uint8 (F, H, W) of a file that `kept` made, mapped into memory.

    Raises:
        LakeError: it is none.
    """
    try:
        mapped: Grey = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise LakeError(
            f"{file} is damaged ({error}); delete it and what lies beside it under that name, and run again"
        ) from None
    if not isinstance(mapped, np.ndarray) or mapped.dtype != np.uint8 or mapped.ndim != 3:
        raise LakeError(
            f"{file} is damaged (it holds no pictures); delete it and what lies beside it under that name, and run again"
        )
    return mapped


def sources_of(folder: Path) -> list[Path]:
    """Videos and folders of images, in order of name; folders of masks (`…_gt`) are none."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".")
        and (path.suffix.lower() in VIDEOS if path.is_file() else not path.name.endswith("_gt") and any(_images(path)))
    )


def _images(folder: Path) -> list[Path]:
    files = [path for path in folder.iterdir() if path.suffix.lower() in IMAGES and not path.name.startswith(".")]
    return sorted(files, key=lambda path: (len(path.stem), path.stem))


def source_clips(source: Path, view: View, cache: Path) -> list[Grey]:
    """Clips of a video, or the one of a folder of images, from the cache or made now."""
    if source.is_dir():
        size = (view.size_px, view.size_px)
        told = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in _images(source)]
        about: list[object] = [str(source), told, view.size_px]
        return kept(cache, about, lambda: [np.stack([_grey(cut(read_image(path), size)) for path in _images(source)])])
    stat = source.stat()
    about = [str(source), stat.st_size, stat.st_mtime_ns, view.size_px, view.rate_hz]

    def from_start_to_end() -> list[Grey]:
        index = probe(source).index
        return decoded(source, index, (0, index.extent_us), view, WHOLE)

    return kept(cache, about, from_start_to_end)
