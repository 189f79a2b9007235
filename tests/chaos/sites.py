"""Small sites of the recordings that the fuzzing spoils, here whole."""

from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.fuzz_recordings import FILMS, film_bytes
from tests.tasks.nights import new_site
from workspace.opened import Workspace

FIRST = "demo/hall/2026-03-02T08-00-00.mp4"


def put(workspace: Workspace, path: str, content: bytes) -> Path:
    """Lay a recording into the footage folder."""
    file = workspace.site.footage_root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def whole(number: int) -> bytes:
    """A whole recording; another number gives another container or codec."""
    return film_bytes(FILMS[number])


def small(folder: Path, recordings: int = 2) -> Workspace:
    """A workspace of one camera with a recording a day."""
    workspace = new_site(folder, changes={"cluster": {"workers": 1}, "watch": {"reserve_gb": 0}})
    for number in range(recordings):
        started = datetime(2026, 3, 2, 8) + timedelta(days=number)
        put(workspace, f"demo/hall/{started:%Y-%m-%dT%H-%M-%S}{FILMS[number].suffix}", whole(number))
    return workspace
