"""What people said is true of a camera's footage: their verdicts on its events, as published summaries show them."""

from collections.abc import Collection, Iterable

from lake.labels import Label, UseCase, labels_now
from lake.verdicts import newest_of_each_moment
from tasks.step_plans import Said, in_one_piece
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
        self._said: dict[str, list[Said]] = {}
        for case in sorted(labels):
            stretches = newest_of_each_moment(labels[case])
            told = (Said(item.recording_id, item.from_us, item.to_us, item.confirmed) for item in stretches)
            for said in in_one_piece(told):
                self._said.setdefault(said.recording_id, []).append(said)

    def told(self, recordings: Collection[str]) -> tuple[Said, ...]:
        """What was said of recordings, in order; whoever said it, and for whichever head."""
        return tuple(sorted(said for recording_id in recordings for said in self._said.get(recording_id, ())))


def truth_of(said: Iterable[Said], recording_id: str, from_us: int, to_us: int) -> str:
    """`confirmed` where a confirmed event reaches into a span, else `dismissed` where a dismissed one does, else empty."""
    found = {
        item.confirmed
        for item in said
        if item.recording_id == recording_id and item.from_us < to_us and from_us < item.to_us
    }
    return CONFIRMED if True in found else DISMISSED if found else ""
