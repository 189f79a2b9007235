"""Split labelled videos in time: the earlier part to train on, the later part to test on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.datasets.base import LabelledVideo
from evaluation.leakage import GAP_S, Slice
from infra.errors import ConfigurationError


@dataclass(frozen=True)
class Split:
    """What is trained on and what is tested on, and how that came about, in words."""

    train: tuple[Slice, ...]
    test: tuple[Slice, ...]
    how: str


def split_in_time(videos: Sequence[LabelledVideo], gap_s: float = GAP_S) -> Split:
    """Split by day; where there is one day only, by recording or clip; where there is one recording, by visit.

    The first half of the days, clips or visits is trained on (the greater half of an odd number), the rest is tested on.
    The test part is whole: the gap before it is taken from the training part. A recording is cut in the middle of the
    time between two visits.

    Args:
        videos: of one data set, in order of camera and time.
        gap_s: seconds that must lie between training and test.

    Raises:
        ConfigurationError: there is one visit only, or a camera has nothing to train on or to test on.
    """
    days = sorted({video.day for video in videos if video.day})
    cameras = list(dict.fromkeys((video.campaign, video.camera) for video in videos))
    if len(days) > 1:
        early = set(days[: (len(days) + 1) // 2])
        train = [Slice.whole(video) for video in videos if video.day in early]
        test = [Slice.whole(video) for video in videos if video.day not in early]
        how = (
            f"by day: {', '.join(sorted(early))} to train, {', '.join(day for day in days if day not in early)} to test"
        )
    else:
        train, test, told = [], [], list[str]()
        for name in cameras:
            mine = [video for video in videos if (video.campaign, video.camera) == name]
            earlier, later, words = _by_recording(mine) if len(mine) > 1 else _by_visit(mine[0])
            train, test, told = [*train, *earlier], [*test, *later], [*told, words]
        how = "; ".join(told)
    kept = _with_gap(train, test, round(gap_s * 1e6))
    for campaign, camera in cameras:
        for side, slices in (("train", kept), ("test", test)):
            if not any((one.video.campaign, one.video.camera) == (campaign, camera) for one in slices):
                raise ConfigurationError(
                    f"camera {camera} has nothing to {side} on with a gap of {gap_s:g} s ({how}); label more recordings"
                )
    return Split(tuple(kept), tuple(test), f"{how}; {gap_s:g} s between them, taken from the training part")


def _by_recording(videos: Sequence[LabelledVideo]) -> tuple[list[Slice], list[Slice], str]:
    half = (len(videos) + 1) // 2
    train, test = videos[:half], videos[half:]
    how = f"{_named(train)} to train, {_named(test)} to test"
    return [Slice.whole(video) for video in train], [Slice.whole(video) for video in test], how


def _by_visit(video: LabelledVideo) -> tuple[list[Slice], list[Slice], str]:
    visits = video.relevant
    if len(visits) < 2:
        raise ConfigurationError(
            f"{video.video_id} has {len(visits)} relevant spans; a recording is split between two of them: label more"
        )
    half = (len(visits) + 1) // 2
    cut = (visits[half - 1][1] + visits[half][0]) // 2
    how = (
        f"{video.video_id}: the first {half} of {len(visits)} visits to train, the rest to test; "
        f"cut at frame {cut}, between two visits"
    )
    return [Slice(video, 0, cut)], [Slice(video, cut, len(video.index))], how


def _named(videos: Sequence[LabelledVideo]) -> str:
    return videos[0].video_id if len(videos) == 1 else f"{videos[0].video_id} to {videos[-1].video_id}"


def _with_gap(train: Sequence[Slice], test: Sequence[Slice], gap_us: int) -> list[Slice]:
    """Training slices without what lies less than the gap before a test slice of their camera."""
    kept = []
    for one in train:
        camera = (one.video.campaign, one.video.camera)
        starts = [other.from_us for other in test if (other.video.campaign, other.video.camera) == camera]
        later = [start for start in starts if start >= one.to_us]
        last = one.last
        if later:
            # A frame ends where the next begins: the last one kept ends at least a gap before the test part.
            until = min(later) - gap_us - one.video.starts_at_us
            ends = np.append(one.video.index.t_us[1:], one.video.index.extent_us)
            last = min(last, int(np.searchsorted(ends, until, side="right")))
        if last > one.first:
            kept.append(Slice(one.video, one.first, last))
    return kept
