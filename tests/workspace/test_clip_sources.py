"""A file that says which clips are of one source."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from footage.index import FrameIndex
from infra.errors import ConfigurationError, UnknownNameError
from tests.workspace.made_clips import put_clips
from workspace.clip_sets.base import ClipSet, LabelledClip
from workspace.clip_sets.read import read_clip_set
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


def test_a_file_that_is_not_used_may_be_named_all_the_same(tmp_path: Path) -> None:
    names = ["train/fight/1.mp4", "train/none/2.mp4", "test/fight/3.mp4", "test/none/4.mp4"]
    folder = put_clips(tmp_path / "clips", names)
    (folder / "train/fight/broken.mp4").write_bytes(b"no video")
    found = read_clip_set(folder)
    training = found.narrowed([clip for clip in found.clips if clip.split == "train"], ())
    rows = "".join(f"{name},hall\n" for name in (*names, "train/fight/broken.mp4"))
    assert with_sources(training, said(tmp_path, f"clip,source\n{rows}")).sources == ("hall", "hall")
    assert with_sources(found, said(tmp_path, f"clip,source\n{rows}")).sources == ("hall",) * 4


@pytest.mark.parametrize(
    "name",
    [
        "train/fight/9.mp4",
        "./train/fight/1.mp4",
        "train/none/../fight/1.mp4",
        "train/fight",
        "{folder}/train/fight/1.mp4",
    ],
)
def test_a_name_that_no_clip_could_have_is_refused(tmp_path: Path, name: str) -> None:
    """It would be passed over in silence, and its clip keep a source of its own."""
    folder = put_clips(tmp_path / "clips", ["train/fight/1.mp4", "train/none/2.mp4", "test/fight/3.mp4"])
    rows = f"clip,source\n{name.format(folder=folder)},hall\n"
    with pytest.raises(UnknownNameError, match=r"scenes\.csv, line 2"):
        with_sources(read_clip_set(folder), said(tmp_path, rows))
