"""Isolation Forest: how few random cuts set a vector apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn import ensemble

from infra.errors import ConfigurationError
from models.arrays import Arrays
from models.detectors.base import Scores, Vectors
from models.detectors.crossfit import cross_scores
from models.heads.chunks import by_chunks
from models.heads.neighbours import TimeExclusion


@dataclass(frozen=True)
class IsolationForestSettings:
    """Settings of `IsolationForest`.

    Attributes:
        trees: at least 1; the score is their mean, and its chance part shrinks with the root of their number.
        seed: of the rows and cuts of the trees.
    """

    trees: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trees < 1:
            raise ConfigurationError(f"a forest has at least 1 tree, got {self.trees}")


@dataclass(frozen=True, eq=False)
class IsolationForest:
    """Isolation Forest of Liu, Ting & Zhou 2008 as scikit-learn's `IsolationForest` fits it: -score_samples.

    score(x) = 2^(-E[h(x)] / c(ψ)), where h is the depth of the leaf that x falls into plus c(rows of that leaf), and
    c(n) = 2 (ln(n - 1) + γ) - 2 (n - 1) / n the mean depth of a search that fails; ψ = 256 rows at most make a tree.
    In (0, 1), above ½ where x is set apart sooner than rows of the tree are on average.

    Attributes:
        roots: int64 (T,), number of each tree's first node among all nodes.
        children: int64 (nodes, 2), left and right; a leaf is its own child.
        features: int64 (nodes,), which value is asked.
        thresholds: float64 (nodes,), up to which the way is left.
        lengths: float64 (nodes,), h at a leaf; 0 elsewhere.
        normal_length: float64 (1,), c(ψ).
    """

    kind: ClassVar[str] = "isolation_forest"
    remark: ClassVar[str] = ""

    roots: NDArray[np.int64]
    children: NDArray[np.int64]
    features: NDArray[np.int64]
    thresholds: NDArray[np.float64]
    lengths: NDArray[np.float64]
    normal_length: NDArray[np.float64]

    @classmethod
    def fit(cls, settings: IsolationForestSettings, vectors: Vectors, exclusion: TimeExclusion) -> tuple[Self, Scores]:
        """Fit on float32 (M, d); the normal scores are cross-fitted, see `cross_scores`."""
        scores = cross_scores(vectors, exclusion, lambda rows: cls._grown(settings, rows))
        return cls._grown(settings, vectors), scores

    @classmethod
    def _grown(cls, settings: IsolationForestSettings, vectors: Vectors) -> Self:
        forest = ensemble.IsolationForest(n_estimators=settings.trees, random_state=settings.seed).fit(vectors)
        trees = [estimator.tree_ for estimator in forest.estimators_]
        roots = np.cumsum([0, *(tree.node_count for tree in trees)])[:-1]
        children, lengths = zip(*(_shape(tree) for tree in trees), strict=True)
        return cls(
            roots=roots.astype(np.int64),
            children=np.concatenate([first + own for first, own in zip(roots, children, strict=True)]),
            features=np.concatenate([np.maximum(tree.feature, 0) for tree in trees]).astype(np.int64),
            thresholds=np.concatenate([tree.threshold for tree in trees]),
            lengths=np.concatenate(lengths),
            normal_length=_mean_depth(np.array([forest.max_samples_])),
        )

    def score(self, vectors: Vectors) -> Scores:
        """2^(-E[h] / c(ψ)) of new vectors; see `Detector.score`."""
        return by_chunks(vectors, 4 * len(self.roots), self._score_chunk)

    def _score_chunk(self, rows: Vectors) -> Scores:
        at = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        number = np.arange(len(rows))[:, None]
        for _ in range(self._depth):
            right = rows[number, self.features[at]] > self.thresholds[at]
            at = self.children[at, right.astype(np.int64)]
        # A tree of one row has c = 0; scikit-learn calls its score 1.
        ratio = self.lengths[at].mean(axis=1) / self.normal_length if self.normal_length[0] > 0 else np.zeros(len(rows))
        return np.asarray(np.exp2(-ratio), dtype=np.float32)

    @cached_property
    def _depth(self) -> int:
        """Steps after which every way has come to a leaf."""
        depth, level = 0, self.roots
        while len(inner := level[self.children[level, 0] != level]):
            depth, level = depth + 1, self.children[inner].ravel()
        return depth

    def to_arrays(self) -> Arrays:
        return {
            "roots": self.roots,
            "children": self.children,
            "features": self.features,
            "thresholds": self.thresholds,
            "lengths": self.lengths,
            "normal_length": self.normal_length,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(
            arrays["roots"],
            arrays["children"],
            arrays["features"],
            arrays["thresholds"],
            arrays["lengths"],
            arrays["normal_length"],
        )


def _shape(tree: Any) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Children (nodes, 2), a leaf being its own, and h at the leaves (nodes,), of one of scikit-learn's trees."""
    children = np.stack([tree.children_left, tree.children_right], axis=1).astype(np.int64)
    leaves = children[:, 0] < 0
    children[leaves] = np.flatnonzero(leaves)[:, None]
    depths = np.zeros(tree.node_count)
    for node in np.flatnonzero(~leaves):  # a node comes before its children
        depths[children[node]] = depths[node] + 1
    return children, np.where(leaves, depths + _mean_depth(tree.n_node_samples), 0.0)


def _mean_depth(rows: NDArray[Any]) -> NDArray[np.float64]:
    """c(n): mean depth of an unsuccessful search in a binary tree of n rows; 0 for one, 1 for two."""
    many = np.maximum(rows, 3).astype(np.float64)
    told = 2 * (np.log(many - 1) + np.euler_gamma) - 2 * (many - 1) / many
    return np.select([rows <= 1, rows == 2], [0.0, 1.0], told)
