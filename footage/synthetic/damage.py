"""Damages a recording the way a failing disk and a cut cable do, and says exactly what was hurt."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from infra.errors import FootageError


@dataclass(frozen=True)
class Damage:
    """A damaged file and its hurt spans, microseconds of the recording, half open.

    Attributes:
        content: The damaged file's bytes; its header still declares the full length.
        corrupt_us: Times of the packets whose payload was scrambled; it ends at a key frame, so nothing later suffers.
        missing_from_us: Time of the first packet that is no longer there in full.
    """

    content: bytes
    corrupt_us: tuple[int, int]
    missing_from_us: int


def cut_and_scramble(path: Path, seed: int, *, scramble_at: float = 0.3, keep: float = 0.6) -> Damage:
    """Cuts a Matroska recording short and scrambles packets in what is left; the file itself is not changed.

    Matroska tells its length in front and its frames in clusters, so what is left opens, declares the full length and
    decodes up to the cut, but for the scrambled packets. Only payloads are scrambled: the structure stays readable.

    Args:
        path: A whole Matroska file with one H.264 stream.
        seed: Chooses the bytes.
        scramble_at: Share of the packets before the scrambled ones, which reach to the next key frame but one.
        keep: Share of the packets that is kept; the cut goes through the middle of the next.

    Raises:
        FootageError: The file has too few key frames to be damaged in this way.
    """
    content = bytearray(path.read_bytes())
    packets: list[tuple[int, int, bool, int]] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            if packet.pts is None or packet.time_base is None or packet.pos is None:
                continue
            at = content.find(bytes(packet), packet.pos)
            packets.append((round(packet.pts * packet.time_base * 1_000_000), at, packet.is_keyframe, packet.size))
    first, cut = int(scramble_at * len(packets)), int(keep * len(packets))
    keys = [index for index in range(first + 1, cut) if packets[index][2]]
    if len(keys) < 2 or any(at < 0 for _, at, _, _ in packets):
        raise FootageError(f"{path.name} has {len(keys)} key frames in the part to be damaged; at least 2 are needed")
    if packets[first][2]:
        first += 1  # start inside a group of pictures, as chance would
    rng = np.random.default_rng(seed)
    last = keys[1]
    for _, at, _, size in packets[first:last]:
        noise = rng.integers(1, 256, size, dtype=np.uint8)  # never 0, so that every byte changes
        content[at : at + size] = (np.frombuffer(content[at : at + size], np.uint8) ^ noise).tobytes()
    _, at, _, size = packets[cut]
    return Damage(bytes(content[: at + size // 2]), (packets[first][0], packets[last][0]), packets[cut][0])
