"""Writes what people look at: H.264 video with exact times, JPEG pictures, contact sheets, captions.

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
from itertools import pairwise, product
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
FONT = cv2.FONT_HERSHEY_SIMPLEX


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


def draw_caption(rgb: Picture, text: str) -> Picture:
    """A copy of a picture with one line of small text burnt into its lower left corner.

    Light letters with a dark outline, legible on bright and dark alike; shrunk, then cut with "..", to fit the width.
    Letters outside ASCII become "?": OpenCV 4 has no others.

    Args:
        rgb: uint8 RGB, shape (H, W, 3).
        text: One line; empty draws nothing.

    Returns:
        uint8 RGB of the same shape.
    """
    check_picture(rgb)
    drawn: Picture = rgb.copy()
    if not text:
        return drawn
    height, width = rgb.shape[:2]
    margin = max(2, min(height, width) // 60)
    line, scale = _fitted(text, width - 2 * margin, min(1.2, max(0.36, height / 700)))
    left, bottom = margin, height - 1 - margin - round(5 * scale)
    rim = max(1, round(2 * scale))
    # A thicker pen would not outline the letters: from OpenCV 5 on it widens their spacing too.
    for right, down in product((-rim, 0, rim), repeat=2):
        cv2.putText(drawn, line, (left + right, bottom + down), FONT, scale, (12, 12, 14), 1, cv2.LINE_AA)
    cv2.putText(drawn, line, (left, bottom), FONT, scale, (250, 250, 246), 1, cv2.LINE_AA)
    return drawn


def contact_sheet(pictures: Sequence[Picture], captions: Sequence[str], columns: int, width: int) -> Picture:
    """Lays pictures out in rows, left to right, each over its caption.

    Args:
        pictures: At least one uint8 RGB picture (H, W, 3); sizes may differ, proportions are kept.
        captions: One line for each picture.
        columns: Pictures in a row.
        width: Width of the sheet in pixels, at least 40 for each column.

    Returns:
        uint8 RGB, shape (height that the rows need, width, 3).

    Raises:
        ConfigurationError: Nothing to show, captions missing, or no room.
    """
    if not pictures or len(pictures) != len(captions):
        raise ConfigurationError(
            f"{len(pictures)} pictures and {len(captions)} captions; give at least one picture and a caption for each"
        )
    if columns < 1 or width < 40 * columns:
        raise ConfigurationError(f"{columns} columns in {width} px; use at least one column and 40 px for each")
    for picture in pictures:
        check_picture(picture)
    gap, strip = 6, 20
    cell = (width - gap * (columns + 1)) // columns
    highs = [max(1, round(cell * picture.shape[0] / picture.shape[1])) for picture in pictures]
    rows = [max(highs[first : first + columns]) + strip + gap for first in range(0, len(highs), columns)]
    sheet: Picture = np.full((gap + sum(rows), width, 3), 24, np.uint8)
    for index, (picture, caption, high) in enumerate(zip(pictures, captions, highs, strict=True)):
        row, column = divmod(index, columns)
        top, left = gap + sum(rows[:row]), gap + column * (cell + gap)
        method = cv2.INTER_AREA if picture.shape[1] > cell else cv2.INTER_LINEAR
        sheet[top : top + high, left : left + cell] = cv2.resize(picture, (cell, high), interpolation=method)
        line, scale = _fitted(caption, cell, 0.42)
        at = (left + 1, gap + sum(rows[: row + 1]) - gap - 6)
        cv2.putText(sheet, line, at, FONT, scale, (226, 228, 230), 1, cv2.LINE_AA)
    return sheet


def _fitted(text: str, room: int, scale: float) -> tuple[str, float]:
    """The text and letter size that fit into ``room`` pixels: smaller first, then shorter."""
    line = "".join(letter if " " <= letter <= "~" else "?" for letter in text)

    def wide(some: str, size: float) -> int:
        return int(cv2.getTextSize(some, FONT, size, 1)[0][0])

    smaller = scale
    while smaller > 0.32 and wide(line, smaller) > room:
        smaller = max(0.32, smaller * 0.92)
    if wide(line, smaller) <= room:
        return line, smaller
    while line and wide(line + "..", smaller) > room:
        line = line[:-1]
    return line + "..", smaller
