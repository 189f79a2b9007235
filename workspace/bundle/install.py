"""Install Afterwatch from this folder, on a machine without a network: every file is checked first.

Usage: python3.11 install.py ENVIRONMENT [--digest HEX] [--no-self-test]

Standard library only: in a bundle it stands beside what it installs. It makes the folder ENVIRONMENT, a virtual environment,
and then runs a small night there. Exit codes: 0 done, 1 it failed, 2 the call is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

MANIFEST = "bundle.json"
INSTALLER, SELF_TEST, REQUIREMENTS, WHEELS = "install.py", "self_test.py", "requirements.txt", "wheels"
FORMAT = 1
MANIFEST_BYTES = 1 << 24
"""A longer manifest is none of ours."""
READ_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+!-]*")
_PLACE = ("system", "machine", "implementation", "python")


class BundleFault(Exception):
    """A bundle that cannot be used; the message says what would be right."""


@dataclass(frozen=True)
class Manifest:
    """What a bundle says about itself.

    Attributes:
        files: path below the bundle, with `/` → SHA-256 (64 hexadecimal digits) and size in bytes; all but the manifest.
        place: system, machine, implementation and version of Python that it is for.
        digest: SHA-256 over all that the manifest says.
    """

    files: dict[str, tuple[str, int]]
    place: dict[str, str]
    digest: str


def this_place() -> dict[str, str]:
    """Of the running interpreter, as a manifest has it."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "implementation": platform.python_implementation(),
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
    }


def digest_of(told: dict[str, object]) -> str:
    """SHA-256 of a manifest's content, without the digest that stands in it."""
    content = {name: value for name, value in told.items() if name != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sha256_of(file: IO[bytes]) -> tuple[str, int]:
    """SHA-256 and size in bytes of what is left to read."""
    digest, size = hashlib.sha256(), 0
    while block := file.read(READ_BYTES):
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size


def is_confined(path: str) -> bool:
    """Whether a path stays below the bundle on every system, and names a file that people can type."""
    parts = path.split("/")
    return len(path) <= 255 and all(_NAME.fullmatch(part) and part[-1] not in " ." for part in parts)


def read_manifest(content: bytes) -> Manifest:
    """A manifest, checked.

    Raises:
        BundleFault: it is not one, or a path in it leaves the bundle.
    """
    if len(content) > MANIFEST_BYTES:
        raise BundleFault(f"{MANIFEST} is longer than {MANIFEST_BYTES} bytes; fetch the bundle again")
    try:
        told = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleFault(f"{MANIFEST} is not JSON ({error}); fetch the bundle again") from None
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise BundleFault(f"{MANIFEST} is not of format {FORMAT}; use the install.py that came with the bundle")
    place, listed = told.get("for"), told.get("files")
    if not isinstance(place, dict) or not all(isinstance(place.get(name), str) for name in _PLACE):
        raise BundleFault(f"{MANIFEST} does not say which machine it is for; fetch the bundle again")
    if not isinstance(listed, list):
        raise BundleFault(f"{MANIFEST} lists no files; fetch the bundle again")
    files: dict[str, tuple[str, int]] = {}
    for entry in listed:
        path, sha256, size = (
            entry.get(name) if isinstance(entry, dict) else None for name in ("path", "sha256", "bytes")
        )
        if not isinstance(path, str) or not is_confined(path) or path == MANIFEST or path in files:
            raise BundleFault(f"{MANIFEST} names the file {path!r}, which no bundle holds; fetch the bundle again")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256) or type(size) is not int or size < 0:
            raise BundleFault(f"{MANIFEST} gives no SHA-256 and size of {path}; fetch the bundle again")
        files[path] = sha256, size
    if told.get("digest") != digest_of(told):
        raise BundleFault(f"{MANIFEST} was altered: its digest is not that of its content; fetch the bundle again")
    return Manifest(files, {name: place[name] for name in _PLACE}, told["digest"])


