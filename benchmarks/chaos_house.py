"""The processes that a night needs, on this machine: a Prefect server, a Dask scheduler, its workers, the flow itself.

Each is a process of its own and can be killed by itself; what a supervisor would start again, `repair` starts again.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import psutil

from infra.environment import SERVER_START_S
from infra.errors import NightError

CHECKOUT = Path(__file__).resolve().parents[1]
WORKERS = 2
START_S = 180
WORKER, SCHEDULER, SERVER, FLOW = "worker", "scheduler", "Prefect server", "flow"
SPAWNED = "multiprocessing.spawn"

Process = "subprocess.Popen[bytes]"


def environment(**more: str) -> dict[str, str]:
    """As this process was started, but for the orchestrator; the checkout's own folder leads the way."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {**kept, **threads, "PYTHONPATH": str(CHECKOUT), **more}


def start(command: list[str], log: Path, told: dict[str, str], limit: Callable[[], None] | None = None) -> Any:
    """Start a process in a group of its own; what it says goes into a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env=told,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=limit,
        )


def start_night(root: Path, log: Path, told: dict[str, str], limit: Callable[[], None] | None = None) -> Any:
    """Start `afterwatch run` on a workspace."""
    return start([sys.executable, "-m", "afterwatch", "run", "--site", str(root), "--json"], log, told, limit)


def kill_tree(process: Any) -> None:
    """End a process and all that it started, in whatever group they stand."""
    try:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        _kill(member.pid)
    process.wait()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class House:
    """A Prefect server, a scheduler and workers under it, for as long as the block lasts.

    Args:
        folder: for logs, the server's database and the workers' scratch files.
        worker_options: given to `dask worker` beside the address.
    """

    def __init__(self, folder: Path, worker_options: tuple[str, ...] = ()) -> None:
        self._folder, self._options = folder, worker_options
        self._server_port, self._scheduler_port = free_port(), free_port()
        self._running: dict[str, Any] = {}
        self.address = f"tcp://127.0.0.1:{self._scheduler_port}"
        self.environment = environment(
            PREFECT_API_URL=f"http://127.0.0.1:{self._server_port}/api",
            PREFECT_HOME=str(folder / "prefect"),
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            PREFECT_LOGGING_LEVEL="ERROR",
            PREFECT_SERVER_LOGGING_LEVEL="ERROR",
            DO_NOT_TRACK="1",
            DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="30s",
        )

    def __enter__(self) -> Self:
        self.repair()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            kill_tree(process)

    def repair(self) -> None:
        """Start what does not run, and wait until all of it answers."""
        commands = {
            SERVER: ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self._server_port)],
            SCHEDULER: ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(self._scheduler_port)],
            WORKER: ["distributed.cli.dask_worker", self.address, "--nworkers", str(WORKERS), "--nthreads", "1"],
        }
        commands[SCHEDULER] += ["--no-dashboard"]
        commands[WORKER] += ["--no-dashboard", "--local-directory", str(self._folder / "scratch"), *self._options]
        for name, command in commands.items():
            running = self._running.get(name)
            if running is None or running.poll() is not None:
                log = self._folder / f"{name.replace(' ', '-')}.log"
                self._running[name] = start([sys.executable, "-m", *command], log, self.environment)
        _until(self._answers, f"the processes of {self._folder} do not answer; its logs say why")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._server_port}/api/health", timeout=2):
                pass
            with socket.create_connection(("127.0.0.1", self._scheduler_port), timeout=2):
                pass
        except (urllib.error.URLError, OSError):
            return False
        return len(self._workers()) == WORKERS

    def _workers(self) -> list[Any]:
        nanny = self._running[WORKER]
        try:
            family = psutil.Process(nanny.pid).children(recursive=True)
            return [member for member in family if any(SPAWNED in word for word in member.cmdline())]
        except psutil.Error:
            return []

    def kill(self, victim: str, chance: random.Random) -> None:
        """SIGKILL one of its processes: of the workers any, whose nanny starts another.

        A scheduler takes its workers along: they cannot live without it, and a supervisor starts them anew.
        """
        if victim == WORKER:
            _kill(chance.choice(self._workers()).pid)
            return
        self._running[victim].kill()
        self._running[victim].wait()
        if victim == SCHEDULER:
            kill_tree(self._running[WORKER])


class OwnHouse:
    """No processes but those that `afterwatch run` starts for itself: its server, its scheduler, its workers."""

    def __init__(self) -> None:
        self.environment = environment()

    def kill(self, victim: str, night: Any, chance: random.Random) -> None:
        """SIGKILL one of the processes that a night has started; nothing where there is none of them (yet)."""
        family = psutil.Process(night.pid).children(recursive=True)
        wanted = {WORKER: SPAWNED, SERVER: "prefect"}[victim]
        known = [member for member in family if any(wanted in word for word in _words(member))]
        if known:
            _kill(chance.choice(known).pid)


def _words(process: Any) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _until(holds: Callable[[], bool], message: str) -> None:
    deadline = time.monotonic() + max(START_S, SERVER_START_S)
    while not holds():
        if time.monotonic() > deadline:
            raise NightError(message)
        time.sleep(0.3)
