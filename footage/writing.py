"""Writes what people look at: H.264 video with exact times, and JPEG pictures.

Every file is written under a hidden temporary name in its own folder and renamed when it is whole, so a reader sees the
old file, the new file or none. The same input gives the same bytes: one encoder thread unless told otherwise, no
creation time, no random identifiers.
"""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from infra.errors import ConfigurationError, FootageError

if TYPE_CHECKING:  # PyAV declares this type in its stubs only
    from av.container.core import Chapter as ContainerChapter

Picture = NDArray[np.uint8]
"""uint8 RGB, shape (H, W, 3)."""

MICROSECONDS = Fraction(1, 1_000_000)
CONTAINERS = {".mp4": "mp4", ".mkv": "matroska"}
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
# The tags of ITU-R BT.601 (525 lines) in ITU-T H.273; decoders that ignore tags assume the same matrix.
BT601_TAG = 6


@dataclass(frozen=True)
class Chapter:
    """One titled span of a video, ``[from_us, to_us)``, for players that show chapters."""

    title: str
    from_us: int
    to_us: int

    def __post_init__(self) -> None:
        if not 0 <= self.from_us < self.to_us:
            raise ConfigurationError(
                f'chapter "{self.title}" spans [{self.from_us}, {self.to_us}) us; a span needs 0 <= from < to'
            )


@dataclass(frozen=True)
class Encoding:
    """How pictures are compressed.

    Attributes:
        crf: Constant rate factor of x264, 0 (lossless, large) to 51 (coarse, small).
        preset: Effort of x264, one of ``PRESETS``: slower is smaller at the same look.
        keyframe_every: Frames from one key frame to the next, exactly; there are no others and no B-frames.
        rate_hz: Nominal frame rate: written to the stream's header, and the length of the last frame unless ``end_us``
            says otherwise. Times of frames are free.
        threads: Encoder threads; the bytes depend on the number.
    """

    crf: int = 23
    preset: str = "veryfast"
    keyframe_every: int = 50
    rate_hz: Fraction = Fraction(25)
    threads: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= 51:
            raise ConfigurationError(f"crf {self.crf} is outside 0..51; choose 18 (fine) to 30 (coarse)")
        if self.preset not in PRESETS:
            raise ConfigurationError(f'unknown preset "{self.preset}" (known: {", ".join(PRESETS)})')
        if self.keyframe_every < 1:
            raise ConfigurationError(
                f"keyframe_every {self.keyframe_every} is below 1 frame; 1 makes every frame a key"
            )
        if self.rate_hz <= 0:
            raise ConfigurationError(f"rate_hz {self.rate_hz} must be positive")
        if self.threads < 1:
            raise ConfigurationError(f"threads {self.threads} must be at least 1; a free choice would change the bytes")


