"""Segment classifiers with and without their ranking, smoothness and sparsity terms (row V3): S3's report.

Every seed parts the source videos anew into training, validation and test (unless a file says the parts), and trains a head
on each combination of encoders with each loss. All of a seed's heads have the same parts. Nothing is chosen on any part: the
epochs are said, the threshold is 0.5, and the head is that of the last epoch.

Values are means over seeds, with their deviations; what is undefined in a seed is left out of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.datasets.base import LabelledData, LabelledVideo
from evaluation.embedding import Looking, embed_pictures
from evaluation.results import Result
from footage.index import FrameIndex
from footage.regions import WHOLE
from footage.sampling import sample
from infra.errors import ConfigurationError
from infra.settings import AtRate
from models.encoders.base import Encoder
from models.heads.classifier import ClassifierSettings
from models.heads.segment_metrics import SegmentMetrics
from models.heads.segment_training import SEGMENT_HEAD
from models.losses import LOSSES, SegmentLossSettings
from models.metrics import Spans
from models.windows import Rows, Windows
from workspace.clip_rows import ClipRows, clip_rows, clip_snippets
from workspace.clip_sets.base import LabelledClip
from workspace.clip_vectors import Inputs, join_rows
from workspace.segment_fitting import MeasuredSegments, train_and_measure
from workspace.segment_parts import PARTS, Part, Parts, check_parts, check_segments, part_rows, split_videos
from workspace.segment_sets import FRAMES, OVERLAP, AnnotatedSegments, SegmentVideos, annotated_segments, segment_inputs

PROTOCOL = "segments"
BETWEEN = "+"
"""Stands between the encoders whose vectors are put side by side."""
METRICS = (
    "accuracy",
    "balanced_accuracy",
    "auc",
    "precision",
    "recall",
    "f1",
    "average_precision",
    "mean_average_precision",
    "temporal_iou",
    "bce",
    "loss",
)

Progress = Callable[[str, float, float], None]


@dataclass(frozen=True, eq=False)
class SegmentData:
    """Annotated videos to measure on.

    Attributes:
        name: of the folder.
        videos: with their spans.
        labelled: where a reader of data sets gave them, its videos by name; else they are files to be decoded.
        notes: what a reader of the results has to know of the data.
    """

    name: str
    videos: SegmentVideos
    labelled: Mapping[str, LabelledVideo] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SegmentSettings:
    """How segment classifiers are measured.

    Attributes:
        losses: each gives a head.
        seeds: how often it is done over, with seeds 0, 1, ….
        head: of the heads; its own seed is not used.
        frames: pictures of a segment where all encoders are of frames.
        overlap: share of a segment in annotated spans from which it is anomalous.
        stride_s: time from one segment's start to the next's; None: a segment's length.
        frame_rate_hz: pictures of a second that frame encoders see; None: by the segment, see `segment_inputs`.
    """

    losses: tuple[SegmentLossSettings, ...] = (LOSSES["mil"], LOSSES["bce"])
    seeds: int = 5
    head: ClassifierSettings = SEGMENT_HEAD
    frames: int = FRAMES
    overlap: float = OVERLAP
    stride_s: float | None = None
    frame_rate_hz: float | None = None

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigurationError(f"seeds are at least 1, got {self.seeds}; correct it")
        kinds = [loss.kind for loss in self.losses]
        if not kinds or len(set(kinds)) < len(kinds):
            raise ConfigurationError(f"at least one loss is measured, each once, got {kinds}; correct --loss")


@dataclass(frozen=True, eq=False)
class SegmentRun:
    """One head.

    Attributes:
        seed: of parts and head.
        parts: of the videos.
        measured: the head, its probabilities and metrics.
    """

    seed: int
    parts: Parts
    measured: MeasuredSegments


@dataclass(frozen=True, eq=False)
class ModelScores:
    """All seeds of one combination of encoders with one loss.

    Attributes:
        encoders: their names, with `+` between them.
        loss: what was trained on.
        inputs, segments: what the heads looked at.
        runs: by seed.
        results: metrics of each part, and their deviations over seeds.
    """

    encoders: str
    loss: SegmentLossSettings
    inputs: Inputs
    segments: AnnotatedSegments
    runs: tuple[SegmentRun, ...]
    results: tuple[Result, ...]

    def result(self, metric: str, part: Part) -> Result:
        """A metric of a part."""
        wanted = (result_name(self.encoders, self.loss, part), metric)
        (found,) = [one for one in self.results if (one.name, one.metric) == wanted]
        return found

    def rows(self, run: SegmentRun, part: Part) -> NDArray[np.bool_]:
        """bool (M,): the segments of a part in a run."""
        return part_rows(self.segments, run.parts, part)


@dataclass(frozen=True, eq=False)
class SegmentReport:
    """Data, settings, and what each combination of encoders and loss comes to."""

    data: SegmentData
    settings: SegmentSettings
    split: str
    models: tuple[ModelScores, ...]


def labelled_segment_data(data: LabelledData, notes: tuple[str, ...]) -> SegmentData:
    """A labelled data set, its normal training videos beside its test videos, to be parted by video anew.

    Its own notes speak of its own split; `notes` take their place.
    """
    videos = {video.video_id: video for video in (*data.train, *data.videos)}
    clips, spans = [], []
    for name in sorted(videos):
        video = videos[name]
        source = name if video.group is None else video.group
        clips.append(LabelledClip(name, video.source, name, source, video.content, video.index))
        spans.append(_spans_us(video))
    return SegmentData(data.name, SegmentVideos(tuple(clips), tuple(spans), data.layout), videos, notes)


def run_segment_models(
    data: SegmentData,
    combinations: Sequence[Sequence[Encoder]],
    settings: SegmentSettings,
    *,
    parts: Parts | None = None,
    cache: Path | None = None,
    threads: int = 0,
    progress: Progress = lambda _stage, _done, _total: None,
) -> SegmentReport:
    """Embed videos once with all encoders, then train and measure heads on every combination of them, with every loss.

    Args:
        data: annotated videos.
        combinations: encoders of each, an encoder may be in several.
        settings: how.
        parts: of the videos; None: every seed parts them anew.
        cache, threads: see `clip_rows`.
        progress: called with `vectors` and `heads`.

    Raises:
        ConfigurationError: the videos cannot be parted, a part has nothing to learn from or to measure, or the parts leak.
        AfterwatchError: a head cannot be trained.
    """
    drawn = [split_videos(data.videos, seed) if parts is None else parts for seed in range(settings.seeds)]
    for one in drawn:
        check_parts(data.videos, one)
    encoders = {encoder.spec.space: encoder for combination in combinations for encoder in combination}
    inputs = [
        segment_inputs(
            data.videos,
            [encoder.spec for encoder in combination],
            frames=settings.frames,
            stride_s=settings.stride_s,
            frame_rate_hz=settings.frame_rate_hz,
        )
        for combination in combinations
    ]
    rows = _rows(data, list(encoders.values()), inputs, cache, threads, progress)
    models: list[ModelScores] = []
    steps = len(inputs) * len(settings.losses) * settings.seeds
    seen = [annotated_segments(data.videos, join_rows(rows, asked), asked, settings.overlap) for asked in inputs]
    for segments in seen:
        for one in drawn:
            check_segments(segments, one)  # videos that could not be decoded are gone
    for asked, segments in zip(inputs, seen, strict=True):
        name = BETWEEN.join(item.encoder for item in asked.items)
        for loss in settings.losses:
            runs = []
            for seed, one in enumerate(drawn):
                measured = train_and_measure(segments, one, replace(settings.head, seed=seed), loss)
                runs.append(SegmentRun(seed, one, measured))
                progress("heads", len(models) * settings.seeds + len(runs), steps)
            models.append(ModelScores(name, loss, asked, segments, tuple(runs), results_of(name, loss, runs)))
    split = "as a file says" if parts is not None else "70, 15 and 15 % of the source videos, drawn anew by each seed"
    return SegmentReport(data, settings, split, tuple(models))


def results_of(encoders: str, loss: SegmentLossSettings, runs: Sequence[SegmentRun]) -> tuple[Result, ...]:
    """Means over seeds of the metrics of each part, and their deviations; n is the number of seeds they are over."""
    nan, found = float("nan"), []
    for part in PARTS:
        held: list[SegmentMetrics] = [run.measured.metrics[part] for run in runs if part in run.measured.metrics]
        name = result_name(encoders, loss, part)
        for metric in METRICS:
            values = np.array([float(getattr(one, metric)) for one in held], dtype=np.float64)
            known = values[~np.isnan(values)]
            mean = float(known.mean()) if len(known) else nan
            deviation = float(known.std(ddof=1)) if len(known) > 1 else nan
            found.append(Result(name, metric, mean, nan, nan, len(known)))
            found.append(Result(name, f"{metric}_deviation", deviation, nan, nan, len(known)))
    return tuple(found)


def result_name(encoders: str, loss: SegmentLossSettings, part: Part) -> str:
    """What a result is called."""
    return f"{PROTOCOL} {encoders} {loss.kind} {part}"


def _rows(
    data: SegmentData,
    encoders: Sequence[Encoder],
    inputs: Sequence[Inputs],
    cache: Path | None,
    threads: int,
    progress: Progress,
) -> ClipRows:
    """What every encoder saw of each video, in one decode pass."""
    leading = {one.window_item.space: one.stride_s for one in inputs if one.window_item is not None}
    rates = [one.frame_rate_hz for one in inputs if one.frame_rate_hz is not None]
    clip_set = data.videos.as_clips()
    if not data.labelled:
        options = {} if not rates else {"frame_rate_hz": rates[0]}
        return clip_rows(
            clip_set, encoders, strides_s=leading, cache=cache, threads=threads, progress=progress, **options
        )
    rows = []
    for number, clip in enumerate(clip_set.clips, start=1):
        looks = [_look(encoder, clip.index, leading, rates) for encoder in encoders]
        wanted = [(encoder, pictures) for encoder, (pictures, _) in zip(encoders, looks, strict=True)]
        made = embed_pictures(data.labelled[clip.name], WHOLE, wanted, Looking(unit_length=False), cache)
        rows.append(
            {
                # Rounded as the lake keeps the night's.
                encoder.spec.space: Rows(
                    begin[one.frames], end[one.frames], one.vectors.astype(np.float16).astype(np.float32)
                )
                for encoder, (_, (begin, end)), one in zip(encoders, looks, made, strict=True)
            }
        )
        progress("vectors", number, len(clip_set))
    return ClipRows(clip_set, tuple(rows), len(rows))


def _look(
    encoder: Encoder, index: FrameIndex, strides_s: Mapping[str, float], rates: Sequence[float]
) -> tuple[NDArray[np.int64], Windows]:
    """Pictures of each vector of a video, (N, T), and the spans that they speak for: as `clip_rows` looks at a file."""
    spec = encoder.spec
    if spec.snippet_rate_hz is None:
        frames = sample(index, AtRate(rate_hz=rates[0]))
        ends = np.append(index.t_us[1:], index.extent_us)
        return frames[:, None], (index.t_us[frames], ends[frames])
    stride_s = strides_s.get(spec.space, spec.snippet_s)
    return clip_snippets(index, frames=spec.snippet_frames, rate_hz=spec.snippet_rate_hz, stride_s=stride_s)


def _spans_us(video: LabelledVideo) -> Spans:
    edges = np.append(video.index.t_us, video.index.extent_us)
    return np.array([[edges[first], edges[last]] for first, last in video.relevant], dtype=np.int64).reshape(-1, 2)
