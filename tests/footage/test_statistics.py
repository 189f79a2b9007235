"""Measures of pictures, against known answers and plain references."""

import math

import numpy as np
import pytest
from scipy.ndimage import laplace

from footage.statistics import FrameStatistics, measure, shannon_entropy


def test_entropy_has_its_known_answers() -> None:
    assert shannon_entropy(np.zeros((8, 8), np.uint8)) == 0.0
    assert shannon_entropy(np.array([[0, 255]], np.uint8)) == 1.0
    assert shannon_entropy(np.arange(256, dtype=np.uint8).reshape(16, 16)) == pytest.approx(8.0)
    assert shannon_entropy(np.array([[7, 7, 7, 9]], np.uint8)) == pytest.approx(-0.75 * math.log2(0.75) + 0.5)


def test_measures_are_those_of_a_plain_reference() -> None:
    rng = np.random.default_rng(0)
    before, now = rng.integers(0, 255, (2, 30, 40), dtype=np.uint8)
    found = measure(now, before)
    assert found.luminance == pytest.approx(now.mean())
    assert found.motion == pytest.approx(np.abs(now.astype(int) - before.astype(int)).mean())
    assert found.sharpness == pytest.approx(laplace(now.astype(np.float64), mode="mirror").var(), rel=1e-5)


def test_the_first_picture_and_one_of_another_size_have_no_motion() -> None:
    grey = np.full((30, 40), 9, np.uint8)
    assert measure(grey, None).motion == 0.0
    assert measure(grey, np.zeros((15, 20), np.uint8)).motion == 0.0


def test_a_flat_picture_is_not_sharp_and_blur_makes_less_sharp() -> None:
    assert measure(np.full((30, 40), 77, np.uint8), None).sharpness == 0.0
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 255, (60, 80)).astype(np.float64)
    soft = (sharp + np.roll(sharp, 1, 0) + np.roll(sharp, 1, 1) + np.roll(sharp, 1, (0, 1))) / 4
    assert measure(soft.astype(np.uint8), None).sharpness < measure(sharp.astype(np.uint8), None).sharpness / 4


@pytest.mark.parametrize("values", [(-1, 0, 0, 0), (256, 0, 0, 0), (0, 9, 0, 0), (0, 0, -1, 0), (0, 0, 0, -1)])
def test_measures_out_of_their_range_are_refused(values: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="range"):
        FrameStatistics(*values)
