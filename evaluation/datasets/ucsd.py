"""UCSD Ped1 and Ped2 (Mahadevan et al., CVPR 2010): clips as folders of numbered images.

Official layout: test clips `Test/Test001/001.tif …`, masks in `Test/Test001_gt/`, normal clips `Train/Train001/001.tif …`.
A folder that holds both sets, as the official archive does, is read as two cameras. The anomalous frames are taken from
the first of these that is there:

1. `labels.json`: `{"anomalous": {"Test001": [61, 180], "Test002": [[5, 90], [140, 200]]}}`, frames from 1, both ends
   included; `frames_per_second` may be told.
2. the official `Test/UCSDped1.m` or `Test/UCSDped2.m`, one `gt_frame = [60:152, 180:200]` for each clip;
3. the masks, where every clip has them: a frame with any pixel set is anomalous.
"""

import json
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

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
from infra.errors import ConfigurationError

LAYOUT = "UCSD Ped1 or Ped2"
TEST, TRAIN, LABELS = "Test", "Train", "labels.json"
RATE_HZ = Fraction(10)
NOTES = (
    "The data set tells no frame rate; 10 Hz is customary and assumed here.",
    "It tells neither when its clips were taken. Clips of UCSD are cut from longer recordings, and some follow one "
    "another at once, so they are treated as if they lay end to end in the order of their numbers: the gap between "
    "training and test is taken out of the last training clips.",
)
OFFICIAL_NOTES = (
    NOTES[0],
    "The data set's own split is kept: normal clips to train, the others to test. It tells no times, so that nothing is "
    "known of how long lay between them.",
)
USE_CASE = "something other than pedestrians"


def is_ucsd(folder: Path) -> bool:
    """Whether `folder` has test clips as UCSD Ped1 and Ped2 have them."""
    return bool(_clips(folder, TEST))


def read_ucsd(folder: Path) -> LabelledData:
    """Read the test clips; the training clips hold nothing relevant and are not used.

    Raises:
        ConfigurationError: labels are missing or do not fit the clips.
    """
    return LabelledData(folder.name, LAYOUT, USE_CASE, _test_clips(folder)[0], {folder.name: ()}, notes=NOTES)


def read_ucsd_split(folder: Path) -> LabelledData:
    """Read training and test clips of Ped1, of Ped2, or of a folder that holds both, each a camera.

    Raises:
        ConfigurationError: the layout is another, training clips or labels are missing, or labels do not fit the clips.
    """
    folder = folder.expanduser().resolve()
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}; give the folder of the data set")
    sets = (
        [folder] if is_ucsd(folder) else [path for path in sorted(folder.iterdir()) if path.is_dir() and is_ucsd(path)]
    )
    if not sets:
        raise ConfigurationError(f"{folder} has no test clips ({TEST}/Test001/001.tif …); unpack the data set again")
    train: list[LabelledVideo] = []
    test: list[LabelledVideo] = []
    for one in sets:
        prefix = "" if one == folder else f"{one.name}/"
        clips, rate_hz = _test_clips(one, prefix)
        test += clips
        train += _train_clips(one, prefix, rate_hz)
    cameras: dict[str, tuple[Any, ...]] = {one.name: () for one in sets}
    return LabelledData(folder.name, LAYOUT, USE_CASE, tuple(test), cameras, OFFICIAL_NOTES, tuple(train))


def _test_clips(folder: Path, prefix: str = "") -> tuple[tuple[LabelledVideo, ...], Fraction]:
    clips = _clips(folder, TEST)
    relevant, rate_hz = _relevant(folder, clips)
    return _end_to_end(folder, clips, rate_hz, relevant, prefix, 0), rate_hz


