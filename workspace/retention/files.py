"""The files that retention may delete: where they lie, whether they are there, and whether they are the workspace's own."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from infra.errors import ConfigurationError, LakeError
from lake.catalogue import DATA_TABLES
from lake.keys import Place
from workspace.flip_files import COMPARISONS
from workspace.indexes import index_path
from workspace.opened import Workspace
from workspace.retention.deleted import FOOTAGE, LAKE, SITE, Where

CHUNK_BYTES = 1 << 20
NOVELTY = "novelty"
"""Kind of the heads that nights fit, one for each camera's day."""
DECISIONS = "decisions"
"""Folder of the lake with what decided the steps of each camera's days, as `DAY-HASH.json`."""
REMEDY = "set retention.allow_outside = true if nobody else needs it"


@dataclass(frozen=True)
class DueFile:
    """A file that a policy names.

    Attributes:
        where, path: relative to the lake, the workspace or the footage folder.
        policy, days: that name it.
        place: camera's day that it is of; the camera is empty where it is of all of them.
        contents: recordings that it shows, or that it is.
        reason: why it is due.
        bytes: its size.
    """

    where: Where
    path: str
    policy: str
    days: int
    place: Place
    contents: tuple[str, ...]
    reason: str
    bytes: int


@dataclass(frozen=True)
class Kept:
    """Something that a policy names by its age, and that is kept all the same; `reason` says why."""

    policy: str
    what: str
    reason: str


def check_outside(workspace: Workspace) -> None:
    """Refuse to delete where another workspace may be at home.

    Raises:
        ConfigurationError: the lake or the footage that the policies are about lies outside the workspace, and the settings do
            not say that this is meant.
    """
    policies = workspace.settings.retention.policies
    if workspace.settings.retention.allow_outside:
        return
    if policies.keys() & {"superseded", "results"}:
        if not workspace.store.is_local:
            raise ConfigurationError(
                f"the lake {workspace.store.location} is an object store, which another workspace may use too; {REMEDY}"
            )
        _check_inside(workspace, Path(workspace.site.lake_location), "lake")
    if "footage" in policies:
        _check_inside(workspace, workspace.site.footage_root, "footage.root")


def _check_inside(workspace: Workspace, folder: Path, setting: str) -> None:
    real = Path(os.path.realpath(folder))
    if not real.is_relative_to(os.path.realpath(workspace.site.root)):
        raise ConfigurationError(
            f"{setting} leads to {real}, outside the workspace, where another may need what is deleted; {REMEDY}"
        )


def local_path(workspace: Workspace, where: Where, path: str) -> Path | None:
    """Where a file lies on this machine; None where it is in an object store.

    Raises:
        ConfigurationError: the path leaves its folder.
    """
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in path:
        raise ConfigurationError(f'"{path}" is no path inside {where}; nothing is deleted by it')
    if where == LAKE and not workspace.store.is_local:
        return None
    roots = {LAKE: Path(workspace.store.location), SITE: workspace.site.root, FOOTAGE: workspace.site.footage_root}
    return roots[where] / path


def is_there(workspace: Workspace, where: Where, path: str) -> bool:
    """Whether a file is there; a link that leads nowhere is there too."""
    local = local_path(workspace, where, path)
    if local is None:
        return workspace.store.exists(path)
    return os.path.lexists(local)


def why_kept(workspace: Workspace, where: Where, path: str) -> str:
    """Why deleting a file by its name would not delete its content, or would reach too far; empty where it would do.

    A link is one name of something, and a hard link one of several: with it gone, the content would still be there.
    """
    local = local_path(workspace, where, path)
    if local is None:
        return ""
    told = local.lstat()
    if not stat.S_ISREG(told.st_mode):
        return "it is a link and no file: deleting it would delete nothing"
    if told.st_nlink > 1:
        return f"it has {told.st_nlink} names (hard links): deleting one would leave its content"
    real = Path(os.path.realpath(local))
    if not workspace.settings.retention.allow_outside and not real.is_relative_to(
        os.path.realpath(workspace.site.root)
    ):
        return f"a link leads to it at {real}, outside the workspace; {REMEDY}"
    return ""