def manifest_of_folder(folder: Path) -> Manifest:
    """The manifest of a bundle that is a folder.

    Raises:
        BundleFault: there is none, or it is not one.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleFault(f"{folder} holds no {MANIFEST}, so it is no bundle; name the folder of one")
    with path.open("rb") as file:
        return read_manifest(file.read(MANIFEST_BYTES + 1))


def check_digest(manifest: Manifest, noted: str) -> None:
    """Hold a bundle against the digest that was noted where it was made; an empty one says nothing.

    Raises:
        BundleFault: it is another.
    """
    if noted and noted.strip().lower() != manifest.digest:
        raise BundleFault(f"the bundle's digest is {manifest.digest}, not {noted.strip()}; fetch the bundle again")


def folder_problems(folder: Path, manifest: Manifest) -> dict[str, str]:
    """By path, what is wrong with the files of a folder; empty where they are exactly what was packed. Links are never followed."""
    problems: dict[str, str] = {}
    held: set[str] = set()
    for top, folders, names in os.walk(folder):
        for name in [*names, *(each for each in folders if Path(top, each).is_symlink())]:
            path = Path(top, name)
            told = path.relative_to(folder).as_posix()
            held.add(told)
            if path.is_symlink() or not path.is_file():
                problems[printable(told)] = "is no plain file"
            elif told in manifest.files:
                problems[told] = file_problem(manifest.files[told], path.stat().st_size, partial(_opened, path))
            elif told != MANIFEST:
                problems[printable(told)] = "is surplus: the manifest does not name it"
    problems.update(dict.fromkeys(manifest.files.keys() - held, "is missing"))
    return {path: problem for path, problem in sorted(problems.items()) if problem}


def file_problem(packed: tuple[str, int], size: int, opened: Callable[[], IO[bytes]]) -> str:
    """What is wrong with a file of a size, of which the manifest gives hash and size; empty where nothing is.

    It is not read where its size is another: a member of a zip may unpack to far more.
    """
    if size != packed[1]:
        return f"was altered: {size} bytes, packed were {packed[1]}"
    with opened() as file:
        sha256, size = sha256_of(file)
    return "" if (sha256, size) == packed else f"was altered: its SHA-256 is {sha256}, packed was {packed[0]}"


def _opened(path: Path) -> IO[bytes]:
    return path.open("rb")


def printable(path: str) -> str:
    """A path as it may be printed: one that no bundle holds may be anything."""
    return path if is_confined(path) else ascii(path)


def check_folder(folder: Path, digest: str) -> Manifest:
    """A bundle that may be installed from.

    Raises:
        BundleFault: it is not what was packed, has another digest than the one noted, or is for another machine.
    """
    manifest = manifest_of_folder(folder)
    check_digest(manifest, digest)
    here = this_place()
    if manifest.place != here:
        raise BundleFault(
            f"the bundle is for {_words(manifest.place)}, this is {_words(here)}; make one on such a machine"
        )
    problems = folder_problems(folder, manifest)
    if problems:
        raise BundleFault(
            "; ".join(f"{path} {problem}" for path, problem in problems.items()) + "; fetch the bundle again"
        )
    return manifest


def _words(place: dict[str, str]) -> str:
    return f"{place['implementation']} {place['python']} on {place['system']} {place['machine']}"


def install(folder: Path, environment: Path) -> None:
    """Make a virtual environment and put the bundle's wheels into it, each by its hash and from nowhere else.

    Raises:
        BundleFault: the environment cannot be made, or pip refuses; what was made of it is removed again.
    """
    if environment.exists() or environment.is_symlink():
        raise BundleFault(f"{environment} is there already, and nothing is replaced; name another folder")
    if environment.resolve().is_relative_to(folder):
        raise BundleFault(f"{environment} lies in the bundle, which stays as it was packed; name a folder elsewhere")
    pip = [str(environment / "bin" / "python"), "-I", "-m", "pip", "install", "--no-index", "--no-cache-dir"]
    chosen = ["--disable-pip-version-check", "--no-input", "--quiet", "--only-binary", ":all:", "--require-hashes"]
    given = ["--find-links", str(folder / WHEELS), "--requirement", str(folder / REQUIREMENTS)]
    try:
        _run([sys.executable, "-I", "-m", "venv", str(environment)], "a virtual environment cannot be made")
        _run([*pip, *chosen, *given], "the wheels cannot be installed")
    except BaseException:
        shutil.rmtree(environment, ignore_errors=True)
        raise


def _run(command: list[str], failing: str) -> None:
    # Settings of pip's that the machine has, another index among them, count for nothing here.
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    done = subprocess.run(command, env={**plain, "PIP_CONFIG_FILE": os.devnull}, capture_output=True, text=True)
    if done.returncode != 0:
        raise BundleFault(f"{failing} (exit code {done.returncode}): {(done.stdout + done.stderr).strip()[-2000:]}")


def main(arguments: list[str] | None = None) -> int:
    """Check, install, test; returns the exit code."""
    parser = argparse.ArgumentParser(description="Install Afterwatch from this bundle, without a network.")
    parser.add_argument("environment", type=Path, help="folder to make the virtual environment in")
    parser.add_argument("--digest", default="", help="digest of the bundle as it was noted where it was made")
    parser.add_argument("--no-self-test", action="store_true", help="leave out the small night at the end")
    asked = parser.parse_args(arguments)
    folder = Path(__file__).resolve().parent
    try:
        manifest = check_folder(folder, asked.digest)
        sys.stdout.write(f"{len(manifest.files)} files are what was packed; digest {manifest.digest}\n")
        sys.stdout.write("installing, which takes minutes\n")
        sys.stdout.flush()
        install(folder, asked.environment)
        sys.stdout.write(f"installed into {asked.environment}\n")
    except BundleFault as fault:
        sys.stderr.write(f"install.py: {fault}\n")
        return 1
    if asked.no_self_test:
        return 0
    sys.stdout.flush()
    programs = asked.environment.resolve() / "bin"
    return subprocess.run([str(programs / "python"), "-I", str(folder / SELF_TEST), str(programs)]).returncode


if __name__ == "__main__":
    sys.exit(main())
