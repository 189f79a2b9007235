"""Plans hold settings and give them back; what comes from elsewhere is checked value by value."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from infra.errors import ConfigurationError, UnknownNameError
from models.autoencoders.settings import settings_of
from models.autoencoders.training import TrainingSettings, first_network
from models.federation.plan import FederatedPlan, TensorSpec
from models.federation.plan_settings import (
    autoencoder_settings,
    classes_of,
    classifier_settings,
    inputs_of,
    projection_settings,
    values_of,
)
from models.federation.sites import (
    autoencoder_plan,
    check_plan,
    classifier_plan,
    initial_shared,
    projection_plan,
    shared_specs,
)
from models.heads.classifier import ClassifierSettings
from models.projections.trained import ProjectionTraining

SHAPE = settings_of("hasan", {"width": 0.03, "size_px": 48})
TRAINING = TrainingSettings(strides=(1, 3), learning_rate=0.5, seed=4)
CLASSIFIER = ClassifierSettings(hidden=(5, 3), members=2, seed=4, class_weights="none")
PROJECTION = ProjectionTraining(loss="cross_entropy", dimension=3, seed=4)


def plans() -> dict[str, FederatedPlan]:
    length: dict[str, Any] = {"rounds": 3, "local_epochs": 2}
    return {
        "autoencoder": autoencoder_plan("gate", SHAPE, TRAINING, inputs={"rate_hz": 2.5}, **length),
        "classifier": classifier_plan("gate", CLASSIFIER, ("a", "b"), 7, inputs={"encoder": "clip"}, **length),
        "projection": projection_plan("gate", PROJECTION, ("a", "b"), 7, inputs={"views": 4}, **length),
    }


def test_a_plan_gives_its_settings_back_from_json() -> None:
    read = {kind: FederatedPlan.from_json(plan.to_json()) for kind, plan in plans().items()}
    assert read == plans()
    assert autoencoder_settings(read["autoencoder"]) == (SHAPE, replace(TRAINING, epochs=6))
    assert classifier_settings(read["classifier"]) == replace(CLASSIFIER, epochs=6)
    assert projection_settings(read["projection"]) == replace(PROJECTION, epochs=6)
    assert [dict(inputs_of(plan)) for plan in read.values()] == [{"rate_hz": 2.5}, {"encoder": "clip"}, {"views": 4}]
    assert classes_of(read["classifier"]) == ("a", "b") and values_of(read["projection"]) == 7


def test_tensors_begin_as_those_of_central_training() -> None:
    before = torch.random.get_rng_state()
    shared = {kind: initial_shared(plan) for kind, plan in plans().items()}
    assert torch.equal(before, torch.random.get_rng_state())
    network = first_network(SHAPE, 4)
    assert sorted(shared["autoencoder"]) == sorted(name for name, _ in network.named_parameters())
    assert all(
        np.array_equal(shared["autoencoder"][name], value.detach()) for name, value in network.named_parameters()
    )
    for kind, plan in plans().items():
        told = [TensorSpec(name, value.shape, value.dtype.name) for name, value in sorted(shared[kind].items())]
        assert list(plan.shared) == told
        other = initial_shared(replace(plan, seed=5))
        assert all(not np.array_equal(value, other[name]) for name, value in shared[kind].items() if value.ndim > 1)


@pytest.mark.parametrize("name", ["hasan", "chong_tay", "istl"])
def test_every_learnt_tensor_of_an_autoencoder_is_shared_and_no_other(name: str) -> None:
    plan = autoencoder_plan("gate", settings_of(name), TRAINING, rounds=1, local_epochs=1)
    with torch.device("meta"):
        network = first_network(settings_of(name), 0)
    local = {"mean", "deviation"}
    assert {spec.name for spec in plan.shared} == set(network.state_dict()) - local
    assert plan.bytes == 4 * sum(value.numel() for key, value in network.state_dict().items() if key not in local)


def changed(kind: str, part: str, **values: Any) -> FederatedPlan:
    """A plan with other values in its model or training; `...` takes one away."""
    plan = plans()[kind]
    told = {name: value for name, value in {**getattr(plan, part), **values}.items() if value is not ...}
    return replace(plan, model=told) if part == "model" else replace(plan, training=told)


@pytest.mark.parametrize(
    ("kind", "part", "values", "message"),
    [
        ("autoencoder", "model", {"architecture": "hasen"}, "did you mean"),
        ("autoencoder", "model", {"architecture": ["hasan"]}, "architecture, width, size_px and inputs"),
        ("autoencoder", "model", {"width": "wide"}, "width of an autoencoder"),
        ("autoencoder", "model", {"width": ...}, "architecture, width, size_px and inputs"),
        ("autoencoder", "model", {"code": "import os"}, "architecture, width, size_px and inputs"),
        ("autoencoder", "model", {"inputs": 3}, "inputs of a plan are an object"),
        ("autoencoder", "training", {"batch_size": 4.0}, "batch_size of a plan is of type int, got 4.0"),
        ("autoencoder", "training", {"batch_size": True}, "of type int, got True"),
        ("autoencoder", "training", {"batch_size": 3}, "batch_size of a plan is at least 4"),
        ("autoencoder", "training", {"gradient_norm": 1e-12}, "gradient_norm of a plan is at least 0.001"),
        ("autoencoder", "training", {"learning_rate": 1e6}, "learning_rate of a plan is at most 1"),
        ("autoencoder", "training", {"learning_rate": 1.0, "weight_decay": 1.0}, "learning_rate · weight_decay"),
        ("autoencoder", "training", {"strides": [1, 1]}, "each given once"),
        ("autoencoder", "training", {"strides": [1, "2"]}, "strides of a plan is a list of at most 100 whole numbers"),
        ("autoencoder", "training", {"strides": [1] * 101}, "strides of a plan is a list of at most 100"),
        ("autoencoder", "training", {"batch_size": 4097}, "batch_size of a plan is at most 4096"),
        ("autoencoder", "model", {"size_px": 2049}, "size_px of a plan is at most 2048"),
        ("autoencoder", "training", {"seed": 3}, "unknown or missing values: seed"),
        ("autoencoder", "training", {"gradient_norm": ...}, "unknown or missing values: gradient_norm"),
        ("classifier", "model", {"classes": []}, "at least one class"),
        ("classifier", "model", {"classes": ["a", "a"]}, "each of another class"),
        ("classifier", "model", {"classes": "ab"}, "a list of at most 1000 names"),
        ("classifier", "model", {"classes": ["b" * 101]}, "at most 100 characters"),
        ("classifier", "model", {"values": 0}, "from 1 to 1000000, got 0"),
        ("classifier", "model", {"hidden": [10**9]}, "hidden is at most"),
        ("classifier", "model", {"members": ...}, "classes, values, inputs, hidden and members"),
        ("classifier", "training", {"hidden": [4]}, "both of the model and of its training"),
        ("classifier", "training", {"dropout": 0.999}, "dropout of a plan is at most 0.9"),
        ("classifier", "training", {"class_weights": "some"}, "unknown class weights"),
        ("projection", "model", {"loss": "none"}, 'unknown loss "none"'),
        ("projection", "model", {"loss": ["triplet"]}, "loss of a plan is of type str"),
        ("projection", "model", {"classes": ["a"]}, "name at least 2"),
        ("projection", "training", {"temperature": 1e-6}, "temperature of a plan is at least 0.01"),
        ("projection", "training", {"temperature": "hot"}, "temperature of a plan is of type float"),
    ],
)
def test_a_value_that_is_none_is_refused(kind: str, part: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_plan(changed(kind, part, **values))


def test_whole_numbers_do_for_real_ones() -> None:
    settings = autoencoder_settings(changed("autoencoder", "training", learning_rate=1))[1]
    assert settings.learning_rate == 1.0 and isinstance(settings.learning_rate, float)


@pytest.mark.parametrize("kind", ["autoencoder", "classifier", "projection"])
def test_a_plan_that_shares_other_tensors_than_its_models_is_refused(kind: str) -> None:
    plan = plans()[kind]
    first = plan.shared[0]
    for shared in (
        plan.shared[1:],
        (*plan.shared, TensorSpec("mean", (48, 48), "float32")),
        (replace(first, shape=(*first.shape, 2)), *plan.shared[1:]),
        (replace(first, dtype="float64"), *plan.shared[1:]),
    ):
        with pytest.raises(ConfigurationError, match="other tensors than its model learns"):
            check_plan(replace(plan, shared=shared))
    check_plan(replace(plan, shared=plan.shared[::-1]))


def test_a_plan_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="of kind projection, not classifier"):
        classifier_settings(plans()["projection"])
    with pytest.raises(UnknownNameError):
        replace(plans()["projection"], kind="recogniser")  # type: ignore[arg-type]


def test_the_tensors_of_a_large_model_are_told_without_making_it() -> None:
    plan = changed("classifier", "model", values=1_000_000, hidden=[65_536, 65_536])
    assert sum(spec.bytes for spec in shared_specs(plan)) > 2 * 4 * 65_536 * 1_000_000
