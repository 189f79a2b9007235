"""Looking for nights that are missed, beside what serves them.

It is a thread and no flow: a scheduler whose schedules do not fire would not fire this one either.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.night_telling import tell_missed
from tasks.receipts import reason_of
from workspace.opened import Workspace

LOOK_S = 60.0
"""Between two looks."""


@contextmanager
def looking_for_missed_nights(root: Path) -> Iterator[None]:
    """Tell people of nights of a workspace that are missed, for as long as the block lasts; the settings are read anew each time."""
    leaving = threading.Event()

    def look() -> None:
        said: tuple[str, ...] = ()
        while not leaving.is_set():
            lines = tuple(_look(root, leaving))
            if lines and lines != said:
                sys.stderr.write("".join(f"attention: {line}\n" for line in lines))
            said = lines or said
            leaving.wait(LOOK_S)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        leaving.set()
        thread.join(LOOK_S / 6)


def _look(root: Path, leaving: threading.Event) -> list[str]:
    try:
        return tell_missed(Workspace(root), leaving.wait)
    except Exception as error:  # noqa: BLE001 — settings that are being edited, say, are right again later
        return [f"missed nights cannot be looked for: {reason_of(error)}"]
