"""The guard: what two sides of a split may not share, and what they may."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.datasets.base import LabelledVideo
from evaluation.leakage import Slice, check_split
from infra.errors import ConfigurationError

VideoMaker = Callable[..., LabelledVideo]


def test_slices_of_one_recording_need_the_gap(labelled_video: VideoMaker) -> None:
    video = labelled_video()
    check_split([Slice(video, 0, 200)], [Slice(video, 300, 600)], gap_s=10)
    for first, distance in ((299, "9.9 s apart"), (200, "side by side"), (150, "overlapping")):
        with pytest.raises(ConfigurationError, match=f"one recording, {distance}: at least 10 s"):
            check_split([Slice(video, 0, 200)], [Slice(video, first, 600)], gap_s=10)


def test_the_same_bytes_under_another_name_are_the_same_recording(labelled_video: VideoMaker) -> None:
    one = labelled_video("monday", content="same", camera="east")
    other = labelled_video("tuesday", content="same", camera="west", starts_s=86_400)
    with pytest.raises(ConfigurationError, match="one recording, overlapping"):
        check_split([Slice.whole(one)], [Slice.whole(other)])


def test_recordings_of_a_camera_need_the_gap_on_its_clock(labelled_video: VideoMaker) -> None:
    one, next_one = labelled_video("a"), labelled_video("b", starts_s=62)
    with pytest.raises(ConfigurationError, match=r"recorded them 2\.0 s apart"):
        check_split([Slice.whole(one)], [Slice.whole(next_one)])
    with pytest.raises(ConfigurationError, match=r"recorded them 2\.0 s apart"):
        check_split([Slice.whole(next_one)], [Slice.whole(one)])
    check_split([Slice(one, 0, 520)], [Slice.whole(next_one)])
    check_split([Slice.whole(one)], [Slice.whole(labelled_video("c", camera="gate", starts_s=62))])


def test_a_group_is_on_one_side(labelled_video: VideoMaker) -> None:
    one = labelled_video("a", group="2026-03-02")
    other = labelled_video("b", group="2026-03-02", starts_s=3600, camera="gate")
    with pytest.raises(ConfigurationError, match="2026-03-02, which is not split"):
        check_split([Slice.whole(one)], [Slice.whole(other)])
    check_split([Slice.whole(one)], [Slice.whole(labelled_video("c", group="2026-03-03", starts_s=86_400))])


def test_a_relevant_span_is_on_one_side(labelled_video: VideoMaker) -> None:
    video = labelled_video(relevant=((100, 400),))
    with pytest.raises(ConfigurationError, match=r"relevant frames \[100, 400\) reach"):
        check_split([Slice(video, 0, 150)], [Slice(video, 350, 600)])
    check_split([Slice(video, 0, 150)], [Slice(video, 400, 600)])


def test_snippets_may_not_see_across_the_gap(labelled_video: VideoMaker) -> None:
    sides = [Slice(labelled_video(), 0, 200)], [Slice(labelled_video(), 215, 600)]
    check_split(*sides, gap_s=1.5, reach_s=0.5)
    with pytest.raises(ConfigurationError, match="at least 2 s"):
        check_split(*sides, gap_s=1.5, reach_s=1.0)


@settings(deadline=None)  # machines differ, and are shared
@given(bounds=st.lists(st.integers(0, 600), min_size=4, max_size=4, unique=True), gap=st.integers(0, 300))
def test_a_split_passes_just_where_the_gap_is_kept(bounds: list[int], gap: int, labelled_video: VideoMaker) -> None:
    video = labelled_video()
    a, b, c, d = sorted(bounds)
    for train, test in (((a, b), (c, d)), ((c, d), (a, b))):
        sides = [Slice(video, *train)], [Slice(video, *test)]
        if c - b >= gap:
            check_split(*sides, gap_s=gap / 10)
        else:
            with pytest.raises(ConfigurationError, match="leaks"):
                check_split(*sides, gap_s=gap / 10)
