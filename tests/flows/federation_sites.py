"""Two sites and a server in folders of their own that the others cannot read, and what stands between them on the network.

Run as a module, this is a process of the test: the server with a bundle full of code, or a site whose update is not finite in
one round. Both are the installed command otherwise.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from afterwatch.__main__ import main
from afterwatch.workspace_files import make_workspace

NOBODY = 61_000
"""Owner and group of the first folder; processes of the test are root without any capability, so they are refused by mode."""
SIZE_PX, PICTURES = (192, 256), 40
PLAN = (
    *(
        "--kind",
        "autoencoder",
        "--name",
        "hall",
        "--rounds",
        "4",
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
        "8",
        "--batch",
        "4",
        "--strides",
        "1",
    ),
)
TABLE = "\n[federation]\nleast_samples = 2\nround_s = {round_s}\nwait_s = 240\n"


def have_walls() -> bool:
    """Whether processes can be kept out of one another's folders here."""
    return os.geteuid() == 0 and shutil.which("setpriv") is not None


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


def walled(number: int, *command: object) -> list[str]:
    """A command of whom only the folder of that number is open to."""
    walls = ["setpriv", f"--groups={NOBODY + number}", "--bounding-set=-all", "--inh-caps=-all"]
    return [*walls, sys.executable, *map(str, command)]


class Running:
    """A process of the test and what it says."""

    def __init__(self, number: int, log: Path, *command: object) -> None:
        self.log = log
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                walled(number, *command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
                cwd=Path(__file__).resolve().parents[2],
            )

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def until(self, words: str, within_s: float = 240) -> None:
        """Wait until it has said something."""
        until = time.monotonic() + within_s
        while re.search(words, self.said) is None:
            assert self.process.poll() is None, f"it ended before it said {words!r}:\n{self.said}"
            assert time.monotonic() < until, f"it did not say {words!r} within {within_s} s:\n{self.said}"
            time.sleep(0.02)

    def kill(self) -> None:
        """As by a power cut."""
        self.process.kill()
        self.process.wait()

    def end(self, within_s: float = 240) -> int:
        """Its exit code."""
        return self.process.wait(within_s)


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


def leftovers(root: Path) -> list[str]:
    """Command lines of processes that still have to do with a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(root) in line:
                found.append(line)
    return found


def _serve_with_code(trace: Path, arguments: Sequence[str]) -> None:
    """Serve, with a bundle whose every module would leave a trace."""
    from flows import superlink

    code = f"open({str(trace)!r}, 'a').write('ran')\n".encode()
    superlink.BUNDLE = superlink.BUNDLE | {"installed.py": code, "sitecustomize.py": code, "flwr.py": code}
    main(["federate", "serve", *arguments])


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


def _join_poisoned(bad_round: int, arguments: Sequence[str]) -> None:
    from workspace.federation import client_app

    app: Any = client_app
    gather = app.site_material

    def gathered(*given: Any, **named: Any) -> Any:
        found = gather(*given, **named)
        poison(found.site, bad_round)
        return found

    app.site_material = gathered
    main(["federate", "join", *arguments])


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve_with_code(Path(sys.argv[2]), sys.argv[3:])
    else:
        _join_poisoned(int(sys.argv[2]), sys.argv[3:])
