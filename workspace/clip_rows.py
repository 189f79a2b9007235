"""What encoders see of labelled clips: one decode pass over a clip feeds them all, and what was made is kept by content.

Clips are looked at as the night looks at a recording, but for their ends. Snippets begin at the clip's start and every
stride after it; where the last one would reach past the end, it is moved back inside: a picture that stands still is
nothing that a camera recorded. In a clip shorter than a snippet the last picture does stand for what is missing. Pictures
for frame encoders are those on display at a fixed rate. Vectors are rounded to half precision, as the lake keeps the night's.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from footage.decode import decode
from footage.index import MICROSECONDS, FrameIndex
from footage.pictures import Rgb, Size
from footage.regions import WHOLE
from footage.sampling import Indices, grid_us, sample
from footage.writing import write_bytes
from infra.background import prefetch
from infra.errors import FootageError
from infra.settings import AtRate
from models.encoders.base import Encoder, Vectors
from models.windows import Rows, Windows
from workspace.clip_sets.base import ClipSet, LabelledClip

Progress = Callable[[str, float, float], None]
Views = Mapping[Size, Rgb]

CACHE_VERSION = 1
FRAME_RATE_HZ = 1.0
"""Pictures of a second that frame encoders see; a night's default as well."""
BATCH_FRAMES, BATCH_SNIPPETS = 32, 4
DECODED_AHEAD = 16


@dataclass(frozen=True, eq=False)
class ClipRows:
    """What every encoder saw of each clip.

    Attributes:
        clip_set: the clips that could be decoded; the others are told in its `left_out`.
        rows: for each of them, by space, times in microseconds since its first picture.
        decoded: clips that were decoded now; what the others have was kept from an earlier call.
    """

    clip_set: ClipSet
    rows: tuple[Mapping[str, Rows], ...]
    decoded: int


def clip_rows(
    clip_set: ClipSet,
    encoders: Sequence[Encoder],
    *,
    strides_s: Mapping[str, float] | None = None,
    frame_rate_hz: float = FRAME_RATE_HZ,
    cache: Path | None = None,
    threads: int = 0,
    progress: Progress = lambda _stage, _done, _total: None,
) -> ClipRows:
    """What each encoder saw of each clip, in one decode pass a clip; see the module.

    A clip's vectors do not depend on what else is embedded.

    Args:
        clip_set: the clips.
        encoders: brought to life, each of another space.
        strides_s: seconds from one snippet's start to the next's, by space; the snippet's length where it is not said.
        frame_rate_hz: pictures of a second that frame encoders see.
        cache: folder that keeps vectors for the next call, by the clip's content, the encoder's space and when it looks;
            None keeps nothing. As in the lake, a network's device and precision are not told apart: they round otherwise.
        threads: that decode a clip; 0 for one per core.
        progress: called with `vectors`, the clips done and all.

    Raises:
        ConfigurationError: no clip can be decoded.
    """
    looks = [
        _Look(encoder, (strides_s or {}).get(encoder.spec.space, encoder.spec.snippet_s), frame_rate_hz)
        for encoder in encoders
    ]
    kept: list[LabelledClip] = []
    rows: list[Mapping[str, Rows]] = []
    problems: list[str] = []
    decoded = 0
    for number, clip in enumerate(clip_set.clips, start=1):
        paths = [None if cache is None else cache / look.cache_name(clip) for look in looks]
        found = [_kept(path) for path in paths]
        if any(one is None for one in found):
            decoded += 1
            try:
                made = _embedded(clip, [look for look, one in zip(looks, found, strict=True) if one is None], threads)
            except FootageError as error:
                problems.append(f"{clip.name}: {error}")
                made = None
            for at, path in enumerate(paths):
                if found[at] is None and made is not None:
                    found[at] = made[looks[at].encoder.spec.space]
                    _keep(path, found[at])
        told = {look.encoder.spec.space: one for look, one in zip(looks, found, strict=True) if one is not None}
        if len(told) == len(looks):
            kept.append(clip)
            rows.append(told)
        progress("vectors", number, len(clip_set))
    return ClipRows(clip_set.narrowed(kept, problems), tuple(rows), decoded)


@dataclass(frozen=True, eq=False)
class _Look:
    """How an encoder looks at a clip: its snippets' stride, or the rate of its pictures."""

    encoder: Encoder
    stride_s: float
    frame_rate_hz: float

    def cache_name(self, clip: LabelledClip) -> str:
        spec = self.encoder.spec
        when = self.frame_rate_hz if spec.kind == "frame" else self.stride_s
        told = json.dumps([CACHE_VERSION, spec.space, clip.content, when])
        return f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.safetensors"

    def pictures(self, index: FrameIndex) -> tuple[Indices, Windows]:
        """int64 (N, T), the pictures that each vector is made of, and the spans that they speak for."""
        spec = self.encoder.spec
        if spec.snippet_rate_hz is None:
            frames = sample(index, AtRate(rate_hz=self.frame_rate_hz))
            ends = np.append(index.t_us[1:], index.extent_us)
            return frames[:, None], (index.t_us[frames], ends[frames])
        return clip_snippets(index, frames=spec.snippet_frames, rate_hz=spec.snippet_rate_hz, stride_s=self.stride_s)


