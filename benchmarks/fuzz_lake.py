"""Files of the lake spoilt by chance: what a disk gives back, what a copy left out, what somebody put in the wrong place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator
FOOTER_BYTES = 4096

Mutation = Callable[[bytearray, bytes, Rng], None]


def _flipped(content: bytearray, _: bytes, rng: Rng) -> None:
    for at in rng.integers(0, len(content), rng.integers(1, 12)):
        content[at] ^= int(rng.integers(1, 256))


def _bit(content: bytearray, _: bytes, rng: Rng) -> None:
    content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))


def _footer(content: bytearray, _: bytes, rng: Rng) -> None:
    first = max(0, len(content) - FOOTER_BYTES)
    for at in rng.integers(first, len(content), rng.integers(1, 4)):
        content[at] ^= int(rng.integers(1, 256))


def _cut(content: bytearray, _: bytes, rng: Rng) -> None:
    del content[int(rng.integers(len(content))) :]


def _hole(content: bytearray, _: bytes, rng: Rng) -> None:
    at = int(rng.integers(len(content)))
    del content[at : at + int(rng.integers(1, 200))]


def _zeroed(content: bytearray, _: bytes, rng: Rng) -> None:
    at = int(rng.integers(len(content)))
    end = min(len(content), at + int(rng.integers(1, 512)))
    content[at:end] = bytes(max(1, end - at))


def _padded(content: bytearray, _: bytes, rng: Rng) -> None:
    content += rng.integers(0, 256, int(rng.integers(1, 200)), dtype=np.uint8).tobytes()


def _foreign(content: bytearray, other: bytes, _: Rng) -> None:
    """A file of another table under its name."""
    content[:] = other


def _half(content: bytearray, other: bytes, rng: Rng) -> None:
    """Its beginning, and another's end."""
    content[:] = content[: int(rng.integers(len(content)))] + other[int(rng.integers(len(other))) :]


def _empty(content: bytearray, _: bytes, __: Rng) -> None:
    content.clear()


MUTATIONS: dict[str, Mutation] = {
    "bit": _bit,
    "bytes": _flipped,
    "footer": _footer,
    "cut": _cut,
    "hole": _hole,
    "zeros": _zeroed,
    "padded": _padded,
    "another table's": _foreign,
    "half another's": _half,
    "empty": _empty,
}


@dataclass(frozen=True)
class MutatedFile:
    """A spoilt file of a lake, and what was done to it."""

    number: int
    path: str
    kind: str
    content: bytes

    @property
    def told(self) -> str:
        """Its name in reports."""
        return f"{self.number:04d} {self.path}: {self.kind}"


def mutated_file(seed: int, number: int, files: Sequence[tuple[str, bytes]]) -> MutatedFile:
    """The file of that number.

    Args:
        seed, number: which say what is done to which file.
        files: paths relative to the lake and contents, of two tables at least.
    """
    rng = np.random.default_rng([seed, number, 2])
    path, content = files[number % len(files)]
    others = [other for place, other in files if place.split("/", 1)[0] != path.split("/", 1)[0]]
    kind = list(MUTATIONS)[number // len(files) % len(MUTATIONS)] if number % 3 else "footer"
    changed = bytearray(content)
    MUTATIONS[kind](changed, others[int(rng.integers(len(others)))], rng)
    return MutatedFile(number, path, kind, bytes(changed))
