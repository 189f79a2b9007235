"""Recordings damaged by chance: small films of several containers and codecs, and what disks, cables and people do to them.

The same seed and number give the same bytes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

RATE_HZ = 8
SECONDS = 6
WIDTH, HEIGHT = 96, 64
KEY_EVERY = 8
HEAD_BYTES = 2048
SECTOR_BYTES = 512

Rng = np.random.Generator


@dataclass(frozen=True)
class Film:
    """How a film is stored."""

    container: str
    suffix: str
    codec: str
    b_frames: int = 0


FILMS = (
    Film("mp4", ".mp4", "libx264", 2),
    Film("matroska", ".mkv", "libx264", 2),
    Film("avi", ".avi", "libx264"),
    Film("mpegts", ".ts", "libx264", 2),
    Film("mp4", ".mp4", "mpeg4"),
    Film("matroska", ".mkv", "libx265"),
    Film("avi", ".avi", "mjpeg"),
    Film("mpegts", ".ts", "mpeg2video", 2),
)


@dataclass(frozen=True)
class Packet:
    """Where a packet's bytes lie in its file."""

    at: int
    size: int


@cache
def film_bytes(film: Film) -> bytes:
    """A whole recording in which every picture differs from every other."""
    written = BytesIO()
    with av.open(written, "w", format=film.container) as container:
        stream: Any = container.add_stream(film.codec, rate=RATE_HZ, options=_options(film))
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if film.codec == "mjpeg" else "yuv420p"
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(_pictures(RATE_HZ * SECONDS)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return written.getvalue()


def _options(film: Film) -> dict[str, str]:
    match film.codec:
        case "libx264":
            told = f"keyint={KEY_EVERY}:min-keyint={KEY_EVERY}:scenecut=0:bframes={film.b_frames}:threads=1"
            return {"preset": "veryfast", "x264-params": told}
        case "libx265":
            told = f"keyint={KEY_EVERY}:min-keyint={KEY_EVERY}:bframes=0:log-level=none:pools=none"
            return {"preset": "ultrafast", "x265-params": told}
        case _:
            return {"g": str(KEY_EVERY), "bf": str(film.b_frames)}


def _pictures(count: int) -> Iterator[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    still = rng.integers(40, 200, (HEIGHT // 4, WIDTH // 4, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    for number in range(count):
        picture = np.roll(still, (number, 2 * number), (0, 1)).copy()
        picture[:8, : 4 * (number % 16) + 4] = (number * 37 % 256, number * 91 % 256, 255 - number % 256)
        yield picture


@cache
def packets_of(film: Film) -> tuple[Packet, ...]:
    """Where the packets of a film lie, in decoding order; those that their container cuts into pieces are left out."""
    content = film_bytes(film)
    found: list[Packet] = []
    with av.open(BytesIO(content), "r") as container:
        for packet in container.demux(container.streams.video[0]):
            at = content.find(bytes(packet), max(0, packet.pos or 0)) if packet.size else -1
            if at >= 0:
                found.append(Packet(at, packet.size))
    return tuple(found)


Mutation = Callable[[bytearray, Film, Rng], None]


def _flipped(content: bytearray, _: Film, rng: Rng) -> None:
    """A few bytes anywhere."""
    for at in rng.integers(0, len(content), rng.integers(1, 40)):
        content[at] = int(rng.integers(256))


def _flipped_head(content: bytearray, _: Film, rng: Rng) -> None:
    """A few bytes of what stands in front."""
    for at in rng.integers(0, min(HEAD_BYTES, len(content)), rng.integers(1, 10)):
        content[at] = int(rng.integers(256))


def _flipped_tail(content: bytearray, _: Film, rng: Rng) -> None:
    """A few bytes of what stands at the end: tables of MP4 and AVI, cues of Matroska."""
    first = max(0, len(content) - HEAD_BYTES)
    for at in rng.integers(first, len(content), rng.integers(1, 10)):
        content[at] = int(rng.integers(256))


def _extreme(content: bytearray, _: Film, rng: Rng) -> None:
    """A number of the headers replaced by one that nobody expects: nothing, all, the largest, the smallest."""
    for _number in range(int(rng.integers(1, 4))):
        size = int(rng.choice([2, 4, 8]))
        ends = (min(HEAD_BYTES, len(content)), max(0, len(content) - HEAD_BYTES))
        at = int(rng.integers(0, ends[0])) if rng.integers(2) else int(rng.integers(ends[1], len(content)))
        told = [bytes(size), b"\xff" * size, b"\x7f" + b"\xff" * (size - 1), b"\x80" + bytes(size - 1)]
        content[at : at + size] = told[int(rng.integers(len(told)))][: len(content) - at]


def _times(content: bytearray, film: Film, rng: Rng) -> None:
    """A number of the tables that tell times, by its name in the container."""
    names = {
        "mp4": (b"mvhd", b"mdhd", b"tkhd", b"stts", b"ctts", b"elst", b"stsz", b"stco", b"stss"),
        "matroska": (b"\x44\x89", b"\x2a\xd7\xb1", b"\x1f\x43\xb6\x75", b"\xa3", b"\xe7"),
        "avi": (b"avih", b"strh", b"strf", b"idx1"),
        "mpegts": (b"\x00\x00\x01\xe0",),
    }[film.container]
    places = [at for name in names for at in _places(content, name)]
    if places:
        at = places[int(rng.integers(len(places)))] + int(rng.integers(2, 40))
        told = rng.integers(0, 256, 4, dtype=np.uint8).tobytes()
        content[at : at + 4] = [told, b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4)][int(rng.integers(4))]


def _places(content: bytearray, name: bytes) -> list[int]:
    found: list[int] = []
    at = content.find(name)
    while at >= 0 and len(found) < 64:
        found.append(at + len(name))
        at = content.find(name, at + 1)
    return found


def _cut(content: bytearray, _: Film, rng: Rng) -> None:
    """The end is not there."""
    del content[int(rng.integers(1, len(content))) :]


def _hole(content: bytearray, _: Film, rng: Rng) -> None:
    """Bytes in the middle are not there, and the rest moves up."""
    at = int(rng.integers(len(content)))
    del content[at : at + int(rng.integers(1, 3000))]


def _zeroed(content: bytearray, _: Film, rng: Rng) -> None:
    """Sectors that a disk gives back as zeros."""
    for _number in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, max(1, len(content) // SECTOR_BYTES))) * SECTOR_BYTES
        content[at : at + SECTOR_BYTES] = bytes(len(content[at : at + SECTOR_BYTES]))


def _scrambled_packets(content: bytearray, film: Film, rng: Rng) -> None:
    """Payloads of packets with every byte changed."""
    for packet in _some(film, rng):
        noise = rng.integers(1, 256, packet.size, dtype=np.uint8)
        part = np.frombuffer(content[packet.at : packet.at + packet.size], np.uint8)
        content[packet.at : packet.at + packet.size] = (part ^ noise).tobytes()


def _blank_packets(content: bytearray, film: Film, rng: Rng) -> None:
    """Packets that were never written: zeros where they belong."""
    for packet in _some(film, rng):
        content[packet.at : packet.at + packet.size] = bytes(packet.size)


def _swapped_packets(content: bytearray, film: Film, rng: Rng) -> None:
    """The beginnings of two packets exchanged."""
    packets = packets_of(film)
    if len(packets) >= 2:
        one, other = (packets[int(at)] for at in rng.choice(len(packets), 2, replace=False))
        size = min(one.size, other.size)
        first, second = content[one.at : one.at + size], content[other.at : other.at + size]
        content[one.at : one.at + size], content[other.at : other.at + size] = second, first


def _some(film: Film, rng: Rng) -> list[Packet]:
    packets = packets_of(film)
    chosen: Any = rng.choice(len(packets), min(len(packets), int(rng.integers(1, 6))), replace=False) if packets else []
    return [packets[int(at)] for at in chosen]


def _foreign_head(content: bytearray, film: Film, rng: Rng) -> None:
    """The beginning of another file."""
    others = [other for other in FILMS if other != film]
    size = int(rng.integers(16, 3000))
    content[:size] = film_bytes(others[int(rng.integers(len(others)))])[:size]


def _doubled(content: bytearray, _: Film, rng: Rng) -> None:
    """The file once more behind itself, whole or from somewhere on: a recorder that began again."""
    content += bytes(content[int(rng.integers(0, len(content), endpoint=True)) * int(rng.integers(2)) :])


def _padded(content: bytearray, _: Film, rng: Rng) -> None:
    """Noise behind the end."""
    content += rng.integers(0, 256, int(rng.integers(1, 4000)), dtype=np.uint8).tobytes()


MUTATIONS: dict[str, Mutation] = {
    "bytes anywhere": _flipped,
    "bytes of the head": _flipped_head,
    "bytes of the tail": _flipped_tail,
    "extreme numbers": _extreme,
    "tables of times": _times,
    "cut": _cut,
    "hole": _hole,
    "zeroed sectors": _zeroed,
    "scrambled packets": _scrambled_packets,
    "blank packets": _blank_packets,
    "swapped packets": _swapped_packets,
    "foreign head": _foreign_head,
    "doubled": _doubled,
    "padded": _padded,
}


@dataclass(frozen=True)
class MutatedRecording:
    """A damaged recording, and what was done to it."""

    number: int
    film: Film
    kinds: tuple[str, ...]
    content: bytes

    @property
    def told(self) -> str:
        """Its name in reports."""
        return f"{self.number:04d} {self.film.container}/{self.film.codec}: {' + '.join(self.kinds)}"


def mutated_recording(seed: int, number: int) -> MutatedRecording:
    """The recording of that number: every film and every mutation in turn, every third one mutated twice."""
    rng = np.random.default_rng([seed, number])
    names = list(MUTATIONS)
    film = FILMS[number % len(FILMS)]
    kinds = [names[(number // len(FILMS) + number) % len(names)]]
    if number % 3 == 0:
        kinds.append(names[int(rng.integers(len(names)))])
    content = bytearray(film_bytes(film))
    for kind in kinds:
        if content:
            MUTATIONS[kind](content, film, rng)
    return MutatedRecording(number, film, tuple(kinds), bytes(content))
