"""Models as flat dicts of arrays: what is stored (safetensors), and nothing else."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def prefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The arrays of a part of a model, named `prefix.name` within the whole."""
    return {f"{prefix}.{name}": value for name, value in arrays.items()}


def part(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The arrays that `prefixed` gave that prefix, by their own names."""
    return {name.removeprefix(f"{prefix}."): value for name, value in arrays.items() if name.startswith(f"{prefix}.")}


def text_array(text: str) -> NDArray[np.uint8]:
    """Text as its UTF-8 bytes, uint8 (bytes,): a file of arrays holds no text."""
    return np.frombuffer(text.encode(), dtype=np.uint8).copy()


def array_text(array: NDArray[Any]) -> str:
    """The text of a `text_array`."""
    return array.tobytes().decode()
