"""`doctor --air-gap`: a night, a search and the dashboards of a workspace made for it, with every way out of the machine closed."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra import closed_network
from infra.access import ACTOR_VARIABLE
from infra.closed_network import LOOPBACK, RECORD_VARIABLE, REFUSED, WATCHED
from infra.environment import TELEMETRY, switch_off_telemetry
from infra.errors import AfterwatchError
from infra.namespace import bring_up_loopback, namespace_command, packets_without_route

if TYPE_CHECKING:
    from workspace.opened import Workspace

STEP_S = 1_800
"""Longest that a step may take."""
NAMESPACE_VARIABLE = "AFTERWATCH_NAMESPACE"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "no_proxy")
_CACHES = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "TORCH_HOME",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "PREFECT_HOME",
    "PREFECT_API_URL",
)
_VERB = "from afterwatch.entry import run; run()"
_PATIENCE_S = 120
_TAIL = 400


@dataclass(frozen=True)
class Step:
    """Something that is run, as a command, with the network closed."""

    what: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Ran:
    """How a step went; `found` is the end of what it said."""

    what: str
    good: bool
    seconds: float
    found: str


@dataclass(frozen=True)
class Attempt:
    """What one process tried to reach outside, from one place of its code."""

    host: str
    port: str
    process: str
    by: str
    times: int


@dataclass(frozen=True)
class Proof:
    """What ran, and what it connected to."""

    namespace: bool
    """Whether the kernel closed the network; else only Python's own connections were."""
    steps: tuple[Ran, ...]
    processes: int
    """That were watched; none where the hook was not read, and then nothing is proved."""
    loopback: int
    attempts: tuple[Attempt, ...]
    unnamed: int
    """Attempts that the kernel counted: those of code that is not Python's. Always 0 without a namespace."""

    @property
    def good(self) -> bool:
        ran = self.processes > 0 and bool(self.steps) and all(step.good for step in self.steps)
        return ran and not self.attempts and not self.unnamed

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "good": self.good, "telemetry": [vars(setting) for setting in telemetry_now()]}


@dataclass(frozen=True)
class TelemetryNow:
    """How a library's telemetry is set for what Afterwatch starts."""

    library: str
    setting: str
    off: bool


def telemetry_now() -> list[TelemetryNow]:
    """Of each library that has such a setting, in this environment."""
    switch_off_telemetry()
    return [
        TelemetryNow(item.library, f"{item.variable}={os.environ[item.variable]}", item.is_off(os.environ))
        for item in TELEMETRY
    ]


