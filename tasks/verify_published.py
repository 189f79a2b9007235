"""Verify, from what is published: the files of a camera's day, and what its `summary.json` says, held against the lake."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from footage.probe import content_hash
from infra.errors import LakeError
from infra.site import Site
from tasks.plan import DayPlan
from tasks.publish import ENTRIES, publish_day
from tasks.step_plans import DaySteps
from tasks.verify_recordings import same_number
from workspace.opened import Workspace

SUMMARY_SHAPE: Mapping[str, type] = {"key": str, "entries": list, "events": list, "made": dict, "versions": dict}

Row = dict[str, Any]


def read_told(folder: Path, shape: Mapping[str, type]) -> Row:
    """What `summary.json` says.

    Args:
        folder: where it lies.
        shape: what it has to say, and of which kind that is.

    Raises:
        LakeError: it is not there, or cannot be understood.
    """
    try:
        told = json.loads((folder / ENTRIES).read_text(encoding="utf-8"))
        if not all(isinstance(told[name], kind) for name, kind in shape.items()):
            raise TypeError(f"it says {', '.join(shape)}, each in its own form")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LakeError(f"{ENTRIES} cannot be read ({type(error).__name__}: {error}); run the night again") from None
    return dict(told)


def file_differences(folder: Path, told: Row, shown: Iterable[Any]) -> list[str]:
    """Files that are not there as they were written; `made` tells each one's hash.

    Args:
        folder: where they lie.
        told: what `summary.json` says.
        shown: names of files that it shows; what is none, or empty, is none.
    """
    lines, named = [], set()
    for part in told["made"].values():
        for name, content in part["files"].items():
            named.add(name)
            path = folder / name
            if not path.is_file():
                lines.append(f"{name} is not there any more")
            elif (now := content_hash(path)) != content:
                lines.append(f"{name} is not the file that was written: its hash was {content}, and is {now}")
    unknown = (name for name in shown if name and name not in named)
    return [*lines, *(f"{name} is shown, and {ENTRIES} tells no hash of it" for name in unknown)]


def compare_told(told: Any, derived: Any, name: str = "") -> list[str]:
    """Where what `summary.json` says is not what is derived again, value by value, numbers as they are rounded there.

    Args:
        told: of the file: any value of JSON.
        derived: what it should be.
        name: of the value.
    """
    if isinstance(told, dict) and isinstance(derived, dict):
        lines = [
            f"{ENTRIES} does not say {name}{key}, which is {derived[key]}"
            for key in sorted(derived.keys() - told.keys())
        ]
        lines += [
            f"{name}{key} is {told[key]} in {ENTRIES}, and should not be there"
            for key in sorted(told.keys() - derived.keys())
        ]
        return lines + [
            line
            for key in sorted(told.keys() & derived.keys())
            for line in compare_told(told[key], derived[key], f"{name}{key}" + "." * isinstance(told[key], dict))
        ]
    if _same(told, derived):
        return []
    return [f"{name.rstrip('.')} is {told} in {ENTRIES}, {derived} derived again"]


def compare_publication(told: Row, derived: Row) -> list[str]:
    """Where the top level of `summary.json` is not what is derived again.

    Entries, events and `made` are compared by themselves. Another release that makes the same is no difference; that the
    file names one is asked for.

    Args:
        told: of the file.
        derived: what it should be.
    """
    apart = ("entries", "events", "made")
    own, due = (
        {name: _any_release(value) for name, value in part.items() if name not in apart} for part in (told, derived)
    )
    return compare_told(own, due)


def _any_release(value: Any) -> Any:
    if isinstance(value, dict) and isinstance(value.get("afterwatch"), str):
        return {**value, "afterwatch": ""}
    return value


def compare_parts(made: Row, derived: Row) -> list[str]:
    """Parts that `made` tells of and that are not shown, or the other way round, by what is shown.

    What each part was made of, `of`, is not compared: it decides whether a file is made again, and says nothing of it.

    Args:
        made: of `summary.json`.
        derived: what the rest of it should be; a digest shows pictures of the cameras' own, and no events.
    """
    files = [derived.get(name) for name in ("video", "contact", "figure")]
    files += [entry["keyframe"] for entry in derived.get("entries", ())]
    due = {name: {name} for name in files if name}
    for event in derived.get("events", ()):
        if event["clip"]:
            due[event["event_id"]] = {name for name in (event["clip"], event["keyframe"]) if name}
    lines = [f"made does not tell of {name}" for name in sorted(due.keys() - made.keys())]
    lines += [f"made tells of {name}, and should not" for name in sorted(made.keys() - due.keys())]
    return lines + [
        f"made tells of {sorted(made[name]['files'])} as {name}, which is {sorted(due[name])}"
        for name in sorted(due.keys() & made.keys())
        if set(made[name]["files"]) != due[name]
    ]


def _same(told: Any, derived: Any) -> bool:
    numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in (told, derived)]
    if all(numbers) and isinstance(derived, float):
        return same_number(float(told), derived)
    return type(told) is type(derived) and bool(told == derived)


@dataclass(frozen=True)
class ElsewhereSite(Site):
    """The same workspace, whose published files are written into another folder.

    Attributes:
        target: that folder.
        of_digests: only the digests go there; summaries are read where they are.
    """

    target: Path = field(kw_only=True)
    of_digests: bool = field(kw_only=True)

    @property
    def published_folder(self) -> Path:
        return super().published_folder if self.of_digests else self.target

    @property
    def digests_folder(self) -> Path:
        return self.target


def published_elsewhere(workspace: Workspace, target: Path, *, of_digests: bool = False) -> Workspace:
    """The same workspace, publishing into `target`."""
    beside = Workspace(workspace.site.root)
    beside.site = ElsewhereSite(beside.site.root, beside.site.settings, target=target, of_digests=of_digests)
    return beside


def rendered_differences(
    workspace: Workspace, day: DayPlan, steps: DaySteps, folder: Path, target: Path, threads: int
) -> list[str]:
    """Publish a day again into `target`, and compare what `summary.json` says, and every other file byte by byte."""
    beside = published_elsewhere(workspace, target)
    anew = replace(steps, publish=replace(steps.publish, exists=False))
    receipt = publish_day(beside, day, anew, threads)
    if receipt.status != "done":
        return [f"cannot be published again: {receipt.message}"]
    place = day.place
    return compare_publications(folder, target / place.campaign / place.camera / place.day.isoformat())


def compare_publications(folder: Path, made: Path) -> list[str]:
    """Where two publications of the same differ: in what `summary.json` says, and in the bytes of the files it names."""
    told, derived = (json.loads((root / ENTRIES).read_text(encoding="utf-8")) for root in (folder, made))
    lines = []
    for name in sorted(
        {file for parts in (told, derived) for part in parts["made"].values() for file in part["files"]}
    ):
        old, new = folder / name, made / name
        if not old.is_file() or not new.is_file():
            lines.append(f"{name} is {'not made' if old.is_file() else 'made'} again")
        elif old.read_bytes() != new.read_bytes():
            lines.append(_other_bytes(name, old.read_bytes(), new.read_bytes()))
    for part in (told, derived):
        part.pop("made")  # its hashes are those of the files
        part["versions"].pop("afterwatch", None)  # another release that makes the same is no difference
    for name, one in (("entries", "entry"), ("events", "event")):
        pairs = zip(told.get(name, ()), derived.get(name, ()), strict=False)
        for number, (old, new) in enumerate(pairs, start=1):
            lines += [f"{one} {number}: {line}" for line in compare_told(old, new)]
        for part in (told, derived):
            part[name] = len(part.get(name, ()))
    return [*lines, *compare_told(told, derived)]


def _other_bytes(name: str, old: bytes, new: bytes) -> str:
    at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    return f"{name} comes out otherwise when it is made again: {len(old)} bytes, then {len(new)}; they differ from byte {at} on"


def places_in_video(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Entries that do not follow one another in the video as long as they are."""
    lines, at_us = [], 0
    for number, entry in enumerate(entries, start=1):
        length_us = entry["to_us"] - entry["from_us"]
        told = {name: entry.get(name) for name in ("at_s", "for_s")}
        lines += [
            f"entry {number}: {line}" for line in compare_told(told, {"at_s": at_us / 1e6, "for_s": length_us / 1e6})
        ]
        at_us += length_us
    return lines
