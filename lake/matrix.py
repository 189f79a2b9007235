"""Vectors as matrices mapped into memory, beside the Parquet they are made of: what search and review run over.

A matrix holds one space, campaign, camera and region, in order of time. It is derived: made when it is first asked for,
made again when the ledger names other files or when it is damaged, and lost without harm. It lies in a local folder,
wherever the lake is. What an older matrix holds already is taken from there, so that a further day costs a day.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from infra.errors import LakeError
from lake.current import Output, current_outputs, runs_began
from lake.keys import short_hash
from lake.ledger import Ledger
from lake.matrix_file import DamagedFileError, MatrixFile, new_matrix, open_matrix
from lake.schema import TABLES, VECTOR
from lake.store import ROW_GROUP_ROWS, Store

VERSION = 1
"""Raised when what a matrix holds changes."""
SUFFIX = ".matrix"
SOURCE = "source"
"""Column of a matrix's file: which of the Parquet files a row came from."""
TRIES = 3
"""Times that a matrix is made at most, where another process with another view of the ledger removes it at once."""
FORGOTTEN_S = 3600.0
"""Age at which an unfinished file counts as left behind by a process that was killed."""
ORDER = ("taken_at", "recording_id", "index")
COLUMNS = ("day", "recording_id", "index", "from_us", "to_us", "taken_at")

Vectors = NDArray[np.float32]
Outlines = Callable[[], Mapping[tuple[str, str], datetime]]
"""Gives, by camera and region, since when a region has another outline than before; others are absent."""
Progress = Callable[[int, int], None]
"""Told rows done, and rows in all."""


@dataclass(frozen=True, order=True)
class BlockName:
    """What a block holds."""

    space: str
    campaign: str
    camera: str
    region: str

    def __str__(self) -> str:
        return f"{self.campaign} · {self.camera} · {self.region} in {self.space}"


@dataclass(frozen=True, eq=False)
class Block:
    """The vectors of one space, campaign, camera and region, in order of time, recording and index.

    Attributes:
        space, campaign, camera, region: what they are of.
        vectors: float32 (N, D), read only, mapped into memory; of unit length, or zero where they are so in the lake.
        norms: float32 (N,), the lengths they have in the lake.
        rows: N rows of day, recording_id, index, from_us, to_us and taken_at, as in `embeddings`.
        key: hash of the names of the Parquet files it was made of.
    """

    space: str
    campaign: str
    camera: str
    region: str
    vectors: Vectors
    norms: Vectors
    rows: pa.Table
    key: str

    def __len__(self) -> int:
        return len(self.norms)

    @cached_property
    def from_us(self) -> NDArray[np.int64]:
        """int64 (N,), start of each span in microseconds since 1970, UTC; rising."""
        return np.asarray(self.rows["taken_at"].cast(pa.int64()), dtype=np.int64)

    @cached_property
    def to_us(self) -> NDArray[np.int64]:
        """int64 (N,), end of each span, exclusive."""
        begin, end = (np.asarray(self.rows[name], dtype=np.int64) for name in ("from_us", "to_us"))
        return self.from_us + end - begin


