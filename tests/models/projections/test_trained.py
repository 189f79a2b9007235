from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pytorch_metric_learning.losses import NTXentLoss, SelfSupervisedLoss
from sklearn.metrics import silhouette_samples

from infra.errors import AfterwatchError, ConfigurationError, UnknownNameError
from models.heads.novelty import NoveltySettings, fit_and_score, head_from_arrays
from models.projections.base import Projection
from models.projections.losses import build_loss, rows_of_views
from models.projections.trained import (
    LOSSES,
    LossName,
    ProjectionTraining,
    TrainedProjection,
    ViewedVectors,
    loss_named,
    silhouette,
    silhouette_of,
)
from models.projections.training import Epoch, train_projection

DIMENSION = 24
Rows = NDArray[np.float64]


def samples(count: int, seed: int, *, labelled: bool = True, classes: int = 3, each: int = 4) -> ViewedVectors:
    """Classes that differ in four values out of 24; the rest is much larger, and says nothing of them.

    A sample's views differ in eight of those.
    """
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((classes, 4)) * 2
    labels = np.arange(count) % classes
    plain = random.standard_normal((count, DIMENSION)) * 3
    plain[:, :4] = centres[labels] + random.standard_normal((count, 4)) * 0.4
    views = np.repeat(plain[:, None], each, axis=1)
    views[:, :, 16:] += random.standard_normal((count, each, 8)) * 6
    views[:, :, :4] += random.standard_normal((count, each, 4)) * 0.1
    return ViewedVectors(
        plain.astype(np.float32), views.astype(np.float32), labels.astype(np.int64) if labelled else None
    )


def quick(loss: LossName, **changes: Any) -> ProjectionTraining:
    return ProjectionTraining(**{"loss": loss, "dimension": 8, "epochs": 30, "learning_rate": 1e-2, **changes})


def fitted(loss: LossName, **changes: Any) -> Any:
    return train_projection(quick(loss, **changes), samples(120, 1), samples(60, 2), device="cpu")


# What training is for.


@pytest.mark.parametrize("loss", ["cross_entropy", "triplet", "supervised_contrastive"])
def test_labels_bring_classes_together_in_samples_it_never_saw(loss: LossName) -> None:
    result, held = fitted(loss), samples(90, 3)
    raw, untrained, trained = (
        silhouette_of(held, "classes", one) for one in (None, result.untrained, result.projection)
    )
    assert raw is not None and untrained is not None and trained is not None
    assert raw < 0.1 and untrained < 0.1 < 0.4 < trained
    assert result.best > 0 and result.epochs[result.best].silhouette > result.epochs[0].silhouette + 0.3


def test_views_are_brought_together_without_labels() -> None:
    unlabelled = [samples(count, seed, labelled=False) for count, seed in ((120, 1), (60, 2), (90, 3))]
    result = train_projection(quick("self_supervised"), unlabelled[0], unlabelled[1], device="cpu")
    untrained, trained = (silhouette_of(unlabelled[2], "views", one) for one in (result.untrained, result.projection))
    assert untrained is not None and trained is not None and untrained < 0.35 < 0.6 < trained
    assert silhouette_of(unlabelled[2], "classes", result.projection) is None


def test_self_supervision_looks_at_no_label() -> None:
    training, validation = samples(60, 1), samples(30, 2)
    told = train_projection(quick("self_supervised", epochs=3), training, validation, device="cpu")
    bare, held = (ViewedVectors(one.plain, one.views) for one in (training, validation))
    untold = train_projection(quick("self_supervised", epochs=3), bare, held, device="cpu")
    assert np.array_equal(told.projection.matrix, untold.projection.matrix) and told.epochs == untold.epochs


# Losses against their formulas.


def unit(values: Rows) -> Rows:
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True))


def contrastive(rows: Rows, alike: Sequence[int], temperature: float) -> float:
    """Equation 9 of S4, the mean over i instead of the sum; alike rows are positives."""
    z = unit(rows)
    losses = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        exponents = {j: np.exp(z[i] @ z[j] / temperature) for j in others}
        positives = [j for j in others if alike[j] == alike[i]]
        losses.append(-np.mean([np.log(exponents[p] / sum(exponents.values())) for p in positives]))
    return float(np.mean(losses))


