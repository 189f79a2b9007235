"""Ablations of rows N2 and N3: detectors by scaling, projection and dimension, random projections over many seeds.

The vectors are the encoder's own; what stands between them and the detector is varied, and the rest kept. A figure of one
random projection is one of its seed, so each is the mean of at least ten, with their standard deviation. The silhouette
(row N4) is that of normal against anomalous test vectors where the detector sees them, by Euclidean distance.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from evaluation.embedding import Embedded
from evaluation.protocols.ablation_tasks import Chain, FrameTask, Task
from evaluation.protocols.anomaly import AnomalyReport, Progress
from evaluation.results import Result
from evaluation.tallies import Summary
from infra.errors import ConfigurationError
from models.projections.linear import ProjectionName, ProjectionSettings
from models.projections.scaling import ScalingName

DIMENSIONS = (1, 2, 8, 64, 128, 256, 512)
"""S4's; without a projection the vectors keep their own."""
SCALINGS: tuple[ScalingName, ...] = ("none", "l2", "standardise")
PROJECTIONS: tuple[ProjectionName, ...] = ("none", "pca", "gaussian", "sparse")
RANDOM_PROJECTIONS = ("gaussian", "sparse")
DETECTORS = ("lof", "knn", "isolation_forest", "one_class_svm")
SEEDS = 10


@dataclass(frozen=True)
class AblationSettings:
    """What is varied.

    Attributes:
        detectors, scalings, projections: by name.
        dimensions: of the projections; one that an encoder's vectors do not have is left out.
        seeds: random projections of each kind and dimension.
        neighbours: k of the detectors that have it.
    """

    detectors: tuple[str, ...] = DETECTORS
    scalings: tuple[ScalingName, ...] = SCALINGS
    projections: tuple[ProjectionName, ...] = PROJECTIONS
    dimensions: tuple[int, ...] = DIMENSIONS
    seeds: int = SEEDS
    neighbours: int = 20

    def __post_init__(self) -> None:
        if self.seeds < 1 or not self.dimensions or min(self.dimensions) < 1:
            raise ConfigurationError(f"seeds and dimensions of an ablation are at least 1, got {self}")


@dataclass(frozen=True)
class Cell:
    """One place of the tables.

    Attributes:
        encoder, detector, scaling, projection: names.
        dimension: of the projection, or of the vectors where there is none.
        fit: whose footage a head is fitted on, in words.
    """

    encoder: str
    detector: str
    scaling: str
    projection: str
    dimension: int
    fit: str


@dataclass(frozen=True)
class Outcome:
    """What was found at one place, over seeds.

    Attributes:
        cell: where.
        metric: `frame_auc` or `auc`.
        auc: over seeds.
        silhouette: over seeds.
    """

    cell: Cell
    metric: str
    auc: Summary
    silhouette: Summary

    def results(self) -> list[Result]:
        """For programs: `low` and `high` are a standard deviation below and above the mean."""
        cell = self.cell
        name = f"ablation {cell.encoder} {cell.detector} {cell.scaling} {cell.projection} {cell.dimension} {cell.fit}"
        told = ((self.metric, self.auc), ("silhouette", self.silhouette))
        return [
            Result(name, metric, one.mean, one.mean - one.deviation, one.mean + one.deviation, one.n)
            for metric, one in told
            if one.n
        ]


def run_ablation(
    tasks: Sequence[Task],
    settings: AblationSettings,
    progress: Progress = lambda _stage, _done, _total: None,
) -> list[Outcome]:
    """Every cell of every task, in the order of the tables.

    Args:
        tasks: experiments; each is run for every chain and seed.
        settings: what is varied.
        progress: called with a stage's name, what is done of it and the whole.
    """
    plan = [(task, *chain) for task in tasks for chain in _chains(task, settings)]
    whole, done, outcomes = sum(runs for *_, runs in plan), 0, []
    for task, scaling, name, dimension, runs in plan:
        aucs: list[list[float]] = []
        silhouettes: list[float] = []
        for seed in range(runs):
            chain = Chain(scaling, ProjectionSettings(name, dimension, seed), settings.neighbours)
            found, apart = task.run(chain, settings.detectors, seed)
            aucs.append(found)
            silhouettes.append(apart)
            done += 1
            progress("ablation", done, whole)
        for place, detector in enumerate(settings.detectors):
            cell = Cell(task.encoder.name, detector, scaling, name, dimension, task.fit)
            auc = Summary.of(one[place] for one in aucs)
            outcomes.append(Outcome(cell, task.metric, auc, Summary.of(silhouettes)))
    return outcomes


def _chains(task: Task, settings: AblationSettings) -> Iterator[tuple[ScalingName, ProjectionName, int, int]]:
    """Scaling, projection, dimension and number of runs."""
    for scaling in settings.scalings:
        for projection in settings.projections:
            if projection == "none":
                yield scaling, projection, task.dimension, task.repeats
                continue
            runs = max(task.repeats, settings.seeds) if projection in RANDOM_PROJECTIONS else task.repeats
            for dimension in settings.dimensions:
                if dimension < task.dimension:
                    yield scaling, projection, dimension, runs


def ablate_frames(
    report: AnomalyReport,
    vectors: Mapping[str, Sequence[Embedded]],
    settings: AblationSettings,
    progress: Progress = lambda _stage, _done, _total: None,
) -> list[Outcome]:
    """Vary what stands between the vectors of each encoder and a detector; with several cameras, pool them as well."""
    tasks: dict[str, Task] = {}
    pooled: dict[str, Task] = {}
    cameras = {video.camera for video in report.data.videos}
    for place, one in enumerate(report.heads):
        mine = {name: made[place] for name, made in vectors.items()}
        space = one.head.encoder.spec.space
        if space not in tasks:
            tasks[space] = FrameTask(report.data, one.head, report.settings, mine)
            other = replace(report.settings, pooled=not report.settings.pooled)
            pooled[space] = FrameTask(report.data, one.head, other, mine)
    outcomes = run_ablation(list(tasks.values()), settings, progress)
    if len(cameras) > 1:
        plain = replace(settings, scalings=("standardise",), projections=("none",))
        outcomes += run_ablation(list(pooled.values()), plain, progress)
    return outcomes
