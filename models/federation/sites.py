"""From settings to the plan of a federated training, and from a plan to its first tensors and to a site that trains by it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from infra.errors import ConfigurationError
from models.autoencoders.cuboids import Cuboids, Grey
from models.autoencoders.settings import AutoencoderSettings
from models.autoencoders.training import TrainingSettings, first_network, training_cuboids
from models.federation.autoencoder_site import AutoencoderSite
from models.federation.base import Progress, Tensors
from models.federation.classifier_site import ClassifierSite
from models.federation.plan import FederatedPlan, Kind, TensorSpec
from models.federation.plan_settings import (
    OF_THE_MODEL,
    OF_THE_PLAN,
    autoencoder_settings,
    class_count,
    classes_of,
    classifier_settings,
    inputs_of,
    projection_settings,
    values_of,
)
from models.federation.projection_site import ProjectionSite, shared_parameters
from models.federation.site_tensors import TORCH_GENERATOR, given_out
from models.heads.classifier import ClassifierSettings
from models.heads.classifier_network import HeadNetwork
from models.heads.classifier_samples import ClassifierSamples
from models.projections.trained import ProjectionTraining, ViewedVectors
from models.projections.training import first_layers

# Plans.


def autoencoder_plan(
    name: str,
    settings: AutoencoderSettings,
    training: TrainingSettings,
    *,
    rounds: int,
    local_epochs: int,
    inputs: Mapping[str, Any] | None = None,
) -> FederatedPlan:
    """Plan the federated training of an autoencoder.

    Args:
        name: of the model at every site.
        settings: its shape.
        training: how; not looked at are `epochs` and `patience`: there are rounds · local epochs, and no early stop.
        rounds: in all.
        local_epochs: of each site in each round.
        inputs: what else a site has to know to make cuboids, in values of JSON.
    """
    model = {"architecture": settings.architecture, **asdict(settings), "inputs": dict(inputs or {})}
    return _plan("autoencoder", name, model, training, rounds, local_epochs)


def classifier_plan(
    name: str,
    settings: ClassifierSettings,
    classes: Sequence[str],
    values: int,
    *,
    rounds: int,
    local_epochs: int,
    inputs: Mapping[str, Any] | None = None,
) -> FederatedPlan:
    """Plan the federated training of the head of an alarm.

    Args:
        name, rounds, local_epochs: see `autoencoder_plan`.
        settings: shape of the head and how it is trained; not looked at are `epochs` and `patience`.
        classes: alarm classes, in the order of the logits.
        values: D, values of a window's vector.
        inputs: what else a site has to know to make windows, in values of JSON: encoder, length and stride.
    """
    model = {"classes": list(classes), "values": values, "inputs": dict(inputs or {})}
    return _plan("classifier", name, model, settings, rounds, local_epochs)


def projection_plan(
    name: str,
    settings: ProjectionTraining,
    classes: Sequence[str],
    values: int,
    *,
    rounds: int,
    local_epochs: int,
    inputs: Mapping[str, Any] | None = None,
) -> FederatedPlan:
    """Plan the federated training of a projection.

    Args:
        name, rounds, local_epochs: see `autoencoder_plan`.
        settings: loss, dimension and how it is trained; not looked at are `epochs` and `patience`.
        classes: of the labels, in the order of their numbers; none for the self-supervised loss.
        values: D, values of a vector.
        inputs: what else a site has to know to make views, in values of JSON: encoder and augmentation.
    """
    model = {"classes": list(classes), "values": values, "inputs": dict(inputs or {})}
    return _plan("projection", name, model, settings, rounds, local_epochs)


def _plan(
    kind: Kind,
    name: str,
    model: Mapping[str, Any],
    settings: TrainingSettings | ClassifierSettings | ProjectionTraining,
    rounds: int,
    local_epochs: int,
) -> FederatedPlan:
    told = {key: value for key, value in asdict(settings).items() if key not in OF_THE_PLAN}
    told = {key: list(value) if isinstance(value, tuple) else value for key, value in told.items()}
    whole = {**model, **{key: told.pop(key) for key in OF_THE_MODEL.get(kind, ())}}
    # The tensors are those of the model, so the model is read first, from a plan that does not say them yet.
    nothing = (TensorSpec("unknown", (), "float32"),)
    unfinished = FederatedPlan(kind, name, whole, told, rounds, local_epochs, settings.seed, nothing)
    return FederatedPlan(kind, name, whole, told, rounds, local_epochs, settings.seed, shared_specs(unfinished))


def shared_specs(plan: FederatedPlan) -> tuple[TensorSpec, ...]:
    """The tensors that the plan's model learns, by name; nothing is made in memory.

    Raises:
        ConfigurationError: the plan's model or training is none.
    """
    # Nothing is drawn on this device, but the order of threads that fork torch's generator is kept all the same.
    with TORCH_GENERATOR, torch.random.fork_rng(devices=[]), torch.device("meta"):
        parameters = _first_parameters(plan)
    return tuple(
        TensorSpec(name, tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for name, value in sorted(parameters.items())
    )


def check_plan(plan: FederatedPlan) -> None:
    """Raise ConfigurationError unless the plan's settings are in their ranges and its model has the tensors it shares."""
    inputs_of(plan)
    wanted = {spec.name: spec for spec in shared_specs(plan)}
    told = {spec.name: spec for spec in plan.shared}
    if wrong := sorted(name for name in wanted.keys() | told.keys() if wanted.get(name) != told.get(name)):
        raise ConfigurationError(
            f"the plan shares other tensors than its model learns: {', '.join(wrong[:3])}{', …' if len(wrong) > 3 else ''}; "
            "make the plan with the same version as this one"
        )


