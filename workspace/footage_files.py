"""Whether a file of the footage folder is still the recording that the lake knows it as."""

from typing import Any

import pyarrow as pa

from footage.probe import content_hash
from infra.errors import FootageError
from lake.ledger import newest
from workspace.opened import Workspace

Seen = dict[str, tuple[str, int, int]]


def refuse_replaced(workspace: Workspace, path: str, recording_id: str, *, suspect: bool = False) -> None:
    """Refuse a file that has become another one since it was taken in; to be called when it has been read.

    What was read of it is of the recording then: a file that is put in its place does not take its time back, and where its
    time or size is another, its content decides.

    Args:
        workspace: whose footage.
        path: relative to the footage root.
        recording_id: of the recording that it was taken in as.
        suspect: something of it could not be had; its content is read once more, since a disk that fails looks like damage.

    Raises:
        FootageError: it holds something else now, or cannot be read any more.
    """
    file = workspace.site.footage_root / path
    try:
        told = file.stat()
        seen: Seen = workspace.ledger.derived("recordings", _seen)
        as_seen = seen.get(path) == (recording_id, told.st_size, told.st_mtime_ns)
        if (suspect or not as_seen) and content_hash(file) != recording_id:
            raise FootageError(f"{path} was replaced since it was taken in; the next night takes up what it is now")
    except FileNotFoundError as error:
        raise FootageError(
            f"{path} went away while it was read ({error.strerror}); the next night looks for it again"
        ) from None
    except OSError as error:
        raise FootageError(f"{path} {unread(error)}") from None


def unread(error: OSError) -> str:
    """What to say of a file that the system does not give: it may be whole, so that it is told as no worse than that."""
    return f"cannot be read ({(error.strerror or str(error)).lower()}); see to its disk, the next night tries it again"


def _seen(rows: pa.Table) -> Seen:
    known: list[dict[str, Any]] = rows.select(["path", "recording_id", "bytes", "mtime_ns", "seen_at"]).to_pylist()
    return {
        row["path"]: (row["recording_id"], row["bytes"], row["mtime_ns"]) for row in newest(known, ("path",), "seen_at")
    }
