"""Every detector beside scikit-learn's, and what they have in common."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn import ensemble, neighbors, svm

from infra.errors import ConfigurationError, UnknownNameError
from models.detectors.base import Detector
from models.detectors.build import (
    DETECTORS,
    SETTINGS,
    detector_arrays,
    detector_from_arrays,
    detector_settings,
    fit_and_score,
)
from models.detectors.isolation_forest import IsolationForestSettings
from models.detectors.local_outlier_factor import LocalOutlierFactorSettings
from models.detectors.magnitude import MagnitudeSettings
from models.detectors.nearest_neighbours import NearestNeighboursSettings
from models.detectors.one_class_svm import OneClassSvm, OneClassSvmSettings
from models.heads import neighbours
from models.heads.neighbours import TimeExclusion

SECOND = 1_000_000
FITTED_ANYWHERE = ["lof", "knn", "isolation_forest", "one_class_svm", "magnitude"]
CROSS_FITTED = ["isolation_forest", "one_class_svm"]


def gaussian(rows: int, dimension: int = 8, seed: int = 0, offset: float = 0.0) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal((rows, dimension)) + offset).astype(np.float32)


def evenly(rows: int, exclusion_s: float) -> TimeExclusion:
    from_us = np.arange(rows, dtype=np.int64) * SECOND
    return TimeExclusion(from_us, from_us + 2 * SECOND, round(exclusion_s * SECOND))


def brute_lof_against_self(vectors: NDArray[Any], exclusion: TimeExclusion, k: int) -> NDArray[Any]:
    """LOF by its definition, one row at a time."""
    rows = range(len(vectors))
    distances = cdist(vectors.astype(np.float64), vectors.astype(np.float64))
    hidden = exclusion.mask(slice(0, len(vectors)))
    near = [sorted(np.flatnonzero(~hidden[i]), key=lambda j: (distances[i, j], j))[:k] for i in rows]
    reach = [distances[i, near[i][-1]] for i in rows]
    density = [1 / (np.mean([max(reach[j], distances[i, j]) for j in near[i]]) + 1e-10) for i in rows]
    return np.array([np.mean([density[j] for j in near[i]]) / density[i] for i in rows])


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("k", [1, 5, 20])
def test_lof_is_scikit_learns(k: int, offset: float, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if large:
        monkeypatch.setattr(neighbours, "LARGE_PAIRS", 0)
    reference, new = gaussian(300, offset=offset), gaussian(80, seed=1, offset=offset) * 1.1
    theirs = neighbors.LocalOutlierFactor(n_neighbors=k, novelty=True).fit(reference.astype(np.float64))
    detector, normal = fit_and_score(LocalOutlierFactorSettings(k), reference)
    np.testing.assert_allclose(detector.score(new), -theirs.score_samples(new.astype(np.float64)), rtol=1e-5)
    np.testing.assert_allclose(normal, -theirs.negative_outlier_factor_, rtol=1e-5)


def test_repeated_vectors_score_as_scikit_learn_with_exact_distances() -> None:
    points = np.repeat(gaussian(12, 2), 8, axis=0)
    theirs = neighbors.LocalOutlierFactor(n_neighbors=5, algorithm="kd_tree", novelty=True).fit(points.astype(float))
    new = np.concatenate([points[::8], gaussian(5, 2, seed=3)])
    detector, _ = fit_and_score(LocalOutlierFactorSettings(5), points)
    np.testing.assert_allclose(detector.score(new), -theirs.score_samples(new.astype(float)), rtol=1e-5)


@pytest.mark.parametrize("exclusion_s", [0, 3, 10])
def test_lof_of_a_day_against_itself_follows_the_definition(exclusion_s: int) -> None:
    vectors = np.cumsum(gaussian(60, 4), axis=0).astype(np.float32)
    exclusion = evenly(60, exclusion_s)
    _, scores = fit_and_score(LocalOutlierFactorSettings(5), vectors, exclusion)
    np.testing.assert_allclose(scores, brute_lof_against_self(vectors, exclusion, 5), rtol=1e-5)


def test_nearest_neighbours_is_the_mean_of_the_k_smallest_distances() -> None:
    reference, new = gaussian(100), gaussian(30, seed=1)
    theirs = neighbors.NearestNeighbors(n_neighbors=7).fit(reference).kneighbors(new)[0].mean(axis=1)
    np.testing.assert_allclose(fit_and_score(NearestNeighboursSettings(7), reference)[0].score(new), theirs, rtol=1e-5)


@pytest.mark.parametrize("rows", [2, 3, 60, 700])
@pytest.mark.parametrize("trees", [1, 30])
def test_an_isolation_forest_is_scikit_learns(rows: int, trees: int) -> None:
    reference, new = gaussian(rows), gaussian(90, seed=1) * 2
    theirs = ensemble.IsolationForest(n_estimators=trees, random_state=3).fit(reference)
    detector, _ = fit_and_score(IsolationForestSettings(trees, seed=3), reference)
    both = np.concatenate([reference, new])
    np.testing.assert_allclose(detector.score(both), -theirs.score_samples(both), rtol=0, atol=1e-6)


def test_an_isolation_forest_of_equal_vectors_is_scikit_learns() -> None:
    reference = np.ones((40, 3), dtype=np.float32)
    theirs = ensemble.IsolationForest(random_state=0).fit(reference)
    detector, normal = fit_and_score(IsolationForestSettings(), reference)
    np.testing.assert_allclose(detector.score(reference), -theirs.score_samples(reference), rtol=0, atol=1e-6)
    assert np.isfinite(normal).all()


@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("nu", [0.02, 0.1, 0.5])
def test_a_one_class_svm_is_scikit_learns(nu: float, offset: float) -> None:
    reference, new = gaussian(400, offset=offset), gaussian(90, seed=1, offset=offset) * 1.3
    theirs = svm.OneClassSVM(nu=nu, gamma="scale").fit(reference.astype(np.float64))
    detector, _ = fit_and_score(OneClassSvmSettings(nu), reference)
    expected = -theirs.decision_function(new.astype(np.float64))
    np.testing.assert_allclose(detector.score(new), expected, rtol=1e-6, atol=1e-6)


def test_a_one_class_svm_takes_at_most_so_many_rows_and_says_so() -> None:
    reference, new = gaussian(500), gaussian(200, seed=1) * 2
    detector, _ = fit_and_score(OneClassSvmSettings(most=120, seed=4), reference)
    assert isinstance(detector, OneClassSvm)
    assert detector.remark == "fitted on 120 of 500 reference snippets, evenly random"
    assert detector_from_arrays(detector_arrays(detector)).remark == detector.remark
    assert len(detector.support) < 120
    other, _ = fit_and_score(OneClassSvmSettings(most=120, seed=5), reference)
    assert not np.array_equal(other.score(new), detector.score(new))
    whole, _ = fit_and_score(OneClassSvmSettings(), reference)
    assert whole.remark == ""
    assert np.corrcoef(detector.score(new), whole.score(new))[0, 1] > 0.95


def test_magnitude_is_the_length() -> None:
    reference, new = gaussian(10), gaussian(30, seed=1)
    detector, normal = fit_and_score(MagnitudeSettings(), reference)
    np.testing.assert_allclose(detector.score(new), np.linalg.norm(new, axis=1), rtol=1e-6)
    np.testing.assert_array_equal(normal, detector.score(reference))


@pytest.mark.parametrize("name", CROSS_FITTED)
def test_normal_scores_are_as_high_as_those_of_later_footage(name: str) -> None:
    """Machines fitted on fewer rows score on another scale: a threshold from their scores would be another."""
    reference, later = gaussian(600, 24), gaussian(600, 24, seed=1)
    detector, normal = fit_and_score(detector_settings(name), reference)
    told = detector.score(later)
    assert abs(np.median(normal) - np.median(told)) < 0.3 * normal.std()
    assert normal.std() == pytest.approx(told.std(), rel=0.1)


@pytest.mark.parametrize("name", ["lof", "knn", *CROSS_FITTED])
def test_a_slow_event_stands_out_only_if_it_is_not_its_own_normal(name: str) -> None:
    vectors, event = gaussian(400), np.arange(200, 230)
    vectors[event] = gaussian(30, seed=2) + 6
    rest = np.setdiff1d(np.arange(400), event)
    _, apart = fit_and_score(detector_settings(name), vectors, evenly(400, 40))
    _, together = fit_and_score(detector_settings(name), vectors, evenly(400, 0))
    assert apart[event].min() > apart[rest].max()
    assert together[event].min() <= apart[event].min()


@pytest.mark.parametrize("name", FITTED_ANYWHERE)
def test_a_detector_comes_back_from_its_arrays_with_the_same_scores(name: str) -> None:
    reference, new = gaussian(80), gaussian(20, seed=1)
    detector, _ = fit_and_score(detector_settings(name, neighbours=10), reference)
    assert isinstance(detector, Detector)
    arrays = detector_arrays(detector)
    assert all(array.ndim >= 1 and array.dtype != object for array in arrays.values())
    again = detector_from_arrays({key: array.copy() for key, array in arrays.items()})
    assert type(again) is DETECTORS[name]
    np.testing.assert_array_equal(again.score(new), detector.score(new))
    assert again.score(np.empty((0, 8), np.float32)).shape == (0,)
    assert again.score(new).dtype == np.float32


@pytest.mark.parametrize("name", ["lof", "knn", *CROSS_FITTED])
def test_a_frozen_stretch_gives_finite_scores_and_an_outlier_stays_on_top(name: str) -> None:
    reference = np.concatenate([gaussian(100), np.repeat(gaussian(1, seed=5), 60, axis=0)])
    detector, normal = fit_and_score(detector_settings(name), reference)
    frozen, outlier = detector.score(np.concatenate([reference[-1:], np.full((1, 8), 50, np.float32)]))
    assert np.isfinite(normal).all() and np.isfinite(outlier)
    assert outlier > frozen


@pytest.mark.parametrize("name", ["lof", "knn"])
def test_scores_do_not_depend_on_the_order_of_rows(name: str) -> None:
    vectors, order = gaussian(90), np.random.default_rng(3).permutation(90)
    exclusion = evenly(90, 5)
    shuffled = TimeExclusion(exclusion.from_us[order], exclusion.to_us[order], exclusion.exclusion_us)
    one, scores = fit_and_score(detector_settings(name), vectors, exclusion)
    other, others = fit_and_score(detector_settings(name), vectors[order], shuffled)
    np.testing.assert_allclose(others, scores[order], rtol=1e-6)
    new = gaussian(10, seed=4)
    np.testing.assert_allclose(one.score(new), other.score(new), rtol=1e-6)


@pytest.mark.parametrize("settings", [LocalOutlierFactorSettings(), NearestNeighboursSettings()])
def test_k_is_reduced_where_the_reference_is_small_and_said(
    settings: LocalOutlierFactorSettings | NearestNeighboursSettings,
) -> None:
    detector, _ = fit_and_score(settings, gaussian(8))
    assert "from 20 to 7" in detector.remark
    assert detector_from_arrays(detector_arrays(detector)).remark == detector.remark
    assert fit_and_score(type(settings)(7), gaussian(8))[0].remark == ""
    assert "from 20 to" in fit_and_score(settings, gaussian(30), evenly(30, 10))[0].remark


@pytest.mark.parametrize("name", FITTED_ANYWHERE)
def test_what_is_too_little_is_refused(name: str) -> None:
    for rows in (0, 1):
        with pytest.raises(ConfigurationError, match="too few"):
            fit_and_score(detector_settings(name), gaussian(rows))
    with pytest.raises(ConfigurationError, match="shorten the exclusion"):
        fit_and_score(detector_settings(name), gaussian(30), evenly(30, 60))


@pytest.mark.parametrize("name", CROSS_FITTED)
def test_a_block_that_an_exclusion_leaves_nothing_is_halved(name: str) -> None:
    _, normal = fit_and_score(detector_settings(name), gaussian(30), evenly(30, 13))
    assert np.isfinite(normal).all()
    with pytest.raises(ConfigurationError, match="exclusion of 20000000 us leaves some snippet"):
        fit_and_score(detector_settings(name), gaussian(30), evenly(30, 20))


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    assert sorted(SETTINGS) == sorted(DETECTORS)
    with pytest.raises(UnknownNameError, match="isolation_forest"):
        detector_settings("isolation_wood")
    arrays = detector_arrays(fit_and_score(MagnitudeSettings(), gaussian(2))[0])
    with pytest.raises(UnknownNameError, match='unknown detector "magnetude"'):
        detector_from_arrays(arrays | {"kind": np.frombuffer(b"magnetude", np.uint8)})


def test_neighbours_and_seed_go_where_they_belong() -> None:
    assert detector_settings("lof", neighbours=7) == LocalOutlierFactorSettings(7)
    assert detector_settings("knn", neighbours=7) == NearestNeighboursSettings(7)
    assert detector_settings("isolation_forest", seed=7) == IsolationForestSettings(seed=7)
    assert detector_settings("one_class_svm", seed=7) == OneClassSvmSettings(seed=7)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: LocalOutlierFactorSettings(0), "neighbours is at least 1, got 0"),
        (lambda: NearestNeighboursSettings(-1), "neighbours is at least 1, got -1"),
        (lambda: IsolationForestSettings(trees=0), "at least 1 tree, got 0"),
        (lambda: OneClassSvmSettings(nu=0.0), "above 0 and at most 1, got 0"),
        (lambda: OneClassSvmSettings(most=1), "at least 2 rows, got most = 1"),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        make()
