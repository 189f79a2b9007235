"""The segments that a day's summary shows: what they were measured as, why they are in, and what was sampled in them."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from footage.writing import Chapter
from infra.errors import LakeError
from lake.keys import short_hash
from lake.store import Store
from tasks.plan import FRAMES_SCOPE, DayPlan, Recording
from tasks.step_plans import DaySteps
from tasks.summary_steps import standing_segment, standing_summarise

COLUMNS = ("anomaly", "memorability", "entropy", "dynamics")
RAW = ("surprise", "distinctiveness", "entropy_bits", "motion")
KEY = ("recording_id", "segment")
DIGITS = 6
"""Decimals that scores are told with."""

Row = dict[str, Any]


def read_chosen(store: Store, steps: DaySteps) -> list[Row]:
    """Rows of `summaries`, each with what `segments` says of it, in order of time.

    Raises:
        LakeError: a row has no segment.
    """
    segments = standing_segment(store, steps).outputs[0]
    measured = store.read_table(segments, [*KEY, "begins_at", *RAW, *COLUMNS, "probability", "keyframe_us"])
    known = {tuple(row[name] for name in KEY): row for row in measured.to_pylist()}
    chosen = store.read_table(standing_summarise(store, steps).outputs[0]).to_pylist()
    absent = [row for row in chosen if tuple(row[name] for name in KEY) not in known]
    if absent:
        raise LakeError(
            f"segment {absent[0]['segment']} of recording {absent[0]['recording_id']} is chosen, and {segments} does not "
            "know it; delete that file and run the night again"
        )
    rows = [{**known[tuple(row[name] for name in KEY)], **row} for row in chosen]
    return sorted(rows, key=lambda row: (row["taken_at"], row["recording_id"]))


def entries_of(chosen: Iterable[Row], recordings: Mapping[str, Recording]) -> list[Row]:
    """What the summary shows, one after the other: rows with their place in the video, their recording and their still."""
    entries, at_us = [], 0
    # By recording: each is decoded once, and where two overlap their pictures must not alternate.
    order = {recording_id: number for number, recording_id in enumerate(recordings)}
    for row in sorted(chosen, key=lambda row: (order[row["recording_id"]], row["from_us"])):
        name = f"{row['taken_at']:%H%M%S}-{row['recording_id'][:6]}-{row['segment']:04d}.jpg"
        still = f"keyframes/{name}" if row["keyframe_us"] is not None else ""
        entries.append({**row, "at_us": at_us, "recording": recordings[row["recording_id"]], "still": still})
        at_us += row["to_us"] - row["from_us"]
    return entries


def chapter_of(entry: Row, clock: str) -> Chapter:
    """The chapter of an entry."""
    return Chapter(f"{clock} {entry['reason']}", entry["at_us"], entry["at_us"] + entry["to_us"] - entry["from_us"])


class SampledPictures:
    """Hashes of the pixels that were sampled on a day, as the lake keeps them.

    Args:
        store: of the lake.
        day: as it is embedded.
    """

    def __init__(self, store: Store, day: DayPlan) -> None:
        sampled: dict[str, list[tuple[int, str]]] = {}
        for product in day.products(FRAMES_SCOPE):
            if product.exists:
                table = store.read_table(product.paths[0], ["recording_id", "t_us", "digest"])
                for recording_id, t_us, digest in zip(
                    *(table[name].to_pylist() for name in table.column_names), strict=True
                ):
                    sampled.setdefault(recording_id, []).append((t_us, digest))
        self._sampled = {recording_id: sorted(pictures) for recording_id, pictures in sampled.items()}

    def within(self, recording_id: str, from_us: int, to_us: int) -> list[str]:
        """Digests of the pictures sampled in a span, in order of time."""
        pictures = self._sampled.get(recording_id, [])
        first, last = (bisect_left(pictures, (at_us, "")) for at_us in (from_us, to_us))
        return [digest for _, digest in pictures[first:last]]

    def at(self, recording_id: str, t_us: int) -> str:
        """Digest of the picture sampled at a time; empty where none was."""
        found = self.within(recording_id, t_us, t_us + 1)
        return found[0] if found else ""


def pixels_hash(digests: Sequence[str]) -> str:
    """One hash over the digests of pictures, in the order given."""
    return short_hash(list(digests))


def told_entry(entry: Row, pictures: SampledPictures) -> Row:
    """An entry as `summary.json` tells it."""
    span = entry["recording_id"], entry["from_us"], entry["to_us"]
    keyframe_us = entry["keyframe_us"]
    numbers = ("score", *COLUMNS, *RAW, "probability")
    return {
        **{
            name: entry[name]
            for name in ("recording_id", "segment", "from_us", "to_us", "keyframe_us", "begins_at", "event_id", "truth")
        },
        **{name: None if entry[name] is None else round(float(entry[name]), DIGITS) for name in numbers},
        "at_s": entry["at_us"] / 1e6,
        "for_s": (entry["to_us"] - entry["from_us"]) / 1e6,
        "recording": entry["recording"].path,
        "taken_at": entry["taken_at"].isoformat(),
        "reason": entry["reason"],
        "keyframe": entry["still"],
        "keyframe_digest": "" if keyframe_us is None else pictures.at(entry["recording_id"], keyframe_us),
        "digests": pixels_hash(pictures.within(*span)),
    }
