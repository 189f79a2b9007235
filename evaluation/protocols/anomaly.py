"""Anomalies of fixed cameras, as published for UCSD Ped1 and Ped2 and CUHK Avenue (rows N3, A1, E).

1. The data set's own split is kept; the guard (`evaluation.leakage`) checks it.
2. Every frame, up to a rate, is given the vector of the snippet around it; snippets stay inside their video.
3. A head is fitted on the normal clips of each camera (or of all together), and scores every test frame. A frame without a
   vector, or between those looked at, is given a score linearly between its neighbours in time.
4. Curves are smoothed by one Gaussian window in time, fixed beforehand, and put on the scale of the normal clips' scores;
   each normal clip is scored by what the others taught. Nothing is normalised by the test video.
5. The threshold comes from the alarm budget on the normal clips. `evaluation.frame_metrics` has the metrics, with
   bootstrap intervals by video.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evaluation.bootstrap import BootstrapSettings
from evaluation.datasets.base import LabelledData, LabelledVideo
from evaluation.embedding import RATE_HZ, Embedded, Looking, embed_video, sampled_frames
from evaluation.frame_metrics import FrameMetrics, ScoredVideo
from evaluation.heads import BuiltHead
from evaluation.leakage import check_official_split
from evaluation.masks import Mask
from evaluation.novelty import CurveSettings, FittedHead, NormalRows, Standard, fit_on
from evaluation.results import Result
from footage.regions import WHOLE
from infra.errors import ConfigurationError
from models.encoders.base import Encoder

PROTOCOL = "anomaly"
POOLED = "all cameras"

Progress = Callable[[str, float, float], None]
Vectors = Mapping[str, Sequence[Embedded]]
"""By video id, one for each head."""


@dataclass(frozen=True)
class AnomalySettings:
    """How the experiment is run.

    Attributes:
        rate_hz: most frames that are looked at in a second.
        pooled: one head for all cameras instead of one for each.
        masks: painted over before an encoder sees a picture.
        curves: smoothing, alarm budget and size of the reference.
        bootstrap: how videos are drawn for intervals.
    """

    rate_hz: float = RATE_HZ
    pooled: bool = False
    masks: tuple[Mask, ...] = ()
    curves: CurveSettings = field(default_factory=CurveSettings)
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)

    def __post_init__(self) -> None:
        if not self.rate_hz > 0:
            raise ConfigurationError(f"the rate is above 0 Hz, got {self.rate_hz}")

    def training_rate_hz(self, train: Sequence[LabelledVideo]) -> float:
        """Frames of a second of training footage that are looked at: no more than the reference takes."""
        whole_s = sum(video.index.extent_us for video in train) / 1e6
        return min(self.rate_hz, self.curves.most_reference / whole_s) if whole_s else self.rate_hz

    @property
    def looking(self) -> Looking:
        """Vectors as the encoder gives them, of snippets inside their video."""
        return Looking(unit_length=False, inside=True, masks=self.masks, skip_unreadable=True)


@dataclass(frozen=True, eq=False)
class HeadScores:
    """One head's scores of the test videos.

    Attributes:
        head: which.
        remark: what a person should know of the fit; empty where nothing.
        standards: the scale and threshold by camera.
        metrics: of the scored videos.
        results: with intervals.
    """

    head: BuiltHead
    remark: str
    standards: dict[str, Standard]
    metrics: FrameMetrics
    results: tuple[Result, ...]

    @property
    def videos(self) -> tuple[ScoredVideo, ...]:
        return self.metrics.videos


@dataclass(frozen=True, eq=False)
class AnomalyReport:
    """The experiment and what came out of it."""

    data: LabelledData
    settings: AnomalySettings
    heads: tuple[HeadScores, ...]

    @property
    def results(self) -> list[Result]:
        return [result for head in self.heads for result in head.results]


def embed_videos(
    data: LabelledData,
    heads: Sequence[BuiltHead],
    settings: AnomalySettings,
    *,
    cache: Path | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> dict[str, list[Embedded]]:
    """Vectors of training and test videos for every head; heads of one encoder share them, all share one decode pass."""
    videos = (*data.train, *data.videos)
    train_hz = settings.training_rate_hz(data.train)
    encoders: dict[str, Encoder] = {head.encoder.spec.space: head.encoder for head in heads}
    places = [list(encoders).index(head.encoder.spec.space) for head in heads]
    whole_s = sum(video.index.extent_us for video in videos) / 1e6
    done_s, told = 0.0, {}
    for number, video in enumerate(videos):
        length_s, before_s = video.index.extent_us / 1e6, done_s

        def share(part: float, length_s: float = length_s, before_s: float = before_s) -> None:
            progress("embed", before_s + part * length_s, whole_s)

        made = embed_video(
            video,
            WHOLE,
            list(encoders.values()),
            rate_hz=train_hz if number < len(data.train) else settings.rate_hz,
            looking=settings.looking,
            cache=cache,
            progress=share,
        )
        told[video.video_id] = [made[place] for place in places]
        done_s += length_s
    return told


def run_anomaly(
    data: LabelledData,
    heads: Sequence[BuiltHead],
    settings: AnomalySettings,
    vectors: Vectors,
    progress: Progress = lambda _stage, _done, _total: None,
) -> AnomalyReport:
    """Run the experiment on vectors that `embed_videos` made.

    Raises:
        ConfigurationError: there is nothing to train on, the split leaks, or a camera has fewer than two normal clips.
    """
    if not data.train:
        raise ConfigurationError(f"{data.name} has no training videos; put them beside the test videos")
    check_official_split(data.train, data.videos)
    scored = []
    for place, head in enumerate(heads):

        def told(share: float, place: int = place) -> None:
            progress("evaluate", place + share, len(heads))

        told(0.0)
        mine = {name: made[place] for name, made in vectors.items()}
        scored.append(_run(data, head, settings, mine, told))
    return AnomalyReport(data, settings, tuple(scored))


def fit_cameras(
    data: LabelledData, head: BuiltHead, settings: AnomalySettings, vectors: Mapping[str, Embedded]
) -> dict[str, FittedHead]:
    """The head of each camera, fitted on its training videos; one for all where they are pooled."""
    fitted = {}
    for camera in dict.fromkeys(camera_of(video, settings) for video in data.videos):
        normal = [(video, vectors[video.video_id]) for video in data.train if camera_of(video, settings) == camera]
        fitted[camera] = fit_on(head, NormalRows.of(normal, settings.curves.most_reference), settings.curves)
    return fitted


def score_videos(
    data: LabelledData,
    fitted: Mapping[str, FittedHead],
    settings: AnomalySettings,
    vectors: Mapping[str, Embedded],
) -> list[ScoredVideo]:
    """Every test video, scored by the head of its camera on that head's scale."""
    scored = []
    for video in data.videos:
        one, embedded = fitted[camera_of(video, settings)], vectors[video.video_id]
        lost = len(sampled_frames(video.index, settings.rate_hz)) - len(embedded.frames)
        scored.append(ScoredVideo(video, one.curve(video, embedded), one.standard.threshold, lost))
    return scored


def camera_of(video: LabelledVideo, settings: AnomalySettings) -> str:
    """Whose head judges a video."""
    return POOLED if settings.pooled else video.camera


def _run(
    data: LabelledData,
    head: BuiltHead,
    settings: AnomalySettings,
    vectors: Mapping[str, Embedded],
    progress: Callable[[float], None],
) -> HeadScores:
    fitted = fit_cameras(data, head, settings, vectors)
    return measure(head, fitted, score_videos(data, fitted, settings, vectors), settings, progress)


def measure(
    head: BuiltHead,
    fitted: Mapping[str, FittedHead],
    videos: Sequence[ScoredVideo],
    settings: AnomalySettings,
    progress: Callable[[float], None],
    name: str = "",
) -> HeadScores:
    """Metrics of scored videos, with intervals, under the head's name or another."""
    metrics = FrameMetrics(videos)
    results = tuple(metrics.results(name or head.name, settings.bootstrap, progress))
    remark = "; ".join(dict.fromkeys(one.head.remark for one in fitted.values() if one.head.remark))
    return HeadScores(head, remark, {camera: one.standard for camera, one in fitted.items()}, metrics, results)
