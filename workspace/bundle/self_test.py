"""See whether an installed Afterwatch works here: a small night, a search, and the night again.

Usage: python self_test.py PROGRAMS

PROGRAMS is the folder with `afterwatch` in it. Standard library only, and nothing is fetched. Exit codes: 0 it works, 1 it does not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STEP_S = 1800
"""Nothing of a small night takes half an hour."""
EVENTS = "SELECT event_id FROM events ORDER BY peak_score DESC, event_id LIMIT 1"


class Failure(Exception):
    """What did not work."""


def told_by(program: Path, arguments: list[str], folder: Path) -> dict[str, Any]:
    """What a verb says with `--json`.

    Raises:
        Failure: it ends otherwise than with exit code 0, or says no JSON.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PREFECT_"))}
    command = [str(program), *arguments, "--json"]
    try:
        done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=STEP_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"afterwatch {arguments[0]}: {error}") from None
    if done.returncode != 0:
        raise Failure(f"afterwatch {arguments[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise Failure(f"afterwatch {arguments[0]} said no JSON: {done.stdout[-500:]}") from None
    if not isinstance(told, dict):
        raise Failure(f"afterwatch {arguments[0]} said {done.stdout[:500]}")
    return told


def steps(program: Path, folder: Path) -> None:
    """Run them, and say what each found.

    Raises:
        Failure: one found what it should not.
    """
    site = ["--site", "site"]
    began = time.monotonic()
    report = told_by(program, ["demo", "site", "--small"], folder)["report"]
    if report["status"] != "complete" or not report["events"]:
        raise Failure(f"the night is {report['status']} and found {report['events']} events")
    say(f"night: complete, {report['events']} events, {report['decoded_s']:.0f} s decoded", began)
    began = time.monotonic()
    event = told_by(program, ["query", EVENTS, *site], folder)["rows"][0]["event_id"]
    found = told_by(program, ["search", "--event", str(event), *site], folder)["moments"]
    if not found:
        raise Failure("a search for what is like an event found nothing")
    say(f"search: {len(found)} moments like an event", began)
    began = time.monotonic()
    again = told_by(program, ["run", *site], folder)
    if again["status"] != "complete" or again["decoded_s"] != 0:
        raise Failure(f"the same night again is {again['status']} and decodes {again['decoded_s']} s; it needs none")
    say("the night again: nothing decoded", began)


def say(words: str, began: float) -> None:
    """One line of what was found, with the seconds that it took."""
    sys.stdout.write(f"self-test: {words} ({time.monotonic() - began:.0f} s)\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the steps in a folder that is removed afterwards; returns the exit code."""
    parser = argparse.ArgumentParser(description="See whether an installed Afterwatch works on this machine.")
    parser.add_argument("programs", type=Path, help="folder with the program afterwatch in it")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="afterwatch-self-test-") as folder:
        try:
            steps(asked.programs.absolute() / "afterwatch", Path(folder))
        except (Failure, KeyError, IndexError, TypeError) as failure:
            sys.stderr.write(f"self-test failed: {failure if isinstance(failure, Failure) else repr(failure)}\n")
            return 1
    sys.stdout.write("self-test passed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
