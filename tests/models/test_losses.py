"""Losses of segment classifiers: against NumPy by the formulas, by hand, and what each of them rewards."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from infra.errors import ConfigurationError, UnknownNameError
from models.losses import (
    KINDS,
    LOSSES,
    SegmentLossSettings,
    mil_ranking,
    pairwise_hinge,
    s3_contrastive,
    s3_smoothness,
    segment_loss,
    sparsity,
    temporal_smoothness,
)

Floats = NDArray[np.float64]
Batch = tuple[Floats, NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Logits, truth, bags numbered without a gap, and neighbours within a bag."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    count = sum(sizes)
    bags = np.repeat(np.arange(len(sizes)), sizes)
    logits = np.array(draw(st.lists(st.floats(-6, 6, width=32), min_size=count, max_size=count)))
    truth = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    second = np.flatnonzero(np.diff(bags, prepend=-1) == 0)
    return logits, truth, bags, np.stack([second - 1, second], axis=1)


def by_loops(settings: SegmentLossSettings, batch: Batch) -> float:
    """The whole loss as its formulas read, one segment after the other."""
    logits, truth, bags, neighbours = batch
    scores = 1 / (1 + np.exp(-logits))
    loss = float(np.mean([-math.log(s if y else 1 - s) for s, y in zip(scores, truth, strict=True)]))
    groups = [np.flatnonzero(bags == bag) for bag in range(bags.max() + 1)]
    bad, good = ([g for g in groups if truth[g].any() == kind] for kind in (True, False))
    smooth = sum((scores[i] - scores[j]) ** 2 for i, j in neighbours) / len(groups)
    match settings.kind:
        case "mil":
            pairs = [max(0.0, 1 - scores[a].max() + scores[n].max()) for a in bad for n in good]
            sparse = sum(scores[a].sum() for a in bad) / max(1, len(bad))
            loss += settings.sparsity_weight * sparse
        case "pairwise":
            pairs = [max(0.0, 1 - a + n) for a in scores[truth] for n in scores[~truth]]
        case "s3":
            pairs = [(1 - s) ** 2 if y else max(0.0, 1 - s**2) for s, y in zip(scores, truth, strict=True)]
            smooth = -float(np.mean(np.abs(np.diff(scores)))) if len(scores) > 1 else 0.0
        case _:
            return loss
    loss += settings.ranking_weight * float(np.mean(pairs)) if pairs else 0.0
    return float(loss + settings.smoothness_weight * smooth)


def tensors(batch: Batch) -> dict[str, Any]:
    logits, truth, bags, neighbours = batch
    return {
        "logits": torch.tensor(logits, dtype=torch.float64, requires_grad=True),
        "targets": torch.tensor(truth, dtype=torch.float64),
        "bags": torch.tensor(bags),
        "neighbours": torch.tensor(neighbours).reshape(-1, 2),
    }


@pytest.mark.parametrize("kind", KINDS)
@given(batch=batches())
def test_the_whole_loss_is_its_formula(kind: str, batch: Batch) -> None:
    heavy = {"mil": (0.7, 0.4, 0.2), "pairwise": (0.7, 0.4, 0.0), "s3": (0.7, 0.4, 0.0), "bce": (0.0, 0.0, 0.0)}
    settings = SegmentLossSettings(kind, *heavy[kind])  # type: ignore[arg-type]
    told = tensors(batch)
    loss = segment_loss(settings, **told)
    assert loss.item() == pytest.approx(by_loops(settings, batch), rel=1e-9, abs=1e-9)
    (gradient,) = torch.autograd.grad(loss, told["logits"])
    assert torch.isfinite(gradient).all(), "also where a batch has nothing to rank"


def test_without_further_terms_it_is_the_cross_entropy() -> None:
    batch = (np.array([2.0, -1.0, 0.5]), np.array([True, False, False]), np.array([0, 0, 1]), np.array([[0, 1]]))
    reference = log_loss(batch[1], 1 / (1 + np.exp(-batch[0])))
    assert segment_loss(LOSSES["bce"], **tensors(batch)).item() == pytest.approx(reference)
    weighted = segment_loss(LOSSES["bce"], **tensors(batch), positive_weight=torch.tensor(3.0, dtype=torch.float64))
    parts = np.log1p(np.exp(np.array([-2.0, -1.0, 0.5])))
    assert weighted.item() == pytest.approx((3 * parts[0] + parts[1] + parts[2]) / 3)


def test_known_values() -> None:
    scores = torch.tensor([0.9, 0.2, 0.6, 0.1])
    bags, anomalous = torch.tensor([0, 0, 1, 2]), torch.tensor([True, False, False])
    # Highest of the anomalous bag .9, of the normal ones .6 and .1.
    assert mil_ranking(scores, bags, anomalous).item() == pytest.approx((0.7 + 0.2) / 2)
    assert pairwise_hinge(scores, torch.tensor([1.0, 1, 0, 0])).item() == pytest.approx((0.7 + 0.2 + 1.4 + 0.9) / 4)
    assert temporal_smoothness(scores, torch.tensor([[0, 1]])).item() == pytest.approx(0.49)
    assert sparsity(scores, anomalous[bags]).item() == pytest.approx(1.1)
    assert s3_contrastive(scores[:2], torch.tensor([1.0, 0.0])).item() == pytest.approx((0.01 + 0.96) / 2)
    assert s3_smoothness(scores).item() == pytest.approx((0.7 + 0.4 + 0.5) / 3)


def test_where_there_is_nothing_to_rank_a_term_is_zero() -> None:
    scores, bags = torch.tensor([0.9, 0.2], requires_grad=True), torch.tensor([0, 1])
    for term in (
        mil_ranking(scores, bags, torch.tensor([True, True])),
        mil_ranking(scores, bags, torch.tensor([False, False])),
        pairwise_hinge(scores, torch.tensor([1.0, 1.0])),
        temporal_smoothness(scores, torch.empty((0, 2), dtype=torch.int64)),
        s3_smoothness(scores[:1]),
    ):
        assert term.item() == 0
        (gradient,) = torch.autograd.grad(term, scores)
        assert gradient.tolist() == [0, 0]


def gradient_of(term: Any, values: list[float]) -> list[float]:
    scores = torch.tensor(values, requires_grad=True)
    (gradient,) = torch.autograd.grad(term(scores), scores)
    found: list[float] = gradient.tolist()
    return found


def test_the_default_pulls_neighbours_together_and_s3_by_its_letter_apart() -> None:
    pair = torch.tensor([[0, 1]])
    added = gradient_of(lambda scores: temporal_smoothness(scores, pair), [0.6, 0.4])
    assert added[0] > 0 > added[1], "the loss falls as the higher score falls and the lower one rises"
    subtracted = gradient_of(lambda scores: -s3_smoothness(scores), [0.6, 0.4])
    assert subtracted[0] < 0 < subtracted[1]


def test_s3s_formula_pushes_normal_scores_up_and_the_hinges_push_them_down() -> None:
    targets, bags = torch.tensor([1.0, 0.0]), torch.tensor([0, 1])
    assert gradient_of(lambda scores: s3_contrastive(scores, targets), [0.6, 0.4])[1] < 0
    assert gradient_of(lambda scores: pairwise_hinge(scores, targets), [0.6, 0.4])[1] > 0
    assert gradient_of(lambda scores: mil_ranking(scores, bags, targets > 0), [0.6, 0.4])[1] > 0


def test_only_the_highest_segment_of_a_bag_is_ranked() -> None:
    bags, anomalous = torch.tensor([0, 0, 1, 1]), torch.tensor([True, False])
    gradient = gradient_of(lambda scores: mil_ranking(scores, bags, anomalous), [0.3, 0.5, 0.6, 0.2])
    assert gradient == pytest.approx([0, -1, 1, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_defaults(kind: str) -> None:
    assert LOSSES[kind].kind == kind  # type: ignore[index]


def test_settings_that_say_nothing_are_refused() -> None:
    assert (LOSSES["mil"].smoothness_weight, LOSSES["mil"].sparsity_weight) == (8e-5, 8e-5)
    with pytest.raises(UnknownNameError, match='did you mean "mil"'):
        SegmentLossSettings("mill")  # type: ignore[arg-type]
    for kind, weights, words in (
        ("mil", (-1.0, 0.0, 0.0), "ranking_weight is a number from 0"),
        ("mil", (1.0, math.nan, 0.0), "smoothness_weight is a number from 0"),
        ("mil", (1.0, 0.0, 1e6), "sparsity_weight is a number from 0"),
        ("bce", (1.0, 0.0, 0.0), "the loss bce has no ranking_weight"),
        ("s3", (1.0, 1.0, 0.1), "the loss s3 has no sparsity_weight"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            SegmentLossSettings(kind, *weights)  # type: ignore[arg-type]
