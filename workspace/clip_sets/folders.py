"""Clips in a folder for each class: `class/clip`, `class/source/clip`, and either below `train` and `test`.

Clips of one source video are kept together: those in a folder of their own below the class, and those whose names differ
in a last `_c01` only (UCF101). An expression says otherwise. Official sides are told by their folders' names, as of
RWF-2000 (`train/Fight/…`, `val/NonFight/…`) and Kinetics. A source video that is named so is one on whichever side it lies;
clips that stand for themselves are numbered on each side for itself, as a rule, and two of one name are two.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from infra.errors import ConfigurationError
from workspace.clip_sets.base import (
    Candidate,
    ClipSet,
    Progress,
    Split,
    pattern_source,
    read_clips,
    video_files,
    visible,
)

TRAIN, VALIDATION, TEST = ("train", "training"), ("val", "valid", "validation"), ("test", "testing")
NORMAL = ("none", "nothing", "background", "negative", "neutral")
NEGATIONS = ("no", "non", "not", "without")
CUT = re.compile(r"_c[0-9]+$")
"""How the name of a clip ends that was cut from a video of the name before it."""
NESTED_AT_MOST = 3
"""Folders that hold nothing but one folder, as archives make them, looked into at most."""


def read_folders(
    folder: Path,
    suffixes: Sequence[str],
    *,
    source: str | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> ClipSet:
    """Clips of a folder with a folder for each class.

    Args:
        folder: it; a folder that holds nothing but one folder of classes is looked into.
        suffixes: endings of videos, in lower case.
        source: a regular expression, searched for in a clip's path below `folder`.
        progress: see `read_clips`.

    Raises:
        ConfigurationError: there are not two classes with clips that can be read, or the expression does not fit.
    """
    base = _without_wrapping(folder)
    sides = sides_of(base)
    parents: list[tuple[Split | None, Path]] = [(None, base)]
    if sides is not None:
        parents = [(split, side) for side, split in sides.items()]
    candidates, empty = [], []
    for split, parent in parents:
        for class_folder in (path for path in visible(parent) if path.is_dir()):
            files = video_files(class_folder, suffixes)
            if not files:
                empty.append(f"class {class_folder.name}: no videos ({', '.join(suffixes)}) in {parent.name}")
            for path in files:
                name = path.relative_to(folder).as_posix()
                below = path.relative_to(class_folder)
                own = below_class_source(below, class_folder.name)
                own = f"{parent.name}/{own}" if split is not None and stands_alone(below) else own
                said = own if source is None else pattern_source(name, source)
                candidates.append(Candidate(name, path, class_folder.name, said, split))
    if not candidates:
        raise ConfigurationError(
            f"{folder} holds no folder of videos ({', '.join(suffixes)}); give one that holds a folder of videos for "
            "each class"
        )
    classes = sorted({one.label for one in candidates})
    return read_clips(candidates, "folders", normal_class(classes), empty, progress)


def below_class_source(below: PurePath, label: str) -> str:
    """Source video of a clip by its path below its class's folder.

    >>> below_class_source(PurePath("Abuse001_x264/Abuse001_x264_0.mp4"), "Abuse")
    'Abuse001_x264'
    >>> below_class_source(PurePath("v_Archery_g01_c02.avi"), "Archery")
    'Archery/v_Archery_g01'
    """
    nested = below.parent.parts
    return "/".join(nested) if nested else f"{label}/{CUT.sub('', below.stem)}"


def stands_alone(below: PurePath) -> bool:
    """Whether nothing in a clip's path below its class's folder tells a source video: it is its own then.

    >>> stands_alone(PurePath("video12.avi")), stands_alone(PurePath("shop00_c01.mp4")), stands_alone(PurePath("a/1.mp4"))
    (True, False, False)
    """
    return not below.parent.parts and CUT.search(below.stem) is None


def normal_class(classes: Sequence[str]) -> str | None:
    """The class without an alarm by its name: `normal`, `Normal_Videos`, `none`, or `noFight` beside `fight`.

    None where no class is called so, or several are.
    """
    plain = {name: re.sub(r"[^a-z]", "", name.lower()) for name in classes}
    others = {word.rstrip("s") for word in plain.values()}
    found = [
        name
        for name, word in plain.items()
        if ("normal" in word and "abnormal" not in word)
        or word in NORMAL
        or any(word.startswith(no) and word.removeprefix(no).rstrip("s") in others - {""} for no in NEGATIONS)
    ]
    return found[0] if len(found) == 1 else None


def sides_of(folder: Path) -> dict[Path, Split] | None:
    """Official sides of a folder that holds nothing but folders called so; None where it does not.

    Validation clips are tested on where there are no test clips, and trained on beside the others where there are.
    """
    folders = [path for path in visible(folder) if path.is_dir()]
    names = {path: path.name.lower() for path in folders}
    if not any(name in TRAIN for name in names.values()) or not set(names.values()) <= {*TRAIN, *VALIDATION, *TEST}:
        return None
    has_test = any(name in TEST for name in names.values())
    held_out = TEST if has_test else VALIDATION
    if not any(name in held_out for name in names.values()):
        return None
    return {path: "test" if name in held_out else "train" for path, name in names.items()}


def _without_wrapping(folder: Path) -> Path:
    """The folder that holds the classes: below folders that hold one folder only, whose folders hold folders of videos."""
    for inner in _wrapped(folder):
        folder = inner
    return folder


def _wrapped(folder: Path) -> Iterator[Path]:
    for _ in range(NESTED_AT_MOST):
        held = [path for path in visible(folder) if path.is_dir()]
        if len(held) != 1 or sum(path.is_dir() for path in visible(held[0])) < 2:
            return
        folder = held[0]
        yield folder