class Matrices:
    """The matrices of a lake.

    Args:
        store: the lake.
        ledger: of the lake; it says which files count.
        folder: local, for the matrices; several processes may share it.
        outlines: asked each time; what was embedded by a run that began before a region was drawn anew does not count,
            until a run has found or made it for the present outline. None: all that is current counts.
    """

    def __init__(self, store: Store, ledger: Ledger, folder: Path, outlines: Outlines | None = None) -> None:
        self._store, self._ledger, self._folder, self._outlines = store, ledger, folder, outlines
        self._opened: dict[BlockName, Block] = {}
        self._counted: tuple[list[str], Mapping[tuple[str, str], datetime]] = ([], {})
        self._counting: dict[BlockName, list[str]] = {}

    def spaces(self) -> list[str]:
        """Spaces in which there are vectors, in order."""
        return sorted({name.space for name in self._paths()})

    def names(self, space: str) -> list[tuple[str, str, str]]:
        """Campaign, camera and region of each block of a space, in order; none where the space is not known."""
        return sorted((name.campaign, name.camera, name.region) for name in self._paths() if name.space == space)

    def block(self, space: str, campaign: str, camera: str, region: str, progress: Progress | None = None) -> Block:
        """The block as the ledger has it now, made first where it is missing, stale or damaged.

        Args:
            space, campaign, camera, region: which one; of what is not embedded the block is empty.
            progress: called while it is made.

        Raises:
            LakeError: a file that counts is absent, damaged or of another space, or there is no room for the matrix.
        """
        name = BlockName(space, campaign, camera, region)
        return self._block(name, self._paths().get(name, []), progress)

    def blocks(
        self,
        space: str,
        campaign: str | None = None,
        camera: str | None = None,
        region: str | None = None,
        progress: Progress | None = None,
    ) -> list[Block]:
        """All blocks of a space, or those of one campaign, camera or region, in order of name; see `block`."""
        wanted = (space, campaign, camera, region)
        chosen = {
            name: paths
            for name, paths in sorted(self._paths().items())
            if all(
                want in (None, have)
                for want, have in zip(wanted, (name.space, name.campaign, name.camera, name.region), strict=True)
            )
        }
        return [self._block(name, paths, progress) for name, paths in chosen.items()]

    def _paths(self) -> dict[BlockName, list[str]]:
        """Files that count, by block, in order of name."""
        state = self._store.names("runs"), {} if self._outlines is None else dict(self._outlines())
        if state != self._counted:
            found: dict[BlockName, set[str]] = {}
            for output, name in self._embedded(state[1]):
                found.setdefault(name, set()).add(output.path)
            self._counted, self._counting = state, {name: sorted(paths) for name, paths in found.items()}
        return self._counting

    def _embedded(self, drawn: Mapping[tuple[str, str], datetime]) -> Iterator[tuple[Output, BlockName]]:
        outputs = current_outputs(self._ledger)
        # After them: a run may have entered its first files meanwhile.
        began = runs_began(self._ledger) if drawn else {}
        for output in outputs:
            if output.table == "embeddings":
                name = _name_of(output)
                since = drawn.get((name.camera, name.region))
                # Runs are named by the second.
                if since is None or began[output.run_id] >= since.replace(microsecond=0):
                    yield output, name

    def _block(self, name: BlockName, paths: Sequence[str], progress: Progress | None) -> Block:
        key = short_hash(["matrix", VERSION, *paths])
        known = self._opened.get(name)
        if known is not None and known.key == key:
            return known
        folder = self._folder.joinpath(*(quote(part, safe="") for part in (name.space, name.campaign, name.camera)))
        target = folder / quote(name.region, safe="") / f"{key}{SUFFIX}"
        file = self._file(name, paths, target, progress)
        rows = file.rows.select(COLUMNS)
        block = Block(name.space, name.campaign, name.camera, name.region, file.vectors, file.norms, rows, key)
        self._opened[name] = block
        return block

    def _file(self, name: BlockName, paths: Sequence[str], target: Path, progress: Progress | None) -> MatrixFile:
        for _ in range(TRIES):
            file = _opened(target)
            if file is not None:
                return file
            sources = _sources(self._store, name, paths, _newest(target))
            if not any(source.rows.num_rows for source in sources):
                return _empty(sources)
            try:
                _build(target, sources, paths, progress)
            except OSError as error:
                raise LakeError(
                    f"{target} cannot be written: {error.strerror or error}; free space or grant access, then ask again"
                ) from error
            _tidy(target)
        raise LakeError(f"the matrix of {name} is replaced faster than it can be opened; ask again")


@dataclass(frozen=True, eq=False)
class _Source:
    """One Parquet file on its way into a matrix: its rows, and its unit vectors and their norms, piece by piece."""

    rows: pa.Table
    dimension: int
    pieces: Callable[[], Iterator[tuple[Vectors, Vectors]]] = field(repr=False)


def _name_of(output: Output) -> BlockName:
    space, _, region = output.scope.partition("/")
    return BlockName(space, output.campaign, output.camera, region)


def _opened(path: Path) -> MatrixFile | None:
    """None where there is none, or none that can be used."""
    try:
        return open_matrix(path)
    except (FileNotFoundError, DamagedFileError):
        return None


