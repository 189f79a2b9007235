"""Views averaged, clips counted."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.metrics import top_k_accuracy_score

from models.recognition.scoring import hits_at, mean_probabilities, wilson


@settings(deadline=None)  # machines differ, and are shared
@given(arrays(np.float32, st.tuples(st.integers(1, 12), st.integers(1, 9)), elements=st.floats(-80, 80, width=32)))
def test_a_clip_has_the_mean_of_its_views_probabilities(logits: np.ndarray) -> None:
    found = mean_probabilities(logits)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, softmax(logits.astype(np.float64), axis=1).mean(axis=0), atol=1e-6)
    assert found.sum() == pytest.approx(1, abs=1e-5)


def test_views_are_averaged_after_the_softmax_not_before() -> None:
    """Two views sure of class 0 and one that is very sure of class 1: averaged logits would say 1."""
    logits = np.array([[3, 0], [3, 0], [0, 30]], np.float32)
    assert mean_probabilities(logits).argmax() == 0
    assert logits.mean(axis=0).argmax() == 1


@pytest.mark.parametrize("logits", [np.empty((0, 3), np.float32), np.array([[np.nan, 0]], np.float32)])
def test_views_that_are_none_are_refused(logits: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite"):
        mean_probabilities(logits)


@settings(deadline=None)  # machines differ, and are shared
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(3, 9))
def test_top_k_is_scikit_learns_where_nothing_ties(seed: int, clips: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.permuted(np.tile(np.arange(classes, dtype=np.float32), (clips, 1)), axis=1)
    truth = random.integers(0, classes, clips)
    for k in range(1, classes):
        expected = top_k_accuracy_score(truth, scores, k=k, labels=np.arange(classes))
        assert hits_at(scores, truth, k).mean() == pytest.approx(expected)
    assert hits_at(scores, truth, classes).all()


def test_a_network_that_says_nothing_hits_nothing() -> None:
    scores, truth = np.full((4, 6), 1 / 6, np.float32), np.array([0, 1, 2, 5])
    assert not hits_at(scores, truth, 1).any()
    assert not hits_at(scores, truth, 5).any()


def test_top_k_refuses_what_does_not_fit() -> None:
    scores = np.zeros((2, 3), np.float32)
    for truth, k in (([0], 1), ([0, 1], 0), ([0, 1], 4), ([0, 3], 1), ([-1, 0], 1)):
        with pytest.raises(ValueError):
            hits_at(scores, np.array(truth), k)


@settings(deadline=None)  # machines differ, and are shared
@given(st.integers(1, 500).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_the_interval_is_scipys(counts: tuple[int, int]) -> None:
    hits, count = counts
    found = wilson(hits, count)
    expected = binomtest(hits, count).proportion_ci(0.95, "wilson")
    assert found.value == hits / count
    assert found.low == pytest.approx(expected.low, abs=1e-9)
    assert found.high == pytest.approx(expected.high, abs=1e-9)


def test_without_clips_there_is_no_share() -> None:
    assert all(math.isnan(value) for value in wilson(0, 0))
    with pytest.raises(ValueError, match="hits are"):
        wilson(3, 2)
