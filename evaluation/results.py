"""One number of an evaluation, in the form that every table, figure and program reads."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """A metric; nan where it is undefined.

    Attributes:
        name: head or method, encoder, and what it is over.
        metric: name of the metric.
        value: on all there is.
        low, high: its interval.
        n: of what the value is over: frames, videos, events or runs.
    """

    name: str
    metric: str
    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it; null where it is undefined."""
        return {
            "name": self.name,
            "metric": self.metric,
            "value": _finite(self.value),
            "low": _finite(self.low),
            "high": _finite(self.high),
            "n": self.n,
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
