from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn import neighbors

from infra.errors import ConfigurationError, UnknownNameError
from models.heads import neighbours
from models.heads.base import Head
from models.heads.neighbours import TimeExclusion, nearest
from models.heads.novelty import (
    SETTINGS,
    LocalOutlierFactorSettings,
    NearestNeighboursSettings,
    fit,
    fit_and_score,
    head_named,
    score_against_self,
    settings_named,
)

SECOND = 1_000_000


def gaussian(rows: int, dimension: int = 8, seed: int = 0, offset: float = 0.0) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal((rows, dimension)) + offset).astype(np.float32)


def snippets(rows: int, start_us: int = 1_700_000_000_000_000) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    from_us = start_us + np.arange(rows, dtype=np.int64) * SECOND
    return from_us, from_us + 2 * SECOND


def brute_lof_against_self(
    vectors: NDArray[Any], from_us: NDArray[Any], to_us: NDArray[Any], exclusion_us: int, k: int
) -> NDArray[Any]:
    """LOF by its definition, one row at a time."""
    rows = range(len(vectors))
    distances = cdist(vectors.astype(np.float64), vectors.astype(np.float64))
    others = [
        [j for j in rows if to_us[j] <= from_us[i] - exclusion_us or from_us[j] >= to_us[i] + exclusion_us]
        for i in rows
    ]
    near = [sorted(others[i], key=lambda j: (distances[i, j], j))[:k] for i in rows]
    reach = [distances[i, near[i][-1]] for i in rows]
    density = [1 / (np.mean([max(reach[j], distances[i, j]) for j in near[i]]) + 1e-10) for i in rows]
    return np.array([np.mean([density[j] for j in near[i]]) / density[i] for i in rows])


@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("k", [1, 5, 20])
def test_lof_is_scikit_learns(k: int, offset: float) -> None:
    reference, new = gaussian(300, offset=offset), gaussian(80, seed=1, offset=offset) * 1.1
    theirs = neighbors.LocalOutlierFactor(n_neighbors=k, novelty=True).fit(reference.astype(np.float64))
    head, normal = fit_and_score(LocalOutlierFactorSettings(k), reference)
    np.testing.assert_allclose(head.score(new), -theirs.score_samples(new.astype(np.float64)), rtol=1e-5)
    np.testing.assert_allclose(normal, -theirs.negative_outlier_factor_, rtol=1e-5)


def test_lof_after_standardising_is_scikit_learns_on_scaled_vectors() -> None:
    reference, new = gaussian(200) * np.array([1, 5, 100, 0, 1, 1, 1, 1], dtype=np.float32), gaussian(40, seed=1)
    deviations = reference.std(axis=0, dtype=np.float64)
    scale = np.sqrt(deviations**2 + 0.01 * np.mean(deviations**2))
    center = reference.mean(axis=0, dtype=np.float64)
    theirs = neighbors.LocalOutlierFactor(novelty=True).fit((reference - center) / scale)
    expected = -theirs.score_samples((new - center) / scale)
    np.testing.assert_allclose(fit(LocalOutlierFactorSettings(20, "standardise"), reference).score(new), expected, 1e-4)


def test_l2_scores_do_not_depend_on_length_and_take_zero_vectors() -> None:
    reference = gaussian(100)
    head = fit(LocalOutlierFactorSettings(5, "l2"), reference)
    new = gaussian(10, seed=1)
    np.testing.assert_allclose(head.score(new), head.score(new * np.float32(7)), rtol=1e-4)
    assert np.isfinite(head.score(np.zeros((1, 8), np.float32))).all()


