"""Embeddings read back as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.errors import LakeError
from lake.schema import TABLES, VECTOR
from lake.store import Store


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Vectors of one space and region, in order of time.

    Attributes:
        vectors: float32 (N, D).
        rows: the other columns of `embeddings`, N rows.
    """

    vectors: NDArray[np.float32]
    rows: pa.Table

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def from_us(self) -> NDArray[np.int64]:
        """int64 (N,), start of each span in microseconds since 1970, UTC."""
        return np.asarray(self.rows["taken_at"].cast(pa.int64()), dtype=np.int64)

    @property
    def to_us(self) -> NDArray[np.int64]:
        """int64 (N,), end of each span, exclusive."""
        return np.asarray(self.from_us + self.column("to_us") - self.column("from_us"), dtype=np.int64)

    def column(self, name: str) -> NDArray[Any]:
        return np.asarray(self.rows[name].to_numpy())

    def take(self, positions: NDArray[np.int64]) -> "Embeddings":
        return Embeddings(self.vectors[positions], self.rows.take(positions))


def read_embeddings(store: Store, paths: Sequence[str]) -> Embeddings:
    """Read files of `embeddings` that share a space, in order of time, recording and index.

    Raises:
        LakeError: they hold vectors of two spaces.
    """
    parts = [store.read_table(path) for path in paths]
    filled = [part for part in parts if part.num_rows]
    if not filled:
        schema = TABLES["embeddings"].schema
        empty = schema.remove(schema.get_field_index(VECTOR)).empty_table()
        return Embeddings(np.empty((0, 0), dtype=np.float32), empty)
    spaces = {str(space) for part in filled for space in part["space"].unique().to_pylist()}
    if len(spaces) > 1:
        raise LakeError(f"vectors of different spaces cannot be compared: {sorted(spaces)}; read them one by one")
    whole = pa.concat_tables(filled).sort_by(
        [("taken_at", "ascending"), ("recording_id", "ascending"), ("index", "ascending")]
    )
    lists: Any = whole[VECTOR].combine_chunks()
    vectors = np.asarray(lists.flatten()).reshape(len(lists), lists.type.list_size).astype(np.float32)
    return Embeddings(vectors, whole.drop_columns([VECTOR]))
