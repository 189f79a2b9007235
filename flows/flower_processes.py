"""Flower's own processes, SuperLink at the server and SuperNode at a client, for as long as the process that started them.

What they keep lies under `.afterwatch/flower/`, for nobody else to read. They call only each other: telemetry and the
question for newer versions are off. Run as a module, this is the child, which ends with its parent however that ends.
"""

import fcntl
import os
import resource
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from infra.errors import NightError
from infra.with_parent import end_with, ended_with
from models.federation.flower import ENVIRONMENT

Program = Literal["superlink", "supernode"]

FLOWER = "flower"
"""Folder of all this in `.afterwatch/`."""
STOP_S = 8.0
"""Time that a process is given to say goodbye to the other side."""
TAIL = 1500
"""Characters of a log that an error shows."""
SECRET_BYTES = 32
MOST_CALL_BYTES = 32 * 2**20
"""Of one call of the protocol, in each direction: Flower sends tensors in pieces of 5 MiB."""
MOST_SUPERNODE_BYTES = 4 * 2**30
"""Memory of a SuperNode: of two messages of the largest plan that is allowed, and of Flower. What a server sends is held there
before anybody has looked at it, and a bundle's manifest is unpacked there."""
LISTENING = "0A"
"""A socket's state in `/proc/net/tcp`."""
STATE, INODE = 3, 9
"""Columns of that file."""


class FlowerProcessError(NightError):
    """One of Flower's processes ended or does not answer; the message names its log."""


class FlowerProcess:
    """A running SuperLink or SuperNode.

    Args:
        program: which.
        process: it.
        log: where it writes.
    """

    def __init__(self, program: Program, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.program, self.log, self._process = program, log, process

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def said(self) -> str:
        """All that it wrote since it was started."""
        return self.log.read_text(encoding="utf-8", errors="replace").strip()

    def listens(self, port: int) -> bool:
        """Whether it listens on a port of this machine: the port was free when it was chosen, and another's may be there now."""
        return bool(_listeners(port) & _sockets(self._process.pid))

    def check(self, within_s: float = 0.0) -> None:
        """Raise FlowerProcessError where it has ended, or ends within a time."""
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return
        raise FlowerProcessError(
            f"Flower's {self.program} ended with {ended_with(code)}; {self.log} says why:\n{self.said()[-TAIL:]}"
        )


@contextmanager
def flower_process(folder: Path, program: Program, arguments: Sequence[str]) -> Iterator[FlowerProcess]:
    """Run one of Flower's processes in a process group of its own; it is gone when the block is left.

    Args:
        folder: where it keeps its state and its log; of this process's owner only.
        program: which.
        arguments: of its command line; anyone on the machine can read them, so they hold no secret.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = folder / f"{program}.log"
    command = [sys.executable, "-m", "flows.flower_processes", program, str(os.getpid()), *arguments]
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | flower_environment(folder),
        )
    try:
        yield FlowerProcess(program, process, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def flower_environment(folder: Path) -> dict[str, str]:
    """Environment of every process of Flower's: it calls nobody, and keeps its files in `folder`."""
    return ENVIRONMENT | {"FLWR_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}  # they compute nothing


@contextmanager
def one_at_a_time(folder: Path, what: str) -> Iterator[None]:
    """Hold a workspace's lock for serving or joining; it ends with the process.

    Raises:
        FlowerProcessError: another process holds it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / f"{what}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FlowerProcessError(
                f'"afterwatch federate {what}" already runs on this workspace; wait for it, or stop it first'
            ) from None
        yield


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback address that nobody listens on now."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in listeners]


def new_secret(folder: Path) -> tuple[bytes, Path]:
    """A fresh secret of this process and its child, and the file by which the child is told."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "secret"
    path.unlink(missing_ok=True)
    secret = secrets.token_bytes(SECRET_BYTES)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
    return secret, path


def _listeners(port: int) -> set[str]:
    """Inodes of the sockets that listen on a port, whatever their address."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
            columns = line.split()
            if columns[STATE] == LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                found.add(columns[INODE])
    return found


def _sockets(process: int) -> set[str]:
    """Inodes of the sockets that a process has open; none where it has ended."""
    found = set()
    try:
        for entry in Path("/proc", str(process), "fd").iterdir():
            try:
                target = os.readlink(entry)
            except FileNotFoundError:  # closed meanwhile
                continue
            if target.startswith("socket:["):
                found.add(target.removeprefix("socket:[").removesuffix("]"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return set()
    return found


def _limit_calls(of_flower: Any) -> None:
    """Let a module of Flower's take and make calls of that size; it has no option for it."""
    if not hasattr(of_flower, "GRPC_MAX_MESSAGE_LENGTH"):
        raise RuntimeError(f"this version of Flower limits its calls elsewhere than in {of_flower.__name__}")
    of_flower.GRPC_MAX_MESSAGE_LENGTH = MOST_CALL_BYTES


def _run(program: str, parent: int, arguments: Sequence[str]) -> None:
    end_with(parent)
    os.umask(0o077)
    sys.argv = [f"flower-{program}", *arguments]
    if program == "superlink":
        from flwr.server import app

        _limit_calls(app)
        app.run_superlink()
    else:
        from flwr.supernode import start_client_internal
        from flwr.supernode.cli.flower_supernode import flower_supernode

        _limit_calls(start_client_internal)
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_SUPERNODE_BYTES, MOST_SUPERNODE_BYTES))
        flower_supernode()


if __name__ == "__main__":
    _run(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
