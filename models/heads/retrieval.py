"""Retrieval of relevant moments from a few labels (row R2 to R4): similarity to examples, then an RBF support vector
machine, refitted after every label.

All vectors are brought to unit length, where |x - s|² = 2 - 2 x·s: cosine and Euclidean distance rank alike, and both
are offered because they read differently.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

from infra.errors import ConfigurationError, UnknownNameError
from models.heads.base import Arrays, Scores, Vectors, check_vectors
from models.heads.chunks import by_chunks, one_thread_each
from models.heads.neighbours import unit_length

SimilarityName = Literal["cosine", "euclidean"]
Labels = NDArray[np.bool_]
Floats = NDArray[np.float64]

TOLERANCE = 1e-6
"""At which the solver stops. At scikit-learn's 1e-3 the order of the labels moves margins by about as much."""
FOLDS = 5
"""Most parts of the labels that are held out in turn."""
LEAST_OF_CLASS = 4
"""Labels of either class below which margins are not made into probabilities."""


@dataclass(frozen=True)
class RetrievalSettings:
    """How labels become a head.

    Attributes:
        cost: C of the support vector machine, above 0; higher follows single labels more closely.
        gamma: of the kernel exp(-γ |x - s|²), above 0; `scale`: 1 / (D · variance of all values of the labelled vectors).
        balanced: weigh both classes alike, however many labels each has.
        similarity: ranks until there are two classes: `cosine`, or `euclidean` distance.
        propagate: spread the labels over their neighbourhood first (`models.labelling.propagate`, by the caller).
    """

    cost: float = 10.0
    gamma: float | Literal["scale"] = "scale"
    balanced: bool = True
    similarity: SimilarityName = "cosine"
    propagate: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.cost < np.inf:
            raise ConfigurationError(f"cost is above 0 and finite, got {self.cost}")
        if self.gamma != "scale" and not (isinstance(self.gamma, int | float) and 0 < self.gamma < np.inf):
            raise ConfigurationError(f'gamma is "scale" or a number above 0, got {self.gamma!r}')
        if self.similarity not in get_args(SimilarityName):
            raise UnknownNameError("similarity", self.similarity, get_args(SimilarityName))


