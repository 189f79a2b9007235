"""The one form that labelled footage of every layout is read into."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from footage.index import FrameIndex
from footage.probe import content_hash
from footage.regions import WHOLE, Region
from infra.errors import ConfigurationError, UnknownNameError

IMAGES = (".tif", ".tiff", ".jpg", ".jpeg", ".png", ".bmp")
HASH_BYTES = 16

FrameSpan = tuple[int, int]


@dataclass(frozen=True, eq=False)
class LabelledVideo:
    """A recording, or a folder of numbered images, of which it is known which frames are relevant.

    Attributes:
        video_id: unique in its data set.
        campaign, camera: where it belongs; cameras of one name in two data sets are the same camera.
        day: as `2026-03-02`; empty where the data set tells none.
        unit: what a macro average is taken over: the camera's day, or the clip.
        source: a video file, or a folder of images.
        content: hash of its bytes: the same recording under two names has one.
        index: when each frame is shown.
        relevant: relevant frames, half open, numbered from 0, in order and disjoint.
        group: what may not be split into training and test; None: may be split in time, with a gap.
        starts_at_us: its first frame on the camera's clock, in microseconds; where a data set tells no times, as near
            to its neighbours as it can have been.
    """

    video_id: str
    campaign: str
    camera: str
    day: str
    unit: str
    source: Path
    content: str
    index: FrameIndex
    relevant: tuple[FrameSpan, ...]
    group: str | None
    starts_at_us: int

    def __post_init__(self) -> None:
        bounds = [at for span in self.relevant for at in span]
        if any(a >= b for a, b in self.relevant) or any(a > b for a, b in pairwise(bounds)):
            raise ConfigurationError(
                f"{self.video_id}: relevant frames {list(self.relevant)} are not half open, in order and disjoint; "
                "correct the labels"
            )
        if bounds and not 0 <= bounds[0] < bounds[-1] <= len(self.index):
            raise ConfigurationError(
                f"{self.video_id}: relevant frames reach from {bounds[0]} to {bounds[-1]}, the video has "
                f"{len(self.index)} frames; the labels are of another file"
            )

    def at_us(self, frame: int) -> int:
        """When `frame` begins on the camera's clock, in microseconds; `len(index)` stands for the video's end."""
        within = self.index.extent_us if frame >= len(self.index) else int(self.index.t_us[frame])
        return self.starts_at_us + within


@dataclass(frozen=True, eq=False)
class LabelledData:
    """A data set: its videos and the regions that are looked at.

    Attributes:
        name: of the folder it was read from.
        layout: the layout it has, in words.
        use_case: what makes a frame relevant, in words.
        videos: in order of camera and time.
        regions: by camera, the one looked at by default first.
        notes: what a reader of the results has to know of the data.
        train: the normal videos that the data set gives for training, where its reader was asked for them.
    """

    name: str
    layout: str
    use_case: str
    videos: tuple[LabelledVideo, ...]
    regions: dict[str, tuple[Region, ...]]
    notes: tuple[str, ...] = ()
    train: tuple[LabelledVideo, ...] = ()

    def __post_init__(self) -> None:
        if not self.videos:
            raise ConfigurationError(f"{self.name} holds no labelled video; label at least two visits or days")
        names = [video.video_id for video in (*self.train, *self.videos)]
        if len(set(names)) < len(names):
            raise ConfigurationError(f"{self.name}: two videos have one name among {names}; rename one")

    def region(self, camera: str, choice: str | None) -> Region:
        """The camera's region by name, a box `x,y,width,height` in fractions, or the default one.

        Raises:
            UnknownNameError: the camera has no such region.
            ConfigurationError: it is neither a name nor a box inside the picture.
        """
        known = {region.name: region for region in (*self.regions[camera], WHOLE)}
        if choice is None:
            return next(iter(known.values()))
        if "," not in choice:
            if choice not in known:
                raise UnknownNameError(f"region of camera {camera}", choice, known)
            return known[choice]
        try:
            x, y, width, height = (float(part) for part in choice.split(","))
            return Region.box(f"box {choice}", x, y, width, height)
        except ValueError as error:
            raise ConfigurationError(
                f'--region "{choice}": {error}; give a name or x,y,width,height in fractions of the picture'
            ) from None


def image_files(folder: Path) -> list[Path]:
    """Images of a clip in order of their numbers.

    Raises:
        ConfigurationError: they are not numbered 1, 2, 3, … (or 0, 1, 2, …): labels would not belong to their frames.
    """
    # Names that begin with a dot are another system's notes on a file; the official archives hold some.
    files = [path for path in folder.iterdir() if path.suffix.lower() in IMAGES and not path.name.startswith(".")]
    if not files:
        raise ConfigurationError(f"{folder.name} holds no images ({', '.join(IMAGES)}); unpack the data set again")
    if all(path.stem.isdecimal() for path in files):
        files.sort(key=lambda path: int(path.stem))
        numbers = [int(path.stem) for path in files]
        if numbers == list(range(numbers[0], numbers[0] + len(files))) and numbers[0] in (0, 1):
            return files
    raise ConfigurationError(
        f"images of {folder.name} are not numbered 1 to {len(files)} without a gap; unpack the data set again"
    )


def even_index(frames: int, rate_hz: Fraction) -> FrameIndex:
    """When each of `frames` images is shown at an even rate; every image can be read by itself."""
    return FrameIndex(np.arange(frames, dtype=np.int64), np.ones(frames, dtype=np.bool_), 1 / rate_hz)


def content_of(source: Path) -> str:
    """32 hexadecimal digits over a file's bytes, or over those of a folder's images in order."""
    if source.is_file():
        return content_hash(source)
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    for path in image_files(source):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def spans_of(flags: NDArray[np.bool_]) -> tuple[FrameSpan, ...]:
    """Maximal runs of True among frames (N,), half open."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return tuple((int(first), int(last)) for first, last in edges.reshape(-1, 2))


def from_one(told: Sequence[Any]) -> tuple[FrameSpan, ...]:
    """Half-open spans of frames told from 1 with both ends included: one `[61, 180]`, or several."""
    pairs = told if told and isinstance(told[0], list | tuple) else ([told] if told else [])
    return tuple((int(first) - 1, int(last)) for first, last in pairs)


def in_order(videos: Iterable[LabelledVideo]) -> tuple[LabelledVideo, ...]:
    """Videos in order of campaign, camera and time."""
    return tuple(sorted(videos, key=lambda video: (video.campaign, video.camera, video.starts_at_us)))
