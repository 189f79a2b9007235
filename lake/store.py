"""Files of the lake, on a local folder or an object store: written whole or not at all, and never changed."""

import io
import os
import re
import secrets
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import LakeError, UnknownNameError
from lake.schema import TABLES, embedding_schema, table

ROW_GROUP_ROWS = 16_384
TEMPORARY = ".tmp"
SEAL = b"afterwatch-crc32"
_UNSEALED = b"00000000"
_SEALED = re.compile(SEAL + rb"\x18\x08([0-9a-f]{8})")
"""Name and value as the footer holds them: a text's length stands before it."""


class Store:
    """A folder of immutable files.

    Args:
        location: an absolute local folder, or a URL that fsspec knows (`s3://bucket/prefix`, `memory://lake`).
        options: for the object store's client.
    """

    def __init__(self, location: str, options: Mapping[str, Any] | None = None) -> None:
        self.location = location.rstrip("/")
        self.options = dict(options or {})
        protocol = location.split("://", 1)[0] if "://" in location else "file"
        if protocol not in fsspec.available_protocols():
            raise UnknownNameError("object store", protocol, fsspec.available_protocols())
        self.is_local = protocol == "file"
        # Other processes write to the same store: a listing that was remembered would hide what they have done.
        self.filesystem = fsspec.filesystem(protocol, **{"use_listings_cache": False, **self.options})

    def url(self, path: str) -> str:
        """Where DuckDB and fsspec find `path`."""
        return f"{self.location}/{path}"

    def exists(self, path: str) -> bool:
        return os.path.exists(self.url(path)) if self.is_local else bool(self.filesystem.exists(self.url(path)))

    def names(self, folder: str) -> list[str]:
        """Finished files directly in `folder`, as paths relative to the lake, in order of name."""
        try:
            if self.is_local:
                found = [entry.name for entry in os.scandir(self.url(folder)) if entry.is_file()]
            else:
                self.filesystem.invalidate_cache()
                found = [str(name).rsplit("/", 1)[-1] for name in self.filesystem.ls(self.url(folder), detail=False)]
        except FileNotFoundError:
            return []
        return sorted(f"{folder}/{name}" for name in found if name and not name.endswith(TEMPORARY))

    def write_bytes(self, path: str, content: bytes) -> None:
        """Put a file in place, whole or not at all.

        Raises:
            LakeError: it cannot be written (disk full, read only, no access); nothing is left behind.
        """
        try:
            if self.is_local:
                _write_local(Path(self.url(path)), content)
            else:
                self.filesystem.pipe_file(self.url(path), content)
        except MemoryError:
            raise
        except Exception as error:  # object stores' clients have errors of their own
            reason = getattr(error, "strerror", None) or error
            raise LakeError(
                f"{self.url(path)} cannot be written: {reason}; free space or grant access, then run again"
            ) from error

    def read_bytes(self, path: str) -> bytes:
        return bytes(self.filesystem.cat_file(self.url(path)))

    def delete(self, path: str) -> None:
        self.filesystem.rm_file(self.url(path))

    def write_table(self, path: str, rows: pa.Table) -> None:
        """Write rows as Parquet; the same rows give the same bytes.

        A sum over the whole file stands in its footer, and one over each page before the page: a disk that gives back other
        bytes than it was given is found out when the file is read, and never believed.

        Measures are split by byte, which zstd packs well. Vectors are not: DuckDB reads split floats of 32 and 64
        bits, but none of 16.
        """
        kinds = {field.name: field.type for field in rows.schema}
        texts: Any = [name for name, kind in kinds.items() if pa.types.is_string(kind)]
        measures: Any = [name for name, kind in kinds.items() if kind in (pa.float32(), pa.float64())]
        buffer = io.BytesIO()
        with pq.ParquetWriter(
            buffer,
            rows.schema,
            compression="zstd",
            use_dictionary=texts,
            use_byte_stream_split=measures,
            write_page_checksum=True,
        ) as writer:
            writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)
            writer.add_key_value_metadata({SEAL: _UNSEALED})
        self.write_bytes(path, _sealed(path, buffer.getvalue()))

    def read_table(self, path: str, columns: list[str] | None = None) -> pa.Table:
        """Read rows; all columns, or those named.

        Raises:
            FileNotFoundError: there is no such file.
            LakeError: it is no Parquet file, or not as it was written.
        """
        content = self.read_bytes(path)
        try:
            _check_seal(path, content)
            # In this thread alone: one of Arrow's that still holds Python's memory when the process ends aborts it.
            file = pq.ParquetFile(io.BytesIO(content), pre_buffer=False, page_checksum_verification=True)
            rows = file.read(columns=columns, use_threads=False)
            _check_columns(path, file.schema_arrow.names)
            absent = set(columns or ()) - set(rows.column_names)
            if absent:
                raise ValueError(f"it has no column {', '.join(sorted(absent))}")
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, MemoryError):
                raise
            raise LakeError(
                f"{self.url(path)} is damaged, or no table of the lake ({error}); restore it, or move it away and run again "
                '("afterwatch verify --set-aside" does, with files of the ledgers runs and recordings): '
                "what was computed is then made again, what people said in it is lost"
            ) from None
        return rows.replace_schema_metadata(
            {name: told for name, told in (rows.schema.metadata or {}).items() if name != SEAL}
        )


