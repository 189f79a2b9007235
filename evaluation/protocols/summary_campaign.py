"""How much of what is anomalous a summary of a campaign shows (row V7).

1. Each camera's test footage is cut into the night's segments, judged and measured as at night (`evaluation.summary_columns`):
   a camera with training videos of its own by these, which are its past; one without, as on its first day, by itself, each
   snippet's surroundings left out. No event and no label is told to it, so that nothing leaks where footage judges itself.
2. A summary is a share of the camera's footage, 10 % by default, chosen by `models.summary.selection` as at night. Where that is
   shorter than a segment, segments are as long as the summary. Methods: all columns with the default weights, each column alone,
   segments drawn by lot, segments at equal distances, and the best that anybody could choose who knew the labels.
3. A digest is the same share of the whole campaign, chosen among the segments of all cameras, each on its camera's own scale.
4. `anomalous_share`: of a summary's time, what is anomalous. `anomalous_recall`: of all anomalous time, what the summary shows. Both are
   pooled over cameras, with a bootstrap interval by video; those of chance have the interval of the lots.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.bootstrap import BootstrapSettings, Weights, estimates
from evaluation.datasets.base import LabelledData
from evaluation.heads import HeadSpec
from evaluation.leakage import check_official_split
from evaluation.results import Result
from evaluation.summary_cameras import Camera, judge_cameras, look_at_all
from evaluation.summary_choices import RANDOM, SegmentedCameras, anomalous_us_of, choose, methods_of, weighings
from evaluation.summary_sights import Encoders, LookSettings
from infra.errors import ConfigurationError

PROTOCOL = "summary-campaign"
SUMMARY, DIGEST = "summary", "digest"
FOOTAGE = "footage"
SHARES = tuple(percent / 100 for percent in range(5, 55, 5))
"""Lengths of the figure."""
CURVES = ("anomalous_share", "anomalous_recall")

Times = NDArray[np.int64]
Floats = NDArray[np.float64]
Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class CampaignSettings:
    """How summaries of a campaign are made and measured.

    Attributes:
        share: of a camera's footage that its summary may have, in (0, 1).
        seeds: lots drawn, at least 1.
        seed: the first of them.
        look: how footage is looked at.
        bootstrap: how videos are drawn for intervals.
    """

    share: float = 0.1
    seeds: int = 100
    seed: int = 0
    look: LookSettings = field(default_factory=LookSettings)
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or self.seeds < 1 or self.seed < 0:
            raise ConfigurationError(
                f"a summary's share is between 0 and 1, seeds at least 1 and the seed at least 0, got {self}"
            )


@dataclass(frozen=True, eq=False)
class CampaignReport:
    """The experiment and what came out.

    Attributes:
        data, settings: what was run, and how.
        heads: that judged.
        judged_by: what footage was compared with, in words.
        results: at the headline share, with intervals.
        curves: by method, float64 (SHARES, CURVES), of summaries of each length; of lots the mean.
        segment_s: by camera, the longest segment at the headline share.
        segments: at the headline share, of all cameras.
    """

    data: LabelledData
    settings: CampaignSettings
    heads: tuple[HeadSpec, ...]
    judged_by: str
    results: tuple[Result, ...]
    curves: dict[str, Floats]
    segment_s: dict[str, float]
    segments: int


def run_campaign(
    data: LabelledData,
    settings: CampaignSettings,
    by: Encoders,
    *,
    cache_folder: Path | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> CampaignReport:
    """Look at the footage and measure summaries of it.

    Raises:
        ConfigurationError: nothing is anomalous, a split leaks, or a camera has a single training video.
    """
    if not any(video.relevant for video in data.videos):
        raise ConfigurationError(f"nothing in {data.name} is labelled; a summary is measured by labelled time")
    check_official_split(data.train, data.videos)
    sights = look_at_all(data, settings.look, by, cache_folder, progress)
    cameras, how = judge_cameras(data, sights, settings.look, by)
    heads = tuple(head.spec for head in by.heads)
    trial = _Trial(data, cameras, settings, [head.name for head in heads])
    # A digest of one camera is its summary.
    kinds = (SUMMARY, DIGEST) if len(cameras) > 1 else (SUMMARY,)
    results = [trial.footage(), *(result for kind in kinds for result in trial.results(kind))]
    curves = {}
    for number, method in enumerate(trial.methods):
        progress("choose", number, len(trial.methods))
        curves[method] = trial.curve(method)
    progress("choose", len(trial.methods), len(trial.methods))
    lengths = {camera.name: trial.longest_us(camera.length_us) / 1e6 for camera in cameras}
    return CampaignReport(data, settings, heads, how, tuple(results), curves, lengths, trial.segments)


class _Trial:
    """Summaries by every method, of every length, measured."""

    def __init__(
        self, data: LabelledData, cameras: Sequence[Camera], settings: CampaignSettings, heads: Sequence[str]
    ) -> None:
        self._settings = settings
        self._segmented = SegmentedCameras(cameras, data.videos, settings.look)
        self._weighed = weighings(settings.look, heads)
        self.methods = methods_of(settings.look, heads)
        self._strata = [int(bool(video.relevant)) for video in data.videos]
        told = [(anomalous_us_of(video), video.index.extent_us) for video in data.videos]
        self._whole = np.array(told, dtype=np.int64)

    def footage(self) -> Result:
        """What blind choices show: the share of all footage."""
        anomalous, length = (int(total) for total in self._whole.sum(axis=0))
        return Result(FOOTAGE, "anomalous_share", anomalous / length, math.nan, math.nan, len(self._whole))

    def results(self, kind: str) -> list[Result]:
        """Of the headline share."""
        told = []
        for method in self.methods:
            name = f"{method} {DIGEST}" if kind == DIGEST else method
            drawn = [self._shown(kind, method, self._settings.share, seed) for seed in self._seeds(method)]
            told += self._of_lots(name, drawn) if method == RANDOM else self._of_choice(name, drawn[0])
        return told

    def curve(self, method: str) -> Floats:
        """float64 (SHARES, CURVES) of a method's summaries."""
        rows = []
        for share in SHARES:
            drawn = [self._shown(SUMMARY, method, share, seed) for seed in self._seeds(method)]
            told = [_measures(one, self._whole) for one in drawn]
            rows.append([_mean([one[name] for one in told]) for name in CURVES])
        return np.array(rows, dtype=np.float64)

    def longest_us(self, length_us: int) -> int:
        """Longest segment at the headline share."""
        return self._segmented.longest_us(length_us, self._settings.share)

    @property
    def segments(self) -> int:
        """Segments of all cameras at the headline share."""
        lengths = enumerate(self._segmented.lengths_us)
        return sum(len(self._segmented.of_camera(at, self.longest_us(length)).video) for at, length in lengths)

    def _seeds(self, method: str) -> range:
        first = self._settings.seed
        return range(first, first + (self._settings.seeds if method == RANDOM else 1))

    def _shown(self, kind: str, method: str, share: float, seed: int) -> Times:
        """int64 (V, 2): of each test video what is shown and anomalous, and what is shown, in microseconds."""
        total = np.zeros_like(self._whole)
        cut, lengths = self._segmented, self._segmented.lengths_us
        if kind == DIGEST:
            parts = [(cut.joined(cut.longest_us(sum(lengths), share)), sum(lengths))]
        else:
            parts = [(cut.of_camera(at, cut.longest_us(length, share)), length) for at, length in enumerate(lengths)]
        for place, (segments, length_us) in enumerate(parts):
            limit = self._settings.look.similarity_limit
            chosen = choose(segments, method, self._weighed, int(length_us * share), limit, (seed, place))
            for column, values in enumerate((segments.anomalous_us, segments.durations_us)):
                np.add.at(total[:, column], segments.video[chosen], values[chosen])
        return total

    def _of_choice(self, name: str, shown: Times) -> list[Result]:
        def measures(weights: Weights) -> dict[str, float]:
            return _measures(shown * weights[:, None], self._whole * weights[:, None])

        found = estimates(measures, self._strata, self._settings.bootstrap)
        return [Result(name, metric, one.value, one.low, one.high, len(shown)) for metric, one in found.items()]

    def _of_lots(self, name: str, drawn: Sequence[Times]) -> list[Result]:
        """The mean over lots, and between which values nineteen of twenty lie."""
        told = [_measures(one, self._whole) for one in drawn]
        results = []
        for metric in told[0]:
            values = [one[metric] for one in told if math.isfinite(one[metric])]
            low, high = np.quantile(values, [0.025, 0.975]) if len(values) > 1 else (math.nan, math.nan)
            results.append(Result(name, metric, _mean(values), float(low), float(high), len(values)))
        return results


def _measures(shown: Times, whole: Times) -> dict[str, float]:
    """Of (V, 2) anomalous and total time: of what is shown, and of all there is."""
    (found, length), (anomalous, footage) = shown.sum(axis=0).tolist(), whole.sum(axis=0).tolist()
    return {
        "anomalous_share": found / length if length else math.nan,
        "anomalous_recall": found / anomalous if anomalous else math.nan,
        "length_share": length / footage if footage else math.nan,
    }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan
