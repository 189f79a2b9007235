"""The cameras of labelled footage, looked at and judged as the night would: by their own past, or by themselves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.datasets.base import LabelledData, LabelledVideo
from evaluation.summary_columns import Judged, NormalFootage, judge_by_itself
from evaluation.summary_sights import Encoders, LookSettings, Sight, look_at

Progress = Callable[[str, float, float], None]

BY_PAST = "the camera's own training videos, which are its past"
BY_ITSELF = (
    "the camera's own test footage, as on its first day: there are no training videos of it, and each snippet is compared with all "
    "others but its surroundings"
)


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera's judged footage.

    Attributes:
        name: of the camera.
        judged: its test videos, in order of time.
        past: its own training videos, judged by one another; empty where it has none, and then the test videos are judged
            by themselves.
    """

    name: str
    judged: tuple[Judged, ...]
    past: tuple[Judged, ...]

    @property
    def length_us(self) -> int:
        return sum(one.sight.video.index.extent_us for one in self.judged)


def look_at_all(
    data: LabelledData, look: LookSettings, by: Encoders, cache_folder: Path | None, progress: Progress
) -> dict[str, Sight]:
    """Test videos, and training videos of their cameras, by id; what other cameras saw tells nothing of them."""
    cameras = {video.camera for video in data.videos}
    videos, told = [*(video for video in data.train if video.camera in cameras), *data.videos], {}
    for number, video in enumerate(videos):

        def share(part: float, number: int = number) -> None:
            progress("look", number + part, len(videos))

        told[video.video_id] = look_at(video, look, by, cache_folder, share)
    progress("look", len(videos), len(videos))
    return told


def judge_cameras(
    data: LabelledData, sights: Mapping[str, Sight], look: LookSettings, by: Encoders
) -> tuple[list[Camera], str]:
    """Every camera's test videos, judged as at night; and by what, in words.

    Raises:
        ConfigurationError: a camera has a single training video: nothing would judge that one.
    """
    cameras = []
    for name in dict.fromkeys(video.camera for video in data.videos):
        mine, earlier = (_in_order(videos, name, sights) for videos in (data.videos, data.train))
        judged, past = _by_past(mine, earlier, by) if earlier else (_by_itself(mine, look, by), ())
        cameras.append(Camera(name, judged, past))
    of_itself = sum(not camera.past for camera in cameras)
    if of_itself in (0, len(cameras)):
        return cameras, BY_ITSELF if of_itself else BY_PAST
    return cameras, f"{BY_PAST}, for {len(cameras) - of_itself} of {len(cameras)} cameras; for the others {BY_ITSELF}"


def _by_past(
    mine: Sequence[Sight], earlier: Sequence[Sight], by: Encoders
) -> tuple[tuple[Judged, ...], tuple[Judged, ...]]:
    """Test videos, and the past itself."""
    normal = {head.spec.name: NormalFootage.of(earlier, head) for head in by.heads}
    judged = (Judged(sight, {name: one.judge(sight) for name, one in normal.items()}) for sight in mine)
    past = (Judged(sight, {name: one.judge_own(sight) for name, one in normal.items()}) for sight in earlier)
    return tuple(judged), tuple(past)


def _by_itself(mine: Sequence[Sight], look: LookSettings, by: Encoders) -> tuple[Judged, ...]:
    told = {head.spec.name: judge_by_itself(mine, look, head) for head in by.heads}
    return tuple(Judged(sight, {name: of[place] for name, of in told.items()}) for place, sight in enumerate(mine))


def _in_order(videos: Sequence[LabelledVideo], camera: str, sights: Mapping[str, Sight]) -> list[Sight]:
    mine = sorted((video for video in videos if video.camera == camera), key=lambda video: video.starts_at_us)
    return [sights[video.video_id] for video in mine]
