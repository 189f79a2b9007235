"""What every card says, whatever the kind: the data, the parameters and the metrics; by what code, by whom and when."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DATA: Mapping[str, tuple[str, ...]] = {
    "classifier": ("data",),
    "retrieval": ("use_case", "labels"),
    "novelty": ("camera", "region", "reference", "verdicts", "made_from"),
    "projection": ("data",),
    "autoencoder": ("footage",),
    "network": ("from", "data"),
    "federation": ("clients",),
}
"""Entries of a card that say what a model was made of, by kind."""
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "classifier": ("settings",),
    "retrieval": ("settings", "rule"),
    "novelty": ("settings", "rule"),
    "projection": ("settings", "viewing"),
    "autoencoder": ("architecture", "settings", "training"),
    "network": ("settings",),
    "federation": ("plan",),
}
"""Entries that say by what parameters."""
METRICS: Mapping[str, tuple[str, ...]] = {
    "classifier": ("metrics", "comparison"),
    "retrieval": ("metrics", "comparison"),
    "novelty": ("median", "spread", "expected_alarms_per_night"),
    "projection": ("metrics",),
    "autoencoder": ("held_out_scores", "epochs", "best_epoch", "comparison"),
    "network": ("epochs", "best_epoch"),
    "federation": ("rounds", "best_round"),
}
"""Entries that say how well it does; a novelty head that cannot be used has none."""


@dataclass(frozen=True)
class CardParts:
    """A card by what it says.

    Attributes:
        data, parameters, metrics: entries of the card; empty where it says nothing of them.
        code: version of the package, and the commit or the hash of the sources, by name; of older cards the version alone.
        author, made_at: who made it, and when; empty where an older card does not say.
    """

    data: dict[str, Any]
    parameters: dict[str, Any]
    metrics: dict[str, Any]
    code: dict[str, str]
    author: str
    made_at: str


def parts_of(kind: str, card: Mapping[str, Any]) -> CardParts:
    """The parts of a card of any age; of a kind that nobody knows no data, parameters and metrics are told."""

    def chosen(names: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
        return {name: card[name] for name in names.get(kind, ()) if card.get(name) is not None}

    code = card.get("code", card.get("afterwatch"))
    told = dict(code) if isinstance(code, Mapping) else {"version": str(code)} if code else {}
    return CardParts(
        chosen(DATA),
        chosen(PARAMETERS),
        chosen(METRICS),
        told,
        str(card.get("author") or ""),
        str(card.get("made_at") or ""),
    )


def code_words(card: Mapping[str, Any]) -> str:
    """The code that made a model, in one line; empty where an older card does not say."""
    code = parts_of("", card).code
    beside = [f"{name} {code[name][:12]}" for name in ("commit", "sources") if code.get(name)]
    return " ".join(part for part in (code.get("version", ""), f"({', '.join(beside)})" if beside else "") if part)
