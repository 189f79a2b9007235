"""UCF-Crime (Sultani, Chen and Shah, CVPR 2018): untrimmed surveillance videos of 13 kinds of crime, and normal ones.

Videos lie in folders of any depth, `Shoplifting/Shoplifting001_x264.mp4` or `Anomaly-Videos-Part-4/Shoplifting/…`, or all in
one; they are known by their file names, which are unique but for `Normal_Videos_for_Event_Recognition`, a folder that
belongs to another task and is not looked at.

- Test videos are those of the temporal annotation file `Temporal_Anomaly_Annotation*.txt`, as far as they are there: name,
  class, and two spans of frames (-1: none) of the official videos, counted from 1, both ends included. Those have 30 Hz. A
  file that tells another rate is taken to hold the same frames with a wrong time, as copies do that were written frame by
  frame: its frames keep their numbers and get 30 Hz. With `by_time` it was resampled instead: its own times count, and the
  labels are told by time. Where `Anomaly_Test.txt` is there, what it does not list is left out. A video in
  `Testing_Normal_Videos*` that the annotation does not name is taken for the normal video that its folder says it is.
- Training videos are the normal ones of `Anomaly_Train.txt`, or where that is absent those in `Training-Normal-Videos*` or
  `Training_Normal_Videos*`. The anomalous ones among the official training videos have no times and are not used.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from evaluation.datasets.base import FrameSpan, LabelledData, LabelledVideo, content_of, spans_of
from footage.index import MICROSECONDS, FrameIndex
from footage.probe import probe
from infra.errors import ConfigurationError, FootageError

LAYOUT = "UCF-Crime"
ANNOTATION = "Temporal_Anomaly_Annotation*.txt"
TRAIN_LIST, TEST_LIST = "Anomaly_Train.txt", "Anomaly_Test.txt"
OTHER_TASK = re.compile(r"normal[-_]videos[-_](for[-_])?event", re.IGNORECASE)
VIDEOS = (".mp4", ".avi", ".mkv")
LABEL_HZ = 30.0
SAME_RATE = 0.005
"""Relative difference of rates below which a frame's number is that of the official video."""
NORMAL = re.compile(r"normal", re.IGNORECASE)
TEST_FOLDER = re.compile(r"testing[-_]normal[-_]videos", re.IGNORECASE)
TRAIN_FOLDER = re.compile(r"training[-_]normal[-_]videos", re.IGNORECASE)
OFFICIAL_TEST_VIDEOS = 290


def read_ucf_crime(folder: Path, *, by_time: bool = False) -> LabelledData:
    """Read the test videos, and the normal training videos where there are any.

    Args:
        folder: of the data set.
        by_time: files of another rate than 30 Hz were resampled in time; False: they hold the official frames.

    Raises:
        ConfigurationError: there is no annotation file, it is not of the official form, or no annotated video is there.
    """
    folder = folder.expanduser().resolve()
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}; give the folder of the data set")
    files = _videos(folder)
    spans = _annotations(folder)
    listed = _list(folder, TEST_LIST)
    named = [name for name in spans if name in files and (listed is None or name in listed)]
    trained, how = _train(folder, files)
    beside = [name for name, path in files.items() if name not in spans and TEST_FOLDER.match(path.parent.name)]
    beside = [name for name in beside if name not in trained]
    notes = [f"Test videos: {len(named)} of the {len(spans)} in the annotation file are there."]
    if beside:
        notes.append(
            f"Normal by the name of their folder, not named by the annotation file: {', '.join(sorted(beside))}."
        )
    notes.append(how)
    test: list[LabelledVideo] = []
    for name in (*named, *sorted(beside)):
        video, remarks = _labelled(folder, files[name], spans.get(name, ()), by_time)
        test.append(video)
        notes += remarks
    if not test:
        raise ConfigurationError(
            f"{folder.name} holds none of the {len(spans)} annotated test videos; put them into it"
        )
    both = set(trained) & {*named, *beside}
    if both:
        raise ConfigurationError(f"{', '.join(sorted(both))}: listed to train and to test; correct {TRAIN_LIST}")
    train = tuple(_labelled(folder, files[name], (), by_time)[0] for name in trained)
    cameras: dict[str, tuple[()]] = {video.camera: () for video in (*train, *test)}
    return LabelledData(
        folder.name,
        LAYOUT,
        "a crime or an accident, by its annotated time",
        tuple(test),
        {**cameras},
        tuple(notes),
        train,
    )


