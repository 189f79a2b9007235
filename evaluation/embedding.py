"""Vectors of a labelled video's frames: one decode pass feeds every encoder.

A frame encoder sees a frame. A snippet encoder sees the snippet whose middle the frame is: `snippet_frames` pictures at
`snippet_rate_hz`, half of them before and half after it. Before a video's start its first picture stands, past its end
its last one; or, with `inside`, snippets that would reach beyond an end are moved inside it: a picture that stands still
is nothing that a camera recorded. So every encoder gives each frame one vector, and all are held against the same truth.
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
from evaluation.masks import Mask, painted
from footage.decode import decode
from footage.images import cut, read_image
from footage.index import MICROSECONDS, FrameIndex
from footage.pictures import Rgb, Size
from footage.regions import Region
from footage.sampling import Indices, sample
from footage.writing import write_bytes
from infra.background import prefetch
from infra.errors import ConfigurationError
from infra.settings import AtRate, EveryNth
from models.encoders.base import Encoder, EncoderSpec

BATCH_FRAMES, BATCH_SNIPPETS = 32, 4
DECODED_AHEAD = 16
RATE_HZ = 10.0
CACHE_VERSION = 2

Views = dict[Size, Rgb]


@dataclass(frozen=True, eq=False)
class Embedded:
    """Vectors of a video's frames.

    Attributes:
        frames: int64 (N,), the frames that could be decoded, of those sampled, rising.
        vectors: float32 (N, D), of unit length (a zero vector stays zero) unless raw ones were asked for.
    """

    frames: Indices
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class Looking:
    """How pictures are looked at and what becomes of their vectors.

    Attributes:
        unit_length: vectors are brought to length 1; False leaves them as the encoder gave them.
        inside: snippets are moved inside the video, instead of reaching over its ends.
        masks: painted over before anything is cut or reduced.
        skip_unreadable: an image of a folder that cannot be read is lost, as a picture of a film is that cannot be
            decoded; False refuses the folder.
    """

    unit_length: bool = True
    inside: bool = False
    masks: tuple[Mask, ...] = ()
    skip_unreadable: bool = False


def sampled_frames(index: FrameIndex, rate_hz: float = RATE_HZ) -> Indices:
    """Every frame of a video of up to `rate_hz`, else the frames on display at that rate; int64, rising."""
    # A rate that the video has but for rounding or jitter takes every frame.
    return sample(index, EveryNth(n=1) if index.rate_hz <= 1.05 * rate_hz else AtRate(rate_hz=rate_hz))


def pictures_of(index: FrameIndex, frames: Indices, spec: EncoderSpec, *, inside: bool = False) -> Indices:
    """int64 (N, T): for each of `frames` the pictures that its vector is made of; -1 where none was on display."""
    if spec.snippet_rate_hz is None:
        return frames[:, None]
    steps = (np.arange(spec.snippet_frames) - (spec.snippet_frames - 1) / 2) * (MICROSECONDS / spec.snippet_rate_hz)
    times = index.t_us[frames][:, None] + np.rint(steps).astype(np.int64)[None, :]
    if inside:
        # Back from the end first: in a video shorter than a snippet it is the last picture that stands.
        times = times - np.maximum(times[:, -1:] - index.t_us[-1], 0)
        times = times - np.minimum(times[:, :1], 0)
    return index.on_display(np.clip(times, 0, index.t_us[-1]))


def embed_video(
    video: LabelledVideo,
    region: Region,
    encoders: Sequence[Encoder],
    *,
    rate_hz: float = RATE_HZ,
    looking: Looking = Looking(),
    cache: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Embedded]:
    """Embed a region of a video's frames with every encoder.

    Args:
        video: what to embed.
        region: the part of the picture to look at.
        encoders: each gives one of the results, in their order.
        rate_hz: most frames in a second.
        looking: masks, snippets at the ends, length of the vectors.
        cache: folder of vectors that were made before, by the content of the video, region, masks, pictures and space;
            None keeps nothing.
        progress: called with the finished share of the video, rising to 1.

    Raises:
        DecodeError: the video cannot be opened.
        ConfigurationError: an image of a clip cannot be read.
    """
    frames = sampled_frames(video.index, rate_hz)
    wanted = [pictures_of(video.index, frames, encoder.spec, inside=looking.inside) for encoder in encoders]
    rows = embed_pictures(video, region, list(zip(encoders, wanted, strict=True)), looking, cache, progress)
    return [Embedded(frames[one.frames], one.vectors) for one in rows]


def embed_pictures(
    video: LabelledVideo,
    region: Region,
    wanted: Sequence[tuple[Encoder, Indices]],
    looking: Looking,
    cache: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Embedded]:
    """Embed chosen pictures of a video, int64 (N, T) for each encoder; -1 is a picture that is not there.

    Returns:
        For each encoder the rows of which every picture could be decoded, as `frames`, and their vectors.
    """
    # Snippets moved inside a video are the same for many frames; they are embedded once.
    asked = [np.unique(pictures, axis=0, return_inverse=True) for _, pictures in wanted]
    paths = [
        _cached_at(cache, video, region, looking.masks, once, encoder.spec)
        for (encoder, _), (once, _) in zip(wanted, asked, strict=True)
    ]
    found = [_read(path) for path in paths]
    feeds = [
        None if known is not None else _Feed(encoder, once)
        for (encoder, _), (once, _), known in zip(wanted, asked, found, strict=True)
    ]
    waiting = [feed for feed in feeds if feed is not None]
    if waiting:
        needed = np.unique(np.concatenate([feed.pictures.ravel() for feed in waiting]))
        sizes = {feed.size for feed in waiting}
        for frame, views in prefetch(_views(video, needed[needed >= 0], region, sizes, looking), DECODED_AHEAD):
            for feed in waiting:
                feed.take(frame, views)
            if progress is not None:
                progress((frame + 1) / len(video.index))
    results = []
    for path, known, maker, (_, places) in zip(paths, found, feeds, asked, strict=True):
        if maker is not None:
            known = maker.finish()
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(path, save({"frames": known.frames, "vectors": known.vectors}))
        if known is None:
            raise AssertionError("what is not cached has a feed")
        results.append(_spread(known, places.ravel(), looking.unit_length))
    if progress is not None:
        progress(1.0)
    return results


def _spread(made: Embedded, places: Indices, unit_length: bool) -> Embedded:
    """From vectors of different rows to those of all rows; `places` says which each of them is."""
    at = np.searchsorted(made.frames, places).clip(max=max(0, len(made.frames) - 1))
    rows = np.flatnonzero(made.frames[at] == places) if len(made.frames) else np.empty(0, np.int64)
    vectors = made.vectors[at[rows]]
    return Embedded(rows.astype(np.int64), _unit(vectors) if unit_length else vectors)


class _Feed:
    """Gives one encoder its pictures; a row of which a picture is missing is left out."""

    def __init__(self, encoder: Encoder, pictures: Indices) -> None:
        self.pictures = pictures
        self.size: Size = encoder.spec.input_size
        self._encoder = encoder
        self._batch = BATCH_FRAMES if encoder.spec.kind == "frame" else BATCH_SNIPPETS
        self._views: dict[int, Rgb] = {}
        self._next = 0
        self._waiting: list[NDArray[np.uint8]] = []
        self._rows: list[int] = []
        self._vectors: list[NDArray[np.float32]] = []

    def take(self, frame: int, views: Views) -> None:
        """The next decoded picture; pictures come in order."""
        self._views[frame] = views[self.size]
        while self._next < len(self.pictures) and self.pictures[self._next, -1] <= frame:
            self._add(self._next)
            self._next += 1
        if self._next < len(self.pictures):
            first = self.pictures[self._next, 0]
            self._views = {number: view for number, view in self._views.items() if number >= first}

    def finish(self) -> Embedded:
        self._encode()
        vectors = np.concatenate(self._vectors) if self._vectors else np.empty((0, self._encoder.dimension), np.float32)
        return Embedded(np.array(self._rows, dtype=np.int64), vectors)

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


def _views(
    video: LabelledVideo, wanted: Indices, region: Region, sizes: set[Size], looking: Looking
) -> Iterator[tuple[int, Views]]:
    """The region of each wanted picture that can be decoded, at each size."""
    if video.source.is_file():
        for picture in decode(video.source, video.index, wanted):
            if looking.masks:
                covered = painted(picture.rgb(), looking.masks)
                yield picture.index, {size: cut(covered, size, region) for size in sizes}
            else:
                yield picture.index, {size: picture.view(region, size) for size in sizes}
        return
    files = image_files(video.source)
    for number in wanted.tolist():
        try:
            image = read_image(files[number])
        except ConfigurationError:
            if looking.skip_unreadable:
                continue
            raise
        image = painted(image, looking.masks)
        yield number, {size: cut(image, size, region) for size in sizes}


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)


def _cached_at(
    cache: Path | None,
    video: LabelledVideo,
    region: Region,
    masks: tuple[Mask, ...],
    pictures: Indices,
    spec: EncoderSpec,
) -> Path | None:
    """Where vectors as the encoder gives them are kept; their length is the caller's choice each time."""
    if cache is None:
        return None
    shown = hashlib.sha256(pictures.tobytes()).hexdigest()
    told = [CACHE_VERSION, spec.space, video.content, region.geometry, [repr(mask) for mask in masks], shown]
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
