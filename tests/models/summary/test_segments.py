import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import ConfigurationError
from models.summary.segments import Bound, Segments, cut_segments, overlaps


def spans(segments: Segments) -> list[tuple[int, int, int, int]]:
    columns = (segments.recording, segments.index, segments.from_us, segments.to_us)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_a_recording_is_cut_from_its_start_and_the_last_segment_is_shorter() -> None:
    segments = cut_segments([(100, 126)], 10, 5)
    assert spans(segments) == [(0, 0, 100, 110), (0, 1, 110, 120), (0, 2, 120, 126)]
    assert segments.durations_us.tolist() == [10, 10, 6]
    assert segments.begins_at.tolist() == ["recording", "length", "length"]


def test_a_rest_below_the_minimum_goes_to_the_segment_before() -> None:
    assert spans(cut_segments([(0, 24)], 10, 5)) == [(0, 0, 0, 10), (0, 1, 10, 24)]
    assert spans(cut_segments([(0, 24)], 10)) == spans(cut_segments([(0, 24)], 10, 5))


def test_a_recording_below_the_minimum_is_one_segment_and_an_empty_one_none() -> None:
    assert spans(cut_segments([(0, 3), (3, 3), (5, 6)], 10, 5)) == [(0, 0, 0, 3), (2, 0, 5, 6)]
    assert len(cut_segments([], 10)) == 0


def test_between_bounds_the_length_counts_anew() -> None:
    segments = cut_segments([(0, 50)], 10, 5, bounds=[[(33, "cut"), (12, "change"), (50, "cut"), (0, "cut")]])
    assert spans(segments) == [(0, 0, 0, 12), (0, 1, 12, 22), (0, 2, 22, 33), (0, 3, 33, 43), (0, 4, 43, 50)]
    assert segments.begins_at.tolist() == ["recording", "change", "length", "cut", "length"]


def test_a_cut_at_the_moment_of_a_change_is_a_cut() -> None:
    for bounds in ([(7, "change"), (7, "cut")], [(7, "cut"), (7, "change")]):
        assert cut_segments([(0, 10)], 10, bounds=[bounds]).begins_at.tolist() == ["recording", "cut"]  # type: ignore[list-item]


def test_evenly_cut_segments_are_the_fewest_that_are_short_enough() -> None:
    segments = cut_segments([(0, 21), (100, 120)], 10, bounds=[[(1, "change")], []], evenly=True)
    assert spans(segments) == [(0, 0, 0, 1), (0, 1, 1, 11), (0, 2, 11, 21), (1, 0, 100, 110), (1, 1, 110, 120)]
    assert cut_segments([(0, 25)], 10, evenly=True).durations_us.tolist() == [8, 8, 9]


@st.composite
def cut(draw: st.DrawFn) -> tuple[list[tuple[int, int]], list[list[tuple[int, Bound]]], int, int]:
    recordings = draw(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 200)), max_size=5))
    what: st.SearchStrategy[Bound] = st.sampled_from(["change", "cut"])
    bounds = [
        draw(st.lists(st.tuples(st.integers(start - 20, start + length + 20), what), max_size=4))
        for start, length in recordings
    ]
    length = draw(st.integers(1, 50))
    return [(start, start + duration) for start, duration in recordings], bounds, length, draw(st.integers(0, length))


@given(cut(), st.booleans())
def test_every_microsecond_is_in_exactly_one_segment_and_none_crosses_a_bound(
    given_: tuple[list[tuple[int, int]], list[list[tuple[int, Bound]]], int, int], evenly: bool
) -> None:
    recordings, bounds, length, minimum = given_
    segments = cut_segments(recordings, length, minimum, bounds, evenly)
    for place, (start, end) in enumerate(recordings):
        own = segments.take(segments.recording == place)
        assert own.index.tolist() == list(range(len(own)))
        edges = [start, *own.to_us.tolist()]
        assert own.from_us.tolist() == edges[:-1] and edges[-1] == end
        inside = {at for at, _ in bounds[place] if start < at < end}
        assert inside <= set(own.from_us.tolist())
        begins = dict(zip(own.from_us.tolist(), own.begins_at.tolist(), strict=True))
        assert all((begins[at] == "recording") == (at == start) for at in begins)
        assert {at for at, what in begins.items() if what in ("change", "cut")} == inside
        assert all((begins[at] == "cut") == ((at, "cut") in bounds[place]) for at in inside)


