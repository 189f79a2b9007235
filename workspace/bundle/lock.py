"""What of `requirements.lock` a running Afterwatch needs, without the tools of those who develop it."""

import re
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.errors import ConfigurationError

LOCK, PROJECT = "requirements.lock", "pyproject.toml"
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(?:;.*?)?\s*\\?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})\s*\\?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Pin:
    """One package of the lock file.

    Attributes:
        name: normalised, as `prefect-dask`.
        version: the only one.
        hashes: SHA-256 of every file that may serve, 64 hexadecimal digits each; at least one.
        via: normalised names of what asks for it.
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    via: frozenset[str]


def normalised(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: Path) -> list[Pin]:
    """The packages of a lock file as `uv pip compile --generate-hashes` writes it, with its remarks of who asks for what.

    Raises:
        ConfigurationError: it cannot be read, a line is of another kind, or a package has no hash.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}; write it with: make lock") from None
    pins: list[Pin] = []
    name, version, hashes, via = "", "", list[str](), set[str]()
    for number, line in enumerate([*lines, ""], start=1):
        told = line.strip()
        pin, hashed = _PIN.fullmatch(told), _HASH.fullmatch(told)
        if name and (pin or number > len(lines)):
            if not hashes:
                raise ConfigurationError(f"{path}: {name} has no hash; write the file again with: make lock")
            pins.append(Pin(name, version, tuple(hashes), frozenset(via)))
        if pin:
            name, version, hashes, via = normalised(pin[1]), pin[2], [], set()
        elif hashed and name:
            hashes.append(hashed[1])
        elif told.startswith("#"):
            asks = _NAME.match(told.lstrip("# ").removeprefix("via").strip())
            via.update({normalised(asks[0])} if asks and name else ())
        elif told:
            raise ConfigurationError(
                f"{path}, line {number}: {told[:80]} is no pin with hashes; write it with: make lock"
            )
    return pins


def direct_requirements(path: Path) -> tuple[str, frozenset[str]]:
    """Name of the project of a `pyproject.toml`, and normalised names of what it needs to run.

    Raises:
        ConfigurationError: it cannot be read, or names no project.
    """
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        asked = [_NAME.match(each) for each in project["dependencies"]]
        return normalised(project["name"]), frozenset(normalised(each[0]) for each in asked if each)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{path} names no project with requirements ({error}); name a checkout of Afterwatch with --source"
        ) from None


def needed(pins: Sequence[Pin], roots: Collection[str]) -> list[Pin]:
    """The pins that `roots` and what they ask for come to, in their order.

    Raises:
        ConfigurationError: a root is not pinned.
    """
    absent = sorted(set(roots) - {pin.name for pin in pins})
    if absent:
        raise ConfigurationError(f"{LOCK} does not pin {', '.join(absent)}; write it again with: make lock")
    wanted, before = set(roots), -1
    while len(wanted) > before:
        before = len(wanted)
        wanted |= {pin.name for pin in pins if pin.via & wanted}
    return [pin for pin in pins if pin.name in wanted]
