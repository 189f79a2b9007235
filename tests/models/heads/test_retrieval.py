from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import expit
from sklearn.svm import SVC
from threadpoolctl import threadpool_info

from infra.errors import ConfigurationError, UnknownNameError
from models.heads.base import Head
from models.heads.neighbours import unit_length
from models.heads.retrieval import (
    HEADS,
    RetrievalSettings,
    Sigmoid,
    Similarity,
    SupportVectors,
    fit_retrieval,
    retrieval_head,
)

Vectors = NDArray[np.float32]


def unit(rows: int, dimension: int = 32, seed: int = 0, spread: float = 1.0) -> Vectors:
    """Unit vectors about a common one, as a fixed camera's are."""
    scene = np.random.default_rng(1000).standard_normal(dimension)
    noise = np.random.default_rng(seed).standard_normal((rows, dimension))
    return unit_length(scene + spread * noise)


def labelled(rows: int, seed: int = 0, share: float = 0.5, spread: float = 1.0) -> tuple[Vectors, NDArray[np.bool_]]:
    """Vectors of which the relevant ones lean to one side, not parted wholly."""
    vectors = unit(rows, seed=seed, spread=spread)
    relevant = np.random.default_rng(seed + 1).random(rows) < share
    relevant[:2] = True, False
    side = np.random.default_rng(2000).standard_normal((1, vectors.shape[1]))
    return unit_length(vectors + 0.1 * spread * relevant[:, None] * side), relevant


def blocks_of(rows: int, each: int = 4) -> NDArray[np.int64]:
    return np.arange(rows, dtype=np.int64) // each


@pytest.mark.parametrize("spread", [1.0, 0.1, 0.01])
@pytest.mark.parametrize(("rows", "share"), [(6, 0.5), (80, 0.5), (80, 0.05), (80, 0.95)])
def test_margins_are_scikit_learns(rows: int, share: float, spread: float) -> None:
    vectors, relevant = labelled(rows, share=share, spread=spread)
    new = np.concatenate([unit(500, seed=7, spread=spread), unit(50, seed=8, spread=5), vectors])
    theirs = SVC(C=10, kernel="rbf", gamma="scale", class_weight="balanced", tol=1e-6).fit(vectors, relevant)

    head = fit_retrieval(RetrievalSettings(), vectors, relevant, blocks_of(rows)).head

    np.testing.assert_allclose(head.score_unit(new), theirs.decision_function(new), atol=1e-4)
    np.testing.assert_allclose(head.score(new * np.float32(3)), theirs.decision_function(new), atol=1e-4)


def test_settings_reach_the_machine() -> None:
    vectors, relevant = labelled(60, share=0.2)
    theirs = SVC(C=0.5, gamma=4.0, tol=1e-6).fit(vectors, relevant)
    head = fit_retrieval(RetrievalSettings(0.5, 4.0, balanced=False), vectors, relevant, blocks_of(60)).head
    np.testing.assert_allclose(head.score(vectors), theirs.decision_function(vectors), atol=1e-4)


