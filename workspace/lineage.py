"""Where a version comes from and what became of it: trained from which, read what, replaced which, replaced by which."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from infra.errors import LakeError
from workspace.opened import Workspace
from workspace.serving import SERVING, NamedModel


@dataclass(frozen=True)
class Lineage:
    """Relations of a version to others of its name, and to what it reads.

    Attributes:
        trained_from: the version that a refit started from; None where it was fitted by itself.
        reads: encoders, networks and projections whose vectors it takes, or that it began with.
        federation: plan of the federation that it was trained in; empty where it was trained at one site.
        replaced: versions that it took the place of, in order of time.
        replaced_by: versions that took its place, in order of time.
        led_to: versions that refits made from it.
    """

    trained_from: str | None
    reads: tuple[str, ...]
    federation: str
    replaced: tuple[str, ...]
    replaced_by: tuple[str, ...]
    led_to: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        """What there is of it, a line each."""
        told = (
            ("trained from", (self.trained_from,) if self.trained_from else ()),
            ("reads", self.reads),
            ("federation", (self.federation,) if self.federation else ()),
            ("replaced", self.replaced),
            ("replaced by", self.replaced_by),
            ("refits made of it", self.led_to),
        )
        return [f"{label}: {', '.join(names)}" for label, names in told if names]


def lineage_of(workspace: Workspace, model: NamedModel, version: str) -> Lineage:
    """The lineage of a version, from its card, from what was said of its name, and from the cards of the others.

    Raises:
        LakeError: its card is damaged.
    """
    card = workspace.registry.card(model.kind, model.name, version)
    moves = [(word.before, word.after) for word in model.words if word.before != word.after]
    return Lineage(
        _trained_from(card),
        _reads(card),
        str(card["federation"].get("plan") or "") if isinstance(card.get("federation"), Mapping) else "",
        tuple(dict.fromkeys(before for before, after in moves if after == version and before is not None)),
        tuple(dict.fromkeys(after for before, after in moves if before == version and after is not None)),
        # A night's heads are many, and no refit makes them.
        tuple(one for one in model.versions if model.kind in SERVING and _led(workspace, model, one, version)),
    )


def _led(workspace: Workspace, model: NamedModel, other: str, version: str) -> bool:
    with suppress(LakeError):  # what is wrong with a card is told where it is shown
        return _trained_from(workspace.registry.card(model.kind, model.name, other)) == version
    return False


def _trained_from(card: Mapping[str, Any]) -> str | None:
    refit = card.get("refit")
    return str(refit["from"]) if isinstance(refit, Mapping) and refit.get("from") else None


def _reads(card: Mapping[str, Any]) -> tuple[str, ...]:
    """Encoders by name, in the order of the card; a network that was fine-tuned names the one it began with."""
    inputs = [one.get("encoder") for one in card.get("inputs") or () if isinstance(one, Mapping)]
    begun = card["from"].get("encoder") if isinstance(card.get("from"), Mapping) else None
    # An autoencoder's card names itself as an encoder.
    own = card.get("encoder") if "space" in card and "architecture" not in card and begun is None else None
    projection = f"projection {card['projection']}" if card.get("projection") else None
    return tuple(dict.fromkeys(str(one) for one in (*inputs, own, begun, projection) if one))
