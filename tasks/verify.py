"""Verify: what is remembered and what is published, derived again from the recordings and compared."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from footage.decode import decode
from infra.errors import FootageError
from lake.current import current_outputs, recordings_now
from lake.keys import Place
from tasks.plan import FRAMES_SCOPE, DayPlan, Recording, Selection, plan_days, recordings_of
from tasks.receipts import reason_of
from tasks.retained import told_deleted
from tasks.verify_day import Found
from tasks.verify_digests import verify_digests
from tasks.verify_recordings import Recordings
from tasks.verify_summaries import verify_summaries
from workspace.opened import Workspace
from workspace.retention.deleted import deleted_now

Progress = Callable[[str, float, float], None]
Row = dict[str, Any]


@dataclass(frozen=True)
class Verification:
    """What a verification compared, and found.

    Attributes:
        recordings: hashed again.
        compared: pictures of a sample of them, decoded again.
        summaries, entries: published summaries and their entries, derived again.
        pictures, vectors: of these entries, measured and embedded again.
        digests: of all cameras of a day.
        differences: a line each, naming the recording or the entry, what differs, and the two values.
        remarks: what cannot be compared, and is no sign of a difference.
    """

    recordings: int
    compared: int
    summaries: int
    entries: int
    pictures: int
    vectors: int
    digests: int
    differences: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Whether nothing was compared: then no difference says nothing."""
        return not (self.recordings or self.summaries or self.digests)

    def as_json(self) -> dict[str, Any]:
        told = asdict(self)
        return told | {name: list(told[name]) for name in ("differences", "remarks")}


def verify(
    workspace: Workspace,
    selection: Selection,
    *,
    frames: int,
    summaries: bool = True,
    render: bool = False,
    threads: int = 0,
    progress: Progress,
) -> Verification:
    """Compare the selected days with their recordings.

    Args:
        workspace: the site; nothing of it changes.
        selection: of campaign, camera and day.
        frames: pictures of each recording to decode again, spread evenly over it.
        summaries: derive what is published of the days as well: see `tasks.verify_summaries`.
        render: publish the days again into a temporary folder too, and compare byte by byte.
        threads: threads of the decoder; 0 for one per core.
        progress: told of every recording and camera's day.
    """
    rows = [row for row in recordings_now(workspace.ledger) if row["camera"]]
    days = plan_days(workspace, recordings_of(workspace, rows))
    known = Recordings(workspace)
    chosen = [day for day in days if selection.takes(day.place)]
    recordings, compared, differences = verify_pictures(workspace, chosen, known, frames, progress)
    differences += lost_outputs(workspace, chosen, summaries=summaries)
    found = Found()
    if summaries:
        found = verify_summaries(workspace, days, selection, known, render=render, threads=threads, progress=progress)
        found.digests, lines = verify_digests(workspace, selection, render=render, threads=threads)
        found.differences += lines
    return Verification(
        recordings,
        compared,
        found.summaries,
        found.entries,
        found.pictures,
        found.vectors,
        found.digests,
        (*differences, *found.differences),
        (*unembedded(chosen), *deleted_of(workspace, rows, selection), *dict.fromkeys(found.remarks)),
    )


def deleted_of(workspace: Workspace, rows: Sequence[Row], selection: Selection) -> list[str]:
    """What retention has deleted of the selected days, a line each.

    Args:
        workspace: the site.
        rows: of its recordings, as they are now.
        selection: of campaign, camera and day.
    """
    deleted = deleted_now(workspace.ledger)
    contents: dict[Place, set[str]] = {}
    lines = []
    for row in rows:
        place = Place(row["campaign"], row["camera"], row["day"])
        if selection.takes(place):
            contents.setdefault(place, set()).add(row["recording_id"])
            if row["status"] == "gone" and row["path"] in deleted.footage:
                lines.append(f"{row['path']}: deleted by retention on {deleted.footage[row['path']]}")
    told = [line for place in sorted(contents) for line in told_deleted(deleted, place, frozenset(contents[place]))]
    return [*told, *lines]


