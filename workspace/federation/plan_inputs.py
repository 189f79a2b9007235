"""What `inputs` of a plan's model say: how footage becomes samples, so that every site's are of one kind.

An autoencoder's are the rate of its pictures, a classifier's its encoders and windows, a projection's its encoder and views. An
encoder is named with the space of its vectors: a site whose encoder makes others takes no part.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from infra.errors import ConfigurationError
from models.augmentation import Augmentation
from models.encoders.base import EncoderSpec
from models.federation.plan import FederatedPlan
from models.federation.plan_settings import inputs_of
from workspace.clip_vectors import Inputs
from workspace.viewed_clips import Viewing

MOST_RATE_HZ = 1000.0
MOST_VIEWS = 16
"""Of each sample: every view is a pass through the encoder."""


@dataclass(frozen=True)
class ProjectionInputs:
    """What a projection is trained on.

    Attributes:
        encoder, space: whose vectors.
        viewing: views of each sample.
    """

    encoder: str
    space: str
    viewing: Viewing


def autoencoder_inputs(rate_hz: float) -> dict[str, Any]:
    """Inputs of an autoencoder's plan: pictures in a second.

    Raises:
        ConfigurationError: the rate is out of its range.
    """
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, int | float) or not 0 < rate_hz <= MOST_RATE_HZ:
        raise ConfigurationError(f"rate_hz is a number above 0 and at most {MOST_RATE_HZ:g}, got {rate_hz!r}")
    return {"rate_hz": float(rate_hz)}


def classifier_inputs(inputs: Inputs) -> dict[str, Any]:
    """Inputs of a classifier's plan: its encoders and its windows."""
    return inputs.to_card()


def projection_inputs(spec: EncoderSpec, viewing: Viewing) -> dict[str, Any]:
    """Inputs of a projection's plan: its encoder, and the views of a sample."""
    return {"encoder": spec.name, "space": spec.space, "viewing": asdict(viewing)}


def rate_of(plan: FederatedPlan) -> float:
    """Pictures in a second, of an autoencoder's plan.

    Raises:
        ConfigurationError: it does not say, or says more.
    """
    return float(autoencoder_inputs(_told(plan, {"rate_hz"})["rate_hz"])["rate_hz"])


def windows_of(plan: FederatedPlan) -> Inputs:
    """What a classifier of a plan looks at.

    Raises:
        ConfigurationError: it does not say, or says more.
    """
    return Inputs.from_card(_told(plan, {"inputs", "window_s", "stride_s", "frame_rate_hz"}))


def views_of(plan: FederatedPlan) -> ProjectionInputs:
    """What a projection of a plan is trained on.

    Raises:
        ConfigurationError: it does not say, says more, or a value is out of its range.
    """
    told = _told(plan, {"encoder", "space", "viewing"})
    viewing = told["viewing"]
    try:
        made = Viewing(viewing["views"], Augmentation(**viewing["augmentation"]), viewing["seed"])
        more = sorted(set(viewing) - {"views", "augmentation", "seed"})
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"the plan does not say how samples are viewed ({error}); make it anew") from None
    if more or not isinstance(made.views, int) or made.views > MOST_VIEWS or not isinstance(made.seed, int):
        raise ConfigurationError(
            f"a sample has at most {MOST_VIEWS} views, and nothing else is said of them, got {viewing}; make the plan anew"
        )
    return ProjectionInputs(str(told["encoder"]), str(told["space"]), made)


def _told(plan: FederatedPlan, keys: set[str]) -> Mapping[str, Any]:
    told = inputs_of(plan)
    if set(told) != keys:
        raise ConfigurationError(
            f"inputs of the plan of {plan.kind} {plan.name} tell {', '.join(sorted(told)) or 'nothing'}, and have to tell "
            f"{', '.join(sorted(keys))}; make the plan with the version of Afterwatch that this site has"
        )
    return told
