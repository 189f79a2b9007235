"""Differences between what decided a result and what would decide it now, in the words of the settings."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST = 60
"""Characters that a value is told in; what is longer is only told to be another."""


def differences(before: Any, now: Any, name: str) -> Iterator[str]:
    """Tell each value that is another: `novelty.neighbours 20 → 30`.

    Args:
        before, now: as JSON holds them; tables are looked into.
        name: of the value; that of a table's values is its own, a dot and theirs.
    """
    before, now = as_json(before), as_json(now)
    if before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            yield from differences(before.get(key), now.get(key), f"{name}.{key}" if name else key)
        return
    told = told_value(before), told_value(now)
    yield f"{name} is another" if None in told or told[0] == told[1] else f"{name} {told[0]} → {told[1]}"


def as_json(value: Any) -> Any:
    """A value as it comes back from a file."""
    return json.loads(json.dumps(value))


def told_value(value: Any) -> str | None:
    """A value in words; None where it is too long to be told."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | int):
        return f"{value:g}"
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        value = ", ".join(str(item) for item in value) or "none"
    return value if isinstance(value, str) and len(value) <= LONGEST else None


def told_sampling(sampling: Mapping[str, Any]) -> str:
    """How often a camera is looked at."""
    match sampling:
        case {"policy": "every_nth", "n": n}:
            return f"one picture in {n}"
        case {"policy": "rate", "rate_hz": rate_hz}:
            return f"{rate_hz:g} Hz"
        case {"policy": "key_frames"}:
            return "key frames"
        case _:
            return json.dumps(dict(sampling))


def told_weights(weights: str) -> str:
    """Weights of an encoder, a hash in its first digits."""
    return weights[: len("sha256:") + 8] if weights.startswith("sha256:") else weights
