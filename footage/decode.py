"""Pictures of a recording, decoded in one pass and no more than needed.

Decoding begins at the key frame before a wanted picture. Between wanted pictures the decoder is told to skip what no
other picture refers to, and stretches that nothing wanted depends on are jumped over. A picture that cannot be decoded
faithfully is not delivered, nor are those that build on it; the rest of the recording is. What is delivered has the
pixels that decoding the whole file from its start would give, whatever else is wanted.

Codecs carry no checksums: damage that happens to read as another valid picture cannot be told from one.
"""

import logging
import os
from collections import deque
from collections.abc import Generator, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from footage.continuity import Continuity
from footage.index import FrameIndex
from footage.pictures import Picture
from infra.errors import DecodeError

logging.getLogger("libav").setLevel(logging.CRITICAL)  # what matters of its complaints is counted in the coverage

JUMP_PACKETS = 12
"""Fewest unneeded packets for which draining the decoder and jumping is cheaper than skipping through."""
SEEK_PACKETS = 600
"""Fewest packets for which seeking in the file is cheaper than reading on."""
REORDER_PACKETS = 20
"""More packets than any decoder holds back to put pictures into order (H.264 and HEVC: 16)."""
FORMATS = (
    "mov",
    "matroska",
    "avi",
    "mpegts",
    "mpeg",
    "asf",
    "flv",
    "mxf",
    "dv",
    "dhav",
    "ogg",
    "nut",
    "ivf",
    "rm",
    "wtv",
)
"""Containers of recordings, by their names in FFmpeg; each tells its pictures' times."""
RECOVERING_CODECS = ("h264", "hevc")
"""Codecs whose decoders withhold what they show before a recovery point has been reached."""


def open_recording(path: Path) -> InputContainer:
    """Open a file for reading; only formats that hold recordings are tried, never pictures, texts or playlists.

    Raises:
        FFmpegError: it is none.
    """
    options = {"fflags": "+genpts", "format_whitelist": ",".join(FORMATS)}
    return av.open(str(path), options=options, metadata_errors="replace")


if TYPE_CHECKING:  # PyAV's types take parameters in its stubs only
    _Packet = av.Packet[VideoStream]


def video_stream(container: InputContainer) -> VideoStream | None:
    """The first video stream that is no still picture such as a cover."""
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    return next((stream for stream in container.streams.video if not stream.disposition & still), None)


def read_packets(container: InputContainer, stream: VideoStream) -> "Generator[_Packet, None, None]":
    """The stream's packets that hold data and have a time, in decoding order, up to where the file can be read."""
    while True:
        try:
            for packet in container.demux(stream):
                if packet.size and packet.pts is not None:
                    yield packet
        except IndexError:
            continue  # a packet of a stream that was not announced; reading goes on behind it
        except FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            return
        return