def lost_outputs(workspace: Workspace, days: Sequence[DayPlan], *, summaries: bool) -> list[str]:
    """Files that the ledger says were made of the days and count, and that are not there.

    Args:
        workspace: the site.
        days: selected.
        summaries: of every table; else of those that recordings alone are compared with.
    """
    places = {day.place for day in days}
    return [
        f"{place}: {output.path} was made, and is not there any more; run the night again"
        for output in current_outputs(workspace.ledger)
        if (summaries or output.table == FRAMES_SCOPE)
        and (place := Place(output.campaign, output.camera, output.day)) in places
        and not workspace.store.exists(output.path)
    ]


def unembedded(days: Sequence[DayPlan]) -> list[str]:
    """Recordings of which there are no pictures to compare, under the settings as they are."""
    lacking = {
        shard.recording.path: day.place
        for day in days
        for shard in day.shards
        for product in shard.products
        if shard.recording.there and product.scope == FRAMES_SCOPE and not product.exists
    }
    return [
        f"{place}: the lake holds no pictures of {path}, or not of all of it, by the settings as they are; run the night"
        for path, place in sorted(lacking.items())
    ]


def verify_pictures(
    workspace: Workspace, days: Sequence[DayPlan], known: Recordings, frames: int, progress: Progress
) -> tuple[int, int, list[str]]:
    """Hash every recording again, and decode `frames` pictures of each, spread evenly over it.

    Recordings that the last night found gone cannot be compared and are left out.

    Returns:
        Number of recordings and of pictures compared, and the differences, a line each.
    """
    remembered: dict[Recording, dict[int, str]] = {}
    compared, differences = 0, []
    for day in days:
        differences += _read_digests(workspace, day, remembered)
    for number, (recording, digests) in enumerate(sorted(remembered.items(), key=lambda item: item[0].path), start=1):
        count, found = _verify(workspace, recording, known, digests, frames)
        compared += count
        differences += [f"{recording.path}: {what}" for what in found]
        progress("verify", number, len(remembered))
    return len(remembered), compared, differences


def _read_digests(workspace: Workspace, day: DayPlan, remembered: dict[Recording, dict[int, str]]) -> list[str]:
    """Add what the lake remembers of a day's pictures, by number; returns which of its files cannot be read."""
    lines = []
    for shard in day.shards:
        for product in shard.products if shard.recording.there else ():
            if product.scope == FRAMES_SCOPE and product.exists:
                digests = remembered.setdefault(shard.recording, {})
                try:
                    table = workspace.store.read_table(product.paths[0], ["index", "digest"])
                    digests.update(zip(table["index"].to_pylist(), table["digest"].to_pylist(), strict=True))
                except Exception as error:  # noqa: BLE001 — whatever is damaged is named, and the rest is verified all the same
                    lines.append(f"{shard.recording.path}: {product.paths[0]} cannot be read: {reason_of(error)}")
    return lines


def _verify(
    workspace: Workspace, recording: Recording, known: Recordings, digests: dict[int, str], frames: int
) -> tuple[int, list[str]]:
    looked = known.look(recording)
    if looked.index is None:
        return 0, list(looked.differences)
    there = np.array([number for number in sorted(digests) if number < len(looked.index)], dtype=np.int64)
    if not len(there):
        return 0, list(looked.differences)
    wanted = np.unique(there[np.linspace(0, len(there) - 1, min(frames, len(there))).round().astype(np.int64)])
    try:
        path = workspace.site.footage_root / recording.path
        now = {picture.index: picture.digest() for picture in decode(path, looked.index, wanted)}
    except FootageError as error:
        return 0, [*looked.differences, str(error)]
    differing = [int(number) for number in wanted if now.get(int(number)) != digests[int(number)]]
    return len(wanted), [*looked.differences, *(f"picture {number} decodes to other pixels" for number in differing)]
