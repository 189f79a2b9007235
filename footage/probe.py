"""What a file holds, read from its container and packets; nothing is decoded but its first picture."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from footage.decode import OPEN_OPTIONS, decode
from footage.index import MICROSECONDS, FrameIndex
from infra.errors import FootageError

HASH_BYTES = 16
READ_BYTES = 1 << 20


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
    if path.stat().st_size == 0:
        raise FootageError("the file is empty")
    try:
        with av.open(str(path), options=OPEN_OPTIONS) as container:
            found = _read(container)
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
        kinds = sorted({stream.type for stream in container.streams}) or ["nothing"]
        raise FootageError(f"no video stream (it holds {', '.join(kinds)})")
    stream = container.streams.video[0]
    context = stream.codec_context
    pts, keys = _packets(container, stream)
    if not pts:
        raise FootageError("the video stream holds no packets")
    order, first = np.unique(np.array(pts, dtype=np.int64), return_index=True)
    if stream.time_base is None or not context.width or not context.height:
        raise FootageError("the video stream has no time base or picture size")
    index = FrameIndex(
        order,
        np.array(keys, dtype=np.bool_)[first],
        stream.time_base,
        declared_us=_declared_us(container, stream),
        in_decoding_order=bool(context.has_b_frames) and pts == sorted(pts),
    )
    return Probe(index, context.width, context.height, context.name)


def _packets(container: InputContainer, stream: VideoStream) -> tuple[list[int], list[bool]]:
    pts: list[int] = []
    keys: list[bool] = []
    try:
        for packet in container.demux(stream):
            if packet.size and packet.pts is not None:
                pts.append(packet.pts)
                keys.append(packet.is_keyframe)
    except FFmpegError:
        pass  # what was read until here is the recording; the rest counts as missing
    return pts, keys


def _declared_us(container: InputContainer, stream: VideoStream) -> int:
    if stream.duration is not None and stream.time_base is not None:
        return max(0, round(stream.duration * stream.time_base * MICROSECONDS))
    return max(0, container.duration or 0)


def _plain(error: Exception) -> str:
    text = str(error)
    return text.split("; last error log")[0].replace("[Errno 1094995529] ", "").split(":")[0].strip() or "no reason given"
