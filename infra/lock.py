"""One night at a time, and one refit: locks on the workspace that end with the process that holds them, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import NightError


@contextmanager
def night_lock(state_folder: Path) -> Iterator[None]:
    """Hold the workspace's lock.

    Raises:
        NightError: another night holds it; the message names its process.
    """
    with _held(state_folder / "night.lock", "night"):
        yield


@contextmanager
def refit_lock(state_folder: Path) -> Iterator[None]:
    """Hold the lock of refits; a night may run meanwhile.

    Raises:
        NightError: another refit holds it; the message names its process.
    """
    with _held(state_folder / "refit.lock", "refit"):
        yield


@contextmanager
def _held(path: Path, what: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise NightError(
                f"a {what} is already running on this workspace (process {holder}); wait for it, or stop it first"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
