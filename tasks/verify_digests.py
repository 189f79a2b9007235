"""Verify the published digests: made of the cameras' summaries as they are, and of the entries that are due."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from lake.keys import Place, step_key
from models.summary.selection import Selection as Selected
from models.summary.selection import Wanted
from tasks.camera_summaries import CameraSummary, SummaryFile, places_now, read_cameras, summary_files
from tasks.digest import STEP, choose, digest_day, digest_folder
from tasks.plan import Selection
from tasks.publish import ENTRIES
from tasks.receipts import reason_of
from tasks.segment_sheets import CONTACT
from tasks.shown_pictures import SUMMARY
from tasks.verify_published import (
    compare_parts,
    compare_publication,
    compare_publications,
    compare_told,
    file_differences,
    places_in_video,
    published_elsewhere,
    read_told,
)
from workspace.opened import Workspace

SHAPE: Mapping[str, type] = {"key": str, "entries": list, "cameras": dict, "left_out": list, "made": dict}
OWN = ("camera", "summary", "summary_at_s", "at_s", "for_s", "reason", "event_id")
"""What an entry of a digest says of itself; the rest it says as the camera's own entry does."""

Row = dict[str, Any]


def verify_digests(workspace: Workspace, selection: Selection, *, render: bool, threads: int) -> tuple[int, list[str]]:
    """Verify the digests of the days that are selected; a digest is of all cameras, so none where one is selected.

    A digest is due of each day of which a camera that counts has a published summary with something to show.

    Returns:
        How many there are, and the differences, a line each.
    """
    if selection.camera is not None:
        return 0, []
    counting = places_now(workspace)
    there = [place for place in _published(workspace) if selection.takes(place)]
    due = {Place(place.campaign, "", place.day) for place in counting if selection.takes(place)}
    lines: list[str] = []
    for place in sorted({*there, *due}):
        cameras = [each.camera for each in counting if (each.campaign, each.day) == (place.campaign, place.day)]
        try:
            files = summary_files(workspace.site, place.campaign, place.day, cameras)
            if place in there:
                found = list(_differences(workspace, place, files, render=render, threads=threads))
            else:
                found = list(_missing(workspace, files))
        except Exception as error:  # noqa: BLE001 — whatever is damaged is named, and the other days are verified all the same
            found = [reason_of(error)]
        lines += [f"digest {place.campaign} · {place.day.isoformat()}: {line}" for line in found]
    return len(there), lines


def _missing(workspace: Workspace, files: Sequence[SummaryFile]) -> Iterator[str]:
    """What there is to say of a day without a digest, by the summaries of its cameras."""
    cameras, _ = read_cameras(files)
    _, selection = choose(cameras, workspace.settings.summary.digest_s)
    if selection.choices:
        names = ", ".join(camera.camera for camera in cameras if camera.entries)
        yield f"it is due of camera {names}, and no {ENTRIES} is there; run the night again"


def _published(workspace: Workspace) -> list[Place]:
    """Campaign days that have a digest, in order; they have no camera."""
    places = []
    for file in workspace.site.digests_folder.glob(f"*/*/{ENTRIES}"):
        campaign, day = file.parts[-3:-1]
        try:
            places.append(Place(campaign, "", date.fromisoformat(day)))
        except ValueError:
            continue  # somebody else's folder
    return sorted(places)


def _differences(
    workspace: Workspace, place: Place, files: Sequence[SummaryFile], *, render: bool, threads: int
) -> Iterator[str]:
    folder = digest_folder(workspace, place)
    told = read_told(folder, SHAPE)
    yield from file_differences(folder, told, [told.get("video"), told.get("contact")])
    yield from places_in_video(told["entries"])
    now, then = (
        {file.place.camera: file.content for file in files},
        {camera: said["summary"] for camera, said in told["cameras"].items()},
    )
    excused = {said["camera"] for said in told["left_out"]}
    for camera in sorted((now.keys() | then.keys()) - (excused - then.keys())):
        if camera not in then:
            yield f"camera {camera} has a summary, and the digest was made without it; run the night again"
        elif now.get(camera) != then[camera]:
            yield f"{ENTRIES} of camera {camera} had the hash {then[camera]}, and has {now.get(camera, 'none: it is gone')}"
    cameras, unshown = read_cameras(files)
    yield from (f"camera {camera} cannot be shown: {reason}" for camera, reason in unshown)
    by_name = {camera.camera: camera for camera in cameras}
    for number, entry in enumerate(told["entries"], start=1):
        name = f"entry {number}, camera {entry.get('camera')}"
        yield from (f"{name}: {line}" for line in _compare_entry(entry, by_name.get(entry.get("camera", "")), then))
    left_out = [{"camera": camera, "reason": reason} for camera, reason in unshown]
    yield from compare_told({"left_out": told["left_out"]}, {"left_out": left_out})
    # Of other summaries another digest is due, and what differs of them was told above.
    if {camera.camera: camera.file.content for camera in cameras} == then:
        chosen = choose(cameras, workspace.settings.summary.digest_s)
        yield from _compare_choice(told["entries"], cameras, chosen[1])
        derived = _told_again(cameras, *chosen) | {
            "key": _key(workspace, place, files),
            "campaign": place.campaign,
            "day": place.day.isoformat(),
            "partial": bool(left_out) or any(bool(camera.told.get("partial")) for camera in cameras),
            "left_out": left_out,
        }
        yield from compare_publication(told, derived)
        yield from compare_parts(told["made"], derived)
    if render:
        yield from _rendered(workspace, place, folder, threads)


