"""What the formats of label files share: rows of text, what is wrong with them, and reading a file within bounds."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from infra.errors import ConfigurationError
from lake.labels import Label

FIELDS = (
    "campaign",
    "camera",
    "recording",
    "from_s",
    "to_s",
    "frame",
    "from_frame",
    "to_frame",
    "from_us",
    "to_us",
    "use_case",
    "region",
    "relevant",
    "author",
    "said_at",
    "role",
)
"""What a row may say of a label; an empty text says nothing."""
LARGEST_BYTES = 256_000_000
"""Label files above this are refused: they are none, or should be split."""
ANNOTATIONS = "annotations.xml"


@dataclass(frozen=True)
class Row:
    """What a file says of one label, as text by the names of `FIELDS`; `where` is its place in the file."""

    where: str
    told: Mapping[str, str]

    def text(self, field: str) -> str:
        return self.told.get(field, "").strip()


@dataclass(frozen=True)
class Problem:
    """What is wrong with a row: value, rule, remedy."""

    where: str
    message: str


@dataclass(frozen=True)
class Content:
    """A label file as read: its rows, places that hold no row, and what else there is to know."""

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...] = ()
    remarks: tuple[str, ...] = ()


def read_content(path: Path) -> bytes:
    """The bytes of a label file; of a ZIP, as CVAT makes them, those of its `annotations.xml`.

    Raises:
        ConfigurationError: it cannot be read, is empty, or is larger than a label file is.
    """
    try:
        if path.is_file() and zipfile.is_zipfile(path):
            return _bounded(path, _unpacked(path))
        with path.open("rb") as file:
            return _bounded(path, file.read(LARGEST_BYTES + 1))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}; name a label file") from None


def _unpacked(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(ANNOTATIONS) as file:
            return file.read(LARGEST_BYTES + 1)
    except KeyError:
        raise ConfigurationError(f"{path} holds no {ANNOTATIONS}; export from CVAT as “CVAT for video 1.1”") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ConfigurationError(f"{path} is a damaged or encrypted ZIP ({error}); export it again") from None


def _bounded(path: Path, content: bytes) -> bytes:
    if len(content) > LARGEST_BYTES:
        raise ConfigurationError(
            f"{path} is larger than {LARGEST_BYTES / 1e6:g} MB, the most a label file may be; split it"
        )
    if not content.strip():
        raise ConfigurationError(f"{path} is empty; a label file has at least a header")
    return content


def text_of(content: bytes) -> str:
    """The text of a file.

    Raises:
        ConfigurationError: it is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"byte {error.start} is not UTF-8; save the file as UTF-8") from None


def said_at_text(label: Label) -> str:
    return label.said_at.astimezone(UTC).isoformat()
