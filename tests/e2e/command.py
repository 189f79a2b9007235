"""Running the command line as a person does: in a process of its own."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lake.registry import CARD, MAKING
from lake.schema import STATEMENTS
from lake.store import TEMPORARY
from tests.forks import start_fork

LONGEST_S = 500
LEDGERS = ("runs", "recordings", *STATEMENTS)
"""Tables with times and names of runs in them; the others depend on the footage alone."""


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def start(*arguments: object) -> Any:
    """Start a command in a fork; returns the process."""
    return start_fork([*map(str, arguments)], environment(), Path(os.devnull), Path(os.devnull))


def afterwatch(*arguments: object) -> Done:
    """Run a command to its end, in a fork of a process that has imported everything."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = start_fork([*map(str, arguments)], environment(), out, err)
        process.join(LONGEST_S)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{arguments} has not ended in {LONGEST_S} s: {err.read_text()}")
        return Done(process.exitcode, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))


def afterwatch_anew(*arguments: object) -> Done:
    """Run a command to its end as a newcomer does: in an interpreter and with an orchestrator of its own."""
    command = [sys.executable, "-m", "afterwatch", *map(str, arguments)]
    own = {name: value for name, value in environment().items() if name != "PREFECT_API_URL"}
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    """As the tests were started, but for the orchestrator: only the address of the tests' own server is passed on."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return kept | {name: os.environ[name] for name in ("PREFECT_API_URL",) if name in os.environ}


def tables(site: Path) -> dict[str, str]:
    """Hash of every file that depends on the footage alone: the lake without its ledgers, models, and what is published.

    What a killed process had not put in place yet has a name that nobody reads, and counts nowhere.
    """
    found = {}
    for folder in ("lake", "models", "published"):
        for file in sorted((site / folder).rglob("*")):
            inside = file.relative_to(site)
            if file.is_file() and file.suffix != TEMPORARY and not (folder == "lake" and inside.parts[1] in LEDGERS):
                found[str(inside)] = hashlib.sha256(_content(file)).hexdigest()
    return found


def _content(file: Path) -> bytes:
    """Of a model's card, what does not say who made it, when and by what code."""
    if file.name != CARD:
        return file.read_bytes()
    card = json.loads(file.read_bytes())
    return json.dumps({name: told for name, told in card.items() if name not in MAKING}, sort_keys=True).encode()
