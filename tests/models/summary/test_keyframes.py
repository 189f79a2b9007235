from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.summary.keyframes import BLUR_SHARE, NEAR_PEAK_SHARE, choose_keyframes, least_sharpness

SECOND = 1_000_000


def keyframe(
    sharpness: Any, luminance: Any, scores: Any, times: list[int] | None = None, least: float = 0.0
) -> int | None:
    t_us = np.arange(len(scores)) * SECOND if times is None else np.array(times)
    sharp, light, told = (np.array(column, dtype=np.float64) for column in (sharpness, luminance, scores))
    firsts, lasts = np.array([0]), np.array([len(told)])
    (chosen,) = choose_keyframes(t_us, sharp, light, told, firsts, lasts, least_sharpness=least).tolist()
    return None if chosen < 0 else chosen


def of_one(t_us: Any, sharpness: Any, luminance: Any, scores: Any, least: float) -> int:
    """The keyframe of one segment, straight from the definition; -1: none."""
    lit = [row for row in range(len(t_us)) if luminance[row] > 16]
    sharp_enough = max(least, BLUR_SHARE * max((sharpness[row] for row in lit), default=0))
    usable = [row for row in lit if sharpness[row] >= sharp_enough]
    if not usable:
        return -1
    low, high = (bound(scores[row] for row in usable) for bound in (min, max))
    peak_us = min(t_us[row] for row in usable if scores[row] == high)
    near = [row for row in usable if scores[row] >= low + NEAR_PEAK_SHARE * (high - low)]
    return int(min(near, key=lambda row: (-sharpness[row], abs(t_us[row] - peak_us), t_us[row])))


def test_the_keyframe_is_the_sharpest_near_the_peak() -> None:
    assert keyframe([90, 60, 70, 95], [99] * 4, [0.1, 0.95, 1.0, 0.2]) == 2
    assert keyframe([60, 75, 70, 60], [99] * 4, [0.1, 0.95, 1.0, 0.2]) == 1


def test_a_black_or_blurred_picture_is_not_taken_where_another_exists() -> None:
    assert keyframe([500, 50, 55], [3, 99, 99], [1.0, 0.5, 0.1]) == 1
    assert keyframe([10, 100, 12], [99, 99, 99], [1.0, 0.1, 0.9]) == 1
    assert keyframe([10, 40, 35], [99, 99, 99], [1.0, 0.1, 0.9], least=38) == 1


def test_where_all_are_black_or_blurred_there_is_no_keyframe() -> None:
    assert keyframe([500, 900], [0, 16], [1.0, 1.0]) is None
    assert keyframe([30, 39], [99, 99], [1.0, 1.0], least=40) is None
    assert keyframe([30, 40], [99, 99], [1.0, 1.0], least=40) == 1
    assert keyframe([90, 30], [3, 99], [1.0, 1.0], least=40) is None
    assert keyframe([], [], []) is None


def test_equally_sharp_pictures_go_to_the_peak_then_to_the_earlier() -> None:
    assert keyframe([50] * 5, [99] * 5, [0.0, 0.95, 0.95, 1.0, 0.95]) == 3
    assert keyframe([50] * 3, [99] * 3, [1.0, 1.0, 1.0]) == 0
    assert keyframe([50] * 3, [99] * 3, [1.0, 1.0, 1.0], times=[9, 4, 6]) == 1


def test_blurred_is_below_a_fifth_of_what_is_usual_in_the_light() -> None:
    sharpness, luminance = np.array([10.0, 20, 30, 900, 900, 900]), np.array([99.0, 99, 99, 3, 16, 0])
    assert least_sharpness(sharpness, luminance) == 4
    assert least_sharpness(sharpness[3:], luminance[3:]) == 0
    assert least_sharpness(sharpness, luminance, black_luminance=2) == 6


pictures = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255), st.floats(0, 1)), min_size=1, max_size=12)


@given(pictures, st.floats(0, 60), st.randoms())
def test_the_keyframe_is_never_black_or_blurred(shown: list[tuple[int, int, float]], least: float, random: Any) -> None:
    sharpness, luminance, scores = (np.array(column) for column in zip(*shown, strict=True))
    chosen = keyframe(sharpness, luminance, scores, least=least)
    fit = (luminance > 16) & (sharpness >= least)
    if chosen is None:
        assert not fit.any()
        return
    assert fit[chosen] and sharpness[chosen] >= sharpness[luminance > 16].max() / 2
    order = random.sample(range(len(shown)), len(shown))
    again = keyframe(sharpness[order], luminance[order], scores[order], [at * SECOND for at in order], least)
    assert again is not None and order[again] == chosen


few = st.tuples(st.integers(0, 6), st.integers(14, 19), st.integers(0, 4))
spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), max_size=8)


@given(st.lists(few, max_size=40), spans, st.floats(0, 5))
def test_each_segment_has_the_keyframe_it_has_alone(
    shown: list[tuple[int, int, int]], spans: list[tuple[int, int]], least: float
) -> None:
    sharpness, luminance, scores = np.array(shown, dtype=np.float64).reshape(-1, 3).T
    t_us = np.arange(len(shown)) * SECOND
    firsts, counts = np.minimum(np.array(spans, dtype=np.int64).reshape(-1, 2), len(shown)).T
    lasts = np.minimum(firsts + counts, len(shown))
    told = choose_keyframes(t_us, sharpness, luminance, scores, firsts, lasts, least_sharpness=least)
    assert told.dtype == np.int64
    for first, last, chosen in zip(firsts.tolist(), lasts.tolist(), told.tolist(), strict=True):
        rows = slice(first, last)
        alone = of_one(t_us[rows], sharpness[rows], luminance[rows], scores[rows], least)
        assert chosen == (alone if alone < 0 else first + alone)


def test_arrays_of_two_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        keyframe([1, 2], [99], [1.0])
    one = np.ones(1)
    with pytest.raises(ValueError, match=r"one shape \(S,\)"):
        choose_keyframes(np.zeros(1, np.int64), one, one, one, np.array([0]), np.array([0, 1]), least_sharpness=0)