def batch_hard(rows: Rows, classes: Sequence[int], margin: float) -> float:
    z = unit(rows)
    distances = np.linalg.norm(z[:, None] - z[None], axis=2)
    alike = np.equal.outer(classes, classes)
    losses = []
    for i in range(len(z)):
        positives = [j for j in range(len(z)) if alike[i, j] and j != i]
        negatives = [j for j in range(len(z)) if not alike[i, j]]
        losses.append(max(0.0, distances[i, positives].max() - distances[i, negatives].min() + margin))
    above = [loss for loss in losses if loss > 0]
    return float(np.mean(above)) if above else 0.0


def reckoned(loss: LossName, views: Rows, classes: Sequence[int], **changes: Any) -> float:
    count = len(views)
    rows = rows_of_views(torch.from_numpy(views), torch.tensor(classes), torch.arange(count))
    return float(build_loss(ProjectionTraining(loss, **changes), views.shape[2], 3)(*rows).item())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), temperature=st.floats(0.05, 2), margin=st.floats(0.01, 1.5))
def test_losses_are_those_of_their_formulas(seed: int, temperature: float, margin: float) -> None:
    views = np.random.default_rng(seed).standard_normal((6, 3, 5))
    classes, rows = [0, 1, 2, 0, 1, 0], views.reshape(18, 5)
    of_class, of_sample = np.repeat(classes, 3).tolist(), np.repeat(np.arange(6), 3).tolist()
    supervised = reckoned("supervised_contrastive", views, classes, temperature=temperature)
    assert supervised == pytest.approx(contrastive(rows, of_class, temperature), rel=1e-5)
    alone = reckoned("self_supervised", views, classes, temperature=temperature)
    assert alone == pytest.approx(contrastive(rows, of_sample, temperature), rel=1e-5)
    triplet = reckoned("triplet", views, classes, margin=margin)
    assert triplet == pytest.approx(batch_hard(rows, of_class, margin), rel=1e-5)


def test_of_two_views_the_self_supervised_loss_is_that_of_simclr() -> None:
    views = np.random.default_rng(0).standard_normal((8, 2, 6))
    first, second = torch.from_numpy(views[:, 0]), torch.from_numpy(views[:, 1])
    theirs = SelfSupervisedLoss(NTXentLoss(temperature=0.2))(first, second)
    assert reckoned("self_supervised", views, [0] * 8, temperature=0.2) == pytest.approx(float(theirs), rel=1e-5)


def test_cross_entropy_trains_a_layer_to_the_classes_that_is_dropped() -> None:
    loss = build_loss(ProjectionTraining("cross_entropy"), 8, 5)
    assert [tuple(value.shape) for value in loss.parameters()] == [(5, 8), (5,)]
    rows = torch.randn(10, 8, generator=torch.Generator().manual_seed(0))
    classes = torch.arange(10) % 5
    layer = dict(loss.named_parameters())
    logits = rows @ layer["classifier.weight"].T + layer["classifier.bias"]
    wanted = (torch.logsumexp(logits, 1) - logits[torch.arange(10), classes]).mean()
    assert loss(rows, classes, torch.arange(10)).item() == pytest.approx(wanted.item(), rel=1e-6)
    assert set(fitted("cross_entropy", epochs=1).projection.to_arrays()) == {
        "offset",
        "matrix",
        "bias",
        "to_unit_length",
    }


@pytest.mark.parametrize("loss", get_args(LossName))
def test_a_batch_of_one_kind_teaches_the_metric_losses_nothing(loss: LossName) -> None:
    rows = torch.randn(4, 6, requires_grad=True)
    value = build_loss(ProjectionTraining(loss), 6, 2)(rows, torch.zeros(4, dtype=torch.long), torch.zeros(4).long())
    value.backward()
    assert torch.isfinite(value) and rows.grad is not None and torch.isfinite(rows.grad).all()
    assert (value.item() == 0) == (loss != "cross_entropy")


# What is given back.


@pytest.mark.parametrize("loss", get_args(LossName))
def test_the_same_seed_gives_the_same_projection_and_another_does_not(loss: LossName) -> None:
    state = torch.random.get_rng_state()
    first, second, other = (fitted(loss, epochs=3, seed=seed).projection for seed in (0, 0, 1))
    assert np.array_equal(first.matrix, second.matrix) and np.array_equal(first.bias, second.bias)
    assert not np.allclose(first.matrix, other.matrix)
    assert torch.equal(state, torch.random.get_rng_state()), "torch's own generator is left alone"


@pytest.mark.parametrize("loss", get_args(LossName))
def test_a_projection_is_read_back_to_the_last_bit(loss: LossName) -> None:
    projection, vectors = fitted(loss, epochs=1).projection, samples(17, 5).plain
    assert isinstance(projection, Projection)
    again = TrainedProjection.from_arrays(projection.to_arrays())
    assert np.array_equal(again.apply(vectors), projection.apply(vectors))
    assert all(array.ndim >= 1 and array.dtype != object for array in projection.to_arrays().values())


