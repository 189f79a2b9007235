"""One night at a time: a lock on the workspace that ends with the process that holds it, however it ends."""

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
    state_folder.mkdir(parents=True, exist_ok=True)
    with (state_folder / "night.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise NightError(
                f"a night is already running on this workspace (process {holder}); wait for it, or stop it first"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
