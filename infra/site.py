"""A workspace on disk: its settings and the places in it."""

from dataclasses import dataclass
from pathlib import Path

from infra.errors import ConfigurationError
from infra.settings import SETTINGS_FILE, Settings, read_settings


@dataclass(frozen=True)
class Site:
    """A workspace: the folder `root` and what its settings say."""

    root: Path
    settings: Settings

    @classmethod
    def open(cls, root: Path) -> "Site":
        """Open the workspace at `root`.

        Raises:
            ConfigurationError: there is none, or its settings are wrong.
        """
        root = root.expanduser().resolve()
        site = cls(root, read_settings(root / SETTINGS_FILE))
        site.footage_root  # noqa: B018 — a path that leaves the workspace is refused now, not in the middle of a night
        site.lake_location  # noqa: B018
        return site

    def inside(self, path: Path | str, setting: str) -> Path:
        """Resolve `path` against the workspace.

        Raises:
            ConfigurationError: it leaves the workspace; `setting` names the culprit.
        """
        full = self.root / path
        # Links are followed only by the person who made them: what counts is the path as written.
        lexical = Path(*_normalised(full))
        if not lexical.is_relative_to(self.root):
            raise ConfigurationError(
                f'{setting} = "{path}" leaves the workspace {self.root}; use a path inside it, or make a link there'
            )
        return lexical

    @property
    def footage_root(self) -> Path:
        table = self.settings.footage
        if table.allow_outside:
            return self.root / table.root.expanduser()
        try:
            return self.inside(table.root, "footage.root")
        except ConfigurationError as error:
            raise ConfigurationError(f"{error} (or set footage.allow_outside = true)") from None

    @property
    def lake_location(self) -> str:
        """An absolute folder, or the object-store URL."""
        lake = self.settings.lake
        return lake if "://" in lake else str(self.inside(lake, "lake"))

    @property
    def weights_folder(self) -> Path:
        return self.root / "weights"

    @property
    def models_folder(self) -> Path:
        return self.root / "models"

    @property
    def published_folder(self) -> Path:
        return self.root / "published"

    @property
    def digests_folder(self) -> Path:
        """Digests of all cameras of a day, by campaign."""
        return self.root / "digests"

    @property
    def state_folder(self) -> Path:
        """Derived and disposable things: logs, the orchestrator's database."""
        return self.root / ".afterwatch"


def _normalised(path: Path) -> list[str]:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            if len(parts) > 1:
                parts.pop()
        else:
            parts.append(part)
    return parts