def prove(steps: Callable[[Path], Sequence[Step]] | None = None) -> Proof:
    """Run steps in a folder made for it, with every connection but those to this machine refused and written down.

    Caches and settings of the person who asks are not theirs to read, so that what would be fetched on a new machine is tried here.

    Args:
        steps: of a folder, the steps; the default is a small night, its plan, a search and the dashboards.
    """
    with tempfile.TemporaryDirectory(prefix="afterwatch-air-gap-") as made:
        folder = Path(made)
        hook, home, record = folder / "hook", folder / "home", folder / "connections.jsonl"
        hook.mkdir()
        home.mkdir()
        shutil.copyfile(closed_network.__file__, hook / "sitecustomize.py")
        chosen = (steps or usual_steps)(folder)
        (folder / "steps.json").write_text(json.dumps([asdict(step) for step in chosen]), encoding="utf-8")
        namespace = namespace_command()
        environment = _environment(hook, home, record)
        if namespace is not None:
            environment[NAMESPACE_VARIABLE] = "1"
        command = [*(namespace or ()), *_calling("run_steps", folder)]
        subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, cwd=folder, check=False)
        try:
            told = json.loads((folder / "ran.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise AfterwatchError("the steps could not be run; what went wrong stands above") from None
        return _proof(namespace is not None, told, record)


def usual_steps(folder: Path) -> list[Step]:
    """A small night by itself, and what people do with it."""
    site = folder / "site"
    verb = (sys.executable, "-c", _VERB)
    return [
        Step("footage", tuple(_calling("make_site", site))),
        Step("plan", (*verb, "plan", "--site", str(site))),
        Step("night", (*verb, "run", "--site", str(site))),
        Step("coverage", (*verb, "coverage", "--site", str(site))),
        Step("search", tuple(_calling("search_keyframe", site))),
        Step("dashboards", tuple(_calling("ask_dashboards", site))),
    ]


def _calling(function: str, path: Path) -> list[str]:
    program = f"import sys; from pathlib import Path; from afterwatch.air_gap import {function}; {function}(Path(sys.argv[1]))"
    return [sys.executable, "-c", program, str(path)]


def _environment(hook: Path, home: Path, record: Path) -> dict[str, str]:
    """Of the steps: without proxies, which would hide who is asked, and without what the person has fetched before."""
    dropped = {*_PROXIES, *(name.upper() for name in _PROXIES), *_CACHES, ACTOR_VARIABLE}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    paths = [str(hook), str(Path(__file__).parents[1]), kept.get("PYTHONPATH", "")]
    return {
        **kept,
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        RECORD_VARIABLE: str(record),
    }


def run_steps(folder: Path) -> None:
    """Run the steps that `prove` left in a folder, one after another until one fails; within the closed network."""
    closed = NAMESPACE_VARIABLE in os.environ
    if closed:
        bring_up_loopback()
    before = packets_without_route() if closed else 0
    ran: list[Ran] = []
    for told in json.loads((folder / "steps.json").read_text(encoding="utf-8")):
        step = Step(told["what"], tuple(told["command"]))
        sys.stderr.write(f"{step.what} …\n")
        ran.append(_run(step, folder / "step.log"))
        if not ran[-1].good:
            break
    unnamed = packets_without_route() - before if closed else 0
    (folder / "ran.json").write_text(
        json.dumps({"steps": [asdict(item) for item in ran], "unnamed": unnamed}), encoding="utf-8"
    )


def _run(step: Step, log: Path) -> Ran:
    began = time.monotonic()
    with log.open("wb") as output:
        try:
            code: int | str = subprocess.run(
                step.command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, timeout=STEP_S, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = f"none after {STEP_S} s"
    said = log.read_text(encoding="utf-8", errors="replace").strip()[-_TAIL:]
    found = (said.splitlines() or [""])[-1] if code == 0 else f"exit code {code}: {said}"
    return Ran(step.what, code == 0, time.monotonic() - began, found)


def make_site(site: Path) -> None:
    """Make a workspace with a small synthetic campaign."""
    from afterwatch.workspace_files import make_workspace
    from footage.synthetic.campaign import render_campaign
    from footage.synthetic.plan import small_campaign

    make_workspace(site)
    render_campaign(site / "footage" / "demo", small_campaign())
    sys.stdout.write(f"{len(list(site.glob('footage/*/*/*.mp4')))} recordings made\n")


def search_keyframe(site: Path) -> None:
    """Search a workspace by a picture of its own."""
    from afterwatch.__main__ import main

    pictures = sorted((site / "published").glob("*/*/*/keyframes/*.jpg"))
    if not pictures:
        raise AfterwatchError(f"{site / 'published'} holds no keyframe to search by; the night has published nothing")
    main(["search", "--image", str(pictures[0]), "--limit", "3", "--site", str(site)])


def ask_dashboards(site: Path) -> None:
    """Serve a workspace's dashboards, and have every page run."""
    from dashboards.app_pages.asking import PAGES, run_page, served_files

    with _served(site) as address:
        files, foreign = served_files(address)
        if foreign:
            raise AfterwatchError(f"the dashboards' first page loads what is not this machine's: {', '.join(foreign)}")
        for page in PAGES:
            run_page(address, page)
    sys.stdout.write(f"{len(PAGES)} pages ran, {files} files of their own served, none from elsewhere\n")


@contextmanager
def _served(site: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", _VERB, "dashboard", "--site", str(site), "--port", str(port)]
    server = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while not _listens(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise AfterwatchError("the dashboards did not start; what their server said stands above")
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(_PATIENCE_S)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _proof(namespace: bool, told: dict[str, Any], record: Path) -> Proof:
    lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()] if record.exists() else []
    tried = Counter(
        (line["host"], str(line["port"]), line["command"], line["by"]) for line in lines if line["kind"] == REFUSED
    )
    return Proof(
        namespace,
        tuple(Ran(**step) for step in told["steps"]),
        len({line["pid"] for line in lines if line["kind"] == WATCHED}),
        sum(line["kind"] == LOOPBACK for line in lines),
        tuple(Attempt(*key, times) for key, times in sorted(tried.items())),
        told["unnamed"],
    )


def outside_named(workspace: "Workspace") -> list[str]:
    """Places outside that a workspace's settings name: they are asked because somebody wrote them there."""
    settings = workspace.settings
    named = [] if settings.cluster.address is None else [f"cluster.address {settings.cluster.address}"]
    if "://" in settings.lake:
        named.append(f"lake {settings.lake}")
    hub = [item.table.name for item in workspace.encoders if item.spec.weights.startswith("hub")]
    named += [f"the hub's weights of {name}" for name in hub]
    named += [f"e-mail by {item.host}:{item.port}" for item in settings.notifications.email]
    named += [f"webhook {item.name}" for item in settings.notifications.webhook]
    if settings.access.metadata_url is not None:
        named.append(f"sign-in at {settings.access.metadata_url}")
    return named
