"""What normal footage makes of a head: fitted on it, scored across it, and a scale that its own scores set.

No score is ever normalised by the video it is of: that would tell the head how anomalous the video is, and make one alarm
in each. The scale is the normal scores' median and robust spread, and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluation.curves import Floats, fill, smooth
from evaluation.datasets.base import LabelledVideo
from evaluation.embedding import Embedded
from evaluation.frame_metrics import EVENT_RULE, frame_spans
from evaluation.heads import BuiltHead
from evaluation.leakage import Slice
from infra.errors import ConfigurationError
from models.calibration import alarm_threshold, robust_spread
from models.events import ScoredSpans
from models.heads.neighbours import TimeExclusion
from models.heads.novelty import NoveltyHead, fit_and_score

MOST_REFERENCE = 20_000
"""Vectors that a head is fitted on at most, as a camera's nightly head; spread evenly over the normal footage."""


@dataclass(frozen=True)
class CurveSettings:
    """How scores become curves and a threshold.

    Attributes:
        smooth_s: standard deviation of the Gaussian window, in seconds; one for all videos.
        alarms_per_hour: alarms that an hour of normal footage may raise; sets the threshold.
        floor_deviations: robust deviations above the normal median below which no threshold is set.
        most_reference: vectors that a head is fitted on at most.
    """

    smooth_s: float = 0.5
    alarms_per_hour: float = 1.0
    floor_deviations: float = 3.0
    most_reference: int = MOST_REFERENCE

    def __post_init__(self) -> None:
        numbers = (self.smooth_s, self.alarms_per_hour, self.floor_deviations)
        if not all(0 <= number < np.inf for number in numbers) or self.most_reference < 2:
            raise ConfigurationError(
                f"smoothing, alarms and floor are at least 0 and finite and the reference at least 2, got {self}"
            )


@dataclass(frozen=True, eq=False)
class NormalRows:
    """Vectors of normal frames.

    Attributes:
        vectors: float32 (M, D).
        part: int64 (M,), the stretch of footage each is of; rows of one are no reference for one another.
        frame: int64 (M,), its frame in that stretch's video, rising within a stretch.
        videos: the video of each stretch.
        normal: bool (frames,) for each of them: what of the video is normal.
    """

    vectors: NDArray[np.float32]
    part: NDArray[np.int64]
    frame: NDArray[np.int64]
    videos: tuple[LabelledVideo, ...]
    normal: tuple[NDArray[np.bool_], ...]

    @classmethod
    def of(
        cls,
        parts: Sequence[tuple[LabelledVideo, Embedded]],
        most: int = MOST_REFERENCE,
        slices: Mapping[LabelledVideo, Sequence[Slice]] | None = None,
    ) -> "NormalRows":
        """Rows of several videos, thinned evenly to `most`.

        Args:
            parts: each video with the vectors of its normal frames.
            most: rows at most.
            slices: what of each video is normal; None: all of it.

        Raises:
            ConfigurationError: fewer than two stretches have a vector.
        """
        held = [(video, embedded) for video, embedded in parts if len(embedded.frames)]
        if len(held) < 2:
            raise ConfigurationError(
                f"{len(held)} normal videos can be looked at; at least 2 are needed, for each is scored by the others"
            )
        sizes = [len(embedded.frames) for _, embedded in held]
        part = np.repeat(np.arange(len(held), dtype=np.int64), sizes)
        kept = np.unique(np.linspace(0, len(part) - 1, min(most, len(part))).round().astype(np.int64))
        vectors = np.concatenate([embedded.vectors for _, embedded in held])
        frames = np.concatenate([embedded.frames for _, embedded in held])
        videos = tuple(video for video, _ in held)
        return cls(vectors[kept], part[kept], frames[kept], videos, tuple(_normal(video, slices) for video in videos))


@dataclass(frozen=True)
class Standard:
    """What a head's scores are held against, from normal footage alone.

    Attributes:
        median, spread: of the normal scores, smoothed.
        threshold: in spreads above the median; inf where there is no normal score.
        floor: the least threshold that was allowed.
        expected_per_hour: alarms of the normal footage at the threshold.
        hours: of normal footage.
    """

    median: float
    spread: float
    threshold: float
    floor: float
    expected_per_hour: float
    hours: float

    @classmethod
    def of(cls, normal: Sequence[ScoredSpans], settings: CurveSettings) -> "Standard":
        """From the smoothed scores of every frame of normal videos, each scored by what the others taught."""
        median, spread = robust_spread(np.concatenate([one.scores for one in normal]))
        spread = spread if spread > 0 else 1.0
        scaled = [ScoredSpans(one.from_us, one.to_us, (one.scores - median) / spread) for one in normal]
        hours = sum(float((one.to_us - one.from_us).sum()) for one in normal) / 3.6e9
        budget = settings.alarms_per_hour * hours / len(scaled)
        found = alarm_threshold(scaled, EVENT_RULE, budget, settings.floor_deviations)
        return cls(median, spread, found.threshold, found.floor, sum(found.alarms_by_night) / hours, hours)

    def scale(self, curve: Floats) -> Floats:
        """Scores in spreads above the normal median."""
        return (curve - self.median) / self.spread


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A head with the scale of its scores."""

    head: NoveltyHead
    standard: Standard
    settings: CurveSettings = field(repr=False)

    def curve(self, video: LabelledVideo, embedded: Embedded) -> Floats:
        """Scores of every frame, smoothed and scaled; where no frame has a vector, the normal median."""
        if not len(embedded.frames):
            return np.zeros(len(video.index))
        scores = self.head.score(embedded.vectors)
        return self.standard.scale(smoothed(video, embedded.frames, scores, self.settings.smooth_s))


def fit_on(built: BuiltHead, rows: NormalRows, settings: CurveSettings) -> FittedHead:
    """Fit a head and its scale on normal footage; whole stretches are left out when one of their rows is scored."""
    head, scores = fit_and_score(
        built.spec.settings,
        rows.vectors,
        # A stretch's number stands for its time: rows of one overlap, rows of two never do.
        TimeExclusion(rows.part, rows.part + 1, 0),
        layout=built.encoder.spec.layout,
    )
    return FittedHead(head, Standard.of(normal_spans(rows, scores, settings.smooth_s), settings), settings)


def normal_spans(rows: NormalRows, scores: NDArray[np.floating], smooth_s: float) -> list[ScoredSpans]:
    """The normal frames of each video with their smoothed scores, from the scores of some of them."""
    told = []
    for number, (video, normal) in enumerate(zip(rows.videos, rows.normal, strict=True)):
        mine = rows.part == number
        if mine.any():
            spans = frame_spans(video, smoothed(video, rows.frame[mine], scores[mine], smooth_s))
            told.append(ScoredSpans(spans.from_us[normal], spans.to_us[normal], spans.scores[normal]))
    return told


def smoothed(
    video: LabelledVideo, frames: NDArray[np.int64], scores: NDArray[np.floating], deviation_s: float
) -> Floats:
    """A score for every frame of a video, from those of some."""
    times = video.index.t_us
    return smooth(times, fill(times, frames, scores), deviation_s)


def _normal(video: LabelledVideo, slices: Mapping[LabelledVideo, Sequence[Slice]] | None) -> NDArray[np.bool_]:
    flags = np.full(len(video.index), slices is None, dtype=np.bool_)
    for piece in (slices or {}).get(video, ()):
        flags[piece.first : piece.last] = True
    return flags
