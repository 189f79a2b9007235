"""Stills read back as pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from lake.store import Store


@dataclass(frozen=True, eq=False)
class Still:
    """What a camera showed over `[from_us, to_us)` of a recording.

    Attributes:
        taken_at: true time of `from_us`.
        picture: uint8 (h, w), the median of a few pictures.
    """

    recording_id: str
    from_us: int
    to_us: int
    taken_at: datetime
    picture: NDArray[np.uint8]

    @property
    def until(self) -> datetime:
        """True time of `to_us`."""
        return self.taken_at + timedelta(microseconds=self.to_us - self.from_us)


def read_stills(store: Store, paths: Sequence[str]) -> Iterator[Still]:
    """The stills of files of `stills`, file by file, each in order of time."""
    for path in paths:
        for row in store.read_table(path).sort_by("from_us").to_pylist():
            picture = np.frombuffer(row["picture"], dtype=np.uint8).reshape(row["height"], row["width"])
            yield Still(row["recording_id"], row["from_us"], row["to_us"], row["taken_at"], picture)
