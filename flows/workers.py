"""Which workers of an existing scheduler may take a workspace's tasks: those with the same code that see the same files.

Whoever fits is given a label, a resource in Dask's sense that every task of the workspace asks for; a worker without it gets none of
them. So one that joins in the middle is looked at before it does anything, and one that does not fit is told and left alone: it may
be there for others.
"""

import hashlib
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from infra.errors import ConfigurationError
from infra.settings import SETTINGS_FILE
from infra.version import code_version

LIBRARIES = ("av", "distributed", "numpy", "opencv-python-headless", "prefect", "pyarrow", "scikit-learn", "torch")
"""What results depend on beside the rooms' own code, and what carries tasks from one machine to another."""
UNITS = 1_000_000
"""Of the label that a worker has; a task asks for one."""
LOOK_S = 1.0
"""Between two looks for workers that have joined."""
LOOK_AGAIN_S = 30.0
"""Until a worker that did not fit is looked at again: its folder may be mounted by then."""
START_S = 30.0
"""For a first worker to join a scheduler that has none."""
PATIENCE_S = 600.0
"""Without any worker that may take a task, after which a run gives up."""
ABSENT = "not installed"


@dataclass(frozen=True)
class Shared:
    """What a worker is to have in common with whoever sends it tasks.

    Attributes:
        folder: that both see under the same path.
        resource: which embedding asks for, of which at least one worker offers some; None: none.
    """

    folder: Path
    resource: str | None = None

    @property
    def label(self) -> str:
        """Resource of the workers that fit: of this folder, and of this code."""
        told = f"{self.folder}\0{code_version().sources}"
        return f"afterwatch-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def look(folder: str, token: str) -> dict[str, str]:
    """What a worker has, told by itself: code, libraries, the file `token` in the folder and the settings there.

    Returns:
        By name; what cannot be read is the error that it gives, in its own words.
    """
    return {
        "code": code_version().sources,
        "Python": platform.python_version(),
        **{name: _installed(name) for name in LIBRARIES},
        "token": _content(Path(folder) / token),
        "settings": _content(Path(folder) / SETTINGS_FILE),
    }


