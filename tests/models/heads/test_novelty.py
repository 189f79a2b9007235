"""Novelty heads: the chain of scaling, projection and detector, its storage, and why a vector scores as it does."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save
from scipy.spatial.distance import cdist
from sklearn import neighbors
from sklearn.decomposition import PCA

from infra.errors import ConfigurationError, UnknownNameError
from models.detectors.build import SETTINGS, DetectorSettings, detector_settings
from models.detectors.isolation_forest import IsolationForestSettings
from models.detectors.local_outlier_factor import LocalOutlierFactorSettings
from models.detectors.magnitude import MagnitudeSettings
from models.detectors.nearest_neighbours import NearestNeighboursSettings
from models.heads.base import Head
from models.heads.neighbours import TimeExclusion
from models.heads.novelty import NoveltyHead, NoveltySettings, fit_and_score, head_from_arrays
from models.layout import Layout
from models.projections.linear import ProjectionName, ProjectionSettings, fit_projection
from models.projections.scaling import ScalingName

SECOND = 1_000_000
LAYOUT = Layout(3, 4, (("direction", 2), ("speed", 1)))
LOF = LocalOutlierFactorSettings()
FEW = NearestNeighboursSettings(5)
EVERYWHERE = sorted(set(SETTINGS) - {"cells"})


def gaussian(rows: int, dimension: int = 8, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, dimension), dtype=np.float32)


def quick(name: str, neighbours: int = 20) -> DetectorSettings:
    """Settings of a detector; a forest of few trees."""
    settings = detector_settings(name, neighbours)
    return replace(settings, trees=10) if isinstance(settings, IsolationForestSettings) else settings


def fitted(settings: NoveltySettings, reference: NDArray[np.float32], layout: Layout | None = None) -> NoveltyHead:
    return fit_and_score(settings, reference, layout=layout)[0]


def stirred(at: int, part: int, by: float = 30.0) -> NDArray[np.float32]:
    """A vector like the others, but for one value of one cell."""
    vector: NDArray[np.float32] = gaussian(1, LAYOUT.dimension, seed=9)[0]
    vector[at * LAYOUT.values + part] += by
    return vector


def test_lof_after_standardising_is_scikit_learns_on_scaled_vectors() -> None:
    reference, new = gaussian(200) * np.array([1, 5, 100, 0, 1, 1, 1, 1], dtype=np.float32), gaussian(40, seed=1)
    deviations = reference.std(axis=0, dtype=np.float64)
    scale = np.sqrt(deviations**2 + 0.01 * np.mean(deviations**2))
    center = reference.mean(axis=0, dtype=np.float64)
    theirs = neighbors.LocalOutlierFactor(novelty=True).fit((reference - center) / scale)
    expected = -theirs.score_samples((new - center) / scale)
    np.testing.assert_allclose(fitted(NoveltySettings(LOF, "standardise"), reference).score(new), expected, 1e-4)


def test_lof_on_principal_components_is_scikit_learns() -> None:
    reference, new = gaussian(300, 20), gaussian(40, 20, seed=1)
    chain = PCA(6, whiten=True, svd_solver="full").fit(reference.astype(np.float64))
    theirs = neighbors.LocalOutlierFactor(novelty=True).fit(chain.transform(reference.astype(np.float64)))
    expected = -theirs.score_samples(chain.transform(new.astype(np.float64)))
    head = fitted(NoveltySettings(LOF, "none", ProjectionSettings("pca", 6)), reference)
    np.testing.assert_allclose(head.score(new), expected, rtol=1e-4)


def test_l2_scores_do_not_depend_on_length_and_take_zero_vectors() -> None:
    head = fitted(NoveltySettings(FEW, "l2"), gaussian(100))
    new = gaussian(10, seed=1)
    np.testing.assert_allclose(head.score(new), head.score(new * np.float32(7)), rtol=1e-4)
    assert np.isfinite(head.score(np.zeros((1, 8), np.float32))).all()


def test_a_value_that_never_moved_does_not_drown_the_others() -> None:
    reference = gaussian(200) * np.array([1, 1, 1, 1, 1, 1, 1, 1e-6], dtype=np.float32)
    moved = reference[:1] + np.array([0, 0, 0, 0, 0, 0, 0, 1], dtype=np.float32)
    head = fitted(NoveltySettings(FEW, "standardise"), reference)
    assert head.score(reference[:1])[0] < head.score(moved)[0] < 20


@pytest.mark.parametrize("projection", ["none", "pca", "gaussian", "sparse"])
@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_head_comes_back_from_a_file_with_the_same_scores_and_reasons(name: str, projection: ProjectionName) -> None:
    reference, new = gaussian(60, LAYOUT.dimension), gaussian(20, LAYOUT.dimension, seed=1)
    settings = NoveltySettings(quick(name, 10), "standardise", ProjectionSettings(projection, 6))
    head = fitted(settings, reference, LAYOUT)
    assert isinstance(head, Head)
    again = head_from_arrays(load(save(head.to_arrays())))
    np.testing.assert_array_equal(again.score(new), head.score(new))
    assert again.score(new[:0]).shape == (0,)
    assert (again.remark, again.layout) == (head.remark, LAYOUT)
    one, other = head.explain(new[0]), again.explain(new[0])
    assert one.parts == other.parts and one.place == other.place
    np.testing.assert_array_equal(one.nearest, other.nearest)
    np.testing.assert_array_equal(one.cells, other.cells)


def test_what_is_kept_twice_is_stored_once() -> None:
    plain = fitted(NoveltySettings(FEW), gaussian(60)).to_arrays()
    assert [name for name in plain if name.endswith("reference")] == ["detector.reference"]
    projected = fitted(NoveltySettings(FEW, projection=ProjectionSettings("pca", 3)), gaussian(60)).to_arrays()
    assert sorted(name for name in projected if name.endswith("reference")) == ["detector.reference", "reference"]


def test_normal_scores_see_of_the_reference_what_the_exclusion_leaves() -> None:
    vectors = gaussian(300)
    vectors[100:120] = gaussian(20, seed=2) + 6
    from_us = np.arange(300, dtype=np.int64) * SECOND
    exclusion = TimeExclusion(from_us, from_us + SECOND, 30 * SECOND)
    _, apart = fit_and_score(NoveltySettings(FEW), vectors, exclusion)
    _, together = fit_and_score(NoveltySettings(FEW), vectors)
    assert apart[100:120].min() > np.delete(apart, np.s_[100:120]).max()
    assert together[100:120].max() < apart[100:120].min()


def test_the_remark_of_the_detector_is_the_heads() -> None:
    assert "from 20 to 7" in fitted(NoveltySettings(LOF), gaussian(8)).remark
    assert fitted(NoveltySettings(FEW), gaussian(8)).remark == ""


def test_a_trained_projection_takes_the_place_of_another() -> None:
    reference, new = gaussian(60), gaussian(9, seed=1)
    given = fit_projection(ProjectionSettings("gaussian", 3, seed=5), reference)
    head, _ = fit_and_score(NoveltySettings(FEW, "none"), reference, projection=given)
    expected = fitted(NoveltySettings(FEW, "none", ProjectionSettings("gaussian", 3, seed=5)), reference).score(new)
    np.testing.assert_array_equal(head.score(new), expected)
    with pytest.raises(ConfigurationError, match='ask for "pca"'):
        fit_and_score(NoveltySettings(FEW, projection=ProjectionSettings("pca")), reference, projection=given)


def test_what_does_not_fit_is_refused() -> None:
    head = fitted(NoveltySettings(FEW), gaussian(10))
    wrongs: tuple[NDArray[Any], ...] = (
        gaussian(2).astype(np.float64),
        gaussian(2, 9),
        np.full((2, 8), np.nan, np.float32),
    )
    for wrong in wrongs:
        with pytest.raises(ValueError):
            head.score(wrong)
        with pytest.raises(ValueError):
            head.nearest(wrong, 3)
    with pytest.raises(ValueError, match="a layout of D = 36"):
        fit_and_score(NoveltySettings(FEW), gaussian(10), layout=LAYOUT)
    with pytest.raises(UnknownNameError, match="standardise"):
        NoveltySettings(FEW, "whiten")  # type: ignore[arg-type]
    for rows in (0, 1):
        with pytest.raises(ConfigurationError, match="too few"):
            fit_and_score(NoveltySettings(FEW), gaussian(rows))


@pytest.mark.parametrize("scaling", ["none", "l2"])
def test_the_nearest_are_those_of_the_space_that_is_scored(scaling: ScalingName) -> None:
    reference, new = gaussian(50), gaussian(5, seed=1)
    head = fitted(NoveltySettings(LOF, scaling, ProjectionSettings("gaussian", 4)), reference)
    placed, asked = (head.projection.apply(head.scaling.apply(vectors)) for vectors in (reference, new))
    every = cdist(asked.astype(np.float64), placed.astype(np.float64))
    indices, distances = head.nearest(new, 3)
    np.testing.assert_array_equal(indices, np.argsort(every, axis=1)[:, :3])
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :3], rtol=1e-6)
    assert head.nearest(new, 99)[0].shape == (5, 50)


def test_a_row_is_not_its_own_reason_where_its_surroundings_are_excluded() -> None:
    reference = gaussian(40)
    head = fitted(NoveltySettings(FEW), reference)
    hidden = np.arange(40) < 12
    assert head.nearest(reference[5:6], 1)[0] == 5
    indices, distances = head.nearest(reference[5:6], 3, hidden)
    assert (indices >= 12).all() and (np.diff(distances) >= 0).all() and distances.min() > 0
    np.testing.assert_array_equal(head.explain(reference[5], 3, hidden).nearest, indices[0])
    with pytest.raises(ConfigurationError, match="every normal snippet is excluded"):
        head.nearest(reference[:1], 1, np.ones(40, dtype=np.bool_))


@pytest.mark.parametrize("projection", ["none", "pca", "gaussian"])
@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_stirred_cell_is_the_reason(name: str, projection: ProjectionName) -> None:
    settings = NoveltySettings(quick(name), "none", ProjectionSettings(projection, 12))
    head = fitted(settings, gaussian(300, LAYOUT.dimension), LAYOUT)
    told = head.explain(stirred(at=6, part=2))  # second row, third column, "speed"
    assert told.cells is not None and told.place is not None
    assert list(told.parts) == ["direction", "speed"]
    assert sum(told.parts.values()) == pytest.approx(1) and told.cells.sum() == pytest.approx(1, abs=1e-5)
    assert told.parts["speed"] > 0.8
    assert told.cells.shape == (3, 4) and told.cells.argmax() == 6
    assert told.place == pytest.approx((2 / 4, 1 / 3, 1 / 4, 1 / 3))
    assert len(told.nearest) == 5


def test_reasons_are_the_squares_of_the_difference_from_the_nearest_normals() -> None:
    reference, new = gaussian(60, LAYOUT.dimension), gaussian(1, LAYOUT.dimension, seed=1)[0]
    told = fitted(NoveltySettings(FEW, "none"), reference, LAYOUT).explain(new, k=4)
    nearest = np.argsort(np.linalg.norm(reference - new, axis=1))[:4]
    squares = (new - reference[nearest].mean(axis=0)).reshape(3, 4, 3) ** 2
    np.testing.assert_array_equal(told.nearest, nearest)
    assert told.cells is not None
    np.testing.assert_allclose(told.cells, squares.sum(axis=2) / squares.sum(), rtol=1e-4)
    assert told.parts["speed"] == pytest.approx(squares[..., 2].sum() / squares.sum(), rel=1e-4)


def test_reasons_of_a_magnitude_are_the_squares_themselves() -> None:
    new = gaussian(1, LAYOUT.dimension, seed=1)[0]
    told = fitted(NoveltySettings(MagnitudeSettings(), "none"), gaussian(60, LAYOUT.dimension), LAYOUT).explain(new)
    squares = new.reshape(3, 4, 3) ** 2
    assert told.cells is not None
    np.testing.assert_allclose(told.cells, squares.sum(axis=2) / squares.sum(), rtol=1e-4)


def test_cells_that_touch_are_one_place_and_others_are_not() -> None:
    vector = np.zeros(LAYOUT.dimension, dtype=np.float32)
    grid = vector.reshape(3, 4, 3)
    grid[1, 0], grid[2, 1], grid[0, 3] = 10, 9, 9.5  # the first two touch at a corner
    told = fitted(NoveltySettings(MagnitudeSettings(), "none"), gaussian(20, LAYOUT.dimension), LAYOUT).explain(vector)
    assert told.place == pytest.approx((0, 1 / 3, 2 / 4, 2 / 3))


def test_without_a_layout_the_nearest_are_the_only_reason() -> None:
    told = fitted(NoveltySettings(FEW), gaussian(30)).explain(gaussian(1, seed=1)[0])
    assert (told.parts, told.cells, told.place) == ({}, None, None)
    assert len(told.nearest) == len(told.distances) == 5


def test_no_difference_has_no_place() -> None:
    still = np.ones((20, LAYOUT.dimension), dtype=np.float32)
    told = fitted(NoveltySettings(FEW), still, LAYOUT).explain(still[0])
    assert told.place is None and set(told.parts.values()) == {0.0}
    assert told.cells is not None and not told.cells.any()
