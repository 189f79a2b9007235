"""Flip reports on disk: `models/flips/<id>.json`, called by the hash of their bytes, so that one that was altered shows."""

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path

from footage.writing import write_bytes
from infra.errors import LakeError, UnknownNameError
from lake.audit import About
from workspace.flips import FlipReport
from workspace.opened import Workspace

FOLDER = "flips"
"""In the folder of the registry: no kind of model is called so."""
COMPARISONS = "compare"
"""Folder below `.afterwatch` of what comparisons of autoencoders make, as long as they are not through."""
ID_DIGITS = 20
_ID = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")
NEWEST = 8
"""Reports that are told where one is not known."""


def reports_folder(workspace: Workspace) -> Path:
    """Where the reports of a workspace lie."""
    return workspace.site.models_folder / FOLDER


def keep_report(workspace: Workspace, report: FlipReport) -> str:
    """Write a report, whole or not at all; returns its id. The same comparison of the same footage is the same report.

    Raises:
        AccessError: the role of who acts does not allow it.
        LakeError: it cannot be written.
    """
    content = (json.dumps(report.to_json(), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
    report_id = hashlib.sha256(content).hexdigest()[:ID_DIGITS]
    path = _path(workspace, report_id)
    workspace.guard.ask("compare models", About((f"{FOLDER}/{report_id}",), campaign=report.campaign))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
    except OSError as error:
        raise LakeError(f"{path} cannot be written: {error.strerror or error}; free space or grant access") from None
    return report_id


def read_report(workspace: Workspace, report_id: str) -> FlipReport:
    """A report as it was made.

    Raises:
        UnknownNameError: there is none of that id.
        LakeError: it was altered since it was made, or cannot be read.
    """
    content = _content(workspace, report_id)
    if hashlib.sha256(content).hexdigest()[:ID_DIGITS] != report_id:
        raise LakeError(
            f"{_path(workspace, report_id)} was altered since it was made, and counts no more; delete it, and make the "
            'comparison again with "afterwatch models compare"'
        )
    try:
        return FlipReport.from_json(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LakeError(
            f"{_path(workspace, report_id)} is no report that this version can read ({error!r}); make the comparison again "
            'with "afterwatch models compare"'
        ) from None


def report_hash(workspace: Workspace, report_id: str) -> str:
    """SHA-256 of a report's file as it is now, 64 hexadecimal digits.

    Raises:
        UnknownNameError: there is none of that id.
        LakeError: it cannot be read.
    """
    return hashlib.sha256(_content(workspace, report_id)).hexdigest()


def report_ids(workspace: Workspace) -> list[str]:
    """Ids of the reports that are there, the newest first."""
    made: list[tuple[float, str]] = []
    for path in reports_folder(workspace).glob("*.json"):
        try:
            if _ID.fullmatch(path.stem):
                made.append((path.stat().st_mtime, path.stem))
        except OSError:
            continue  # deleted since it was listed
    return [report_id for _, report_id in sorted(made, reverse=True)]


def made_at(workspace: Workspace, report_id: str) -> datetime:
    """When a report was made last: the same comparison of the same footage is the same report.

    Raises:
        UnknownNameError: there is none of that id.
    """
    try:
        return datetime.fromtimestamp(_path(workspace, report_id).stat().st_mtime, UTC)
    except OSError:
        raise UnknownNameError("flip report", report_id, report_ids(workspace)[:NEWEST]) from None


def _content(workspace: Workspace, report_id: str) -> bytes:
    if not _ID.fullmatch(report_id):
        raise UnknownNameError("flip report", report_id[:100], report_ids(workspace)[:NEWEST])
    path = _path(workspace, report_id)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UnknownNameError("flip report", report_id, report_ids(workspace)[:NEWEST]) from None
    except OSError as error:
        raise LakeError(f"{path} cannot be read: {error.strerror or error}; grant access") from None


def _path(workspace: Workspace, report_id: str) -> Path:
    return reports_folder(workspace) / f"{report_id}.json"
