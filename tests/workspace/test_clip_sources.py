"""A file that says which clips are of one source."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from footage.index import FrameIndex
from infra.errors import ConfigurationError, UnknownNameError
from workspace.clip_sets.base import ClipSet, LabelledClip
from workspace.clip_sets.sources import with_sources


@pytest.fixture
def clips() -> ClipSet:
    index = FrameIndex(np.arange(4, dtype=np.int64) * 40_000, np.ones(4, dtype=np.bool_), Fraction(1, 25))
    made = [
        LabelledClip(name, Path(name), name.split("/")[0], name, f"content of {name}", index)
        for name in ("fight/a.mp4", "fight/b.mp4", "none/c.mp4", "none/d.mp4")
    ]
    return ClipSet(tuple(made), ("fight", "none"), "none", "folders")


def said(folder: Path, text: str) -> Path:
    file = folder / "scenes.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_clips_that_are_named_get_their_source_and_others_keep_their_own(tmp_path: Path, clips: ClipSet) -> None:
    named = with_sources(clips, said(tmp_path, "clip,source\nfight/a.mp4,hall\n\nnone/c.mp4, hall\n"))
    assert named.sources == ("hall", "fight/b.mp4", "hall", "none/d.mp4")
    assert clips.sources == ("fight/a.mp4", "fight/b.mp4", "none/c.mp4", "none/d.mp4")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fight/a.mp4,hall\n", "header"),
        ("clip,source\nfight/a.mp4\n", "line 2: 1 cells"),
        ("clip,source\nfight/a.mp4,\n", "line 2"),
        ("clip,source\nfight/a.mp4,hall\nfight/a.mp4,yard\n", "line 3: fight/a.mp4 was named before"),
        ("", "header"),
    ],
)
def test_a_file_that_is_not_of_this_form_is_refused(tmp_path: Path, clips: ClipSet, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        with_sources(clips, said(tmp_path, text))


def test_a_clip_that_is_not_there_is_answered_with_the_nearest(tmp_path: Path, clips: ClipSet) -> None:
    with pytest.raises(UnknownNameError, match=r'did you mean "fight/a.mp4"'):
        with_sources(clips, said(tmp_path, "clip,source\nfight/aa.mp4,hall\n"))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        with_sources(clips, tmp_path / "absent.csv")
