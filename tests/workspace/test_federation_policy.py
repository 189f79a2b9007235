"""What a site does for a server, and what it does not: no plan gets further than its settings and bounds allow."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from infra.errors import ConfigurationError
from infra.settings import FederationTable
from models.federation.base import SiteError
from models.federation.plan import FederatedPlan, TensorSpec
from tests.workspace.federated import APPEARANCE, a_classifier, a_projection, an_autoencoder, view_inputs
from workspace.clip_vectors import inputs_of
from workspace.federation.policy import MOST_BYTES, check_allowed, check_bounds

ALL = FederationTable(least_samples=4)


def with_model(plan: FederatedPlan, **changes: Any) -> FederatedPlan:
    return replace(plan, model={**plan.model, **changes})


def with_training(plan: FederatedPlan, **changes: Any) -> FederatedPlan:
    return replace(plan, training={**plan.training, **changes})


@pytest.mark.parametrize("plan", [an_autoencoder(), a_classifier(), a_projection()])
def test_a_plan_of_each_kind_is_allowed_and_read_back_as_well(plan: FederatedPlan) -> None:
    check_allowed(plan, ALL)
    check_allowed(FederatedPlan.from_json(plan.to_json()), ALL)


def test_a_kind_that_the_settings_do_not_name_is_refused() -> None:
    only = FederationTable(kinds=("autoencoder",), least_samples=4)
    check_allowed(an_autoencoder(), only)
    for plan in (a_classifier(), a_projection()):
        with pytest.raises(SiteError, match=r"kinds are autoencoder; add it there") as refused:
            check_allowed(plan, only)
        assert refused.value.word == "not-allowed"


def _measured(plan: FederatedPlan) -> FederatedPlan:
    """It asks for a tensor that is measured from footage, and stays at each site."""
    return replace(plan, shared=(*plan.shared, TensorSpec("mean", (48, 48), "float32")))


REFUSED: dict[str, tuple[Callable[[], FederatedPlan], str]] = {
    "the mean picture is asked for": (lambda: _measured(an_autoencoder()), "shares other tensors .* mean"),
    "offset and scale are asked for": (
        lambda: replace(a_classifier(), shared=(*a_classifier().shared, TensorSpec("offset", (2304,), "float32"))),
        "shares other tensors .* offset",
    ),
    "a tensor is left out": (lambda: replace(an_autoencoder(), shared=an_autoencoder().shared[:-1]), "shares other"),
    "another shape than the model's": (lambda: with_model(a_classifier(), members=2), "shares other tensors"),
    "too many epochs": (lambda: replace(a_classifier(), rounds=1001), "1001 rounds of 1 epochs are 1001"),
    "too many local epochs": (lambda: replace(a_classifier(), local_epochs=501), "2 rounds of 501 epochs"),
    "too many bytes": (
        lambda: replace(a_classifier(), shared=(TensorSpec("weights.0", (MOST_BYTES // 4 + 1,), "float32"),)),
        f"the most is {MOST_BYTES}",
    ),
    "pictures of any size": (lambda: with_model(an_autoencoder(), size_px=4096), "size_px of a plan"),
    "hours of pictures that fill a disk": (
        lambda: with_model(an_autoencoder(rate_hz=60.0), size_px=256),
        "the most is 1000000",
    ),
    "steps that fill the memory": (
        lambda: with_training(with_model(an_autoencoder(rate_hz=1.0), size_px=512), batch_size=100),
        "the most is 67108864",
    ),
    "windows without end": (
        lambda: a_classifier(inputs=inputs_of([APPEARANCE], window_s=2.0, stride_s=0.001, frame_rate_hz=1.0)),
        "stride_s is 0.001",
    ),
    "steps of any size": (lambda: with_training(a_projection(), batch_size=100_000), "batch_size of a plan"),
    "cuboids that reach over hours": (lambda: with_training(an_autoencoder(), strides=[1, 9999]), "strides is 9999"),
    "the same cuboids as many samples": (
        lambda: with_training(an_autoencoder(), strides=[1] * 100),
        "each given once",
    ),
    "the same second as many pictures": (lambda: an_autoencoder(rate_hz=90.0), "rate_hz is 90, the most is 60"),
    "steps out of the world": (
        lambda: with_training(an_autoencoder(), learning_rate=1e6),
        "learning_rate of a plan is at most 1, got 1e",
    ),
    "a classifier's as well": (
        lambda: with_training(a_classifier(), learning_rate=2.0),
        "learning_rate of a plan is at most 1, got 2",
    ),
    "a projection's as well": (
        lambda: with_training(a_projection(), learning_rate=2.0),
        "learning_rate of a plan is at most 1, got 2",
    ),
    "weights that decay at once": (
        lambda: with_training(a_classifier(), weight_decay=1e5),
        "weight_decay of a plan is at most 1, got",
    ),
    "an update that is the gradient": (
        lambda: with_training(an_autoencoder(), gradient_norm=1e-12),
        "gradient_norm of a plan is at least 0.001, got 1e-12",
    ),
    "one pair of samples that decides": (
        lambda: with_training(a_projection(), temperature=1e-6),
        "temperature of a plan is at least 0.01",
    ),
    "a margin without end": (lambda: with_training(a_projection(), margin=1e6), "margin of a plan is at most 100"),
    "a blank in an encoder's name": (lambda: an_autoencoder("the yard"), "cannot name an autoencoder"),
    "the name of untrained weights": (lambda: an_autoencoder("random"), "untrained weights"),
    "the name of another projection": (lambda: a_projection("pca"), "are taken"),
    "no rate": (lambda: an_autoencoder(inputs={}), "tell nothing, and have to tell rate_hz"),
    "a rate of nothing": (lambda: an_autoencoder(inputs={"rate_hz": 0}), "above 0"),
    "more than a rate": (lambda: an_autoencoder(inputs={"rate_hz": 5, "path": "/etc"}), "tell path, rate_hz"),
    "no encoder": (lambda: with_model(a_classifier(), inputs={}), "tell nothing"),
    "many views": (lambda: a_projection(inputs=view_inputs(views=99)), "at most 16 views"),
    "a view that is none": (
        lambda: a_projection(inputs={**view_inputs(), "viewing": {"views": 2, "seed": 0, "augmentation": {"spin": 9}}}),
        "does not say how samples are viewed",
    ),
}


@pytest.mark.parametrize("asked", REFUSED, ids=str)
def test_a_plan_that_asks_for_more_is_refused_with_a_word_and_a_reason_for_the_sites_own_people(asked: str) -> None:
    make, reason = REFUSED[asked]
    with pytest.raises(SiteError, match=reason) as refused:
        check_allowed(make(), ALL)
    assert refused.value.word == "not-allowed"


@pytest.mark.parametrize("asked", REFUSED, ids=str)
def test_a_server_is_told_of_a_plan_that_no_site_allows(asked: str) -> None:
    make, reason = REFUSED[asked]
    with pytest.raises(ConfigurationError, match=reason):
        check_bounds(make())


def test_an_epoch_draws_as_many_samples_as_the_settings_ask_for() -> None:
    """However much footage a site has, what an update is made of is what is drawn."""
    plan = with_training(an_autoencoder(), cuboids_per_epoch=49)
    check_bounds(plan)
    with pytest.raises(SiteError, match=r"draws 49 samples, and \[federation\] least_samples asks for 50") as refused:
        check_allowed(plan, FederationTable())
    assert refused.value.word == "not-allowed"
    check_allowed(with_training(an_autoencoder(), cuboids_per_epoch=50), FederationTable())
