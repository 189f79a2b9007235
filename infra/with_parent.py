"""Processes that end with the one that started them, however that ends: killed ones say goodbye to nobody.

Run as a module, this becomes the program that it is told: `python -m infra.with_parent PARENT PROGRAM ARGUMENTS…`.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
"""Of linux/prctl.h."""


def end_with(parent: int) -> None:
    """Have the kernel end this process when its parent is gone, killed ones included.

    It looks at the thread that started this process, not at the whole of the parent: that thread has to stay.

    Args:
        parent: its process number, told by itself; where another stands in its place already, this process ends.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it was gone before the kernel was told
        sys.exit(1)


def with_parent(command: Sequence[str]) -> list[str]:
    """The command that runs `command` for as long as the thread that starts it is there."""
    return [sys.executable, "-m", "infra.with_parent", str(os.getpid()), *command]


def ended_with(code: int) -> str:
    """How a process ended, in words: its exit code, or minus the signal that ended it, as `subprocess` tells them."""
    if code == -signal.SIGKILL:
        return f"exit code {code}, killed as the system does where memory runs out"
    return f"exit code {code}"


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # what the kernel was told goes over to the program
