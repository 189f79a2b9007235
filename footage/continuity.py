"""Whether an H.264 stream has lost pictures that later ones are made from.

A decoder that misses a reference puts a copy of another picture in its place and goes on without a word. The stream
itself tells: reference pictures are numbered (`frame_num`; ITU-T H.264, 7.4.3), and one number follows the other.
"""

from collections.abc import Iterator

SCALED_PROFILES = (44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244)
SLICE, IDR_SLICE, PARAMETERS = 1, 5, 7
HEADER_BYTES = 24
"""More than a slice's header takes up to its number."""


class Continuity:
    """Follows the numbers of the pictures that a decoder is fed.

    Args:
        extradata: the stream's parameter sets as its container keeps them; none where they are in the stream.
    """

    def __init__(self, extradata: bytes | None) -> None:
        head = extradata or b""
        self._prefix_bytes = (head[4] & 3) + 1 if len(head) > 6 and head[0] == 1 else 0
        self._sets: dict[int, tuple[int, bool, bool]] = {}
        self._last: int | None = None
        if self._prefix_bytes:
            self._read_configuration(head)
        else:
            self._read_sets(head)

    def is_broken_by(self, data: bytes) -> bool:
        """Whether a reference picture is missing between the picture before and this one, one packet's bytes."""
        for unit in self._units(data):
            kind, weight = unit[0] & 31, unit[0] >> 5 & 3
            if kind == PARAMETERS:
                self._learn(unit)
            elif kind in (SLICE, IDR_SLICE):
                return self._follow(unit, kind, weight)
        return False

    def _follow(self, unit: bytes, kind: int, weight: int) -> bool:
        if len(self._sets) != 1:  # which of several belongs to a slice is not looked into
            return False
        bits, planes, gaps_allowed = next(iter(self._sets.values()))
        try:
            read = _Bits(unit[1:HEADER_BYTES])
            for _ in range(3):  # first macroblock, type, picture parameter set
                read.exponential()
            if planes:
                read.plain(2)
            number = read.plain(bits)
        except IndexError:
            return False  # what is so short is for the decoder to refuse
        last, self._last = self._last, number if weight or self._last is None else self._last
        if last is None or kind == IDR_SLICE or gaps_allowed:
            return False
        return number not in (last, (last + 1) % (1 << bits))

    def _units(self, data: bytes) -> Iterator[bytes]:
        if not self._prefix_bytes:
            yield from (unit for unit in data.split(b"\x00\x00\x01")[1:] if unit)
            return
        at = 0
        while at + self._prefix_bytes < len(data):
            size = int.from_bytes(data[at : at + self._prefix_bytes], "big")
            at += self._prefix_bytes
            if size:
                yield data[at : at + size]
            at += size

    def _read_configuration(self, head: bytes) -> None:
        at = 6
        for _ in range(head[5] & 31):
            size = int.from_bytes(head[at : at + 2], "big")
            if unit := head[at + 2 : at + 2 + size]:
                self._learn(unit)
            at += 2 + size

    def _read_sets(self, head: bytes) -> None:
        for unit in self._units(head):
            if unit[0] & 31 == PARAMETERS:
                self._learn(unit)

    def _learn(self, unit: bytes) -> None:
        """Read a sequence parameter set (7.3.2.1.1) as far as to whether numbers may be left out."""
        try:
            read = _Bits(unit[1:])
            profile = read.plain(8)
            read.plain(16)
            name, planes = read.exponential(), False
            if profile in SCALED_PROFILES:
                chroma = read.exponential()
                planes = chroma == 3 and bool(read.plain(1))
                read.exponential()
                read.exponential()
                read.plain(1)
                if read.plain(1):
                    for number in range(12 if chroma == 3 else 8):
                        if read.plain(1):
                            read.scaling_list(16 if number < 6 else 64)
            bits = read.exponential() + 4
            match read.exponential():
                case 0:
                    read.exponential()
                case 1:
                    read.plain(1)
                    read.exponential()
                    read.exponential()
                    for _ in range(read.exponential()):
                        read.exponential()
            read.exponential()
            self._sets[name] = (bits, planes, bool(read.plain(1)))
        except IndexError:
            return


class _Bits:
    """Reads bits and Exp-Golomb codes (9.1) of a unit, without the bytes that only keep start codes apart."""

    def __init__(self, data: bytes) -> None:
        self._data = data.replace(b"\x00\x00\x03", b"\x00\x00")
        self._at = 0

    def plain(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | (self._data[self._at >> 3] >> (7 - (self._at & 7)) & 1)
            self._at += 1
        return value

    def exponential(self) -> int:
        zeros = 0
        while not self.plain(1):
            zeros += 1
        return (1 << zeros) - 1 + self.plain(zeros)

    def scaling_list(self, size: int) -> None:
        last = following = 8
        for _ in range(size):
            if following:
                code = self.exponential()
                delta = (code + 1) // 2 if code % 2 else -(code // 2)
                following = (last + delta) % 256
            last = following or last
