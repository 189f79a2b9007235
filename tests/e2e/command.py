"""Running the command line as a person does: in a process of its own."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST_S = 280
LEDGERS = (
    "runs",
    "recordings",
    "regions",
    "labels",
    "reviews",
    "promotions",
    "thresholds",
    "operating_points",
    "deliveries",
)
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


def start(*arguments: object) -> "subprocess.Popen[bytes]":
    """Start a command in a process group of its own."""
    command = [sys.executable, "-m", "afterwatch", *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def afterwatch(*arguments: object) -> Done:
    """Run a command to its end."""
    command = [sys.executable, "-m", "afterwatch", *map(str, arguments)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=LONGEST_S, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    """As the tests were started, but for the orchestrator: only the address of the tests' own server is passed on."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return kept | {name: os.environ[name] for name in ("PREFECT_API_URL",) if name in os.environ}


def tables(site: Path) -> dict[str, str]:
    """Hash of every file that depends on the footage alone: the lake without its ledgers, models, and what is published."""
    found = {}
    for folder in ("lake", "models", "published"):
        for file in sorted((site / folder).rglob("*")):
            inside = file.relative_to(site)
            if file.is_file() and not (folder == "lake" and inside.parts[1] in LEDGERS):
                found[str(inside)] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found
