"""A copied span holds the recording's own pictures at the recording's own times, and says which they are."""

import hashlib
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footage.index import FrameIndex
from footage.probe import probe
from footage.remux import CopiedSpan, copy_span
from infra.errors import FootageError
from tests.footage.films import Film, make, plain_digests

FILMS = {
    "plain": Film(),
    "reordered": Film(bframes=3),
    "open groups": Film(bframes=3, x264=":open-gop=1:b-pyramid=normal"),
    "30000/1001 Hz": Film(time_base=Fraction(1001, 30000)),
    "variable rate": Film(time_base=Fraction(1, 1000), times=tuple(n * 110 + 37 * (n % 3) for n in range(60))),
    "transport stream": Film(suffix=".ts", bframes=2),
    "Matroska": Film(suffix=".mkv", bframes=2),
    "AVI": Film(suffix=".avi"),
    "HEVC": Film(codec="libx265", bframes=2),
    "HEVC in a transport stream": Film(codec="libx265", bframes=2, suffix=".ts"),
    "Motion JPEG": Film(codec="mjpeg", suffix=".avi"),
}


def check(copy: CopiedSpan, index: FrameIndex, digests: list[str], from_us: int, to_us: int) -> None:
    """The copy holds what is asked for, from a key frame on, pixel by pixel and time by time."""
    held = slice(copy.first, copy.last)
    assert plain_digests(copy.path) == digests[held]
    found = probe(copy.path).index
    assert found.t_us.tolist() == (index.t_us[held] - copy.from_us).tolist()
    assert found.pts[0] == 0
    assert (copy.first_pts, copy.last_pts) == (index.pts[copy.first], index.pts[copy.last - 1])
    assert copy.from_us == index.t_us[copy.first]
    assert index.is_key[copy.first]
    shown = np.flatnonzero((index.t_us < to_us) & (np.append(index.t_us[1:], index.extent_us) > from_us))
    assert copy.first <= shown[0]
    assert shown[-1] < copy.last
    assert not index.is_key[copy.first + 1 : shown[0] + 1].any(), "it begins at the last key frame that serves"
    assert copy.to_us >= min(to_us, index.extent_us)


@pytest.mark.parametrize("film", FILMS.values(), ids=FILMS)
def test_a_copy_holds_the_recordings_own_pictures(tmp_path: Path, film: Film) -> None:
    source = make(tmp_path / f"film{film.suffix}", film)
    index, digests = probe(source).index, plain_digests(source)
    for number, (from_us, to_us) in enumerate(((500_000, 900_000), (1_000_000, 9_000_000))):
        copy = copy_span(source, index, from_us, to_us, tmp_path / f"copy-{number}")
        check(copy, index, digests, from_us, min(to_us, index.extent_us))
        assert copy.path.suffix == (".mkv" if film.codec == "mjpeg" else ".mp4")
    assert sorted(path.suffix for path in tmp_path.glob(".*")) == [], "nothing unfinished is left"


@settings(max_examples=12, deadline=None)
@given(
    from_us=st.integers(0, 2_300_000),
    length_us=st.integers(1, 1_500_000),
    gop=st.integers(1, 20),
    bframes=st.integers(0, 3),
    seed=st.integers(0, 3),
)
def test_any_span_of_any_film_can_be_copied(from_us: int, length_us: int, gop: int, bframes: int, seed: int) -> None:
    film = Film(gop=gop, bframes=bframes, seed=seed, height=32, width=32)
    with tempfile.TemporaryDirectory() as folder:
        source = make(Path(folder) / "film.mp4", film)
        index, digests = probe(source).index, plain_digests(source)
        copy = copy_span(source, index, from_us, from_us + length_us, Path(folder) / "copy")
        check(copy, index, digests, from_us, from_us + length_us)


@pytest.mark.parametrize("film", [Film(bframes=2), Film(codec="mjpeg", suffix=".avi")], ids=["MP4", "Matroska"])
def test_the_same_span_gives_the_same_bytes(tmp_path: Path, film: Film) -> None:
    source = make(tmp_path / f"film{film.suffix}", film)
    index = probe(source).index
    copies = [copy_span(source, index, 700_000, 1_500_000, tmp_path / name).path for name in "ab"]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in copies}) == 1


def test_what_cannot_be_copied_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    source = make(tmp_path / "film.mp4", Film())
    index = probe(source).index
    with pytest.raises(FootageError, match=r"no picture .* from 50.000 to 60.000 s; it lasts 2.400 s"):
        copy_span(source, index, 50_000_000, 60_000_000, tmp_path / "copy")
    other = make(tmp_path / "other.mp4", Film(count=30, gop=7))
    with pytest.raises(FootageError, match="if it was replaced, run ingest again"):
        copy_span(other, index, 1_500_000, 2_000_000, tmp_path / "copy")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(FootageError, match=r"text\.mp4 cannot be copied"):
        copy_span(tmp_path / "text.mp4", index, 0, 1_000_000, tmp_path / "copy")
    with pytest.raises(FootageError, match=r"absent\.mp4 cannot be copied"):
        copy_span(tmp_path / "absent.mp4", index, 0, 1_000_000, tmp_path / "copy")
    counted = make(tmp_path / "film.avi", Film(suffix=".avi", bframes=2))
    with pytest.raises(FootageError, match="convert it to MP4 or Matroska"):
        copy_span(counted, probe(counted).index, 0, 1_000_000, tmp_path / "copy")
    assert {path.name for path in tmp_path.iterdir()} == {"film.mp4", "other.mp4", "text.mp4", "film.avi"}


def test_a_failure_while_writing_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make(tmp_path / "film.mp4", Film())
    index = probe(source).index

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("footage.remux.os.replace", full)
    with pytest.raises(FootageError, match="No space left"):
        copy_span(source, index, 0, 1_000_000, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
