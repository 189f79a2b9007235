"""Where a recording lies is remembered until another is taken in; clips are kept while they are looked at."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from footage.regions import WHOLE
from infra.errors import FootageError
from lake.keys import short_hash
from lake.labels import Span
from lake.ledger import Ledger
from lake.store import rows_of
from tests.workspace.hall import SPRING, make_hall, recording_of
from workspace import moments
from workspace.moments import clip, source_of
from workspace.opened import Workspace

NAME = recording_of(SPRING, 0)


@pytest.fixture
def hall(tmp_path: Path) -> Workspace:
    workspace = make_hall(tmp_path / "site")
    for row in workspace.ledger.rows("recordings").to_pylist():
        path = workspace.site.footage_root / row["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return workspace


def test_recordings_are_read_once(hall: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = source_of(hall, NAME)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "rows", lambda *_: pytest.fail("read again"))
        assert source_of(hall, NAME) == first
    rows = hall.ledger.rows("recordings").to_pylist()
    now = datetime.now(UTC) + timedelta(seconds=1)
    gone = [{**row, "status": "gone", "seen_at": now} for row in rows if row["recording_id"] == NAME]
    hall.ledger.append_recordings(rows_of("recordings", {name: [row[name] for row in gone] for name in gone[0]}), now)
    with pytest.raises(FootageError, match="footage is gone"):
        source_of(hall, NAME)


def test_a_file_that_went_is_told_although_remembered(hall: Workspace) -> None:
    source_of(hall, NAME).path.unlink()
    with pytest.raises(FootageError, match="footage is gone"):
        source_of(hall, NAME)


def test_a_clip_that_is_looked_at_outlives_older_ones(hall: Workspace) -> None:
    folder = hall.site.state_folder / "clips"
    folder.mkdir(parents=True)
    source, span = source_of(hall, NAME), Span(NAME, 0, 1_000_000)
    told = [NAME, span.from_us, span.to_us, WHOLE.outline, moments.CLIP_WIDTH, moments.CLIP_RATE_HZ]
    path = folder / f"{short_hash(told)}.mp4"
    path.write_bytes(b"clip")
    os.utime(path, (1, 1))
    assert clip(hall, source, span, WHOLE) == path
    assert path.stat().st_mtime > 1_000_000


def test_tidying_up_suffers_another_that_tidies_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "KEPT_CLIPS", 2)
    for number in range(4):
        (tmp_path / f"{number}.mp4").write_bytes(b"clip")
        os.utime(tmp_path / f"{number}.mp4", (number + 1, number + 1))
    # As if removed between listing and looking.
    (tmp_path / "9.mp4").symlink_to(tmp_path / "nothing")
    moments._forget_oldest(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.mp4") if path.exists()) == ["2.mp4", "3.mp4"]