def _train_clips(folder: Path, prefix: str, rate_hz: Fraction) -> tuple[LabelledVideo, ...]:
    clips = _clips(folder, TRAIN)
    if not clips:
        raise ConfigurationError(f"{folder.name} has no training clips ({TRAIN}/Train001 …); unpack the data set again")
    whole = sum(len(image_files(clip)) for clip in clips)
    # They end where the test clips begin: as near as they can have been.
    return _end_to_end(folder, clips, rate_hz, {}, prefix, -even_index(whole, rate_hz).extent_us - len(clips))


def _end_to_end(
    folder: Path,
    clips: Sequence[Path],
    rate_hz: Fraction,
    relevant: dict[str, tuple[FrameSpan, ...]],
    prefix: str,
    at_us: int,
) -> tuple[LabelledVideo, ...]:
    videos = []
    for clip in clips:
        index = even_index(len(image_files(clip)), rate_hz)
        videos.append(
            LabelledVideo(
                video_id=f"{prefix}{clip.name}",
                campaign=folder.name,
                camera=folder.name,
                day="",
                unit=f"{prefix}{clip.name}",
                source=clip,
                content=content_of(clip),
                index=index,
                relevant=relevant.get(clip.name, ()),
                group=clip.name,
                starts_at_us=at_us,
            )
        )
        at_us += index.extent_us
    return tuple(videos)


def _clips(folder: Path, part: str) -> list[Path]:
    within = folder / part
    clip = re.compile(rf"{part}\d{{3}}")
    return sorted(path for path in within.iterdir() if clip.fullmatch(path.name)) if within.is_dir() else []


def _relevant(folder: Path, clips: Sequence[Path]) -> tuple[dict[str, tuple[FrameSpan, ...]], Fraction]:
    names = [clip.name for clip in clips]
    rate_hz = RATE_HZ
    official = sorted((folder / TEST).glob("UCSDped?.m"))
    if (folder / LABELS).is_file():
        try:
            told: dict[str, Any] = json.loads((folder / LABELS).read_text(encoding="utf-8"))
            spans = {str(name): from_one(span) for name, span in told["anomalous"].items()}
            rate_hz = Fraction(str(told.get("frames_per_second", RATE_HZ)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f'{folder.name}/{LABELS} does not read {{"anomalous": {{"Test001": [61, 180]}}}} ({error!r}); correct it'
            ) from None
    elif official:
        found = re.findall(r"gt_frame\s*=\s*\[([^\]]*)\]", official[0].read_text(encoding="latin-1"))
        if len(found) != len(clips):
            raise ConfigurationError(
                f"{official[0].name} labels {len(found)} clips and {len(clips)} are there; unpack the data set again"
            )
        spans = {name: from_one(_matlab(text)) for name, text in zip(names, found, strict=True)}
    else:
        spans = {clip.name: _masked(clip) for clip in clips}
    missing = sorted(set(names) - set(spans))
    if missing:
        raise ConfigurationError(f"{folder.name}: clips without labels: {', '.join(missing)}; add them to {LABELS}")
    return spans, rate_hz


def _matlab(text: str) -> list[tuple[int, int]]:
    """`60:152, 180:200` as pairs."""
    parts = [part.split(":") for part in re.split(r"[,\s]+", text.strip()) if part]
    return [(int(part[0]), int(part[-1])) for part in parts]


def _masked(clip: Path) -> tuple[FrameSpan, ...]:
    folder = clip.with_name(f"{clip.name}_gt")
    if not folder.is_dir():
        raise ConfigurationError(
            f"{clip.name} has neither labels nor masks: add {LABELS}, or the official {TEST}/UCSDped1.m or UCSDped2.m"
        )
    masks = image_files(folder)
    if len(masks) != len(image_files(clip)):
        raise ConfigurationError(f"{folder.name} has {len(masks)} masks, its clip another number; unpack it again")
    flags = []
    for path in masks:
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if mask is None:
            raise ConfigurationError(f"{folder.name}/{path.name} is no readable image; unpack the data set again")
        flags.append(bool(mask.any()))
    return spans_of(np.array(flags, dtype=np.bool_))
