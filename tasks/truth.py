"""What people said is true of a camera's footage: their verdicts on its events, as published summaries show them."""

from collections.abc import Collection
from typing import Any

from lake.labels import Label, UseCase, labels_now
from lake.verdicts import Stretch, newest_of_each_moment
from workspace.opened import Workspace
from workspace.verdicts import judged_heads

CONFIRMED, DISMISSED = "confirmed", "dismissed"


class Truth:
    """The verdicts that count now on events of one camera.

    Args:
        workspace: the site.
        camera: whose.
    """

    def __init__(self, workspace: Workspace, camera: str) -> None:
        heads = judged_heads(workspace)
        labels: dict[UseCase, list[Label]] = {}
        for label in labels_now(workspace.ledger):
            if label.use_case.camera == camera and label.use_case.name in heads:
                labels.setdefault(label.use_case, []).append(label)
        self._stretches: dict[str, list[Stretch]] = {}
        for case in sorted(labels):
            for stretch in newest_of_each_moment(labels[case]):
                self._stretches.setdefault(stretch.recording_id, []).append(stretch)

    def of(self, recording_id: str, from_us: int, to_us: int) -> str:
        """`confirmed` where a confirmed event reaches into a span, else `dismissed` where a dismissed one does, else empty."""
        said = {
            stretch.confirmed
            for stretch in self._stretches.get(recording_id, ())
            if stretch.from_us < to_us and from_us < stretch.to_us
        }
        return CONFIRMED if True in said else DISMISSED if said else ""

    def told(self, recordings: Collection[str]) -> list[list[Any]]:
        """What was said of recordings, in order and in words that a key can hold; whoever said it, and for whichever head."""
        return sorted(
            [stretch.recording_id, stretch.from_us, stretch.to_us, stretch.confirmed]
            for recording_id in recordings
            for stretch in self._stretches.get(recording_id, ())
        )
