"""A review after one more label, fitted and scored anew, beside scikit-learn's scoring alone: `retrieval`."""

from functools import partial
from statistics import median

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import SVC

from benchmarks.timing import Ratio, Report, core_count, ratio_of, take_turns
from models.heads.retrieval import TOLERANCE, RetrievalSettings, fit_retrieval

LABELS = 256
FRAMES = 100_000
DIMENSION = 512
LABELS_IN_BLOCK = 4
ALLOWED_S = 1.0
ALLOWED_DIFFERENCE = 1e-4

Vectors = NDArray[np.float32]


def run_retrieval(
    report: Report, labels: int = LABELS, frames: int = FRAMES, dimension: int = DIMENSION, rounds: int = 3
) -> list[Ratio]:
    """Time of `SVC.decision_function` ÷ time of our fit, cross-validation and scoring; that time ÷ one second.

    Both score the same frames with a machine fitted on the same labels; scikit-learn's is fitted beforehand. Nearly all
    labels are support vectors, as they are in spaces of so many dimensions, so nothing can be left out.
    """
    vectors, relevant, blocks, shown = _footage(labels, frames, dimension)
    machine = SVC(C=RetrievalSettings().cost, class_weight="balanced", tol=TOLERANCE).fit(vectors, relevant)
    ours, theirs = partial(_ours, vectors, relevant, blocks, shown), partial(machine.decision_function, shown)
    difference = float(np.abs(ours() - theirs()).max())
    report.say(
        f"retrieval, {labels} labels ({len(machine.support_)} support vectors), {frames} frames × {dimension}, "
        f"{core_count()} threads; largest difference {difference:.1e}"
    )
    times = take_turns({"ours": ours, "scikit-learn": theirs}, rounds, report)
    return [
        Ratio(
            "scikit-learn's decision_function / ours, fit and score", ratio_of(times, "scikit-learn", "ours"), ">= 8"
        ),
        Ratio(f"our fit and score / {ALLOWED_S:g} s", median(times["ours"]) / ALLOWED_S, "<= 1"),
        Ratio(
            f"largest difference from decision_function / {ALLOWED_DIFFERENCE:g}",
            difference / ALLOWED_DIFFERENCE,
            "<= 1",
        ),
    ]


def _ours(
    vectors: Vectors, relevant: NDArray[np.bool_], blocks: NDArray[np.int64], shown: Vectors
) -> NDArray[np.float32]:
    """What a review does after a label: fit, cross-validate, calibrate, score every frame."""
    return fit_retrieval(RetrievalSettings(), vectors, relevant, blocks).head.score_unit(shown)


def _footage(labels: int, frames: int, dimension: int) -> tuple[Vectors, NDArray[np.bool_], NDArray[np.int64], Vectors]:
    """Labelled vectors, answers and blocks, and all frames: one scene, half of it with something in it, and noise."""
    random = np.random.default_rng(0)
    scene, thing = random.standard_normal((2, dimension), dtype=np.float32)
    relevant = np.arange(frames) // LABELS_IN_BLOCK % 2 == 0
    shown = random.standard_normal((frames, dimension), dtype=np.float32)
    shown += scene
    shown[relevant] += 0.2 * thing
    shown /= np.linalg.norm(shown, axis=1, keepdims=True)
    return shown[:labels], relevant[:labels], np.arange(labels, dtype=np.int64) // LABELS_IN_BLOCK, shown
