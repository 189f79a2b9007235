"""What of an earlier publication still stands: files that are there as they were written, made of the same things.

`summary.json` tells of each part, which is the video, a still, a sheet or an event, a hash of all that decides how it looks,
and the content of its files. So a file that was replaced by a publication that was killed, or damaged since, is not taken
for what it was. Its key tells what the whole was made from, and goes before the first file does.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from footage.probe import content_hash
from footage.writing import write_bytes
from infra.settings import Settings
from lake.keys import VERSIONS, Place, short_hash
from tasks.plan import DayPlan
from workspace.opened import Workspace

Part = dict[str, Any]
"""`of`: hash of what decides it; `files`: content hash of each of its files, by name."""
FOLDERS = ("keyframes", "events")
"""Folders of a published day."""
MOST_TOLD = 10
"""Recordings that a message names."""


class EarlierParts:
    """The parts of the present publication of a day.

    Args:
        folder: of the publication.
        name: of the file in it that tells of them.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._told: Any = None
        try:
            self._told = json.loads((folder / name).read_text(encoding="utf-8"))
            self._parts: dict[str, Part] = {
                part: {"of": told["of"], "files": told["files"]} for part, told in self._told["made"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._parts = {}  # nothing is published, or it does not tell

    def disown(self) -> None:
        """Take its key from the publication, before a file of it is replaced.

        A publication that is killed leaves files of two beside one another: then none of the two is taken for whole.
        """
        if isinstance(self._told, dict) and self._told.get("key"):
            self._told = {**self._told, "key": ""}
            write_told(self._folder / self._name, self._told)

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


def write_told(path: Path, told: Mapping[str, Any]) -> None:
    """Write what tells of a publication."""
    write_bytes(path, (json.dumps(told, indent=1, sort_keys=True) + "\n").encode())


def written_part(folder: Path, of: str, names: Iterable[str]) -> Part:
    """What is to be told of a part that was just written."""
    return {"of": of, "files": {name: content_hash(folder / name) for name in sorted(names)}}


def _is(path: Path, content: str) -> bool:
    return path.is_file() and content_hash(path) == content


def decided_by(settings: Settings, *told: Any) -> str:
    """A hash of what decides how a part looks, beside the camera's day, which its folder tells."""
    pictures = settings.summary.model_dump(mode="json", include={"proxy_width", "proxy_rate_hz"})
    return short_hash([VERSIONS["publish"], pictures, settings.site.time_zone, *told])


@dataclass(frozen=True)
class Published:
    """What a camera's day was published from.

    Attributes:
        key: of the step; empty where nothing is published, where a later publication was cut short, or where a file that
            is named is not there any more.
        summarise: key of the summary that it shows: of the full one, or of what stood in for it while something had failed.
        lacking: heads and alarms whose files were not there then, in order; the day is published again when they are.
        gone: contents of the recordings that were gone then, and that something is not shown of; likewise.
    """

    key: str = ""
    summarise: str = ""
    lacking: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def stands(self, day: DayPlan, key: str, summarise: str, lacking: tuple[str, ...] = ()) -> bool:
        """Whether publishing a day from that would give the same."""
        of_the_same = self == Published(key, summarise, lacking, self.gone)
        return of_the_same and len(self.gone_of(day)) == len(self.gone)

    def gone_of(self, day: DayPlan) -> list[str]:
        """Paths of the recordings that were gone and still are."""
        recordings = {shard.recording.recording_id: shard.recording for shard in day.shards}
        found = (recordings[content] for content in self.gone if content in recordings)
        return [recording.path for recording in found if not recording.there]


def published(workspace: Workspace, place: Place) -> Published:
    """What the present publication of a camera's day was made from."""
    folder = workspace.site.published_folder / place.campaign / place.camera / place.day.isoformat()
    try:
        told = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        there = {*os.listdir(folder), *(f"{name}/{file}" for name in FOLDERS for file in os.listdir(folder / name))}
        if not _named(told) <= there:
            return Published()
        gone = tuple(str(recording["recording_id"]) for recording in told["gone"])
        return Published(str(told["key"]), str(told["versions"]["summarise"]), tuple(told["lacking"]), gone)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Published()


def told_gone(paths: Sequence[str]) -> str:
    """What there is to know of recordings that are gone, and that something is not shown of; empty where there are none."""
    if not paths:
        return ""
    names = [*paths[:MOST_TOLD], *([f"{len(paths) - MOST_TOLD} more"] if len(paths) > MOST_TOLD else [])]
    return f"of recordings that are gone, not all is shown; put them back and run the night again: {', '.join(names)}"


def _named(told: dict[str, Any]) -> set[str]:
    """The files that a publication names."""
    items = [*told["entries"], *told["events"]]
    names = [told["video"], told["contact"], told["figure"], *(item["keyframe"] for item in items)]
    return {name for name in (*names, *(event["clip"] for event in told["events"])) if name}
