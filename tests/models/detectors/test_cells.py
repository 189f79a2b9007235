"""The location-aware detector beside its definition, and what it sees that a whole vector hides."""

import numpy as np
import pytest
from numpy.typing import NDArray

from infra.errors import ConfigurationError
from models.detectors.build import DetectorSettings, detector_arrays, detector_from_arrays, fit_and_score
from models.detectors.cells import LIMIT, Cells, CellsSettings
from models.detectors.isolation_forest import IsolationForestSettings
from models.detectors.nearest_neighbours import NearestNeighboursSettings
from models.detectors.one_class_svm import OneClassSvmSettings
from models.heads.neighbours import TimeExclusion
from models.heads.novelty import NoveltySettings
from models.heads.novelty import fit_and_score as fit_head
from models.layout import Layout

LAYOUT = Layout(3, 4, (("direction", 2), ("speed", 1)))
SECOND = 1_000_000


def footage(rows: int, seed: int = 0) -> NDArray[np.float32]:
    """Left half slow, right half fast; some of the cells are empty at any time."""
    random = np.random.default_rng(seed)
    speed = np.where(np.arange(LAYOUT.cells) % LAYOUT.columns < 2, 1.0, 4.0)
    there = random.random((rows, LAYOUT.cells)) < 0.6
    speeds = there * (speed + 0.2 * random.standard_normal((rows, LAYOUT.cells)))
    return np.stack([speeds, 0 * speeds, speeds], axis=-1).reshape(rows, -1).astype(np.float32)


def with_cell(vector: NDArray[np.float32], row: int, column: int, speed: float) -> NDArray[np.float32]:
    changed = vector.reshape(LAYOUT.rows, LAYOUT.columns, -1).copy()
    changed[row, column] = (speed, 0, speed)
    return changed.reshape(-1)


def brute(reference: NDArray[np.float32], vector: NDArray[np.float32], k: int, reach: int) -> NDArray[np.float64]:
    """Mean distance to the k nearest, cell by cell."""
    grid = reference.reshape(len(reference), LAYOUT.rows, LAYOUT.columns, -1).astype(np.float64)
    asked = vector.reshape(LAYOUT.rows, LAYOUT.columns, -1).astype(np.float64)
    found = []
    for row in range(LAYOUT.rows):
        for column in range(LAYOUT.columns):
            rows = [r for r in range(LAYOUT.rows) if abs(r - row) <= reach]
            columns = [c for c in range(LAYOUT.columns) if abs(c - column) <= reach]
            near = grid[:, rows][:, :, columns].reshape(-1, grid.shape[-1])
            found.append(np.sort(np.linalg.norm(near - asked[row, column], axis=1))[:k].mean())
    return np.array(found)


@pytest.mark.parametrize(("k", "reach"), [(1, 0), (5, 1), (3, 4)])
def test_each_cell_is_held_against_its_surroundings(k: int, reach: int) -> None:
    reference, new = footage(60), footage(7, seed=1)
    detector, _ = fit_and_score(CellsSettings(k, reach), reference, layout=LAYOUT)
    assert isinstance(detector, Cells)
    expected = np.stack([brute(reference, vector, k, reach) for vector in new])
    np.testing.assert_allclose(detector.distances(new), expected, rtol=1e-5, atol=1e-6)
    strangest = (expected / detector.scale).max(axis=1)
    np.testing.assert_allclose(detector.score(new), strangest / (1 + strangest / LIMIT), rtol=1e-4)


def test_what_is_usual_on_the_right_is_strange_on_the_left() -> None:
    reference = footage(300)
    detector, normal = fit_and_score(CellsSettings(reach=0), reference, layout=LAYOUT)
    usual = footage(1, seed=2)[0]
    left, right = with_cell(usual, 1, 0, 4.0), with_cell(usual, 1, 3, 4.0)
    scores = detector.score(np.stack([usual, left, right]))
    assert scores[1] > max(scores[0], scores[2], np.quantile(normal, 0.999))
    wide, _ = fit_and_score(CellsSettings(reach=4), reference, layout=LAYOUT)
    assert wide.score(left[None])[0] < scores[1], "where all places are one, the left may be as fast as the right"


def test_one_strange_cell_stands_out_where_a_whole_vector_hides_it() -> None:
    reference, new = footage(300), footage(200, seed=3)
    strange = np.stack([with_cell(vector, 2, 1, 2.2) for vector in new])

    def share_above(settings: CellsSettings | NearestNeighboursSettings) -> float:
        detector, normal = fit_and_score(settings, reference, layout=LAYOUT)
        return float((detector.score(strange) > np.quantile(normal, 0.99)).mean())

    assert share_above(CellsSettings(reach=0)) > 0.95
    assert share_above(NearestNeighboursSettings()) < 0.5