class _Damaged(Exception):
    """The decoder met something it cannot decode faithfully; `at` is the picture's index, exact in one thread."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class _Unclean(Exception):
    """Decoding cannot begin at this key frame: what follows leans on pictures before it."""


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
    if len(wanted) and not 0 <= wanted[0] <= wanted[-1] < len(index):
        raise ValueError(f"wanted indices are among 0 … {len(index) - 1}, got {wanted[0]} … {wanted[-1]}")
    return _Decoding(path, index, wanted, threads or os.cpu_count() or 1).pictures()


class _Decoding:
    """One call of `decode`: passes over the file until every wanted picture is delivered or known to be lost."""

    def __init__(self, path: Path, index: FrameIndex, wanted: NDArray[np.int64], threads: int) -> None:
        self._path, self._index, self._threads = path, index, threads
        self._left = wanted[wanted >= index.keys[0]] if len(index.keys) else wanted[:0]
        self._floor = 0  # position of the first key frame to begin at: nothing is decoded across damage

    def pictures(self) -> Iterator[Picture]:
        while len(self._left):
            reader = _Reader(self._path, self._index, self._threads)
            suspect = len(self._index) - 1
            try:
                for picture in reader.pictures(self._left):
                    # Pictures come in order: those before this one will not come from this pass any more.
                    yield from self._carefully(picture.index - 1)
                    self._left = _after(self._left, picture.index)
                    yield picture
            except _Damaged:
                suspect = max([reader.suspect, *self._left[:1].tolist()])
            except _Unclean:
                yield from self._straight()
                continue
            finally:
                reader.close()
            # Threads report an error late. One thread tells exactly where it is; it takes over up to the next key.
            yield from self._carefully(suspect)

    def _group(self, index: int) -> int:
        return int(np.searchsorted(self._index.keys, index, side="right")) - 1

    def _groups(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray(np.searchsorted(self._index.keys, indices, side="right") - 1, dtype=np.int64)

    def _starts(self, group: int) -> list[int]:
        """Positions of key frames to begin at for the sake of a group: its own, then ever earlier ones."""
        steps = [group + 1 - (1 << power) for power in range(64) if group + 1 - (1 << power) > self._floor]
        return [*steps, self._floor] if group >= self._floor else []

    def _carefully(self, last: int) -> Iterator[Picture]:
        """Decode what is left up to `last` in one thread, each key frame's group by itself."""
        while len(self._left) and self._left[0] <= last:
            group = self._group(int(self._left[0]))
            in_group = self._left[: np.searchsorted(self._left, last, side="right")]
            in_group = in_group[self._groups(in_group) == group]
            for picture in self._one_group(group, in_group):
                self._left = _after(self._left, picture.index)
                yield picture
            self._left = _after(self._left, int(in_group[-1]))

    def _one_group(self, group: int, wanted: NDArray[np.int64]) -> Iterator[Picture]:
        tries = 2  # a key frame may be one in name only: what cannot be had from it is tried from the one before
        for start in self._starts(group):
            reader = _Reader(self._path, self._index, 1)
            try:
                for picture in reader.run(wanted, start):
                    wanted = _after(wanted, picture.index)
                    yield picture
                tries -= 1
            except _Unclean:
                continue
            except _Damaged as damage:
                tries -= 1
                if not tries or start == self._floor:
                    self._floor = max(self._floor, self._group(damage.at) + 1)
            finally:
                reader.close()
            if not tries or not len(wanted):
                return

    def _straight(self) -> Iterator[Picture]:
        """Decode what is left without a jump, from the nearest key frame where decoding can begin."""
        group = self._group(int(self._left[0]))
        for start in self._starts(group):
            reader = _Reader(self._path, self._index, 1)
            try:
                for picture in reader.run(self._left, start):
                    self._left = _after(self._left, picture.index)
                    yield picture
                self._left = self._left[:0]
                return
            except _Unclean:
                continue
            except _Damaged as damage:
                damaged = self._group(damage.at)
                self._floor = damaged + 1
                self._left = self._left[self._groups(self._left) > damaged]
                return
            finally:
                reader.close()
        self._left = self._left[self._groups(self._left) > group]


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
    """Tells it by counting, where stamps do not belong to the pictures they come with."""

    may_skip = False

    def __init__(self, first: int) -> None:
        self._next = first

    def number(self, frame: VideoFrame) -> int:  # noqa: ARG002 — the signature is that of the other way
        self._next += 1
        return self._next - 1