def test_nearest_neighbours_is_the_mean_of_the_k_smallest_distances() -> None:
    reference, new = gaussian(100), gaussian(30, seed=1)
    expected = np.sort(cdist(new, reference), axis=1)[:, :7].mean(axis=1)
    np.testing.assert_allclose(fit(NearestNeighboursSettings(7), reference).score(new), expected, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_head_comes_back_from_its_arrays_with_the_same_scores(name: str) -> None:
    reference, new = gaussian(60), gaussian(20, seed=1)
    head = fit(settings_named(name, 10, "standardise"), reference)
    assert isinstance(head, Head)
    arrays = head.to_arrays()
    assert all(array.ndim >= 1 and array.dtype != object for array in arrays.values())
    again = head_named(name, {key: array.copy() for key, array in arrays.items()})
    np.testing.assert_array_equal(again.score(new), head.score(new))
    assert again.score(np.empty((0, 8), np.float32)).shape == (0,)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_frozen_stretch_gives_finite_scores_and_an_outlier_stays_on_top(name: str) -> None:
    reference = np.concatenate([gaussian(100), np.repeat(gaussian(1, seed=5), 60, axis=0)])
    head, normal = fit_and_score(settings_named(name), reference)
    scores = head.score(np.concatenate([reference[-1:], np.full((1, 8), 50, np.float32)]))
    assert np.isfinite(normal).all() and np.isfinite(scores).all()
    assert scores[1] > 5 * scores[0]


def test_repeated_vectors_score_as_scikit_learn_with_exact_distances() -> None:
    points = np.repeat(gaussian(12, 2), 8, axis=0)
    theirs = neighbors.LocalOutlierFactor(n_neighbors=5, algorithm="kd_tree", novelty=True).fit(points.astype(float))
    new = np.concatenate([points[::8], gaussian(5, 2, seed=3)])
    expected = -theirs.score_samples(new.astype(float))
    np.testing.assert_allclose(fit(LocalOutlierFactorSettings(5), points).score(new), expected, rtol=1e-5)


def test_k_is_reduced_where_the_reference_is_small_and_said() -> None:
    head = fit(LocalOutlierFactorSettings(20), gaussian(8))
    assert head.normal.neighbours == 7
    assert "from 20 to 7" in head.normal.remark
    assert head_named("local_outlier_factor", head.to_arrays()).normal.remark == head.normal.remark
    assert fit(LocalOutlierFactorSettings(7), gaussian(8)).normal.remark == ""


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_reference_rows_are_refused(rows: int) -> None:
    with pytest.raises(ConfigurationError, match="too few"):
        fit(LocalOutlierFactorSettings(), gaussian(rows))


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="local_outlier_factor"):
        settings_named("lof")
    with pytest.raises(UnknownNameError, match="nearest_neighbours"):
        head_named("knn", {})
    with pytest.raises(UnknownNameError, match="standardise"):
        LocalOutlierFactorSettings(preprocessing="whiten")  # type: ignore[arg-type]


def test_vectors_that_do_not_fit_are_refused() -> None:
    head = fit(NearestNeighboursSettings(3), gaussian(10))
    wrongs: tuple[NDArray[Any], ...] = (
        gaussian(2).astype(np.float64),
        gaussian(2, 9),
        np.full((2, 8), np.nan, np.float32),
    )
    for wrong in wrongs:
        with pytest.raises(ValueError):
            head.score(wrong)


@pytest.mark.parametrize("exclusion_s", [0, 3, 10])
def test_lof_of_a_day_against_itself_follows_the_definition(exclusion_s: int) -> None:
    vectors = np.cumsum(gaussian(60, 4), axis=0).astype(np.float32)
    from_us, to_us = snippets(60)
    scores = score_against_self(vectors, from_us, to_us, exclusion_s * SECOND, LocalOutlierFactorSettings(5))
    expected = brute_lof_against_self(vectors, from_us, to_us, exclusion_s * SECOND, 5)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_slow_event_stands_out_only_if_it_is_not_its_own_normal(name: str) -> None:
    vectors = gaussian(400)
    event = np.arange(200, 230)
    vectors[event] = gaussian(30, seed=2) + 6
    from_us, to_us = snippets(400)
    apart = score_against_self(vectors, from_us, to_us, 40 * SECOND, settings_named(name))
    together = score_against_self(vectors, from_us, to_us, 0, settings_named(name))
    rest = np.setdiff1d(np.arange(400), event)
    assert apart[event].min() > apart[rest].max()
    assert together[event].min() < apart[event].min()


