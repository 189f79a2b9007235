"""DCSASS: surveillance videos cut into clips of a few seconds, each labelled 1 (it shows the crime) or 0 (it does not).

As downloaded: `<Class>/<Video>.mp4/<Video>_<N>.mp4`, where `<Video>.mp4` is a folder, beside `Labels/<Class>.csv` with rows
`<Video>_<N>,<Class>,0|1`, all of it below one or two folders called `DCSASS Dataset`. A clip is found by its name, wherever
it lies below the folder, so that copies with other folders are read as well. The source is the video, whatever the labels:
its normal and its criminal clips are one scene.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.errors import ConfigurationError
from workspace.clip_sets.base import (
    SHOWN,
    Candidate,
    ClipSet,
    Progress,
    counted,
    pattern_source,
    read_clips,
    video_files,
    visible,
)

NORMAL = "Normal"
LABELS = "labels"
FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True}
DEEPEST = 3
"""Folders between the one given and that of the labels, at most."""


@dataclass(frozen=True)
class _Labels:
    """What the label files say.

    Attributes:
        shows: class of each clip's row, and whether the clip shows it.
        problems: rows that say nothing, in words.
    """

    shows: dict[str, tuple[str, bool]]
    problems: list[str]


def labels_folder(folder: Path, depth: int = DEEPEST) -> Path | None:
    """The folder `Labels` with `.csv` files, at or below `folder`; None where there is none."""
    if folder.name.lower() == LABELS and _label_files(folder):
        return folder
    if depth == 0:
        return None
    for path in visible(folder):
        found = labels_folder(path, depth - 1) if path.is_dir() else None
        if found is not None:
            return found
    return None


def labels_of(folder: Path) -> Path | None:
    """The folder `Labels` of a DCSASS folder: at or below it, or beside it where its files are called as its folders are."""
    found = labels_folder(folder)
    if found is not None:
        return found
    inner = {path.name.lower() for path in visible(folder) if path.is_dir()}
    for path in visible(folder.resolve().parent):
        if path.is_dir() and path.name.lower() == LABELS and inner & {file.stem.lower() for file in _label_files(path)}:
            return path
    return None


def _label_files(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if path.suffix.lower() == ".csv"]


def read_dcsass(
    folder: Path,
    suffixes: Sequence[str],
    *,
    source: str | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> ClipSet:
    """Clips of DCSASS that have a label; see the module.

    Labels without a file, files without a label and rows that say neither 0 nor 1 are counted in `left_out`.

    Args:
        folder: it, or one that holds it, or the one in it that holds the classes' folders.
        suffixes: endings of videos, in lower case.
        source: a regular expression instead of the video's name, searched for in a clip's path below `folder`.
        progress: see `read_clips`.

    Raises:
        ConfigurationError: there are no labels, or no clip of them, or a label file is no text.
    """
    where = labels_of(folder)
    if where is None:
        raise ConfigurationError(f"{folder} holds no folder Labels with a .csv file for each class; give one that does")
    labels = _read_labels(_label_files(where))
    left_out = list(labels.problems)
    candidates: dict[str, Candidate] = {}
    unlabelled = []
    for path in video_files(folder, suffixes):
        name = path.relative_to(folder).as_posix()
        if path.stem not in labels.shows:
            unlabelled.append(name)
        elif path.stem in candidates:
            left_out.append(f"{name}: {candidates[path.stem].name} has that label already")
        else:
            class_name, shown = labels.shows[path.stem]
            said = video_of(path.stem) if source is None else pattern_source(name, source)
            candidates[path.stem] = Candidate(name, path, class_name if shown else NORMAL, said)
    left_out += _counted("files without a label", unlabelled)
    left_out += _counted("labels without a file", [name for name in labels.shows if name not in candidates])
    if not candidates:
        raise ConfigurationError(
            f"none of {len(labels.shows)} labels in {where} has a video of that name ({', '.join(suffixes)}) below "
            f"{folder}; put the clips there"
        )
    return read_clips(candidates.values(), "dcsass", NORMAL, left_out, progress)


def video_of(stem: str) -> str:
    """The video that a clip was cut from, by the clip's name without its ending.

    >>> video_of("Shoplifting001_x264_9")
    'Shoplifting001_x264'
    """
    return re.sub(r"_[0-9]+$", "", stem)


def _read_labels(files: Sequence[Path]) -> _Labels:
    shows: dict[str, tuple[str, bool]] = {}
    contradicted: set[str] = set()
    problems: list[str] = []
    for path in files:
        unclear = []
        for row in _rows(path):
            name = re.sub(r"\.(mp4|avi)$", "", row[0], flags=re.IGNORECASE)
            if len(row) < 3 or row[2] not in FLAGS:
                unclear.append(name)
                continue
            said = (row[1] or path.stem, FLAGS[row[2]])
            if shows.setdefault(name, said) != said:
                contradicted.add(name)
        problems += _counted(f"rows of {path.name} that say neither 0 nor 1", unclear)
    problems += _counted("clips with two different labels", sorted(contradicted))
    return _Labels({name: said for name, said in shows.items() if name not in contradicted}, problems)


def _rows(path: Path) -> list[list[str]]:
    """Rows of a label file, without blanks around the cells; a heading is none of them."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is no text in UTF-8; save it as such, with rows name,class,0 or 1") from None
    rows = [
        [cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)
    ]
    is_heading = (
        bool(rows) and len(rows[0]) > 2 and rows[0][2] not in ("", *FLAGS) and video_of(rows[0][0]) == rows[0][0]
    )
    return rows[1:] if is_heading else rows


def _counted(what: str, names: Sequence[str]) -> list[str]:
    """As `counted` tells it; of many names also the classes with the most of them."""
    classes = Counter(re.sub(r"[0-9_].*$", "", Path(name).name) for name in names)
    most = ", ".join(f"{count} {name}" for name, count in classes.most_common(SHOWN) if name)
    return [f"{line} ({most})" if len(names) > SHOWN else line for line in counted(what, names)]