def clip_snippets(index: FrameIndex, *, frames: int, rate_hz: float, stride_s: float) -> tuple[Indices, Windows]:
    """Snippets of a clip: every `stride_s` seconds as long as they fit, and one moved back to its end.

    A rest of less than half a snippet is no snippet of its own. In a clip shorter than a snippet the last picture stands
    for what is missing. A snippet with a hole in it is left out.

    Returns:
        int64 (N, T), pictures, and the spans they speak for, int64 (N,) each.
    """
    offsets = np.rint(np.arange(frames) * (MICROSECONDS / rate_hz)).astype(np.int64)
    length_us = round(frames / rate_hz * MICROSECONDS)
    starts = grid_us(stride_s, index.extent_us)
    # It fits where its last picture is there: that picture may stand a little shorter than the others.
    fitting = starts[starts + offsets[-1] < index.extent_us]
    latest = max(0, index.extent_us - length_us)
    reached = int(fitting[-1]) + length_us if len(fitting) else 0
    if not len(fitting) or index.extent_us - reached >= length_us / 2:
        fitting = np.unique(np.append(fitting, latest))
    times = np.minimum(fitting[:, None] + offsets[None, :], index.t_us[-1])
    shown = index.on_display(times)
    whole = (shown >= 0).all(axis=1)
    return shown[whole], (fitting[whole], np.minimum(fitting + length_us, index.extent_us)[whole])


def _embedded(clip: LabelledClip, looks: Sequence[_Look], threads: int) -> dict[str, Rows]:
    """Rows of a clip, by space, in one decode pass.

    Raises:
        FootageError: it cannot be opened, or no vector of some encoder can be made.
    """
    feeds = [_Feed(look.encoder, *look.pictures(clip.index)) for look in looks]
    needed = [feed.pictures.ravel() for feed in feeds]
    wanted = np.unique(np.concatenate(needed))
    sizes = {feed.size for feed in feeds}
    for frame, views in prefetch(_views(clip, wanted, sizes, threads), DECODED_AHEAD):
        for feed in feeds:
            feed.take(frame, views)
    return {feed.space: feed.finish() for feed in feeds}


def _views(clip: LabelledClip, wanted: Indices, sizes: set[Size], threads: int) -> Iterator[tuple[int, Views]]:
    for picture in decode(clip.path, clip.index, wanted, threads=threads):
        yield picture.index, {size: picture.view(WHOLE, size) for size in sizes}


class _Feed:
    """Gives one encoder its pictures; a row of which a picture is missing is left out."""

    def __init__(self, encoder: Encoder, pictures: Indices, spans: Windows) -> None:
        self.pictures = pictures
        self.size: Size = encoder.spec.input_size
        self.space = encoder.spec.space
        self._encoder, self._spans = encoder, spans
        self._batch = BATCH_FRAMES if encoder.spec.kind == "frame" else BATCH_SNIPPETS
        self._views: dict[int, Rgb] = {}
        self._next = 0
        self._waiting: list[Rgb] = []
        self._rows: list[int] = []
        self._vectors: list[Vectors] = []

    def take(self, frame: int, views: Views) -> None:
        """The next decoded picture; pictures come in order."""
        self._views[frame] = views[self.size]
        while self._next < len(self.pictures) and self.pictures[self._next, -1] <= frame:
            self._add(self._next)
            self._next += 1
        if self._next < len(self.pictures):
            first = self.pictures[self._next, 0]
            self._views = {number: view for number, view in self._views.items() if number >= first}

    def finish(self) -> Rows:
        self._encode()
        if not self._vectors:
            raise FootageError(f"nothing of it that {self._encoder.spec.name} looks at can be decoded")
        return Rows(self._spans[0][self._rows], self._spans[1][self._rows], _as_stored(np.concatenate(self._vectors)))

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


def _as_stored(vectors: Vectors) -> Vectors:
    return vectors.astype(np.float16).astype(np.float32)


def _keep(path: Path | None, rows: Rows | None) -> None:
    if path is None or rows is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, save({"from_us": rows.from_us, "to_us": rows.to_us, "vectors": rows.vectors.astype(np.float16)}))


def _kept(path: Path | None) -> Rows | None:
    """What was kept; None where nothing was or where it cannot be read: it is made again then."""
    if path is None:
        return None
    try:
        held = load(path.read_bytes())
        return Rows(held["from_us"], held["to_us"], held["vectors"].astype(np.float32))
    except (SafetensorError, KeyError, OSError, ValueError):
        return None
