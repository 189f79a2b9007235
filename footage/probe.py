"""What a file holds, read from its container and packets; nothing is decoded but its first picture."""

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError, InvalidDataError
from av.video.stream import VideoStream
from numpy.typing import NDArray

from footage.decode import REORDER_PACKETS, decode, open_recording, read_packets, video_stream
from footage.index import MICROSECONDS, FrameIndex
from infra.errors import FootageError

HASH_BYTES = 16
READ_BYTES = 1 << 20
DAY_US = 86_400 * MICROSECONDS
LONGEST_US = 31 * DAY_US
"""No recording is longer: where its pictures are spread over more, a time stamp is wrong, and a length that says more is."""


@dataclass(frozen=True)
class Probe:
    """A readable recording: its pictures' times, and what the container says of them."""

    index: FrameIndex
    width: int
    height: int
    codec: str

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a picture has width and height, got {self.width} × {self.height}")


def content_hash(path: Path) -> str:
    """32 hexadecimal digits of BLAKE2b over the file's bytes: the identity of a recording, wherever it lies."""
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def probe(path: Path) -> Probe:
    """Read a recording's frame index and check that its first picture decodes.

    Raises:
        FootageError: the file is empty, no video, or holds no picture that can be decoded; the message is the reason
            it is quarantined with.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FootageError(f"the file cannot be read ({error.strerror})") from None
    if size == 0:
        raise FootageError("the file is empty")
    try:
        with open_recording(path) as container:
            found = _read(container)
    except MemoryError:  # FFmpeg's own among them: that is no fault of the file's
        raise
    except (FFmpegError, ValueError) as error:
        raise FootageError(f"not a readable video file ({_plain(error)})") from None
    if not len(found.index.keys):
        raise FootageError("no key frame: no picture can be decoded")
    # Sound packets do not make sound pictures: a few key frames are tried before the file is believed.
    tried = found.index.keys[:3]
    if not any(True for _ in decode(path, found.index, tried, threads=1)):
        raise FootageError("packets are there, but no picture can be decoded")
    return found


def _read(container: InputContainer) -> Probe:
    if not container.streams.video:
        kinds = sorted({str(stream.type) for stream in container.streams}) or ["nothing"]
        raise FootageError(f"no video stream (it holds {', '.join(kinds)})")
    stream = video_stream(container)
    if stream is None:
        raise FootageError("its only picture is a cover")
    context = stream.codec_context
    if context is None:
        raise FootageError("its video is of a codec that is not known here; convert it to H.264, say")
    packets = [(packet.pts or 0, packet.is_keyframe) for packet in read_packets(container, stream)]
    if not packets:
        raise FootageError("the video stream holds no packets")
    pts = np.array([at for at, _ in packets], dtype=np.int64)
    order, first = np.unique(pts, return_index=True)
    if stream.time_base is None or not context.width or not context.height:
        raise FootageError("the video stream has no time base or picture size")
    _refuse_jumps_back(pts, stream.time_base)
    index = FrameIndex(
        order,
        np.array([is_key for _, is_key in packets], dtype=np.bool_)[first],
        stream.time_base,
        declared_us=_believed_us(_declared_us(container, stream, int(order[0]))),
        in_decoding_order=bool(context.has_b_frames) and bool(np.all(np.diff(pts) >= 0)),
    )
    if index.extent_us > LONGEST_US:
        raise FootageError(
            f"its pictures are spread over {index.extent_us / DAY_US:.0f} days, more than the "
            f"{LONGEST_US // DAY_US} that a recording may have: a time stamp is damaged, or its clock jumps ahead; "
            "cut the file in two there"
        )
    return Probe(index, context.width, context.height, context.name)


def _refuse_jumps_back(pts: NDArray[np.int64], time_base: Fraction) -> None:
    """Refuse a file whose clock was set back while it was recorded: two scenes would be told as one, interleaved."""
    steps = np.diff(pts)
    usual = float(np.median(np.abs(steps))) if len(steps) else 0.0
    for after in (np.flatnonzero(steps < -REORDER_PACKETS * max(usual, 1.0)) + 1).tolist():
        # A single wrong stamp is no jump: what lies around it tells.
        before, since = pts[max(0, after - REORDER_PACKETS) : after], pts[after : after + REORDER_PACKETS]
        if min(len(before), len(since)) >= REORDER_PACKETS // 2 and np.median(since) < np.median(before):
            back_s = float(int(np.max(before) - np.min(since)) * time_base)
            raise FootageError(f"its clock jumps back by {back_s:.1f} s at picture {after}; cut the file in two there")


def _believed_us(declared_us: int) -> int:
    """A length that the container declares; none where no recording is so long."""
    return declared_us if declared_us <= LONGEST_US else 0


def _declared_us(container: InputContainer, stream: VideoStream, first_pts: int) -> int:
    if stream.time_base is not None:
        if stream.duration is not None:
            return max(0, round(stream.duration * stream.time_base * MICROSECONDS))
        if "matroska" in container.format.name:  # counts from time 0, wherever the first picture stands
            return max(0, (container.duration or 0) - max(0, round(first_pts * stream.time_base * MICROSECONDS)))
    return max(0, container.duration or 0)


def _plain(error: Exception) -> str:
    """The reason in words; FFmpeg's own where it is telling."""
    if isinstance(error, InvalidDataError):
        return "its header is absent or damaged, or it is something else"
    if isinstance(error, ArgumentError):
        return "it is something else, such as a picture, a text or a playlist"
    return (getattr(error, "strerror", None) or str(error)).split(":")[0].strip() or "no reason given"
