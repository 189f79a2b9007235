"""Which code is running: the version of the package, the commit of a checkout, and a hash of the sources themselves."""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version
from pathlib import Path

ROOMS = ("afterwatch", "dashboards", "evaluation", "flows", "footage", "infra", "lake", "models", "tasks", "workspace")
"""Packages of the distribution."""
DIGITS = 20
"""Of the hash of the sources, as step keys have them."""
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class CodeVersion:
    """The code that made something.

    Attributes:
        version: of the package; empty where it is not installed.
        commit: that the checkout was at; empty where it runs from no checkout.
        sources: hash of the sources as they were, which also tells a checkout with changes from its commit.
    """

    version: str
    commit: str
    sources: str

    def to_card(self) -> dict[str, str]:
        """As a card tells it; the commit only where there is one."""
        told = {"version": self.version, "commit": self.commit, "sources": self.sources}
        return {name: value for name, value in told.items() if value}


@cache
def code_version() -> CodeVersion:
    """Of the running process; read once."""
    root = Path(__file__).resolve().parent.parent
    try:
        version = distribution_version("afterwatch")
    except PackageNotFoundError:
        version = ""
    return CodeVersion(version, commit_of(root), sources_of(root))


def sources_of(root: Path) -> str:
    """20 hexadecimal digits of SHA-256 over the paths and contents of the rooms' Python files below `root`."""
    digest = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (root / room).rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:DIGITS]


def commit_of(root: Path) -> str:
    """The commit that a checkout is at; empty where `root` is none. Read from its files, for git may not be installed."""
    try:
        folder = root / ".git"
        if folder.is_file():  # a worktree names the folder that is its own
            folder = root / folder.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        head = (folder / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref:"):
            return head if _COMMIT.fullmatch(head) else ""
        return _commit_named(folder, head.removeprefix("ref:").strip())
    except (OSError, ValueError):
        return ""


def _commit_named(folder: Path, ref: str) -> str:
    common = folder / "commondir"
    folders = [folder, *([folder / common.read_text(encoding="utf-8").strip()] if common.is_file() else [])]
    for place in folders:
        if (place / ref).is_file():
            commit = (place / ref).read_text(encoding="utf-8").strip()
            return commit if _COMMIT.fullmatch(commit) else ""
        if (place / "packed-refs").is_file():
            for line in (place / "packed-refs").read_text(encoding="utf-8").splitlines():
                commit, _, name = line.partition(" ")
                if name == ref and _COMMIT.fullmatch(commit):
                    return commit
    return ""