def _compare_entry(entry: Row, camera: CameraSummary | None, summaries: Mapping[str, str]) -> Iterator[str]:
    """An entry of the digest against that of its camera."""
    if camera is None:
        yield "no such camera has a summary that can be shown"
        return
    if entry.get("summary") != summaries.get(camera.camera):
        yield f"summary is {entry.get('summary')}, of its camera {summaries.get(camera.camera)}"
    span = entry.get("recording_id"), entry.get("from_us")
    own = next(
        (item.told for item in camera.entries if (item.told["recording_id"], item.told["from_us"]) == span), None
    )
    if own is None:
        yield f"the camera's summary has no entry of recording {span[0]} at {span[1]} us"
        return
    for name in sorted({*own, *entry} - set(OWN)):
        if entry.get(name) != own.get(name):
            yield f"{name} is {entry.get(name)} in the digest, {own.get(name)} in the camera's summary"
    if entry.get("summary_at_s") != own["at_s"]:
        yield f"summary_at_s is {entry.get('summary_at_s')} in the digest, in the camera's summary it is at {own['at_s']}"


def _told_again(cameras: Sequence[CameraSummary], owners: Mapping[Wanted, str], selection: Selected) -> Row:
    """What a digest tells of the cameras' summaries and of what was chosen among them, beside its entries."""
    listed = [(camera, entry) for camera in cameras for entry in camera.entries]
    shown = [listed[choice.index] for choice in selection.choices]
    pictures = any(entry.keyframe and (camera.file.folder / entry.keyframe).is_file() for camera, entry in shown)
    return {
        "video": SUMMARY,
        "contact": CONTACT if pictures else "",
        "duration_s": sum(entry.length_us for _, entry in shown) / 1e6,
        "omitted": [
            {"camera": owners[event], "name": event.name, "event_id": event.event_id} for event in selection.omitted
        ],
        "cameras": {
            camera.camera: {
                "summary": camera.file.content,
                "key": camera.told["key"],
                "entries": len(camera.entries),
            }
            for camera in cameras
        },
        "versions": {"afterwatch": ""},
    }


def _key(workspace: Workspace, place: Place, files: Sequence[SummaryFile]) -> str:
    """The key of a digest by the settings and the cameras' files as they are."""
    settings = workspace.settings
    names = {"digest_s", "keyframes", "proxy_width", "proxy_rate_hz"}
    shown_by = settings.summary.model_dump(mode="json", include=names)
    parameters = {"place": place.told, "summary": shown_by, "time_zone": settings.site.time_zone}
    return step_key(STEP, parameters, [file.content for file in files])


def _compare_choice(entries: Sequence[Row], cameras: Sequence[CameraSummary], selection: Selected) -> Iterator[str]:
    """What the digest shows, and why, against what is due by the cameras' summaries."""
    listed = [(camera.camera, entry.told) for camera in cameras for entry in camera.entries]
    due = [(*listed[choice.index], choice.reason, choice.event_id) for choice in selection.choices]
    wanted = [(camera, own["recording_id"], own["from_us"], reason, event) for camera, own, reason, event in due]
    shown = [
        (
            entry.get("camera"),
            entry.get("recording_id"),
            entry.get("from_us"),
            entry.get("reason"),
            entry.get("event_id"),
        )
        for entry in entries
    ]
    for missing in [item for item in wanted if item not in shown]:
        yield f"due and not shown: {_told(missing)}"
    for extra in [item for item in shown if item not in wanted]:
        yield f"shown and not due: {_told(extra)}"
    if sorted(map(str, shown)) == sorted(map(str, wanted)) and shown != wanted:
        yield "its entries are not in order of time"


def _told(item: tuple[Any, ...]) -> str:
    camera, recording, from_us, reason, event = item
    return f"camera {camera}, recording {recording} at {from_us} us, {reason} {event}".rstrip()


def _rendered(workspace: Workspace, place: Place, folder: Path, threads: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="afterwatch-verify-") as target:
        beside = published_elsewhere(workspace, Path(target), of_digests=True)
        receipt = digest_day(beside, place.campaign, place.day, threads)
        if receipt.status != "done":
            yield f"cannot be made again: {receipt.message or receipt.status}"
            return
        yield from compare_publications(folder, digest_folder(beside, place))
