"""A step of a camera's day from what decides it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lake.keys import Place, step_key
from lake.store import Store
from tasks.step_plans import Step


def day_key(name: str, place: Place, parameters: Mapping[str, Any], inputs: Iterable[str]) -> str:
    """Key of a step of a camera's day."""
    return step_key(name, {"place": place.told, "parameters": parameters}, inputs)


def day_step(
    store: Store,
    name: str,
    scope: str,
    place: Place,
    parameters: Mapping[str, Any],
    inputs: Sequence[str],
    tables: Sequence[str],
) -> Step:
    """A step of a camera's day that writes a file of each of `tables`."""
    key = day_key(name, place, parameters, inputs)
    outputs = tuple(f"{table}/{place.folder}/{key}.parquet" for table in tables)
    return Step(name, scope, key, tuple(inputs), outputs, all(map(store.exists, outputs)), parameters=parameters)
