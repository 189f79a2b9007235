"""UCF-Crime as the thesis S4 used it (row N5): normal parts of anomalous videos to train, their other parts to test.

Test videos with an anomaly are cut into snippets; a snippet is anomalous from 4 of its 16 pictures on. A detector (LOF with
k = 20 in the thesis) is fitted on 80 % of the normal snippets; the rest and all anomalous ones are tested. Three splits:

- `random`, the published one: 80 % of the normal snippets at random. A test snippet's neighbours in time are in the
  training part, so it leaks; what the guard says of it is printed beside it.
- `blocked in time`: a fifth of each video's normal snippets in a row, in turn, with a gap on both sides of everything that
  is tested.
- `by video`: the snippets of a fifth of the videos, in turn; the scene is new then.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluation.bootstrap import BootstrapSettings, Weights, estimates
from evaluation.heads import BuiltHead
from evaluation.leakage import GAP_S, check_split
from evaluation.results import Result
from evaluation.snippets import Snippets
from infra.errors import ConfigurationError
from models.heads.novelty import fit_and_score
from models.metrics import RankedScores

RANDOM, BLOCKED, BY_VIDEO = "random", "blocked in time", "by video"
TRAINED_SHARE = 0.8
FOLDS = 5
FEWEST = 2

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class ThesisSettings:
    """How the experiment is run.

    Attributes:
        runs: random splits.
        seed: decides them.
        gap_s: seconds between training and test where the split is blocked in time.
        bootstrap: how videos are drawn for intervals.
    """

    runs: int = 10
    seed: int = 0
    gap_s: float = GAP_S
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)

    def __post_init__(self) -> None:
        if self.runs < 1 or self.seed < 0 or not self.gap_s >= 0:
            raise ConfigurationError(f"runs are at least 1, seed and gap at least 0, got {self}")


@dataclass(frozen=True, eq=False)
class SnippetSplit:
    """Rows of snippets to train on (all normal) and to test on."""

    train: Numbers
    test: Numbers


@dataclass(frozen=True, eq=False)
class SplitScores:
    """One head under one kind of split.

    Attributes:
        split: `random`, `blocked in time` or `by video`.
        leak: what the guard says against it; empty where it passes.
        aucs: of each run.
        trained, tested: snippets, on average over the runs.
        results: the mean AUC with its interval by video, and its deviation over the runs.
    """

    split: str
    leak: str
    aucs: tuple[float, ...]
    trained: float
    tested: float
    results: tuple[Result, ...]


def splits(snippets: Snippets, kind: str, settings: ThesisSettings) -> Iterator[SnippetSplit]:
    """The runs of one kind of split; one in which nothing can be trained on or tested is left out."""
    normal, anomalous = np.flatnonzero(~snippets.anomalous), np.flatnonzero(snippets.anomalous)
    for run in range(settings.runs if kind == RANDOM else FOLDS):
        match kind:
            case "random":
                order = np.random.default_rng((settings.seed, run)).permutation(normal)
                count = round(TRAINED_SHARE * len(normal))
                train, test = np.sort(order[:count]), np.sort(np.concatenate([order[count:], anomalous]))
            case "blocked in time":
                held_out = _blocks(snippets, normal) == run
                test = np.sort(np.concatenate([normal[held_out], anomalous]))
                train = _apart(snippets, normal[~held_out], test, round(settings.gap_s * 1e6))
            case _:
                tested = snippets.video % min(FOLDS, len(snippets.videos)) == run
                train, test = normal[~tested[normal]], np.flatnonzero(tested)
        if len(train) >= FEWEST and 0 < snippets.anomalous[test].sum() < len(test):
            yield SnippetSplit(train, test)


def run_split(
    snippets: Snippets,
    head: BuiltHead,
    kind: str,
    settings: ThesisSettings,
    progress: Callable[[float], None] = lambda _share: None,
) -> SplitScores | None:
    """One head under one kind of split; None where no run of it is possible.

    Args:
        snippets: of anomalous videos, with vectors of the head's encoder.
        head: which.
        kind: of split.
        settings: how.
        progress: called with the finished share.
    """
    runs = list(splits(snippets, kind, settings))
    if not runs:
        return None
    leak = ""
    for split in runs:
        try:
            check_split(snippets.slices(split.train), snippets.slices(split.test), gap_s=settings.gap_s)
        except ConfigurationError as refusal:
            leak = str(refusal)
            break
    if leak and kind != RANDOM:
        raise ConfigurationError(leak)
    ranked = []
    for number, split in enumerate(runs):
        fitted, _ = fit_and_score(head.spec.settings, snippets.vectors[split.train], layout=head.encoder.spec.layout)
        test = split.test
        scores = fitted.score(snippets.vectors[test])
        ranked.append(RankedScores.of(snippets.anomalous[test], scores, snippets.video[test]))
        progress((number + 1) / (len(runs) + 1))
    name = f"{head.name} thesis {kind}{' (leaks)' if leak else ''}"
    aucs = tuple(one.auc_and_ap(np.ones(len(snippets.videos)))[0] for one in ranked)

    def mean_auc(weights: Weights) -> dict[str, float]:
        values = np.array([one.auc_and_ap(weights)[0] for one in ranked])
        defined = values[~np.isnan(values)]
        return {"auc": float(defined.mean()) if len(defined) else float("nan")}

    found = estimates(mean_auc, [0] * len(snippets.videos), settings.bootstrap)["auc"]
    deviation = float(np.std(aucs, ddof=1)) if len(aucs) > 1 else float("nan")
    progress(1.0)
    results = (
        Result(name, "auc", found.value, found.low, found.high, len(aucs)),
        Result(name, "auc_deviation", deviation, float("nan"), float("nan"), len(aucs)),
    )
    trained, tested = np.mean([(len(split.train), len(split.test)) for split in runs], axis=0)
    return SplitScores(kind, leak, aucs, float(trained), float(tested), results)


def _blocks(snippets: Snippets, normal: Numbers) -> Numbers:
    """int64 (M,): which fifth of its video's normal snippets each is in."""
    blocks = np.empty(len(normal), dtype=np.int64)
    for video in np.unique(snippets.video[normal]):
        mine = np.flatnonzero(snippets.video[normal] == video)
        blocks[mine] = np.arange(len(mine)) * FOLDS // len(mine)
    return blocks


def _apart(snippets: Snippets, train: Numbers, test: Numbers, gap_us: int) -> Numbers:
    """Training rows without those nearer than the gap to a test snippet of their video."""
    kept = []
    for row in train.tolist():
        near = test[snippets.video[test] == snippets.video[row]]
        apart = np.maximum(snippets.from_us[near] - snippets.to_us[row], snippets.from_us[row] - snippets.to_us[near])
        if (apart >= gap_us).all():
            kept.append(row)
    return np.array(kept, dtype=np.int64)