def test_zero_vectors_are_scored_as_scikit_learn_does_and_may_be_labelled() -> None:
    vectors, relevant = labelled(20)
    vectors[3] = 0
    theirs = SVC(C=10, class_weight="balanced", tol=1e-6).fit(vectors, relevant)
    head = fit_retrieval(RetrievalSettings(), vectors, relevant, blocks_of(20)).head
    new = np.concatenate([np.zeros((2, 32), np.float32), unit(3, seed=5)])
    np.testing.assert_allclose(head.score(new), theirs.decision_function(new), atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(st.integers(4, 40), st.integers(0, 2**16))
def test_the_order_of_labels_does_not_matter(rows: int, seed: int) -> None:
    vectors, relevant = labelled(rows, seed=seed)
    new, blocks = unit(50, seed=9), blocks_of(rows)
    order = np.random.default_rng(seed).permutation(rows)

    one = fit_retrieval(RetrievalSettings(), vectors, relevant, blocks)
    other = fit_retrieval(RetrievalSettings(), vectors[order], relevant[order], blocks[order])

    np.testing.assert_allclose(one.head.score(new), other.head.score(new), atol=1e-5)
    np.testing.assert_allclose(one.margins[order], other.margins, atol=1e-5)
    assert one.remark == other.remark


def test_a_row_s_score_depends_neither_on_how_many_there_are_nor_on_who_else_scores() -> None:
    vectors, relevant = labelled(40)
    head = fit_retrieval(RetrievalSettings(), vectors, relevant, blocks_of(40)).head
    many = unit(20_000, seed=3)
    alone = head.score(many[17_000:17_003])
    before = [library["num_threads"] for library in threadpool_info()]

    with ThreadPoolExecutor(4) as pool:
        scored = list(pool.map(head.score_unit, [many] * 8))

    for scores in scored:
        np.testing.assert_array_equal(scores, scored[0])
        np.testing.assert_allclose(scores[17_000:17_003], alone, atol=1e-5)
    assert [library["num_threads"] for library in threadpool_info()] == before


def test_relevant_labels_alone_rank_by_the_largest_cosine() -> None:
    examples, new = unit(3, seed=1), unit(40, seed=2)
    fitted = fit_retrieval(RetrievalSettings(), examples * np.float32(2), np.ones(3, np.bool_), blocks_of(3))
    assert isinstance(fitted.head, Similarity)
    assert (fitted.head.threshold, fitted.calibration, fitted.probability(np.zeros(1))) == (None, None, None)
    assert np.isnan(fitted.margins).all()
    assert "not relevant" in fitted.remark
    np.testing.assert_allclose(fitted.head.score(new), (1 - cdist(new, examples, "cosine")).max(axis=1), atol=1e-6)


def test_euclidean_similarity_is_minus_the_distance_and_ranks_like_cosine() -> None:
    examples = np.concatenate([unit(3, seed=1), np.zeros((1, 32), np.float32)])
    new = np.concatenate([unit(40, seed=2), examples, -examples])
    head = Similarity(examples, "euclidean")
    np.testing.assert_allclose(head.score(new), -cdist(new, examples).min(axis=1), atol=1e-6)
    assert (head.score(examples) == 0).all()
    without_zero = Similarity(examples[:3], "euclidean").score_unit(new[:40])
    assert (np.argsort(without_zero) == np.argsort(Similarity(examples[:3]).score_unit(new[:40]))).all()


@pytest.mark.parametrize("kind", list(HEADS))
def test_a_stored_head_scores_the_same_to_the_last_bit(kind: str) -> None:
    vectors, relevant = labelled(30)
    if kind == "similarity":
        relevant[:] = True
    head = fit_retrieval(RetrievalSettings(similarity="euclidean"), vectors, relevant, blocks_of(30)).head
    assert isinstance(head, Head)
    assert head.kind == kind
    stored = retrieval_head(kind, head.to_arrays())
    assert all(array.ndim >= 1 for array in head.to_arrays().values())
    assert np.array_equal(stored.score(unit(100, seed=4)), head.score(unit(100, seed=4)))
    assert stored.score(np.empty((0, 32), np.float32)).shape == (0,)


def test_held_out_margins_come_from_labels_of_other_blocks() -> None:
    vectors, relevant = labelled(40)
    blocks = blocks_of(40, each=10)
    fitted = fit_retrieval(RetrievalSettings(), vectors, relevant, blocks)
    assert isinstance(fitted.head, SupportVectors)
    gamma = fitted.head.gamma
    for block in range(4):  # every block holds both classes, and there are fewer than five: each is a fold of its own
        rest = blocks != block
        machine = SVC(C=10, gamma=gamma, class_weight="balanced", tol=1e-6).fit(vectors[rest], relevant[rest])
        expected = machine.decision_function(vectors[~rest])
        np.testing.assert_allclose(fitted.margins[~rest], expected, atol=1e-4)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=30))
def test_margins_are_known_wherever_each_class_is_in_two_blocks(told: list[tuple[int, bool]]) -> None:
    blocks = np.array([block for block, _ in told], dtype=np.int64)
    relevant = np.array([answer for _, answer in told], dtype=np.bool_)
    if not 0 < relevant.sum() < len(relevant):
        return
    fitted = fit_retrieval(RetrievalSettings(), unit(len(told)), relevant, blocks)
    enough = len(set(blocks[relevant])) >= 2 and len(set(blocks[~relevant])) >= 2
    assert np.isfinite(fitted.margins).all() if enough else np.isnan(fitted.margins).all()
    assert fitted.remark or fitted.calibration is not None
    assert enough or (fitted.calibration is None and "two stretches of time" in fitted.remark)


def test_too_few_labels_of_a_class_are_checked_but_not_calibrated() -> None:
    vectors, relevant = labelled(40)
    relevant[:] = False
    relevant[[0, 20, 30]] = True
    fitted = fit_retrieval(RetrievalSettings(), vectors, relevant, blocks_of(40))
    assert np.isfinite(fitted.margins).all()
    assert fitted.calibration is None
    assert "the smaller has 3" in fitted.remark


