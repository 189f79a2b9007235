"""What of an earlier publication still stands: files that are there as they were written, made of the same things.

`summary.json` tells of each part, the summary and every event, a hash of all that decides how it looks, and the content of
its files. So a file that was replaced by a publication that was killed, or damaged since, is not taken for what it was.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from footage.probe import content_hash
from infra.settings import Settings
from lake.keys import VERSIONS, short_hash

Part = dict[str, Any]
"""`of`: hash of what decides it; `files`: content hash of each of its files, by name."""


class EarlierParts:
    """The parts of the present publication of a day.

    Args:
        folder: of the publication.
        name: of the file in it that tells of them.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        try:
            made = json.loads((folder / name).read_text(encoding="utf-8"))["made"]
            self._parts: dict[str, Part] = {
                part: {"of": told["of"], "files": told["files"]} for part, told in made.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._parts = {}  # nothing is published, or it does not tell

    def named(self, part: str) -> Part | None:
        """What is told of a part, whatever became of its files."""
        return self._parts.get(part)

    def standing(self, part: str, of: str) -> Part | None:
        """A part that is made of just that and all of whose files are there as they were written; else None."""
        told = self._parts.get(part)
        if told is None or told["of"] != of:
            return None
        whole = all(_is(self._folder / name, content) for name, content in told["files"].items())
        return told if whole else None


def written_part(folder: Path, of: str, names: Iterable[str]) -> Part:
    """What is to be told of a part that was just written."""
    return {"of": of, "files": {name: content_hash(folder / name) for name in sorted(names)}}


def _is(path: Path, content: str) -> bool:
    return path.is_file() and content_hash(path) == content


def decided_by(settings: Settings, *told: Any) -> str:
    """A hash of what decides how a part looks, beside the camera's day, which its folder tells."""
    pictures = settings.summary.model_dump(mode="json", include={"proxy_width", "proxy_rate_hz"})
    return short_hash([VERSIONS["publish"], pictures, settings.site.time_zone, *told])
