"""Which normal snippets a novelty head was fitted on: so that a score can name the ones that are most like what it judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lake.store import Store
from lake.vectors import Embeddings
from models.arrays import Arrays
from tasks.rows import EPOCH, MICROSECOND
from tasks.step_plans import Said


@dataclass(frozen=True, eq=False)
class ReferenceRows:
    """Who the rows of a head's reference are.

    Attributes:
        recordings: hash of the content and true time of the first picture of each recording.
        number: int32 (M,), which recording each row is of.
        from_us, to_us: int64 (M,), spans in that recording.
    """

    recordings: tuple[tuple[str, datetime], ...]
    number: NDArray[np.int32]
    from_us: NDArray[np.int64]
    to_us: NDArray[np.int64]

    @classmethod
    def of(cls, snippets: Embeddings) -> Self:
        encoded = snippets.rows["recording_id"].combine_chunks().dictionary_encode()
        names = encoded.dictionary.to_pylist()
        number = np.asarray(encoded.indices, dtype=np.int32)
        from_us = snippets.column("from_us").astype(np.int64)
        begun_us = snippets.from_us - from_us
        _, first = np.unique(number, return_index=True)
        recordings = tuple(
            (name, EPOCH + int(begun_us[row]) * MICROSECOND) for name, row in zip(names, first, strict=True)
        )
        return cls(recordings, number, from_us, snippets.column("to_us").astype(np.int64))

    @property
    def begins_us(self) -> NDArray[np.int64]:
        """int64 (M,), true begin of each row, in microseconds since 1970, UTC."""
        origins = [(started_at - EPOCH) // MICROSECOND for _, started_at in self.recordings]
        return np.asarray(np.array(origins, dtype=np.int64)[self.number] + self.from_us)

    @property
    def ends_us(self) -> NDArray[np.int64]:
        """int64 (M,), true end of each row, exclusive."""
        return np.asarray(self.begins_us + self.to_us - self.from_us)

    def told(self, row: int, distance: float) -> dict[str, Any]:
        """A row as `reasons` names it."""
        recording_id, started_at = self.recordings[int(self.number[row])]
        begin, end = int(self.from_us[row]), int(self.to_us[row])
        return {
            "recording_id": recording_id,
            "from_us": begin,
            "to_us": end,
            "taken_at": started_at + begin * MICROSECOND,
            "distance": distance,
        }

    def to_card(self) -> list[dict[str, str]]:
        return [{"recording_id": name, "started_at": moment.isoformat()} for name, moment in self.recordings]

    def to_arrays(self) -> Arrays:
        return {"recording": self.number, "from_us": self.from_us, "to_us": self.to_us}

    @classmethod
    def from_card(cls, recordings: Sequence[Mapping[str, str]], arrays: Mapping[str, NDArray[Any]]) -> Self:
        named = tuple((row["recording_id"], datetime.fromisoformat(row["started_at"])) for row in recordings)
        return cls(named, arrays["recording"], arrays["from_us"], arrays["to_us"])


def normal_only(store: Store, earlier: Embeddings, unusual: Sequence[str], said: Sequence[Said]) -> Embeddings:
    """What of earlier footage is normal: without what the alarm budget alarmed on and what people confirmed to be
    unusual, but with what they dismissed.

    Args:
        store: of the lake.
        earlier: snippets of the days before.
        unusual: files of that table.
        said: disjoint, by people. A snippet that meets a confirmed stretch is left out, also where it meets a dismissed
            one.
    """
    keep = np.ones(len(earlier), dtype=np.bool_)
    begins, ends = earlier.from_us, earlier.to_us
    for path in unusual:
        for row in store.read_table(path, ["started_at", "ended_at"]).to_pylist():
            start, end = ((row[name] - EPOCH) // MICROSECOND for name in ("started_at", "ended_at"))
            keep &= (ends <= start) | (begins >= end)
    for confirmed in (False, True):  # in this order: what was confirmed has the last word
        keep[_met(earlier, [item for item in said if item.confirmed == confirmed])] = not confirmed
    return earlier.take(np.flatnonzero(keep))


def thinned(reference: Embeddings, most: int) -> Embeddings:
    """At most `most` rows, spread evenly over time."""
    if len(reference) <= most:
        return reference
    return reference.take(np.linspace(0, len(reference) - 1, most).round().astype(np.int64))


def distinct(reference: Embeddings) -> Embeddings:
    """The first of each vector: repeated ones (a still scene, a frozen picture) would make all else look sparse."""
    _, first = np.unique(reference.vectors, axis=0, return_index=True)
    return reference.take(np.sort(first).astype(np.int64))


def nights_of(snippets: Embeddings) -> NDArray[np.int64]:
    """int64 (N,): the day of each, as a number."""
    return np.asarray(snippets.rows["day"].cast(pa.int32()), dtype=np.int64)


def _met(snippets: Embeddings, said: Sequence[Said]) -> NDArray[np.bool_]:
    """bool (N,): which snippets share time with a stretch of their recording."""
    met = np.zeros(len(snippets), dtype=np.bool_)
    if not said or not len(snippets):
        return met
    owners = np.asarray(snippets.rows["recording_id"].to_pylist(), dtype=object)
    begins, ends = snippets.column("from_us"), snippets.column("to_us")
    for item in said:
        met |= (owners == item.recording_id) & (begins < item.to_us) & (ends > item.from_us)
    return met
