"""What a site lets a server ask of it, from the plan alone: no footage is looked at and no file made for one that asks for more.

A plan's values come from the server: those by which an update could be made to tell of few pictures are bounded, here what is
drawn and counted, in `models.federation.plan_settings` how a step is made. The tensors need not have been read for it.
"""

from infra.errors import ConfigurationError
from infra.settings import FederationTable
from models.federation.base import SiteError
from models.federation.plan import FederatedPlan
from models.federation.plan_settings import autoencoder_settings
from models.federation.sites import check_plan
from workspace import autoencoders, classifier_fitting, projections
from workspace.federation import plan_inputs

MOST_BYTES = 512 * 2**20
"""Of a plan's shared tensors: what a message may hold of a model."""
MOST_EPOCHS = 1000
"""Local epochs of all rounds of a plan together."""
MOST_PIXELS_HZ = 1_000_000
"""Pixels of an autoencoder's pictures in a second: two hours of them are 7 GB, which stay on this site's disk between rounds."""
LEAST_STRIDE_S = 0.04
"""Time from one window of a classifier to the next."""
MOST_STEP_PIXELS = 2**26
"""Pixels of all cuboids of a step of an autoencoder: its layers hold many times as many."""
MOST_STRIDE = 100
"""In time, of an autoencoder's cuboids."""
MOST_RATE_HZ = 60.0
"""Of an autoencoder's pictures: a higher one makes more of the same footage, not more footage."""


def check_allowed(plan: FederatedPlan, table: FederationTable) -> None:
    """Hold a plan against what this site does, before anything is made for it.

    Its kind is one of `[federation] kinds`, an epoch draws at least `[federation] least_samples`, and it is within the bounds of
    `check_bounds`.

    Args:
        plan: as it came from the server.
        table: of this site's settings.

    Raises:
        SiteError: with the word `not-allowed`; the message says why.
    """
    if plan.kind not in table.kinds:
        raise _no(plan, f"[federation] kinds are {', '.join(table.kinds) or 'none'}; add it there to let it be trained")
    try:
        check_bounds(plan)
    except ConfigurationError as error:
        raise _no(plan, str(error)) from error
    if plan.drawn_samples is not None and plan.drawn_samples < table.least_samples:
        raise _no(
            plan,
            f"an epoch draws {plan.drawn_samples} samples, and [federation] least_samples asks for {table.least_samples}: "
            "weights that few pictures made say much of them; the server has to draw more",
        )


def check_bounds(plan: FederatedPlan) -> None:
    """Hold a plan against what no site allows, whatever its settings; a server does so before it sends one.

    Its name can name such a model; it shares the very tensors that its model learns, so that none of what is measured from
    footage can be asked for; model, samples, steps and epochs are within bounds.

    Raises:
        ConfigurationError: it is not; the message gives the value and the bound.
    """
    epochs = plan.rounds * plan.local_epochs
    if epochs > MOST_EPOCHS:
        raise ConfigurationError(
            f"{plan.rounds} rounds of {plan.local_epochs} epochs are {epochs}, the most is {MOST_EPOCHS}"
        )
    if plan.bytes > MOST_BYTES:
        raise ConfigurationError(f"its tensors have {plan.bytes} bytes, the most is {MOST_BYTES}")
    _check_kind(plan)
    check_plan(plan)


def _check_kind(plan: FederatedPlan) -> None:
    """Name, inputs and bounds of a kind of plan; raises ConfigurationError."""
    match plan.kind:
        case "autoencoder":
            autoencoders.check_name(plan.name)
            rate_hz = plan_inputs.rate_of(plan)
            shape, settings = autoencoder_settings(plan)
            _at_most("rate_hz", rate_hz, MOST_RATE_HZ)
            _at_most("size_px² · rate_hz", shape.size_px**2 * rate_hz, MOST_PIXELS_HZ)
            step = settings.batch_size * shape.cuboid_frames * shape.size_px**2
            _at_most("batch_size · pictures of a cuboid · size_px²", step, MOST_STEP_PIXELS)
            _at_most("strides", max(settings.strides), MOST_STRIDE)
        case "classifier":
            classifier_fitting.check_name(plan.name)
            stride_s = plan_inputs.windows_of(plan).stride_s
            if stride_s < LEAST_STRIDE_S:
                raise ConfigurationError(f"stride_s is {stride_s:g}, the least is {LEAST_STRIDE_S}")
        case "projection":
            projections.check_name(plan.name)
            plan_inputs.views_of(plan)


def _at_most(what: str, value: float, most: float) -> None:
    if value > most:
        raise ConfigurationError(f"{what} is {value:.10g}, the most is {most:.10g}")


def _no(plan: FederatedPlan, why: str) -> SiteError:
    return SiteError("not-allowed", f"this site does not train the {plan.kind} {plan.name}: {why}")
