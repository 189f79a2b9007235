"""A federation of one site is central training of a projection, to the last bit; scales stay at their sites."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from infra.errors import ConfigurationError, WeightsError
from models.autoencoders.checkpoint import CheckpointError
from models.federation.base import SiteError
from models.federation.plan import FederatedPlan
from models.federation.projection_site import ProjectionSite
from models.federation.sites import initial_shared, projection_plan, projection_site
from models.projections.trained import (
    SELF_SUPERVISED,
    LossName,
    ProjectionTraining,
    TrainedProjection,
    ViewedVectors,
    silhouette_of,
)
from models.projections.training import train_projection
from tests.models.federation.one_place import far, federated, same

CLASSES = ("run", "stand", "walk")
VALUES = 16
SETTINGS = ProjectionTraining(dimension=6, batch_size=16, learning_rate=1e-2, patience=100, seed=3)


def samples(count: int, seed: int, *, classes: tuple[int, ...] = (0, 1, 2), labelled: bool = True) -> ViewedVectors:
    """Classes that differ in four values out of 16; the rest is larger, and says nothing of them. Seeds have other offsets."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((3, 4)) * 2
    labels = np.array(classes)[np.arange(count) % len(classes)]
    plain = random.standard_normal((count, VALUES)) * 2 + seed
    plain[:, :4] = centres[labels] + random.standard_normal((count, 4)) * 0.4 + seed
    views = plain[:, None] + random.standard_normal((count, 3, VALUES)) * 0.3
    return ViewedVectors(plain.astype(np.float32), views.astype(np.float32), labels if labelled else None)


def planned(loss: LossName, rounds: int, local_epochs: int) -> FederatedPlan:
    classes = () if loss == SELF_SUPERVISED else CLASSES
    settings = replace(SETTINGS, loss=loss)
    return projection_plan("gait", settings, classes, VALUES, rounds=rounds, local_epochs=local_epochs)


def site(plan: FederatedPlan) -> ProjectionSite:
    return projection_site(plan, samples(50, 1), samples(30, 2))


def arrays(projection: TrainedProjection) -> dict[str, np.ndarray]:
    return projection.to_arrays()


@pytest.mark.parametrize("loss", get_args(LossName))
@pytest.mark.parametrize(("rounds", "local_epochs"), [(4, 1), (2, 2)])
def test_one_site_is_central_training_to_the_last_bit(loss: LossName, rounds: int, local_epochs: int) -> None:
    settings, plan = replace(SETTINGS, loss=loss, epochs=4), planned(loss, rounds, local_epochs)
    alone = site(plan)
    result, reports = federated(plan, {"only": alone})
    trained = train_projection(settings, samples(50, 1), samples(30, 2), device="cpu")
    assert same(arrays(alone.finished(initial_shared(plan))), arrays(trained.untrained))
    for report in reports:
        reached = trained.epochs[report.number * local_epochs]
        assert (report.loss, report.held_out_loss) == (reached.training_loss, reached.validation_loss)
    told = [report.number for report in reports if report.number * local_epochs == trained.best]
    for number in told:
        assert same(arrays(alone.finished(reports[number - 1].shared)), arrays(trained.projection))
    assert local_epochs > 1 or told, "the best epoch is one of the rounds"
    if trained.best == 4:
        assert same(arrays(alone.finished(result.shared)), arrays(trained.projection))


def test_scales_do_not_cross_and_the_layer_to_the_classes_does() -> None:
    plan = planned("cross_entropy", 2, 1)
    own = {"gate": samples(50, 1), "yard": samples(40, 6)}
    sites = {name: projection_site(plan, one, samples(20, 2)) for name, one in own.items()}
    result, _ = federated(plan, sites)
    assert sorted(result.shared) == ["layer.bias", "layer.weight", "loss.classifier.bias", "loss.classifier.weight"]
    for name, one in sites.items():
        projection = one.finished(result.shared)
        assert projection.offset == pytest.approx(own[name].views.mean(axis=(0, 1)), abs=1e-4)
        assert projection.bias == pytest.approx(result.shared["layer.bias"])
    assert sorted(planned("triplet", 1, 1).shared[0].name + one.name for one in planned("triplet", 1, 1).shared) == [
        "layer.biaslayer.bias",
        "layer.biaslayer.weight",
    ]


def test_sites_with_different_classes_tell_all_of_them_apart() -> None:
    plan = planned("supervised_contrastive", 6, 2)
    one = projection_site(plan, samples(60, 1, classes=(0, 1)), samples(30, 2, classes=(0, 1)))
    other = projection_site(plan, samples(60, 1, classes=(1, 2)), samples(30, 2, classes=(1, 2)))
    result, _ = federated(plan, {"gate": one, "yard": other})
    before, after = (
        silhouette_of(samples(60, 1), "classes", one.finished(shared))
        for shared in (initial_shared(plan), result.shared)
    )
    assert before is not None and after is not None and after > before + 0.3


def test_a_round_asked_for_again_gives_the_same_and_memory_counts() -> None:
    plan = planned("triplet", 3, 1)
    one, shared = site(plan), initial_shared(plan)
    before = {name: value.copy() for name, value in shared.items()}
    generator = torch.random.get_rng_state()
    first = one.train(shared, 1, None)
    assert same(shared, before) and torch.equal(generator, torch.random.get_rng_state())
    second, again = (site(plan).train(first.shared, 2, first.memory) for _ in range(2))
    assert same(second.shared, again.shared) and second.memory == again.memory and second.samples == 50
    assert far(second.shared, one.train(first.shared, 2, None).shared) > 1e-4


def test_memory_of_another_training_is_refused() -> None:
    shared = initial_shared(planned("triplet", 3, 1))
    memory = site(planned("triplet", 3, 1)).train(shared, 1, None).memory
    with pytest.raises(CheckpointError, match="another training"):
        site(planned("supervised_contrastive", 3, 1)).train(shared, 2, memory)
    with pytest.raises(WeightsError, match="damaged"):
        site(planned("triplet", 3, 1)).train(shared, 2, memory[:-1])


@pytest.mark.parametrize(
    ("loss", "training", "message"),
    [
        ("triplet", samples(20, 1, labelled=False), "needs labels"),
        ("cross_entropy", samples(20, 1, classes=(1,)), "tells classes apart"),
        ("self_supervised", samples(1, 1), "at least 2 samples"),
    ],
)
def test_samples_that_do_not_do_are_told_by_a_word(loss: LossName, training: ViewedVectors, message: str) -> None:
    with pytest.raises(SiteError, match=message) as raised:
        projection_site(planned(loss, 1, 1), training, samples(20, 2))
    assert raised.value.word == "too-few-samples"


def test_samples_of_another_plan_are_refused() -> None:
    plan = projection_plan("gait", SETTINGS, CLASSES[:2], VALUES, rounds=1, local_epochs=1)
    with pytest.raises(ConfigurationError, match="of class 2, and the plan has classes 0 to 1"):
        projection_site(plan, samples(20, 1), samples(20, 2))
    other = projection_plan("gait", SETTINGS, CLASSES, VALUES + 1, rounds=1, local_epochs=1)
    with pytest.raises(ConfigurationError, match="vectors of 17 values, the samples have 16"):
        projection_site(other, samples(20, 1), samples(20, 2))
