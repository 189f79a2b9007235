"""Small encoded films in which every picture differs from every other, and what a plain decoder makes of them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Film:
    """How a film is made; `times` are in `time_base` units."""

    suffix: str = ".mp4"
    count: int = 60
    codec: str = "libx264"
    gop: int = 12
    bframes: int = 0
    x264: str = ""
    times: tuple[int, ...] | None = None
    time_base: Fraction = Fraction(1, 25)
    height: int = 48
    width: int = 64
    seed: int = 0

    def but(self, **changes: Any) -> "Film":
        return replace(self, **changes)


def pictures(film: Film) -> Iterator[NDArray[np.uint8]]:
    """A textured picture that glides, with a bar that tells the number."""
    rng = np.random.default_rng(film.seed)
    shape = (film.height // 4, film.width // 4, 3)
    still = rng.integers(40, 200, shape, dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    for number in range(film.count):
        picture = np.roll(still, (number, 2 * number), (0, 1)).copy()
        picture[:8, : 4 * (number % 16) + 4] = (number * 37 % 256, number * 91 % 256, 255 - number % 256)
        yield picture


def _options(film: Film) -> dict[str, str]:
    if film.codec == "libx264":
        told = f"keyint={film.gop}:min-keyint={film.gop}:scenecut=0:bframes={film.bframes}:b-adapt=0:threads=1"
        return {"preset": "veryfast", "x264-params": told + film.x264}
    if film.codec == "libx265":
        told = f"keyint={film.gop}:min-keyint={film.gop}:bframes={film.bframes}:log-level=none:pools=none"
        return {"preset": "ultrafast", "x265-params": told}
    return {"g": str(film.gop), "bf": str(film.bframes)}


def make(path: Path, film: Film) -> Path:
    """Encode a film into `path`, whose suffix is the film's."""
    forms = {".ts": "mpegts", ".mkv": "matroska", ".avi": "avi", ".mp4": "mp4"}
    with av.open(str(path), "w", format=forms[film.suffix]) as container:
        stream: Any = container.add_stream(film.codec, rate=25, options=_options(film))
        stream.width, stream.height = film.width, film.height
        stream.pix_fmt = "yuvj420p" if film.codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = film.time_base
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(pictures(film)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts = film.times[number] if film.times is not None else number
            frame.time_base = film.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def digest(frame: av.VideoFrame) -> str:
    """A hash of the decoded samples, every plane of them."""
    return hashlib.blake2b(np.ascontiguousarray(frame.to_ndarray()).data, digest_size=8).hexdigest()


def plain_digests(path: Path) -> list[str]:
    """What decoding the whole file with one thread and nothing skipped gives, in order of presentation."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return [digest(frame) for frame in container.decode(stream)]


@dataclass(frozen=True)
class Packet:
    """Where a packet's bytes lie in its file."""

    at: int
    size: int
    is_key: bool


def packets(path: Path) -> list[Packet]:
    """The packets of a file, in decoding order."""
    content = path.read_bytes()
    with av.open(str(path)) as container:
        found = [(bytes(p), p.pos or 0, p.is_keyframe) for p in container.demux(container.streams.video[0]) if p.size]
    return [Packet(content.find(data, max(0, pos)), len(data), is_key) for data, pos, is_key in found]


def scrambled(content: bytes, spans: Sequence[tuple[int, int]], seed: int = 0) -> bytes:
    """The content with every byte of the spans (position, length) changed."""
    rng = np.random.default_rng(seed)
    changed = bytearray(content)
    for at, size in spans:
        noise = rng.integers(1, 256, size, dtype=np.uint8)
        changed[at : at + size] = (np.frombuffer(content[at : at + size], np.uint8) ^ noise).tobytes()
    return bytes(changed)