def _installed(name: str) -> str:
    """A build for GPUs is the same version."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return ABSENT


def _content(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return f"{type(error).__name__}: {error}"


def unfit(here: Mapping[str, str], there: Mapping[str, str] | BaseException, folder: Path) -> str:
    """Why a worker may take no task, and what to do; empty where it may.

    Args:
        here: what `look` tells of this process.
        there: what it tells of the worker, or the error that it ended with there.
        folder: that they are to share.
    """
    if isinstance(there, BaseException):
        return f"cannot be asked ({type(there).__name__}: {there}); install the same Afterwatch there"
    if there["code"] != here["code"]:
        return f"runs other code of Afterwatch ({there['code']}, here {here['code']}); install the same there and start it again"
    others = [
        f"{name} {there[name]} (here {here[name]})" for name in ("Python", *LIBRARIES) if there[name] != here[name]
    ]
    if others:
        return f"has {', '.join(others)}; install what requirements.lock names on both"
    if there["token"] != here["token"]:
        return f"does not see {folder} as it is here; mount the shared folder there under the same path"
    if there["settings"] != here["settings"]:
        return f"reads other settings in {folder / SETTINGS_FILE}; both have to see the same file"
    return ""


@contextmanager
def token_in(folder: Path) -> Iterator[str]:
    """Name of a file that is in the folder for as long as the block lasts: who sees it, sees the folder.

    Raises:
        ConfigurationError: it cannot be written.
    """
    name = f".workers-{secrets.token_hex(8)}"
    try:
        (folder / name).write_text(secrets.token_hex(16), encoding="ascii")
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written ({error}); workers are told by a file in it") from None
    try:
        yield name
    finally:
        (folder / name).unlink(missing_ok=True)


async def _label(label: str, units: int, dask_worker: Any) -> None:
    await dask_worker.set_resources(**{label: units})


def _offer(addresses: list[str], dask_scheduler: Any) -> None:
    """Tasks that no worker could take go to these: a scheduler looks again only where a worker joins, and they were no use then."""
    for address in addresses:
        worker = dask_scheduler.workers.get(address)
        if worker is not None:
            found = dask_scheduler.bulk_schedule_unrunnable_after_adding_worker(worker)
            dask_scheduler.transitions(found, stimulus_id=f"afterwatch-{time.time()}")


@dataclass
class Crew:
    """The workers of a scheduler, as they come and go.

    Attributes:
        client: of Dask, connected to the scheduler.
        shared: what they are to have in common with this process.
        token: name of the file in the folder.
        fit: those that may take tasks, with what they offer.
        refused: why the others may not, by what they are called; also of those that have left since.
    """

    client: Any
    shared: Shared
    token: str
    fit: dict[str, Mapping[str, float]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    _refused_at: dict[str, float] = field(default_factory=dict)

    def look(self, *, at_all: bool = False) -> None:
        """Look at who has joined and has left.

        Args:
            at_all: look again at those that have the label: since it was given them, things may have changed there.
        """
        workers: dict[str, Any] = self.client.scheduler_info()["workers"]
        label = self.shared.label
        self.fit = (
            {}
            if at_all
            else {address: told["resources"] for address, told in workers.items() if told["resources"].get(label)}
        )
        self._refused_at = {address: at for address, at in self._refused_at.items() if address in workers}
        due = time.monotonic() - LOOK_AGAIN_S
        asked = [a for a in workers if a not in self.fit and self._refused_at.get(a, due) <= due]
        if asked:
            self._judge({address: workers[address] for address in asked})

    def _judge(self, workers: Mapping[str, Any]) -> None:
        here = look(str(self.shared.folder), self.token)
        answers = self.client.run(look, str(self.shared.folder), self.token, workers=list(workers), on_error="return")
        new, old = [], []
        for address, answer in answers.items():
            if isinstance(answer, OSError):  # it has left meanwhile, or is asked again
                continue
            why = unfit(here, answer, self.shared.folder)
            if why:
                self.refused[_called(workers[address]["name"], address)] = why
                self._refused_at[address] = time.monotonic()
                old += [address] if workers[address]["resources"].get(self.shared.label) else []
            else:
                self.fit[address] = workers[address]["resources"]
                self.refused.pop(_called(workers[address]["name"], address), None)
                self._refused_at.pop(address, None)
                new.append(address)
        for addresses, units in ((old, 0), (new, UNITS)):
            if addresses:
                self.client.run(_label, self.shared.label, units, workers=addresses, on_error="ignore")
        if new:
            self.client.run_on_scheduler(_offer, new)

    def wants(self) -> str:
        """What there is nobody for, in words; empty where every task finds a worker."""
        why = "; ".join(self.told())
        if not self.fit:
            return "no worker of the scheduler may take tasks" + (f": {why}" if why else ", for it has none")
        resource = self.shared.resource
        if resource is not None and not any(offered.get(resource) for offered in self.fit.values()):
            return (
                f"none of the {len(self.fit)} workers that may take tasks offers the resource {resource}, which "
                f"cluster.gpu_resource asks for: start one with --resources {resource}=1" + (f" ({why})" if why else "")
            )
        return ""

    def told(self) -> list[str]:
        """Who was refused, and why, a line for each."""
        return [f"worker {name} {why}" for name, why in sorted(self.refused.items())]


def _called(name: Any, address: str) -> str:
    return address if str(name) == address else f"{name} ({address})"


def muster(crew: Crew) -> None:
    """Look at all workers that there are; wait a little for a first one.

    Raises:
        ConfigurationError: there is nobody for the tasks, with the reason of each.
    """
    deadline = time.monotonic() + START_S
    crew.look(at_all=True)
    while not crew.fit and not crew.refused and time.monotonic() < deadline:
        time.sleep(LOOK_S)
        crew.look(at_all=True)
    lacking = crew.wants()
    if lacking:
        raise ConfigurationError(f"{lacking}; or leave cluster.address out for an embedded cluster")


@contextmanager
def attended(crew: Crew, give_up: Callable[[str], None]) -> Iterator[None]:
    """Look at the workers again and again in a thread, for as long as the block lasts.

    Args:
        crew: who is there.
        give_up: called with the reason, again and again, once tasks have found nobody for `PATIENCE_S`.
    """
    over = threading.Event()
    thread = threading.Thread(target=_attend, args=(crew, give_up, over), name="workers", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _attend(crew: Crew, give_up: Callable[[str], None], over: threading.Event) -> None:
    since: float | None = None
    while not over.wait(LOOK_S):
        try:
            crew.look()
            lacking = crew.wants()
        except Exception as error:  # noqa: BLE001 — Dask raises what it will where the scheduler is gone; its tasks fail by themselves
            lacking = f"the scheduler cannot be asked ({type(error).__name__}: {error})"
        since = (since or time.monotonic()) if lacking else None
        if since is not None and time.monotonic() - since > PATIENCE_S:
            give_up(f"given up after {PATIENCE_S:.0f} s: {lacking}")
