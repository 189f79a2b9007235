"""UCSD Ped1 and Ped2 (Mahadevan et al., CVPR 2010): test clips as folders of numbered images.

Official layout: `Test/Test001/001.tif …`, masks in `Test/Test001_gt/`. The anomalous frames are taken from the first of
these that is there:

1. `labels.json`: `{"anomalous": {"Test001": [61, 180], "Test002": [[5, 90], [140, 200]]}}`, frames from 1, both ends
   included; `frames_per_second` may be told.
2. the official `Test/UCSDped1.m` or `Test/UCSDped2.m`, one `gt_frame = [60:152, 180:200]` for each clip;
3. the masks, where every clip has them: a frame with any pixel set is anomalous.
"""

import json
import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2

from evaluation.datasets.base import FrameSpan, LabelledData, LabelledVideo, content_of, even_index, image_files
from infra.errors import ConfigurationError

LAYOUT = "UCSD Ped1 or Ped2"
TEST, LABELS = "Test", "labels.json"
CLIP = re.compile(r"Test\d{3}")
RATE_HZ = Fraction(10)
NOTES = (
    "The data set tells no frame rate; 10 Hz is customary and assumed here.",
    "It tells neither when its clips were taken. Clips of UCSD are cut from longer recordings, and some follow one "
    "another at once, so they are treated as if they lay end to end in the order of their numbers: the gap between "
    "training and test is taken out of the last training clips.",
)


def is_ucsd(folder: Path) -> bool:
    """Whether `folder` has test clips as UCSD Ped1 and Ped2 have them."""
    return bool(_clips(folder))


def read_ucsd(folder: Path) -> LabelledData:
    """Read the test clips; the training clips hold nothing relevant and are not used.

    Raises:
        ConfigurationError: labels are missing or do not fit the clips.
    """
    clips = _clips(folder)
    relevant, rate_hz = _relevant(folder, clips)
    videos, at_us = [], 0
    for clip in clips:
        index = even_index(len(image_files(clip)), rate_hz)
        videos.append(
            LabelledVideo(
                video_id=clip.name,
                campaign=folder.name,
                camera=folder.name,
                day="",
                unit=clip.name,
                source=clip,
                content=content_of(clip),
                index=index,
                relevant=relevant[clip.name],
                group=clip.name,
                starts_at_us=at_us,
            )
        )
        at_us += index.extent_us
    return LabelledData(
        folder.name, LAYOUT, "something other than pedestrians", tuple(videos), {folder.name: ()}, notes=NOTES
    )


def _clips(folder: Path) -> list[Path]:
    test = folder / TEST
    return sorted(path for path in test.iterdir() if CLIP.fullmatch(path.name)) if test.is_dir() else []


def _relevant(folder: Path, clips: Sequence[Path]) -> tuple[dict[str, tuple[FrameSpan, ...]], Fraction]:
    names = [clip.name for clip in clips]
    rate_hz = RATE_HZ
    official = sorted((folder / TEST).glob("UCSDped?.m"))
    if (folder / LABELS).is_file():
        try:
            told: dict[str, Any] = json.loads((folder / LABELS).read_text(encoding="utf-8"))
            spans = {str(name): _half_open(span) for name, span in told["anomalous"].items()}
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
        spans = {name: _half_open(_matlab(text)) for name, text in zip(names, found, strict=True)}
    else:
        spans = {clip.name: _masked(clip) for clip in clips}
    missing = sorted(set(names) - set(spans))
    if missing:
        raise ConfigurationError(f"{folder.name}: clips without labels: {', '.join(missing)}; add them to {LABELS}")
    return spans, rate_hz


def _half_open(told: Sequence[Any]) -> tuple[FrameSpan, ...]:
    """From frames counted from 1, both ends included: one span or several."""
    pairs = told if told and isinstance(told[0], list | tuple) else ([told] if told else [])
    return tuple((int(first) - 1, int(last)) for first, last in pairs)


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
    flags = [False]
    for path in masks:
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if mask is None:
            raise ConfigurationError(f"{folder.name}/{path.name} is no readable image; unpack the data set again")
        flags.append(bool(mask.any()))
    flags.append(False)
    edges = [at for at, (before, after) in enumerate(pairwise(flags)) if before != after]
    return tuple(zip(edges[::2], edges[1::2], strict=True))
