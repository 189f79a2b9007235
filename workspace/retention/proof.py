"""The proof of deletion: what retention deleted, with the hash of each file, in a chain that shows whether a report was altered.

The digest of an entry is SHA-256 over the digest of the one before it and the entry's own words. So the last digest, kept
elsewhere, vouches for all of them: an entry that was changed, left out, added or moved gives another.
"""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from infra.errors import LakeError
from workspace.opened import Workspace
from workspace.retention.deleted import GONE, Entry, entries_now
from workspace.retention.files import is_there

COLUMNS = (
    "number",
    "deleted_at",
    "where",
    "path",
    "campaign",
    "camera",
    "day",
    "bytes",
    "sha256",
    "policy",
    "days",
    "reason",
    "author",
    "run",
    "digest",
)
START = hashlib.sha256(b"afterwatch deletions 1").hexdigest()
"""Digest before the first entry."""

Row = dict[str, Any]


def deletion_report(workspace: Workspace) -> Row:
    """What was deleted and seen to be gone, in the order in which it was, and whether it still is.

    Returns:
        `workspace`; `entries`, each with `COLUMNS`; `digest`: of the last of them; `files` and `bytes`; `entered`: what was
        entered and not deleted; `there_again`: what was deleted and is there now.
    """
    entries = entries_now(workspace.ledger)
    gone = [entry for entry in entries if entry.state == GONE]
    listed: list[Row] = []
    digest = START
    for number, entry in enumerate(gone, start=1):
        told = _told(number, entry)
        digest = chained(digest, told)
        listed.append({**told, "digest": digest})
    return {
        "workspace": str(workspace.site.root),
        "entries": listed,
        "files": len(listed),
        "bytes": sum(entry.bytes for entry in gone),
        "digest": digest,
        "entered": [entry.key for entry in entries if entry.state != GONE],
        "there_again": [entry.key for entry in gone if is_there(workspace, entry.where, entry.path)],
    }


def chained(before: str, entry: Mapping[str, Any]) -> str:
    """Digest of an entry, 64 hexadecimal digits.

    Args:
        before: digest of the entry before it.
        entry: its words, without a digest.
    """
    words = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(f"{before}\n{words}".encode()).hexdigest()


def altered(entries: Sequence[Mapping[str, Any]], digest: str) -> list[str]:
    """What in a report is not as it was written, a line each; nothing where the chain holds.

    Args:
        entries: of the report, in its order.
        digest: that it ends with.
    """
    lines, before = [], START
    for number, entry in enumerate(entries, start=1):
        told = {name: entry.get(name) for name in COLUMNS if name != "digest"}
        before = chained(before, told)
        if told["number"] != number:
            lines.append(f"entry {number} is numbered {told['number']}")
        if entry.get("digest") != before:
            lines.append(f"entry {number} ({entry.get('path')}) does not follow from what stands before it")
            break  # every later one differs for it
    if not lines and digest != before:
        lines.append(f"the report ends with {digest}, and its {len(entries)} entries give {before}: some are missing")
    return lines


def check_report(workspace: Workspace, text: str) -> list[str]:
    """Hold a report that was kept against itself and against the ledger of now; returns what differs, a line each.

    Args:
        workspace: whose report.
        text: as `--json` printed it.

    Raises:
        LakeError: it is no report.
    """
    try:
        told = json.loads(text)
        entries, digest = list(told["entries"]), str(told["digest"])
        lines = altered(entries, digest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LakeError(
            f"this is no deletion report as --json writes it ({type(error).__name__}: {error}); name one that is"
        ) from None
    now = {tuple(str(entry[name]) for name in _OWN) for entry in deletion_report(workspace)["entries"]}
    lacking = [entry for entry in entries if tuple(str(entry.get(name)) for name in _OWN) not in now]
    return [*lines, *(f"{entry.get('path')}: the ledger does not say so, or says otherwise" for entry in lacking)]


_OWN = ("where", "path", "bytes", "sha256", "policy", "author", "run", "deleted_at")


def as_markdown(report: Row) -> str:
    """The report for people."""
    lines = [
        "# Proof of deletion",
        "",
        f"Workspace `{report['workspace']}`: {report['files']} files, {report['bytes']} bytes, deleted by its `[retention]`. Each",
        "was entered with its hash, then deleted, then seen to be gone.",
        "",
        f"Last digest of the chain: `{report['digest']}`",
        "",
        "| # | deleted (UTC) | where | path | bytes | SHA-256 | why | by | digest |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in report["entries"]:
        why = f"{entry['policy']}, {entry['days']} days: {entry['reason']}"
        cells = [entry["number"], entry["deleted_at"], entry["where"], f"`{entry['path']}`", entry["bytes"]]
        cells += [f"`{entry['sha256']}`", why, entry["author"], f"`{entry['digest']}`"]
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    for name, words in (("entered", "Entered, and not deleted"), ("there_again", "Deleted, and there again")):
        if report[name]:
            lines += ["", f"{words}: {', '.join(report[name])}"]
    return "\n".join(lines) + "\n"


def as_csv(report: Row) -> str:
    """The report as a table, a row for each file; its last digest is that of the last row."""
    told = io.StringIO()
    writer = csv.DictWriter(told, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(report["entries"])
    return told.getvalue()


def _told(number: int, entry: Entry) -> Row:
    return {
        "number": number,
        "deleted_at": entry.said_at.isoformat(),
        "where": entry.where,
        "path": entry.path,
        "campaign": entry.place.campaign,
        "camera": entry.place.camera,
        "day": entry.place.day.isoformat(),
        "bytes": entry.bytes,
        "sha256": entry.sha256,
        "policy": entry.policy,
        "days": entry.days,
        "reason": entry.reason,
        "author": entry.author,
        "run": entry.run,
    }
