"""Frame indexes kept in the lake, so that a recording's packets are read once and not before every decode."""

import json
from fractions import Fraction

import numpy as np
import pyarrow as pa

from footage.index import FrameIndex
from lake.store import Store

ABOUT = b"afterwatch"


def index_path(recording_id: str) -> str:
    return f"indexes/{recording_id}.parquet"


def save_index(store: Store, recording_id: str, index: FrameIndex) -> None:
    """Keep the frame index of a recording under its content hash."""
    about = {
        "time_base": [index.time_base.numerator, index.time_base.denominator],
        "declared_us": index.declared_us,
        "in_decoding_order": index.in_decoding_order,
    }
    rows = pa.table({"pts": index.pts, "is_key": index.is_key}).replace_schema_metadata({ABOUT: json.dumps(about)})
    store.write_table(index_path(recording_id), rows)


def load_index(store: Store, recording_id: str) -> FrameIndex:
    """Read it back."""
    rows = store.read_table(index_path(recording_id))
    about = json.loads((rows.schema.metadata or {})[ABOUT])
    return FrameIndex(
        np.asarray(rows["pts"], dtype=np.int64),
        np.asarray(rows["is_key"], dtype=np.bool_),
        Fraction(*about["time_base"]),
        declared_us=about["declared_us"],
        in_decoding_order=about["in_decoding_order"],
    )
