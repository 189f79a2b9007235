"""See whether a bundle, a folder or a zip, is what was packed. Nothing of it is unpacked or run."""

import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from infra.errors import BundleError, ConfigurationError
from workspace.bundle import install

LINK, KIND = 0o120000, 0o170000
"""Kind of a file in the upper half of a zip member's attributes."""


@dataclass(frozen=True)
class BundleReport:
    """What was found.

    Attributes:
        path: of the bundle.
        digest: over all that its manifest says; 64 hexadecimal digits.
        files, bytes: that the manifest names.
        place: system, machine, implementation and version of Python that it is for.
        problems: by path, what is wrong; empty where all is as it was packed.
    """

    path: Path
    digest: str
    files: int
    bytes: int
    place: dict[str, str]
    problems: dict[str, str]


def check_bundle(path: Path, noted: str = "") -> BundleReport:
    """Hold every file of a bundle against its manifest.

    Args:
        path: a folder, or a zip.
        noted: digest as it was told where the bundle was made; empty where nobody noted it.

    Raises:
        ConfigurationError: there is no bundle.
        BundleError: its manifest is none or was altered, its digest is not the noted one, or it cannot be read.
    """
    if not path.exists():
        raise ConfigurationError(f"there is no {path}; give the folder or the zip of a bundle")
    try:
        if path.is_dir():
            manifest = install.manifest_of_folder(path)
            problems = install.folder_problems(path, manifest)
        else:
            manifest, problems = _look_into_zip(path)
        install.check_digest(manifest, noted)
    except install.BundleFault as fault:
        raise BundleError(str(fault)) from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}; fetch the bundle again") from None
    size = sum(told[1] for told in manifest.files.values())
    return BundleReport(path, manifest.digest, len(manifest.files), size, manifest.place, problems)


def _look_into_zip(path: Path) -> tuple[install.Manifest, dict[str, str]]:
    try:
        with zipfile.ZipFile(path) as archive:
            return _look_into(archive, path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BundleError(f"{path} is no whole zip ({error}); fetch the bundle again") from None


def _look_into(archive: zipfile.ZipFile, path: Path) -> tuple[install.Manifest, dict[str, str]]:
    members = archive.infolist()
    manifests = [member for member in members if member.filename == install.MANIFEST]
    if not manifests:
        raise BundleError(f"{path} holds no {install.MANIFEST}, so it is no bundle; give the zip of one")
    with archive.open(manifests[0]) as file:
        manifest = install.read_manifest(file.read(install.MANIFEST_BYTES + 1))
    problems: dict[str, str] = {}
    held: set[str] = set()
    for member in members:
        name = member.filename
        if name in held:
            problems[install.printable(name)] = "is there twice"
        elif not install.is_confined(name):
            problems[install.printable(name)] = "leaves the bundle, or is called as none of its files"
        elif (member.external_attr >> 16) & KIND == LINK:
            problems[name] = "is no plain file"
        elif name in manifest.files:
            problems[name] = _member_problem(archive, member, manifest.files[name])
        elif name != install.MANIFEST:
            problems[name] = "is surplus: the manifest does not name it"
        held.add(name)
    problems.update(dict.fromkeys(manifest.files.keys() - held, "is missing"))
    return manifest, {name: problem for name, problem in sorted(problems.items()) if problem}


def _member_problem(archive: zipfile.ZipFile, member: zipfile.ZipInfo, packed: tuple[str, int]) -> str:
    try:
        return install.file_problem(packed, member.file_size, partial(archive.open, member))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        return f"was altered: {error}"
