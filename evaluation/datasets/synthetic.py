"""Rendered campaigns, whose `truth.json` says what was staged: relevant is the transfer of a cask."""

from pathlib import Path

import numpy as np

from evaluation.datasets.base import FrameSpan, LabelledData, LabelledVideo, content_of, in_order
from footage.index import FrameIndex
from footage.probe import probe
from footage.regions import Region
from footage.synthetic.truth import TRUTH_FILE, CameraTruth, read_truth
from infra.errors import ConfigurationError, FootageError

LAYOUT = "a rendered campaign with truth.json"
CASK = "cask"
HATCH = "hatch"
NOTE = (
    "The truth of a transfer reaches from the hatch's first movement to its last, and as long as the cask hangs in the "
    "picture, also outside the region."
)


def read_synthetic(folder: Path) -> LabelledData:
    """Read a campaign that `afterwatch demo` or `footage.synthetic.campaign.render_campaign` has rendered.

    Raises:
        ConfigurationError: the truth or a recording cannot be read.
    """
    try:
        truth = read_truth(folder)
        videos = [video for camera in truth.cameras for video in _videos(folder, camera)]
    except FootageError as error:
        raise ConfigurationError(f"{folder.name}/{TRUTH_FILE}: {error}") from None
    regions = {camera.name: _regions(camera) for camera in truth.cameras}
    return LabelledData(
        folder.name, LAYOUT, "a cask is moved through the hatch", in_order(videos), regions, notes=(NOTE,)
    )


def _regions(camera: CameraTruth) -> tuple[Region, ...]:
    """The hatch first: the transfer is looked for there."""
    drawn = [Region(region.name, region.polygon) for region in camera.regions]
    return tuple(sorted(drawn, key=lambda region: (region.name != HATCH, region.name)))


def _videos(folder: Path, camera: CameraTruth) -> list[LabelledVideo]:
    read = []
    for recording in camera.recordings:
        source = folder / recording.file
        index = probe(source).index
        staged = [(e.from_us, e.to_us) for e in camera.events if e.file == recording.file and e.kind == CASK]
        day = recording.started_at.date().isoformat()
        read.append(
            LabelledVideo(
                video_id=recording.file,
                campaign=folder.name,
                camera=camera.name,
                day=day,
                unit=f"{camera.name} {day}",
                source=source,
                content=content_of(source),
                index=index,
                relevant=_in_frames(index, staged),
                # What is staged on a day is seen by every camera: days are whole, cameras not apart.
                group=day,
                starts_at_us=round(recording.started_at.timestamp() * 1e6),
            )
        )
    return read


def _in_frames(index: FrameIndex, spans_us: list[tuple[int, int]]) -> tuple[FrameSpan, ...]:
    """Frames shown within each span; a span of which the file holds no frame (it was cut short) is gone."""
    bounds = [tuple(np.searchsorted(index.t_us, span).tolist()) for span in sorted(spans_us)]
    return tuple((first, last) for first, last in bounds if first < last)