class _Reader:
    """An open recording and its decoder; good for one pass."""

    def __init__(self, path: Path, index: FrameIndex, threads: int) -> None:
        self._index = index
        self._path = path
        self._threads = threads
        self._read = -1  # greatest index among the packets read so far
        self._open()

    def _open(self) -> None:
        try:
            self._container: InputContainer = open_recording(self._path)
        except (FFmpegError, OSError) as error:
            name = self._path.name
            raise DecodeError(f"{name} cannot be opened: {error}; if it was replaced, run ingest again") from None
        stream = video_stream(self._container)
        if stream is None or stream.codec_context is None:
            self._container.close()
            raise DecodeError(f"{self._path.name} has no video stream any more; if it was replaced, run ingest again")
        self._stream: VideoStream = stream
        self._packets = read_packets(self._container, self._stream)
        self._context: VideoCodecContext = stream.codec_context
        self._context.thread_type = "NONE" if self._threads == 1 else "FRAME"
        self._context.thread_count = self._threads
        self._context.copy_opaque = True
        if self._context.name != "h264":
            # H.264 marks what it conceals; asked to be strict, it would also refuse pictures for their cameras' odd
            # supplements. The others conceal silently unless they are asked.
            self._context.options = {"err_detect": "explode"}

    def close(self) -> None:
        self._packets.close()
        self._container.close()

    @property
    def suspect(self) -> int:
        """Last index of the key frame's group that had been reached when an error showed."""
        following = int(np.searchsorted(self._index.keys, self._read, side="right"))
        return int(self._index.keys[following]) - 1 if following < len(self._index.keys) else len(self._index) - 1

    def pictures(self, wanted: NDArray[np.int64]) -> Iterator[Picture]:
        """Decode pictures that all have a key frame before them, jumping over what they do not depend on."""
        group_of = np.searchsorted(self._index.keys, wanted, side="right") - 1
        position = 0
        while position < len(wanted):
            # A run: wanted pictures with no stretch between them that is worth jumping.
            end = position + 1
            while end < len(wanted) and not self._worth_jumping(wanted[end - 1], group_of[end - 1], group_of[end]):
                end += 1
            yield from self.run(wanted[position:end], int(group_of[position]))
            position = end

    def _worth_jumping(self, before: np.int64, group: np.int64, next_group: np.int64) -> bool:
        least = JUMP_PACKETS + (REORDER_PACKETS if self._index.in_decoding_order else 0)
        return bool(next_group > group and self._index.keys[next_group] - before > least)

    def run(self, wanted: NDArray[np.int64], start: int) -> Iterator[Picture]:
        """Decode from the key frame at position `start` of the index's keys on until all of `wanted` was delivered."""
        index = self._index
        key = int(index.keys[start])
        packets = self._from_key(key)
        keys = _KeyCheck(self._context.name, trusted=start == 0)
        naming: _ByTime | _Counting = _ByTime(index)
        if index.in_decoding_order:
            ahead = list(islice(packets, REORDER_PACKETS))
            naming, packets = _Counting(key + self._withheld(ahead, keys)), chain(ahead, packets)
        needed = {int(index.pts[i]) for i in wanted}
        unfed, last = set(needed), int(wanted[-1])
        at, shown = key, -1
        continuity = Continuity(self._context.extradata) if self._context.name == "h264" else None
        for packet in packets:
            at = self._position(packet)
            if packet.is_keyframe and naming.may_skip:
                keys.fed(at)
            self._context.skip_frame = "DEFAULT" if packet.pts in needed or not naming.may_skip else "NONREF"
            broken = continuity is not None and continuity.is_broken_by(bytes(packet))
            for picture in self._decoded(packet, at, naming, keys, broken=broken):
                if picture.index > shown and _holds(wanted, picture.index):
                    yield picture
                shown = max(shown, picture.index)
            unfed.discard(packet.pts or 0)
            if shown >= last or (not unfed and naming.may_skip):
                break
        for picture in self._decoded(None, at, naming, keys):
            if picture.index > shown and _holds(wanted, picture.index):
                yield picture
            shown = max(shown, picture.index)
        keys.ended()
        self._context.flush_buffers()

    def _withheld(self, packets: "list[_Packet]", keys: "_KeyCheck") -> int:
        """Rehearse the beginning of a count: how many pictures after the key frame the decoder never shows.

        They come before it in order of presentation and lean on pictures before it (an open group of pictures).
        """
        self._context.skip_frame = "DEFAULT"
        key, count = self._position(packets[0]), 0
        keys.fed(key)
        for packet in (*packets, None):
            if packet is not None:
                packet.opaque = self._position(packet)
            for frame in self._frames(packet, key):
                if frame.is_corrupt:
                    raise _Damaged(key)
                keys.shown(int(str(frame.opaque)), frame)
                count += 1
        keys.ended()
        self._context.flush_buffers()
        return len(packets) - count

    def _decoded(
        self,
        packet: "_Packet | None",
        at: int,
        naming: "_ByTime | _Counting",
        keys: "_KeyCheck",
        *,
        broken: bool = False,
    ) -> Iterator[Picture]:
        try:
            frames = self._frames(packet, at, broken=broken)
        except _Damaged:
            # What one thread holds back for the sake of order was decoded before the error, and is sound. Where it has
            # to be counted, only what belongs to earlier groups is known by its number.
            if self._threads == 1 and packet is not None:
                group = self._index.keys[np.searchsorted(self._index.keys, at, side="right") - 1]
                for picture in self._decoded(None, at, naming, keys):
                    if picture.index != at and (naming.may_skip or picture.index < group):
                        yield picture
            raise
        for frame in frames:
            number = naming.number(frame)
            if frame.is_corrupt:
                raise _Damaged(at if number < 0 else number)
            if number >= 0 and naming.may_skip:
                keys.shown(number, frame)
            if 0 <= number < len(self._index):
                yield Picture(number, int(self._index.t_us[number]), frame)

    def _frames(self, packet: "_Packet | None", at: int, *, broken: bool = False) -> list[VideoFrame]:
        if broken or (packet is not None and packet.is_corrupt):
            raise _Damaged(at)
        try:
            return self._context.decode(packet)
        except FFmpegError as error:
            if isinstance(error, av.error.EOFError):
                return []
            if isinstance(error, MemoryError):  # no fault of the recording's: it must not be told as damaged
                raise
            raise _Damaged(at) from error

    def _position(self, packet: "_Packet") -> int:
        return min(int(np.searchsorted(self._index.pts, packet.pts or 0)), len(self._index) - 1)

    def _from_key(self, key: int) -> "Iterator[_Packet]":
        """Packets from the key frame with index `key` on, in decoding order."""
        pts = int(self._index.pts[key])
        if key - self._read > SEEK_PACKETS:
            self._packets.close()
            try:
                self._container.seek(pts, backward=True, any_frame=False, stream=self._stream)
                self._packets = read_packets(self._container, self._stream)
            except FFmpegError:
                self.close()
                self._open()
        for again in (False, True):
            if again:
                # Some containers seek past what was asked for; from the start it cannot be missed.
                self.close()
                self._open()
            for packet in self._packets:
                if packet.pts == pts and packet.is_keyframe:
                    yield from self._read_on(packet)
                    return
        raise DecodeError(
            f"{self._path.name} has no key frame at {self._index.t_us[key] / 1e6:.3f} s any more; "
            "if it was replaced, run ingest again"
        )

    def _read_on(self, first: "_Packet") -> "Iterator[_Packet]":
        for packet in chain([first], self._packets):
            self._read = max(self._read, self._position(packet))
            yield packet


