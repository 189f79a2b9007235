"""What there is to ingest: the files of the footage folder against what the lake knows of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from footage.recordings import FoundFile, Named, day_of, find_files
from infra.errors import FootageError
from lake.current import recordings_now
from workspace.opened import Workspace

Row = dict[str, Any]

USABLE = ("ready", "partial")
UNREAD = "the file cannot be read"
"""How the reason of a file begins that the system did not give: it may be whole, and every night tries it again."""
OVERLAP_S = 0.5
"""Seconds by which a recording may begin before the one before it ends; clocks are not better than that."""


@dataclass(frozen=True)
class Inventory:
    """The footage folder today.

    Attributes:
        new: files to examine: not known, changed, renamed to another camera, or to be tried again.
        present: rows of files that are known and unchanged.
        gone: rows of files that were known and are not there any more.
        problems: (path, reason) of what could not even be listed.
    """

    new: tuple[FoundFile, ...]
    present: tuple[Row, ...]
    gone: tuple[Row, ...]
    problems: tuple[tuple[str, str], ...]


def take_inventory(workspace: Workspace, *, retry: bool = False) -> Inventory:
    """List the footage folder and compare it with the lake; no file is opened.

    Args:
        workspace: whose footage.
        retry: examine quarantined files again although they have not changed, and leave other new files for the night.

    Raises:
        ConfigurationError: there is no footage folder.
    """
    settings = workspace.settings.footage
    files, problems = find_files(workspace.site.footage_root, settings.suffixes)
    known = {row["path"]: row for row in recordings_now(workspace.ledger)}
    there = {file.path for file in files}
    as_known = {file.path for file in files if file.path in known and _is_as_known(workspace, file, known[file.path])}
    originals = {known[path]["recording_id"] for path in as_known if known[path]["status"] in USABLE}
    present, new = [], []
    for file in files:
        row = known.get(file.path)
        again = row is not None and (
            (row["status"] == "quarantined" and (retry or row["reason"].startswith(UNREAD)))
            or (row["status"] == "duplicate" and row["recording_id"] not in originals)
        )
        if row is None or again or file.path not in as_known:
            if not retry or again:
                new.append(file)
        else:
            present.append(row)
    gone = [row for path, row in known.items() if path not in there and row["status"] != "gone"]
    return Inventory(tuple(new), tuple(present), tuple(gone), tuple(problems))


def known_inventory(workspace: Workspace) -> Inventory:
    """What the lake knows of the footage folder, without looking there: nothing is new, nothing has gone since."""
    rows = (row for row in recordings_now(workspace.ledger) if row["status"] != "gone")
    return Inventory((), tuple(rows), (), ())


def _is_as_known(workspace: Workspace, file: FoundFile, row: Row) -> bool:
    if (row["bytes"], row["mtime_ns"]) != (file.bytes, file.mtime_ns) or row["status"] == "gone":
        return False
    try:
        named = name_of(workspace, file.path)
    except FootageError:
        return bool(row["status"] == "quarantined")
    day = day_of(named.started_at, workspace.settings.zone)
    told = (row["campaign"], row["camera"], row["started_at"], row["day"])
    return told == (named.campaign, named.camera, named.started_at, day)


def name_of(workspace: Workspace, path: str) -> Named:
    """What a path says, with the camera's clock put right.

    Raises:
        FootageError: it does not fit the pattern.
    """
    named = workspace.pattern.read(path)
    offset = timedelta(microseconds=workspace.settings.clock_offset_us(named.camera))
    return Named(named.campaign, named.camera, named.started_at + offset)


def settle(present: Sequence[Row], examined: Sequence[Row]) -> list[Row]:
    """Tell duplicates among examined files: of files with the same content, the first known, then the first by path,
    counts, and the others are its duplicates.

    Returns:
        The examined rows, some with their status changed to `duplicate`, in order of path.
    """
    first: dict[str, str] = {}
    for row in present:
        if row["status"] in USABLE:
            first[row["recording_id"]] = row["path"]
    settled = []
    for row in sorted(examined, key=lambda row: row["path"]):
        if row["status"] in USABLE:
            original = first.setdefault(row["recording_id"], row["path"])
            if original != row["path"]:
                row = {**row, "status": "duplicate", "reason": f"the same content as {original}"}
        settled.append(row)
    return settled


@dataclass(frozen=True)
class Neighbours:
    """Two recordings of a camera between which time is missing (`gap`) or told twice (`overlap`).

    `before` is, of the recordings that begin before `after`, the one that ends last.
    """

    kind: str
    campaign: str
    camera: str
    before: str
    after: str
    seconds: float


def gaps_and_overlaps(rows: Sequence[Row], gap_s: float) -> list[Neighbours]:
    """Compare each usable recording's start with the end of all before it, per campaign, camera and day.

    Nights between days are no gaps: whether a camera should have recorded then is not known here.
    """
    found = []
    usable = sorted(
        (row for row in rows if row["status"] in USABLE),
        key=lambda row: (row["campaign"], row["camera"], row["started_at"], row["path"]),
    )
    before: Row | None = None
    for after in usable:
        if before is not None and any(before[name] != after[name] for name in ("campaign", "camera", "day")):
            before = None
        if before is not None:
            wait_s = (after["started_at"] - _end_of(before)).total_seconds()
            kind = "gap" if wait_s > gap_s else "overlap" if wait_s < -OVERLAP_S else ""
            if kind:
                place = (after["campaign"], after["camera"], before["path"], after["path"])
                found.append(Neighbours(kind, *place, abs(wait_s)))
        if before is None or _end_of(after) > _end_of(before):
            before = after
    return found


def _end_of(row: Row) -> datetime:
    end: datetime = row["started_at"] + timedelta(microseconds=row["duration_us"])
    return end


def report(inventory: Inventory, examined: Sequence[Row], gap_s: float) -> dict[str, Any]:
    """The ingest part of the night's report: counts, and a line for everything that wants attention."""
    rows = [*inventory.present, *examined]
    neighbours = gaps_and_overlaps(rows, gap_s)
    now = Counter(row["status"] for row in rows)
    listed = [
        {"path": row["path"], "status": row["status"], "reason": row["reason"]}
        for row in sorted(rows, key=lambda row: row["path"])
        if row["status"] != "ready"
    ]
    listed += [{"path": path, "status": "unreadable", "reason": reason} for path, reason in inventory.problems]
    listed += [
        {
            "path": item.after,
            "status": item.kind,
            "reason": f"it begins {item.seconds:.1f} s {'after' if item.kind == 'gap' else 'before'} the end of "
            f"{item.before}",
        }
        for item in neighbours
    ]
    return {
        "new": sum(row["status"] in USABLE for row in examined),
        "present": sum(row["status"] in USABLE for row in inventory.present),
        "duplicate": now["duplicate"],
        "broken": now["quarantined"] + len(inventory.problems),
        "gone": len(inventory.gone),
        "gaps": sum(item.kind == "gap" for item in neighbours),
        "overlaps": sum(item.kind == "overlap" for item in neighbours),
        "problems": listed,
    }
