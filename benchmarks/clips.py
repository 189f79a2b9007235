"""Footage to measure with: H.264 as recorders write it, made once per process in a temporary folder.

The scene is made to cost a decoder what a fixed camera's does: a textured wall, sensor noise on every pixel, four
things that move. A few seconds are encoded, with B-frames and a key frame every 2 s, and their packets repeated up to
the length asked for: decoding costs the same each time round, encoding is paid for once.
"""

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

RATE_HZ = 30
KEY_EVERY = 60
LOOP_S = 4
NOISE_SIGMA = 4.0
"""Grey levels of sensor noise; with `CRF`, about 4 Mbit/s at 1920 × 1080."""
CRF = 24
MOVING = 4

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """What a recording looks like to a decoder."""

    width: int
    height: int
    seconds: int

    def __post_init__(self) -> None:
        if self.width % 2 or self.height % 2 or min(self.width, self.height) < 64:
            raise ValueError(f"both sides are even and at least 64, got {self.width} × {self.height}")
        if self.seconds < 1 or self.seconds * RATE_HZ % KEY_EVERY:
            # Cut elsewhere, its last B-frames would lean on a picture that is not there.
            raise ValueError(f"a clip lasts a multiple of {KEY_EVERY / RATE_HZ:g} s, got {self.seconds}")

    @property
    def name(self) -> str:
        return f"{self.width}×{self.height}"


@cache
def clip_folder() -> Path:
    """A folder of this process, removed when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="afterwatch-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def recording(clip: Clip, number: int = 0) -> Path:
    """A recording of `clip.seconds`; another `number` gives other bytes (another title) and the same pictures."""
    loop = _encoded_loop(clip.width, clip.height)
    path = clip_folder() / f"{clip.width}x{clip.height}-{clip.seconds}s-{number}.mp4"
    with av.open(str(loop)) as source, av.open(str(path), "w") as target:
        target.metadata["title"] = f"recording {number}"
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        if stream.time_base is None:
            raise ValueError(f"{loop.name} has no time base")
        loop_units, end = int(LOOP_S / stream.time_base), int(clip.seconds / stream.time_base)
        for start in range(0, end, loop_units):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.pts is None or packet.dts is None or start + packet.pts >= end:
                    continue
                packet.pts, packet.dts, packet.stream = packet.pts + start, packet.dts + start, copy
                target.mux(packet)
    return path


@cache
def _encoded_loop(width: int, height: int) -> Path:
    path = clip_folder() / f"{width}x{height}-loop.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_type = "FRAME"  # the default, slices, is not what cameras write
        keys = f"keyint={KEY_EVERY}:min-keyint={KEY_EVERY}:scenecut=0:open-gop=0:bframes=2"
        stream.options = {"preset": "veryfast", "crf": str(CRF), "x264-params": keys}
        for number, picture in enumerate(_scene(width, height, LOOP_S * RATE_HZ)):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _scene(width: int, height: int, count: int) -> Iterator[NDArray[np.uint8]]:
    """Pictures as yuv420p, uint8 (3H/2, W)."""
    rng = np.random.default_rng(0)
    coarse = cv2.resize(_noise(rng, height // 8, width // 8, 56.0), (width, height), interpolation=cv2.INTER_CUBIC)
    wall = 110 + coarse * 0.6 + cv2.GaussianBlur(_noise(rng, height, width, 22.0), (0, 0), 1.0)
    sensor = [_noise(rng, height, width, NOISE_SIGMA) for _ in range(8)]
    size = (width // 14, height // 4)
    things = [120 + cv2.resize(_noise(rng, 24, 12, 40.0), size, interpolation=cv2.INTER_CUBIC) for _ in range(MOVING)]
    picture = np.full((height * 3 // 2, width), 128, np.uint8)
    for number in range(count):
        luma = wall.copy()
        for thing, pixels in enumerate(things):
            x = int(number * (2 + thing) + thing * width / 4) % (width - size[0])
            y = int(height * (0.1 + 0.15 * thing))
            luma[y : y + size[1], x : x + size[0]] = pixels
        picture[:height] = np.clip(luma + sensor[number % len(sensor)], 0, 255)
        yield picture


def _noise(rng: np.random.Generator, height: int, width: int, sigma: float) -> Plane:
    return rng.normal(0, sigma, (height, width)).astype(np.float32)
