"""Finding recordings: which files there are, and what their paths say of campaign, camera and start."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from infra.errors import ConfigurationError, FootageError, UnknownNameError
from infra.table import NAME

_PART = re.compile(r"\{([A-Za-z_]*)(?::([^}]*))?\}")
_PARTS = ("campaign", "camera", "start")
LONGEST_TOLD = 100
"""Letters of a name that are repeated where it is refused."""
YEARS = range(1900, 3000)
"""Years that recordings are of: what a clock offset or a length is added to must stay a date."""


@dataclass(frozen=True)
class FoundFile:
    """A video file, as the folder lists it; nothing of it has been read.

    Attributes:
        path: relative to the footage root, with forward slashes.
        bytes, mtime_ns: as the file system tells; together with the path they tell whether it has changed.
    """

    path: str
    bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Named:
    """What a path says: campaign, camera, and the start by the camera's clock, in UTC."""

    campaign: str
    camera: str
    started_at: datetime

    def __post_init__(self) -> None:
        if self.started_at.tzinfo is None:
            raise ValueError("started_at has a time zone")


class PathPattern:
    """Reads paths such as `{campaign}/{camera}/{start:%Y-%m-%dT%H-%M-%S}`.

    Args:
        pattern: path below the footage root without its ending; `{start:…}` is a strptime format.
        zone: zone of the start times.
        default_campaign: campaign where the pattern names none.

    Raises:
        ConfigurationError: the pattern names a part twice, or one that is not known.
    """

    def __init__(self, pattern: str, zone: ZoneInfo, default_campaign: str = "footage") -> None:
        self.pattern = pattern
        self._zone = zone
        self._default_campaign = default_campaign
        self._format = ""
        self._expression = re.compile(self._compile())

    def _compile(self) -> str:
        expression, end, seen = "", 0, set()
        for part in _PART.finditer(self.pattern):
            if part[1] not in _PARTS:
                raise UnknownNameError("part of footage.pattern", part[1], _PARTS)
            if part[1] in seen:
                raise ConfigurationError(f'footage.pattern "{self.pattern}" names {part[1]} twice; name it once')
            seen.add(part[1])
            expression += re.escape(self.pattern[end : part.start()])
            if part[1] == "start":
                self._format = part[2] or "%Y-%m-%dT%H-%M-%S"
                # A format with folders in it spans as many folders of the path.
                expression += "(?P<start>" + rf"[^/]+(?:/[^/]+){{{self._format.count('/')}}})"
            else:
                expression += f"(?P<{part[1]}>[^/]+)"
            end = part.end()
        return "^" + expression + re.escape(self.pattern[end:]) + "$"

    def read(self, path: str) -> Named:
        """Read a relative path.

        Raises:
            FootageError: it does not fit the pattern; the message is the reason it is quarantined with.
        """
        stem = path.rsplit(".", 1)[0]
        found = self._expression.match(stem)
        if found is None:
            raise FootageError(
                f'its path does not fit footage.pattern "{self.pattern}"; rename it or change the pattern'
            )
        parts = found.groupdict()
        campaign, camera = parts.get("campaign") or self._default_campaign, parts["camera"]
        for kind, name in (("campaign", campaign), ("camera", camera)):
            if not NAME.fullmatch(name):
                raise FootageError(
                    f'its {kind} "{name[:LONGEST_TOLD]}" has characters other than letters, digits, space, ".", "_" and "-", '
                    "begins with none of the first two, or has more than 64; rename it"
                )
        try:
            told = datetime.strptime(parts["start"], self._format)
            # A zone in the name itself (%z) says more than the settings.
            started_at = (told if told.tzinfo else told.replace(tzinfo=self._zone)).astimezone(UTC)
            if started_at.year not in YEARS:
                raise ValueError(f"{started_at.year} is no year of a recording")
        except (ValueError, OverflowError):
            raise FootageError(
                f'its start "{parts["start"]}" is no time of the form {self._format}; rename it'
            ) from None
        return Named(campaign, camera, started_at)


def find_files(root: Path, suffixes: tuple[str, ...]) -> tuple[list[FoundFile], list[tuple[str, str]]]:
    """List the video files below `root`, links followed, in order of path.

    Returns:
        The files, and (path, reason) for each folder or file that could not be listed.

    Raises:
        ConfigurationError: `root` is no folder that can be read.
    """
    if not root.is_dir():
        raise ConfigurationError(
            f"there is no footage folder {root}; put recordings there, link it, or set footage.root in the settings"
        )
    files: list[FoundFile] = []
    problems: list[tuple[str, str]] = []
    endings = tuple(suffix.lower() for suffix in suffixes)
    for entry, path in _walk(root, "", problems, frozenset()):
        if not path.lower().endswith(endings):
            continue
        try:
            told = entry.stat()
        except OSError as error:
            problems.append((path, f"cannot be read: {error.strerror}"))
            continue
        if not stat.S_ISREG(told.st_mode):
            problems.append((path, "it is a device or a pipe, no file"))
            continue
        files.append(FoundFile(path, told.st_size, told.st_mtime_ns))
    return sorted(files, key=lambda file: file.path), problems


def _walk(
    folder: Path, prefix: str, problems: list[tuple[str, str]], above: frozenset[tuple[int, int]]
) -> Iterator[tuple["os.DirEntry[str]", str]]:
    try:
        identity = (folder.stat().st_dev, folder.stat().st_ino)
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        problems.append((prefix or ".", f"the folder cannot be read: {error.strerror}"))
        return
    if identity in above:
        problems.append((prefix, "a link leads back to a folder above it"))
        return
    for entry in entries:
        path = f"{prefix}/{entry.name}" if prefix else entry.name
        if entry.name.startswith("."):
            continue
        if not _is_unicode(entry.name):
            problems.append((ascii(path), "its name is not UTF-8; rename it"))
            continue
        if not entry.name.isprintable():  # told as it is, it would write into reports, messages and terminals
            problems.append((ascii(path), "its name has what is not shown, such as the end of a line; rename it"))
            continue
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file() or entry.is_symlink()
        except OSError as error:
            problems.append((path, f"cannot be read: {error.strerror}"))
            continue
        if is_folder:
            yield from _walk(Path(entry.path), path, problems, above | {identity})
        elif is_file:
            yield entry, path


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8 come from the file system as lone surrogates
        return False
    return True


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """The calendar day of a moment in the site's zone; a recording belongs to the day it starts on."""
    return moment.astimezone(zone).date()


def at(started_at: datetime, t_us: int) -> datetime:
    """The moment `t_us` microseconds into a recording."""
    return started_at + timedelta(microseconds=t_us)
