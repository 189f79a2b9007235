"""The file behind a `Block`: vectors, norms and rows of one matrix, mapped into memory when opened.

Layout: a page of head (magic, checksum, length, JSON), then float32 vectors (N, D), float32 norms (N,), the rows as an
Arrow stream, and a sum of 64-bit words for every MiB of these; each begins at a page. A file gets its name when it is
whole and is never changed afterwards; who has it mapped keeps what was mapped, also when the name is gone.
"""

import json
import os
import secrets
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

MAGIC = b"AWMATRX1"
PAGE = 4096
SUM_WORDS = 2**17
ABOUT = b"afterwatch"

Vectors = NDArray[np.float32]
Words = NDArray[np.uint64]


class DamagedFileError(Exception):
    """The file is cut short, altered, or no such file at all; it is derived and can be made again."""


@dataclass(frozen=True)
class _Layout:
    """Where things are, in bytes from the file's begin."""

    count: int
    dimension: int
    rows_bytes: int

    @property
    def norms_at(self) -> int:
        return PAGE + _paged(4 * self.count * self.dimension)

    @property
    def rows_at(self) -> int:
        return self.norms_at + _paged(4 * self.count)

    @property
    def sums_at(self) -> int:
        return self.rows_at + _paged(self.rows_bytes)

    @property
    def sums(self) -> int:
        return -(-(self.sums_at - PAGE) // (8 * SUM_WORDS))

    @property
    def size(self) -> int:
        return self.sums_at + _paged(8 * self.sums)


@dataclass(frozen=True, eq=False)
class MatrixFile:
    """An opened file.

    Attributes:
        vectors: float32 (N, D), mapped read only.
        norms: float32 (N,), likewise.
        rows: N rows, likewise.
        about: what its maker said of it.
    """

    vectors: Vectors
    norms: Vectors
    rows: pa.Table
    about: dict[str, Any]


def open_matrix(path: Path) -> MatrixFile:
    """Map a file and check all of it, which takes about as long as searching it once.

    Raises:
        FileNotFoundError: there is none.
        DamagedFileError: it is not what was written.
    """
    if path.stat().st_size < PAGE:
        raise DamagedFileError(f"{path} is cut short")
    data: NDArray[np.uint8] = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
    layout, sums_crc = _read_head(data, path)
    if len(data) != layout.size:
        raise DamagedFileError(f"{path} has {len(data)} bytes instead of {layout.size}")
    told = data[layout.sums_at : layout.sums_at + 8 * layout.sums].view(np.uint64)
    if zlib.crc32(told.tobytes()) != sums_crc or not np.array_equal(told, _sums(data[PAGE : layout.sums_at])):
        raise DamagedFileError(f"{path} is altered")
    stream = pa.py_buffer(data[layout.rows_at : layout.rows_at + layout.rows_bytes])
    rows = pa.ipc.open_stream(stream).read_all()
    about = json.loads((rows.schema.metadata or {})[ABOUT])
    return MatrixFile(*_arrays(data, layout), rows.replace_schema_metadata(None), about)


@contextmanager
def new_matrix(
    path: Path, rows: pa.Table, dimension: int, about: Mapping[str, Any]
) -> Iterator[tuple[Vectors, Vectors]]:
    """Make a file: fill the arrays within the context; at its end the file is in place, whole.

    Args:
        path: of the file; its folder is made. An older file of that name is replaced.
        rows: what is known of each vector.
        dimension: D.
        about: kept with it.

    Yields:
        float32 (N, D) and (N,), zeros, to be written to; not to be used afterwards.

    Raises:
        OSError: there is no room, or no access. Nothing is left behind then.
    """
    stream = pa.BufferOutputStream()
    told = rows.replace_schema_metadata({ABOUT: json.dumps(dict(about))})
    with pa.ipc.new_stream(stream, told.schema) as writer:
        writer.write_table(told)
    content = np.frombuffer(stream.getvalue(), dtype=np.uint8)
    layout = _Layout(rows.num_rows, dimension, len(content))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with unfinished.open("xb") as file:
            # A mapped file that finds the disk full kills the process: what is needed is taken beforehand.
            os.posix_fallocate(file.fileno(), 0, layout.size)
        data = np.memmap(unfinished, dtype=np.uint8, mode="r+")
        data[layout.rows_at : layout.rows_at + len(content)] = content
        yield _arrays(np.asarray(data), layout)
        sums = _sums(np.asarray(data[PAGE : layout.sums_at]))
        data[layout.sums_at : layout.sums_at + 8 * layout.sums] = sums.view(np.uint8)
        data[:PAGE] = np.frombuffer(_head(layout, sums), dtype=np.uint8)
        # Not waited for until it is on the disk: what a failing machine leaves half written is noticed by its sums.
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _arrays(data: NDArray[np.uint8], layout: _Layout) -> tuple[Vectors, Vectors]:
    size = 4 * layout.count * layout.dimension
    vectors = data[PAGE : PAGE + size].view(np.float32).reshape(layout.count, layout.dimension)
    return vectors, data[layout.norms_at : layout.norms_at + 4 * layout.count].view(np.float32)


def _head(layout: _Layout, sums: Words) -> bytes:
    told = {"count": layout.count, "dimension": layout.dimension, "rows_bytes": layout.rows_bytes}
    text = json.dumps({**told, "sums_crc": zlib.crc32(sums.tobytes())}).encode()
    head = MAGIC + zlib.crc32(text).to_bytes(4, "little") + len(text).to_bytes(4, "little") + text
    return head.ljust(PAGE, b"\0")


def _read_head(data: NDArray[np.uint8], path: Path) -> tuple[_Layout, int]:
    head = data[:PAGE].tobytes()
    text = head[16 : 16 + int.from_bytes(head[12:16], "little")]
    if head[:8] != MAGIC or zlib.crc32(text) != int.from_bytes(head[8:12], "little"):
        raise DamagedFileError(f"{path} does not begin as a matrix")
    told = json.loads(text)
    sums_crc = told.pop("sums_crc")
    return _Layout(**told), sums_crc


def _sums(data: NDArray[np.uint8]) -> Words:
    """uint64, the sum of the 64-bit words of every MiB modulo 2**64: at the speed of memory, unlike a CRC."""
    words = data.view(np.uint64)
    whole = len(words) // SUM_WORDS
    of_whole = words[: whole * SUM_WORDS].reshape(whole, SUM_WORDS).sum(axis=1, dtype=np.uint64)
    rest = words[whole * SUM_WORDS :]
    return np.append(of_whole, rest.sum(dtype=np.uint64)) if len(rest) else of_whole


def _paged(size: int) -> int:
    return -(-size // PAGE) * PAGE
