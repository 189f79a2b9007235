"""Parting annotated videos into training, validation and test, by source video (row V3).

A *source* is never parted: its videos are on one side. Parts are drawn at random among sources with an anomaly and among
those without, so that each part has both as far as there are; a file may say the parts instead.
"""

import csv
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError, UnknownNameError
from models.heads.classifier_samples import check_apart
from workspace.classifier_fitting import unembedded
from workspace.clip_sets.base import counted
from workspace.segment_sets import AnnotatedSegments, SegmentVideos

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
Parts = Mapping[str, Part]
"""Part of each video, by its name."""
HELD_OUT_SHARE = 0.15
"""Of the sources, for validation and for test each; the rest is trained on."""
HEADER = ["video", "part"]


def split_videos(videos: SegmentVideos, seed: int) -> Parts:
    """The part of each video: 70 % of the sources to train, 15 % each to validate and test, drawn by `seed`.

    Of three sources or more with an anomaly (and of those without) each part gets at least one. Where the data come with an
    official test side, that is the test part, and the validation part is drawn from the rest.

    Raises:
        ConfigurationError: a source is on both official sides.
    """
    random = np.random.default_rng(seed)
    said = [video.split for video in videos.videos]
    shows: dict[str, bool] = {}
    tested: dict[str, bool] = {}
    for video, anomalous, side in zip(videos.videos, videos.anomalous.tolist(), said, strict=True):
        shows[video.source] = shows.get(video.source, False) or anomalous
        if tested.setdefault(video.source, side == "test") != (side == "test"):
            raise ConfigurationError(
                f"the split leaks: {video.source} is on the training side and on the test side; give each source to one"
            )
    official = set(said) == {"train", "test"}
    part: dict[str, Part] = {source: "test" for source in shows if official and tested[source]}
    for kind in (True, False):
        mine = sorted(source for source, shown in shows.items() if shown == kind and source not in part)
        order = [mine[place] for place in random.permutation(len(mine)).tolist()]
        held = _held_out(len(order))
        for place, source in enumerate(order):
            if place < held:
                part[source] = "validation"
            else:
                part[source] = "test" if not official and place < 2 * held else "train"
    return {video.name: part[video.source] for video in videos.videos}


def _held_out(count: int) -> int:
    """Sources of a kind for validation, and as many for test."""
    return max(1, round(HELD_OUT_SHARE * count)) if count > len(PARTS) - 1 else 0


def read_split(file: Path, videos: SegmentVideos) -> tuple[SegmentVideos, Parts]:
    """The parts that a file says; videos that it does not name are left out, and told.

    Args:
        file: CSV of UTF-8 with the header `video,part`; a video by its name, a part `train`, `validation` or `test`.
        videos: to be parted.

    Raises:
        ConfigurationError: there is no such file, it names a video twice or none that is there, or (UnknownNameError) a
            part is not known.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as content:
            rows = [[cell.strip() for cell in row] for row in csv.reader(content) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{file} cannot be read as CSV ({error}); give a file of rows video,part") from None
    if not rows or [cell.lower() for cell in rows[0]] != HEADER:
        raise ConfigurationError(f'{file} does not begin with the header "video,part"; add it')
    said: dict[str, Part] = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != 2:
            raise ConfigurationError(f"{file}, row {number}: {len(row)} cells; a row is video,part")
        name, part = row
        known_part = next((known for known in PARTS if known == part), None)
        if known_part is None:
            raise UnknownNameError(f"part in {file.name}, row {number}", part, PARTS)
        if name in said:
            raise ConfigurationError(f"{file}, row {number}: {name} was named before; name each video once")
        said[name] = known_part
    known = [video.name for video in videos.videos]
    told = counted("videos of the split that are not there", [name for name in said if name not in set(known)])
    told += counted("videos that the split does not name", [name for name in known if name not in said])
    kept = videos.numbered(said)
    if not len(kept):
        raise ConfigurationError(f"{file} names none of the {len(known)} videos, the first is {known[0]}; correct it")
    return kept.telling(told), said


def part_numbers(videos: SegmentVideos, parts: Parts, part: Part) -> NDArray[np.int64]:
    """int64: numbers of the videos of a part."""
    return np.flatnonzero([parts[video.name] == part for video in videos.videos]).astype(np.int64)


def check_parts(videos: SegmentVideos, parts: Parts) -> None:
    """Refuse parts that share a source video or the bytes of a file, and ones of which nothing could be told.

    Raises:
        ConfigurationError: they do, or the training or the test part has no video with an anomaly.
    """
    numbers: dict[str, NDArray[np.int64]] = {part: part_numbers(videos, parts, part) for part in PARTS}
    for part in ("train", "test"):
        mine = videos.anomalous[numbers[part]]
        if not mine.any():
            raise ConfigurationError(
                f"{len(mine)} of {len(videos)} videos are in the {part} part and none of them shows an anomaly; add "
                "videos, three sources with an anomaly at least, or say the parts with --split"
            )
    samples = unembedded(videos.as_clips(), ())
    for one, other in combinations([held for held in numbers.values() if len(held)], 2):
        check_apart(samples.of(one), samples.of(other))


def check_segments(segments: AnnotatedSegments, parts: Parts) -> None:
    """`check_parts` of the videos that have segments, and of what their annotated spans make of these.

    Raises:
        ConfigurationError: see `check_parts`, or the training or the test part has no anomalous segment.
    """
    check_parts(segments.videos, parts)
    for part in ("train", "test"):
        mine = segments.samples.positive[part_rows(segments, parts, part)]
        if not mine.any():
            first = f" ({segments.short[0]}, …)" if segments.short else ""
            raise ConfigurationError(
                f"none of the {len(mine)} segments of the {part} part is anomalous: what is annotated there is too short to "
                f"fill the overlap of any{first}; lower --overlap or --frames, or say other parts with --split"
            )


def part_rows(segments: AnnotatedSegments, parts: Parts, part: Part) -> NDArray[np.bool_]:
    """bool (M,): the segments of a part."""
    return np.isin(segments.samples.video, part_numbers(segments.videos, parts, part))
