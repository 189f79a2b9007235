"""Splits in time: what is trained on, what is tested on, and that the guard agrees."""

from collections.abc import Callable

import pytest

from evaluation.datasets.base import LabelledVideo
from evaluation.leakage import Slice, check_split
from evaluation.splitting import split_in_time
from infra.errors import ConfigurationError

VideoMaker = Callable[..., LabelledVideo]


def spans(slices: tuple[Slice, ...]) -> list[tuple[str, int, int]]:
    return [(piece.video.video_id, piece.first, piece.last) for piece in slices]


def test_one_recording_is_cut_between_its_visits(labelled_video: VideoMaker) -> None:
    video = labelled_video(relevant=((50, 100), (150, 200), (300, 350), (400, 450)))
    split = split_in_time([video], gap_s=10)
    assert spans(split.test) == [("a", 250, 600)]
    assert spans(split.train) == [("a", 0, 150)]  # the gap is taken from the training part alone
    assert "first 2 of 4 visits" in split.how
    check_split(split.train, split.test, gap_s=10)


def test_clips_are_halved_and_the_gap_reaches_over_short_ones(labelled_video: VideoMaker) -> None:
    videos = [labelled_video(name, 60, 6.0 * number, group=name) for number, name in enumerate("abcdef")]
    split = split_in_time(videos, gap_s=10)
    assert spans(split.train) == [("a", 0, 60), ("b", 0, 20)]
    assert spans(split.test) == [(name, 0, 60) for name in "def"]
    check_split(split.train, split.test, gap_s=10)


def test_days_go_before_recordings_for_all_cameras_alike(labelled_video: VideoMaker) -> None:
    days = ("2026-03-02", "2026-03-03", "2026-03-04")
    videos = [
        labelled_video(f"{camera}{day}", starts_s=86_400 * number, day=day, group=day, camera=camera)
        for camera in ("east", "west")
        for number, day in enumerate(days)
    ]
    split = split_in_time(videos)
    assert {piece.video.day for piece in split.train} == set(days[:2]) and len(split.train) == 4
    assert {piece.video.day for piece in split.test} == {days[2]} and len(split.test) == 2
    check_split(split.train, split.test)


def test_midnight_is_no_gap(labelled_video: VideoMaker) -> None:
    evening = labelled_video("a", 600, 0.0, day="2026-03-02", group="2026-03-02")
    morning = labelled_video("b", 600, 60.0, day="2026-03-03", group="2026-03-03")
    split = split_in_time([evening, morning], gap_s=10)
    assert spans(split.train) == [("a", 0, 500)] and spans(split.test) == [("b", 0, 600)]


def test_what_cannot_be_split_is_refused(labelled_video: VideoMaker) -> None:
    with pytest.raises(ConfigurationError, match="1 relevant spans"):
        split_in_time([labelled_video(relevant=((10, 20),))])
    with pytest.raises(ConfigurationError, match="nothing to train on"):
        split_in_time([labelled_video(relevant=((10, 20), (60, 70)))], gap_s=10)
    absent = [
        labelled_video("a", day="2026-03-02", camera="east"),
        labelled_video("b", day="2026-03-03", camera="east", starts_s=86_400),
        labelled_video("c", day="2026-03-02", camera="west"),
    ]
    with pytest.raises(ConfigurationError, match="camera west has nothing to test on"):
        split_in_time(absent)
