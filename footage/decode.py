"""Pictures of a recording, decoded in one pass and no more than needed.

Decoding begins at the key frame before a wanted picture. Between wanted pictures the decoder is told to skip what no
other picture refers to, and stretches that nothing wanted depends on are jumped over. A picture that cannot be decoded
faithfully is not delivered, nor are those that build on it; the rest of the recording is.
"""

import hashlib
import logging
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from footage.index import FrameIndex
from footage.regions import WHOLE, Region
from infra.errors import DecodeError

logging.getLogger("libav").setLevel(logging.CRITICAL)  # what matters of its complaints is counted in the coverage

JUMP_PACKETS = 12
"""Fewest unneeded packets for which draining the decoder and jumping is cheaper than skipping through."""
SEEK_PACKETS = 600
"""Fewest packets for which seeking in the file is cheaper than reading on."""
OPEN_OPTIONS = {"fflags": "+genpts"}

Rgb = NDArray[np.uint8]
Size = tuple[int, int]


class Picture:
    """One decoded picture; conversions are made when first asked for and kept.

    Attributes:
        index: position in the recording's `FrameIndex`.
        t_us: microseconds since the recording's first picture.
    """

    def __init__(self, index: int, t_us: int, frame: VideoFrame) -> None:
        self.index = index
        self.t_us = t_us
        self._frame = frame
        self._rgb: Rgb | None = None
        self._views: dict[tuple[Region, Size], Rgb] = {}

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return self._frame.height, self._frame.width

    def rgb(self) -> Rgb:
        """uint8 (H, W, 3), the whole picture at its own size."""
        if self._rgb is None:
            self._rgb = self._frame.to_ndarray(format="rgb24")
        return self._rgb

    def grey(self, width: int) -> NDArray[np.uint8]:
        """uint8 (h, `width`), reduced by area averaging, aspect kept."""
        height = max(1, round(self._frame.height * width / self._frame.width))
        reduced = self._frame.reformat(width=width, height=height, format="gray", interpolation=Interpolation.AREA)
        return reduced.to_ndarray()

    def view(self, region: Region, size: Size) -> Rgb:
        """uint8 (h, w, 3): the region, squashed to `size` = (h, w) by area averaging, masked outside a polygon."""
        key = (region, size)
        if key not in self._views:
            self._views[key] = self._whole(size) if region.outline == WHOLE.outline else self._part(region, size)
        return self._views[key]

    def _whole(self, size: Size) -> Rgb:
        reduced = self._frame.reformat(
            width=size[1], height=size[0], format="rgb24", interpolation=Interpolation.AREA
        )
        return reduced.to_ndarray()

    def _part(self, region: Region, size: Size) -> Rgb:
        part = region.crop(self.rgb())
        shrinks = part.shape[0] >= size[0] and part.shape[1] >= size[1]
        resized = cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return np.asarray(resized, dtype=np.uint8)

    def digest(self) -> str:
        """16 hexadecimal digits over the decoded samples, before any conversion of colour or size."""
        try:
            samples = self._frame.to_ndarray()
        except ValueError:  # a pixel format that NumPy has no plain form for
            samples = self.rgb()
        return hashlib.blake2b(np.ascontiguousarray(samples).data, digest_size=8).hexdigest()


class _Damaged(Exception):
    """The decoder met something it cannot decode faithfully."""


def decode(path: Path, index: FrameIndex, wanted: NDArray[np.int64], *, threads: int = 0) -> Iterator[Picture]:
    """Decode the wanted pictures in order of presentation.

    Args:
        path: the recording.
        index: its frame index.
        wanted: int64, increasing indices of the pictures to deliver.
        threads: decoding threads; 0 for one per core.

    Yields:
        The wanted pictures that can be decoded. One that is not delivered could not be.

    Raises:
        DecodeError: the file cannot be opened as the recording it was.
    """
    if np.any(np.diff(wanted) <= 0):
        raise ValueError("wanted indices increase strictly")
    left = wanted
    while len(left):
        reader = _Reader(path, index, threads or os.cpu_count() or 1)
        try:
            for picture in reader.pictures(left):
                left = left[np.searchsorted(left, picture.index, side="right") :]
                yield picture
            return
        except _Damaged:
            suspect = reader.suspect
        finally:
            reader.close()
        # Threads report an error late. One thread tells exactly where it is; it takes over up to the next sound key.
        careful, left = left[left <= suspect], left[left > suspect]
        yield from _decode_carefully(path, index, careful)


def _decode_carefully(path: Path, index: FrameIndex, wanted: NDArray[np.int64]) -> Iterator[Picture]:
    """Decode each key frame's group by itself in one thread, dropping what follows the first error in it."""
    groups = np.searchsorted(index.keys, wanted, side="right")
    for group in np.unique(groups):
        reader = _Reader(path, index, 1)
        try:
            yield from reader.pictures(wanted[groups == group])
        except _Damaged:
            continue
        finally:
            reader.close()


class _ByTime:
    """Tells which picture of the recording a decoded one is by its time stamp."""

    may_skip = True

    def __init__(self, index: FrameIndex) -> None:
        self._pts = index.pts

    def number(self, frame: VideoFrame) -> int:
        if frame.pts is None:
            return -1
        position = int(np.searchsorted(self._pts, frame.pts))
        return position if position < len(self._pts) and self._pts[position] == frame.pts else -1


