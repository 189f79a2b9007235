"""Named sets of weights of the summaries, in versions, and which of them is in use.

A statement of `weight_sets` is one version of the set that its key names. Versions are numbered by the order of the
statements, so two people who save at once never make one number of two; saving the weights that a set has already makes
no version. Where the clock of one of them is behind, numbers may shift; so what is put into use is remembered with its
weights, and stays what it was.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.errors import ConfigurationError, LakeError, UnknownNameError
from infra.settings import MOST_WEIGHT
from infra.table import NAME
from lake.current import statements_now
from lake.ledger import Ledger, Statement
from lake.promotions import PROMOTED, retire
from lake.promotions import TABLE as PROMOTIONS

TABLE = "weight_sets"
KIND, SERVED, EVERY_CAMERA = "weights", "summary", ""
"""Kind and name of the promotion that puts a set into use, for the summaries of all cameras."""
SETTINGS = "settings"
"""Label of the weights of the settings, which are in use where no set is."""
COLUMNS = ("anomaly", "memorability", "entropy", "dynamics")


@dataclass(frozen=True)
class WeightSet:
    """A version of a named set of weights.

    Attributes:
        name: of the set.
        version: from 1.
        anomaly, memorability, entropy, dynamics: how much each counts; 0 to `MOST_WEIGHT`, not all 0.
        author: who saved it.
        said_at: when.
    """

    name: str
    version: int
    anomaly: float
    memorability: float
    entropy: float
    dynamics: float
    author: str
    said_at: datetime

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name == SETTINGS:
            raise ConfigurationError(
                f'a weight set has a name of letters, digits, blanks, dots, "_" and "-", 64 at most, other than {SETTINGS}, which is that '
                f'of the settings\' weights; got "{self.name}"'
            )
        weights = self.weights
        if not all(0 <= value <= MOST_WEIGHT for value in weights.values()) or sum(weights.values()) <= 0:
            raise ConfigurationError(
                f"weights are finite, at least 0, at most {MOST_WEIGHT:,.0f} and not all 0, got {weights}"
            )
        if not self.author.strip():
            raise ConfigurationError("a weight set has an author; say who you are")

    @property
    def label(self) -> str:
        """`name/version`."""
        return f"{self.name}/{self.version}"

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each column."""
        return {column: getattr(self, column) for column in COLUMNS}


def save_weight_set(
    ledger: Ledger,
    name: str,
    *,
    anomaly: float,
    memorability: float,
    entropy: float,
    dynamics: float,
    author: str,
) -> WeightSet:
    """Save weights as the newest version of a set; where that has these weights already, it stays and nothing is said.

    Raises:
        ConfigurationError: the name or the weights are out of their range, or nobody says it.
    """
    found, unreadable = _read(ledger)
    before = found.get(name, ())
    weights = dict(zip(COLUMNS, map(float, (anomaly, memorability, entropy, dynamics)), strict=True))
    said = [version.said_at for version in before[-1:]]
    said += [unreadable[name]["said_at"]] if name in unreadable else []
    # After what it follows, also where the clock that said that was ahead.
    now = max([datetime.now(UTC), *(moment + timedelta(microseconds=1) for moment in said)])
    new = WeightSet(name, len(before) + 1, **weights, author=author.strip(), said_at=now)
    if before and before[-1].weights == weights and name not in unreadable:
        return before[-1]
    ledger.say(TABLE, [Statement(name, new.author, weights, said_at=now)])
    return next(version for version in reversed(_read(ledger)[0][name]) if version.weights == weights)


def weight_sets(ledger: Ledger) -> dict[str, tuple[WeightSet, ...]]:
    """The versions of each set, oldest first, by name.

    Raises:
        LakeError: the newest word on a name is no set of weights, as rows written by hand may not be.
    """
    found, unreadable = _read(ledger)
    for name in sorted(unreadable):
        raise _unreadable(name, unreadable[name])
    return found


