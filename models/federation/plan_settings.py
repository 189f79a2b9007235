"""What a plan says of model and training, read back as settings.

A plan comes from elsewhere: every value of it is checked, its name, its type and its range. The ranges are narrower than
those of a training of one's own, so that an update is made of many samples (see `RANGES`); how few an epoch may draw is for
each site to say (see `FederatedPlan.drawn_samples`). What no range prevents is that a server chooses tensors that only some
samples move: a site trains for servers that it trusts not to.
"""

from collections.abc import Mapping
from dataclasses import fields
from math import inf, isfinite
from typing import Any, TypeVar

from infra.errors import ConfigurationError
from models.autoencoders.settings import AutoencoderSettings, settings_of
from models.autoencoders.training import TrainingSettings
from models.federation.plan import FederatedPlan, Kind
from models.heads.classifier import ClassifierSettings
from models.projections.trained import SELF_SUPERVISED, ProjectionTraining

Settings = TypeVar("Settings", TrainingSettings, ClassifierSettings, ProjectionTraining)

MOST_VALUES = 1_000_000
"""Of a vector: beyond it a number is a slip of the hand."""
MOST_PX, MOST_BATCH, MOST_ENTRIES = 2048, 4096, 100
"""Side of a picture, samples of a step, and entries of a list such as hidden layers or strides: whoever sends a plan is not the
one whose memory it takes."""
MOST_CLASSES, LONGEST_CLASS = 1000, 100
"""Classes of a plan, and characters of the name of one."""
RANGES: Mapping[str, tuple[float, float]] = {
    "batch_size": (4, MOST_BATCH),
    "learning_rate": (0, 1),
    "weight_decay": (0, 1),
    "gradient_norm": (1e-3, inf),
    "dropout": (0, 0.9),
    "temperature": (0.01, 100),
    "margin": (0.001, 100),
}
"""Of a plan's training: nobody trains otherwise but to learn of single samples. Steps of one sample, gradients so short or a
rate so large that one step is all of the update, a temperature at which only the nearest pair counts: each makes an update
speak of few samples, whatever their number is."""
MOST_FORGOTTEN = 0.01
"""Learning rate times weight decay: the share of the weights that AdamW takes away in a step. At 1 an update would be its last
step alone; at this the last hundred speak in it."""
OF_THE_PLAN = ("epochs", "patience", "seed")
"""What settings have and a plan says otherwise: rounds and local epochs, no early stop, and the seed of all kinds."""
OF_THE_MODEL = {"classifier": ("hidden", "members"), "projection": ("loss", "dimension")}
"""Settings of a training that decide which tensors there are."""


def autoencoder_settings(plan: FederatedPlan) -> tuple[AutoencoderSettings, TrainingSettings]:
    """Shape and training of a planned autoencoder.

    Raises:
        ConfigurationError: the plan is of another kind, lacks a value or has one that is none.
    """
    _check_kind(plan, "autoencoder")
    told = {name: value for name, value in plan.model.items() if name != "inputs"}
    architecture = told.pop("architecture", None)
    if not isinstance(architecture, str) or set(told) != {"width", "size_px"} or "inputs" not in plan.model:
        raise ConfigurationError(
            f"the model of an autoencoder's plan has architecture, width, size_px and inputs, got {sorted(plan.model)}"
        )
    settings = settings_of(architecture, told)
    if settings.size_px > MOST_PX:
        raise ConfigurationError(f"size_px of a plan is at most {MOST_PX}, got {settings.size_px}")
    return settings, _read(TrainingSettings, plan, plan.training)


def classifier_settings(plan: FederatedPlan) -> ClassifierSettings:
    """Shape and training of a planned classifier; raises as `autoencoder_settings`."""
    _check_kind(plan, "classifier")
    if not classes_of(plan):
        raise ConfigurationError("a classifier's plan names at least one class, got none")
    return _read(ClassifierSettings, plan, _with_model(plan))


def projection_settings(plan: FederatedPlan) -> ProjectionTraining:
    """Loss, dimension and training of a planned projection; raises as `autoencoder_settings`."""
    _check_kind(plan, "projection")
    settings = _read(ProjectionTraining, plan, _with_model(plan))
    if settings.loss != SELF_SUPERVISED and len(classes_of(plan)) < 2:
        raise ConfigurationError(
            f"the loss {settings.loss} tells classes apart, and the plan names {len(classes_of(plan))}; name at least 2, or "
            f'plan "{SELF_SUPERVISED}"'
        )
    return settings


