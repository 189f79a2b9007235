"""Verdicts as the lake keeps them: labels of (camera, region, name of the novelty head or alarm), `relevant` meaning confirmed.

They are about recorded time. Of two verdicts on one moment the newer counts, so what stands is a set of disjoint stretches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from lake.labels import Label, UseCase, labels_now
from lake.ledger import Ledger


@dataclass(frozen=True)
class Stretch:
    """`[from_us, to_us)` of a recording that somebody confirmed to be what its head says, or dismissed.

    Attributes:
        recording_id: hash of the recording's content.
        from_us, to_us: microseconds since its first picture.
        confirmed: the answer.
        author: who says so.
        said_at: when.
    """

    recording_id: str
    from_us: int
    to_us: int
    confirmed: bool
    author: str
    said_at: datetime


def judged_stretches(ledger: Ledger, *, camera: str, head: str) -> dict[str, tuple[Stretch, ...]]:
    """What people confirmed or dismissed of a head's events of a camera, by region; for fitting a novelty head."""
    return {case.region: found for case, found in stretches_now(ledger, head=head, camera=camera).items()}


def stretches_now(ledger: Ledger, *, head: str, camera: str | None = None) -> dict[UseCase, tuple[Stretch, ...]]:
    """What people confirmed or dismissed of a head's events, by camera and region; of one camera if it is named."""
    labels: dict[UseCase, list[Label]] = {}
    for label in labels_now(ledger):
        if label.use_case.name == head and camera in (None, label.use_case.camera):
            labels.setdefault(label.use_case, []).append(label)
    return {case: newest_of_each_moment(mine) for case, mine in sorted(labels.items())}


def newest_of_each_moment(labels: Sequence[Label]) -> tuple[Stretch, ...]:
    """Labels as disjoint stretches: where two overlap, the newer counts."""
    found: list[Stretch] = []
    for label in sorted(labels, key=lambda label: label.said_at):
        new = Stretch(label.recording_id, label.from_us, label.to_us, label.relevant, label.author, label.said_at)
        found = [left for old in found for left in _without(old, new)] + [new]
    return tuple(sorted(found, key=lambda stretch: (stretch.recording_id, stretch.from_us)))


def _without(old: Stretch, new: Stretch) -> list[Stretch]:
    """What is left of a stretch beside a newer one."""
    if old.recording_id != new.recording_id or new.to_us <= old.from_us or old.to_us <= new.from_us:
        return [old]
    sides = (replace(old, to_us=min(old.to_us, new.from_us)), replace(old, from_us=max(old.from_us, new.to_us)))
    return [side for side in sides if side.from_us < side.to_us]
