"""CUHK Avenue (Lu, Shi and Jia, ICCV 2013): one fixed camera, 16 normal videos to train on and 21 to test on.

Official layout: `training_videos/01.avi …`, `testing_videos/01.avi …`. Folders of numbered images serve too, as
`training/frames/01/` and `testing/frames/01/` have them. The anomalous frames of test video N are taken from the first of
these that is there:

1. `labels.json`: `{"anomalous": {"01": [[78, 120], [393, 500]]}}`, frames from 1, both ends included;
2. the official `testing_label_mask/N_label.mat`, in the data's folder or in `ground_truth_demo` in it or beside it: a
   cell array `volLabel` of one mask for each frame; a frame with any pixel set is anomalous;
3. `test_frame_mask/NN.npy`: a value for each frame, not 0 where it is anomalous;
4. one array of all test frames end to end, `frame_labels_avenue.npy`.
"""

import json
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from evaluation.datasets.base import (
    FrameSpan,
    LabelledData,
    LabelledVideo,
    content_of,
    even_index,
    from_one,
    image_files,
    spans_of,
)
from footage.index import FrameIndex
from footage.probe import probe
from infra.errors import ConfigurationError, FootageError

LAYOUT = "CUHK Avenue"
TRAIN, TEST = ("training_videos", "training/frames"), ("testing_videos", "testing/frames")
LABELS, MASKS, ARRAYS, ONE_ARRAY = "labels.json", "testing_label_mask", "test_frame_mask", "frame_labels_avenue.npy"
VIDEOS = (".avi", ".mp4", ".mkv")
IMAGES_HZ = Fraction(25)
MOST_MISSING = 5
"""Frames at a video's end that a decoder may give more or fewer of than the labels count."""
NOTE = (
    "The data set's own split is kept: normal videos to train, the others to test. It tells no times, so that nothing is "
    "known of how long lay between them."
)
IMAGES_NOTE = "Folders of images tell no frame rate; Avenue's own 25 Hz is assumed."

Flags = NDArray[np.bool_]


def read_avenue(folder: Path) -> LabelledData:
    """Read training and test videos.

    Raises:
        ConfigurationError: the layout is another, or labels are missing or of other videos.
    """
    folder = folder.expanduser().resolve()
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}; give the folder of the data set")
    train, test = _sources(folder, TRAIN), _sources(folder, TEST)
    indices = {source: _index(source) for source in (*train, *test)}
    labels, notes = _labels(folder, test, [len(indices[source]) for source in test])
    whole_us = sum(indices[source].extent_us for source in train)
    normal = _end_to_end(folder, train, indices, dict.fromkeys(train, ()), "train", -whole_us)
    tested = _end_to_end(folder, test, indices, dict(zip(test, labels, strict=True)), "test", 0)
    if any(source.is_dir() for source in (*train, *test)):
        notes = [IMAGES_NOTE, *notes]
    use_case = "running, throwing, loitering, the wrong direction"
    return LabelledData(folder.name, LAYOUT, use_case, tested, {folder.name: ()}, (NOTE, *notes), normal)


def _sources(folder: Path, names: Sequence[str]) -> list[Path]:
    for name in names:
        within = folder / name
        if within.is_dir():
            found = [
                path
                for path in within.iterdir()
                if path.stem.isdecimal() and (path.is_dir() or path.suffix.lower() in VIDEOS)
            ]
            if found:
                return sorted(found, key=lambda path: int(path.stem))
    raise ConfigurationError(f"{folder.name} has neither {' nor '.join(names)} with numbered videos; unpack it again")


def _index(source: Path) -> FrameIndex:
    if source.is_dir():
        return even_index(len(image_files(source)), IMAGES_HZ)
    try:
        return probe(source).index
    except FootageError as error:
        raise ConfigurationError(f"{source.parent.name}/{source.name}: {error}") from None


def _end_to_end(
    folder: Path,
    sources: Sequence[Path],
    indices: dict[Path, FrameIndex],
    relevant: dict[Path, tuple[FrameSpan, ...]],
    part: str,
    at_us: int,
) -> tuple[LabelledVideo, ...]:
    videos = []
    for source in sources:
        name = f"{part} {source.stem}"
        videos.append(
            LabelledVideo(
                video_id=name,
                campaign=folder.name,
                camera=folder.name,
                day="",
                unit=name,
                source=source,
                content=content_of(source),
                index=indices[source],
                relevant=relevant[source],
                group=name,
                starts_at_us=at_us,
            )
        )
        at_us += indices[source].extent_us
    return tuple(videos)