def classes_of(plan: FederatedPlan) -> tuple[str, ...]:
    """Classes that a plan names, in order."""
    told = plan.model.get("classes")
    if (
        not isinstance(told, list)
        or len(told) > MOST_CLASSES
        or not all(isinstance(name, str) and 0 < len(name) <= LONGEST_CLASS for name in told)
        or len(set(told)) < len(told)
    ):
        raise ConfigurationError(
            f"classes of a plan are a list of at most {MOST_CLASSES} names of at most {LONGEST_CLASS} characters, each of another "
            f"class, got {ascii(told)[:200]}"
        )
    return tuple(told)


def inputs_of(plan: FederatedPlan) -> Mapping[str, Any]:
    """What a plan says of how samples are made."""
    told = plan.model.get("inputs")
    if not isinstance(told, dict):
        raise ConfigurationError(f"inputs of a plan are an object, got {told!r}")
    return told


def values_of(plan: FederatedPlan) -> int:
    """D, the values of a vector that a plan's classifier or projection takes."""
    told = plan.model.get("values")
    if not isinstance(told, int) or isinstance(told, bool) or not 1 <= told <= MOST_VALUES:
        raise ConfigurationError(f"values of a plan's vectors are a whole number from 1 to {MOST_VALUES}, got {told!r}")
    return told


def class_count(plan: FederatedPlan) -> int:
    """Classes that the loss of a projection knows of."""
    return max(1, len(classes_of(plan)))


def _check_kind(plan: FederatedPlan, kind: Kind) -> None:
    if plan.kind != kind:
        raise ConfigurationError(f"the plan {plan.name} is of kind {plan.kind}, not {kind}")


def _with_model(plan: FederatedPlan) -> dict[str, Any]:
    """The training's settings together with those that the model holds."""
    told, of_model = dict(plan.model), OF_THE_MODEL[plan.kind]
    if set(told) != {"classes", "values", "inputs", *of_model}:
        raise ConfigurationError(
            f"the model of the plan of a {plan.kind} has classes, values, inputs, {' and '.join(of_model)}, got {sorted(told)}"
        )
    if twice := sorted(set(of_model) & set(plan.training)):
        raise ConfigurationError(
            f"the plan says {', '.join(twice)} both of the model and of its training; once is right"
        )
    return {**plan.training, **{name: told[name] for name in of_model}}


def _read(made: type[Settings], plan: FederatedPlan, told: Mapping[str, Any]) -> Settings:
    """Settings from values of JSON, each of the type of its default; epochs and seed are the plan's."""
    defaults = {field.name: field.default for field in fields(made) if field.name not in OF_THE_PLAN}
    if wrong := sorted(set(defaults) ^ set(told)):
        raise ConfigurationError(
            f"the training of the plan of a {plan.kind} has unknown or missing values: {', '.join(wrong)}; they are "
            f"{', '.join(sorted(defaults))}"
        )
    values = {name: _value(name, told[name], default) for name, default in defaults.items()}
    _check_ranges(values)
    return made(**values, epochs=plan.rounds * plan.local_epochs, seed=plan.seed)


def _check_ranges(values: Mapping[str, Any]) -> None:
    for name, (least, most) in RANGES.items():
        if name in values and not least <= values[name] <= most:
            told = f"at least {least:g}" if values[name] < least else f"at most {most:g}"
            raise ConfigurationError(f"{name} of a plan is {told}, got {values[name]:g}")
    if (forgotten := values["learning_rate"] * values["weight_decay"]) > MOST_FORGOTTEN:
        raise ConfigurationError(
            f"learning_rate · weight_decay of a plan is at most {MOST_FORGOTTEN:g}, got {forgotten:g}: the weights would forget "
            "all but the last samples; give less of one"
        )
    if len(set(strides := values.get("strides", ()))) < len(strides):
        raise ConfigurationError(f"strides of a plan are each given once, got {strides}: a cuboid is no sample twice")


def _value(name: str, told: Any, default: Any) -> Any:
    if isinstance(default, tuple):
        if (
            isinstance(told, list)
            and len(told) <= MOST_ENTRIES
            and all(isinstance(one, int) and not isinstance(one, bool) for one in told)
        ):
            return tuple(told)
    elif isinstance(told, type(default)) and not isinstance(told, bool):
        if not isinstance(told, float) or isfinite(told):
            return told
    elif isinstance(default, float) and isinstance(told, int) and not isinstance(told, bool):
        return float(told)
    what = (
        f"a list of at most {MOST_ENTRIES} whole numbers"
        if isinstance(default, tuple)
        else f"of type {type(default).__name__}"
    )
    raise ConfigurationError(f"{name} of a plan is {what}, got {told!r}")
