"""What a summary costs: the footage it is measured on, and the ratios that are told. No time is judged."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmarks.hall_hours import EVENTFUL, QUIET, Hall, hall_recording, link, pieces
from benchmarks.summary import run_summary
from benchmarks.timing import Report
from footage.decode import decode
from footage.probe import content_hash, probe

TINY = Hall(piece_s=10, width=160, height=90, rate_hz=8)


def digests(path: Path) -> tuple[str, ...]:
    index = probe(path).index
    wanted = np.arange(len(index), dtype=np.int64)
    return tuple(picture.digest() for picture in decode(path, index, wanted, threads=1))


def test_a_recording_lasts_as_long_as_is_asked_for_and_its_pictures_follow_one_another() -> None:
    index = probe(hall_recording(TINY, 60, 1, seed=0)).index
    assert len(index) == 60 * TINY.rate_hz
    assert set(np.diff(index.t_us)) == {1_000_000 // TINY.rate_hz}


def test_a_recording_shows_the_pixels_of_its_pieces() -> None:
    parts = [digests(piece) for piece in pieces(TINY)]
    assert len(set(parts)) == QUIET + EVENTFUL
    whole, length = digests(hall_recording(TINY, 30, 1, seed=0)), TINY.piece_s * TINY.rate_hz
    shown = [whole[start : start + length] for start in range(0, len(whole), length)]
    assert len(shown) == 3 and set(shown) <= set(parts)
    assert sum(part in parts[QUIET:] for part in shown) == 1  # the one event that was asked for


def test_the_same_seed_and_number_are_the_same_file() -> None:
    files = [hall_recording(TINY, 120, 1, *given) for given in ((0, 0), (0, 1), (1, 0), (0, 0))]
    contents = [content_hash(file) for file in files]
    assert contents[0] == contents[3] and len(set(contents)) == 3
    assert digests(files[0]) == digests(files[1]) != digests(files[2])


def test_recordings_are_linked_at_their_time(tmp_path: Path) -> None:
    for after in (timedelta(0), timedelta(days=1, seconds=3600)):
        link(tmp_path, "bench", "hall", hall_recording(TINY, 30, 1, seed=0), after)
    names = sorted(path.name for path in (tmp_path / "footage" / "bench" / "hall").iterdir())
    assert names == ["2026-03-02T08-00-00.mp4", "2026-03-03T09-00-00.mp4"]


def test_a_day_s_summary_and_what_a_person_weighs_anew_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    ratios = run_summary(Report(quiet=False), TINY, piece_s=30, hours=2, cameras=2, segments=200, rounds=1)
    assert [ratio.target for ratio in ratios] == ["<= 0.05"] * 3 + ["<= 1"] * 2
    assert all(ratio.value > 0 for ratio in ratios)
    assert "a day of 2 × 30 s" in ratios[0].name and "2 cameras × 200 segments" in ratios[3].name
    assert "embedding 2 × 30 s" in capfd.readouterr().err
