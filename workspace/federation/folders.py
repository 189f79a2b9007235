"""Where a workspace keeps what belongs to a federation: receipts, memories, a server's checkpoint, clips and vectors.

All of it is its owner's only: clips are footage, and memories and receipts tell of it.
"""

import shutil
from pathlib import Path

from infra.errors import ConfigurationError, UnknownNameError
from infra.table import NAME
from workspace.federation.private_files import make_private
from workspace.opened import Workspace

FEDERATION = "federation"
MATERIAL = "material-"
DIGITS = 16
"""Of a plan's hash, which name a folder of what is of that plan."""


def federation_folder(workspace: Workspace, name: str) -> Path:
    """Folder of what a workspace keeps of a federation, `.afterwatch/federation/<name>/`; it need not be there.

    Raises:
        ConfigurationError: the name cannot be one.
    """
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            f'"{name}" cannot name a federation: begin with a letter or a digit and go on with letters, digits, space, ".", '
            '"_" and "-", 64 at most'
        )
    return all_federations_folder(workspace) / name


def all_federations_folder(workspace: Workspace) -> Path:
    """Folder of the federations' folders; in itself it keeps receipts of what was refused before any of them was made."""
    return workspace.site.state_folder / FEDERATION


def make_federation_folder(folder: Path) -> None:
    """Make a federation's folder, or that of all of them, so that nobody else can enter; close it where others could.

    Raises:
        OSError: it cannot be made or closed.
    """
    if folder.parent.name == FEDERATION:
        make_private(folder.parent)
    make_private(folder)


def material_folder(workspace: Workspace, name: str, digest: str) -> Path:
    """Folder of clips and vectors that the rounds of a plan learn from; it may be deleted at any time.

    Args:
        workspace: of the site.
        name: of the federation.
        digest: the plan's hash.
    """
    return federation_folder(workspace, name) / f"{MATERIAL}{digest[:DIGITS]}"


def make_material_folder(workspace: Workspace, name: str, digest: str) -> None:
    """Make the folder of a plan's clips and vectors, and delete those of every other plan.

    Names of plans are the server's, and so is their number: what one of them takes of the disk is all that they take.
    """
    folder = material_folder(workspace, name, digest)
    for other in all_federations_folder(workspace).glob(f"*/{MATERIAL}*"):
        if other != folder:
            shutil.rmtree(other)
    make_federation_folder(folder.parent)
    make_private(folder)


def federations(workspace: Workspace) -> tuple[str, ...]:
    """Names of the federations of which a workspace keeps something, in order."""
    folder = all_federations_folder(workspace)
    if not folder.is_dir():
        return ()
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and NAME.fullmatch(path.name)))


def check_federation(workspace: Workspace, name: str) -> None:
    """Raise UnknownNameError unless the workspace keeps something of a federation of that name."""
    known = federations(workspace)
    if name not in known:
        raise UnknownNameError("federation", name, known)