@pytest.mark.parametrize("loss", get_args(LossName))
def test_it_is_one_linear_layer_on_standardised_vectors(loss: LossName) -> None:
    training = samples(120, 1)
    projection = fitted(loss, epochs=2, dimension=7).projection
    vectors = samples(40, 8).plain
    out = projection.apply(vectors)
    assert out.shape == (40, 7) and out.dtype == np.float32 and projection.dimension == 7
    assert np.abs(projection.offset - training.views.reshape(-1, DIMENSION).mean(axis=0)).max() < 1e-4
    straight = (vectors - projection.offset) @ projection.matrix + projection.bias
    wanted = straight if loss == "cross_entropy" else unit(straight)
    assert np.abs(out - wanted).max() < 1e-5
    assert projection.to_unit_length == (loss != "cross_entropy")


def test_a_novelty_head_judges_by_it_and_is_read_back() -> None:
    projection, normal = fitted("triplet", epochs=2).projection, samples(60, 6).plain
    settings_used = NoveltySettings(scaling="none")
    head, _ = fit_and_score(settings_used, normal, projection=projection)
    vectors = samples(10, 7).plain
    again = head_from_arrays(head.to_arrays())
    assert isinstance(again.projection, TrainedProjection)
    np.testing.assert_array_equal(again.score(vectors), head.score(vectors))
    # Scores are distances between projected vectors.
    placed, _ = fit_and_score(settings_used, projection.apply(normal))
    np.testing.assert_allclose(head.score(vectors), placed.score(projection.apply(vectors)), rtol=1e-4)


def test_many_vectors_at_once_are_as_few_at_a_time() -> None:
    projection, vectors = fitted("triplet", epochs=1).projection, samples(9000, 4).plain
    parts = [projection.apply(vectors[start : start + 1000]) for start in range(0, 9000, 1000)]
    assert np.abs(projection.apply(vectors) - np.concatenate(parts)).max() < 1e-6
    assert projection.apply(vectors[:0]).shape == (0, 8)


def test_a_vector_that_projects_to_nothing_stays_nothing() -> None:
    projection = TrainedProjection(np.ones(3), np.eye(3), np.zeros(3), to_unit_length=True)
    assert projection.apply(np.ones((1, 3), np.float32)).tolist() == [[0, 0, 0]]


def test_vectors_of_another_length_are_refused() -> None:
    projection = TrainedProjection(np.zeros(3), np.ones((3, 2)), np.zeros(2), to_unit_length=False)
    with pytest.raises(ValueError, match=r"\(N, 3\)"):
        projection.apply(np.ones((4, 1), np.float32))
    with pytest.raises(ValueError, match="matrix"):
        TrainedProjection(np.zeros(3), np.ones((3, 2)), np.zeros(3), to_unit_length=False)


# When training stops.


def test_the_epoch_with_the_best_silhouette_of_the_validation_samples_is_kept() -> None:
    told: list[Epoch] = []
    validation = samples(60, 2)
    result = train_projection(
        quick("supervised_contrastive", epochs=8), samples(120, 1), validation, told.append, device="cpu"
    )
    assert tuple(told) == result.epochs and [epoch.number for epoch in told] == list(range(len(told)))
    assert told[0].training_loss is None and all(epoch.training_loss is not None for epoch in told[1:])
    silhouettes = [epoch.silhouette for epoch in told]
    assert result.best == int(np.argmax(silhouettes))
    assert silhouette_of(validation, "classes", result.projection) == pytest.approx(silhouettes[result.best])
    assert silhouette_of(validation, "classes", result.untrained) == pytest.approx(silhouettes[0])


def test_where_labels_say_nothing_training_stops_early() -> None:
    training, validation = samples(60, 1), samples(40, 2)
    shuffled = np.random.default_rng(0).permutation(validation.labels if validation.labels is not None else [])
    result = train_projection(
        quick("supervised_contrastive", epochs=50, patience=2),
        training,
        ViewedVectors(validation.plain, validation.views, shuffled),
        device="cpu",
    )
    assert len(result.epochs) == result.best + 3 < 51


