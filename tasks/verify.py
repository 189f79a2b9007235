"""Verify: decode pictures again and compare them with the digests that the lake keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from footage.decode import decode
from footage.probe import content_hash
from infra.errors import FootageError
from lake.current import recordings_now
from tasks.plan import FRAMES_SCOPE, DayPlan, Recording, Selection, plan_days, recordings_of
from workspace.indexes import load_index
from workspace.opened import Workspace


@dataclass(frozen=True)
class Verification:
    """What a verification found; a difference names recording, picture and what differs."""

    recordings: int
    compared: int
    differences: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {"recordings": self.recordings, "compared": self.compared, "differences": list(self.differences)}


def verify_pictures(
    workspace: Workspace, selection: Selection, frames: int, progress: Callable[[str, float, float], None]
) -> Verification:
    """Hash every selected recording again, and decode `frames` pictures of each, spread evenly over it.

    Recordings that the last night found gone cannot be compared and are left out.
    """
    rows = [row for row in recordings_now(workspace.ledger) if row["camera"]]
    days = [day for day in plan_days(workspace, recordings_of(workspace, rows)) if selection.takes(day.place)]
    remembered = {recording: digests for day in days for recording, digests in _digests(workspace, day).items()}
    compared, differences = 0, []
    for number, (recording, digests) in enumerate(sorted(remembered.items(), key=lambda item: item[0].path), start=1):
        count, found = _verify(workspace, recording, digests, frames)
        compared += count
        differences += [f"{recording.path}: {what}" for what in found]
        progress("verify", number, len(remembered))
    return Verification(len(remembered), compared, tuple(differences))


def _digests(workspace: Workspace, day: DayPlan) -> dict[Recording, dict[int, str]]:
    found: dict[Recording, dict[int, str]] = {}
    for shard in day.shards:
        for product in shard.products if shard.recording.there else ():
            if product.scope == FRAMES_SCOPE and product.exists:
                table = workspace.store.read_table(product.paths[0], ["index", "digest"])
                pairs = zip(table["index"].to_pylist(), table["digest"].to_pylist(), strict=True)
                found.setdefault(shard.recording, {}).update(pairs)
    return found


def _verify(workspace: Workspace, recording: Recording, digests: dict[int, str], frames: int) -> tuple[int, list[str]]:
    path = workspace.site.footage_root / recording.path
    if not path.exists():
        return 0, ["the file is not there any more"]
    if content_hash(path) != recording.recording_id:
        return 0, ["the file's content is not the one that was processed"]
    known = np.array(sorted(digests), dtype=np.int64)
    if not len(known):
        return 0, []
    wanted = np.unique(known[np.linspace(0, len(known) - 1, min(frames, len(known))).round().astype(np.int64)])
    try:
        index = load_index(workspace.store, recording.recording_id)
        now = {picture.index: picture.digest() for picture in decode(path, index, wanted)}
    except FootageError as error:
        return 0, [str(error)]
    differing = [int(number) for number in wanted if now.get(int(number)) != digests[int(number)]]
    return len(wanted), [f"picture {number} decodes to other pixels" for number in differing]
