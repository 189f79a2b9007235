"""Hours of a camera, made cheaply: half a minute of the synthetic hall, rendered once, its packets repeated in a drawn order."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

import av
import numpy as np

from benchmarks.clips import clip_folder
from footage.synthetic.campaign import render_campaign
from footage.synthetic.plan import SECOND_US, CampaignSettings, PlannedIncident

QUIET, EVENTFUL = 3, 1
"""Pieces of the hall that are rendered: with the crane and people passing by, and with a cask as well."""


@dataclass(frozen=True)
class Hall:
    """How the hall is filmed.

    Attributes:
        piece_s: length of a rendered piece, in seconds.
        width, height, rate_hz: as a small camera writes it.
    """

    piece_s: int = 30
    width: int = 640
    height: int = 360
    rate_hz: int = 15

    @property
    def settings(self) -> CampaignSettings:
        """Quiet pieces first, then eventful ones; a key frame every 2 s, nothing damaged."""
        return CampaignSettings(
            days=1,
            slots=QUIET + EVENTFUL,
            slot_us=self.piece_s * SECOND_US,
            width=self.width,
            height=self.height,
            rate_hz=self.rate_hz,
            keyframe_every=2 * self.rate_hz,
            cask_s=(0.3 * self.piece_s, 0.4 * self.piece_s),
            frozen_us=self.piece_s * SECOND_US // 4,
            incidents=tuple(PlannedIncident("cask", 0, QUIET + number) for number in range(EVENTFUL)),
            defects=(),
        )


@cache
def pieces(hall: Hall) -> tuple[Path, ...]:
    """The rendered pieces of one camera, in order of time."""
    folder = clip_folder() / f"hall-{hall.width}x{hall.height}-{hall.piece_s}s"
    render_campaign(folder, hall.settings, workers=max(1, min(2, len(os.sched_getaffinity(0)))))
    return tuple(sorted((folder / "hall-east").glob("*.mp4")))


def hall_recording(hall: Hall, seconds: int, events: int, seed: int, number: int = 0) -> Path:
    """A recording of `seconds`: quiet pieces in an order drawn by `seed`, and `events` eventful ones among them.

    Another `number` gives other bytes (another title) and the same pictures.
    """
    random = np.random.default_rng(seed)
    count = max(1, seconds // hall.piece_s)
    order = random.integers(0, QUIET, count)
    order[random.permutation(count)[: min(events, count)]] = QUIET + random.integers(0, EVENTFUL, min(events, count))
    path = clip_folder() / f"hall-{hall.width}x{hall.height}-{count * hall.piece_s}s-{events}-{seed}-{number}.mp4"
    join([pieces(hall)[piece] for piece in order], path, hall.piece_s, title=f"recording {number}")
    return path


def join(parts: Sequence[Path], path: Path, part_s: int, *, title: str) -> None:
    """Write the packets of videos of one encoder, each `part_s` long and without B-frames, one after the other."""
    with av.open(str(parts[0])) as first, av.open(str(path), "w") as target:
        target.metadata["title"] = title
        copy = target.add_stream_from_template(first.streams.video[0])
        for number, part in enumerate(parts):
            with av.open(str(part)) as source:
                stream = source.streams.video[0]
                if stream.time_base is None:
                    raise ValueError(f"{part.name} has no time base")
                start = round(number * part_s / stream.time_base)
                for packet in source.demux(stream):
                    if packet.pts is not None and packet.dts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + start, packet.dts + start, copy
                        target.mux(packet)


def link(root: Path, campaign: str, camera: str, recording: Path, after: timedelta) -> None:
    """Put a recording into a workspace, `after` 08:00 on the first day."""
    began = CampaignSettings().started_at(0, 0) + after
    folder = root / "footage" / campaign / camera
    folder.mkdir(parents=True, exist_ok=True)
    os.link(recording, folder / f"{began:%Y-%m-%dT%H-%M-%S}.mp4")