def _videos(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in VIDEOS or path.name.startswith(".") or OTHER_TASK.match(path.parent.name):
            continue
        if path.stem in found:
            raise ConfigurationError(
                f"{path.relative_to(folder)} and {found[path.stem].relative_to(folder)} have one name; remove one"
            )
        found[path.stem] = path
    return found


def _annotations(folder: Path) -> dict[str, tuple[tuple[int, int], ...]]:
    """Spans by video, in official frames from 1, both ends included."""
    files = sorted(folder.rglob(ANNOTATION))
    if not files:
        raise ConfigurationError(f"{folder.name} has no {ANNOTATION}; put the data set's annotation file into it")
    spans: dict[str, tuple[tuple[int, int], ...]] = {}
    for number, line in enumerate(files[0].read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            name, _, *bounds = line.split()
            pairs = [(int(a), int(b)) for a, b in zip(bounds[::2], bounds[1::2], strict=True)]
            told = [(a, b) for a, b in pairs if a >= 0]
            if any(b < a for a, b in told):
                raise ValueError("a span ends before it begins")
        except ValueError as error:
            raise ConfigurationError(
                f'{files[0].name}, line {number} does not read "name class from to from to" ({error}): {line.strip()}'
            ) from None
        spans[Path(name).stem] = tuple(sorted(told))
    return spans


def _list(folder: Path, name: str) -> list[str] | None:
    files = sorted(folder.rglob(name))
    if not files:
        return None
    lines = files[0].read_text(encoding="utf-8").splitlines()
    return [Path(line.split()[0]).stem for line in lines if line.strip()]


def _train(folder: Path, files: dict[str, Path]) -> tuple[list[str], str]:
    """Names of the normal training videos, and where that is known from."""
    listed = _list(folder, TRAIN_LIST)
    if listed is not None:
        normal = [name for name in listed if NORMAL.search(name)]
        there = [name for name in dict.fromkeys(normal) if name in files]
        return there, f"Normal training videos: {len(there)} of the {len(normal)} in {TRAIN_LIST} are there."
    there = [name for name, path in files.items() if any(TRAIN_FOLDER.match(part) for part in path.parent.parts)]
    return there, f"Normal training videos: {len(there)}, by the names of their folders."


def _labelled(
    folder: Path, path: Path, spans: Sequence[tuple[int, int]], by_time: bool
) -> tuple[LabelledVideo, list[str]]:
    """The video, and what is to be said of it."""
    try:
        index = probe(path).index
    except FootageError as error:
        raise ConfigurationError(f"{path.relative_to(folder)}: {error}; replace the file or take it away") from None
    remarks = []
    told_hz = index.rate_hz
    official = abs(told_hz / LABEL_HZ - 1) <= SAME_RATE
    if not official:
        how = (
            "taken as resampled, labelled by time" if by_time else "its frames are taken as the official ones, at 30 Hz"
        )
        remarks.append(f"{path.stem}: the file tells {told_hz:.3g} Hz; {how}.")
        if not by_time:
            index = _at_label_rate(index)
    wanted = [_by_time(index, span) if by_time and not official else (max(span[0] - 1, 0), span[1]) for span in spans]
    if any(end > len(index) for _, end in wanted):
        remarks.append(f"{path.stem}: its labels reach beyond its {len(index)} frames; what is there of them counts.")
    video = LabelledVideo(
        video_id=path.stem,
        campaign=folder.name,
        # Every video is of a scene of its own.
        camera=path.stem,
        day="",
        unit=path.stem,
        source=path,
        content=content_of(path),
        index=index,
        relevant=_within(wanted, len(index)),
        group=None,
        starts_at_us=0,
    )
    return video, remarks


def _at_label_rate(index: FrameIndex) -> FrameIndex:
    """The same frames, the time between them scaled to 30 Hz on average."""
    factor = Fraction(index.rate_hz).limit_denominator(1000) / Fraction(LABEL_HZ)
    return replace(index, time_base=index.time_base * factor, declared_us=0)


def _by_time(index: FrameIndex, span: tuple[int, int]) -> FrameSpan:
    """First frame and end, exclusive, by the times of official frames; beyond the video where those are."""
    first_us, end_us = (frame * MICROSECONDS / LABEL_HZ for frame in (max(span[0] - 1, 0), span[1]))
    first = int(np.searchsorted(index.t_us, first_us, side="left"))
    beyond = end_us > index.extent_us + index.interval_us
    return first, len(index) + 1 if beyond else int(np.searchsorted(index.t_us, end_us, side="left"))


def _within(spans: Sequence[FrameSpan], frames: int) -> tuple[FrameSpan, ...]:
    """What of spans, which may overlap, lies in the video."""
    flags = np.zeros(frames, dtype=np.bool_)
    for first, end in spans:
        flags[first:end] = True
    return spans_of(flags)
