"""Commands that a page starts and leaves running: one at a time of a name, whoever looks, wherever the page goes.

A job is a process of its own that outlives the page and the server. It holds a lock on a file as long as it lives, so
that "is it running?" has one answer for every browser, across restarts, and no reused process number is mistaken for
it. What it says goes to a log; how it ended, to a file beside it. It works for the person who started it, with their role.
"""

import fcntl
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from infra.access import Action, acting
from infra.errors import ConfigurationError
from infra.site import Site
from lake.audit import About
from lake.guard import Guard
from lake.keys import Place

State = Literal["running", "finished", "failed"]
BACKFILL = "backfill"
STARTED: dict[tuple[str, ...], Action] = {("models", "compare"): "compare models"}
"""What somebody does who starts a verb; any other starts a run."""
TAIL_BYTES = 16_384
"""How much of the end of a log is read."""
TRIES, PAUSE_S = 10, 0.02
"""How often a lock is tried before it counts as held: someone who looks holds it for a moment too."""
_RUNNER = 'code="$1"; shift; "$@"; printf %s "$?" >"$code.part" && mv -f "$code.part" "$code"'
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_PERCENT = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d+)?) ?%")


@dataclass(frozen=True)
class Job:
    """A job as it stands.

    Attributes:
        name: what kind it is.
        about: what it works on, such as a camera.
        pid: process that runs it; 0 until it is known.
        started_at: when.
        ended_at: when it ended; None while it runs, and where it was killed.
        state: whether it still runs, and how it ended.
        exit_code: of the command; None while it runs, and where it was killed.
        last_line: last line of its log; empty where it has said nothing.
        progress: share done, 0 to 1, where the log tells one; else None.
        result: the JSON object it printed; None where it printed none.
        log: the log.
    """

    name: str
    about: str
    pid: int
    started_at: datetime
    ended_at: datetime | None
    state: State
    exit_code: int | None
    last_line: str
    progress: float | None
    result: dict[str, Any] | None
    log: Path


def jobs_folder(site: Site) -> Path:
    """Where a site's jobs leave their logs."""
    return site.state_folder / "jobs"


def backfill_command(site: Site, camera: str) -> list[str]:
    """The command that embeds what is missing of a camera, and decodes nothing else."""
    return [sys.executable, "-m", "afterwatch", BACKFILL, "--site", str(site.root), "--camera", camera, "--json"]


def day_command(site: Site, place: Place, *, every_camera: bool = False) -> list[str]:
    """The command that makes what is missing of a camera's day, or of all cameras' of its campaign; no file is taken in."""
    command = [sys.executable, "-m", "afterwatch", BACKFILL, "--site", str(site.root), "--campaign", place.campaign]
    of = [] if every_camera else ["--camera", place.camera]
    return [*command, *of, "--day", place.day.isoformat(), "--json"]


def action_of(command: Sequence[str]) -> Action:
    """What somebody does who starts a command."""
    words = tuple(command[3:]) if tuple(command[1:3]) == ("-m", "afterwatch") else ()
    return next((action for verb, action in STARTED.items() if words[: len(verb)] == verb), "start runs")


def start_job(folder: Path, name: str, about: str, command: Sequence[str], guard: Guard | None = None) -> Job:
    """Start a command that goes on by itself, for whoever acts now and with no more than their role.

    Args:
        folder: where its log and state are kept.
        name: letters; of one name, one job runs at a time.
        about: what it works on.
        command: program and arguments.
        guard: enters it in the audit, refused or not; None: it is asked for alone.

    Raises:
        AccessError: the role of who acts does not allow it.
        ConfigurationError: one of this name is running, or the command cannot be started.
    """
    actor = acting() if guard is None else guard.ask(action_of(command), About((name, about)))
    actor.require(action_of(command))
    environment = {**os.environ, **actor.environment()} if actor.signed_in else None
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("a") as lock:
        if not _locked(lock.fileno(), fcntl.LOCK_EX):
            running = find_job(folder, name)
            what = f" for {running.about}" if running is not None else ""
            raise ConfigurationError(f"a {name}{what} is running already; wait until it has ended, then start this one")
        for kind in ("code", "out", "log"):
            (folder / f"{name}.{kind}").unlink(missing_ok=True)
        told = {"about": about, "started_at": datetime.now(UTC).isoformat(), "command": list(command), "pid": 0}
        _write(folder / f"{name}.json", told)
        process = _launch(folder, name, command, lock.fileno(), environment)
        _write(folder / f"{name}.json", told | {"pid": process.pid})
    threading.Thread(target=process.wait, name=f"reap-{name}", daemon=True).start()
    found = find_job(folder, name)
    if found is None:
        raise ConfigurationError(f"{folder / name}.json cannot be read back; see who else writes there")
    return found


def find_job(folder: Path, name: str) -> Job | None:
    """The newest job of a name; None where none was ever started."""
    # Asked before anything is read: a job that ends meanwhile is told as running once more, never as lost.
    running = _is_running(folder / f"{name}.lock")
    try:
        told = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        about, started_at, pid = str(told["about"]), datetime.fromisoformat(told["started_at"]), int(told["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    code = _exit_code(folder / f"{name}.code")
    log = folder / f"{name}.log"
    lines = _last_lines(log)
    ended_at = None if code is None else datetime.fromtimestamp((folder / f"{name}.code").stat().st_mtime, UTC)
    return Job(
        name=name,
        about=about,
        pid=pid,
        started_at=started_at,
        ended_at=None if running else ended_at,
        state="running" if running else "finished" if code == 0 else "failed",
        exit_code=None if running else code,
        last_line=lines[-1] if lines else "",
        progress=_progress(lines),
        result=None if running else _result(folder / f"{name}.out"),
        log=log,
    )


def _launch(
    folder: Path, name: str, command: Sequence[str], lock: int, environment: Mapping[str, str] | None
) -> "subprocess.Popen[bytes]":
    runner = ["/bin/sh", "-c", _RUNNER, name, str(folder / f"{name}.code"), *command]
    try:
        with (folder / f"{name}.out").open("wb") as out, (folder / f"{name}.log").open("wb") as log:
            # The lock passes to the runner and its command; it is free when the last of them has ended.
            return subprocess.Popen(
                runner,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock,),
                env=environment,
            )
    except OSError as error:
        (folder / f"{name}.json").unlink(missing_ok=True)
        raise ConfigurationError(f"{command[0]} cannot be started ({error}); see whether it is installed") from None


def _is_running(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            return not _locked(file.fileno(), fcntl.LOCK_SH)
    except OSError:
        return False


def _locked(file: int, kind: int) -> bool:
    for _ in range(TRIES):
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PAUSE_S)
        else:
            return True
    return False


def _exit_code(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _last_lines(log: Path) -> list[str]:
    """The lines at the end of a log that hold something, without what only moves a terminal's cursor."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    lines = (_CONTROL.sub("", line).strip() for line in re.split(r"[\r\n]+", text))
    return [line for line in lines if line]


def _progress(lines: Sequence[str]) -> float | None:
    shares = [float(found) for line in lines for found in _PERCENT.findall(line) if float(found) <= 100]
    return shares[-1] / 100 if shares else None


def _result(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def _write(path: Path, told: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(told), encoding="utf-8")
    os.replace(part, path)
