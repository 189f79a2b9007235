"""What can be searched for, and where."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from footage.images import check_image, read_image
from footage.pictures import Rgb
from footage.regions import WHOLE, Region
from infra.errors import ConfigurationError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class TextQuery:
    """What words describe; for encoders that understand them."""

    text: str

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ConfigurationError("a search by text needs a text; say what is to be seen")


@dataclass(frozen=True, eq=False)
class ImageQuery:
    """What looks like a picture; for frame encoders.

    Attributes:
        picture: uint8 RGB (H, W, 3).
        region: part of the picture that counts, a box or a polygon in fractions of it.
    """

    picture: Rgb
    region: Region = WHOLE

    def __post_init__(self) -> None:
        check_image(self.picture)

    @classmethod
    def read(cls, source: Path | bytes, region: Region = WHOLE) -> Self:
        """From a picture file or its content; see `read_image`."""
        return cls(read_image(source), region)


@dataclass(frozen=True)
class EventQuery:
    """What looks like an event of the lake: the mean of its region's vectors."""

    event_id: str


@dataclass(frozen=True)
class ExampleQuery:
    """What looks like a region of a camera at a moment.

    Attributes:
        camera, region: of whose vectors.
        at: the moment, with a zone; or else
        recording_id, at_us: the moment in a recording, microseconds since its first picture.
        campaign: None: whichever has the moment.
    """

    camera: str
    region: str = WHOLE.name
    at: datetime | None = None
    recording_id: str | None = None
    at_us: int | None = None
    campaign: str | None = None

    def __post_init__(self) -> None:
        if (self.at is None) == (self.recording_id is None) or (self.recording_id is None) != (self.at_us is None):
            raise ConfigurationError("an example's moment is given by `at`, or else by recording_id and at_us")
        if self.at is not None and self.at.tzinfo is None:
            raise ConfigurationError(f"{self.at.isoformat()} has no zone; give a moment with one")

    def __str__(self) -> str:
        moment = self.at.isoformat() if self.at is not None else f"{self.at_us} µs in {self.recording_id}"
        return f"{self.camera} · {self.region} at {moment}"


@dataclass(frozen=True, eq=False)
class VectorQuery:
    """What is near a vector of a space, as one is kept from an earlier search.

    Attributes:
        space: of the vector; in no other it means anything.
        vector: float32 (D,).
    """

    space: str
    vector: NDArray[np.float32]


Query = TextQuery | ImageQuery | EventQuery | ExampleQuery | VectorQuery


@dataclass(frozen=True)
class Filters:
    """Where is searched; None: everywhere.

    Attributes:
        campaign, camera, region: only of these names.
        start, end: only spans that begin in `[start, end)`; with a zone.
    """

    campaign: str | None = None
    camera: str | None = None
    region: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    def __post_init__(self) -> None:
        for moment in (self.start, self.end):
            if moment is not None and moment.tzinfo is None:
                raise ConfigurationError(f"{moment.isoformat()} has no zone; give a moment with one")
        if self.start is not None and self.end is not None and not self.start < self.end:
            raise ConfigurationError(
                f"a search is from a moment to a later one, got {self.start.isoformat()} to {self.end.isoformat()}"
            )


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970, UTC."""
    return (moment - EPOCH) // MICROSECOND
