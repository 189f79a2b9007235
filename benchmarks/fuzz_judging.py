"""Whether rows are right: what the lake says of a recording, held against a plain decoding of the very file.

The plain decoder is FFmpeg's own, in one thread, from the first packet to the last, with nothing skipped and errors passed
over; it shares nothing with Afterwatch's but the hash of a picture.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from footage.decode import open_recording, video_stream
from footage.index import MICROSECONDS
from footage.pictures import Picture
from lake.store import Store
from workspace.indexes import load_index

Row = Mapping[str, Any]
TOLD = ("ready", "partial", "quarantined", "duplicate")


@dataclass(frozen=True)
class Plain:
    """What a plain decoding gives: the digests it shows at each time stamp, and all of them."""

    at: Mapping[int, frozenset[str]]
    every: frozenset[str]


def plain_decoding(path: Path) -> Plain:
    """Decode a file as it is, from its first packet to its last, and once more with a fresh decoder from each key frame.

    What damage leaves in a decoder goes on into what comes after it; a fresh one knows nothing of it. A picture that either
    shows is the recording's own.
    """
    shown: dict[int, set[str]] = {}
    try:
        with open_recording(path) as container:
            stream = video_stream(container)
            if stream is None or stream.codec_context is None:
                return Plain({}, frozenset())
            packets = list(_packets(container, stream))
            keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
            for first, last in [(0, len(packets)), *zip(keys, [*keys[2:], len(packets), len(packets)], strict=False)]:
                _show(stream.codec_context, packets[first:last], shown)
    except (FFmpegError, ValueError):
        pass  # no recording: nothing can be told of it
    return Plain({at: frozenset(digests) for at, digests in shown.items()}, frozenset().union(*shown.values()))


def _show(like: Any, packets: Sequence[Any], shown: dict[int, set[str]]) -> None:
    decoder: Any = av.CodecContext.create(like.name, "r")
    decoder.extradata, decoder.width, decoder.height = like.extradata, like.width, like.height
    decoder.pix_fmt = like.pix_fmt
    decoder.thread_count, decoder.thread_type = 1, "NONE"
    for packet in (*packets, None):
        try:
            frames = decoder.decode(packet)
        except FFmpegError:
            continue
        for frame in frames:
            shown.setdefault(-1 if frame.pts is None else frame.pts, set()).add(Picture(0, 0, frame).digest())


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    while True:
        try:
            yield from (packet for packet in container.demux(stream) if packet.size)
        except IndexError:
            continue  # a packet of a stream that was not announced
        except FFmpegError:
            pass  # the file can be read so far
        return


def wrong_in(store: Store, path: Path, row: Row, tables: Mapping[str, Sequence[Row]]) -> list[str]:
    """What is wrong in what the lake says of one recording.

    Args:
        store: of the lake.
        path: the file.
        row: its newest row of `recordings`.
        tables: its rows of `frames` and `coverage`.
    """
    if row["status"] not in TOLD or (row["status"] != "ready" and not row["reason"]):
        return [f"status {row['status']!r} with reason {row['reason']!r}"]
    if row["status"] in ("quarantined", "duplicate"):
        counted = sum(len(rows) for rows in tables.values())
        return [f"{row['status']}, but {counted} rows count"] if row["status"] == "quarantined" and counted else []
    return [*_wrong_frames(store, path, row, tables["frames"]), *_wrong_coverage(row, tables["coverage"])]


def _wrong_frames(store: Store, path: Path, row: Row, frames: Sequence[Row]) -> list[str]:
    index, plain, wrong = load_index(store, row["recording_id"]), plain_decoding(path), []
    for frame in frames:
        pts = int(index.pts[frame["index"]])
        t_us = round((pts - int(index.pts[0])) * index.time_base * MICROSECONDS)
        if abs(frame["t_us"] - t_us) > 1:
            wrong.append(f"picture {frame['index']} is told at {frame['t_us']} µs and stands at {t_us} µs")
        # AVI stamps in the order of storage: which picture is which is only known by counting.
        known = plain.every if index.in_decoding_order else plain.at.get(pts, frozenset())
        if frame["digest"] not in known:
            wrong.append(f"picture {frame['index']} is none that a plain decoding shows at {t_us} µs")
    return wrong


def _wrong_coverage(row: Row, coverage: Sequence[Row]) -> list[str]:
    spans = sorted((span["from_us"], span["to_us"]) for span in coverage)
    ends = [0, *(end for _, end in spans)]
    if spans and ([start for start, _ in spans] != ends[:-1] or ends[-1] != row["duration_us"]):
        return [f"coverage {spans[0][0]} … {ends[-1]} µs in {len(spans)} spans does not fill {row['duration_us']} µs"]
    return []
