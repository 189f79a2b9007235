"""Files that people take away: written whole or not at all."""

from collections.abc import Mapping
from pathlib import Path

from footage.writing import write_bytes
from infra.errors import ConfigurationError


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write files, and the folders they need; what is there already is replaced.

    Raises:
        ConfigurationError: one cannot be written.
    """
    for path, content in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, content)
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be written: {error.strerror or error}; choose another place"
            ) from None
