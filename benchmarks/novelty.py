"""A large novelty head, fitted and scored, beside scikit-learn's Local Outlier Factor: `novelty`."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn import neighbors

from benchmarks.timing import Ratio, Report, core_count, ratio_of, take_turns
from models.detectors.local_outlier_factor import LocalOutlierFactorSettings
from models.heads.novelty import NoveltySettings, fit_and_score

ROWS = 50_000
DIMENSION = 256
NEIGHBOURS = 20
LATENT = 32
"""Values that the others follow, but for noise, as those of an embedding do."""
ALLOWED_DIFFERENCE = 1e-3
ALLOWED_DISORDER = 1e-6

Vectors = NDArray[np.float32]


def run_novelty(report: Report, rows: int = ROWS, dimension: int = DIMENSION, rounds: int = 1) -> list[Ratio]:
    """Time of our fit and scoring ÷ time of `LocalOutlierFactor(novelty=True)`, brute: its fastest at this dimension.

    Both fit `rows` vectors, score them without themselves, and score as many new ones, by exact neighbours: vectors
    with some structure, as embeddings have, and ones with none, which leave no shorter way than all the products.
    """
    ratios = []
    for name, vectors in (("vectors of 32 directions and noise", _shaped), ("noise alone", _noise)):
        reference, new = np.split(vectors(2 * rows, dimension), 2)
        report.say(f"novelty, {rows} × {dimension}, as many scored, {core_count()} threads: {name}")
        ratios += _compare(report, name, reference, new, rounds)
    return ratios


def _compare(report: Report, name: str, reference: Vectors, new: Vectors, rounds: int) -> list[Ratio]:
    scores: dict[str, NDArray[np.float32]] = {}

    def ours() -> None:
        settings = NoveltySettings(LocalOutlierFactorSettings(NEIGHBOURS), scaling="none")
        head, normal = fit_and_score(settings, reference)
        scores["ours"] = np.concatenate([normal, head.score(new)])

    def theirs() -> None:
        machine = neighbors.LocalOutlierFactor(n_neighbors=NEIGHBOURS, algorithm="brute", novelty=True).fit(reference)
        scores["theirs"] = -np.concatenate([machine.negative_outlier_factor_, machine.score_samples(new)])

    times = take_turns({"ours": ours, "scikit-learn": theirs}, rounds, report)
    difference = float(np.abs(scores["ours"] - scores["theirs"]).max())
    disorder = 1 - float(spearmanr(scores["ours"], scores["theirs"]).statistic)
    report.say(f"  largest difference {difference:.1e}; 1 - rank correlation {disorder:.1e}")
    return [
        Ratio(f"ours / scikit-learn's LOF, fit and score, {name}", ratio_of(times, "ours", "scikit-learn"), "<= 0.5"),
        Ratio(f"largest difference of scores / {ALLOWED_DIFFERENCE:g}", difference / ALLOWED_DIFFERENCE, "<= 1"),
        Ratio(f"1 - rank correlation / {ALLOWED_DISORDER:g}", disorder / ALLOWED_DISORDER, "<= 1"),
    ]


def _shaped(rows: int, dimension: int) -> Vectors:
    random = np.random.default_rng(0)
    latent = random.standard_normal((rows, LATENT), dtype=np.float32)
    directions = random.standard_normal((LATENT, dimension), dtype=np.float32)
    return latent @ directions + _noise(rows, dimension)


def _noise(rows: int, dimension: int) -> Vectors:
    return np.random.default_rng(1).standard_normal((rows, dimension), dtype=np.float32)
