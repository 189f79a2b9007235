"""Times of pictures: exact, monotone, honest about holes and missing tails."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footage.index import MINIMUM_HOLD_US, FrameIndex
from tests.footage.times import indexes


def index_of(
    pts: list[int], time_base: Fraction = Fraction(1, 1000), keys: tuple[int, ...] = (0,), **kept: int
) -> FrameIndex:
    is_key = np.isin(np.arange(len(pts)), keys)
    return FrameIndex(np.array(pts, dtype=np.int64), is_key, time_base, **kept)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pts", "is_key", "time_base", "declared_us"),
    [
        ([], [], Fraction(1), 0),
        ([1, 2], [True], Fraction(1), 0),
        ([1, 1], [True, False], Fraction(1), 0),
        ([2, 1], [True, False], Fraction(1), 0),
        ([1], [True], Fraction(0), 0),
        ([1], [True], Fraction(1), -1),
    ],
)
def test_rows_that_are_no_index_are_refused(
    pts: list[int], is_key: list[bool], time_base: Fraction, declared_us: int
) -> None:
    with pytest.raises(ValueError, match=r"pts|time_base"):
        FrameIndex(np.array(pts, dtype=np.int64), np.array(is_key, dtype=np.bool_), time_base, declared_us)


@pytest.mark.parametrize(
    ("time_base", "step"),
    [
        (Fraction(1001, 30000), 1),
        (Fraction(1, 90000), 3003),
        (Fraction(1, 1_000_000_000), 33_366_667),
        (Fraction(1, 2_147_483_647), 71_582_788),
        (Fraction(1001, 60000), 2),
    ],
)
def test_a_day_of_pictures_has_exact_times_in_any_time_base(time_base: Fraction, step: int) -> None:
    count = int(24 * 3600 / float(step * time_base))
    pts = 10**9 + step * np.arange(count, dtype=np.int64)
    index = FrameIndex(pts, np.arange(count) % 250 == 0, time_base)
    for number in (0, 1, 2, 12345, count // 2, count - 1):
        exact = number * step * time_base * 1_000_000
        assert abs(int(index.t_us[number]) - exact) <= Fraction(1, 2)
    assert 86_399_000_000 < index.extent_us < 86_401_000_000
    assert not index.is_variable_rate
    assert index.rate_hz == pytest.approx(1 / float(step * time_base), rel=1e-4)


@given(indexes())
def test_times_are_the_nearest_microseconds_to_the_stamps(index: FrameIndex) -> None:
    exact = [(int(at) - int(index.pts[0])) * index.time_base * 1_000_000 for at in index.pts]
    assert all(abs(int(t) - e) <= Fraction(1, 2) for t, e in zip(index.t_us, exact, strict=True))
    assert index.t_us[0] == 0
    assert np.all(np.diff(index.t_us) >= 0)


@given(indexes())
def test_holes_lie_in_the_recording_in_order_and_show_nothing(index: FrameIndex) -> None:
    end = 0
    for from_us, to_us in index.holes():
        assert end <= from_us < to_us <= index.duration_us
        inside = np.array([from_us, (from_us + to_us) // 2, to_us - 1])
        assert np.all(index.on_display(inside) == -1)
        end = to_us
    assert index.duration_us >= index.extent_us > int(index.t_us[-1])


@given(indexes(), st.lists(st.integers(-5_000_000, 400_000_000), max_size=20))
def test_on_display_is_the_last_picture_unless_it_is_held_too_long(index: FrameIndex, at_us: list[int]) -> None:
    shown = index.on_display(np.array(at_us, dtype=np.int64))
    for at, position in zip(at_us, shown, strict=True):
        started = [i for i in range(len(index)) if index.t_us[i] <= at]
        there = bool(started) and at < index.extent_us and at - index.t_us[started[-1]] < index.hold_us
        assert position == (started[-1] if there else -1)
    assert np.array_equal(index.on_display(index.t_us)[:1], [0])


@given(indexes())
def test_every_moment_is_on_display_or_in_a_hole(index: FrameIndex) -> None:
    moments = np.linspace(0, index.duration_us - 1, 200).astype(np.int64)
    in_hole = np.array([any(a <= at < b for a, b in index.holes()) for at in moments])
    assert np.array_equal(index.on_display(moments) == -1, in_hole)


def test_variable_rate_is_told_from_the_clock_s_grain() -> None:
    assert not index_of([0, 33, 67, 100, 133, 167]).is_variable_rate  # 30 Hz in milliseconds
    assert index_of([0, 33, 67, 140, 173, 207]).is_variable_rate
    assert not index_of([7]).is_variable_rate


def test_a_single_picture_lasts_a_moment() -> None:
    index = index_of([7])
    assert (index.interval_us, index.extent_us, index.duration_us) == (0, 1, 1)
    assert index.rate_hz > 0
    assert index.holes() == []


def test_a_long_wait_is_a_hole_after_the_hold() -> None:
    index = index_of([0, 40, 80, 5080, 5120])
    assert index.hold_us == MINIMUM_HOLD_US
    assert index.holes() == [(2_080_000, 5_080_000)]
    assert index.on_display(np.array([2_079_999, 2_080_000, 5_079_999, 5_080_000])).tolist() == [2, -1, -1, 3]
    slow = index_of([0, 3000, 6000, 9000, 12_000])  # one picture in three seconds is no row of holes
    assert slow.holes() == []


def test_cut_short_is_clearly_more_declared_than_there_is() -> None:
    pts = list(range(0, 10_000, 40))
    assert not index_of(pts, declared_us=0).is_cut_short
    assert not index_of(pts, declared_us=11_900_000).is_cut_short  # within the hold
    cut = index_of(pts, declared_us=60_000_000)
    assert cut.is_cut_short
    assert cut.duration_us == 60_000_000
    assert cut.holes() == [(10_000_000, 60_000_000)]
    longer = list(range(0, 1_000_000, 40))
    assert not index_of(longer, declared_us=1_019_000_000).is_cut_short  # within two per cent
    assert index_of(longer, declared_us=1_021_000_000).is_cut_short


def test_keys_are_the_indices_of_the_key_frames() -> None:
    assert index_of([0, 1, 2, 3], keys=(0, 2)).keys.tolist() == [0, 2]
    assert index_of([0, 1], keys=()).keys.tolist() == []
