"""What a folder of labelled clips holds, whatever its layout."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from footage.index import FrameIndex
from footage.probe import content_hash, probe
from infra.errors import ConfigurationError, FootageError, UnknownNameError

Split = Literal["train", "test"]
Layout = Literal["folders", "dcsass", "ucf101"]
Progress = Callable[[str, float, float], None]

SHOWN = 3
"""Names that a count of what was left out tells as examples."""


@dataclass(frozen=True, eq=False)
class LabelledClip:
    """A file and what it shows.

    Attributes:
        name: its path below the folder.
        path: the file.
        label: its class.
        source: the source video; clips of one source are never parted into training and held-out ones.
        content: hash of its bytes.
        index: its pictures' times.
        split: side of the official split that it is on; None where the data have none.
    """

    name: str
    path: Path
    label: str
    source: str
    content: str
    index: FrameIndex
    split: Split | None = None


@dataclass(frozen=True, eq=False)
class ClipSet:
    """Labelled clips, in order of name.

    Attributes:
        clips: at least one of each class.
        classes: labels that there are; the normal one is among them.
        normal: the class without an alarm; None where every class is something to be recognised.
        layout: `folders`, `dcsass` or `ucf101`.
        left_out: what could not be used, in words.
        folder: below which the clips' names are paths; None where that is not known.
    """

    clips: tuple[LabelledClip, ...]
    classes: tuple[str, ...]
    normal: str | None
    layout: Layout
    left_out: tuple[str, ...] = ()
    folder: Path | None = None

    def __post_init__(self) -> None:
        if {clip.label for clip in self.clips} != set(self.classes) or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes are the clips' labels, each once, got {self.classes}")
        if self.normal is not None and self.normal not in self.classes:
            raise ValueError(f"the normal class {self.normal} is one of {self.classes}")

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def labels(self) -> tuple[str, ...]:
        """Label of each clip."""
        return tuple(clip.label for clip in self.clips)

    @property
    def sources(self) -> tuple[str, ...]:
        """Source video of each clip."""
        return tuple(clip.source for clip in self.clips)

    @property
    def counts(self) -> dict[str, int]:
        """Clips of each class, in the classes' order."""
        labels = self.labels
        return {name: labels.count(name) for name in self.classes}

    def alarm_classes(self, chosen: Sequence[str] = ()) -> tuple[str, ...]:
        """Classes that are to be recognised, in the classes' order: those chosen, else all but the normal one.

        Raises:
            UnknownNameError: a class is not known.
        """
        for name in chosen:
            if name not in self.classes:
                raise UnknownNameError("class", name, self.classes)
        return tuple(name for name in self.classes if (name in chosen if chosen else name != self.normal))

    def targets(self, classes: Sequence[str]) -> NDArray[np.bool_]:
        """bool (C, K): which of `classes` each clip shows."""
        return np.array([[clip.label == name for name in classes] for clip in self.clips], dtype=np.bool_).reshape(
            len(self.clips), len(classes)
        )

    def narrowed(self, clips: Sequence[LabelledClip], left_out: Sequence[str]) -> "ClipSet":
        """Some of the clips, and why others are not among them.

        Raises:
            ConfigurationError: they are of fewer than two classes.
        """
        labels = {clip.label for clip in clips}
        classes = tuple(name for name in self.classes if name in labels)
        if len(classes) < 2:
            first = f", first: {left_out[0]}" if left_out else ""
            raise ConfigurationError(
                f"clips of {len(classes)} classes are left, and at least 2 are needed ({len(left_out)} left out{first}); "
                "give whole videos"
            )
        normal = self.normal if self.normal in classes else None
        return ClipSet(tuple(clips), classes, normal, self.layout, (*self.left_out, *left_out), self.folder)


@dataclass(frozen=True)
class Candidate:
    """A file that a layout takes for a clip, before it was opened; fields as in `LabelledClip`."""

    name: str
    path: Path
    label: str
    source: str
    split: Split | None = None


