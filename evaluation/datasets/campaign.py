"""Recordings of a fixed camera with `labels.json` beside them.

The folder is a camera's: `<start, UTC>.<container>` as in a workspace, and `labels.json`; or it is a campaign's, whose
folders are such cameras (those without `labels.json` are left out). The labels of one recording, or of several:

    {"roi": {"name": "table", "box": {"x": 0.45, "y": 0.0, "width": 0.3, "height": 0.85}},
     "positive": "a person stands at the table",
     "recording": "2026-03-02T08-00-00.mp4", "relevant_frames": [[64, 190], [231, 440]]}

    {"roi": {"name": "hatch", "outline": [[0.1, 0.2], [0.4, 0.2], [0.4, 0.9]]},
     "positive": "the hatch is open",
     "recordings": {"2026-03-02T08-00-00.mp4": [[64, 190]], "2026-03-03T08-00-00.mp4": []}}

Frames are numbered from 0, spans half open. `frames_total`, where it is there, must be the first recording's. A
recording that is not listed is not used. `roi` may be absent: then the whole picture is looked at.
"""

import json
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from evaluation.datasets.base import FrameSpan, LabelledData, LabelledVideo, content_of, in_order
from footage.probe import probe
from footage.recordings import PathPattern
from footage.regions import Region, outline_of
from infra.errors import ConfigurationError, FootageError

LABELS = "labels.json"
LAYOUT = "recordings of fixed cameras with labels.json"
PATTERN = "{camera}/{start:%Y-%m-%dT%H-%M-%S}"


def camera_folders(folder: Path) -> list[Path]:
    """The folder itself or those in it, as far as they hold labels of recordings; empty: another layout."""
    return [camera for camera in (folder, *sorted(folder.iterdir())) if _told_recordings(camera / LABELS) is not None]


def read_campaign(folder: Path) -> LabelledData:
    """Read a camera's or a campaign's folder.

    Raises:
        ConfigurationError: the labels are not of the form above or not of these recordings.
    """
    cameras = camera_folders(folder)
    campaign = folder.parent.name if cameras == [folder] else folder.name
    videos: list[LabelledVideo] = []
    regions: dict[str, tuple[Region, ...]] = {}
    wanted: list[str] = []
    for camera in cameras:
        told = _told_recordings(camera / LABELS) or {}
        try:
            regions[camera.name] = (_region(told["roi"]),) if "roi" in told else ()
            spans = _spans(told)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{camera.name}/{LABELS} is not of the documented form ({error!r}); see evaluate in the documentation"
            ) from None
        videos += _videos(camera, campaign, spans, told.get("frames_total"))
        wanted.append(str(told.get("positive", "relevant by labels.json")))
    return LabelledData(folder.name, LAYOUT, "; ".join(dict.fromkeys(wanted)), in_order(videos), regions)


def _told_recordings(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{path.parent.name}/{path.name} is no JSON ({error}); correct it") from None
    return told if isinstance(told, dict) and {"recording", "recordings"} & set(told) else None


def _spans(told: Mapping[str, Any]) -> dict[str, tuple[FrameSpan, ...]]:
    listed = told["recordings"] if "recordings" in told else {told["recording"]: told["relevant_frames"]}
    return {str(name): tuple((int(a), int(b)) for a, b in spans) for name, spans in listed.items()}


def _region(told: Mapping[str, Any]) -> Region:
    if "outline" in told:
        return Region(str(told["name"]), outline_of(told["outline"]))
    box = told["box"]
    return Region.box(str(told["name"]), *(float(box[side]) for side in ("x", "y", "width", "height")))


def _videos(
    camera: Path, campaign: str, spans: Mapping[str, tuple[FrameSpan, ...]], frames_total: object
) -> list[LabelledVideo]:
    pattern = PathPattern(PATTERN, ZoneInfo("UTC"), default_campaign=campaign)
    read = []
    for name in sorted(spans):
        source = camera / name
        if source.parent != camera or not source.is_file():
            raise ConfigurationError(f"{camera.name}/{LABELS} tells of {name}, which is not there; put it beside it")
        try:
            started_at = pattern.read(f"{camera.name}/{name}").started_at.astimezone(UTC)
            index = probe(source).index
        except FootageError as error:
            raise ConfigurationError(f"{camera.name}/{name}: {error}") from None
        if len(spans) == 1 and frames_total not in (None, len(index)):
            raise ConfigurationError(
                f"{camera.name}/{name} has {len(index)} frames, {LABELS} says {frames_total}; it is another file"
            )
        read.append((source, started_at, index))
    days = {started_at.date() for _, started_at, _ in read}
    return [
        LabelledVideo(
            video_id=f"{camera.name}/{source.name}",
            campaign=campaign,
            camera=camera.name,
            day=started_at.date().isoformat(),
            unit=f"{camera.name} {started_at.date().isoformat()}",
            source=source,
            content=content_of(source),
            index=index,
            relevant=spans[source.name],
            group=started_at.date().isoformat() if len(days) > 1 else source.name if len(read) > 1 else None,
            starts_at_us=round(started_at.timestamp() * 1e6),
        )
        for source, started_at, index in read
    ]
