"""S0's experiment (row R8): how well a retrieval head finds relevant footage, by the number of labels it was given.

1. The footage is split in time: by day, clip or visit (`evaluation.splitting`); the guard (`evaluation.leakage`) checks it.
2. Of each camera's training part, one frame stands for each temporal slice (`models.labelling`), labelled by the truth.
3. In each run the pool of either class is put in a random order. A budget of n takes the first n relevant and the first n
   irrelevant ones, so that in a run a larger budget holds the smaller ones, as labels add up in a review. Where a class
   holds fewer than n, all of it is taken.
4. A head is fitted for each camera on its labels (`models.heads.retrieval`) and scores every frame of the test part.
5. A frame is predicted relevant if its margin is above 0, unsmoothed. Events are made of the margins by `EVENT_RULE`,
   which was fixed beforehand and is not adapted to any data.
6. Frames and events are held against the truth; `evaluation.tallies` has the metrics.

Published (S0, tables 1 to 3): means and deviations over run × day, which are the macro averages here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.datasets.base import LabelledData, LabelledVideo
from evaluation.embedding import RATE_HZ, Embedded, embed_video
from evaluation.leakage import GAP_S, Slice, check_split
from evaluation.samples import EmbeddedSlice, Numbers, Pool
from evaluation.splitting import Split, split_in_time
from evaluation.tallies import Tally
from infra.errors import ConfigurationError, UnknownNameError
from models.encoders.base import Encoder
from models.events import EventRule, find_events
from models.heads.retrieval import RetrievalSettings, fit_retrieval

PROTOCOL = "few-shot-retrieval"
BUDGETS = (4, 8, 16, 32, 64, 128, 256)
EVENT_RULE = EventRule(threshold=0.0, smooth_s=1.0, merge_gap_s=2.0, minimum_s=1.0)
"""Margins averaged over 1 s, above 0; events no further apart than 2 s are one, those shorter than 1 s none."""
SLICE_S = 10.0
"""As `models.labelling.temporal_slices` has it."""
TEST, NEXT = "test", "next campaign"

Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class FewShotSettings:
    """How the experiment is run.

    Attributes:
        budgets: numbers n of labels of each class.
        runs: random subsets for each budget.
        seed: decides them.
        gap_s: seconds between training and test.
        rate_hz: most frames that are looked at in a second.
        slice_s: longest temporal slice that one label stands for.
        retrieval: of the head.
        rule: how margins become events; its threshold is the margin 0.
    """

    budgets: tuple[int, ...] = BUDGETS
    runs: int = 9
    seed: int = 0
    gap_s: float = GAP_S
    rate_hz: float = RATE_HZ
    slice_s: float = SLICE_S
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    rule: EventRule = EVENT_RULE

    def __post_init__(self) -> None:
        if not self.budgets or min(self.budgets) < 1 or len(set(self.budgets)) < len(self.budgets):
            raise ConfigurationError(f"budgets are different numbers of at least 1, got {list(self.budgets)}")
        if self.runs < 1 or self.seed < 0:
            raise ConfigurationError(f"runs are at least 1 and the seed at least 0, got {self.runs} and {self.seed}")
        if not (self.rate_hz > 0 and self.slice_s > 0 and self.gap_s >= 0):
            raise ConfigurationError(
                "the rate and the longest slice are above 0 and the gap is at least 0, "
                f"got {self.rate_hz} Hz, {self.slice_s} s and {self.gap_s} s"
            )


@dataclass(frozen=True, eq=False)
class Score:
    """What one head did with one video of test footage.

    Attributes:
        encoder: name of the encoder.
        part: `test` or `next campaign`.
        budget: n, the labels of each class that were asked for.
        relevant, irrelevant: the labels that there were.
        run: number of the random subset.
        unit: what the video belongs to for macro averages: the camera's day, or the clip.
        tally: what was right and wrong.
    """

    encoder: str
    part: str
    budget: int
    relevant: int
    irrelevant: int
    run: int
    unit: str
    tally: Tally


@dataclass(frozen=True, eq=False)
class FewShotReport:
    """The experiment and all its scores.

    Attributes:
        data, next_campaign: what it was run on.
        region: the region by camera.
        split: what was trained on and tested on.
        settings: how.
        encoders: names, in the order of the tables.
        pools: by encoder and camera, slices in the training pool: relevant and irrelevant.
        scores: one for each encoder, part, budget, run and video.
    """

    data: LabelledData
    next_campaign: LabelledData | None
    region: dict[str, str]
    split: Split
    settings: FewShotSettings
    encoders: tuple[str, ...]
    pools: dict[tuple[str, str], tuple[int, int]]
    scores: tuple[Score, ...]


def run_few_shot_retrieval(
    data: LabelledData,
    encoders: Sequence[Encoder],
    settings: FewShotSettings,
    *,
    next_campaign: LabelledData | None = None,
    region: str | None = None,
    cache: Path | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> FewShotReport:
    """Run the experiment.

    Args:
        data: split into a training and a test part.
        encoders: each makes an experiment of its own.
        settings: how.
        next_campaign: tested on too, as a part of its own, with the heads of `data`; its cameras are those of `data`.
        region: name or box for all cameras; None: each camera's own.
        cache: folder of embeddings; see `embed_video`.
        progress: called with a stage's name, what is done of it and the whole.

    Raises:
        ConfigurationError: the data cannot be split, the split leaks, or a class has no training sample.
    """
    if not encoders:
        raise ConfigurationError("no encoder was named; name one, as handcrafted/appearance")
    split = split_in_time(data.videos, settings.gap_s)
    parts = {TEST: split.test}
    if next_campaign is not None:
        parts[NEXT] = tuple(Slice.whole(video) for video in next_campaign.videos)
    _check(data, split, parts, encoders, settings)
    if next_campaign is not None:
        _check_regions(data, next_campaign, region)
    tables = {TEST: data, NEXT: next_campaign or data}
    slices = [(data, piece) for piece in split.train]
    slices += [(tables[part], piece) for part, pieces in parts.items() for piece in pieces]
    embedded = _embed(slices, encoders, settings, region, cache, progress)
    pools: dict[tuple[str, str], tuple[int, int]] = {}
    scores: list[Score] = []
    for number, encoder in enumerate(encoders):
        name = encoder.spec.name
        rows = {piece: EmbeddedSlice.of(piece, embedded[piece.video][number], settings.rate_hz) for _, piece in slices}
        for place, camera in enumerate(sorted({piece.video.camera for piece in split.train})):
            pool = Pool.of([rows[piece] for piece in split.train if piece.video.camera == camera], settings.slice_s)
            pools[name, camera] = pool.counts
            held = {
                part: [rows[piece] for piece in pieces if piece.video.camera == camera]
                for part, pieces in parts.items()
            }
            for run in range(settings.runs):
                scores += _run(name, pool, pool.orders((settings.seed, run, place)), held, settings, run)
                progress("fit", number + (place + (run + 1) / settings.runs) / len(data.regions), len(encoders))
    chosen = {camera: data.region(camera, region).name for camera in sorted(data.regions)}
    names = tuple(encoder.spec.name for encoder in encoders)
    return FewShotReport(data, next_campaign, chosen, split, settings, names, pools, tuple(scores))


def _check(
    data: LabelledData,
    split: Split,
    parts: dict[str, tuple[Slice, ...]],
    encoders: Sequence[Encoder],
    settings: FewShotSettings,
) -> None:
    cameras = {piece.video.camera for piece in split.train}
    for pieces in parts.values():
        for piece in pieces:
            if piece.video.camera not in cameras:
                raise UnknownNameError(f"camera of the training part of {data.name}", piece.video.camera, cameras)
        for encoder in encoders:
            check_split(split.train, pieces, gap_s=settings.gap_s, reach_s=encoder.spec.snippet_s / 2)


def _check_regions(data: LabelledData, next_campaign: LabelledData, region: str | None) -> None:
    """A head is of one region: that of the next campaign is the same."""
    for camera in sorted({video.camera for video in next_campaign.videos}):
        trained, tested = data.region(camera, region), next_campaign.region(camera, region)
        if trained.outline != tested.outline:
            raise ConfigurationError(
                f"camera {camera}: region {tested.name} of {next_campaign.name} is drawn otherwise than {trained.name} of "
                f"{data.name}, and a head is of one region; give both the same with --region x,y,width,height"
            )


def _embed(
    slices: Sequence[tuple[LabelledData, Slice]],
    encoders: Sequence[Encoder],
    settings: FewShotSettings,
    region: str | None,
    cache: Path | None,
    progress: Progress,
) -> dict[LabelledVideo, list[Embedded]]:
    """Vectors by video, one for each encoder."""
    wanted = {piece.video: data for data, piece in slices}
    whole_s = sum(video.index.extent_us for video in wanted) / 1e6
    done_s, embedded = 0.0, {}
    for video, data in wanted.items():
        length_s, before_s = video.index.extent_us / 1e6, done_s

        def told(share: float, length_s: float = length_s, before_s: float = before_s) -> None:
            progress("embed", before_s + share * length_s, whole_s)

        embedded[video] = embed_video(
            video,
            data.region(video.camera, region),
            encoders,
            rate_hz=settings.rate_hz,
            cache=cache,
            progress=told,
        )
        done_s += length_s
    return embedded


def _run(
    encoder: str,
    pool: Pool,
    orders: tuple[Numbers, Numbers],
    parts: dict[str, list[EmbeddedSlice]],
    settings: FewShotSettings,
    run: int,
) -> list[Score]:
    """One run of one camera: every budget, every part."""
    scores = []
    for budget in settings.budgets:
        relevant, irrelevant = (order[:budget] for order in orders)
        chosen = np.concatenate([relevant, irrelevant])
        # One block: the head is wanted, not its calibration, which would be cross-validated over blocks.
        blocks = np.zeros(len(chosen), dtype=np.int64)
        head = fit_retrieval(settings.retrieval, pool.vectors[chosen], pool.relevant[chosen], blocks).head
        for part, pieces in parts.items():
            for rows in pieces:
                tally = _judge(rows, head.score(rows.vectors), settings.rule)
                unit = rows.slice.video.unit
                scores.append(Score(encoder, part, budget, len(relevant), len(irrelevant), run, unit, tally))
    return scores


def _judge(rows: EmbeddedSlice, margins: NDArray[np.float32], rule: EventRule) -> Tally:
    events = find_events(rows.from_us, rows.to_us, margins, rule)
    spans = np.array([(event.from_us, event.to_us) for event in events], dtype=np.int64).reshape(-1, 2)
    return Tally.of(rows.relevant, margins > 0, rows.events, spans, rows.seconds)