def find_weight_set(ledger: Ledger, label: str) -> WeightSet:
    """A version of a set by `name/version`, or its newest by `name`.

    Raises:
        UnknownNameError: there is none; the known ones are named.
        LakeError: the newest is asked for, and the newest word on that name is no set of weights.
    """
    found, unreadable = _read(ledger)
    name, slash, _ = label.partition("/")
    if name in unreadable and (not slash or name not in found):
        raise _unreadable(name, unreadable[name])
    if name not in found:
        raise UnknownNameError("weight set", label, found)
    versions = {version.label: version for version in found[name]}
    if slash and label not in versions:
        raise UnknownNameError("version of a weight set", label, versions)
    return versions[label] if slash else found[name][-1]


def use_weight_set(ledger: Ledger, label: str | None, author: str) -> WeightSet | None:
    """Put a set into use, from the next night on; None, or `settings`: the weights of the settings again.

    Returns:
        The version in use now; None where it is the settings.

    Raises:
        UnknownNameError: there is no such set.
        ConfigurationError: nobody says it.
    """
    if not author.strip():
        raise ConfigurationError("putting a weight set into use has an author; say who you are")
    if label is None or label == SETTINGS:
        retire(ledger, KIND, SERVED, author.strip(), EVERY_CAMERA)
        return None
    found = find_weight_set(ledger, label)
    value = {"version": found.label, "state": PROMOTED, "weights": found.weights}
    ledger.say(PROMOTIONS, [Statement(f"{KIND}/{SERVED}", author.strip(), value, camera=EVERY_CAMERA)])
    return found


def weight_set_in_use(ledger: Ledger) -> WeightSet | None:
    """The set in use, with the weights that it had when it was put into use; None where it is the weights of the settings.

    Raises:
        LakeError: what was put into use is no set, as rows written by hand may not be.
    """
    said = [row for row in statements_now(ledger, PROMOTIONS) if (row["key"], row["camera"]) == _PROMOTION]
    if not said:
        return None
    value = said[0]["value"] if isinstance(said[0]["value"], dict) else {}
    version = value.get("version") if value.get("state") == PROMOTED else None
    try:
        found = find_weight_set(ledger, str(version))
        weights = value.get("weights", found.weights)
        known = _read(ledger)[0][found.name]
        return found if found.weights == weights else next(one for one in reversed(known) if one.weights == weights)
    except (UnknownNameError, StopIteration) as error:
        reason = error if isinstance(error, UnknownNameError) else "no version of the set has these weights"
        raise LakeError(
            f"the ledger {PROMOTIONS} says {said[0]['value']!r} of the summaries' weights: {reason}; put a set into use with "
            '"afterwatch summaries weights use NAME", or "… use settings"'
        ) from None


_PROMOTION = (f"{KIND}/{SERVED}", EVERY_CAMERA)


def _read(ledger: Ledger) -> tuple[dict[str, tuple[WeightSet, ...]], dict[str, dict[str, Any]]]:
    """The sets by name, and of each name on which the newest word is no set of weights, that row.

    Of equal weights that were said one after the other, by people who did not know of one another, the first counts.
    """
    rows = sorted(
        ledger.rows(TABLE).to_pylist(), key=lambda row: (row["said_at"], row["key"], row["author"], row["value"])
    )
    found: dict[str, list[WeightSet]] = {}
    unreadable: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = row["key"]
        unreadable.pop(name, None)
        versions = found.get(name, [])
        try:
            weights = _weights(json.loads(row["value"]))
            new = WeightSet(name, len(versions) + 1, **weights, author=row["author"], said_at=row["said_at"])
        except (ConfigurationError, TypeError, ValueError, KeyError):
            unreadable[name] = row
            continue
        if not versions or versions[-1].weights != new.weights:
            found.setdefault(name, []).append(new)
    return {name: tuple(found[name]) for name in sorted(found)}, unreadable


def _unreadable(name: str, row: Mapping[str, Any]) -> LakeError:
    return LakeError(
        f"the ledger {TABLE} says {row['value']} of {name}, which is no set of weights; save it again with "
        f'"afterwatch summaries weights save {name} --anomaly …"'
    )


def _weights(value: Mapping[str, Any]) -> dict[str, float]:
    if set(value) != set(COLUMNS):
        raise ValueError(f"a set has the weights {', '.join(COLUMNS)}")
    return {column: float(value[column]) for column in COLUMNS}
