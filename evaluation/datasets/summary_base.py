"""The one form that videos with people's summaries are read into, whatever the data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from infra.errors import ConfigurationError, UnknownNameError

Reduction = Literal["mean", "max"]
Bounds = NDArray[np.int64]

FEWEST_ANNOTATORS = 2
FILMS = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v")


@dataclass(frozen=True, eq=False)
class Features:
    """Vectors of a video's pictures that a file brings along.

    Attributes:
        picks: int64 (P,), the frames they are of, rising.
        vectors: float32 (P, D).
    """

    picks: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or self.picks.shape != (len(self.vectors),) or np.any(np.diff(self.picks) <= 0):
            raise ConfigurationError(
                f"features are one vector for each of rising frames, got {self.vectors.shape} of {self.picks.shape}"
            )


@dataclass(frozen=True, eq=False)
class AnnotatedVideo:
    """A video and what several people found important in it.

    Attributes:
        video_id: unique in its data set.
        seconds: its length.
        importance: float32 (A, N), what each of A people said of each of N frames; None where it is not told.
        summaries: bool (A, N), the frames of each one's summary; None: it is made from the importance by knapsack.
        shots: int64 (S + 1,), where shots begin, 0 first and N last.
        features: of its pictures; None where there are none.
        source: the video itself; None where it is not there.
    """

    video_id: str
    seconds: float
    importance: NDArray[np.float32] | None
    summaries: NDArray[np.bool_] | None
    shots: Bounds
    features: Features | None = None
    source: Path | None = None

    def __post_init__(self) -> None:
        told = [one for one in (self.importance, self.summaries) if one is not None]
        if not told or any(one.ndim != 2 or one.shape != told[0].shape for one in told):
            raise ConfigurationError(
                f"{self.video_id}: nobody's scores or summaries are there, or they are of different frames; get the file again"
            )
        if len(told[0]) < FEWEST_ANNOTATORS:
            raise ConfigurationError(
                f"{self.video_id}: {len(told[0])} person annotated it; people are held against one another, at least 2"
            )
        if self.importance is not None and not np.isfinite(self.importance).all():
            raise ConfigurationError(f"{self.video_id}: a person's score is no finite number; get the file again")
        if not self.seconds > 0:
            raise ConfigurationError(f"{self.video_id}: it lasts {self.seconds:g} s; a video lasts longer than 0 s")
        shots, frames = self.shots, told[0].shape[1]
        if len(shots) < 2 or shots[0] != 0 or shots[-1] != frames or np.any(np.diff(shots) <= 0):
            raise ConfigurationError(
                f"{self.video_id}: its shots do not reach from frame 0 to {frames} without a gap; get the file again"
            )
        if self.features is not None and not 0 <= self.features.picks[0] <= self.features.picks[-1] < frames:
            raise ConfigurationError(
                f"{self.video_id}: features are of frames {self.features.picks[0]} to {self.features.picks[-1]}, the video "
                f"has {frames}; they are of another file"
            )

    @cached_property
    def frames(self) -> int:
        """Number of frames N."""
        told = self.importance if self.importance is not None else self.summaries
        return 0 if told is None else told.shape[1]

    @property
    def lengths(self) -> Bounds:
        """int64 (S,), frames of each shot."""
        return np.diff(self.shots)


@dataclass(frozen=True, eq=False)
class AnnotatedVideos:
    """A data set of annotated videos.

    Attributes:
        name: of the folder or file it was read from.
        layout: what it is, in words.
        reduction: how F1 against several people becomes one: `mean` on TVSum, `max` on SumMe.
        videos: in order.
        notes: what a reader of the results has to know.
    """

    name: str
    layout: str
    reduction: Reduction
    videos: tuple[AnnotatedVideo, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [video.video_id for video in self.videos]
        if not names or len(set(names)) < len(names):
            raise ConfigurationError(f"{self.name}: videos have different names and there is at least one, got {names}")


def even_shots(frames: int, rate_hz: float, length_s: float = 2.0) -> Bounds:
    """int64 (S + 1,): shots of equal length in time; a frame belongs to the shot in which it begins.

    Frame n is shown from n / rate on, so shot k begins with the first frame after k · length.
    """
    if not (rate_hz > 0 and length_s * rate_hz >= 1):
        raise ConfigurationError(f"a shot of {length_s:g} s holds no frame at {rate_hz:g} Hz; make it longer")
    count = int(frames / (length_s * rate_hz)) + 2
    begins = np.floor(np.arange(1, count) * length_s * rate_hz).astype(np.int64) + 1
    return np.concatenate([[0], begins[begins < frames], [frames]]).astype(np.int64)


def shots_between(change_points: NDArray[np.int64], frames: int, video_id: str) -> Bounds:
    """int64 (S + 1,) from first and last frame of each segment, (S, 2), both included.

    Raises:
        ConfigurationError: they leave frames out or share some.
    """
    if change_points.ndim != 2 or change_points.shape[1] != 2 or not len(change_points):
        raise ConfigurationError(f"{video_id}: change points are pairs of frames, got {change_points.shape}")
    begins, ends = change_points[:, 0], change_points[:, 1] + 1
    if begins[0] != 0 or ends[-1] != frames or not np.array_equal(begins[1:], ends[:-1]):
        raise ConfigurationError(
            f"{video_id}: its segments do not follow one another from frame 0 to {frames - 1}; get the file again"
        )
    return np.append(begins, frames).astype(np.int64)


def find_films(folder: Path | None, names: Sequence[str]) -> dict[str, Path]:
    """Videos by name, from a folder of any depth; those that are not there are left out.

    Raises:
        ConfigurationError: there is no such folder, it holds none of them, or two of one name.
    """
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}; give the folder of the videos")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in FILMS and path.stem in names:
            if path.stem in found:
                raise ConfigurationError(f"{path.name} and {found[path.stem].name} are of one video; remove one")
            found[path.stem] = path
    if not found:
        shown = ", ".join(names[:3])
        raise ConfigurationError(
            f"{folder.name} holds none of the {len(names)} videos ({shown}, …); name them as the data set does"
        )
    return found


def chosen_videos(videos: Sequence[AnnotatedVideo], only: Sequence[str]) -> tuple[AnnotatedVideo, ...]:
    """All, or those named.

    Raises:
        UnknownNameError: there is none of a name.
    """
    known = {video.video_id: video for video in videos}
    for name in only:
        if name not in known:
            raise UnknownNameError("video", name, known)
    return tuple(video for video in videos if not only or video.video_id in only)
