"""UCF-Crime by both protocols of row N5: `thesis` (`evaluation.protocols.thesis`) and `sultani`.

`sultani` (Sultani, Chen and Shah, CVPR 2018): frame AUC over all test videos. The published methods learn from training
videos, weakly labelled; a novelty head learns from the normal ones among them. Where no training video is there, heads are
fitted on normal frames of the *test* videos, each test video judged by heads that saw none of it: that is another
protocol, and the result says so.

With less than the 290 official test videos a result is a smoke result: it shows that the protocol runs, and no more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from evaluation.datasets.base import LabelledData, LabelledVideo
from evaluation.datasets.ucf_crime import OFFICIAL_TEST_VIDEOS
from evaluation.embedding import Embedded, sampled_frames
from evaluation.frame_metrics import ScoredVideo
from evaluation.heads import BuiltHead
from evaluation.leakage import Slice, check_official_split, check_split
from evaluation.novelty import FittedHead, NormalRows, fit_on
from evaluation.protocols.ablation import AblationSettings, Outcome, run_ablation
from evaluation.protocols.ablation_tasks import SnippetTask, Task
from evaluation.protocols.anomaly import AnomalySettings, HeadScores, Progress, embed_videos, measure
from evaluation.protocols.thesis import BLOCKED, BY_VIDEO, RANDOM, SplitScores, ThesisSettings, run_split
from evaluation.results import Result
from evaluation.snippets import Snippets, cut_into_snippets
from infra.errors import ConfigurationError

PROTOCOL = "ucf-crime"
SULTANI = "sultani"
FOLDS = 10
"""Most groups of test videos that are left out in turn where there is no training video."""


@dataclass(frozen=True)
class UcfCrimeSettings:
    """How both protocols are run."""

    frames: AnomalySettings = field(default_factory=AnomalySettings)
    thesis: ThesisSettings = field(default_factory=ThesisSettings)


@dataclass(frozen=True, eq=False)
class UcfCrimeReport:
    """Both protocols and what came out.

    Attributes:
        data, settings: what was run, and how.
        snippets: by encoder, what the thesis' protocol was run on.
        thesis: by head, one for each kind of split that was possible.
        sultani: by head.
        trained_on: where the normal footage of `sultani` came from, in words.
    """

    data: LabelledData
    settings: UcfCrimeSettings
    snippets: dict[str, Snippets]
    thesis: dict[str, tuple[SplitScores, ...]]
    sultani: tuple[HeadScores, ...]
    trained_on: str

    @property
    def smoke(self) -> str:
        """Why this is no benchmark; empty where it is one."""
        there = len(self.data.videos)
        if there >= OFFICIAL_TEST_VIDEOS and self.data.train:
            return ""
        lacking = [f"{there} of {OFFICIAL_TEST_VIDEOS} test videos"] if there < OFFICIAL_TEST_VIDEOS else []
        lacking += [] if self.data.train else ["no training videos"]
        return f"smoke result, not a benchmark: {' and '.join(lacking)}"

    @property
    def results(self) -> list[Result]:
        told = [result for parts in self.thesis.values() for part in parts for result in part.results]
        return told + [result for head in self.sultani for result in head.results]


def run_ucf_crime(
    data: LabelledData,
    heads: Sequence[BuiltHead],
    settings: UcfCrimeSettings,
    *,
    cache: Path | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> UcfCrimeReport:
    """Run both protocols.

    Raises:
        ConfigurationError: no test video has an anomaly, or a split leaks.
    """
    snippets = embed_snippets(data, heads, settings, cache, progress)
    thesis: dict[str, tuple[SplitScores, ...]] = {}
    kinds = (RANDOM, BLOCKED, BY_VIDEO)
    for place, head in enumerate(heads):
        found = []
        for step, kind in enumerate(kinds):

            def told(share: float, done: int = place * len(kinds) + step) -> None:
                progress("thesis", done + share, len(heads) * len(kinds))

            told(0.0)
            found.append(run_split(snippets[head.encoder.spec.space], head, kind, settings.thesis, progress=told))
            told(1.0)
        thesis[head.name] = tuple(one for one in found if one is not None)
    vectors = embed_videos(data, heads, settings.frames, cache=cache, progress=progress)
    judged, how = [], ""
    for place, head in enumerate(heads):

        def shared(share: float, place: int = place) -> None:
            progress("sultani", place + share, len(heads))

        shared(0.0)
        fitted, scored, how = _score(data, head, settings, {name: made[place] for name, made in vectors.items()})
        judged.append(measure(head, fitted, scored, settings.frames, shared, f"{head.name} {SULTANI}"))
    return UcfCrimeReport(data, settings, snippets, thesis, tuple(judged), how)


def embed_snippets(
    data: LabelledData,
    heads: Sequence[BuiltHead],
    settings: UcfCrimeSettings,
    cache: Path | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> dict[str, Snippets]:
    """Snippets of the anomalous test videos by the encoders' spaces."""
    videos = [video for video in data.videos if video.relevant]
    if not videos:
        raise ConfigurationError(f"no test video of {data.name} has an anomaly; put annotated videos into it")
    encoders = {head.encoder.spec.space: head.encoder for head in heads}
    told: dict[str, Snippets] = {}
    for place, (space, encoder) in enumerate(encoders.items()):

        def share(part: float, place: int = place) -> None:
            progress("snippets", place + part, len(encoders))

        told[space] = cut_into_snippets(videos, encoder, settings.frames.looking, cache, share)
    return told