def test_labels_that_held_out_margins_contradict_are_not_calibrated() -> None:
    # Each block says the opposite of the other: what one teaches is wrong in the other.
    vectors = np.concatenate([unit(10, seed=1, spread=0.2), -unit(10, seed=2, spread=0.2)] * 2)
    relevant = np.repeat([True, False, False, True], 10)
    fitted = fit_retrieval(RetrievalSettings(), vectors, relevant, np.repeat([0, 0, 1, 1], 10))
    assert fitted.calibration is None
    assert "score no higher" in fitted.remark


def test_probability_is_platts() -> None:
    random = np.random.default_rng(0)
    relevant = random.random(300) < 0.3
    margins = random.standard_normal(300) + relevant
    fitted = Sigmoid.fit(margins, relevant)
    assert fitted is not None
    target = np.where(relevant, (relevant.sum() + 1) / (relevant.sum() + 2), 1 / ((~relevant).sum() + 2))
    off = target - expit(fitted.slope * margins + fitted.offset)
    assert abs(off.sum()) < 1e-4  # at the greatest likelihood both derivatives are 0
    assert abs((off * margins).sum()) < 1e-4


def test_probability_tells_how_often_a_margin_is_right() -> None:
    random = np.random.default_rng(1)
    margins = random.normal(scale=2, size=4000)
    relevant = random.random(4000) < expit(1.5 * margins - 1)
    fitted = Sigmoid.fit(margins[:2000], relevant[:2000])
    assert fitted is not None
    assert fitted.slope == pytest.approx(1.5, abs=0.2)
    assert fitted.offset == pytest.approx(-1, abs=0.2)
    told = fitted.probability(margins[2000:])
    likely = told > 0.7
    assert relevant[2000:][likely].mean() == pytest.approx(told[likely].mean(), abs=0.04)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(1e-3, 1e3), st.floats(-50, 50))
def test_probability_rises_with_the_margin(margins: list[float], slope: float, offset: float) -> None:
    told = Sigmoid(slope, offset).probability(np.sort(np.array(margins)))
    assert (np.diff(told) >= 0).all()
    assert ((told >= 0) & (told <= 1)).all()


def test_a_parted_class_has_a_finite_slope_and_a_stored_sigmoid_is_the_same() -> None:
    margins = np.array([-2.0, -1.0, 1.0, 2.0])
    fitted = Sigmoid.fit(margins, margins > 0)
    assert fitted is not None
    assert Sigmoid.from_arrays(fitted.to_arrays()) == fitted
    assert 0.5 < fitted.probability(np.array([1.0]))[0] < 0.999


def test_a_derived_label_weighs_less_and_takes_no_part_in_cross_validation() -> None:
    vectors, relevant = labelled(40)
    blocks, weights = blocks_of(40), np.ones(40)
    weights[30:] = 0.25
    both = fit_retrieval(RetrievalSettings(balanced=False), vectors, relevant, blocks, weights)
    own = fit_retrieval(RetrievalSettings(balanced=False), vectors[:30], relevant[:30], blocks[:30])
    theirs = SVC(C=10, tol=1e-6).fit(vectors, relevant, sample_weight=weights)
    np.testing.assert_allclose(both.head.score(vectors), theirs.decision_function(vectors), atol=1e-4)
    assert np.isnan(both.margins[30:]).all()
    np.testing.assert_allclose(both.margins[:30], own.margins, atol=0.05)  # but for γ, which all labels have a say in


def test_nothing_relevant_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="none of 2 labels is relevant; mark one"):
        fit_retrieval(RetrievalSettings(), unit(2), np.zeros(2, np.bool_), blocks_of(2))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"relevant": np.ones(3, np.int64)}, "relevant is bool"),
        ({"blocks": np.zeros(2, np.int64)}, "blocks is int64"),
        ({"weights": np.array([1.0, 0.0, 1.0])}, "above 0"),
        ({"vectors": np.full((3, 4), np.nan, np.float32)}, "finite"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], message: str) -> None:
    told: dict[str, Any] = {"vectors": unit(3), "relevant": np.ones(3, np.bool_), "blocks": np.zeros(3, np.int64)}
    with pytest.raises(ValueError, match=message):
        fit_retrieval(RetrievalSettings(), **(told | changed))


def test_settings_and_kinds_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="cost is above 0"):
        RetrievalSettings(cost=0)
    with pytest.raises(ConfigurationError, match="gamma"):
        RetrievalSettings(gamma=-1.0)
    with pytest.raises(UnknownNameError, match="similarity"):
        RetrievalSettings(similarity="manhattan")  # type: ignore[arg-type]  # what a settings file may say
    with pytest.raises(UnknownNameError, match="support_vectors"):
        retrieval_head("support_vector", {})
