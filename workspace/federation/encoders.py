"""The encoders that a plan names, brought to life here, provided that they make the vectors that the plan is about."""

from infra.errors import AfterwatchError
from infra.weights import WeightsFile, read_weights
from models.encoders.base import Encoder, EncoderSpec
from models.encoders.build import build
from models.encoders.lookup import find_weights
from models.encoders.specs import describe
from models.federation.base import SiteError
from workspace.opened import Workspace


def encoder_of(workspace: Workspace, name: str, space: str) -> Encoder:
    """One of the settings' encoders, or any other whose weights are at hand.

    Args:
        workspace: whose.
        name: full name, as the plan has it.
        space: of the vectors that the plan is about.

    Raises:
        SiteError: with the word `not-allowed`, where it is not here, or makes vectors of another space: weights trained on
            those would mean nothing.
    """
    compute = workspace.settings.compute
    try:
        spec, weights = described(workspace, name)
        check_space(spec, space)
        return build(spec, weights, device=compute.device, precision=compute.precision, batch_size=compute.batch_size)
    except SiteError:
        raise
    except AfterwatchError as error:
        raise SiteError("not-allowed", f"the plan needs the encoder {name}: {error}") from error


def described(workspace: Workspace, name: str) -> tuple[EncoderSpec, WeightsFile | None]:
    """What an encoder is, and its weights file where it has one."""
    planned = next((known for known in workspace.encoders if name in (known.table.name, known.spec.name)), None)
    if planned is not None:
        return planned.spec, planned.weights
    weights = find_weights(read_weights(workspace.site.weights_folder), name)
    return describe(name, weights), weights


def check_space(spec: EncoderSpec, space: str) -> None:
    """Raise SiteError unless an encoder's vectors are of that space."""
    if spec.space != space:
        raise SiteError(
            "not-allowed",
            f"the plan is about vectors of {space}, and {spec.name} makes vectors of {spec.space} here: its weights or "
            "options are others; add the weights that the server has",
        )