def _score(
    data: LabelledData, head: BuiltHead, settings: UcfCrimeSettings, vectors: Mapping[str, Embedded]
) -> tuple[dict[str, FittedHead], list[ScoredVideo], str]:
    """Heads, every test video scored by one that saw nothing of it, and where the normal footage came from."""
    frames = settings.frames
    if data.train:
        check_official_split(data.train, data.videos)
        normal = [(video, vectors[video.video_id]) for video in data.train]
        one = fit_on(head, NormalRows.of(normal, frames.curves.most_reference), frames.curves)
        scored = [_scored(video, one, vectors, frames) for video in data.videos]
        return {"all": one}, scored, f"{len(data.train)} normal training videos"
    folds = min(FOLDS, len(data.videos))
    fitted: dict[str, FittedHead] = {}
    by_video: dict[str, ScoredVideo] = {}
    for fold in range(folds):
        tested = [video for number, video in enumerate(data.videos) if number % folds == fold]
        others = [video for number, video in enumerate(data.videos) if number % folds != fold]
        pieces = {video: _normal_slices(video, settings.thesis.gap_s) for video in others}
        check_split(
            [piece for held in pieces.values() for piece in held],
            [Slice.whole(video) for video in tested],
            gap_s=settings.thesis.gap_s,
        )
        normal = [(video, _within(vectors[video.video_id], held)) for video, held in pieces.items()]
        rows = NormalRows.of(normal, frames.curves.most_reference, pieces)
        one = fit_on(head, rows, frames.curves)
        fitted[f"without {', '.join(video.video_id for video in tested)}"] = one
        by_video |= {video.video_id: _scored(video, one, vectors, frames) for video in tested}
    how = (
        f"no training video is there: each test video is judged by a head fitted on the normal frames, at least "
        f"{settings.thesis.gap_s:g} s from an anomaly, of the other test videos ({folds} groups left out in turn)"
    )
    return fitted, [by_video[video.video_id] for video in data.videos], how


def _scored(
    video: LabelledVideo, one: FittedHead, vectors: Mapping[str, Embedded], settings: AnomalySettings
) -> ScoredVideo:
    embedded = vectors[video.video_id]
    lost = len(sampled_frames(video.index, settings.rate_hz)) - len(embedded.frames)
    return ScoredVideo(video, one.curve(video, embedded), one.standard.threshold, lost)


def _normal_slices(video: LabelledVideo, gap_s: float) -> list[Slice]:
    """What lies at least the gap from every anomaly."""
    times, gap_us = video.index.t_us, round(gap_s * 1e6)
    free = np.ones(len(times), dtype=np.bool_)
    for first, last in video.relevant:
        begin = video.at_us(first) - video.starts_at_us - gap_us
        end = video.at_us(last) - video.starts_at_us + gap_us
        free &= (times < begin) | (times >= end)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], free, [False]]))).reshape(-1, 2)
    return [Slice(video, int(first), int(last)) for first, last in edges]


def _within(embedded: Embedded, pieces: Sequence[Slice]) -> Embedded:
    held = np.zeros(len(embedded.frames), dtype=np.bool_)
    for piece in pieces:
        held |= (embedded.frames >= piece.first) & (embedded.frames < piece.last)
    return Embedded(embedded.frames[held], embedded.vectors[held])


def ablate_ucf_crime(
    report: UcfCrimeReport, heads: Sequence[BuiltHead], settings: AblationSettings, progress: Progress
) -> list[Outcome]:
    """Vary what stands between snippets and a detector, under the published split and the one blocked in time; and, for
    plain vectors, fit a head for each video in place of one for all."""
    pooled: list[Task] = []
    alone: list[Task] = []
    for space, snippets in report.snippets.items():
        head = next(head for head in heads if head.encoder.spec.space == space)
        for kind in (RANDOM, BLOCKED):
            for tasks, by_video in ((pooled, False), (alone, True)):
                task = SnippetTask(snippets, head, kind, report.settings.thesis, by_video=by_video)
                tasks += [task] if task.repeats else []
    plain = replace(settings, scalings=("standardise",), projections=("none",))
    return [*run_ablation(pooled, settings, progress), *run_ablation(alone, plain, progress)]