def test_an_exclusion_that_leaves_nothing_is_refused_and_one_that_leaves_little_reduces_k() -> None:
    from_us, to_us = snippets(30)
    with pytest.raises(ConfigurationError, match="shorten the exclusion"):
        score_against_self(gaussian(30), from_us, to_us, 60 * SECOND, NearestNeighboursSettings())
    head, scores = fit_and_score(NearestNeighboursSettings(), gaussian(30), TimeExclusion(from_us, to_us, 10 * SECOND))
    assert head.normal.neighbours < 20 and np.isfinite(scores).all()


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_scores_do_not_depend_on_the_order_of_rows(name: str) -> None:
    vectors, order = gaussian(90), np.random.default_rng(3).permutation(90)
    from_us, to_us = snippets(90)
    scores = score_against_self(vectors, from_us, to_us, 5 * SECOND, settings_named(name))
    shuffled = score_against_self(vectors[order], from_us[order], to_us[order], 5 * SECOND, settings_named(name))
    np.testing.assert_allclose(shuffled, scores[order], rtol=1e-6)
    new = gaussian(10, seed=4)
    one, other = fit(settings_named(name), vectors), fit(settings_named(name), vectors[order])
    np.testing.assert_allclose(one.score(new), other.score(new), rtol=1e-6)


def test_the_reason_is_the_nearest_normal_snippets() -> None:
    reference, new = gaussian(50), gaussian(5, seed=1)
    indices, distances = fit(LocalOutlierFactorSettings(), reference).nearest(new, 3)
    expected = np.argsort(cdist(new, reference), axis=1)[:, :3]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(distances, np.sort(cdist(new, reference), axis=1)[:, :3], rtol=1e-6)
    assert fit(LocalOutlierFactorSettings(), reference).nearest(new, 99)[0].shape == (5, 50)


def test_neighbours_are_the_same_in_blocks_of_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    reference, new = gaussian(70), gaussian(33, seed=1)
    whole = nearest(new, reference, 6)
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", 8)
    np.testing.assert_array_equal(nearest(new, reference, 6)[0], whole[0])
    np.testing.assert_allclose(nearest(new, reference, 6)[1], whole[1], rtol=1e-12)


def test_neighbours_close_together_far_from_the_origin_are_told_apart() -> None:
    reference = (1000 + 1e-3 * np.arange(40, dtype=np.float64)[:, None]) * np.ones((1, 3))
    indices, distances = nearest(reference[20:21], reference, 3)
    assert indices.tolist() == [[20, 19, 21]] and distances[0, 0] == 0


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_mask_is_the_definition_and_admissible_counts_it(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 12))
    from_us = np.array(data.draw(st.lists(st.integers(0, 40), min_size=rows, max_size=rows)), dtype=np.int64)
    length = np.array(data.draw(st.lists(st.integers(1, 15), min_size=rows, max_size=rows)), dtype=np.int64)
    exclusion = TimeExclusion(from_us, from_us + length, data.draw(st.integers(0, 10)))
    mask = exclusion.mask(slice(0, rows))
    assert mask.diagonal().all() and (mask == mask.T).all()
    np.testing.assert_array_equal(exclusion.admissible(), (~mask).sum(axis=1))
    for i in range(rows):
        for j in range(rows):
            gap = max(from_us[j] - exclusion.to_us[i], from_us[i] - exclusion.to_us[j])
            assert mask[i, j] == (gap < exclusion.exclusion_us)


def test_a_value_that_never_moved_does_not_drown_the_others() -> None:
    reference = gaussian(200) * np.array([1, 1, 1, 1, 1, 1, 1, 1e-6], dtype=np.float32)
    stirred = reference[:1] + np.array([0, 0, 0, 0, 0, 0, 0, 1], dtype=np.float32)
    head = fit(NearestNeighboursSettings(5, "standardise"), reference)
    assert head.score(stirred)[0] < 20
    assert head.score(stirred)[0] > head.score(reference[:1])[0]
