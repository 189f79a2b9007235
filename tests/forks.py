"""Processes of the tests as forks of one that has imported everything, which cost far less than new ones.

How a process starts that a person starts, imports and all, is for the tests that start the interpreter.
"""

import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import dask

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.forks_imports"])  # there is one such process for all of the tests' forks
WORKERS = "distributed.worker.multiprocessing-method"


def write_to(path: Path) -> None:
    """Have a fork write to a file whatever it writes."""
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(opened, stream.fileno())
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # they are files here


@contextmanager
def forked_workers() -> Iterator[None]:
    """An embedded cluster that starts here has forks for its workers."""
    forkserver.ensure_running()  # Dask would have one with imports of its own
    with dask.config.set({WORKERS: "forkserver"}):
        yield


def start_fork(arguments: Sequence[str], environment: Mapping[str, str], out: Path, err: Path) -> Any:
    """Start the installed command in a fork, and its workers in others; returns the process.

    Args:
        arguments: of the command line.
        environment: all that the command and its workers are told.
        out, err: files that it writes to.
    """
    forkserver.ensure_running()
    server: Any = forkserver
    address = server._forkserver._forkserver_address
    process = FORKS.Process(target=_command, args=(tuple(arguments), dict(environment), Path.cwd(), out, err, address))
    process.start()
    return process


def _command(
    arguments: tuple[str, ...], environment: dict[str, str], folder: Path, out: Path, err: Path, address: Any
) -> None:
    from afterwatch.entry import run

    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for stream, path in ((sys.stdout, out), (sys.stderr, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream.fileno())
    server: Any = forkserver
    server._forkserver._forkserver_address = address  # its workers come from there too: Python would start another
    server._forkserver.ensure_running = lambda: None
    dask.config.set({WORKERS: "forkserver", "distributed.nanny.environ": environment})
    sys.argv = ["afterwatch", *arguments]
    run()
