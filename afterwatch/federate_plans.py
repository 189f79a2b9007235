"""From the options of `federate serve` to the plan of a federated training."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.federation.plan import FederatedPlan
    from workspace.opened import Workspace

OF_KIND = {
    "autoencoder": ("architecture", "width", "size", "rate", "cuboids", "strides"),
    "classifier": (
        *("encoder", "classes", "frame_rate", "window", "published"),
        *("hidden", "dropout", "weight_decay", "class_weights", "members"),
    ),
    "projection": ("encoder", "classes", "loss", "dimension", "views", "temperature", "margin"),
}
"""Options that say something of one kind of model only."""
DEFAULT_RATE_HZ = 10.0
DEFAULT_VIEWS = 4


def plan_of(
    workspace: "Workspace", kind: str, name: str, said: Mapping[str, Any], *, rounds: int, local_epochs: int, seed: int
) -> "FederatedPlan":
    """The plan of what was asked for.

    Args:
        workspace: of the server; its encoders and weights decide what vectors a classifier or a projection is about.
        kind: of the model.
        name: of the model at every site.
        said: options by name, None where one was not given.
        rounds, local_epochs, seed: see `FederatedPlan`.

    Raises:
        ConfigurationError: an option is wrong or of another kind of model, or no site may accept the plan.
    """
    from infra.errors import ConfigurationError, UnknownNameError
    from workspace.federation.policy import check_bounds

    if kind not in OF_KIND:
        raise UnknownNameError("--kind", kind, OF_KIND)
    told = {option: value for option, value in said.items() if value is not None}
    foreign = [
        option
        for option in told
        if any(option in options for options in OF_KIND.values()) and option not in OF_KIND[kind]
    ]
    if foreign:
        raise ConfigurationError(
            f"--{foreign[0].replace('_', '-')} says nothing of a federated {kind}; leave it out (of one are: "
            f"{', '.join('--' + option.replace('_', '-') for option in OF_KIND[kind])})"
        )
    make = {"autoencoder": _autoencoder, "classifier": _classifier, "projection": _projection}[kind]
    plan = make(workspace, name, told, seed, {"rounds": rounds, "local_epochs": local_epochs})
    check_bounds(plan)
    return plan


def _autoencoder(
    _workspace: "Workspace", name: str, told: dict[str, Any], seed: int, length: Mapping[str, int]
) -> "FederatedPlan":
    from afterwatch.fit_autoencoder import _strides
    from models.autoencoders.settings import settings_of
    from models.autoencoders.training import TrainingSettings
    from models.federation.sites import autoencoder_plan
    from workspace.autoencoders import check_name
    from workspace.federation.plan_inputs import autoencoder_inputs

    check_name(name)
    shape = {new: told[old] for old, new in (("width", "width"), ("size", "size_px")) if old in told}
    options = _renamed(told, cuboids="cuboids_per_epoch", batch="batch_size", learning_rate="learning_rate")
    if "strides" in told:
        options["strides"] = _strides(told["strides"])
    return autoencoder_plan(
        name,
        settings_of(told.get("architecture", "istl"), shape),
        TrainingSettings(**options, seed=seed),
        inputs=autoencoder_inputs(told.get("rate", DEFAULT_RATE_HZ)),
        **length,
    )


def _classifier(
    workspace: "Workspace", name: str, told: dict[str, Any], seed: int, length: Mapping[str, int]
) -> "FederatedPlan":
    from afterwatch.fit_classifier import _inputs
    from afterwatch.head_options import head_settings
    from infra.errors import ConfigurationError
    from models.federation.sites import classifier_plan
    from models.windows import joined_dimension
    from workspace.classifier_fitting import check_name
    from workspace.federation.plan_inputs import classifier_inputs

    check_name(name)
    if "classes" not in told:
        raise ConfigurationError("--classes names what an alarm is raised for, separated by commas: fight,fall")
    options = _renamed(
        told,
        batch="batch_size",
        **{same: same for same in ("learning_rate", "dropout", "weight_decay", "class_weights", "members")},
    )
    published, hidden = told.get("published", False), told.get("hidden")
    settings = head_settings(published=published, hidden=hidden, seed=seed, **options)
    encoders, inputs = _inputs(workspace, list(told.get("encoder", [])), told.get("frame_rate"), told.get("window"))
    parts = [(item.pooling, encoder.dimension) for item, encoder in zip(inputs.items, encoders, strict=True)]
    return classifier_plan(
        name,
        settings,
        _classes(told["classes"]),
        joined_dimension(parts),
        inputs=classifier_inputs(inputs),
        **length,
    )


def _projection(
    workspace: "Workspace", name: str, told: dict[str, Any], seed: int, length: Mapping[str, int]
) -> "FederatedPlan":
    from infra.errors import ConfigurationError
    from models.encoders.build import build
    from models.federation.sites import projection_plan
    from models.projections.trained import SELF_SUPERVISED, ProjectionTraining, loss_named
    from workspace.federation.encoders import described
    from workspace.federation.plan_inputs import projection_inputs
    from workspace.projections import check_name
    from workspace.viewed_clips import Viewing

    check_name(name)
    names = list(told.get("encoder", [])) or [workspace.settings.novelty.encoder]
    if len(names) != 1:
        raise ConfigurationError(f"a projection is of one encoder, got {len(names)}; give --encoder once")
    classes = _classes(told["classes"]) if "classes" in told else ()
    loss = loss_named(told.get("loss", "supervised_contrastive" if classes else SELF_SUPERVISED))
    options = _renamed(
        told,
        batch="batch_size",
        **{same: same for same in ("learning_rate", "dimension", "temperature", "margin")},
    )
    settings = ProjectionTraining(loss, seed=seed, **options)
    spec, weights = described(workspace, names[0])
    viewing = Viewing(told.get("views", DEFAULT_VIEWS), seed=seed)
    values = build(spec, weights).dimension
    return projection_plan(name, settings, classes, values, inputs=projection_inputs(spec, viewing), **length)


def _renamed(told: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """Options that were given, by the names that settings have for them."""
    return {names[option]: value for option, value in told.items() if option in names}


def _classes(text: str) -> tuple[str, ...]:
    from infra.errors import ConfigurationError

    names = tuple(part.strip() for part in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise ConfigurationError(f'--classes "{text}": name each class once, separated by commas, as fight,fall')
    return names
