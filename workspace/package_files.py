"""A folder of files as a package: checksums that `sha256sum -c` reads, and a zip of which the same files give the same bytes."""

import hashlib
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from footage.probe import READ_BYTES
from footage.writing import partial_path, write_bytes

SUMS = "SHA256SUMS"
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can tell: when a package was made is not part of it."""
UNIX, READABLE = 3, 0o644 << 16


def sha256(path: Path) -> str:
    """64 hexadecimal digits of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path) -> list[str]:
    """Write the checksums of all files of a folder into it; returns the names of all, that of the checksums among them."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    write_bytes(folder / SUMS, "".join(f"{sha256(folder / name)}  {name}\n" for name in names).encode())
    return sorted([*names, SUMS])


def put_in_place(folder: Path, files: Sequence[str], target: Path) -> None:
    """Rename a finished folder to `target`; where that ends in `.zip`, write its files into one instead."""
    if target.suffix.lower() != ".zip":
        folder.rename(target)
        return
    unfinished = partial_path(target)
    try:
        with zipfile.ZipFile(unfinished, "w") as archive:  # what is in it is compressed already
            for name in files:
                about = zipfile.ZipInfo(name, ZIP_TIME)
                about.create_system, about.external_attr = UNIX, READABLE
                about.file_size = (folder / name).stat().st_size
                with (folder / name).open("rb") as source, archive.open(about, "w") as copy:
                    shutil.copyfileobj(source, copy, READ_BYTES)
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)
