"""Room: free space where a run writes, held against the reserve below which a run starts nothing new."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.site import Site
from workspace.opened import Workspace

BYTES_PER_GB = 1_000_000_000


@dataclass(frozen=True)
class Room:
    """Free space on the fullest disk that a run writes to.

    Attributes:
        free_bytes: what is left there to a process without special rights.
        reserve_bytes: `watch.reserve_gb`.
        enough: whether a run may start something new.
        words: the two numbers, and what to do where it is not enough.
    """

    free_bytes: int
    reserve_bytes: int
    enough: bool
    words: str


def room_left(workspace: Workspace) -> Room:
    """Measure the room of every disk that a run of the workspace writes to; the fullest counts.

    An object store has no end that could be measured: of a lake there, the workspace's own disks count. A disk that does
    not answer counts as full: what cannot be measured is not written to.
    """
    reserve = round(workspace.settings.watch.reserve_gb * BYTES_PER_GB)
    free: dict[Path, int] = {}
    for folder in written_folders(workspace.site, lake=workspace.store.is_local):
        try:
            free[folder] = free_bytes(folder)
        except OSError as error:
            return Room(0, reserve, False, f"the room of {folder} cannot be measured: {error.strerror or error}")
    fullest = min(free, key=lambda folder: free[folder])
    told = f"{free[fullest] / BYTES_PER_GB:.2f} GB free at {fullest}"
    if free[fullest] >= reserve:
        return Room(free[fullest], reserve, True, f"{told}, {reserve / BYTES_PER_GB:g} GB in reserve")
    remedy = "free space there, or lower watch.reserve_gb"
    return Room(
        free[fullest], reserve, False, f"{told}, less than watch.reserve_gb ({reserve / BYTES_PER_GB:g}); {remedy}"
    )


def written_folders(site: Site, *, lake: bool) -> list[Path]:
    """The folders that runs write to, as far as they are there, in order; of what is not there yet, the folder above.

    Args:
        site: of the workspace.
        lake: whether the lake is one of them: a folder and no object store.
    """
    wanted = [site.root, site.published_folder, site.digests_folder, site.models_folder, site.state_folder]
    return list(dict.fromkeys(_nearest(folder) for folder in (*wanted, *([Path(site.lake_location)] if lake else []))))


def free_bytes(folder: Path) -> int:
    """Bytes free on a folder's disk to a process without special rights.

    Raises:
        OSError: the disk does not answer.
    """
    measured = os.statvfs(folder)
    return measured.f_bavail * measured.f_frsize


def _nearest(folder: Path) -> Path:
    parents: Iterable[Path] = (folder, *folder.parents)
    return next(parent for parent in parents if parent.exists())
