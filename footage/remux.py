"""Cuts a span out of a recording by stream copy: its packets as they are, so its pixels are the recording's own.

A copy can only begin at a key frame, so it may hold pictures before the span; which ones is said exactly. Times are kept,
counted from the first picture held. Sound is left out. The same recording and span give the same bytes.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from numpy.typing import NDArray

from footage.decode import open_recording, read_packets, video_stream
from footage.index import FrameIndex
from footage.writing import partial_path
from infra.errors import FootageError

if TYPE_CHECKING:  # PyAV's types take parameters in its stubs only
    _Packet = av.Packet[VideoStream]

MP4_CODECS = ("h264", "hevc", "mpeg4", "av1")
"""Codecs that players expect in MP4; all others go into Matroska."""
UNTIMED = "avi"
"""Container that knows no times of presentation, by its name in FFmpeg."""


@dataclass(frozen=True)
class CopiedSpan:
    """What a copy holds.

    Attributes:
        path: of the copy, `.mp4` or `.mkv`.
        first, last: pictures of the recording that it holds, by index, half open.
        from_us, to_us: times in the recording of the first of them, which the copy shows at 0, and of their end.
        first_pts, last_pts: time stamps in the recording of the first and of the last of them.
        time_base: seconds per unit of these.
    """

    path: Path
    first: int
    last: int
    from_us: int
    to_us: int
    first_pts: int
    last_pts: int
    time_base: Fraction

    def __post_init__(self) -> None:
        if not (self.first < self.last and self.from_us < self.to_us and self.first_pts <= self.last_pts):
            raise ValueError(f"a copy holds at least one picture: {self}")


def copy_span(source: Path, index: FrameIndex, from_us: int, to_us: int, stem: Path) -> CopiedSpan:
    """Copy the pictures on display in ``[from_us, to_us)``, and those before them back to a key frame.

    Where pictures are stored in another order than they are shown, a few after the span may be held as well.

    Args:
        source: The recording.
        index: Its frame index.
        from_us: Microseconds since its first picture.
        to_us: Likewise.
        stem: Where the copy is to lie, without suffix: the codec decides that. It appears when it is whole.

    Raises:
        FootageError: No picture lies in the span, none before its end can be decoded, the container does not tell which
            picture is which, or the recording cannot be read or copied.
    """
    name = source.name
    wanted = _wanted(index, from_us, to_us, name)
    before = index.keys[index.keys <= wanted[0]]
    key = int(before[-1]) if len(before) else int(index.keys[0])
    try:
        # Some containers seek past what was asked for; from the start it cannot be missed.
        for seeking in (True, False):
            with open_recording(source) as container:
                stream = video_stream(container)
                if stream is None or stream.codec_context is None:
                    raise FootageError(f"{name} has no video stream any more; if it was replaced, run ingest again")
                if index.in_decoding_order and UNTIMED in container.format.name:
                    raise FootageError(
                        f"{name} stores pictures in another order than they are shown, and AVI cannot say which is shown "
                        "when; convert it to MP4 or Matroska, say, and take it in again"
                    )
                packets = _packets(container, stream, index, key, int(wanted[-1]), seeking=seeking)
                if packets:
                    suffix = ".mp4" if stream.codec_context.name in MP4_CODECS else ".mkv"
                    return _copied(stem.with_name(stem.name + suffix), stream, packets, index, key)
    except (FFmpegError, OSError) as error:
        raise FootageError(f"{name} cannot be copied: {error}; if it was replaced, run ingest again") from None
    raise FootageError(
        f"{name} has not all of its pictures from {index.t_us[key] / 1e6:.3f} to {index.t_us[wanted[-1]] / 1e6:.3f} s any "
        "more; if it was replaced, run ingest again"
    )


def _copied(path: Path, stream: VideoStream, packets: "Sequence[_Packet]", index: FrameIndex, key: int) -> CopiedSpan:
    last = int(np.searchsorted(index.pts, max(packet.pts or 0 for packet in packets))) + 1
    _write(path, stream, packets, _end_pts(index, last))
    end_us = int(index.t_us[last]) if last < len(index) else index.extent_us
    pts = int(index.pts[key]), int(index.pts[last - 1])
    return CopiedSpan(path, key, last, int(index.t_us[key]), end_us, *pts, index.time_base)


def _wanted(index: FrameIndex, from_us: int, to_us: int, name: str) -> NDArray[np.int64]:
    """Pictures that are on display in the span and have a key frame before them."""
    first, last = (int(at) for at in np.searchsorted(index.t_us, [from_us, to_us]))
    shown = int(index.on_display(np.array([from_us]))[0])
    first = first if shown < 0 else min(first, shown)
    wanted = np.arange(first, last, dtype=np.int64)
    wanted = wanted[wanted >= index.keys[0]] if len(index.keys) else wanted[:0]
    if not len(wanted):
        raise FootageError(
            f"{name} has no picture that can be decoded from {from_us / 1e6:.3f} to {to_us / 1e6:.3f} s; "
            f"it lasts {index.duration_us / 1e6:.3f} s"
        )
    return wanted


def _packets(
    container: InputContainer, stream: VideoStream, index: FrameIndex, key: int, last: int, *, seeking: bool
) -> "list[_Packet]":
    """Packets from a key frame on, in decoding order, until no picture up to `last`, or between those read, is absent.

    None where the key frame is not found, or the file ends before.
    """
    begin = int(index.pts[key])
    if seeking:
        try:
            container.seek(begin, backward=True, any_frame=False, stream=stream)
        except FFmpegError:
            return []
    taken: list[_Packet] = []
    missing, reached = set(index.pts[key : last + 1].tolist()), last
    for packet in read_packets(container, stream):
        pts = packet.pts or 0
        if not taken and not (packet.is_keyframe and pts == begin):
            continue
        if pts < begin:
            continue  # shown before the key frame, and made of pictures before it
        taken.append(packet)
        at = int(np.searchsorted(index.pts, pts))
        if at > reached:
            missing |= set(index.pts[reached + 1 : at + 1].tolist())
            reached = at
        missing.discard(pts)
        if not missing:
            return taken
    return []


def _end_pts(index: FrameIndex, last: int) -> int:
    """Time stamp at which the last picture before `last` ends."""
    if last < len(index):
        return int(index.pts[last])
    interval = max(1, round(index.interval_us / 1_000_000 / index.time_base))
    return int(index.pts[-1]) + interval


def _write(path: Path, stream: VideoStream, packets: "Sequence[_Packet]", end_pts: int) -> None:
    """Write packets as they are, their times counted from the first picture shown."""
    partial = partial_path(path)
    options = {"fflags": "+bitexact"}
    if path.suffix == ".mp4":
        options |= {"movflags": "+faststart"}
    shown = np.array([packet.pts or 0 for packet in packets], dtype=np.int64)
    origin, order = int(shown.min()), np.sort(shown)
    # Recordings tell decoding times in ways of their own, or not at all. Any that rise and are not after the pictures do.
    decoded = order - int(np.max(order - shown, initial=0))
    ends = np.append(order[1:], max(end_pts, int(order[-1]) + 1))
    lasting = dict(zip(order.tolist(), (ends - order).tolist(), strict=True))
    form = "mp4" if path.suffix == ".mp4" else "matroska"
    try:
        with av.open(str(partial), "w", format=form, options=options) as target:
            copy = target.add_stream_from_template(stream)
            for packet, at, decoded_at in zip(packets, shown.tolist(), decoded.tolist(), strict=True):
                packet.pts, packet.dts, packet.duration = at - origin, decoded_at - origin, lasting[at]
                packet.stream = copy
                target.mux(packet)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
