"""Make a bundle: all that a machine without a network needs to run Afterwatch, and the means to check it there."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from footage.writing import partial_path, write_bytes
from infra.errors import BundleError, ConfigurationError
from infra.version import sources_of
from infra.weights import WEIGHTS_FILE, add_weights, file_sha256, read_weights
from workspace.bundle import install, self_test
from workspace.bundle.lock import LOCK, PROJECT, Pin, direct_requirements, needed, read_lock
from workspace.bundle.wheels import (
    build_own_wheel,
    check_closed,
    gather_wheels,
    own_pip,
    pinned,
    requirements,
    wheel_name,
)
from workspace.package_files import put_in_place, sha256

WEIGHTS, DOCS = "weights", "docs"
PAGES = ("README.md", "CHANGELOG.md", "LICENSE")
STAGES = 3


@dataclass(frozen=True)
class BundleParts:
    """What goes into a bundle.

    Attributes:
        project: a checkout of Afterwatch: its lock file, its documents, and the sources of its own wheel.
        wheels: folder to take wheels from; None fetches them.
        built: packages of which that folder's wheel is trusted although the lock file does not know it.
        weights: folder with a `weights.toml`; None packs none.
    """

    project: Path
    wheels: Path | None = None
    built: tuple[str, ...] = ()
    weights: Path | None = None


@dataclass(frozen=True)
class MadeBundle:
    """A bundle that was made.

    Attributes:
        path: the folder or the zip.
        digest: over all that it holds, to be noted elsewhere; 64 hexadecimal digits.
        installer: SHA-256 of its `install.py`, to be noted too: it is what checks the rest where nothing else is installed.
        files, bytes: all but the manifest.
        wheels: how many.
        unlocked: packages whose wheel the lock file does not know, for it was built here or by whoever gave it.
        weights: by encoder, the licence that its weights come under; empty where nobody said.
    """

    path: Path
    digest: str
    installer: str
    files: int
    bytes: int
    wheels: int
    unlocked: tuple[str, ...]
    weights: dict[str, str]


def make_bundle(parts: BundleParts, target: Path, progress: Callable[[str, float, float], None]) -> MadeBundle:
    """Make a bundle, whole or not at all.

    Args:
        parts: what goes into it.
        target: a folder, or a file that ends in `.zip`; it must not exist.
        progress: told the stage, how many parts are done, and of how many.

    Raises:
        ConfigurationError: the project is no checkout, the target is there, or the weights or wheels are not what they should be.
        BundleError: the wheels cannot be got or built, or are not all that is needed.
    """
    if target.exists() or target.is_symlink():
        raise ConfigurationError(f"{target} is there already, and a bundle replaces nothing; choose another name")
    project = parts.project.resolve()
    name, roots = direct_requirements(project / PROJECT)
    pins = needed(read_lock(project / LOCK), roots)
    wanted = pinned(pins, parts.wheels, parts.built)
    unfinished = partial_path(target)
    folder, work = unfinished / "bundle", unfinished / "work"
    try:
        try:
            for made in (folder, work):
                made.mkdir(parents=True)
            licences = {} if parts.weights is None else _pack_weights(parts.weights, folder / WEIGHTS)
            progress("bundle", 0, STAGES)
            pip = own_pip(work)
            gather_wheels(pip, wanted, folder / install.WHEELS, work, parts.wheels)
            progress("bundle", 1, STAGES)
            _complete_wheels(pip, project, folder, work)
            shutil.rmtree(work)
            progress("bundle", 2, STAGES)
            _pack_documents(project, folder)
            manifest = write_manifest(folder, sources_of(project))
            put_in_place(folder, sorted([*manifest.files, install.MANIFEST]), target)
            progress("bundle", 3, STAGES)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise BundleError(
            f"{target} cannot be made: {error.filename}: {error.strerror or error}; mend that, or choose another place"
        ) from None
    wheels = [path for path in manifest.files if path.startswith(f"{install.WHEELS}/")]
    size = sum(told[1] for told in manifest.files.values())
    unlocked = _unlocked(manifest, wheels, pins, name)
    installer = manifest.files[install.INSTALLER][0]
    return MadeBundle(target, manifest.digest, installer, len(manifest.files), size, len(wheels), unlocked, licences)


def _complete_wheels(pip: Path, project: Path, folder: Path, work: Path) -> None:
    """Add the project's own wheel, and say by hash what is to be installed."""
    wheels, required = folder / install.WHEELS, folder / install.REQUIREMENTS
    build_own_wheel(project, wheels)
    write_bytes(required, requirements(wheels).encode())
    check_closed(pip, wheels, required, work)


def write_manifest(folder: Path, sources: str) -> install.Manifest:
    """Write the manifest of all that lies in a folder: the same files give the same bytes.

    Args:
        folder: of plain files only.
        sources: hash of the sources that its Afterwatch was made of.

    Raises:
        BundleError: a file is called as no bundle may have it.
    """
    listed = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if not install.is_confined(name):
            raise BundleError(
                f"{name} cannot be packed: use letters, digits, space and ._+!- in the names of its parts"
            )
        listed.append({"path": name, "sha256": sha256(path), "bytes": path.stat().st_size})
    told = {"format": install.FORMAT, "for": install.this_place(), "sources": sources, "files": listed}
    told["digest"] = install.digest_of(told)
    content = (json.dumps(told, indent=1, sort_keys=True) + "\n").encode()
    write_bytes(folder / install.MANIFEST, content)
    return install.read_manifest(content)


def _pack_weights(source: Path, target: Path) -> dict[str, str]:
    """Copy the weights that a `weights.toml` names, each by its hash; returns licences by encoder."""
    held = read_weights(source)
    if not held:
        raise ConfigurationError(f"{source} holds no {WEIGHTS_FILE} that names weights; --weights takes such a folder")
    for name, weights in held.items():
        if not weights.path.is_file() or file_sha256(weights.path) != weights.sha256:
            raise ConfigurationError(f"{weights.path} is not the file that was added for {name}; add it again")
        told = {"licence": weights.licence, "options": weights.options, "mean": weights.mean, "std": weights.std}
        add_weights(target, name, weights.path, told)
    return {name: weights.licence for name, weights in held.items()}


def _pack_documents(project: Path, target: Path) -> None:
    """Copy the pages, the installer and the self-test."""
    found = [path for path in sorted((project / DOCS).rglob("*")) if path.is_file() and not path.is_symlink()]
    pages = [project / name for name in PAGES] + [path for path in found if not path.name.startswith(".")]
    for path in pages:
        copy = target / path.relative_to(project)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    shutil.copyfile(install.__file__, target / install.INSTALLER)
    shutil.copyfile(self_test.__file__, target / install.SELF_TEST)


def _unlocked(manifest: install.Manifest, wheels: Sequence[str], pins: Sequence[Pin], own: str) -> tuple[str, ...]:
    known = {pin.name: pin.hashes for pin in pins}
    found = {wheel_name(Path(path))[0]: manifest.files[path][0] for path in wheels}
    return tuple(sorted(name for name, sha in found.items() if name != own and sha not in known.get(name, ())))