def _sealed(path: str, content: bytes) -> bytes:
    """The file with the sum of its bytes, and of its table's name, in the place that was kept free for it."""
    place = _seal_of(content)
    if place is None:
        raise LakeError(
            "a table was written without a place for its sum; this is a fault of Afterwatch's, please report it"
        )
    return content[: place.start(1)] + b"%08x" % _sum(path, content) + content[place.end(1) :]


def _sum(path: str, content: bytes) -> int:
    """A file that lies among those of another table is not what was written there."""
    return zlib.crc32(content, zlib.crc32(path.split("/", 1)[0].encode()))


def _seal_of(content: bytes) -> "re.Match[bytes] | None":
    """Where the sum stands: in the footer, which the rows of a binary column cannot be mistaken for."""
    return next(_SEALED.finditer(content, _footer(content)), None)


def _footer(content: bytes) -> int:
    """Where the footer of a Parquet file begins, which ends it: its length and four letters come last."""
    return max(0, len(content) - 8 - int.from_bytes(content[-8:-4], "little"))


def _check_columns(path: str, names: Sequence[str]) -> None:
    """Older files lack columns and newer ones have more; one that does both is of another table.

    Raises:
        ValueError: it is.
    """
    name = path.split("/", 1)[0]
    known = set(TABLES[name].schema.names) if name in TABLES else set(names)
    if known - set(names) and set(names) - known:
        raise ValueError(f"it has the columns of another table than {name}")


def _check_seal(path: str, content: bytes) -> None:
    """Files of before there were sums have none.

    Raises:
        ValueError: the bytes are not those that were written.
    """
    place = _seal_of(content)
    if place is None:
        return
    unsealed = content[: place.start(1)] + _UNSEALED + content[place.end(1) :]
    if int(place[1], 16) != _sum(path, unsealed):
        raise ValueError("its bytes are not those that were written")


def _write_local(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def rows_of(name: str, columns: Mapping[str, Any], dimension: int | None = None) -> pa.Table:
    """Make rows of table `name` from columns; every column of the schema must be given.

    Args:
        name: the table.
        columns: values by column; a single value stands for every row.
        dimension: length of the vectors, for `embeddings`.
    """
    schema = table(name).schema if dimension is None else embedding_schema(dimension)
    unknown, absent = set(columns) - set(schema.names), set(schema.names) - set(columns)
    if unknown or absent:
        raise LakeError(f"rows of {name}: unknown columns {sorted(unknown)}, absent columns {sorted(absent)}")
    lengths = {len(value) for value in columns.values() if _is_column(value)}
    if len(lengths) > 1:
        raise LakeError(f"rows of {name}: columns of unequal length {sorted(lengths)}")
    count = lengths.pop() if lengths else 1
    arrays = [_array(columns[field.name], field.type, count) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _is_column(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str)


def _array(value: Any, kind: pa.DataType, count: int) -> "pa.Array[Any]":
    if not _is_column(value):
        return pa.array([value] * count, type=kind)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(pa.array(value.reshape(-1), type=pa.float16()), kind.list_size)
    return pa.array(value, type=kind)
