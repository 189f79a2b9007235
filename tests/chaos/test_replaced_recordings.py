"""A recording that becomes another one while a night reads it: nothing of it is told as if it were the first."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.chaos_tables import content_of, differences
from footage.decode import decode
from footage.writing import VideoWriter
from infra.errors import FootageError
from tasks import embedding
from tests.chaos.sites import FIRST, put, small
from tests.tasks.nights import ingest, new_site, run
from workspace.footage_files import refuse_replaced
from workspace.opened import Workspace


def film(path: Path, grey: int) -> bytes:
    """A recording of 4 s in grey; another grey gives the same times and other pictures."""
    with VideoWriter(path) as video:
        for number in range(32):
            picture = np.full((64, 96, 3), grey, np.uint8)
            picture[: number + 8] = 255 - grey
            video.write(picture, number * 125_000)
    return path.read_bytes()


@pytest.fixture
def films(tmp_path: Path) -> tuple[bytes, bytes]:
    return film(tmp_path / "a.mp4", 60), film(tmp_path / "b.mp4", 90)


@pytest.mark.parametrize("before", [True, False], ids=["before it is opened", "while it is decoded"])
def test_a_recording_replaced_by_one_of_the_same_times_is_not_told_as_the_first(
    tmp_path: Path, films: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    workspace = new_site(tmp_path / "site")
    file = put(workspace, FIRST, films[0])
    sound = put(workspace, FIRST.replace("hall", "yard"), films[0] + bytes(8))
    other = new_site(tmp_path / "other")
    for replaced, content in ((file, films[1]), (sound, sound.read_bytes())):
        put(other, str(replaced.relative_to(workspace.site.footage_root)), content)
    run(other)

    def replacing(path: Path, *told: Any, **more: Any) -> Iterator[Any]:
        if path == file and before:
            replace(file, films[1])
        yield from decode(path, *told, **more)
        if path == file and not before:
            replace(file, films[1])

    monkeypatch.setattr(embedding, "decode", replacing)
    night = run(workspace)
    monkeypatch.undo()
    assert night.report.status == "incomplete"
    assert any("was replaced since it was taken in" in line for line in night.report.attention)
    assert not any(outcome.path == FIRST and outcome.status == "done" for outcome in night.outcomes)
    assert any(outcome.path != FIRST and outcome.status == "done" for outcome in night.outcomes)
    night = run(Workspace(workspace.site.root))
    assert night.report.status == "complete", night.report.attention
    wrong = differences(content_of(other.site.root), content_of(workspace.site.root))
    assert [line for line in wrong if not line.startswith("models")] == [], "but for heads of the first night"


def replace(file: Path, content: bytes) -> None:
    """Put another file in its place at once, as a recorder does."""
    file.with_suffix(".new").write_bytes(content)
    os.replace(file.with_suffix(".new"), file)


def test_a_recording_that_was_only_touched_is_still_itself(tmp_path: Path) -> None:
    workspace = small(tmp_path / "site", 1)
    _, (row,) = ingest(workspace)
    file = workspace.site.footage_root / FIRST
    os.utime(file, ns=(1, 1))
    refuse_replaced(workspace, FIRST, row["recording_id"])
    with pytest.raises(FootageError, match="was replaced"):
        refuse_replaced(workspace, FIRST, "another")
    file.unlink()
    with pytest.raises(FootageError, match="went away while it was read"):
        refuse_replaced(workspace, FIRST, row["recording_id"])
