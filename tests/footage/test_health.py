"""Unwell stretches are told from statistics of pictures; a quiet scene is well."""

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from footage.decode import decode
from footage.health import HealthSpan, examine
from footage.probe import probe
from footage.statistics import GREY_WIDTH, measure
from tests.footage.films import Film

FilmPath = Callable[[Film], Path]
Grey = NDArray[np.uint8]


def scene() -> NDArray[np.float64]:
    rng = np.random.default_rng(3)
    coarse = rng.integers(40, 200, (24, 32)).astype(np.float64)
    return np.asarray(cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC), dtype=np.float64)


def noisy(picture: NDArray[np.float64], seed: int, sigma: float = 1.0) -> Grey:
    rng = np.random.default_rng(seed)
    return np.clip(np.rint(picture + rng.normal(0, sigma, picture.shape)), 0, 255).astype(np.uint8)


def unwell(pictures: Iterable[Grey], *, step_us: int = 1_000_000, usual: float | None = None) -> list[HealthSpan]:
    before, rows = None, []
    for picture in pictures:
        told = measure(picture, before)
        rows.append((told.luminance, told.entropy_bits, told.sharpness, told.motion))
        before = picture
    luminance, entropy_bits, sharpness, motion = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    t_us = np.arange(len(rows), dtype=np.int64) * step_us
    usual_sharpness = float(np.median(sharpness)) if usual is None else usual
    return examine(t_us, luminance, entropy_bits, sharpness, motion, usual_sharpness=usual_sharpness)


def spans(found: list[HealthSpan]) -> list[tuple[int, int, str]]:
    return [(span.from_us // 1_000_000, span.to_us // 1_000_000, span.kind) for span in found]


def test_a_static_but_noisy_scene_is_well() -> None:
    assert unwell(noisy(scene(), seed, 0.5) for seed in range(30)) == []
    assert unwell(noisy(scene() * 0.12, seed, 0.8) for seed in range(30)) == []  # a dim night, not black


def test_a_black_stretch_is_told_with_its_times() -> None:
    pictures = [noisy(scene() if not 10 <= n < 16 else np.zeros((240, 320)), n) for n in range(30)]
    found = unwell(pictures)
    assert spans(found) == [(10, 16, "black")]
    assert found[0].value < 5


def test_a_frozen_stretch_begins_with_the_picture_that_froze() -> None:
    pictures = [noisy(scene(), min(n, 12) if n < 20 else n) for n in range(30)]
    assert spans(unwell(pictures)) == [(12, 20, "frozen")]


def test_a_camera_that_is_frozen_from_the_first_picture_on_is_told() -> None:
    assert spans(unwell([noisy(scene(), 0)] * 10)) == [(0, 9, "frozen")]


def test_a_black_and_frozen_camera_is_black() -> None:
    assert {span.kind for span in unwell([np.zeros((240, 320), np.uint8)] * 20, usual=500.0)} == {"black"}


def test_a_blurred_stretch_is_told_against_the_day() -> None:
    sharp = scene() + 25 * (np.indices((240, 320)).sum(0) // 4 % 2)
    soft = cv2.GaussianBlur(sharp, (0, 0), 6)
    pictures = [noisy(sharp if not 5 <= n < 12 else soft, n, 0.5) for n in range(30)]
    assert spans(unwell(pictures)) == [(5, 12, "blurred")]
    assert unwell([noisy(soft, n, 0.5) for n in range(30)]) == []  # always so: that is how this camera sees


def test_short_stretches_do_not_count() -> None:
    pictures = [noisy(scene() if n not in (10, 11) else np.zeros((240, 320)), n) for n in range(30)]
    assert unwell(pictures) == []


def test_a_picture_that_could_not_be_decoded_freezes_nothing() -> None:
    # After a gap there is no picture to compare with, and its motion reads 0.
    t_us = np.array([0, 1, 2, 4, 5, 7, 8, 9], dtype=np.int64) * 1_000_000
    motion = np.array([0, 2, 2, 0, 2, 0, 2, 2], dtype=np.float64)
    bright, rich, sharp = (np.full(8, value) for value in (100.0, 6.0, 500.0))
    assert examine(t_us, bright, rich, sharp, motion, usual_sharpness=500.0) == []


@pytest.mark.parametrize("count", [0, 1])
def test_a_recording_of_nothing_or_one_picture_is_well(count: int) -> None:
    assert unwell([noisy(scene(), 0)] * count, usual=100.0) == []


def test_compression_does_not_freeze_a_living_scene(film_path: FilmPath) -> None:
    path = film_path(Film(".mp4", 60, gop=25))
    index = probe(path).index
    pictures = [picture.grey(GREY_WIDTH) for picture in decode(path, index, np.arange(0, 60, 5), threads=1)]
    assert [span for span in unwell(pictures) if span.kind != "blurred"] == []


def test_a_health_span_checks_itself() -> None:
    with pytest.raises(ValueError, match="kind"):
        HealthSpan(0, 1, "tired", 0.0)
    with pytest.raises(ValueError, match="not empty"):
        HealthSpan(1, 1, "black", 0.0)
