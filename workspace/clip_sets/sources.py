"""Which clips are of one source video, as a file says it: `clip,source` rows, where names of files do not tell.

Clips that show one place, though cut from several files, are to be told so as well: a head that has seen the place has seen
half of the answer.
"""

import csv
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from infra.errors import ConfigurationError, UnknownNameError
from workspace.clip_sets.base import ClipSet

HEADER = ["clip", "source"]
NEAR = 5
"""Clips that are named where one is not known: a folder may hold thousands."""


def with_sources(clip_set: ClipSet, file: Path) -> ClipSet:
    """The same clips, with the sources that a file names; a clip that it does not name keeps its own.

    A row may name any file below the folder: what was left out, or is on a side that is not used, needs no row taken away.

    Args:
        clip_set: as it was read.
        file: CSV of UTF-8 with the header `clip,source`; a clip is named by its path below the folder.

    Raises:
        ConfigurationError: there is no such file, or a row has not two cells, names a clip twice or none at all
            (UnknownNameError).
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as content:
            rows = list(csv.reader(content))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{file} cannot be read as CSV ({error}); give a file of rows clip,source") from None
    if not rows or [cell.strip().lower() for cell in rows[0]] != HEADER:
        raise ConfigurationError(f'{file} does not begin with the header "clip,source"; add it')
    known = {clip.name for clip in clip_set.clips}
    said: dict[str, str] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        cells = [cell.strip() for cell in row]
        if len(cells) != 2 or not all(cells):
            raise ConfigurationError(f"{file}, line {number}: {len(cells)} cells; a row is clip,source")
        clip, source = cells
        if clip not in known and not _is_below(clip_set.folder, clip):
            raise UnknownNameError(
                f"clip in {file.name}, line {number}", clip, get_close_matches(clip, known, n=NEAR, cutoff=0.0)
            )
        if clip in said:
            raise ConfigurationError(f"{file}, line {number}: {clip} was named before; name each clip once")
        said[clip] = source
    clips = tuple(replace(clip, source=said.get(clip.name, clip.source)) for clip in clip_set.clips)
    return replace(clip_set, clips=clips)


def _is_below(folder: Path | None, name: str) -> bool:
    """Whether a file lies below the folder under just this path, as clips are named."""
    path = PurePosixPath(name)
    if folder is None or path.is_absolute() or ".." in path.parts or str(path) != name:
        return False
    return (folder / path).is_file()
