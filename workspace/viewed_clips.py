"""Samples of clips, embedded: as they were recorded, and in augmented views.

A sample's own vector is that of the snippet in the middle of its window.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from footage.decode import decode
from footage.index import MICROSECONDS
from footage.pictures import Rgb
from footage.writing import write_bytes
from infra.errors import ConfigurationError
from models.augmentation import VERSION as AUGMENTATION_VERSION
from models.augmentation import Augmentation, centred, views
from models.encoders.base import Encoder, EncoderSpec, Pixels, Vectors
from workspace.training_clips import Clip

Progress = Callable[[str, float, float], None]

CACHE_VERSION = 1
FINEST = 4.0
"""Pictures of a window are at most this many times as near in time as those of a snippet."""
FRAME_RATE_HZ = 2.0
"""Pictures of a second that encoders of single pictures choose among, times `FINEST` at most."""


@dataclass(frozen=True)
class Viewing:
    """How samples are looked at: views of each, how they are made, and the seed that decides them."""

    views: int = 4
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.views < 1 or self.seed < 0:
            raise ConfigurationError(f"views are at least 1 and the seed not negative, got {self}; correct the value")


@dataclass(frozen=True, eq=False)
class Samples:
    """Embedded samples.

    Attributes:
        plain: float32 (N, D); views: float32 (N, V, D).
        clip: int64 (N,), number of the clip each is of.
        lost: windows that were left out because a picture of them is not there or cannot be decoded.
    """

    plain: Vectors
    views: Vectors
    clip: NDArray[np.int64]
    lost: int


def embed_clips(
    clips: Sequence[Clip],
    encoder: Encoder,
    viewing: Viewing,
    *,
    cache: Path | None = None,
    threads: int = 0,
    progress: Progress = lambda _stage, _done, _total: None,
) -> Samples:
    """Decode clips and embed each of their windows, as it was recorded and in views.

    Args:
        clips: in order.
        encoder: frozen.
        viewing: which views.
        cache: folder that keeps vectors for the next call, by all that decides them; None keeps nothing.
        threads: that decode a clip; 0 for one per core.
        progress: called with `views`, the clips done and all.

    Raises:
        DecodeError: a clip cannot be opened any more.
        ConfigurationError: no window of any clip can be decoded.
    """
    plain, viewed, numbers, lost = [], [], [], 0
    for number, clip in enumerate(clips):
        path = None if cache is None else cache / _cache_name(clip, encoder.spec, viewing)
        made = None if path is None else _kept(path)
        if made is None:
            made = _embedded(clip, encoder, viewing, threads)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(path, save({"plain": made[0], "views": made[1]}))
        plain.append(made[0])
        viewed.append(made[1])
        numbers.append(np.full(len(made[0]), number, dtype=np.int64))
        lost += len(clip.windows) - len(made[0])
        progress("views", number + 1, len(clips))
    if not sum(len(rows) for rows in plain):
        raise ConfigurationError(f"none of {len(clips)} clips can be decoded; give whole videos")
    return Samples(np.concatenate(plain), np.concatenate(viewed), np.concatenate(numbers), lost)


def _cache_name(clip: Clip, spec: EncoderSpec, viewing: Viewing) -> str:
    told = [CACHE_VERSION, AUGMENTATION_VERSION, spec.space, clip.content, clip.region.geometry, clip.windows]
    text = json.dumps([*told, asdict(viewing)])
    return f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"


def _kept(path: Path) -> tuple[Vectors, Vectors] | None:
    """What was kept; None where nothing was or where it cannot be read: it is made again then."""
    try:
        held = load(path.read_bytes())
        return held["plain"], held["views"]
    except (SafetensorError, KeyError, OSError):
        return None


def _embedded(clip: Clip, encoder: Encoder, viewing: Viewing, threads: int) -> tuple[Vectors, Vectors]:
    """Vectors of a clip's windows, float32 (n, D), and of their views, (n, V, D)."""
    spec = encoder.spec
    rate_hz = spec.snippet_rate_hz or FRAME_RATE_HZ
    finer = float(np.clip(clip.index.rate_hz / rate_hz, 1.0, FINEST))
    rows = []
    for number, pictures in _windows(clip, spec, finer * rate_hz, threads):
        # The seed is the clip's own: a clip has the same views whatever else is embedded.
        random = np.random.default_rng([viewing.seed, int(clip.content[:16], 16), clip.windows[number][0]])
        middle = pictures[centred(len(pictures), spec.snippet_frames, finer)]
        changed = views(
            pictures[None],
            viewing.views,
            random,
            frames=spec.snippet_frames,
            step=finer,
            augmentation=viewing.augmentation,
        )[0]
        pixels: Pixels = np.concatenate([middle[None], changed])
        rows.append(encoder.encode(pixels[:, 0] if spec.kind == "frame" else pixels))
    if not rows:
        return np.empty((0, encoder.dimension), np.float32), np.empty((0, viewing.views, encoder.dimension), np.float32)
    vectors = np.stack(rows)
    return np.ascontiguousarray(vectors[:, 0]), np.ascontiguousarray(vectors[:, 1:])


def _windows(clip: Clip, spec: EncoderSpec, rate_hz: float, threads: int) -> Iterator[tuple[int, Pixels]]:
    """Number and pictures, uint8 (F, h, w, 3), of each window that is whole; one decode pass over the clip."""
    shown = []
    for begin, end in clip.windows:
        count = max(1, int((end - begin) * rate_hz / MICROSECONDS + 1e-6))
        times = begin + np.rint(np.arange(count) * (MICROSECONDS / rate_hz)).astype(np.int64)
        shown.append(clip.index.on_display(times))
    wanted = np.unique(np.concatenate(shown))
    views_of: dict[int, Rgb] = {}
    number = 0
    for picture in decode(clip.path, clip.index, wanted[wanted >= 0], threads=threads):
        while number < len(shown) and shown[number].max() < picture.index:
            yield from _whole(number, shown[number], views_of)
            number += 1
            first = shown[number].min() if number < len(shown) else picture.index
            views_of = {at: view for at, view in views_of.items() if at >= first}
        views_of[picture.index] = picture.view(clip.region, spec.input_size)
    while number < len(shown):
        yield from _whole(number, shown[number], views_of)
        number += 1


def _whole(number: int, shown: NDArray[np.int64], views_of: dict[int, Rgb]) -> Iterator[tuple[int, Pixels]]:
    if all(at in views_of for at in shown.tolist()):
        yield number, np.stack([views_of[at] for at in shown.tolist()])