def _labels(
    folder: Path, sources: Sequence[Path], frames: Sequence[int]
) -> tuple[list[tuple[FrameSpan, ...]], list[str]]:
    """Anomalous spans of each test video, and what is to be said of them."""
    if (folder / LABELS).is_file():
        return _from_json(folder / LABELS, sources), []
    places = (folder, folder / "ground_truth_demo", folder.parent / "ground_truth_demo")
    for place in places:
        if (place / MASKS).is_dir():
            files = [place / MASKS / f"{int(source.stem)}_label.mat" for source in sources]
            return _fitted(files, [_from_masks(file) for file in files], frames)
    for place in places:
        if (place / ARRAYS).is_dir():
            files = [place / ARRAYS / f"{source.stem}.npy" for source in sources]
            return _fitted(files, [_from_array(file) for file in files], frames)
        if (place / ONE_ARRAY).is_file():
            whole = _from_array(place / ONE_ARRAY)
            if len(whole) != sum(frames):
                raise ConfigurationError(
                    f"{ONE_ARRAY} labels {len(whole)} frames, the test videos have {sum(frames)}; they are of other videos"
                )
            parts = np.split(whole, np.cumsum(frames)[:-1])
            return [spans_of(part) for part in parts], []
    raise ConfigurationError(
        f"{folder.name} has no labels: put {LABELS}, the official ground_truth_demo/{MASKS}, {ARRAYS}/01.npy or "
        f"{ONE_ARRAY} into it"
    )


def _from_json(path: Path, sources: Sequence[Path]) -> list[tuple[FrameSpan, ...]]:
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["anomalous"]
        spans = {int(name): from_one(span) for name, span in told.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f'{path.name} does not read {{"anomalous": {{"01": [[78, 120]]}}}} ({error!r}); correct it'
        ) from None
    missing = [source.stem for source in sources if int(source.stem) not in spans]
    if missing:
        raise ConfigurationError(f"{path.name}: test videos without labels: {', '.join(missing)}; add them")
    return [spans[int(source.stem)] for source in sources]


DAMAGED = (
    OSError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    zlib.error,
    MatReadError,
    NotImplementedError,
)
"""What scipy raises of a file that is none of MATLAB's, or only a part of one."""


def _from_masks(path: Path) -> Flags:
    try:
        cells = loadmat(str(path), variable_names=["volLabel"])["volLabel"]
    except DAMAGED as error:
        raise ConfigurationError(
            f"{path.name} holds no MATLAB 5 cell array volLabel ({error}); unpack it again"
        ) from None
    return np.array([bool(np.any(mask)) for mask in cells.ravel()], dtype=np.bool_)


def _from_array(path: Path) -> Flags:
    try:
        told = np.load(path, allow_pickle=False)
        if not isinstance(told, np.ndarray):  # an archive of several
            raise ValueError("it is a ZIP")
        return np.asarray(told.ravel() != 0, dtype=np.bool_)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path.name} holds no array of labels ({error}); unpack it again") from None


def _fitted(
    files: Sequence[Path], flags: Sequence[Flags], frames: Sequence[int]
) -> tuple[list[tuple[FrameSpan, ...]], list[str]]:
    """Labels cut or filled up to the frames there are; nothing is anomalous where there is no label."""
    spans, notes = [], []
    for file, told, there in zip(files, flags, frames, strict=True):
        if abs(len(told) - there) > MOST_MISSING:
            raise ConfigurationError(
                f"{file.name} labels {len(told)} frames, its video has {there}; they are of another video"
            )
        if len(told) != there:
            rest = "its last frames count as normal" if there > len(told) else "the labels beyond it are left out"
            notes.append(f"{file.name} labels {len(told)} frames and its video has {there}: {rest}.")
        fitted = np.zeros(there, dtype=np.bool_)
        fitted[: len(told)] = told[:there]
        spans.append(spans_of(fitted))
    return spans, notes
