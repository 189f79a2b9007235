"""A workspace as nights left it, made up by hand: recordings of a hall and a yard, what was made of them, and the ledger of it."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from afterwatch.workspace_files import make_workspace
from infra.settings import SETTINGS_FILE
from lake.keys import Place, short_hash
from lake.ledger import RunRow
from lake.schema import TABLES
from lake.store import rows_of
from workspace.opened import Workspace

HALL, YARD, CAMPAIGN = "hall", "yard", "spring"
FIRST, SECOND = date(2026, 3, 2), date(2026, 3, 3)
NIGHT = datetime(2026, 3, 4, 1, tzinfo=UTC)
"""When the night ran that found both days."""
POLICIES = {"superseded_days": 30, "published_days": 30, "results_days": 60, "footage_days": 90}
STEPS = {"embed": ("frames", "coverage", "stills"), "score": ("scores", "events"), "summarise": ("summaries",)}
"""Tables that a step of the site writes."""


def make_site(root: Path, *, idle_days: int = 1000, **policies: Any) -> Workspace:
    """The site after its night, with these policies."""
    workspace = Workspace(make_workspace(root))
    workspace.site.footage_root.mkdir(parents=True, exist_ok=True)
    places = [Place(CAMPAIGN, camera, day) for camera in (HALL, YARD) for day in (FIRST, SECOND)]
    see(workspace, [record(workspace, place) for place in places], NIGHT)
    for place in places:
        make(workspace, place, "old", NIGHT)
        make(workspace, place, "new", NIGHT + timedelta(days=1))
        publish(workspace, place)
    for day in (FIRST, SECOND):
        _write(
            workspace.site.digests_folder / CAMPAIGN / day.isoformat(), {"summary.json": "{}", "summary.mp4": "digest"}
        )
    return configured(workspace, idle_days=idle_days, **policies)


def copied_to(made: Workspace, root: Path) -> Workspace:
    """A copy of a site, to do with as one likes."""
    shutil.copytree(made.site.root, root, symlinks=True)
    return Workspace(root)


def configured(workspace: Workspace, **retention: Any) -> Workspace:
    """The site with another [retention], opened anew."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in retention.items()]
    text = "\n".join(["[retention]", *lines, ""])
    (workspace.site.root / SETTINGS_FILE).write_text(text, encoding="utf-8")
    return Workspace(workspace.site.root)


def content_of(path: Path) -> str:
    """As recordings are named by: BLAKE2b of 16 bytes."""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def record(workspace: Workspace, place: Place, **told: Any) -> dict[str, Any]:
    """A recording of a camera's day on the disk, and its row; `told` says otherwise."""
    name = told.get("path", f"{place.campaign}/{place.camera}/{place.day}T08-00-00.mp4")
    path = workspace.site.footage_root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(f"footage of {place}", encoding="utf-8")
    about = path.stat()
    row: dict[str, Any] = {
        **dict.fromkeys(TABLES["recordings"].schema.names),
        "campaign": place.campaign,
        "camera": place.camera,
        "day": place.day,
        "recording_id": content_of(path),
        "path": name,
        "status": "ready",
        "reason": "",
        "started_at": datetime(place.day.year, place.day.month, place.day.day, 8, tzinfo=UTC),
        "duration_us": 10_000_000,
        "frames": 10,
        "bytes": about.st_size,
        "mtime_ns": about.st_mtime_ns,
    }
    return row | told


def see(workspace: Workspace, rows: Sequence[dict[str, Any]], seen_at: datetime) -> None:
    """Enter recordings as an ingest does."""
    names = [name for name in TABLES["recordings"].schema.names if name != "seen_at"]
    columns = {name: [row[name] for row in rows] for name in names}
    workspace.ledger.append_recordings(rows_of("recordings", {**columns, "seen_at": [seen_at] * len(rows)}), seen_at)


def make(workspace: Workspace, place: Place, version: str, moment: datetime) -> None:
    """Files of every step of a camera's day, made from one another, and the rows that say so."""
    made_from: tuple[str, ...] = ()
    rows = []
    for step, tables in STEPS.items():
        key = key_of(place, step, version)
        outputs = tuple(f"{table}/{place.folder}/{key}.parquet" for table in tables)
        for table, path in zip(tables, outputs, strict=True):
            workspace.store.write_table(path, _covered(workspace, place) if table == "coverage" else _empty(table))
        scope = "frames" if step == "embed" else ""
        where = (place.campaign, place.camera, place.day)
        rows.append(RunRow(version, step, *where, scope, key, "done", moment, moment, made_from, outputs))
        made_from = (key,)
    workspace.ledger.record(rows)


def key_of(place: Place, step: str, version: str) -> str:
    return short_hash([*place.told, step, version])


def outputs_of(place: Place, version: str) -> set[str]:
    """What `make` wrote."""
    return {
        f"{table}/{place.folder}/{key_of(place, step, version)}.parquet"
        for step, tables in STEPS.items()
        for table in tables
    }


def publish(workspace: Workspace, place: Place) -> None:
    """A published day."""
    folder = workspace.site.published_folder / place.campaign / place.camera / place.day.isoformat()
    files = {"summary.json": "{}", "summary.mp4": "video", "contact.jpg": "sheet"}
    _write(folder, files | {"keyframes/1.jpg": "still", "events/1.mp4": "clip"})


def present(workspace: Workspace) -> set[str]:
    """Every file of the workspace but those of the ledgers, the settings and the state."""
    root = workspace.site.root
    ledgers = (
        "lake/runs",
        "lake/recordings",
        "lake/holds",
        "lake/deletions",
        "lake/audit",
        ".afterwatch",
        SETTINGS_FILE,
    )
    names = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return {name for name in names if not name.startswith(ledgers)}


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def _empty(table: str) -> Any:
    return TABLES[table].schema.empty_table()


def _covered(workspace: Workspace, place: Place) -> Any:
    """All of the day's recording, analysed."""
    path = workspace.site.footage_root / f"{place.campaign}/{place.camera}/{place.day}T08-00-00.mp4"
    return rows_of(
        "coverage",
        {
            "campaign": [place.campaign],
            "camera": [place.camera],
            "day": [place.day],
            "recording_id": [content_of(path)],
            "from_us": [0],
            "to_us": [10_000_000],
            "state": ["analysed"],
            "reason": [""],
        },
    )
