"""The weights that summaries are chosen with."""

from dataclasses import dataclass

from lake.weight_sets import SETTINGS, WeightSet, weight_set_in_use
from models.summary.scores import Weights
from workspace.opened import Workspace


@dataclass(frozen=True)
class NamedWeights:
    """Weights and what they are called: `name/version` of a weight set, or `settings`."""

    label: str
    weights: Weights


def weights_in_use(workspace: Workspace) -> NamedWeights:
    """The weights of the set that people put into use; else those of `[summary.weights]`, called `settings`.

    Raises:
        LakeError: what was put into use is no set of weights.
    """
    found = weight_set_in_use(workspace.ledger)
    return weights_of_settings(workspace) if found is None else named_weights(found)


def weights_of_settings(workspace: Workspace) -> NamedWeights:
    """The weights of `[summary.weights]`."""
    return NamedWeights(SETTINGS, Weights(**workspace.settings.summary.weights.model_dump()))


def named_weights(found: WeightSet) -> NamedWeights:
    """The weights of a set."""
    return NamedWeights(found.label, Weights(**found.weights))
