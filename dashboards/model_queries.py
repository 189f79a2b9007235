"""What the Models page asks of registry, ledger and lake: versions by kind and name, which of them serve, and what they did."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from dashboards.snapshot import LakeReader
from lake.registry import CARD, Registry
from workspace.serving import SERVING, State, state_of


@dataclass(frozen=True)
class Model:
    """A version of a model.

    Attributes:
        kind, name, version: as the registry knows it.
        card: what it is.
        made_at: when it was made; where its card does not say, when it was written.
        state: `in service`, `candidate` or `retired`; `kept` of a kind that people put into no service.
    """

    kind: str
    name: str
    version: str
    card: Mapping[str, Any]
    made_at: datetime
    state: State

    @property
    def serving(self) -> bool:
        """Whether it is in service."""
        return self.state == "in service"


@dataclass(frozen=True)
class Use:
    """What a version was used for: nights (of a camera) that it has scored, and the newest day of them."""

    nights: int
    newest: date | None


def names_by_kind(registry: Registry) -> dict[str, dict[str, list[str]]]:
    """Versions of everything in the registry, by kind and name; in order, but those of a name in none."""
    found: dict[str, dict[str, list[str]]] = {}
    for kind, name, version in registry.versions():
        found.setdefault(kind, {}).setdefault(name, []).append(version)
    return found


def in_use(
    found: Mapping[str, Mapping[str, list[str]]], serving: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, list[str]]]:
    """Of kinds that people put into service only what is there, of others everything; names and kinds without any go.

    Args:
        found: versions by kind and name.
        serving: version in service by kind and name.
    """
    kept: dict[str, dict[str, list[str]]] = {}
    for kind, names in found.items():
        for name, versions in names.items():
            mine = versions if kind not in SERVING else [one for one in versions if serving[kind].get(name) == one]
            if mine:
                kept.setdefault(kind, {})[name] = mine
    return kept


def read_model(registry: Registry, kind: str, name: str, version: str) -> Model:
    """A version with its card, as if it had never been in service; what a version is does not change by that.

    Raises:
        LakeError: there is none, or its card is damaged.
    """
    card = registry.card(kind, name, version)
    try:
        made_at = datetime.fromisoformat(str(card.get("made_at"))).astimezone(UTC)
    except ValueError:
        written = (registry.folder(kind, name, version) / CARD).stat().st_mtime
        made_at = datetime.fromtimestamp(written, UTC)
    return Model(kind, name, version, card, made_at, state_of(kind, version, None, ()))


def use_of(lake: LakeReader, version: str) -> Use:
    """What counts of a version's scores."""
    rows = lake.rows(
        """
        SELECT count(DISTINCT campaign || chr(31) || camera || chr(31) || day::VARCHAR) AS nights, max(day) AS newest
        FROM scores WHERE version = ?""",
        (version,),
    )
    nights = int(rows["nights"][0])
    return Use(nights, rows["newest"][0] if nights else None)
