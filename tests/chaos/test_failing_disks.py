"""A disk that fails while a recording is read: it is told as that, never as damage, and the next night tries it again."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.chaos_tables import content_of, differences
from lake.catalogue import connect, select
from lake.current import recordings_now
from tests.chaos.failing_disk import failing_disk
from tests.chaos.sites import FIRST, small
from tests.tasks.nights import ingest, run
from workspace.opened import Workspace

SAID = "cannot be read (input/output error)"
IN_A_CHILD = "import sys; from tests.chaos.test_failing_disks import both; both(*sys.argv[1:])"


def both(taken_in: str, decoded: str, marker: str) -> None:
    """Two workspaces, in a process for whose reads the disk fails while the marker is there."""
    fails_when_taken_in(Path(taken_in), Path(marker))
    fails_when_decoded(Path(decoded), Path(marker))


def fails_when_taken_in(root: Path, marker: Path) -> None:
    marker.touch()
    night = run(Workspace(root))
    by_path = {row["path"]: row for row in recordings_now(Workspace(root).ledger)}
    assert by_path[FIRST]["status"] == "quarantined", by_path
    assert by_path[FIRST]["reason"].startswith(f"the file {SAID}"), by_path
    assert [row["status"] for path, row in by_path.items() if path != FIRST] == ["ready"]
    assert any(SAID in str(line) for line in night.report.ingest["problems"]), night.report.ingest
    marker.unlink()
    assert run(Workspace(root)).report.status == "complete"


def fails_when_decoded(root: Path, marker: Path) -> None:
    ingest(Workspace(root))
    marker.touch()
    night = run(Workspace(root))
    assert night.report.status == "incomplete"
    (line,) = (line for line in night.report.attention if SAID in line)
    assert FIRST in line and "damaged" not in line, line
    spans = select(connect(Workspace(root).store), "SELECT * FROM coverage WHERE state = 'corrupt'")
    assert spans.num_rows == 0
    marker.unlink()
    assert run(Workspace(root)).report.status == "complete"


def test_a_failing_disk_is_told_as_such_and_the_next_night_reads_on(tmp_path: Path) -> None:
    expected = small(tmp_path / "expected")
    run(expected)
    sites = [small(tmp_path / name).site.root for name in ("taken-in", "decoded")]
    size, marker = (expected.site.footage_root / FIRST).stat().st_size, tmp_path / "fails"
    library = failing_disk(tmp_path, Path(FIRST).name, size // 2, marker)
    done = subprocess.run(
        [sys.executable, "-c", IN_A_CHILD, *map(str, sites), str(marker)],
        env=os.environ | {"LD_PRELOAD": str(library)},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for site in sites:
        wrong = differences(content_of(expected.site.root), content_of(site))
        assert [line for line in wrong if not line.startswith("models")] == [], "but for the head of the first night"
