"""Active learning with known truth (row A4): how good a head is by the labels it was given, when the queue chooses what a
person judges, and when chance does.

1. **Parts.** Each seed parts the videos anew: half of their groups (clips, days, sources) are the pool that is asked about,
   the others are tested on; groups with and without something relevant are halved each for itself. The data set's own
   training videos, where there are any, belong to the pool. No test video is ever asked about; the guard
   (`evaluation.leakage`) checks it.
2. **Beginning.** A head is in use once it has learnt both classes, so that a few labels of each, drawn by lot, are there
   before the first night. They are the same for every strategy, and count.
3. **Nights.** A head is fitted on all labels so far (`models.heads.retrieval`) and scores the pool; a strategy says what to
   ask, at most a night's budget; the truth answers.
4. **Test.** After each night the head's margins of every looked-at frame of the test videos are held against the truth. They
   decide nothing: neither what is asked, nor when to end.

Strategies:

- `queue`: as the night asks (`models.queueing`): one row of each temporal slice, by turns uncertain and different ones;
- `uncertain`: the same with a share of 1: uncertain ones as long as there are any;
- `random`: slices by lot, each by the row in its middle, none that share time.

All choose among the same slices, and of what an answer speaks of nothing is asked again: chance, too, is spared what shows
the same moment twice.

One head is fitted for all footage, whatever cameras it is of; each camera is seen by the region that the data set names first,
or whole. Videos lie one after another on one clock, a minute apart.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evaluation.active_choice import BOUNDARY, STRATEGIES, Flags, Rows, Strategy, choose, first_labels
from evaluation.datasets.base import LabelledData, LabelledVideo
from evaluation.embedding import Embedded, Looking, embed_video
from evaluation.leakage import Slice, check_official_split
from evaluation.samples import EmbeddedSlice
from infra.errors import ConfigurationError
from infra.settings import QueueTable
from models.encoders.base import Encoder
from models.heads.retrieval import RetrievalHead, RetrievalSettings, fit_retrieval
from models.metrics import frame_ap, frame_auc

PROTOCOL = "active-learning"
RATE_HZ = 5.0

Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class ActiveSettings:
    """How the simulation is run.

    Attributes:
        budget: questions of a night.
        most: labels at which it ends; the last night asks about what is left.
        start: labels of each class before the first night.
        seeds: times it is done over, with seeds 0, 1, ….
        uncertain_share: of the queue's questions; see `models.queueing.ask`.
        rate_hz: most frames of a second that are looked at.
        looking: masks.
        retrieval: of the head.
    """

    budget: int = QueueTable().budget
    most: int = 256
    start: int = 2
    seeds: int = 10
    uncertain_share: float = QueueTable().uncertain_share
    rate_hz: float = RATE_HZ
    looking: Looking = field(default_factory=Looking)
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)

    def __post_init__(self) -> None:
        if min(self.budget, self.start, self.seeds) < 1 or self.most <= 2 * self.start:
            raise ConfigurationError(
                "a night's budget, the labels of each class at the beginning and the seeds are at least 1, and there are more "
                f"labels at the end than at the beginning; got {self.budget}, {self.start}, {self.seeds} and at most "
                f"{self.most} labels"
            )
        if not 0 <= self.uncertain_share <= 1:
            raise ConfigurationError(f"the uncertain share is between 0 and 1, got {self.uncertain_share}")
        if not 0 < self.rate_hz < np.inf:
            raise ConfigurationError(f"the rate is above 0 and finite, got {self.rate_hz} Hz")

    @property
    def labels(self) -> tuple[int, ...]:
        """Most labels there are before the first night, and after each."""
        return (*range(2 * self.start, self.most, self.budget), self.most)


@dataclass(frozen=True)
class Night:
    """A head after a night's answers.

    Attributes:
        labels: that it was fitted on.
        relevant: of them.
        frame_auc, frame_ap: of the test frames' margins; nan where one class is missing.
        recall, precision: of test frames above the boundary; nan where undefined.
    """

    labels: int
    relevant: int
    frame_auc: float
    frame_ap: float
    recall: float
    precision: float


@dataclass(frozen=True, eq=False)
class Run:
    """One strategy with one seed.

    Attributes:
        encoder, strategy, seed: which.
        nights: before the first night, and after each; fewer than asked for where there was nothing left to ask.
    """

    encoder: str
    strategy: Strategy
    seed: int
    nights: tuple[Night, ...]

    def at(self, place: int) -> Night:
        """After a night; where nothing was left to ask, the head stays as it was."""
        return self.nights[min(place, len(self.nights) - 1)]


@dataclass(frozen=True)
class Sizes:
    """How much there is of a seed's parts with one encoder.

    Attributes:
        rows, relevant: frames of the pool.
        slices: temporal slices of the pool.
        tested, tested_relevant: frames of the test part.
    """

    rows: int
    relevant: int
    slices: int
    tested: int
    tested_relevant: int


@dataclass(frozen=True)
class Part:
    """What a seed asks about and tests on: names of videos, and how much that is, by encoder."""

    pool: tuple[str, ...]
    test: tuple[str, ...]
    sizes: Mapping[str, Sizes]


@dataclass(frozen=True, eq=False)
class ActiveReport:
    """The simulation: what was run, and every run, in order of encoder, strategy and seed; `parts` has one for each seed."""

    data: LabelledData
    settings: ActiveSettings
    encoders: tuple[str, ...]
    parts: tuple[Part, ...]
    runs: tuple[Run, ...]

    def of(self, encoder: str, strategy: Strategy) -> list[Run]:
        """Runs of a strategy in order of seed."""
        return [run for run in self.runs if (run.encoder, run.strategy) == (encoder, strategy)]


def run_active_learning(
    data: LabelledData,
    encoders: Sequence[Encoder],
    settings: ActiveSettings,
    *,
    cache: Path | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> ActiveReport:
    """Run the simulation.

    Args:
        data: with truth; see `evaluation.active_data`.
        encoders: each makes a simulation of its own.
        settings: how.
        cache: folder of embeddings; see `embed_video`.
        progress: called with a stage's name, what is done of it and the whole.

    Raises:
        ConfigurationError: no encoder was named, fewer than two groups have something relevant, the parts share something, or
            a pool lacks labels of a class to begin with.
    """
    if not encoders:
        raise ConfigurationError("no encoder was named; name one, as handcrafted/motion")
    sides = [part_videos(data, seed) for seed in range(settings.seeds)]
    for pool, test in sides:
        check_official_split(pool, test)
    embedded = _embed(data, encoders, settings, cache, progress)
    sizes: list[dict[str, Sizes]] = [{} for _ in sides]
    runs: list[Run] = []
    for number, encoder in enumerate(encoders):
        name, snippet_s = encoder.spec.name, encoder.spec.snippet_s
        whole = {
            video: EmbeddedSlice.of(Slice.whole(video), vectors[number], settings.rate_hz)
            for video, vectors in embedded.items()
        }
        for seed, (pool, test) in enumerate(sides):
            asked, tested = (Rows.of([whole[video] for video in videos], snippet_s) for videos in (pool, test))
            slices = len(asked.slices)
            sizes[seed][name] = Sizes(
                len(asked), int(asked.relevant.sum()), slices, len(tested), int(tested.relevant.sum())
            )
            runs += [
                Run(name, strategy, seed, simulate(asked, tested, strategy, settings, seed)) for strategy in STRATEGIES
            ]
            progress("nights", number * len(sides) + seed + 1, len(encoders) * len(sides))
    parts = tuple(
        Part(tuple(one.video_id for one in pool), tuple(one.video_id for one in test), counts)
        for (pool, test), counts in zip(sides, sizes, strict=True)
    )
    order = {name: place for place, name in enumerate(STRATEGIES)}
    names = tuple(encoder.spec.name for encoder in encoders)
    runs.sort(key=lambda run: (names.index(run.encoder), order[run.strategy], run.seed))
    return ActiveReport(data, settings, names, parts, tuple(runs))


def part_videos(data: LabelledData, seed: int) -> tuple[tuple[LabelledVideo, ...], tuple[LabelledVideo, ...]]:
    """A seed's pool and test part; of an odd number of groups the pool has the greater half.

    Raises:
        ConfigurationError: fewer than two groups of videos have something relevant.
    """
    groups: dict[str, list[LabelledVideo]] = {}
    for video in data.videos:
        groups.setdefault(video.group or video.video_id, []).append(video)
    with_some = [name for name, videos in groups.items() if any(video.relevant for video in videos)]
    if len(with_some) < 2:
        raise ConfigurationError(
            f"{data.name} has something relevant in {len(with_some)} of its groups of videos (clips, days, sources); one is asked "
            "about and another tested on: label more"
        )
    random = np.random.default_rng((seed, 0))
    tested: set[str] = set()
    for names in (with_some, [name for name in groups if name not in with_some]):
        shuffled = [names[place] for place in random.permutation(len(names))]
        tested |= set(shuffled[(len(names) + 1) // 2 :])
    pool = tuple(video for name, videos in groups.items() if name not in tested for video in videos)
    return (*data.train, *pool), tuple(video for name in groups if name in tested for video in groups[name])


def simulate(pool: Rows, test: Rows, strategy: Strategy, settings: ActiveSettings, seed: int) -> tuple[Night, ...]:
    """Nights of one strategy: before the first, and after each as long as there is something to ask.

    Raises:
        ConfigurationError: the pool lacks rows of a class to begin with.
    """
    labelled = first_labels(pool, settings.start, seed)
    nights = []
    for count in np.diff((*settings.labels, settings.most)).tolist():
        rows = np.array(labelled, dtype=np.int64)
        # One block: the head is wanted, not its calibration, which would be cross-validated over blocks.
        blocks = np.zeros(len(rows), dtype=np.int64)
        head = fit_retrieval(settings.retrieval, pool.vectors[rows], pool.relevant[rows], blocks).head
        nights.append(_tested(head, pool.relevant[rows], test))
        more = choose(strategy, head, pool, labelled, count, settings.uncertain_share, seed)
        if not more:
            break
        labelled += more
    return tuple(nights)


def _tested(head: RetrievalHead, labels: Flags, test: Rows) -> Night:
    margins = head.score(test.vectors)
    found = margins > BOUNDARY
    right = int((found & test.relevant).sum())
    relevant, predicted = int(test.relevant.sum()), int(found.sum())
    return Night(
        len(labels),
        int(labels.sum()),
        frame_auc(test.relevant, margins),
        frame_ap(test.relevant, margins),
        right / relevant if relevant else np.nan,
        right / predicted if predicted else np.nan,
    )


def _embed(
    data: LabelledData,
    encoders: Sequence[Encoder],
    settings: ActiveSettings,
    cache: Path | None,
    progress: Progress,
) -> dict[LabelledVideo, list[Embedded]]:
    """Vectors of each camera's own region by video, one for each encoder."""
    videos = (*data.train, *data.videos)
    whole_s = sum(video.index.extent_us for video in videos) / 1e6
    done_s, embedded = 0.0, {}
    for video in videos:
        length_s, before_s = video.index.extent_us / 1e6, done_s

        def told(share: float, length_s: float = length_s, before_s: float = before_s) -> None:
            progress("embed", before_s + share * length_s, whole_s)

        embedded[video] = embed_video(
            video,
            data.region(video.camera, None),
            encoders,
            rate_hz=settings.rate_hz,
            looking=settings.looking,
            cache=cache,
            progress=told,
        )
        done_s += length_s
    return embedded