@dataclass(frozen=True, eq=False)
class Similarity:
    """Likeness to the nearest of some examples: cosine, or minus the Euclidean distance of unit vectors.

    A zero vector has cosine 0 with everything, and distance 1 from every unit vector.

    Attributes:
        examples: float32 (P, D), P ≥ 1, of unit length or zero.
        by: `cosine` or `euclidean`.
    """

    kind: ClassVar[str] = "similarity"
    threshold: ClassVar[float | None] = None

    examples: Vectors
    by: SimilarityName = "cosine"

    def __post_init__(self) -> None:
        check_vectors(self.examples)
        if not len(self.examples):
            raise ConfigurationError("similarity needs an example; mark one relevant moment to begin with")
        if self.by not in get_args(SimilarityName):
            raise UnknownNameError("similarity", self.by, get_args(SimilarityName))

    def score(self, vectors: Vectors) -> Scores:
        """Score vectors of any length, float32 (N,), higher = more relevant; see `Head.score`."""
        check_vectors(vectors, self.examples.shape[1])
        return by_chunks(vectors, self._width, lambda rows: self._score_chunk(unit_length(rows)))

    def score_unit(self, vectors: Vectors) -> Scores:
        """As `score`, for vectors known to be finite and of unit length or zero; they may be memory-mapped."""
        return by_chunks(vectors, self._width, self._score_chunk)

    @property
    def _width(self) -> int:
        return int(max(self.examples.shape))

    def _score_chunk(self, rows: Vectors) -> Scores:
        products = rows @ self.examples.T
        if self.by == "cosine":
            return np.asarray(products.max(axis=1))
        # The nearest is found by products, its distance from the difference: an example is at distance 0 from itself.
        halves = np.vecdot(self.examples, self.examples) / 2
        nearest = self.examples[(products - halves).argmax(axis=1)]
        return np.asarray(-np.linalg.norm(rows - nearest, axis=1))

    def to_arrays(self) -> Arrays:
        return {"examples": self.examples, "euclidean": np.array([self.by == "euclidean"], dtype=np.uint8)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(arrays["examples"], "euclidean" if arrays["euclidean"][0] else "cosine")


@dataclass(frozen=True, eq=False)
class SupportVectors:
    """Signed margin of a support vector machine with the kernel exp(-γ |x - s|²): f(x) = Σ a_i K(x, s_i) + b.

    The exponents come from one float32 matrix product, -γ |x - s|² = [u, |u|², 1] · [2γ t, -γ, -γ |t|²] with u = x - c
    and t = s - c. The centre c of the support vectors keeps the digits of what differs, which between frames of a fixed
    camera is little beside what they share. It equals scikit-learn's `SVC.decision_function` (float64) but for at most
    about 1e-7 · Σ|a_i|.

    Attributes:
        support: float32 (M, D), support vectors, of unit length or zero.
        coefficients: float64 (M,), a_i: positive for relevant ones.
        intercept: b.
        gamma: γ.
    """

    kind: ClassVar[str] = "support_vectors"
    threshold: ClassVar[float | None] = 0.0

    support: Vectors
    coefficients: NDArray[np.float64]
    intercept: float
    gamma: float

    def score(self, vectors: Vectors) -> Scores:
        """Floats of vectors of any length, float32 (N,): above 0 is relevant; see `Head.score`."""
        check_vectors(vectors, self.support.shape[1])
        return by_chunks(vectors, self._width, lambda rows: self._score_chunk(unit_length(rows)))

    def score_unit(self, vectors: Vectors) -> Scores:
        """As `score`, for vectors known to be finite and of unit length or zero; they may be memory-mapped."""
        return by_chunks(vectors, self._width, self._score_chunk)

    @property
    def _width(self) -> int:
        return int(max(self._product.shape))

    @cached_property
    def _centre(self) -> Vectors:
        return np.asarray(self.support.mean(axis=0, dtype=np.float64), dtype=np.float32)

    @cached_property
    def _product(self) -> Vectors:
        """float32 (D + 2, M): what rows [u, |u|², 1] are multiplied with."""
        off = self.support.astype(np.float64) - self._centre
        ends = np.stack([np.ones(len(off)), np.vecdot(off, off)])
        return np.ascontiguousarray(np.concatenate([2 * off.T, -ends]) * self.gamma, dtype=np.float32)

    def _score_chunk(self, rows: Vectors) -> Scores:
        extended = np.empty((len(rows), rows.shape[1] + 2), dtype=np.float32)
        off = np.subtract(rows, self._centre, out=extended[:, :-2])
        extended[:, -2] = np.vecdot(off, off)
        extended[:, -1] = 1
        kernel = extended @ self._product
        np.exp(kernel, out=kernel)
        return np.asarray(kernel @ self.coefficients + self.intercept, dtype=np.float32)

    def to_arrays(self) -> Arrays:
        return {
            "support": self.support,
            "coefficients": self.coefficients,
            "intercept": np.array([self.intercept]),
            "gamma": np.array([self.gamma]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        intercept, gamma = float(arrays["intercept"][0]), float(arrays["gamma"][0])
        return cls(arrays["support"], arrays["coefficients"], intercept, gamma)


RetrievalHead = Similarity | SupportVectors

HEADS: dict[str, type[Similarity] | type[SupportVectors]] = {
    "similarity": Similarity,
    "support_vectors": SupportVectors,
}


def retrieval_head(kind: str, arrays: Mapping[str, NDArray[Any]]) -> RetrievalHead:
    """The stored head of a kind; raises UnknownNameError where there is no such kind."""
    if kind not in HEADS:
        raise UnknownNameError("retrieval head", kind, HEADS)
    return HEADS[kind].from_arrays(arrays)


@dataclass(frozen=True)
class Sigmoid:
    """Platt's calibration: P(relevant | margin f) = 1 / (1 + exp(-(slope · f + offset))), rising with the margin.

    Platt 1999, "Probabilistic outputs for support vector machines", with A = -slope and B = -offset. It speaks of
    moments like those that were labelled: where relevant ones were sought out, it is higher than in the whole footage.

    Attributes:
        slope: above 0.
        offset: of the log odds at margin 0.
    """

    slope: float
    offset: float

    def __post_init__(self) -> None:
        if not (0 < self.slope < np.inf and np.isfinite(self.offset)):
            raise ValueError(f"a sigmoid rises: slope above 0, both finite; got {self.slope} and {self.offset}")

    @classmethod
    def fit(cls, margins: NDArray[Any], relevant: Labels) -> Self | None:
        """The sigmoid of greatest likelihood for held-out margins (N,) with answers (N,), both classes among them.

        Targets are Platt's, (N₊ + 1) / (N₊ + 2) for relevant ones and 1 / (N₋ + 2) for others, as in Lin, Lin & Weng
        2007: with them, classes that the margin parts wholly still have a finite slope. A soft target t is a logistic
        regression in which the margin stands twice: relevant with weight t, irrelevant with weight 1 - t.

        Returns:
            None where the probability would not rise with the margin.
        """
        positive = int(np.count_nonzero(relevant))
        target = np.where(relevant, (positive + 1) / (positive + 2), 1 / (len(relevant) - positive + 2))
        scale = float(np.abs(margins).max()) or 1.0
        twice = np.concatenate([margins, margins]).astype(np.float64)[:, None] / scale
        answers = np.repeat([True, False], len(margins))
        regression = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
        regression.fit(twice, answers, np.concatenate([target, 1 - target]))
        slope, offset = float(regression.coef_[0, 0]) / scale, float(regression.intercept_[0])
        return cls(slope, offset) if slope > 0 else None

    def probability(self, margins: NDArray[Any]) -> NDArray[np.float32]:
        """float32 (N,) in [0, 1] of margins (N,)."""
        odds = self.slope * margins.astype(np.float64) + self.offset
        # exp of minus the absolute value: the other sign overflows.
        small = np.exp(-np.abs(odds))
        return np.asarray(np.where(odds >= 0, 1, small) / (1 + small), dtype=np.float32)

    def to_arrays(self) -> Arrays:
        return {"sigmoid": np.array([self.slope, self.offset])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        slope, offset = (float(value) for value in arrays["sigmoid"])
        return cls(slope, offset)


@dataclass(frozen=True, eq=False)
class Fitted:
    """What labels made.

    Attributes:
        head: ranks by similarity, or separates.
        calibration: None where labels or blocks are too few, or the held-out margins do not tell the classes apart.
        margins: float64 (N,), of each label by a head that saw no label of its temporal block; nan where there is none.
        remark: what a person should know about it; empty where nothing.
    """

    head: RetrievalHead
    calibration: Sigmoid | None
    margins: Floats
    remark: str

    def probability(self, scores: NDArray[Any]) -> NDArray[np.float32] | None:
        """float32 (N,), that a vector with such a score is relevant; None without a calibration."""
        return None if self.calibration is None else self.calibration.probability(scores)


def fit_retrieval(
    settings: RetrievalSettings,
    vectors: Vectors,
    relevant: Labels,
    blocks: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
) -> Fitted:
    """Fit a head on labels: on relevant ones alone a `Similarity`, on both classes `SupportVectors`.

    The labels' order does not matter: they are put into one of their own first, for a solver that stops at a tolerance
    stops elsewhere in another order. A repeated label counts twice: give one for each temporal slice.

    Held-out margins: whole temporal blocks are dealt out to at most 5 folds such that each holds both classes; a machine
    of the head's cost and γ is fitted without each fold. Labels of a weight below 1 (spread from others, not a person's
    word) serve the head and take no part in this: they would carry answers from one block into another.

    Args:
        settings: how.
        vectors: float32 (N, D), finite.
        relevant: bool (N,).
        blocks: int64 (N,), temporal block of each; near-duplicates share one.
        weights: float64 (N,), above 0 and at most 1; None: 1 each. The cost of a label is C · weight · class weight; the
            class weight is Σ weights / (2 · Σ weights of the class), scikit-learn's `balanced` where all are 1.

    Raises:
        ConfigurationError: nothing is labelled relevant.
        ValueError: shapes, dtypes or values do not fit.
    """
    check_vectors(vectors)
    weights = np.ones(len(vectors)) if weights is None else weights
    for name, values, dtype in (("relevant", relevant, np.bool_), ("blocks", blocks, np.int64)):
        if values.shape != (len(vectors),) or values.dtype != dtype:
            raise ValueError(f"{name} is {dtype.__name__} ({len(vectors)},), got {values.dtype} {values.shape}")
    if weights.shape != (len(vectors),) or not ((weights > 0) & (weights <= 1)).all():
        raise ValueError(f"weights are ({len(vectors)},), above 0 and at most 1")
    if not relevant.any():
        raise ConfigurationError(f"none of {len(relevant)} labels is relevant; mark one relevant moment to begin with")
    none = np.full(len(vectors), np.nan)
    unit = unit_length(vectors)
    order = _own_order(unit, relevant, blocks, weights)
    unit, relevant, blocks, weights = unit[order], relevant[order], blocks[order], weights[order]
    if relevant.all():
        remark = "ranked by similarity: mark something that is not relevant to have a boundary drawn"
        return Fitted(Similarity(unit, settings.similarity), None, none, remark)
    gamma = _gamma(settings, unit)
    with one_thread_each():
        kernel = rbf_kernel(unit.astype(np.float64), gamma=gamma)
    machine = _machine(settings, kernel, relevant, weights)
    # Classes are in the order False, True: the margin is positive for relevant ones.
    coefficients, intercept = machine.dual_coef_[0].copy(), float(machine.intercept_[0])
    head = SupportVectors(unit[machine.support_], coefficients, intercept, gamma)
    own = weights == 1
    held_out, remark = _held_out(settings, kernel[np.ix_(own, own)], relevant[own], blocks[own])
    margins = none
    margins[order[own]] = held_out
    calibration, remark = _calibrate(held_out, relevant[own], remark)
    return Fitted(head, calibration, margins, remark)


def _gamma(settings: RetrievalSettings, unit: Vectors) -> float:
    if settings.gamma != "scale":
        return float(settings.gamma)
    variance = float(unit.astype(np.float64).var())
    return 1 / (unit.shape[1] * variance) if variance > 0 else 1.0


def _machine(settings: RetrievalSettings, kernel: Floats, relevant: Labels, weights: Floats) -> SVC:
    """Fitted on the kernel's values (N, N), which all folds share."""
    by_class = None
    if settings.balanced:
        by_class = {answer: weights.sum() / (2 * weights[relevant == answer].sum()) for answer in (False, True)}
    machine = SVC(C=settings.cost, kernel="precomputed", class_weight=by_class, tol=TOLERANCE)
    return machine.fit(kernel, relevant, sample_weight=weights)


def _held_out(
    settings: RetrievalSettings, kernel: Floats, relevant: Labels, blocks: NDArray[np.int64]
) -> tuple[Floats, str]:
    """Floats by machines that saw no label of the same block; nan, and why, where blocks are too few."""
    margins = np.full(len(kernel), np.nan)
    folds = _folds(relevant, blocks)
    if folds is None:
        return margins, (
            "neither checked nor calibrated: relevant and irrelevant labels are needed in two stretches of time each;"
            " label moments that lie apart"
        )
    for fold in range(int(folds.max()) + 1):
        out, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        machine = _machine(settings, kernel[np.ix_(rest, rest)], relevant[rest], np.ones(len(rest)))
        margins[out] = machine.decision_function(kernel[np.ix_(out, rest)])
    return margins, ""


def _folds(relevant: Labels, blocks: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """int64 (N,): the fold of each label; None where a class is in fewer than two blocks.

    Blocks of both classes are dealt out first; those of one class go on where they ended. So each class's blocks come to
    all folds in turn: no fold is without either, and no fold holds all of either.
    """
    names, of_label = np.unique(blocks, return_inverse=True)
    has = [np.bincount(of_label, weights=relevant == answer, minlength=len(names)) > 0 for answer in (False, True)]
    count = min(FOLDS, int(has[0].sum()), int(has[1].sum()))
    if count < 2:
        return None
    both = has[0] & has[1]
    fold = np.empty(len(names), dtype=np.int64)
    fold[both] = np.arange(both.sum()) % count
    for only in (has[0] & ~both, has[1] & ~both):
        fold[only] = (both.sum() + np.arange(only.sum())) % count
    return np.asarray(fold[of_label])


def _calibrate(margins: Floats, relevant: Labels, remark: str) -> tuple[Sigmoid | None, str]:
    """The sigmoid of held-out margins, or None and why."""
    if remark:
        return None, remark
    fewest = int(min(relevant.sum(), (~relevant).sum()))
    if fewest < LEAST_OF_CLASS:
        return None, f"not calibrated: {LEAST_OF_CLASS} labels of either class are needed, the smaller has {fewest}"
    calibration = Sigmoid.fit(margins, relevant)
    if calibration is None:
        return None, (
            "not calibrated: held out in time, relevant labels score no higher than others; label more, or check the"
            " disputed ones"
        )
    return calibration, ""


def _own_order(unit: Vectors, relevant: Labels, blocks: NDArray[np.int64], weights: Floats) -> NDArray[np.int64]:
    """The rows in an order that depends on their content alone."""
    content = [(row.tobytes(), bool(answer)) for row, answer in zip(unit, relevant, strict=True)]
    rest = list(zip(blocks.tolist(), weights.tolist(), strict=True))
    return np.array(sorted(range(len(content)), key=lambda row: (content[row], rest[row])), dtype=np.int64)
