"""The protocol of TVSum and SumMe (row V7): summaries of 15 % of a video against several people's.

1. A method gives each shot a value; the shots with the largest sum of values within 15 % of the frames are its summary. A person's
   scores become a summary in the same way, where the data set holds scores and not summaries.
2. F1 of frames against each person, reduced to their mean (TVSum) or maximum (SumMe); both are told.
3. Kendall's τ-b and Spearman's ρ of the method's frame scores with each person's (Otani et al., CVPR 2019), their mean; on data that
   hold summaries alone, with those, 1 inside and 0 outside.
4. `human`: each person against every other one, as if one method of their own. For the rank correlations that is what Otani et
   al. publish for TVSum as `human` (.177 and .204): the mean over pairs of people, on every frame.
5. `random`: a random number for each frame, the shot's mean its value; the mean over seeds. `uniform`: shots at equal distances; it has
   no scores, so its summary itself is ranked, 1 inside and 0 outside.

Every number is the mean over videos, with a bootstrap interval by video.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evaluation.bootstrap import BootstrapSettings, Weights, estimates
from evaluation.datasets.summary_base import AnnotatedVideo, AnnotatedVideos
from evaluation.results import Result
from evaluation.summary_metrics import (
    Flags,
    Floats,
    Rankings,
    evenly_spaced,
    f1_of_frames,
    keyshots,
    shot_means,
)
from infra.errors import ConfigurationError

PROTOCOL = "summaries"
HUMAN, RANDOM, UNIFORM = "human", "random", "uniform"
METRICS = ("f1_mean", "f1_max", "kendall_tau", "spearman_rho")
"""Of each video; `f1` is the one of the first two that the data set is published with."""
NO_FRACTION = 1e-9
"""Below this a share of frames that should be whole is taken for rounding."""

Progress = Callable[[str, float, float], None]
Scores = Mapping[str, Mapping[str, Floats]]
"""By video id and method: float64 (S,), at least 0, the value of each shot."""


@dataclass(frozen=True)
class SummarySettings:
    """How summaries are made and measured.

    Attributes:
        share: of a video's frames that a summary may have, in (0, 1).
        seeds: random summaries, at least 1.
        seed: the first of them.
        bootstrap: how videos are drawn for intervals.
    """

    share: float = 0.15
    seeds: int = 100
    seed: int = 0
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or self.seeds < 1 or self.seed < 0:
            raise ConfigurationError(
                f"a summary's share is between 0 and 1, seeds at least 1 and the seed at least 0, got {self}"
            )

    def capacity(self, frames: int) -> int:
        """Most frames of a summary."""
        return int(frames * self.share + NO_FRACTION)


@dataclass(frozen=True, eq=False)
class SummaryReport:
    """The protocol and what came out.

    Attributes:
        data, settings: what was run, and how.
        methods: by name, float64 (V, 4), `METRICS` of each video; nan where undefined.
        results: with intervals.
        remarks: of the methods.
    """

    data: AnnotatedVideos
    settings: SummarySettings
    methods: dict[str, Floats]
    results: tuple[Result, ...]
    remarks: tuple[str, ...] = ()


def run_summaries(
    data: AnnotatedVideos,
    settings: SummarySettings,
    scores: Scores | None = None,
    remarks: Sequence[str] = (),
    progress: Progress = lambda _stage, _done, _total: None,
) -> SummaryReport:
    """Run the protocol.

    Args:
        data: videos with people's scores or summaries.
        settings: length, seeds, intervals.
        scores: of our methods, for the same methods in each of the videos that are measured; None: of none.
        remarks: what is to be said of them.
        progress: told what is done.

    Raises:
        ConfigurationError: a method has no scores for some video.
    """
    given = scores or {}
    names = list(next(iter(given.values()), {}))
    if given and any(list(given.get(video.video_id, {})) != names for video in data.videos):
        raise ConfigurationError(
            f"methods were scored for {len(given)} of {len(data.videos)} videos of {data.name}; measure those alone"
        )
    rows: dict[str, list[list[float]]] = {name: [] for name in (*names, HUMAN, UNIFORM, RANDOM)}
    for number, video in enumerate(data.videos):
        progress("people", number, len(data.videos))
        people = _People.of(video, settings)
        for name in names:
            rows[name].append(people.held_against(given[video.video_id][name]))
        rows[HUMAN].append(people.against_one_another())
        rows[UNIFORM].append(people.uniform())
        rows[RANDOM].append(people.random(number))
    progress("people", len(data.videos), len(data.videos))
    methods = {name: np.array(told, dtype=np.float64) for name, told in rows.items()}
    results = [result for name, told in methods.items() for result in _results(name, told, data, settings)]
    return SummaryReport(data, settings, methods, tuple(results), tuple(remarks))


@dataclass(frozen=True, eq=False)
class _People:
    """A video's people: how they rank its frames, and their summaries, bool (A, N)."""

    video: AnnotatedVideo
    settings: SummarySettings
    rankings: Rankings
    summaries: Flags

    @classmethod
    def of(cls, video: AnnotatedVideo, settings: SummarySettings) -> "_People":
        summaries = video.summaries
        if summaries is None:
            means = shot_means(video.importance, video.shots) if video.importance is not None else np.empty((0, 0))
            capacity = settings.capacity(video.frames)
            summaries = np.stack([_frames(keyshots(row, video.lengths, capacity), video) for row in means])
        scores = summaries.astype(np.float32) if video.importance is None else video.importance
        return cls(video, settings, Rankings.of(scores), summaries)

    def held_against(self, values: Floats) -> list[float]:
        """`METRICS` of a method that gives each shot a value."""
        chosen = keyshots(values, self.video.lengths, self.settings.capacity(self.video.frames))
        return self._told(_frames(chosen, self.video), np.repeat(values, self.video.lengths))

    def uniform(self) -> list[float]:
        chosen = _frames(evenly_spaced(self.video.lengths, self.settings.capacity(self.video.frames)), self.video)
        return self._told(chosen, chosen.astype(np.float64))

    def random(self, number: int) -> list[float]:
        """Mean over the seeds; `number` is the video's, so that no two have the same numbers."""
        told = []
        for seed in range(self.settings.seed, self.settings.seed + self.settings.seeds):
            frame_scores = np.random.default_rng((seed, number)).random(self.video.frames)
            values = shot_means(frame_scores, self.video.shots)
            chosen = keyshots(values, self.video.lengths, self.settings.capacity(self.video.frames))
            told.append(self._told(_frames(chosen, self.video), frame_scores))
        return [float(value) for value in np.mean(told, axis=0)]

    def against_one_another(self) -> list[float]:
        """Each person against every other, the mean over people."""
        others = ~np.eye(len(self.summaries), dtype=np.bool_)
        agreed = f1_of_frames(self.summaries, self.summaries)
        f1_mean = float(agreed[others].mean())
        f1_max = float(np.where(others, agreed, -np.inf).max(axis=1).mean())
        tau, rho = self._correlations(self.rankings)
        return [f1_mean, f1_max, _mean(tau[others]), _mean(rho[others])]

    def _told(self, summary: Flags, frame_scores: Floats) -> list[float]:
        agreed = f1_of_frames(summary[None, :], self.summaries)[0]
        tau, rho = self._correlations(Rankings.of(frame_scores[None, :]))
        return [float(agreed.mean()), float(agreed.max()), _mean(tau), _mean(rho)]

    def _correlations(self, other: Rankings) -> tuple[Floats, Floats]:
        return self.rankings.kendall_tau_b(other), self.rankings.spearman_rho(other)


def _frames(chosen: Flags, video: AnnotatedVideo) -> Flags:
    return np.repeat(chosen, video.lengths)


def _mean(values: Floats) -> float:
    """Of what is defined: somebody who said the same of every frame ranks nothing."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def _results(name: str, told: Floats, data: AnnotatedVideos, settings: SummarySettings) -> list[Result]:
    columns = dict(zip(METRICS, told.T, strict=True))
    columns = {"f1": columns[f"f1_{data.reduction}"], **columns}

    def means(weights: Weights) -> dict[str, float]:
        return {metric: _weighted(column, weights) for metric, column in columns.items()}

    found = estimates(means, [0] * len(told), settings.bootstrap)
    counts = {metric: int(np.isfinite(column).sum()) for metric, column in columns.items()}
    return [Result(name, metric, one.value, one.low, one.high, counts[metric]) for metric, one in found.items()]


def _weighted(column: Floats, weights: Weights) -> float:
    known = np.isfinite(column)
    total = weights[known].sum()
    return float((weights[known] * column[known]).sum() / total) if total else np.nan
