"""A Dask scheduler and workers as processes of this machine, which come and go as a test says; forks, so that they start at once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from distributed import Client
from distributed.cli import dask_scheduler, dask_worker

from tests.forks import FORKS, write_to

PATIENCE_S = 120


class DaskProcesses:
    """A scheduler, and the workers that were started under it, for as long as the block lasts.

    Args:
        folder: for logs and scratch files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, Any] = {}
        self.address = ""

    def __enter__(self) -> Self:
        told = self._folder / "scheduler.json"
        options = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(told), "--no-dashboard")
        self._start("scheduler", _schedule, options)
        until(told.exists, "the scheduler does not start")
        self.address = str(json.loads(told.read_text())["address"])
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running):
            self.kill(name)

    def worker(self, name: str, *options: str) -> None:
        """Start a worker; it joins when it is ready."""
        self._start(name, _work, (*self._options(name), *options))

    def stranger(self, name: str, rooms: Path) -> None:
        """Start a worker in an interpreter of its own, with the rooms of another folder."""
        command = [sys.executable, "-m", "distributed.cli.dask_worker", *self._options(name)]
        with (self._folder / f"{name}.log").open("wb") as log:
            started = subprocess.Popen(
                command, cwd=rooms, env={**os.environ, "PYTHONPATH": str(rooms)}, stdout=log, stderr=log
            )
        self._running[name] = started

    def _options(self, name: str) -> tuple[str, ...]:
        scratch = str(self._folder / "scratch")
        plain = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
        return (self.address, "--name", name, "--local-directory", scratch, *plain)

    def _start(
        self, name: str, target: Callable[[Path, dict[str, str], tuple[str, ...]], None], arguments: tuple[str, ...]
    ) -> None:
        process = FORKS.Process(target=target, args=(self._folder / f"{name}.log", dict(os.environ), arguments))
        process.start()
        self._running[name] = process

    def leave(self, name: str) -> None:
        """Have a worker go, as a service manager does; returns when it has."""
        os.kill(self._running[name].pid, signal.SIGTERM)
        self._wait_for(self._running.pop(name))

    def kill(self, name: str) -> None:
        """SIGKILL one of them."""
        process = self._running.pop(name)
        process.kill()
        self._wait_for(process)

    @staticmethod
    def _wait_for(process: Any) -> None:
        (process.wait if isinstance(process, subprocess.Popen) else process.join)()

    def wait_for(self, *names: str) -> None:
        """Wait until workers of these names have joined."""
        with Client(self.address) as client:
            until(lambda: {*names} <= names_of(client), f"{names} do not join")


def names_of(client: Client) -> set[str]:
    """What the workers of a scheduler are called."""
    return {str(told["name"]) for told in client.scheduler_info()["workers"].values()}


def until(holds: Callable[[], bool], message: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(message)
        time.sleep(0.1)


def _schedule(log: Path, environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    os.environ |= environment
    write_to(log)
    dask_scheduler.main(arguments)


def _work(log: Path, environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    os.environ |= environment
    write_to(log)
    dask_worker.main(arguments)
