"""Scaling and linear projections beside scikit-learn's, and stored ones."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

from infra.errors import ConfigurationError, UnknownNameError
from models.projections.base import Projection
from models.projections.build import projection_arrays, projection_from_arrays
from models.projections.linear import ProjectionName, ProjectionSettings, fit_projection
from models.projections.scaling import Scaling, ScalingName

PROJECTED: list[ProjectionName] = ["pca", "gaussian", "sparse"]


def vectors(rows: int, dimension: int = 24, seed: int = 0, offset: float = 0.0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    spread = np.linspace(3, 0.2, dimension)
    return (random.standard_normal((rows, dimension)) * spread + offset).astype(np.float32)


@pytest.mark.parametrize("rows", [10, 200])
def test_pca_is_scikit_learns_whitened(rows: int) -> None:
    reference, new = vectors(rows, offset=5), vectors(40, seed=1, offset=5)
    theirs = PCA(6, whiten=True, svd_solver="full").fit(reference.astype(np.float64))
    ours = fit_projection(ProjectionSettings("pca", 6), reference).apply(new)
    np.testing.assert_allclose(ours, theirs.transform(new.astype(np.float64)), rtol=1e-4, atol=1e-5)


def test_pca_makes_the_reference_white() -> None:
    reference = vectors(500)
    placed = fit_projection(ProjectionSettings("pca", 8), reference).apply(reference)
    np.testing.assert_allclose(np.cov(placed.T), np.eye(8), atol=1e-4)


@pytest.mark.parametrize("seed", [0, 1])
def test_random_projections_are_scikit_learns(seed: int) -> None:
    new = vectors(40)
    for name, theirs in (
        ("gaussian", GaussianRandomProjection(8, random_state=seed)),
        ("sparse", SparseRandomProjection(8, random_state=seed)),
    ):
        ours = fit_projection(ProjectionSettings(name, 8, seed), vectors(5)).apply(new)  # type: ignore[arg-type]
        np.testing.assert_allclose(ours, theirs.fit(vectors(5)).transform(new), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["gaussian", "sparse"])
def test_random_projections_keep_distances_about(name: ProjectionName) -> None:
    new = vectors(60, 300)
    placed = fit_projection(ProjectionSettings(name, 150), new).apply(new)
    ratio = np.linalg.norm(placed[1:] - placed[:-1], axis=1) / np.linalg.norm(new[1:] - new[:-1], axis=1)
    assert ratio.min() > 0.7 and ratio.max() < 1.3


def test_seeds_make_other_random_projections() -> None:
    new = vectors(10)
    one, again, other = (fit_projection(ProjectionSettings("gaussian", 4, seed), new).apply(new) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


def test_dimension_is_reduced_to_what_there_is() -> None:
    new = vectors(50)
    assert fit_projection(ProjectionSettings("gaussian", 999), new).apply(new).shape == (50, 24)
    assert fit_projection(ProjectionSettings("pca", 999), vectors(7)).apply(new).shape == (50, 6)


@pytest.mark.parametrize("rows", [60, 3])
def test_pca_leaves_out_directions_along_which_the_reference_lies_still(rows: int) -> None:
    reference = vectors(rows, 10)
    reference[:, 5:] = reference[:, :5]
    projection = fit_projection(ProjectionSettings("pca"), reference)
    new = vectors(20, 10, seed=1)
    assert projection.apply(new).shape == (20, min(5, rows - 1))
    assert np.abs(projection.apply(new)).max() < 100
    still = fit_projection(ProjectionSettings("pca"), np.ones((5, 4), dtype=np.float32))
    assert np.isfinite(still.apply(new[:, :4])).all()


@pytest.mark.parametrize("name", ["none", *PROJECTED])
def test_a_projection_comes_back_from_its_arrays(name: ProjectionName) -> None:
    new = vectors(9000)
    projection = fit_projection(ProjectionSettings(name, 5), new)
    assert isinstance(projection, Projection)
    arrays = projection_arrays(projection)
    assert all(array.ndim >= 1 for array in arrays.values())
    again = projection_from_arrays({key: array.copy() for key, array in arrays.items()})
    np.testing.assert_array_equal(again.apply(new), projection.apply(new))
    assert again.apply(new).dtype == np.float32
    assert again.apply(new[:0]).shape == (0, 24 if name == "none" else 5)


def test_none_changes_nothing() -> None:
    new = vectors(4)
    assert fit_projection(ProjectionSettings(), new).apply(new) is new
    np.testing.assert_array_equal(Scaling.fit("none", new).apply(new), new)


def test_standardising_is_to_mean_0_and_about_deviation_1_with_a_floor() -> None:
    reference = vectors(300, 8) * np.array([1, 5, 100, 0, 1, 1, 1, 1], dtype=np.float32)
    scaled = Scaling.fit("standardise", reference).apply(reference)
    deviations = reference.std(axis=0, dtype=np.float64)
    expected = deviations / np.sqrt(deviations**2 + 0.01 * np.mean(deviations**2))
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["none", "l2", "standardise"])
def test_a_scaling_comes_back_from_its_arrays(name: ScalingName) -> None:
    new = vectors(30)
    scaling = Scaling.fit(name, new)
    np.testing.assert_array_equal(Scaling.from_arrays(scaling.to_arrays()).apply(new), scaling.apply(new))
    if name == "l2":
        np.testing.assert_allclose(np.linalg.norm(scaling.apply(new), axis=1), 1, rtol=1e-6)
        np.testing.assert_array_equal(scaling.apply(np.zeros((1, 24), np.float32)), 0)


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda: ProjectionSettings("pcb"), UnknownNameError, 'did you mean "pca"'),  # type: ignore[arg-type]
        (lambda: ProjectionSettings("pca", 0), ConfigurationError, "at least 1, got 0"),
        (lambda: Scaling.fit("whiten", vectors(3)), UnknownNameError, "standardise"),  # type: ignore[arg-type]
    ],
)
def test_what_is_not_known_is_refused(make: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        make()


def test_an_unknown_kind_is_neither_written_nor_read() -> None:
    class Strange:
        kind = "strange"

        def apply(self, new: NDArray[np.float32]) -> NDArray[np.float32]:
            return new

        def to_arrays(self) -> dict[str, NDArray[Any]]:
            return {}

        @classmethod
        def from_arrays(cls, _arrays: Any) -> "Strange":
            return cls()

    with pytest.raises(UnknownNameError, match="strange"):
        projection_arrays(Strange())  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="strange"):
        projection_from_arrays({"kind": np.frombuffer(b"strange", np.uint8)})
