"""UCF101 and what is laid out like it: clips in a folder for each class, and lists of what to train and to test on.

`trainlist01.txt` has lines `Class/v_Class_g08_c01.avi 1`, `testlist01.txt` the same without a number (or with it), and
`classInd.txt` lines `1 Class`. The clips of a class with the same group (`g08`) were cut from one video, which is the source.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from infra.errors import ConfigurationError
from workspace.clip_sets.base import (
    Candidate,
    ClipSet,
    Progress,
    Split,
    counted,
    pattern_source,
    read_clips,
    video_files,
    visible,
)
from workspace.clip_sets.folders import below_class_source

FIRST_LIST = 1
DEEPEST = 2


def lists_folder(folder: Path, depth: int = DEEPEST) -> Path | None:
    """The folder with `trainlist….txt` files, at or below `folder` (`ucfTrainTestlist`); None where there is none."""
    if any(re.fullmatch(r"trainlist[0-9]+\.txt", path.name.lower()) for path in visible(folder)):
        return folder
    if depth == 0:
        return None
    for path in visible(folder):
        found = lists_folder(path, depth - 1) if path.is_dir() else None
        if found is not None:
            return found
    return None


def read_ucf101(
    folder: Path,
    suffixes: Sequence[str],
    *,
    official_list: int | None = None,
    source: str | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> ClipSet:
    """Clips of one of the official lists, each with its side.

    Files in no list and lines without a file are counted in `left_out`.

    Args:
        folder: it holds the classes' folders and the lists, at any depth.
        suffixes: endings of videos, in lower case.
        official_list: its number; None: the first.
        source: a regular expression instead of the group, searched for in a clip's path below `folder`.
        progress: see `read_clips`.

    Raises:
        ConfigurationError: there is no such list, a line of it cannot be read, a clip is on both sides, or the lists and
            `classInd.txt` contradict one another.
    """
    where = lists_folder(folder)
    if where is None:
        raise ConfigurationError(f"{folder} holds no trainlist01.txt; give a folder with the lists and the videos")
    number = FIRST_LIST if official_list is None else official_list
    train, test = (_read_list(where, f"{side}list{number:02d}.txt") for side in ("train", "test"))
    both = sorted(set(train) & set(test))
    if both:
        raise ConfigurationError(f"list {number} has {both[0]} to train and to test on; correct the lists in {where}")
    _check_classes(where, {**test, **train})
    files: dict[str, Path] = {}
    for path in video_files(folder, suffixes):
        files.setdefault(_key(f"{path.parent.name}/{path.name}"), path)
    candidates, lost = [], []
    sides: tuple[tuple[Split, dict[str, int | None]], ...] = (("train", train), ("test", test))
    for side, listed in sides:
        for line in listed:
            found = files.pop(_key(line), None)
            if found is None:
                lost.append(line)
                continue
            label, name = line.split("/")[-2], found.relative_to(folder).as_posix()
            said = group_of(line) if source is None else pattern_source(name, source)
            candidates.append(Candidate(name, found, label, said, side))
    left_out = counted(f"lines of list {number} without a file", lost)
    left_out += counted(f"files in neither part of list {number}", [path.name for path in files.values()])
    if not candidates:
        raise ConfigurationError(
            f"none of {len(lost)} clips of list {number} lies below {folder}; put the videos there"
        )
    return read_clips(candidates, "ucf101", None, left_out, progress)


def group_of(line: str) -> str:
    """The video that a clip was cut from: its group, of its class.

    >>> group_of("Archery/v_Archery_g01_c02.avi")
    'Archery/g01'
    """
    label, _, name = line.rpartition("/")
    group = re.search(r"_(g[0-9]+)_c[0-9]+\.[^.]*$", name)
    return f"{label}/{group.group(1)}" if group else below_class_source(Path(name), label)


def _read_list(where: Path, name: str) -> dict[str, int | None]:
    """Number of the class, where it is said, of each clip, by `Class/clip`."""
    paths = {path.name.lower(): path for path in visible(where)}
    if name not in paths:
        there = sorted(key for key in paths if re.fullmatch(r"(train|test)list[0-9]+\.txt", key))
        raise ConfigurationError(f"{where} holds no {name}; there are {', '.join(there)}: choose another --list")
    listed: dict[str, int | None] = {}
    for line in _lines(paths[name]):
        match = re.fullmatch(r"(?:.*/)?([^/]+/[^/]+?)(?:\s+([0-9]+))?", line.replace("\\", "/"))
        if match is None:
            raise ConfigurationError(f'{name}: "{line}" does not read Class/clip.avi or Class/clip.avi 1; correct it')
        listed[match.group(1)] = None if match.group(2) is None else int(match.group(2))
    return listed


def _check_classes(where: Path, listed: dict[str, int | None]) -> None:
    """The numbers of the lists are those of `classInd.txt`, where there is one."""
    path = next((path for path in visible(where) if path.name.lower() == "classind.txt"), None)
    if path is None:
        return
    names = {}
    for line in _lines(path):
        number, _, name = line.partition(" ")
        if not number.isdigit() or not name.strip():
            raise ConfigurationError(f'classInd.txt: "{line}" does not read "1 Class"; correct it')
        names[int(number)] = name.strip()
    for line, told in listed.items():
        label = line.split("/")[0]
        if told is not None and names.get(told, "").lower() != label.lower():
            raise ConfigurationError(
                f"{line} has the number {told}, which classInd.txt calls {names.get(told, 'nothing')}; correct the lists"
            )


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is no text in UTF-8; save it as such") from None


def _key(line: str) -> str:
    # The lists and the archive's folders do not agree on capitals (HandstandPushups), nor do file systems.
    return line.lower()
