"""What a workspace says in the end, row for row, and where two of them differ.

Left out is only what must differ between two sites of the same footage: names of runs, clock times of the work, how much of it a
run found done already, who started it how often (the audit), and detectors that no result goes by: a night that is hurt may have
fitted one to the half of a day that it had.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from lake.catalogue import DATA_TABLES, connect, select
from lake.current import recordings_now, statements_now
from lake.ledger import FINISHED, newest
from lake.schema import STATEMENTS
from workspace.opened import Workspace

OF_THE_RUN = ("run_id", "started_at", "finished_at", "rows", "seconds", "decoded_s", "message")
OF_THE_CLOCK = ("seen_at", "mtime_ns", "said_at")
WRITTEN = ("published", "digests", "models")
NOVELTY, FIT, AUDIT = "novelty", "fit", "audit"
CARD = "card.json"
OF_A_CARD = ("made_at", "author", "code")
DONE = "done"

Content = Mapping[str, Counter[str]]


def content_of(root: Path) -> Content:
    """Rows that count, by table, and files that people look at, by folder; each as a line of text."""
    workspace = Workspace(root)
    connection = connect(workspace.store)
    found = {name: Counter(map(_line, select(connection, f"SELECT * FROM {name}").to_pylist())) for name in DATA_TABLES}
    found["recordings"] = Counter(_line(_less(row, OF_THE_CLOCK)) for row in recordings_now(workspace.ledger))
    found["runs"] = Counter(_line(row) for row in _steps(workspace))
    for name in (name for name in STATEMENTS if name != AUDIT):
        found[name] = Counter(_line(_less(row, OF_THE_CLOCK)) for row in statements_now(workspace.ledger, name))
    fits = {row["key"] for row in _newest_steps(workspace) if row["step"] == FIT}
    for name in WRITTEN:
        found[name] = Counter(_files(root / name, fits))
    return found


def differences(expected: Content, found: Content) -> list[str]:
    """What is in one and not in the other, table by table; none where they are equal."""
    told = []
    for name in sorted({*expected, *found}):
        absent, extra = expected[name] - found[name], found[name] - expected[name]
        if absent or extra:
            first = next(iter(absent or extra))
            told.append(f"{name}: {absent.total()} rows absent, {extra.total()} too many, as {first[:300]}")
    return told


def row_count(content: Content) -> int:
    """Rows and files in all."""
    return sum(lines.total() for lines in content.values())


def _steps(workspace: Workspace) -> list[dict[str, Any]]:
    """The newest word on every step of every camera's day; whether a run made it or found it there is of the run."""
    return [
        {
            **_less(row, OF_THE_RUN),
            "status": DONE if row["status"] in FINISHED else row["status"],
            "inputs": sorted(row["inputs"]),
            "outputs": sorted(row["outputs"]),
        }
        for row in _newest_steps(workspace)
    ]


def _newest_steps(workspace: Workspace) -> list[dict[str, Any]]:
    rows = [row for row in workspace.ledger.rows("runs").to_pylist() if row["campaign"]]
    return newest(rows, ("step", "campaign", "camera", "day", "scope"), "finished_at")


def _less(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, default=_told)


def _told(value: Any) -> str:
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)


def _files(folder: Path, fits: Collection[str]) -> list[str]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and _counts(path.relative_to(folder), fits)]
    return [f"{path.relative_to(folder)} {_hash(path)}" for path in paths]


def _counts(path: Path, fits: Collection[str]) -> bool:
    """Whether a file is one that results go by: of detectors, those that the newest fits name."""
    return path.parts[0] != NOVELTY or path.parent.name in fits


def _hash(path: Path) -> str:
    content = path.read_bytes()
    if path.name == CARD:
        card = {name: value for name, value in json.loads(content).items() if name not in OF_A_CARD}
        content = json.dumps(card, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()
