"""The wheels of a bundle: fetched with this machine's own settings of pip, or taken from a folder; each trusted by its hash."""

import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from infra.errors import BundleError, ConfigurationError
from infra.weights import file_sha256
from workspace.bundle.lock import Pin, normalised

PINNED = "pinned.txt"
BUILT_AT = "315532800"
"""The beginning of 1980, the earliest that a zip can tell: when a wheel was built is not part of it."""


def own_pip(folder: Path) -> Path:
    """A pip that is nobody else's, in a virtual environment made in `folder`; returns the Python that has it.

    Raises:
        BundleError: it cannot be made.
    """
    _run([sys.executable, "-I", "-m", "venv", str(folder / "pip")], folder, "pip cannot be set up")
    return folder / "pip" / "bin" / "python"


def pinned(pins: Sequence[Pin], source: Path | None, built: Collection[str]) -> str:
    """What is to be got, as pip's `--require-hashes` takes it.

    Args:
        pins: of the lock file.
        source: folder of wheels that is to serve; None where they are fetched.
        built: names of packages of which the folder's wheel is trusted although the lock file does not know it.

    Raises:
        ConfigurationError: there is no such folder, or `built` names what is not needed or of which it holds no wheel.
    """
    if source is not None and not source.is_dir():
        raise ConfigurationError(f"there is no folder {source}; --wheels takes one with a wheel for each package")
    trusted = _trusted(pins, source, built)
    lines = []
    for pin in pins:
        hashes = trusted.get(pin.name, pin.hashes)
        lines.append(" ".join([f"{pin.name}=={pin.version}", *(f"--hash=sha256:{each}" for each in hashes)]))
    return "".join(f"{line}\n" for line in lines)


def gather_wheels(pip: Path, wanted: str, target: Path, work: Path, source: Path | None) -> None:
    """Put one wheel for each package into a folder.

    Without `source` they are fetched, and what has no wheel is built from the source archive that the lock file trusts. With
    it nothing is fetched and nothing built.

    Args:
        pip: as `own_pip` gives it.
        wanted: as `pinned` gives it.
        target: where to; made here.
        work: folder for what is needed on the way; it takes as much again.
        source: folder of wheels.

    Raises:
        BundleError: pip could not get them all.
    """
    (work / PINNED).write_text(wanted, encoding="utf-8")
    chosen = ["--no-deps", "--require-hashes", "--requirement", str(work / PINNED), "--wheel-dir", str(target)]
    offline = [] if source is None else ["--no-index", "--only-binary", ":all:", "--find-links", str(source.resolve())]
    _pip(pip, work, ["wheel", *chosen, *offline], "the wheels cannot be got", offline=source is not None)


def check_closed(pip: Path, wheels: Path, required: Path, work: Path) -> None:
    """See that the wheels of a folder need no other: what is missing is to be told here, not where nothing can be fetched.

    Args:
        pip: as `own_pip` gives it.
        wheels: the folder.
        required: what `requirements` says of it, as a file.
        work: folder for what is needed on the way.

    Raises:
        BundleError: one is missing, or two do not agree.
    """
    given = ["--no-index", "--find-links", str(wheels), "--require-hashes", "--requirement", str(required)]
    asked = ["install", "--dry-run", "--ignore-installed", "--only-binary", ":all:", *given]
    _pip(pip, work, asked, "the wheels are not all that is needed", offline=True)


def _pip(python: Path, work: Path, arguments: list[str], failing: str, *, offline: bool) -> None:
    verb, *rest = arguments
    command = [
        str(python),
        "-I",
        "-m",
        "pip",
        verb,
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--no-input",
        *rest,
    ]
    own = {name: value for name, value in os.environ.items() if not (offline and name.startswith("PIP_"))}
    if offline:
        own["PIP_CONFIG_FILE"] = os.devnull  # the machine's settings may name an index
    # It unpacks what it fetched, and the system's place for such things may be small.
    _run(command, work, failing, {**own, "TMPDIR": str(work)})


def build_own_wheel(project: Path, target: Path) -> None:
    """Build the wheel of a checkout into a folder.

    Raises:
        ConfigurationError: what builds it is not installed.
        BundleError: it cannot be built.
    """
    if find_spec("hatchling") is None:
        raise ConfigurationError(
            "hatchling, which builds Afterwatch's own wheel, is not installed; make the bundle in a checkout's environment"
        )
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    _run(command, project, "Afterwatch's own wheel cannot be built")


def requirements(folder: Path) -> str:
    """The wheels of a folder as pip's `--require-hashes` takes them.

    Raises:
        BundleError: a package is there twice.
    """
    known: dict[str, str] = {}
    for path in sorted(folder.glob("*.whl")):
        name, version = wheel_name(path)
        if name in known:
            raise BundleError(f"there are two wheels of {name} in {folder}; leave one")
        known[name] = f"{name}=={version} --hash=sha256:{file_sha256(path)}\n"
    return "".join(known[name] for name in sorted(known))


def wheel_name(path: Path) -> tuple[str, str]:
    """Normalised name and version of a wheel, as its file's name tells them (PEP 427).

    Raises:
        BundleError: it is called as no wheel is.
    """
    parts = path.name.removesuffix(".whl").split("-")
    if len(parts) not in (5, 6):
        raise BundleError(f"{path.name} is not called as a wheel is; leave it out")
    return normalised(parts[0]), parts[1]


def _trusted(pins: Sequence[Pin], source: Path | None, built: Collection[str]) -> dict[str, tuple[str, ...]]:
    """By name, the hashes of the wheels that were built elsewhere."""
    asked = {normalised(name) for name in built}
    if asked and source is None:
        raise ConfigurationError("--built speaks of wheels in a folder; name that with --wheels")
    held = [(wheel_name(path), path) for path in sorted(source.glob("*.whl"))] if asked and source is not None else []
    found = {}
    for name in sorted(asked):
        versions = {pin.version for pin in pins if pin.name == name}
        hashes = tuple(file_sha256(path) for (known, version), path in held if known == name and version in versions)
        if not hashes:
            wanted = "".join(f" {version}" for version in versions) or ", which is not needed"
            raise ConfigurationError(f"--built {name}: {source} holds no wheel of {name}{wanted}; leave it out")
        found[name] = hashes
    return found


def _run(command: list[str], folder: Path, failing: str, environment: Mapping[str, str] | None = None) -> None:
    own = dict(os.environ) if environment is None else environment
    same = {"SOURCE_DATE_EPOCH": BUILT_AT, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env={**own, **same}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        told = (done.stdout + done.stderr).strip()[-2000:]
        raise BundleError(f"{failing} (exit code {done.returncode}): {told}")
