"""Where people put the threshold of a camera's novelty head: append-only statements, of which the newest counts.

A threshold is said in robust standard deviations above the median of the camera's normal scores, so that it means the same
when the head is fitted anew and its scores are on another scale.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime

from infra.errors import ConfigurationError
from infra.table import NAME
from lake.current import statements_now
from lake.ledger import Ledger, Statement

TABLE = "thresholds"


@dataclass(frozen=True)
class ThresholdChoice:
    """What a person says of the threshold of a region of a camera.

    Attributes:
        camera, region: whose events; the region `frame` is the whole picture.
        head: name of the novelty head, as in the settings.
        deviations: robust standard deviations above the median of the camera's normal scores, at least 0; None leaves it
            to the settings again.
        author: who says so.
        said_at: when.
    """

    camera: str
    region: str
    head: str
    deviations: float | None
    author: str
    said_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        for what, name in (("camera", self.camera), ("region", self.region), ("head", self.head)):
            if not NAME.fullmatch(name):
                raise ConfigurationError(f'a threshold is that of a {what}, and "{name}" names none')
        if self.deviations is not None and not 0 <= self.deviations < math.inf:
            raise ConfigurationError(
                f"a threshold lies at least 0 deviations above the normal median and is finite, got {self.deviations}"
            )
        if not self.author.strip():
            raise ConfigurationError("a threshold has an author; say who you are")

    @property
    def key(self) -> str:
        """What it is about: of two with one key, the newer counts."""
        return f"{self.camera}/{self.region}/{self.head}"


def say_threshold(ledger: Ledger, choice: ThresholdChoice) -> None:
    """Append a choice; the next run holds every day of the camera against it."""
    value = None if choice.deviations is None else {"deviations": choice.deviations}
    ledger.say(
        TABLE, [Statement(choice.key, choice.author.strip(), value, camera=choice.camera, said_at=choice.said_at)]
    )


def thresholds_now(ledger: Ledger) -> dict[tuple[str, str, str], ThresholdChoice]:
    """The choices that count, by camera, region and head; those left to the settings again are absent."""
    found = {}
    for row in statements_now(ledger, TABLE):
        camera, region, head = row["key"].split("/")
        deviations = float(row["value"]["deviations"])
        choice = ThresholdChoice(camera, region, head, deviations, row["author"], row["said_at"])
        found[camera, region, head] = choice
    return found
