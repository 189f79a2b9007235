"""Recordings whose times no recording can have: refused or not believed, and never laid out over years."""

import struct
from pathlib import Path

import pytest

from benchmarks.fuzz_recordings import FILMS, film_bytes
from footage.probe import DAY_US, LONGEST_US, probe
from infra.errors import FootageError
from tests.footage.films import Film, make

DURATION = b"\x44\x89\x88"
"""Name and length of Matroska's duration, a number of eight bytes."""


@pytest.mark.parametrize("declared_ms", [1e12, 1e15, 1e300, float("nan"), -5.0])
def test_a_length_that_no_recording_has_is_not_believed(tmp_path: Path, declared_ms: float) -> None:
    content = bytearray(film_bytes(FILMS[1]))
    at = content.find(DURATION) + len(DURATION)
    assert at > len(DURATION)
    content[at : at + 8] = struct.pack(">d", declared_ms)
    (tmp_path / "a.mkv").write_bytes(content)
    index = probe(tmp_path / "a.mkv").index
    assert (index.declared_us, index.duration_us) == (0, 6_000_000)


def test_a_length_that_a_recording_may_have_is(tmp_path: Path) -> None:
    content = bytearray(film_bytes(FILMS[1]))
    at = content.find(DURATION) + len(DURATION)
    content[at : at + 8] = struct.pack(">d", LONGEST_US / 1000)
    (tmp_path / "a.mkv").write_bytes(content)
    assert probe(tmp_path / "a.mkv").index.duration_us == LONGEST_US


@pytest.mark.parametrize(("days", "refused"), [(30, False), (40, True), (73_000_000, True)])
def test_pictures_spread_over_more_than_a_month_are_refused(tmp_path: Path, days: int, refused: bool) -> None:
    jump = days * DAY_US // 1_000_000 * 25
    path = make(tmp_path / "a.mkv", Film(".mkv", 40, gop=10, times=(*range(20), *range(jump, jump + 20))))
    if refused:
        with pytest.raises(FootageError, match=rf"spread over {days} days, more than the 31"):
            probe(path)
    else:
        assert len(probe(path).index) == 40
