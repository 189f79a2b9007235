"""A Prefect server of the workspace's own, on this machine only, for as long as it is needed."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.environment import SERVER_START_S
from infra.errors import NightError
from infra.with_parent import ended_with, with_parent

API_URL = "PREFECT_API_URL"
LOOK_S = 1.0
"""Between two looks at a server that is to stay."""


@contextmanager
def orchestrator(log: Path, *, on_end: Callable[[], None] | None = None) -> Iterator[str]:
    """The server's API address: the one that `PREFECT_API_URL` names, else that of a server started here.

    A server started here ends with the block, and with the thread that entered it: were this process killed, nobody would need it.

    Args:
        log: where a server started here writes.
        on_end: called in a thread where a server started here ends by itself: what needs it for days is to leave the block then.

    Raises:
        NightError: it does not come up; or, with `on_end`, it has ended by itself.
    """
    configured = os.environ.get(API_URL)
    if configured:
        yield configured
        return
    port = _free_port()
    prefect = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        server = subprocess.Popen(with_parent(prefect), stdout=output, stderr=output, start_new_session=True)
        address = f"http://127.0.0.1:{port}/api"
        try:
            _wait_for(address, server, log)
            os.environ[API_URL] = address
            if on_end is None:
                yield address
            else:
                with _watching(server, on_end, log):
                    yield address
        finally:
            os.environ.pop(API_URL, None)
            server.terminate()
            try:
                server.wait(timeout=15)
            except subprocess.TimeoutExpired:
                server.kill()


@contextmanager
def _watching(server: "subprocess.Popen[bytes]", on_end: Callable[[], None], log: Path) -> Iterator[None]:
    """Call `on_end` where a server ends within the block.

    Raises:
        NightError: it did.
    """
    leaving, ended = threading.Event(), threading.Event()

    def watch() -> None:
        while not leaving.wait(LOOK_S):
            if server.poll() is not None:
                ended.set()
                on_end()
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        leaving.set()
    if ended.is_set():
        raise NightError(
            f"the Prefect server ended with {ended_with(server.returncode)}, and nothing is scheduled without it; {log} says why"
        )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + SERVER_START_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise NightError(f"the Prefect server ended with {ended_with(server.returncode)}; {log} says why")
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise NightError(f"the Prefect server did not answer within {SERVER_START_S} s; {log} says why")
