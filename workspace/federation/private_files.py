"""Folders and files that are open to their owner only, and that a power cut leaves as they were or as they were to be."""

import fcntl
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWNERS_FOLDER, OWNERS_FILE = 0o700, 0o600
OTHERS = 0o077
"""Bits of a mode by which anybody but the owner may do something."""


def make_private(folder: Path) -> None:
    """Make a folder that nobody else can enter, or close one that is there; folders above it are made as usual.

    Raises:
        OSError: it cannot be made, or others can enter it and it is not this user's to close.
    """
    if not folder.is_dir():
        folder.mkdir(mode=OWNERS_FOLDER, parents=True, exist_ok=True)
        sync_folder(folder.parent)
    if stat.S_IMODE(folder.stat().st_mode) & OTHERS:
        folder.chmod(OWNERS_FOLDER)


def write_private(path: Path, content: bytes) -> None:
    """The whole file or the earlier one, readable by nobody else, also while it is written; on the disk when this returns."""
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNERS_FILE), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """The names in a folder are on the disk when this returns."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until no other process holds a folder, and hold it: for what is read, extended and replaced."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
