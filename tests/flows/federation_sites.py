"""Two sites and a server in folders of their own that the others cannot read, and what stands between them on the network.

The processes of the test are the installed command, but for a server with a bundle full of code and a site whose update is not
finite in one round.
"""

import ctypes
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from afterwatch.__main__ import main
from afterwatch.workspace_files import make_workspace
from infra.with_parent import PR_SET_PDEATHSIG
from tests.forks import FORKS, write_to

NOBODY = 61_000
"""Owner and group of the first folder; processes of the test are root without any capability, so they are refused by mode."""
PR_CAPBSET_DROP, CAPABILITIES_VERSION = 24, 0x20080522
"""Of linux/prctl.h and linux/capability.h."""
SIZE_PX, PICTURES = (192, 256), 40
PLAN = (
    *(
        "--kind",
        "autoencoder",
        "--name",
        "hall",
        "--rounds",
        "3",
        "--local-epochs",
        "1",
        "--clients",
        "2",
        "--at-least",
        "1",
    ),
    *(
        "--architecture",
        "hasan",
        "--width",
        "0.125",
        "--size",
        "48",
        "--cuboids",
        "4",
        "--batch",
        "4",
        "--strides",
        "1",
    ),
)
TABLE = "\n[federation]\nleast_samples = 2\nround_s = {round_s}\nwait_s = 240\n"


def have_walls() -> bool:
    """Whether processes can be kept out of one another's folders here."""
    return sys.platform == "linux" and os.geteuid() == 0


def make_site(root: Path, number: int, round_s: int) -> Path:
    """A workspace and a folder of normal footage beside it that only processes with the group's number can enter."""
    folder = root / f"room-{number}"
    folder.mkdir()
    site = make_workspace(folder / "site")
    settings = site / "afterwatch.toml"
    settings.write_text(settings.read_text(encoding="utf-8") + TABLE.format(round_s=round_s), encoding="utf-8")
    draw_footage(folder / "footage", number)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY + number, NOBODY + number)
        path.chmod(0o770 if path.is_dir() else 0o660)
    return site


def draw_footage(folder: Path, seed: int) -> None:
    """Two clips of noise with something that moves; noise does not get smaller however it is packed."""
    random = np.random.default_rng(seed)
    for clip in range(2):
        (folder / f"clip{clip}").mkdir(parents=True)
        for at in range(PICTURES + 4 * seed):
            picture = random.integers(0, 120, SIZE_PX, np.uint8)
            picture[40 : 100 + 16 * seed, 2 * at : 2 * at + 48] = 220
            cv2.imwrite(str(folder / f"clip{clip}" / f"{at:03}.png"), picture)


def build_walls(number: int) -> None:
    """Leave this process, and those that it starts, no way into any folder but that of the number."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.setgroups([NOBODY + number])
    for capability in range(int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "a capability cannot be given up")
    header, none = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(header, none):
        raise OSError(ctypes.get_errno(), "the capabilities cannot be given up")


def can_read(number: int, path: Path) -> bool:
    """Whether a process behind these walls can read a file."""
    process = FORKS.Process(target=_read, args=(number, path))
    process.start()
    process.join()
    return process.exitcode == 0


def _read(number: int, path: Path) -> None:
    build_walls(number)
    try:
        path.read_bytes()
    except PermissionError:
        sys.exit(1)


class Running:
    """A process of the test and what it says; a fork of one that has imported everything, which costs far less than a new one.

    Args:
        number: of the folder that is open to it.
        log: where it writes.
        target: what it does, with the arguments.
    """

    def __init__(self, number: int, log: Path, target: Callable[..., None], *arguments: object) -> None:
        self.log = log
        log.touch()
        self.process = FORKS.Process(target=_run, args=(number, log, target, arguments))
        self.process.start()

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def until(self, words: str, within_s: float = 240) -> None:
        """Wait until it has said something."""
        until = time.monotonic() + within_s
        while re.search(words, self.said) is None:
            assert self.process.is_alive(), f"it ended before it said {words!r}:\n{self.said}"
            assert time.monotonic() < until, f"it did not say {words!r} within {within_s} s:\n{self.said}"
            time.sleep(0.05)

    def kill(self) -> None:
        """As by a power cut."""
        self.process.kill()
        self.process.join()

    def end(self, within_s: float = 240) -> int | None:
        """Its exit code."""
        self.process.join(within_s)
        return self.process.exitcode


def _run(number: int, log: Path, target: Callable[..., None], arguments: Sequence[object]) -> None:
    os.setsid()
    write_to(log)
    build_walls(number)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # a test that is killed leaves nothing behind
    target(*arguments)


class Counter:
    """A proxy on the loopback address that counts what goes through it in each direction."""

    def __init__(self, to_port: int) -> None:
        self.to_server = self.to_client = 0
        self._to_port, self._lock = to_port, threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._to_port), 5)
            except OSError:
                client.close()
                continue
            threading.Thread(target=self._pump, args=(client, server, "to_server"), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, "to_client"), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, way: str) -> None:
        source.settimeout(None)
        try:
            while content := source.recv(65_536):
                with self._lock:
                    setattr(self, way, getattr(self, way) + len(content))
                target.sendall(content)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


@contextmanager
def counted(to_port: int) -> Iterator[Counter]:
    counter = Counter(to_port)
    try:
        yield counter
    finally:
        counter.close()


def left_of(root: Path) -> dict[int, str]:
    """Command lines of processes that have to do with a folder, by their number."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(root) in line:
                found[int(entry.name)] = line
    return found


def memory_limit(process: int) -> int:
    """Bytes that a process may use."""
    (line,) = re.findall(r"^Max data size +(\d+)", Path(f"/proc/{process}/limits").read_text(), re.MULTILINE)
    return int(line)


def serve_with_code(trace: Path, arguments: Sequence[str]) -> None:
    """Serve, with a bundle whose every module would leave a trace."""
    from flows import superlink

    code = f"open({str(trace)!r}, 'a').write('ran')\n".encode()
    superlink.BUNDLE = superlink.BUNDLE | {"installed.py": code, "sitecustomize.py": code, "flwr.py": code}
    main(["federate", "serve", *arguments])


def join(arguments: Sequence[str]) -> None:
    """Join as anybody does."""
    main(["federate", "join", *arguments])


def poison(site: Any, bad_round: int) -> Any:
    """A training whose update is not finite in one round."""
    train = site.train

    def trained(shared: Any, round_number: int, memory: bytes | None) -> Any:
        update = train(shared, round_number, memory)
        if round_number == bad_round:
            name = sorted(update.shared)[0]
            update.shared[name] = np.full_like(update.shared[name], np.nan)
        return update

    site.train = trained
    return site


def join_poisoned(bad_round: int, arguments: Sequence[str]) -> None:
    """Join with a training that goes wrong in one round."""
    from workspace.federation import client_app

    app: Any = client_app
    gather = app.site_material

    def gathered(*given: Any, **named: Any) -> Any:
        found = gather(*given, **named)
        poison(found.site, bad_round)
        return found

    app.site_material = gathered
    join(arguments)
