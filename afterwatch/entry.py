"""Where the installed command begins and ends.

A process that ran a night is not taken apart at its end: nothing is left to tidy then, but DuckDB's binding would print pages
of "leaked", and a thread of Arrow may abort the process, exit code and all.
"""

import atexit
import contextlib
import os
import sys


class _End:
    """The end of the process; its exit code is 1 until something else is known."""

    code = 1

    def __call__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
        os._exit(self.code)


def run() -> None:
    """Run the verb of the command line, and end the process."""
    end = _End()
    atexit.register(end)  # before anything is imported, so after all that others have to do at the end
    from afterwatch.__main__ import main

    try:
        main()
    except SystemExit as asked:
        end.code = asked.code if isinstance(asked.code, int) else int(asked.code is not None)
        raise