def initial_shared(plan: FederatedPlan) -> Tensors:
    """The shared tensors before the first round, from plan and seed alone: those that central training begins with.

    Raises:
        ConfigurationError: see `check_plan`.
    """
    check_plan(plan)
    with TORCH_GENERATOR, torch.random.fork_rng(devices=[]):
        return given_out(_first_parameters(plan))


def _first_parameters(plan: FederatedPlan) -> dict[str, nn.Parameter]:
    """Drawn from torch's own generator, which is not the caller's any more."""
    match plan.kind:
        case "autoencoder":
            settings, training = autoencoder_settings(plan)
            return dict(first_network(settings, training.seed).named_parameters())
        case "classifier":
            head = classifier_settings(plan)
            offset = torch.zeros(values_of(plan))
            torch.manual_seed(head.seed)
            network = HeadNetwork.begun(head, offset, torch.ones_like(offset), len(classes_of(plan)))
            return dict(network.named_parameters())
        case "projection":
            projection = projection_settings(plan)
            return shared_parameters(*first_layers(projection, values_of(plan), class_count(plan)))


# Sites.


def autoencoder_site(
    plan: FederatedPlan,
    clips: Sequence[Grey],
    held_out: Sequence[Grey],
    *,
    device: str = "cpu",
    progress: Progress = lambda _stage, _done, _total: None,
) -> AutoencoderSite:
    """A site that trains by a plan.

    Args:
        plan: of an autoencoder.
        clips: uint8 (F, H, W) each, normal footage of this site, at the plan's size.
        held_out: likewise, of other recordings or clips.
        device, progress: see `AutoencoderSite`.

    Raises:
        ConfigurationError: the plan is none, or the clips do not fit it.
        SiteError: there are too few pictures.
    """
    check_plan(plan)
    settings, training = autoencoder_settings(plan)
    return AutoencoderSite(
        settings,
        training_cuboids(tuple(clips), settings, training),
        Cuboids(tuple(held_out), settings.cuboid_frames),
        training,
        rounds=plan.rounds,
        local_epochs=plan.local_epochs,
        device=device,
        progress=progress,
    )


def classifier_site(
    plan: FederatedPlan,
    samples: ClassifierSamples,
    validation: ClassifierSamples | None,
    *,
    progress: Progress = lambda _stage, _done, _total: None,
) -> ClassifierSite:
    """A site that trains by a plan of a classifier; the samples have the plan's classes, in its order.

    Raises:
        ConfigurationError: the plan is none, or the samples do not fit it.
        SiteError: there are too few of them.
    """
    check_plan(plan)
    if samples.classes != classes_of(plan) or samples.vectors.shape[1] != values_of(plan):
        raise ConfigurationError(
            f"the plan is for {values_of(plan)} values and the classes {', '.join(classes_of(plan))}, the samples have "
            f"{samples.vectors.shape[1]} and {', '.join(samples.classes)}; embed with the plan's encoder, and give its classes"
        )
    settings, rounds, local_epochs = classifier_settings(plan), plan.rounds, plan.local_epochs
    return ClassifierSite(settings, samples, validation, rounds=rounds, local_epochs=local_epochs, progress=progress)


def projection_site(
    plan: FederatedPlan,
    training: ViewedVectors,
    validation: ViewedVectors,
    *,
    device: str = "cpu",
    progress: Progress = lambda _stage, _done, _total: None,
) -> ProjectionSite:
    """A site that trains by a plan of a projection; labels are the numbers of the plan's classes.

    Raises:
        ConfigurationError: the plan is none, or the samples do not fit it.
        SiteError: there are too few of them.
    """
    check_plan(plan)
    if training.views.shape[2] != values_of(plan):
        raise ConfigurationError(
            f"the plan is for vectors of {values_of(plan)} values, the samples have {training.views.shape[2]}; embed with the "
            "plan's encoder"
        )
    return ProjectionSite(
        projection_settings(plan),
        training,
        validation,
        class_count(plan),
        rounds=plan.rounds,
        local_epochs=plan.local_epochs,
        device=device,
        progress=progress,
    )
