"""From a folder of labelled clips to a `ClipSet`; the layout is found out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from infra.errors import ConfigurationError, UnknownNameError
from workspace.clip_sets.base import ClipSet, Layout, Progress
from workspace.clip_sets.dcsass import labels_of, read_dcsass
from workspace.clip_sets.folders import read_folders
from workspace.clip_sets.ucf101 import lists_folder, read_ucf101
from workspace.clips import VIDEOS

LAYOUTS: tuple[Layout, ...] = get_args(Layout)


def read_clip_set(
    folder: Path,
    layout: str | None = None,
    *,
    suffixes: Sequence[str] = VIDEOS,
    official_list: int | None = None,
    source: str | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> ClipSet:
    """Read a folder of labelled clips.

    Args:
        folder: it.
        layout: `folders` (a folder for each class), `dcsass` or `ucf101`; None: found out by the label files or lists.
        suffixes: endings of videos, in lower case.
        official_list: of UCF101, 1, 2 or 3.
        source: a regular expression that says a clip's source video: clips in whose path below the folder it finds the
            same (its first group, or the whole match) are never parted.
        progress: called with `clips`, those that were opened and all.

    Raises:
        ConfigurationError: there is no such folder, it does not hold clips of two classes in that layout, or
            (UnknownNameError) the layout is not known.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}; give one that holds a folder of videos for each class")
    if layout is not None and layout not in LAYOUTS:
        raise UnknownNameError("layout", layout, LAYOUTS)
    chosen = layout_of(folder) if layout is None else layout
    if official_list is not None and chosen != "ucf101":
        raise ConfigurationError(
            f"--list {official_list} is of UCF101, and {folder.name} is read as {chosen}; leave it out"
        )
    match chosen:
        case "dcsass":
            found = read_dcsass(folder, suffixes, source=source, progress=progress)
        case "ucf101":
            found = read_ucf101(folder, suffixes, official_list=official_list, source=source, progress=progress)
        case "folders":
            found = read_folders(folder, suffixes, source=source, progress=progress)
    return replace(found, folder=folder)


def layout_of(folder: Path) -> Layout:
    """Which layout a folder has: that of its lists, of its label files, or of a folder for each class."""
    if lists_folder(folder) is not None:
        return "ucf101"
    return "folders" if labels_of(folder) is None else "dcsass"