def size_of(workspace: Workspace, where: Where, path: str) -> int:
    """Bytes of a file."""
    local = local_path(workspace, where, path)
    if local is not None:
        return local.lstat().st_size
    return int(workspace.store.filesystem.info(workspace.store.url(path))["size"])


def state_of(workspace: Workspace, where: Where, path: str) -> tuple[int, ...]:
    """What tells a file from another that took its name meanwhile: size, and on a local disk its number and last change."""
    local = local_path(workspace, where, path)
    if local is None:
        return (size_of(workspace, where, path),)
    told = local.lstat()
    return told.st_size, told.st_ino, told.st_mtime_ns


def sha256_of(workspace: Workspace, where: Where, path: str) -> str:
    """64 hexadecimal digits of a file's content."""
    local = local_path(workspace, where, path)
    if local is None:
        return hashlib.sha256(workspace.store.read_bytes(path)).hexdigest()
    digest = hashlib.sha256()
    with local.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def delete(workspace: Workspace, where: Where, path: str) -> None:
    """Delete one file, and nothing else."""
    local = local_path(workspace, where, path)
    if local is None:
        workspace.store.delete(path)
    else:
        os.unlink(local)


def outputs_of(workspace: Workspace, place: Place) -> Iterator[str]:
    """Every file that the lake holds of a camera's day, what decided its steps among them, as paths relative to the lake."""
    for table in DATA_TABLES:
        for folder in _spaces(workspace) if table == "embeddings" else [table]:
            yield from workspace.store.names(f"{folder}/{place.folder}")
    of_camera = f"{DECISIONS}/{place.folder.rsplit('/', 1)[0]}"
    for path in workspace.store.names(of_camera):
        if path.startswith(f"{of_camera}/{place.day.isoformat()}-"):
            yield path


def is_output(path: str) -> bool:
    """Whether a path is that of a file of the lake's tables, and of no ledger."""
    parts = PurePosixPath(path).parts
    return bool(parts) and parts[0] in DATA_TABLES and ".." not in parts and path.endswith(".parquet")


def _spaces(workspace: Workspace) -> list[str]:
    store = workspace.store
    try:
        if store.is_local:
            names = [entry.name for entry in os.scandir(store.url("embeddings")) if entry.is_dir()]
        else:
            found = store.filesystem.ls(store.url("embeddings"), detail=False)
            names = [str(name).rstrip("/").rsplit("/", 1)[-1] for name in found]
    except FileNotFoundError:
        return []
    return sorted(f"embeddings/{name}" for name in names if name.startswith("space="))


def left_of(workspace: Workspace, contents: Collection[str]) -> list[Kept]:
    """What holds something of recordings and is not deleted with their results, in a line for each kind.

    Args:
        workspace: the site.
        contents: of the recordings.
    """
    indexes = sum(workspace.store.exists(index_path(content)) for content in contents)
    heads: Counter[str] = Counter()
    for kind, name, version in workspace.registry.versions():
        if kind == NOVELTY:
            heads[name] += _was_fitted_on(workspace, name, version, contents)
    told = [(f"{LAKE}/indexes", f"{indexes} frame indexes of these recordings: times of pictures, and no pictures")]
    told += [
        (f"models/{NOVELTY}/{name}", f"{count} heads that hold vectors of these recordings, as what is usual there")
        for name, count in sorted(heads.items())
    ]
    unfinished = sum(1 for _ in (workspace.site.state_folder / COMPARISONS).glob("*/*/lake"))
    told.append(
        (
            f".afterwatch/{COMPARISONS}",
            f"{unfinished} comparisons of autoencoders that were broken off, with what they embedded",
        )
    )
    remedy = "no policy deletes them; where they must go too, delete them by hand"
    return [Kept("results", what, f"{words}; {remedy}") for what, words in told if not words.startswith("0 ")]


def _was_fitted_on(workspace: Workspace, camera: str, version: str, contents: Collection[str]) -> bool:
    """Whether recordings are in the reference of a novelty head; one whose card is damaged may have been."""
    try:
        recordings = workspace.registry.card(NOVELTY, camera, version).get("recordings") or ()
        return any(row["recording_id"] in contents for row in recordings)
    except (LakeError, TypeError, KeyError):
        return True