def test_normal_scores_are_those_of_footage_never_seen() -> None:
    from_us = np.arange(400, dtype=np.int64) * SECOND
    detector, normal = fit_and_score(
        CellsSettings(), footage(400), TimeExclusion(from_us, from_us + 2 * SECOND, 10 * SECOND), LAYOUT
    )
    later = detector.score(footage(400, seed=8))
    assert abs(np.median(normal) - np.median(later)) < 0.05
    assert (later > np.quantile(normal, 0.99)).mean() < 0.04


def test_a_score_rises_with_strangeness_and_stays_below_its_limit() -> None:
    detector, _ = fit_and_score(CellsSettings(), footage(100), layout=LAYOUT)
    usual = footage(1, seed=2)[0]
    scores = detector.score(np.stack([with_cell(usual, 0, 0, speed) for speed in (6, 10, 50, 1000)]))
    assert (np.diff(scores) > 0).all()
    assert scores[-1] < LIMIT


def test_the_order_of_rows_decides_nothing() -> None:
    from_us = np.arange(90, dtype=np.int64) * SECOND
    vectors, order = footage(90), np.random.default_rng(0).permutation(90)
    one, normal = fit_and_score(CellsSettings(), vectors, TimeExclusion(from_us, from_us + 1, SECOND), LAYOUT)
    shuffled = TimeExclusion(from_us[order], from_us[order] + 1, SECOND)
    other, mixed = fit_and_score(CellsSettings(), vectors[order], shuffled, LAYOUT)
    np.testing.assert_array_equal(normal[order], mixed)
    np.testing.assert_array_equal(one.score(vectors), other.score(vectors))


def test_it_comes_back_from_its_arrays_to_the_last_bit() -> None:
    detector, _ = fit_and_score(CellsSettings(3, 1), footage(80), layout=LAYOUT)
    again = detector_from_arrays(detector_arrays(detector))
    np.testing.assert_array_equal(detector.score(footage(9, seed=4)), again.score(footage(9, seed=4)))


def test_a_camera_that_never_saw_anything_move_is_startled_by_anything() -> None:
    still = np.zeros((50, LAYOUT.dimension), dtype=np.float32)
    detector, normal = fit_and_score(CellsSettings(), still, layout=LAYOUT)
    assert (normal == 0).all()
    assert detector.score(with_cell(still[0], 1, 1, 3.0)[None])[0] > 0.5


def test_the_place_and_the_part_that_are_strange_are_named() -> None:
    head, _ = fit_head(NoveltySettings(CellsSettings(reach=0), "none"), footage(200), layout=LAYOUT)
    usual = footage(1, seed=2)[0].reshape(LAYOUT.rows, LAYOUT.columns, -1)
    usual[2, 0] = (0, 0, 9.0)
    told = head.explain(usual.reshape(-1))
    assert told.place is not None
    np.testing.assert_allclose(told.place, (0, 2 / 3, 1 / 4, 1 / 3))
    assert told.parts["speed"] > 0.8
    assert sum(told.parts.values()) == pytest.approx(1)


def test_vectors_without_places_are_refused_with_a_remedy() -> None:
    with pytest.raises(ConfigurationError, match="encoder with a layout"):
        fit_and_score(CellsSettings(), footage(30))


@pytest.mark.parametrize(("neighbours", "reach"), [(0, 1), (3, -1)])
def test_settings_out_of_range_are_refused(neighbours: int, reach: int) -> None:
    with pytest.raises(ConfigurationError, match="at least"):
        CellsSettings(neighbours, reach)


@pytest.mark.parametrize("settings", [CellsSettings(), IsolationForestSettings(trees=5), OneClassSvmSettings()])
def test_two_short_stretches_of_footage_are_held_against_each_other(settings: DetectorSettings) -> None:
    stretch = np.repeat(np.arange(2, dtype=np.int64), 30)
    _, normal = fit_and_score(settings, footage(60), TimeExclusion(stretch, stretch + 1, 0), LAYOUT)
    assert np.isfinite(normal).all()
    with pytest.raises(ConfigurationError, match="exclusion of 5 us"):
        fit_and_score(settings, footage(60), TimeExclusion(stretch, stretch + 1, 5), LAYOUT)
