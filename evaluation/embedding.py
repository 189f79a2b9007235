"""Vectors of a labelled video's frames: one decode pass feeds every encoder.

A frame encoder sees a frame. A snippet encoder sees the snippet whose middle the frame is: `snippet_frames` pictures at
`snippet_rate_hz`, half of them before and half after it; before a video's start its first picture stands, past its end
its last one. So every encoder gives each frame one vector, and all are held against the same truth.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from evaluation.datasets.base import LabelledVideo, image_files
from footage.decode import decode
from footage.images import cut, read_image
from footage.index import MICROSECONDS, FrameIndex
from footage.pictures import Rgb, Size
from footage.regions import Region
from footage.sampling import Indices, sample
from footage.writing import write_bytes
from infra.background import prefetch
from infra.settings import AtRate, EveryNth
from models.encoders.base import Encoder, EncoderSpec

BATCH_FRAMES, BATCH_SNIPPETS = 32, 4
DECODED_AHEAD = 16
RATE_HZ = 10.0
CACHE_VERSION = 1

Views = dict[Size, Rgb]


@dataclass(frozen=True, eq=False)
class Embedded:
    """Vectors of a video's frames.

    Attributes:
        frames: int64 (N,), the frames that could be decoded, of those sampled, rising.
        vectors: float32 (N, D), of unit length (a zero vector stays zero).
    """

    frames: Indices
    vectors: NDArray[np.float32]


def sampled_frames(index: FrameIndex, rate_hz: float = RATE_HZ) -> Indices:
    """Every frame of a video of up to `rate_hz`, else the frames on display at that rate; int64, rising."""
    # A rate that the video has but for rounding or jitter takes every frame.
    return sample(index, EveryNth(n=1) if index.rate_hz <= 1.05 * rate_hz else AtRate(rate_hz=rate_hz))


def pictures_of(index: FrameIndex, frames: Indices, spec: EncoderSpec) -> Indices:
    """int64 (N, T): for each of `frames` the pictures that its vector is made of; -1 where none was on display."""
    if spec.snippet_rate_hz is None:
        return frames[:, None]
    steps = (np.arange(spec.snippet_frames) - (spec.snippet_frames - 1) / 2) * (MICROSECONDS / spec.snippet_rate_hz)
    times = index.t_us[frames][:, None] + np.rint(steps).astype(np.int64)[None, :]
    return index.on_display(np.clip(times, 0, index.t_us[-1]))


def embed_video(
    video: LabelledVideo,
    region: Region,
    encoders: Sequence[Encoder],
    *,
    rate_hz: float = RATE_HZ,
    cache: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Embedded]:
    """Embed a region of a video's frames with every encoder.

    Args:
        video: what to embed.
        region: the part of the picture to look at.
        encoders: each gives one of the results, in their order.
        rate_hz: most frames in a second.
        cache: folder of vectors that were made before, by the content of the video, region, frames and space; None
            keeps nothing.
        progress: called with the finished share of the video, rising to 1.

    Raises:
        DecodeError: the video cannot be opened.
        ConfigurationError: an image of a clip cannot be read.
    """
    frames = sampled_frames(video.index, rate_hz)
    paths = [_cached_at(cache, video, region, frames, encoder.spec) for encoder in encoders]
    found = [_read(path) for path in paths]
    feeds = [
        None if known is not None else _Feed(encoder, frames, pictures_of(video.index, frames, encoder.spec))
        for encoder, known in zip(encoders, found, strict=True)
    ]
    waiting = [feed for feed in feeds if feed is not None]
    if waiting:
        wanted = np.unique(np.concatenate([feed.pictures.ravel() for feed in waiting]))
        sizes = {feed.size for feed in waiting}
        for frame, views in prefetch(_views(video, wanted[wanted >= 0], region, sizes), DECODED_AHEAD):
            for feed in waiting:
                feed.take(frame, views)
            if progress is not None:
                progress((frame + 1) / len(video.index))
    results = []
    for path, known, maker in zip(paths, found, feeds, strict=True):
        if maker is not None:
            known = maker.finish()
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(path, save({"frames": known.frames, "vectors": known.vectors}))
        if known is None:
            raise AssertionError("what is not cached has a feed")
        results.append(known)
    if progress is not None:
        progress(1.0)
    return results


class _Feed:
    """Gives one encoder its pictures; a row of which a picture is missing is left out."""

    def __init__(self, encoder: Encoder, frames: Indices, pictures: Indices) -> None:
        self.pictures = pictures
        self.size: Size = encoder.spec.input_size
        self._encoder, self._frames = encoder, frames
        self._batch = BATCH_FRAMES if encoder.spec.kind == "frame" else BATCH_SNIPPETS
        self._views: dict[int, Rgb] = {}
        self._next = 0
        self._waiting: list[NDArray[np.uint8]] = []
        self._rows: list[int] = []
        self._vectors: list[NDArray[np.float32]] = []

    def take(self, frame: int, views: Views) -> None:
        """The next decoded picture; pictures come in order."""
        self._views[frame] = views[self.size]
        while self._next < len(self._frames) and self.pictures[self._next, -1] <= frame:
            self._add(self._next)
            self._next += 1
        if self._next < len(self._frames):
            first = self.pictures[self._next, 0]
            self._views = {number: view for number, view in self._views.items() if number >= first}

    def finish(self) -> Embedded:
        self._encode()
        vectors = np.concatenate(self._vectors) if self._vectors else np.empty((0, self._encoder.dimension), np.float32)
        return Embedded(self._frames[np.array(self._rows, dtype=np.int64)], _unit(vectors))

    def _add(self, row: int) -> None:
        numbers = self.pictures[row].tolist()
        if not all(number in self._views for number in numbers):
            return
        parts = [self._views[number] for number in numbers]
        self._waiting.append(parts[0] if self._encoder.spec.kind == "frame" else np.stack(parts))
        self._rows.append(row)
        if len(self._waiting) >= self._batch:
            self._encode()

    def _encode(self) -> None:
        if self._waiting:
            self._vectors.append(self._encoder.encode(np.stack(self._waiting)))
            self._waiting = []


def _views(video: LabelledVideo, wanted: Indices, region: Region, sizes: set[Size]) -> Iterator[tuple[int, Views]]:
    """The region of each wanted picture that can be decoded, at each size."""
    if video.source.is_file():
        for picture in decode(video.source, video.index, wanted):
            yield picture.index, {size: picture.view(region, size) for size in sizes}
        return
    files = image_files(video.source)
    for number in wanted.tolist():
        image = read_image(files[number])
        yield number, {size: cut(image, size, region) for size in sizes}


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)


def _cached_at(
    cache: Path | None, video: LabelledVideo, region: Region, frames: Indices, spec: EncoderSpec
) -> Path | None:
    if cache is None:
        return None
    times = hashlib.sha256(video.index.t_us.tobytes() + frames.tobytes()).hexdigest()
    told = [CACHE_VERSION, spec.space, video.content, region.geometry, times]
    return cache / f"{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]}.safetensors"


def _read(path: Path | None) -> Embedded | None:
    """What was kept; None where nothing was or where it cannot be read: it is made again then."""
    if path is None or not path.is_file():
        return None
    try:
        held = load(path.read_bytes())
        return Embedded(held["frames"], held["vectors"])
    except (SafetensorError, KeyError, OSError):
        return None