def read_clips(
    candidates: Iterable[Candidate],
    layout: Layout,
    normal: str | None,
    left_out: Sequence[str] = (),
    progress: Progress = lambda _stage, _done, _total: None,
) -> ClipSet:
    """Open every candidate; of those with the same bytes the first is taken, in order of name, and none if their labels differ.

    Args:
        candidates: what the layout found.
        layout: which.
        normal: the class without an alarm, where a clip has it.
        left_out: what the layout itself left out.
        progress: called with `clips`, those that were opened and all.

    Raises:
        ConfigurationError: fewer than two classes have a clip that can be read.
    """
    # A name that is no UTF-8 is told with its bytes escaped; the path is as it was.
    named = (replace(one, name=one.name.encode("utf-8", "backslashreplace").decode()) for one in candidates)
    found = sorted(named, key=lambda one: one.name)
    clips: list[LabelledClip] = []
    problems = list(left_out)
    same: dict[str, list[Candidate]] = {}
    for number, one in enumerate(found, start=1):
        if not one.path.is_file():  # a pipe would be waited for without end
            problems.append(f"{one.name}: no file that can be read")
            progress("clips", number, len(found))
            continue
        try:
            content = content_hash(one.path)
            if content not in same:
                clips.append(
                    LabelledClip(one.name, one.path, one.label, one.source, content, probe(one.path).index, one.split)
                )
            same.setdefault(content, []).append(one)
        except OSError as error:
            problems.append(f"{one.name}: cannot be read ({error.strerror})")
        except FootageError as error:
            problems.append(f"{one.name}: {error}")
        progress("clips", number, len(found))
    problems += [line for alike in same.values() for line in _repeated(alike)]
    clips = [clip for clip in clips if len(_labels(same[clip.content])) == 1]
    classes = tuple(sorted({clip.label for clip in clips}))
    asked = sorted({one.label for one in found})
    problems += [f"class {name}: none of its clips can be used" for name in asked if name not in classes]
    if len(classes) < 2:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        reason = f"; left out: {problems[0]}{more}" if problems else ""
        raise ConfigurationError(
            f"{len(classes)} classes have clips that can be used ({', '.join(classes) or 'none'}), and at least 2 are "
            f"needed{reason}; add clips of another class, the normal one say"
        )
    return ClipSet(tuple(clips), classes, normal if normal in classes else None, layout, tuple(problems))


def _repeated(alike: Sequence[Candidate]) -> list[str]:
    """Why clips of the same bytes are left out: all but the first, or all where they are labelled differently."""
    if len(_labels(alike)) == 1:
        return [f"{one.name}: the same bytes as {alike[0].name}" for one in alike[1:]]
    first = {one.label: one.name for one in reversed(alike)}
    told = " and ".join(f"of class {label} ({first[label]})" for label in _labels(alike))
    return [f"{one.name}: its bytes are {told}; keep the one that is right" for one in alike]


def _labels(alike: Sequence[Candidate]) -> list[str]:
    return sorted({one.label for one in alike})


def counted(what: str, names: Sequence[str]) -> list[str]:
    """A line that counts names and tells the first few; none where there are none."""
    return [f"{len(names)} {what}: {', '.join(names[:SHOWN])}{' …' if len(names) > SHOWN else ''}"] if names else []


def visible(folder: Path) -> list[Path]:
    """What a folder holds, in order of name, but for what archives and file managers leave behind."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.name != "__MACOSX")


def video_files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """All videos below a folder, in order of path; a folder whose name ends like a video's is looked into."""
    found: list[Path] = []
    for path in visible(folder):
        if path.is_dir():
            found += video_files(path, suffixes)
        elif path.suffix.lower() in suffixes:
            found.append(path)
    return found


def pattern_source(name: str, pattern: str) -> str:
    """Source video that a regular expression says: its first group in a clip's name, without one the whole match.

    Raises:
        ConfigurationError: it is no regular expression, or does not match.
    """
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise ConfigurationError(f'"{pattern}" is no regular expression: {error}; correct it') from None
    if match is None:
        raise ConfigurationError(f'"{pattern}" says no source video of {name}; give one that matches every clip')
    said: str | None = match.group(1) if match.re.groups else match.group(0)
    return said or ""