class _KeyCheck:
    """Holds a decoder to showing the key frames it was fed: one that is passed over leaves nothing sound behind it."""

    def __init__(self, codec: str, *, trusted: bool) -> None:
        self._codec = codec
        self._waiting: deque[int] = deque()
        # Before a recording's first key frame is nothing to lean on; the decoder itself withholds what is not whole.
        self._begun = trusted and codec in RECOVERING_CODECS

    def fed(self, number: int) -> None:
        self._waiting.append(number)

    def shown(self, number: int, frame: VideoFrame) -> None:
        while self._waiting and self._waiting[0] <= number:
            key = self._waiting.popleft()
            if not self._begun and (key < number or not self._is_clean(frame)):
                raise _Unclean
            if key < number:
                raise _Damaged(key)
            self._begun = True

    def ended(self) -> None:
        if self._waiting and not self._begun:
            raise _Unclean
        if self._waiting:
            raise _Damaged(self._waiting[0])

    def _is_clean(self, frame: VideoFrame) -> bool:
        if frame.interlaced_frame and frame.key_frame:  # of a key frame's two fields, the second may be predicted
            return True
        is_intra = frame.pict_type in (PictureType.I, PictureType.SI, PictureType.NONE)
        return is_intra and (frame.key_frame or self._codec != "h264")


def _after(indices: NDArray[np.int64], index: int) -> NDArray[np.int64]:
    return indices[np.searchsorted(indices, index, side="right") :]


def _holds(indices: NDArray[np.int64], index: int) -> bool:
    position = int(np.searchsorted(indices, index))
    return position < len(indices) and bool(indices[position] == index)
