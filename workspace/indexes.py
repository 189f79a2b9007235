"""Frame indexes kept in the lake, so that a recording's packets are read once and not before every decode."""

import json
from fractions import Fraction

import numpy as np
import pyarrow as pa

from footage.index import FrameIndex
from infra.errors import LakeError
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
    """Read it back.

    Raises:
        FileNotFoundError: there is none.
        LakeError: it is damaged, or no frame index.
    """
    path = index_path(recording_id)
    rows = store.read_table(path)
    try:
        about = json.loads((rows.schema.metadata or {})[ABOUT])
        return FrameIndex(
            np.asarray(rows["pts"], dtype=np.int64),
            np.asarray(rows["is_key"], dtype=np.bool_),
            Fraction(*about["time_base"]),
            declared_us=about["declared_us"],
            in_decoding_order=about["in_decoding_order"],
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise LakeError(
            f"{store.url(path)} is no frame index ({error!r}); restore it, or delete it and run again"
        ) from None
