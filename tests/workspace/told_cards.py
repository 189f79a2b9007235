"""What every card has to say, whatever the kind."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.version import code_version
from workspace.card_parts import parts_of


def says_everything(kind: str, card: Mapping[str, Any], author: str) -> None:
    """Data, parameters, metrics, code, who and when; a novelty head that cannot be used has no metrics."""
    parts = parts_of(kind, card)
    assert parts.data and parts.parameters, card
    assert parts.metrics or not card.get("usable", True), card
    assert parts.code == code_version().to_card()
    assert parts.author == author
    made_at = datetime.fromisoformat(parts.made_at)
    assert datetime.now(UTC) - timedelta(hours=1) < made_at <= datetime.now(UTC)
