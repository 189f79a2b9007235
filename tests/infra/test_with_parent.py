"""What a process has started ends with it, also where nobody has the time to say goodbye."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from infra.with_parent import with_parent

SLEEPS = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
STARTS = (
    "import subprocess, time\nfrom tests.infra.test_with_parent import SLEEPS, with_parent\n"
    "child = subprocess.Popen(with_parent(SLEEPS))\nprint(child.pid, flush=True)\ntime.sleep(60)"
)
PATIENCE_S = 30


def until(comes_true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not comes_true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return comes_true()


def command_of(process: int) -> str:
    """Empty where it has ended, also where nobody has asked yet how."""
    try:
        with open(f"/proc/{process}/cmdline", encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_program_ends_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        became = until(lambda: command_of(child).split("\0")[:-1] == SLEEPS)
        os.kill(parent.pid, signal.SIGKILL)
    assert became, "it became the program itself"
    assert until(lambda: not command_of(child))


def test_a_program_whose_parent_is_gone_already_is_not_begun() -> None:
    command = with_parent([sys.executable, "-c", "print('begun')"])
    command[3] = str(os.getpid() + 1)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_a_program_is_given_its_arguments_and_gives_back_its_exit_code() -> None:
    told = [sys.executable, "-c", "import sys; print(sys.argv[1:]); sys.exit(3)", "--host", "a b"]
    done = subprocess.run(with_parent(told), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "['--host', 'a b']\n")
