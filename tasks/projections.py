"""The trained projection that the settings may name, found in the registry; nothing of it is loaded here."""

from dataclasses import dataclass
from typing import Literal

from infra.errors import ConfigurationError, UnknownNameError
from infra.settings import LINEAR_PROJECTIONS
from workspace.opened import Workspace

ScalingName = Literal["none", "l2", "standardise"]
PROJECTION = "projection"
"""Kind of trained projections in the registry."""


@dataclass(frozen=True)
class ProjectionPlan:
    """The trained projection that the settings name, its version found.

    Attributes:
        name, version: in the registry.
        scaling: of the vectors that it was trained on; others would be strange to it, whatever the settings say.
    """

    name: str
    version: str
    scaling: ScalingName


def find_projection(workspace: Workspace) -> ProjectionPlan | None:
    """The trained projection that the settings ask for; of a name alone the newest version that is no candidate.

    Candidates are what a federation made: other sites had a part in them, so that a person names their version.

    Returns:
        The version; None where the settings ask for none.

    Raises:
        UnknownNameError: the registry has none of that name, or not that version.
        ConfigurationError: it was trained in another space than that of the encoder that is judged by, or all versions of the
            name are candidates.
    """
    novelty = workspace.settings.novelty
    asked = novelty.trained_projection
    if asked is None:
        return None
    name, version = asked
    known = [(known, at) for kind, known, at in workspace.registry.versions() if kind == PROJECTION]
    if name not in {known_name for known_name, _ in known}:
        raise UnknownNameError("projection", name, {*LINEAR_PROJECTIONS, *(known_name for known_name, _ in known)})
    versions = [at for known_name, at in known if known_name == name]
    if version is not None and version not in versions:
        raise UnknownNameError(f"version of projection {name}", version, versions)
    cards = {at: workspace.registry.card(PROJECTION, name, at) for at in (versions if version is None else [version])}
    if version is None:
        cards = {at: card for at, card in cards.items() if not card.get("candidate")}
        if not cards:
            raise ConfigurationError(
                f"projection {name} is there as a candidate only ({', '.join(versions)}): others had a part in it; name the "
                f'version that is to be used, as in projection = "{name}/{versions[-1]}"'
            )
    chosen = max(cards, key=lambda at: (str(cards[at].get("made_at", "")), at))
    encoder = workspace.encoder(novelty.encoder)
    space = cards[chosen].get("space", encoder.spec.space)
    if space != encoder.spec.space:
        raise ConfigurationError(
            f"projection {name}/{chosen} was trained in the space {space}, and {novelty.encoder} embeds into "
            f"{encoder.spec.space}; train it on that encoder, or judge by the one it was trained on"
        )
    return ProjectionPlan(name, chosen, cards[chosen].get("scaling", "none"))
