"""What the night would see of footage that lies outside a workspace: pictures measured, pictures and snippets embedded.

Pictures are sampled, measured and embedded as the default settings say. Nothing here is learned from labels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.datasets.base import LabelledVideo, content_of, image_files
from evaluation.embedding import Looking, embed_pictures, sampled_frames
from evaluation.heads import BuiltHead, head_named
from evaluation.masks import Mask, painted
from evaluation.snippets import cut_into_snippets
from footage.decode import decode
from footage.images import cut, read_image
from footage.pictures import Rgb
from footage.probe import probe
from footage.regions import WHOLE
from footage.statistics import GREY_WIDTH, FrameStatistics, Grey, measure
from infra.errors import ConfigurationError, FootageError
from infra.settings import AtRate, NoveltyTable, SummaryTable
from models.encoders.base import Encoder
from models.encoders.build import build
from models.encoders.specs import describe
from models.summary.scores import Weights

Times = NDArray[np.int64]
Vectors = NDArray[np.float32]
Share = Callable[[float], None]

DEFAULTS, NOVELTY = SummaryTable(), NoveltyTable()
NIGHTLY = head_named("knn-motion")
"""The novelty head of the default settings."""


@dataclass(frozen=True, eq=False)
class Encoders:
    """What footage is looked at with.

    Attributes:
        pictures: encodes pictures, for looks and memorability.
        heads: judge snippets; at least one, of different names.
    """

    pictures: Encoder
    heads: tuple[BuiltHead, ...]


@dataclass(frozen=True)
class LookSettings:
    """How footage is looked at; the defaults are those of a workspace's settings.

    Attributes:
        rate_hz: pictures in a second that are measured and embedded.
        segment_s: length of a segment.
        exclusion_s: half width of the surroundings that are no reference where footage is compared with itself.
        weights: of the columns.
        similarity_limit: cosine above which two segments show the same.
        masks: painted over before anything looks at a picture.
    """

    rate_hz: float = AtRate().rate_hz
    segment_s: float = DEFAULTS.segment_s
    exclusion_s: float = NOVELTY.exclusion_s
    weights: Weights = field(default_factory=lambda: Weights(**DEFAULTS.weights.model_dump()))
    similarity_limit: float = DEFAULTS.similarity_limit
    masks: tuple[Mask, ...] = ()

    def __post_init__(self) -> None:
        if not (self.rate_hz > 0 and self.segment_s > 0 and self.exclusion_s >= 0 and 0 < self.similarity_limit <= 1):
            raise ConfigurationError(
                "the rate and the segments' length are above 0, the exclusion is at least 0 and the similarity limit in (0, 1], "
                f"got {self}"
            )

    @property
    def looking(self) -> Looking:
        """Vectors as the encoders give them; an image that cannot be read is lost."""
        return Looking(unit_length=False, masks=self.masks, skip_unreadable=True)


@dataclass(frozen=True, eq=False)
class VideoSnippets:
    """Snippets of a video end to end, by the camera's clock in microseconds.

    Attributes:
        from_us, to_us: int64 (N,).
        frames: int64 (N,), the first frame of each.
        vectors: float32 (N, E).
    """

    from_us: Times
    to_us: Times
    frames: Times
    vectors: Vectors

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True, eq=False)
class Sight:
    """What is seen of one video, by the camera's clock in microseconds.

    Attributes:
        video: which.
        at_us: int64 (F,), sampled pictures that could be decoded.
        measures: of each.
        look_us, looks: int64 (G,) and float32 (G, D), sampled pictures that have a vector.
        snippets: by the space of their encoder.
    """

    video: LabelledVideo
    at_us: Times
    measures: tuple[FrameStatistics, ...]
    look_us: Times
    looks: Vectors
    snippets: Mapping[str, VideoSnippets]

    @property
    def span(self) -> tuple[int, int]:
        """Its time on the camera's clock, half open."""
        return self.video.starts_at_us, self.video.starts_at_us + self.video.index.extent_us


def encoders(heads: Sequence[BuiltHead] = ()) -> Encoders:
    """The default settings' encoder of pictures, and heads; none: the default settings' head."""
    nightly = BuiltHead(NIGHTLY, build(describe(NIGHTLY.encoder, None), None))
    return Encoders(build(describe(DEFAULTS.encoder, None), None), tuple(heads) or (nightly,))


def film_of(source: Path) -> LabelledVideo:
    """A film of which nothing is known but itself.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        index = probe(source).index
    except FootageError as error:
        raise ConfigurationError(f"{source.name}: {error}; replace the file or take it away") from None
    name = source.stem
    return LabelledVideo(name, name, name, "", name, source, content_of(source), index, (), None, 0)


def look_at(
    video: LabelledVideo,
    settings: LookSettings,
    by: Encoders,
    cache: Path | None = None,
    progress: Share = lambda _share: None,
) -> Sight:
    """Measure and embed a video.

    Args:
        video: which.
        settings: how.
        by: see `encoders`.
        cache: folder of vectors that were made before.
        progress: called with the finished share.
    """
    sampled = sampled_frames(video.index, settings.rate_hz)
    frames, measures = _measured(video, sampled, settings.masks)
    progress(0.2)
    (looks,) = embed_pictures(video, WHOLE, [(by.pictures, sampled[:, None])], settings.looking, cache)
    progress(0.4)
    begin, times = video.starts_at_us, video.index.t_us
    used = {head.encoder.spec.space: head.encoder for head in by.heads}
    snippets = {}
    for number, (space, encoder) in enumerate(used.items()):

        def share(part: float, number: int = number) -> None:
            progress(0.4 + 0.6 * (number + part) / len(used))

        found = cut_into_snippets([video], encoder, settings.looking, cache, share)
        snippets[space] = VideoSnippets(found.from_us + begin, found.to_us + begin, found.first, found.vectors)
    return Sight(
        video,
        times[frames] + begin,
        tuple(measures),
        times[sampled[looks.frames]] + begin,
        looks.vectors,
        snippets,
    )


def _measured(video: LabelledVideo, sampled: Times, masks: Sequence[Mask]) -> tuple[Times, list[FrameStatistics]]:
    """Frames that could be decoded, and their measures; each against the sampled one just before it, if that could be."""
    frames: list[int] = []
    measures: list[FrameStatistics] = []
    before: tuple[int, Grey] | None = None
    place = {frame: number for number, frame in enumerate(sampled.tolist())}
    for frame, picture in _pictures(video, sampled):
        grey = _grey(painted(picture, masks))
        follows = before is not None and before[0] == place[frame] - 1
        measures.append(measure(grey, before[1] if before is not None and follows else None))
        frames.append(frame)
        before = (place[frame], grey)
    return np.array(frames, dtype=np.int64), measures


def _pictures(video: LabelledVideo, sampled: Times) -> Iterator[tuple[int, Rgb]]:
    if video.source.is_file():
        for picture in decode(video.source, video.index, sampled):
            yield picture.index, picture.rgb()
    else:
        files = image_files(video.source)
        for frame in sampled.tolist():
            try:
                image = read_image(files[frame])
            except ConfigurationError:
                continue  # lost, as a picture of a film is that cannot be decoded
            yield frame, image


def _grey(picture: Rgb) -> Grey:
    height, width = picture.shape[:2]
    small = cut(picture, (max(1, round(height * GREY_WIDTH / width)), GREY_WIDTH))
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
