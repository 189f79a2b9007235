"""Ingest: examine new files, enter them into the lake, quarantine with a reason what cannot be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from prefect import task

from footage.probe import Probe, content_hash, probe
from footage.recordings import FoundFile, day_of
from infra.errors import AfterwatchError, FootageError, LakeError
from lake.moments import moment_after
from lake.schema import TABLES
from lake.store import rows_of
from tasks.inventory import Inventory, Row, name_of, settle
from workspace.footage_files import unread
from workspace.indexes import save_index
from workspace.opened import Workspace

NO_DAY = date(1970, 1, 1)


@dataclass(frozen=True)
class Examined:
    """What came of examining a group of files."""

    rows: tuple[Row, ...]


@task(retries=2, retry_delay_seconds=[2, 10], task_run_name="ingest {label}", persist_result=False)
def examine(root: str, label: str, files: Sequence[FoundFile]) -> Examined:
    """Examine a group of files and keep the frame indexes of those that can be used."""
    workspace = Workspace(root)
    return Examined(tuple(examine_file(workspace, file) for file in files))


def examine_file(workspace: Workspace, file: FoundFile) -> Row:
    """Hash and probe one file.

    Returns:
        A row of `recordings`, status ready, partial or quarantined; nothing a file holds raises an error.

    Raises:
        LakeError: the lake cannot be written; that is no fault of the file's.
    """
    row: Row = {
        **dict.fromkeys(TABLES["recordings"].schema.names),
        "path": file.path,
        "bytes": file.bytes,
        "mtime_ns": file.mtime_ns,
        "campaign": "",
        "camera": "",
        "day": NO_DAY,
        "recording_id": "",
        "reason": "",
        "duration_us": 0,
        "frames": 0,
    }
    try:
        named = name_of(workspace, file.path)
        day = day_of(named.started_at, workspace.settings.zone)
        row |= {"campaign": named.campaign, "camera": named.camera, "day": day, "started_at": named.started_at}
        return row | _read(workspace, file)
    except LakeError:
        raise
    except AfterwatchError as error:
        reason = str(error)
    except FileNotFoundError as error:
        reason = f"the file cannot be read: {error.strerror}"
    except OSError as error:
        reason = f"the file {unread(error)}"
    except MemoryError:
        reason = 'there was not enough memory to examine it; run "afterwatch retry" with fewer workers'
    except Exception as error:  # noqa: BLE001 — a file that nobody foresaw must not stop the night
        reason = f"examining it failed: {type(error).__name__}: {error}"
    return row | {"status": "quarantined", "reason": reason}


def _read(workspace: Workspace, file: FoundFile) -> dict[str, Any]:
    path = workspace.site.footage_root / file.path
    recording_id = content_hash(path)
    found = _probed(path)
    told = path.stat()
    if (told.st_size, told.st_mtime_ns) != (file.bytes, file.mtime_ns):
        raise FootageError(
            "the file changed while it was read: it is still being written, and taken up by the next run"
        )
    save_index(workspace.store, recording_id, found.index)
    index = found.index
    cut_s = (index.declared_us - index.extent_us) / 1e6
    return {
        "recording_id": recording_id,
        "status": "partial" if index.is_cut_short else "ready",
        "reason": f"cut short: {cut_s:.1f} s of the declared length are missing" if index.is_cut_short else "",
        "duration_us": index.duration_us,
        "frames": len(index),
        "width": found.width,
        "height": found.height,
        "codec": found.codec,
        "rate_hz": index.rate_hz,
        "variable_rate": index.is_variable_rate,
    }


def _probed(path: Path) -> Probe:
    """What a file holds; where not all of that can be had, its disk is asked once more whether it gives the whole of it.

    Raises:
        FootageError: it cannot be used.
        OSError: it cannot be read.
    """
    try:
        found = probe(path)
    except FootageError:
        content_hash(path)
        raise
    if found.index.is_cut_short:
        content_hash(path)
    return found


def enter(workspace: Workspace, inventory: Inventory, examined: Sequence[Row]) -> list[Row]:
    """Enter what was examined, and what has gone, into the lake, all at once.

    Returns:
        The examined rows as entered, duplicates told.
    """
    settled = settle(inventory.present, examined)
    seen_at = moment_after(workspace.ledger, "recordings", "seen_at")
    rows = [
        *settled,
        *({**row, "status": "gone", "reason": "the file is not there any more"} for row in inventory.gone),
    ]
    if rows:
        names = TABLES["recordings"].schema.names
        columns = {name: [row[name] for row in rows] for name in names if name != "seen_at"}
        workspace.ledger.append_recordings(rows_of("recordings", {**columns, "seen_at": seen_at}), seen_at)
    return settled
