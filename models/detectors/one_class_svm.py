"""One-class support vector machine: how far outside the region that holds the normal vectors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import OneClassSVM

from infra.errors import ConfigurationError
from models.arrays import Arrays
from models.detectors.base import Scores, Vectors
from models.detectors.crossfit import cross_scores
from models.heads.chunks import by_chunks
from models.heads.neighbours import TimeExclusion


@dataclass(frozen=True)
class OneClassSvmSettings:
    """Settings of `OneClassSvm`.

    Attributes:
        nu: ν in (0, 1]: at most this share of the fitted rows lies outside, and at least this share are support
            vectors. The threshold is set elsewhere, so ν only shapes the region. A reference is gathered to be normal,
            so hardly any of it should be given up (scikit-learn's ½ gives up half); but at ν near 0 the few rows
            farthest out draw the boundary alone, and a camera's past is never quite clean. So a tenth.
        most: reference rows fitted on at most, evenly random ones; the time of the fit grows with their square.
        seed: of that choice.
    """

    nu: float = 0.1
    most: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.nu <= 1:
            raise ConfigurationError(f"nu is above 0 and at most 1, got {self.nu}")
        if self.most < 2:
            raise ConfigurationError(f"a one-class SVM is fitted on at least 2 rows, got most = {self.most}")


@dataclass(frozen=True, eq=False)
class OneClassSvm:
    """One-class SVM of Schölkopf et al. 2001 as scikit-learn's `OneClassSVM` fits it: -decision_function.

    score(x) = ρ - Σ α_i exp(-γ |x - s_i|²), γ = 1 / (d · variance of all values): above 0 outside the region.

    Attributes:
        support: float32 (S, d), the support vectors s_i.
        coefficients: float64 (S,), α_i, above 0; they add to ν · (rows fitted on), and scores are on that scale.
        rho: float64 (1,), ρ.
        gamma: float64 (1,), γ.
        rows: int64 (2,): rows fitted on, and rows of the reference.
    """

    kind: ClassVar[str] = "one_class_svm"

    support: Vectors
    coefficients: NDArray[np.float64]
    rho: NDArray[np.float64]
    gamma: NDArray[np.float64]
    rows: NDArray[np.int64]

    @classmethod
    def fit(cls, settings: OneClassSvmSettings, vectors: Vectors, exclusion: TimeExclusion) -> tuple[Self, Scores]:
        """Fit on float32 (M, d); the normal scores are cross-fitted, see `cross_scores`."""
        whole = cls._of(settings, vectors)
        scores = cross_scores(vectors, exclusion, lambda rows: cls._of(settings, rows)._on_scale_of(whole))
        return whole, scores

    @classmethod
    def _of(cls, settings: OneClassSvmSettings, vectors: Vectors) -> Self:
        chosen = vectors
        if len(vectors) > settings.most:
            drawn = np.random.default_rng(settings.seed).choice(len(vectors), settings.most, replace=False)
            chosen = vectors[np.sort(drawn)]
        machine = OneClassSVM(nu=settings.nu, gamma="scale").fit(chosen.astype(np.float64))
        return cls(
            support=chosen[machine.support_],
            coefficients=np.ascontiguousarray(machine.dual_coef_[0]),
            rho=-machine.intercept_,
            gamma=np.array([machine._gamma]),
            rows=np.array([len(chosen), len(vectors)], dtype=np.int64),
        )

    def _on_scale_of(self, other: Self) -> Self:
        """This machine with its scores on another's scale: that follows the number of rows fitted on."""
        ratio = other.coefficients.sum() / self.coefficients.sum()
        return type(self)(self.support, self.coefficients * ratio, self.rho * ratio, self.gamma, self.rows)

    @property
    def remark(self) -> str:
        used, known = (int(count) for count in self.rows)
        return "" if used == known else f"fitted on {used} of {known} reference snippets, evenly random"

    def score(self, vectors: Vectors) -> Scores:
        """ρ - Σ α K of new vectors; see `Detector.score`."""
        # Away from the origin, the product would lose the digits that distances are made of.
        centre = self.support.mean(axis=0, dtype=np.float64)
        support = self.support - centre
        squares = np.einsum("sd,sd->s", support, support)

        def score_chunk(rows: Vectors) -> Scores:
            asked = rows - centre
            own = np.einsum("nd,nd->n", asked, asked)[:, None]
            distances = np.maximum(own + squares - 2 * (asked @ support.T), 0.0)
            return np.asarray(self.rho - np.exp(-self.gamma * distances) @ self.coefficients, dtype=np.float32)

        return by_chunks(vectors, 2 * max(self.support.shape), score_chunk)

    def to_arrays(self) -> Arrays:
        return {
            "support": self.support,
            "coefficients": self.coefficients,
            "rho": self.rho,
            "gamma": self.gamma,
            "rows": self.rows,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(arrays["support"], arrays["coefficients"], arrays["rho"], arrays["gamma"], arrays["rows"])
