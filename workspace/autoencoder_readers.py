"""What reads the vectors of an autoencoder, and so is left without them when another version takes its place."""

from contextlib import suppress

from infra.errors import LakeError
from infra.weights import read_weights
from lake.promotions import in_service
from models.encoders.specs import describe
from workspace.opened import Workspace
from workspace.serving import AUTOENCODER

PROJECTION = "projection"


def readers_of(workspace: Workspace, encoder: str) -> list[str]:
    """Models that read vectors of the encoder as it is now, as "kind name", in order: heads in service, then projections.

    Another version of the encoder has vectors of another space, which they cannot read: the night passes such heads over, and
    refits leave them, until they are trained anew. A projection that the settings name is one, where it judges by this encoder.
    """
    weights = read_weights(workspace.site.weights_folder).get(encoder)
    if weights is None:
        return []
    space = describe(encoder, weights).space
    found = []
    for kind in ("retrieval", "classifier"):
        for name, version in sorted(in_service(workspace.ledger, kind).items()):
            try:
                card = workspace.registry.card(kind, name, version)
            except LakeError:
                continue  # what is wrong with it is told where it is used
            inputs = card.get("inputs") if isinstance(card.get("inputs"), list) else []
            if space in (card.get("space"), *(one.get("space") for one in inputs or [] if isinstance(one, dict))):
                found.append(f"{kind} {name}")
    return [*found, *_projection_of(workspace, encoder, space)]


def _projection_of(workspace: Workspace, encoder: str, space: str) -> list[str]:
    """The trained projection that the settings name for novelty by the encoder, where it was trained in the space."""
    novelty = workspace.settings.novelty
    if novelty.trained_projection is None or novelty.encoder != encoder:
        return []
    name, version = novelty.trained_projection
    for kind, called, known in workspace.registry.versions():
        if (kind, called) == (PROJECTION, name) and version in (None, known):
            with suppress(LakeError):  # what is wrong with it is told where it is used
                if workspace.registry.card(kind, called, known).get("space") == space:
                    return [f"{PROJECTION} {name}"]
    return []


def promotion_words(workspace: Workspace, name: str) -> str:
    """What putting another version of an autoencoder into service does to what reads its vectors."""
    encoder = f"{AUTOENCODER}/{name.replace('.', '/', 1)}"
    found = readers_of(workspace, encoder)
    projections = [one for one in found if one.startswith(f"{PROJECTION} ")]
    readers = [one for one in found if one not in projections]
    said = ["The next night embeds the footage anew with it, and fits the novelty heads anew."]
    if readers:
        said.append(
            f"{len(readers)} models in service read vectors of the version that it replaces, and find nothing any more until "
            f"they are trained anew: {', '.join(readers)}. Putting the replaced version back brings them back, but what was "
            "recorded meanwhile they have not looked at until the next night."
        )
    for one in projections:
        said.append(
            f"{one[0].upper()}{one[1:]}, which [novelty] names, was trained on vectors of the version that it replaces: a "
            "night refuses to begin until it is trained anew on the new ones, or the settings name another."
        )
    if not found:
        said.append("No head in service and no projection of the settings reads its vectors.")
    return " ".join(said)