class _Counting:
    """Tells it by counting from a key frame, where stamps do not belong to the pictures they come with."""

    may_skip = False

    def __init__(self, key: int) -> None:
        self._next = key

    def number(self, frame: VideoFrame) -> int:
        self._next += 1
        return self._next - 1


class _Reader:
    """An open recording and its decoder; good for one pass."""

    def __init__(self, path: Path, index: FrameIndex, threads: int) -> None:
        self._index = index
        self._path = path
        try:
            self._container: InputContainer = av.open(str(path), options=OPEN_OPTIONS)
        except (FFmpegError, OSError) as error:
            raise DecodeError(f"{path.name} cannot be opened: {error}; if it was replaced, run ingest again") from None
        if not self._container.streams.video:
            raise DecodeError(f"{path.name} has no video stream any more; if it was replaced, run ingest again")
        self._stream: VideoStream = self._container.streams.video[0]
        context = self._stream.codec_context
        context.thread_type = "NONE" if threads == 1 else "FRAME"
        context.thread_count = threads
        self._context: VideoCodecContext = context
        self._packets = self._demux()
        self._read = -1  # greatest index among the packets read so far

    def close(self) -> None:
        self._packets.close()
        self._container.close()

    @property
    def suspect(self) -> int:
        """Last index of the key frame's group that had been reached when an error showed."""
        following = int(np.searchsorted(self._index.keys, self._read, side="right"))
        return int(self._index.keys[following]) - 1 if following < len(self._index.keys) else len(self._index) - 1

    def pictures(self, wanted: NDArray[np.int64]) -> Iterator[Picture]:
        index = self._index
        group_of = np.searchsorted(index.keys, wanted, side="right") - 1
        wanted, group_of = wanted[group_of >= 0], group_of[group_of >= 0]
        position = 0
        while position < len(wanted):
            # A run: wanted pictures with no stretch between them that is worth jumping.
            end = position + 1
            while end < len(wanted) and not self._worth_jumping(wanted[end - 1], group_of[end - 1], group_of[end]):
                end += 1
            yield from self._run(wanted[position:end], int(index.keys[group_of[position]]))
            position = end

    def _worth_jumping(self, before: np.int64, group: np.int64, next_group: np.int64) -> bool:
        return bool(next_group > group and self._index.keys[next_group] - before > JUMP_PACKETS)

    def _run(self, wanted: NDArray[np.int64], key: int) -> Iterator[Picture]:
        """Decode from the key frame on until every picture of the run has been delivered."""
        numbers = {int(self._index.pts[i]): int(i) for i in wanted}
        naming = _Counting(key) if self._index.in_decoding_order else _ByTime(self._index)
        unfed, undelivered = set(numbers), len(wanted)
        for packet in self._from_key(key):
            self._context.skip_frame = "DEFAULT" if packet.pts in numbers or not naming.may_skip else "NONREF"
            for picture in self._named(self._decode(packet), naming, wanted):
                undelivered -= 1
                yield picture
            unfed.discard(packet.pts or 0)
            if not undelivered or (not unfed and naming.may_skip):
                break
        yield from self._named(self._decode(None), naming, wanted)
        self._context.flush_buffers()

    def _decode(self, packet: av.Packet | None) -> list[VideoFrame]:
        try:
            frames = self._context.decode(packet)
        except FFmpegError as error:
            if isinstance(error, av.error.EOFError):
                return []
            raise _Damaged from error
        if any(frame.is_corrupt for frame in frames):
            raise _Damaged
        return frames

    def _named(
        self, frames: list[VideoFrame], naming: "_ByTime | _Counting", wanted: NDArray[np.int64]
    ) -> Iterator[Picture]:
        for frame in frames:
            number = naming.number(frame)
            position = int(np.searchsorted(wanted, number))
            if position < len(wanted) and wanted[position] == number:
                yield Picture(number, int(self._index.t_us[number]), frame)

    def _demux(self) -> Generator[av.Packet, None, None]:
        try:
            for packet in self._container.demux(self._stream):
                if packet.size and packet.pts is not None:
                    yield packet
        except FFmpegError:
            return  # the same place where the index of this file ends

    def _from_key(self, key: int) -> Iterator[av.Packet]:
        """Packets from the key frame `key` on, in decoding order."""
        index = self._index
        pts = int(index.pts[key])
        if key - self._read > SEEK_PACKETS:
            self._packets.close()
            self._container.seek(pts, backward=True, any_frame=False, stream=self._stream)
            self._packets = self._demux()
        rewound = False
        while True:
            for packet in self._packets:
                if packet.pts == pts and packet.is_keyframe:
                    self._read = max(self._read, key)
                    yield packet
                    yield from self._rest()
                    return
            if rewound:
                raise _Damaged
            # Some containers seek past what was asked for; from the start it cannot be missed.
            rewound = True
            self._container.seek(0, backward=True, any_frame=False)
            self._packets = self._demux()

    def _rest(self) -> Iterator[av.Packet]:
        for packet in self._packets:
            self._read = max(self._read, int(np.searchsorted(self._index.pts, packet.pts)))
            yield packet