def _newest(target: Path) -> MatrixFile | None:
    """What was there for the block before; None where nothing usable was."""
    with suppress(OSError):
        older = sorted(target.parent.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
        file = _opened(older[0]) if older else None
        # Also what was made under another version lies there.
        return file if file is not None and file.about.get("version") == VERSION else None
    return None


def _sources(store: Store, name: BlockName, paths: Sequence[str], older: MatrixFile | None) -> list[_Source]:
    places = {} if older is None else {path: number for number, path in enumerate(older.about["paths"])}
    held = None if older is None else np.asarray(older.rows[SOURCE])
    sources = []
    for path in paths:
        if older is not None and held is not None and path in places:
            sources.append(_from_matrix(older, np.flatnonzero(held == places[path]).astype(np.int64)))
        else:
            sources.append(_from_parquet(store, name, path))
    dimensions = {source.dimension for source in sources if source.rows.num_rows}
    if len(dimensions) > 1:
        raise LakeError(f"{name} holds vectors of {sorted(dimensions)} dimensions; they are not of one space")
    return sources


def _from_matrix(matrix: MatrixFile, places: NDArray[np.int64]) -> _Source:
    def pieces() -> Iterator[tuple[Vectors, Vectors]]:
        for at in range(0, len(places), ROW_GROUP_ROWS):
            chosen = places[at : at + ROW_GROUP_ROWS]
            yield matrix.vectors[chosen], matrix.norms[chosen]

    return _Source(matrix.rows.select(COLUMNS).take(places), matrix.vectors.shape[1], pieces)


def _from_parquet(store: Store, name: BlockName, path: str) -> _Source:
    with _parquet(store, path) as file:
        kind: Any = file.schema_arrow.field(VECTOR).type
        rows = file.read([*COLUMNS, "space", "region"], use_threads=False)
    told = {str(value) for column in ("space", "region") for value in rows[column].unique().to_pylist()}
    if told - {name.space, name.region} or not pa.types.is_fixed_size_list(kind):
        raise LakeError(
            f"{store.url(path)} should hold vectors of {name}, but holds {kind} of {', '.join(sorted(told))}; delete it, "
            'then run "afterwatch run"'
        )

    def pieces() -> Iterator[tuple[Vectors, Vectors]]:
        with _parquet(store, path) as file:
            for batch in file.iter_batches(batch_size=ROW_GROUP_ROWS, columns=[VECTOR], use_threads=False):
                lists: Any = batch.column(0)
                halves = np.asarray(lists.flatten()).reshape(len(lists), kind.list_size)
                yield unit_vectors(halves.astype(np.float32))

    return _Source(rows.select(COLUMNS), kind.list_size, pieces)


def unit_vectors(vectors: Vectors) -> tuple[Vectors, Vectors]:
    """float32 (N, D) brought to unit length, and float32 (N,) their lengths; a zero vector stays zero."""
    lengths = np.sqrt(np.vecdot(vectors, vectors))
    unit = vectors / np.where(lengths > 0, lengths, np.float32(1))[:, None]
    return np.asarray(unit, dtype=np.float32), np.asarray(lengths, dtype=np.float32)


@contextmanager
def _parquet(store: Store, path: str) -> Iterator[pq.ParquetFile]:
    try:
        with store.filesystem.open(store.url(path), "rb") as file:
            yield pq.ParquetFile(file, pre_buffer=False)  # as `Store.read_table`, and for the same reason
    except (OSError, pa.ArrowException) as error:
        raise LakeError(
            f'{store.url(path)} counts and cannot be read ({error}); delete it if it is there, then run "afterwatch run"'
        ) from error


def _build(target: Path, sources: Sequence[_Source], paths: Sequence[str], progress: Progress | None) -> None:
    """Put the rows of all sources in order, then each source's vectors in their places; one piece is held at a time."""
    tables = [
        source.rows.append_column(SOURCE, pa.array(np.full(source.rows.num_rows, number, dtype=np.int32)))
        for number, source in enumerate(sources)
    ]
    rows = pa.concat_tables(tables).combine_chunks()
    order = np.asarray(pc.sort_indices(rows, sort_keys=[(column, "ascending") for column in ORDER]))
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    dimension = next(source.dimension for source in sources if source.rows.num_rows)
    done = 0
    with new_matrix(target, rows.take(order), dimension, {"version": VERSION, "paths": list(paths)}) as (
        vectors,
        norms,
    ):
        for source in sources:
            for unit, lengths in source.pieces():
                here = places[done : done + len(unit)]
                vectors[here], norms[here] = unit, lengths
                done += len(unit)
                if progress is not None:
                    progress(done, len(places))


def _empty(sources: Sequence[_Source]) -> MatrixFile:
    schema = TABLES["embeddings"].schema
    rows = pa.schema([schema.field(column) for column in COLUMNS]).empty_table()
    dimension = sources[0].dimension if sources else 0
    return MatrixFile(np.empty((0, dimension), np.float32), np.empty(0, np.float32), rows, {"paths": []})


def _tidy(target: Path) -> None:
    """Remove what the file in place stands for; processes that have it mapped keep what they have."""
    for path in target.parent.iterdir():
        unfinished = path.name.startswith(".")
        with suppress(FileNotFoundError):
            if path != target and (not unfinished or path.stat().st_mtime < time.time() - FORGOTTEN_S):
                path.unlink()