def test_a_layer_that_training_does_not_help_stays_as_it_was_drawn_and_says_so() -> None:
    training, validation = samples(60, 1), samples(40, 2)
    # The very opposite of what was learnt: two classes lie together, and each is told as two.
    wrong = (np.arange(40) // 3 % 2).astype(np.int64)
    result = train_projection(
        quick("supervised_contrastive", epochs=4, patience=1, learning_rate=1e-6),
        training,
        ViewedVectors(np.ones_like(validation.plain), validation.views, wrong),
        device="cpu",
    )
    assert result.best == 0 and "as it was drawn" in result.remark
    assert np.array_equal(result.projection.matrix, result.untrained.matrix)


def test_what_was_still_improving_says_so() -> None:
    result = fitted("supervised_contrastive", epochs=2)
    assert result.best == 2 and "still rising after 2 epochs" in result.remark


def test_a_dimension_beyond_that_of_the_vectors_is_reduced() -> None:
    assert fitted("cross_entropy", dimension=256, epochs=1).projection.dimension == DIMENSION


# Silhouettes.


def test_the_silhouette_is_that_of_its_formula() -> None:
    random = np.random.default_rng(1)
    vectors, labels = random.standard_normal((20, 3)).astype(np.float32), np.arange(20) % 4
    distances = np.linalg.norm(vectors[:, None].astype(np.float64) - vectors[None], axis=2)
    scores = []
    for i in range(20):
        own = [j for j in range(20) if labels[j] == labels[i] and j != i]
        nearest = min(distances[i, labels == other].mean() for other in set(labels.tolist()) - {labels[i]})
        within = distances[i, own].mean()
        scores.append((nearest - within) / max(nearest, within))
    assert silhouette(vectors, labels) == pytest.approx(np.mean(scores), abs=1e-9)
    assert silhouette(vectors, labels) == pytest.approx(silhouette_samples(vectors.astype(np.float64), labels).mean())


def test_a_silhouette_needs_two_classes_and_two_of_one() -> None:
    vectors = np.random.default_rng(0).standard_normal((4, 2)).astype(np.float32)
    assert silhouette(vectors, np.zeros(4, np.int64)) is None
    assert silhouette(vectors, np.arange(4)) is None
    apart = np.array([[0, 0], [0, 0], [9, 9], [9, 9]], np.float32)
    assert silhouette(apart, np.array([0, 0, 1, 1])) == pytest.approx(1)
    assert silhouette(apart, np.array([0, 1, 0, 1])) == pytest.approx(-0.5)


# What is refused.


@pytest.mark.parametrize(
    "wrong",
    [
        {"dimension": 0},
        {"epochs": 0},
        {"patience": 0},
        {"batch_size": 1},
        {"learning_rate": 0.0},
        {"temperature": -1.0},
        {"margin": float("nan")},
        {"weight_decay": -0.1},
        {"seed": -1},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="correct the value"):
        ProjectionTraining(**wrong)


def test_an_unknown_loss_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match='did you mean "triplet"'):
        loss_named("triplets")
    assert [loss_named(name) for name in LOSSES] == list(LOSSES)


@pytest.mark.parametrize(
    ("loss", "training", "validation", "message"),
    [
        ("triplet", samples(30, 1, labelled=False), samples(9, 2), "needs labels"),
        ("cross_entropy", samples(30, 1, classes=1), samples(9, 2), "tells classes apart"),
        ("cross_entropy", samples(30, 1, classes=2), samples(9, 2), "not in training"),
        ("self_supervised", samples(30, 1, each=1), samples(9, 2), "at least 2 of each"),
        ("self_supervised", samples(1, 1), samples(9, 2), "at least 2 samples"),
        ("triplet", samples(30, 1), samples(3, 2), "no two of 3"),
    ],
)
def test_samples_that_do_not_do_are_refused(
    loss: LossName, training: ViewedVectors, validation: ViewedVectors, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        train_projection(quick(loss), training, validation, device="cpu")


def test_samples_that_do_not_fit_one_another_are_refused() -> None:
    good = samples(6, 1)
    with pytest.raises(ValueError, match=r"\(N, V, D\)"):
        ViewedVectors(good.plain[:5], good.views)
    with pytest.raises(ValueError, match="one for each"):
        ViewedVectors(good.plain, good.views, np.zeros(5, np.int64))
    with pytest.raises(ValueError, match="finite"):
        ViewedVectors(good.plain * np.inf, good.views)
    shorter = ViewedVectors(good.plain[:, :5], good.views[:, :, :5], good.labels)
    with pytest.raises(ConfigurationError, match="two encoders"):
        train_projection(quick("triplet"), good, shorter, device="cpu")


def test_a_loss_that_is_not_finite_is_told() -> None:
    with pytest.raises(AfterwatchError, match="train with a smaller one"):
        fitted("cross_entropy", learning_rate=1e30)
