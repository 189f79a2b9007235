import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import ConfigurationError
from models.summary.segments import Segment, cut_segments


def test_a_recording_is_cut_from_its_start_and_the_last_segment_is_shorter() -> None:
    assert cut_segments([(100, 126)], 10, 5) == [
        Segment(0, 0, 100, 110),
        Segment(0, 1, 110, 120),
        Segment(0, 2, 120, 126),
    ]


def test_a_rest_below_the_minimum_goes_to_the_segment_before() -> None:
    assert cut_segments([(0, 24)], 10, 5) == [Segment(0, 0, 0, 10), Segment(0, 1, 10, 24)]
    assert cut_segments([(0, 24)], 10) == cut_segments([(0, 24)], 10, 5)


def test_a_recording_below_the_minimum_is_one_segment_and_an_empty_one_none() -> None:
    assert cut_segments([(0, 3), (3, 3), (5, 6)], 10, 5) == [Segment(0, 0, 0, 3), Segment(2, 0, 5, 6)]


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 200)), max_size=5),
    st.integers(1, 50),
    st.floats(0, 1),
)
def test_segments_tile_each_recording_and_cross_none(
    recordings: list[tuple[int, int]], length: int, share: float
) -> None:
    minimum = int(length * share)
    spans = [(start, start + duration) for start, duration in recordings]
    segments = cut_segments(spans, length, minimum)
    for place, (start, end) in enumerate(spans):
        own = [one for one in segments if one.recording_index == place]
        assert [one.index for one in own] == list(range(len(own)))
        edges = [start, *(one.to_us for one in own)]
        assert [one.from_us for one in own] == edges[:-1] and edges[-1] == end
        assert all(one.duration_us == length for one in own[:-1])
        assert all(one.duration_us >= minimum for one in own[1:])
        assert all(one.duration_us < length + max(1, minimum) for one in own)


@pytest.mark.parametrize(("length", "minimum"), [(0, 0), (10, 11), (10, -1)])
def test_lengths_out_of_range_are_refused(length: int, minimum: int) -> None:
    with pytest.raises(ConfigurationError):
        cut_segments([(0, 100)], length, minimum)


def test_a_recording_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match="recording 1"):
        cut_segments([(0, 10), (20, 10)], 5)