class VideoWriter:
    """Writes one H.264 video (yuv420p, BT.601 limited range, tagged) from RGB pictures with explicit times.

    Use it as a context manager: the file appears under its name when the block ends well, and is removed when the block
    raises. MP4 keeps times to the microsecond and has its index in front (fast start); Matroska keeps milliseconds.

    Chroma needs even sizes: a picture with an odd width or height is padded by repeating its last column or row.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with VideoWriter(Path(folder) / "a.mp4") as video:
        ...         video.write(np.zeros((90, 160, 3), np.uint8), 0)
        ...         video.write(np.zeros((90, 160, 3), np.uint8), 40_000)
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['a.mp4']
    """

    def __init__(
        self,
        path: Path,
        encoding: Encoding | None = None,
        *,
        title: str | None = None,
        chapters: Sequence[Chapter] = (),
        end_us: int | None = None,
    ) -> None:
        """Prepares a video; nothing is opened before the block is entered.

        Args:
            path: Target; its suffix chooses the container, ``.mp4`` or ``.mkv``. An existing file is replaced.
            encoding: Compression; the defaults of ``Encoding`` where None.
            title: Title kept in the container.
            chapters: Chapters, in order of time and without overlap.
            end_us: End of the last frame; where None it lasts one nominal interval.

        Raises:
            ConfigurationError: The suffix is unknown or the chapters overlap.
        """
        if path.suffix.lower() not in CONTAINERS:
            raise ConfigurationError(f'"{path.name}" has no known container (known: {", ".join(sorted(CONTAINERS))})')
        for earlier, later in pairwise(chapters):
            if later.from_us < earlier.to_us:
                raise ConfigurationError(
                    f'chapter "{later.title}" starts at {later.from_us} us, before "{earlier.title}" ends at '
                    f"{earlier.to_us} us; give chapters in order and without overlap"
                )
        self.path = path
        self.frames = 0
        self._encoding = encoding or Encoding()
        self._title = title
        self._chapters = tuple(chapters)
        self._end_us = end_us
        self._partial = partial_path(path)
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._reformatter = VideoReformatter()  # kept, because a new one costs more than a small picture's conversion
        self._shape: tuple[int, ...] = ()
        self._last_us = -1
        self._waiting: Packet[VideoStream] | None = None

    def __enter__(self) -> Self:
        if not self.path.parent.is_dir():
            raise FootageError(f"folder {self.path.parent} does not exist; make it before writing {self.path.name}")
        return self

    def write(self, rgb: Picture, time_us: int) -> None:
        """Adds one picture.

        Args:
            rgb: uint8 RGB, shape (H, W, 3), the same shape throughout.
            time_us: Time at which the picture appears, in microseconds from the start of the video; strictly rising (in
                Matroska by at least a millisecond).

        Raises:
            ConfigurationError: The shape or type differs, or the time does not rise.
        """
        check_picture(rgb)
        if self._shape and rgb.shape != self._shape:
            raise ConfigurationError(f"picture of shape {rgb.shape} in a video of {self._shape}; resize it before")
        step_us = 1000 if self.path.suffix.lower() == ".mkv" else 1
        if time_us < 0 or (self.frames and time_us < self._last_us + step_us):
            raise ConfigurationError(
                f"time {time_us} us after {self._last_us} us; times start at 0 or later and rise by at least {step_us}"
            )
        if self._stream is None:
            self._open(rgb)
        assert self._stream is not None  # opened above
        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(_even(rgb), format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
        )
        frame.pts, frame.time_base = time_us, MICROSECONDS
        self._mux(self._stream.encode(frame))
        self._shape, self._last_us, self.frames = rgb.shape, time_us, self.frames + 1

    def _open(self, rgb: Picture) -> None:
        encoding, suffix = self._encoding, self.path.suffix.lower()
        options = {"fflags": "+bitexact"}  # Matroska would otherwise draw random identifiers
        if suffix == ".mp4":
            options |= {"movflags": "+faststart", "video_track_timescale": "1000000", "movie_timescale": "1000000"}
        self._container = av.open(str(self._partial), "w", format=CONTAINERS[suffix], options=options)
        if self._title is not None:
            self._container.metadata["title"] = self._title
        every = encoding.keyframe_every
        stream = self._container.add_stream(
            "libx264",
            rate=encoding.rate_hz,
            options={
                "crf": str(encoding.crf),
                "preset": encoding.preset,
                "x264-params": f"keyint={every}:min-keyint={every}:scenecut=0:bframes=0:threads={encoding.threads}",
            },
        )
        height, width = _even(rgb).shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = MICROSECONDS
        context.thread_count = encoding.threads
        context.color_range = ColorRange.MPEG.value
        context.colorspace = context.color_primaries = context.color_trc = BT601_TAG
        self._container.set_chapters([_container_chapter(i, chapter) for i, chapter in enumerate(self._chapters)])
        self._stream = stream

    def _mux(self, packets: "Sequence[Packet[VideoStream]]") -> None:
        """Holds one packet back, so that each leaves with its true duration."""
        assert self._container is not None
        for packet in packets:
            waiting, self._waiting = self._waiting, packet
            if waiting is not None:
                assert packet.pts is not None
                assert waiting.pts is not None
                waiting.duration = packet.pts - waiting.pts
                self._container.mux(waiting)

    def _finish(self) -> None:
        if self._stream is None or self._container is None:
            raise FootageError(f"{self.path.name} got no picture; a video needs at least one")
        self._mux(self._stream.encode(None))
        end_us = self._end_us if self._end_us is not None else self._last_us + round(1_000_000 / self._encoding.rate_hz)
        if end_us <= self._last_us:
            raise ConfigurationError(f"end_us {end_us} is not after the last picture at {self._last_us} us")
        if self._waiting is not None:
            self._waiting.duration = end_us - self._last_us
            self._container.mux(self._waiting)
        self._container.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        try:
            if kind is None:
                self._finish()
                os.replace(self._partial, self.path)
            elif self._container is not None:
                self._container.close()
        finally:
            self._partial.unlink(missing_ok=True)
        return False


def partial_path(path: Path) -> Path:
    """A hidden name beside ``path`` that no other writer uses, to be renamed to ``path`` when the file is whole."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.partial")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    partial = partial_path(path)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a whole file at once: readers see the old content or the new, never a part."""
    with _replacing(path) as partial:
        partial.write_bytes(content)


def check_picture(rgb: Picture) -> None:
    """Refuses what is not a uint8 RGB picture of shape (H, W, 3) with H, W >= 1.

    Raises:
        ConfigurationError: Type or shape differ.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise ConfigurationError(f"picture is {rgb.dtype} {rgb.shape}; pictures are uint8 RGB of shape (H, W, 3)")


def jpeg_bytes(rgb: Picture, quality: int = 88) -> bytes:
    """A picture as JPEG.

    Args:
        rgb: uint8 RGB, shape (H, W, 3).
        quality: 1 (coarse) to 100 (fine).

    Raises:
        ConfigurationError: quality or picture are not as said.
    """
    check_picture(rgb)
    if not 1 <= quality <= 100:
        raise ConfigurationError(f"quality {quality} is outside 1..100")
    done, content = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise FootageError(f"a picture of shape {rgb.shape} cannot be stored as JPEG; make it smaller")
    return bytes(content.tobytes())


def write_jpeg(path: Path, rgb: Picture, quality: int = 88) -> None:
    """Writes a picture as JPEG, whole or not at all.

    Args:
        path: Target, ``.jpg`` or ``.jpeg``; replaced where it exists.
        rgb: uint8 RGB, shape (H, W, 3).
        quality: 1 (coarse) to 100 (fine).

    Raises:
        ConfigurationError: Suffix, quality or picture are not as said.
    """
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        raise ConfigurationError(f'"{path.name}" is not a JPEG name; end it with .jpg')
    write_bytes(path, jpeg_bytes(rgb, quality))


def _even(rgb: Picture) -> Picture:
    height, width = rgb.shape[:2]
    if height % 2 or width % 2:
        return np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(rgb)


def _container_chapter(index: int, chapter: Chapter) -> "ContainerChapter":
    return {
        "id": index + 1,
        "start": chapter.from_us,
        "end": chapter.to_us,
        "time_base": MICROSECONDS,
        "metadata": {"title": chapter.title},
    }
