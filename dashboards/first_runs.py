"""The first run of each page, alone: it imports what the page needs, and Python may give two threads that import the same
modules at once a module that is only half there."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class FirstRuns:
    """Lets one page at a time run for the first time; pages that have run are not held up."""

    def __init__(self) -> None:
        self._alone = threading.Lock()
        self._known: set[str] = set()

    @contextmanager
    def of(self, page: str) -> Iterator[None]:
        """Run a page in the block: alone among those that run for the first time, if it is one."""
        if page in self._known:
            yield
            return
        with self._alone:
            try:
                yield
            finally:
                self._known.add(page)


FIRST_RUNS = FirstRuns()
"""Of this server's process: every session runs `app.py` anew, and shares this."""
