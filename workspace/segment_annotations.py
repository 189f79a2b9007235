"""When videos show an anomaly, as a file says it (row V1): `{"video.mp4": [{"start": 3, "end": 13}]}`, in seconds."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.errors import ConfigurationError

Annotations = Mapping[str, tuple[tuple[float, float], ...]]

LATEST_S = 1e6
"""Eleven days: no video goes on for longer."""


def read_segment_annotations(file: Path) -> Annotations:
    """Annotated spans of videos, in seconds, by the name that the file gives.

    Raises:
        ConfigurationError: it cannot be read, is not of the form of the module, names a video twice, or a span is not
            finite, begins before 0, or does not end after it begins.
    """
    try:
        told = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=lambda pairs: _unique(file, pairs))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f'{file} cannot be read as JSON ({error}); give {{"video.mp4": [{{"start": 3, "end": 13}}]}}'
        ) from None
    if not isinstance(told, dict) or not told:
        raise ConfigurationError(
            f'{file} names no video; give {{"video.mp4": [{{"start": 3, "end": 13}}]}}, seconds from its first picture'
        )
    return {
        str(name): tuple(_span(file, name, one) for one in _listed(file, name, spans)) for name, spans in told.items()
    }


def _unique(file: Path, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    for name, times in Counter(name for name, _ in pairs).items():
        if times > 1:
            raise ConfigurationError(f'{file}: "{name}" is there twice; put all spans of a video into one list')
    return dict(pairs)


def _listed(file: Path, name: str, spans: Any) -> list[Any]:
    if not isinstance(spans, list):
        raise ConfigurationError(f'{file}: {name} has no list of spans; write [{{"start": 3, "end": 13}}], or []')
    return spans


def _span(file: Path, name: str, told: Any) -> tuple[float, float]:
    numbers: list[Any] = [told.get("start"), told.get("end")] if isinstance(told, dict) else []
    if len(numbers) != 2 or any(isinstance(one, bool) or not isinstance(one, int | float) for one in numbers):
        raise ConfigurationError(f'{file}: a span of {name} is {told!r}; write {{"start": 3, "end": 13}}, in seconds')
    start, end = numbers
    if not 0 <= start < end <= LATEST_S:
        raise ConfigurationError(
            f"{file}: a span of {name} goes from {start} to {end} s; it begins at 0 or later and ends after that"
        )
    return float(start), float(end)
