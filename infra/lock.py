"""One run at a time: locks on the workspace that end with the process that holds them, however it ends.

A night and a backfill exclude each other, and themselves. A backfill gives way: a night that finds it at work holds a second lock
while it waits, which the backfill and its workers look at before they begin anything. So a night that is killed while it waits
leaves no request behind.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from infra.errors import NightError

NIGHT, BACKFILL, REFIT = "night", "backfill", "refit"
GRACE_S = 60.0
"""Time in which a backfill that is asked to give way may finish the shard in hand; then it leaves it undone."""
PATIENCE_S = 600.0
"""Time for which a night waits for a backfill to give way."""
TELL_S = 60.0
"""Time between two words of a night that waits."""
POLL_S = 0.2

_LOCK, _WAITING, _REFIT_LOCK = "night.lock", "night.waiting", "refit.lock"


class AlreadyRunningError(NightError):
    """Another run holds the lock; `what` says which kind, `process` its number, as far as it tells."""

    def __init__(self, what: str, process: str) -> None:
        super().__init__(
            f"a {what} is already running on this workspace (process {process}); wait for it, or stop it first"
        )
        self.what = what
        self.process = process


@contextmanager
def night_lock(state_folder: Path, *, asking: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the workspace's lock, as a night or what excludes one.

    Args:
        state_folder: of the workspace.
        asking: where it is given, a backfill that holds the lock is asked to give way and waited for; it is called with what
            there is to know, at once and every minute.

    Raises:
        AlreadyRunningError: another night holds it, or a backfill does and is not asked; the message names its process.
        NightError: a backfill has not given way in time.
    """
    path = state_folder / _LOCK
    file = _take(path)
    if file is None:
        what, process = _holder(path, NIGHT)
        if what != BACKFILL or asking is None:
            raise AlreadyRunningError(what, process)
        file = _wait_for_backfill(state_folder, asking)
    with _holding(file, NIGHT):
        yield


@contextmanager
def backfill_lock(state_folder: Path) -> Iterator[None]:
    """Hold the workspace's lock as a backfill, which looks at `night_waits` before it begins anything.

    Raises:
        AlreadyRunningError: a night or another backfill holds it, or a night waits to begin.
    """
    path = state_folder / _LOCK
    if night_waits(state_folder):
        raise AlreadyRunningError(NIGHT, _holder(state_folder / _WAITING, NIGHT)[1])
    file = _take(path)
    if file is None:
        raise AlreadyRunningError(*_holder(path, NIGHT))
    with _holding(file, BACKFILL):
        yield


@contextmanager
def refit_lock(state_folder: Path) -> Iterator[None]:
    """Hold the lock of refits; a night may run meanwhile.

    Raises:
        AlreadyRunningError: another refit holds it; the message names its process.
    """
    path = state_folder / _REFIT_LOCK
    file = _take(path)
    if file is None:
        raise AlreadyRunningError(*_holder(path, REFIT))
    with _holding(file, REFIT):
        yield


def what_runs(state_folder: Path) -> str | None:
    """Which kind of run holds the workspace's lock, a night or a backfill; None where none does."""
    path = state_folder / _LOCK
    return _holder(path, NIGHT)[0] if _is_held(path) else None


def night_waits(state_folder: Path) -> bool:
    """Whether a night waits for the backfill of a workspace to give way. Any process that sees the folder may ask."""
    return _is_held(state_folder / _WAITING)


def _is_held(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _wait_for_backfill(state_folder: Path, asking: Callable[[str], None]) -> IO[str]:
    """Ask the backfill to give way, and wait until the lock is there."""
    path = state_folder / _LOCK
    request = _request(state_folder / _WAITING)
    began = told = time.monotonic()
    with _holding(request, NIGHT):
        asking(f"a backfill is running (process {_holder(path, BACKFILL)[1]}); it is asked to give way")
        while (file := _try(path)) is None:
            what, process = _holder(path, BACKFILL)
            if what == NIGHT:
                raise AlreadyRunningError(what, process)
            now = time.monotonic()
            if now - began > PATIENCE_S:
                raise NightError(
                    f"the backfill of process {process} has not given way in {PATIENCE_S:.0f} s; stop it, then run the night again"
                )
            if now - told >= TELL_S:
                told = now
                asking(f"the backfill of process {process} finishes what it has in hand, for {now - began:.0f} s now")
            time.sleep(POLL_S)
    return file


def _request(path: Path) -> IO[str]:
    """Hold the file that says that a night waits.

    Whoever asks `night_waits` holds it for a moment too, so that once refused is not yet taken.
    """
    for _ in range(10):
        file = _try(path)
        if file is not None:
            return file
        time.sleep(POLL_S / 4)
    raise AlreadyRunningError(*_holder(path, NIGHT))


def _take(path: Path) -> IO[str] | None:
    """The file, locked; None where a run holds it. Who only looks holds it for a moment, and says nothing in it."""
    for _ in range(10):
        file = _try(path)
        if file is not None or path.read_text(encoding="utf-8").strip():
            return file
        time.sleep(POLL_S / 4)
    return None


def _try(path: Path) -> IO[str] | None:
    """The file, locked; None where another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def _holding(file: IO[str], what: str) -> Iterator[None]:
    """Say in a locked file who holds it, and let go of it at the end."""
    with file:
        file.truncate(0)
        file.write(str(os.getpid()) if what != BACKFILL else f"{os.getpid()} {BACKFILL}")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _holder(path: Path, usual: str) -> tuple[str, str]:
    """What holds a lock, and its process. Who has just taken it has not said so yet: it is asked again."""
    for _ in range(5):
        words = path.read_text(encoding="utf-8").split()
        if words:
            return (BACKFILL if words[1:] == [BACKFILL] else usual), words[0]
        time.sleep(POLL_S / 4)
    return usual, "unknown"