@given(cut())
def test_the_lengths_of_segments_between_bounds(
    given_: tuple[list[tuple[int, int]], list[list[tuple[int, Bound]]], int, int],
) -> None:
    recordings, bounds, length, minimum = given_
    segments = cut_segments(recordings, length, minimum, bounds)
    first = segments.begins_at != "length"
    last = np.append(first[1:], np.ones(min(1, len(first)), dtype=np.bool_))
    assert (segments.durations_us[~last] == length).all()
    assert (segments.durations_us[~first] >= minimum).all()
    assert (segments.durations_us < length + max(1, minimum)).all()
    even = cut_segments(recordings, length, minimum, bounds, evenly=True).durations_us
    assert (even <= length).all() and len(even) >= len(segments)


@pytest.mark.parametrize(("length", "minimum"), [(0, 0), (10, 11), (10, -1)])
def test_lengths_out_of_range_are_refused(length: int, minimum: int) -> None:
    with pytest.raises(ConfigurationError):
        cut_segments([(0, 100)], length, minimum)


def test_recordings_and_bounds_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="recording 1"):
        cut_segments([(0, 10), (20, 10)], 5)
    with pytest.raises(ValueError, match="2 recordings, got them for 1"):
        cut_segments([(0, 10), (20, 30)], 5, bounds=[[]])
    with pytest.raises(ValueError, match="change, cut, got shot"):
        cut_segments([(0, 10)], 5, bounds=[[(3, "shot")]])  # type: ignore[list-item]


def test_segments_that_cannot_be_are_refused() -> None:
    whole = cut_segments([(0, 20)], 10)
    one = np.zeros(2, dtype=np.int64)
    with pytest.raises(ValueError, match=r"segment 1 is \[10, 0\)"):
        Segments(one, whole.index, whole.from_us, one + np.array([10, 0]), whole.begins_at)
    with pytest.raises(ValueError, match="one shape"):
        Segments(one[:1], whole.index, whole.from_us, whole.to_us, whole.begins_at)
    with pytest.raises(ValueError, match="got noon"):
        Segments(one, whole.index, whole.from_us, whole.to_us, np.array(["recording", "noon"]))


def test_segments_are_taken_by_number_or_mask() -> None:
    segments = cut_segments([(0, 40)], 10, bounds=[[(20, "cut")]])
    assert spans(segments.take(np.array([2, 0]))) == [(0, 2, 20, 30), (0, 0, 0, 10)]
    assert segments.take(segments.begins_at == "cut").from_us.tolist() == [20]
    assert len(segments.take(np.zeros(4, dtype=np.bool_))) == 0


edges = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 25)), max_size=12)


@given(edges, edges)
def test_overlaps_are_those_of_every_pair(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    (from_us, for_us), (item_from, item_for) = (
        np.array(spans, dtype=np.int64).reshape(-1, 2).T for spans in (some, others)
    )
    at, item = overlaps(from_us, from_us + for_us, item_from, item_from + item_for)
    expected = {
        (i, j)
        for i, (start, length) in enumerate(some)
        for j, (other, other_length) in enumerate(others)
        if start < other + other_length and other < start + length
    }
    assert len(at) == len(expected) and set(zip(at.tolist(), item.tolist(), strict=True)) == expected
    assert (np.diff(at) >= 0).all()
    assert all((np.diff(item_from[item[at == one]]) >= 0).all() for one in set(at.tolist()))
