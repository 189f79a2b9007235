"""Where a workspace keeps what belongs to a federation: receipts, memories, a server's checkpoint, clips and vectors."""

from pathlib import Path

from infra.errors import ConfigurationError, UnknownNameError
from infra.table import NAME
from workspace.opened import Workspace

FEDERATION = "federation"
MATERIAL = "material"


def federation_folder(workspace: Workspace, name: str) -> Path:
    """Folder of what a workspace keeps of a federation, `.afterwatch/federation/<name>/`; it need not be there.

    Raises:
        ConfigurationError: the name cannot be one.
    """
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            f'"{name}" cannot name a federation: begin with a letter or a digit and go on with letters, digits, space, ".", '
            '"_" and "-"'
        )
    return workspace.site.state_folder / FEDERATION / name


def material_folder(workspace: Workspace, name: str) -> Path:
    """Folder of clips and vectors that a federation's rounds learn from; it may be deleted at any time."""
    return federation_folder(workspace, name) / MATERIAL


def federations(workspace: Workspace) -> tuple[str, ...]:
    """Names of the federations of which a workspace keeps something, in order."""
    folder = workspace.site.state_folder / FEDERATION
    if not folder.is_dir():
        return ()
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and NAME.fullmatch(path.name)))


def check_federation(workspace: Workspace, name: str) -> None:
    """Raise UnknownNameError unless the workspace keeps something of a federation of that name."""
    known = federations(workspace)
    if name not in known:
        raise UnknownNameError("federation", name, known)
