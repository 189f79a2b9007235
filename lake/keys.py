"""Step keys: what a step's output is called, made of everything that decides it.

The key of a step is a hash of its name, its version, its parameters and the keys of its inputs. Outputs carry the key
in their name, so a step whose output exists is done, whoever ran it and whatever became of them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

VERSIONS = {
    "ingest": 1,
    "embed": 1,
    "health": 2,
    "fit": 2,
    "score": 2,
    "retrieve": 1,
    "classify": 1,
    "segment": 1,
    "summarise": 2,
    "publish": 2,
    "digest": 1,
    "queue": 1,
}
"""Raised by hand when the arithmetic of a step changes; everything that depends on it is then made again."""

KEY_DIGITS = 20


@dataclass(frozen=True, order=True)
class Place:
    """A camera's day in a campaign: the unit in which nights are planned, recorded and published."""

    campaign: str
    camera: str
    day: date

    @property
    def folder(self) -> str:
        """Folder of its files below a table."""
        campaign, camera = quote(self.campaign, safe=""), quote(self.camera, safe="")
        return f"campaign={campaign}/camera={camera}/day={self.day.isoformat()}"

    @property
    def told(self) -> list[str]:
        """As keys tell it, in words that JSON can hold."""
        return [self.campaign, self.camera, self.day.isoformat()]

    def __str__(self) -> str:
        return f"{self.campaign} · {self.camera} · {self.day.isoformat()}"


def step_key(step: str, parameters: Mapping[str, Any], inputs: Iterable[str]) -> str:
    """20 hexadecimal digits naming a step's output.

    Args:
        step: one of `VERSIONS`.
        parameters: values that JSON can hold; the order of names does not count.
        inputs: keys of what it is made from; their order does not count.
    """
    told = {"step": step, "version": VERSIONS[step], "parameters": parameters, "inputs": sorted(inputs)}
    return short_hash(told)


def short_hash(told: Mapping[str, Any] | Sequence[Any]) -> str:
    """20 hexadecimal digits of SHA-256 over the canonical JSON of `told`."""
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]
