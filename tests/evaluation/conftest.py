"""Labelled videos that tests of the evaluation share."""

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.datasets.base import LabelledVideo, even_index
from footage.writing import Encoding, VideoWriter

VideoMaker = Callable[..., LabelledVideo]


@pytest.fixture(scope="session")
def labelled_video() -> VideoMaker:
    """Makes a labelled video of 10 Hz that is nowhere on disk."""

    def make(name: str = "a", frames: int = 600, starts_s: float = 0.0, **other: Any) -> LabelledVideo:
        told: dict[str, Any] = {
            "campaign": "spring",
            "camera": "hall",
            "day": "",
            "unit": name,
            "source": Path(name),
            "content": name,
            "relevant": (),
            "group": None,
        }
        return LabelledVideo(
            video_id=name,
            index=even_index(frames, Fraction(10)),
            starts_at_us=round(starts_s * 1e6),
            **(told | other),
        )

    return make


def pictures(seed: int, span: tuple[int, int], frames: int = 120) -> Iterator[NDArray[np.uint8]]:
    """Noise in which a bright square crosses during `span`, and a dark one all the time; grey, 48 x 64."""
    random = np.random.default_rng(seed)
    for frame in range(frames):
        picture = random.integers(80, 120, (48, 64), dtype=np.uint8)
        left = (3 * frame) % 50
        picture[34:46, left : left + 14] = 40
        if span[0] <= frame < span[1]:
            left = frame - span[0]
            picture[8:24, left : left + 16] = 150
        yield picture


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of 12 s in the layout of UCSD; in the middle third of each a bright square crosses."""
    folder = tmp_path_factory.mktemp("data") / "squares"
    labels = {}
    for number in range(1, 7):
        clip = folder / "Test" / f"Test{number:03d}"
        clip.mkdir(parents=True)
        first, last = 40 + number, 80 + number
        for frame, picture in enumerate(pictures(number, (first, last)), 1):
            cv2.imwrite(str(clip / f"{frame:03d}.png"), picture)
        labels[clip.name] = [first + 1, last]
    (folder / "labels.json").write_text(json.dumps({"anomalous": labels}), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def campaigns(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A camera filmed on two days of spring, and on one of autumn, with labels of the bright square."""
    folder = tmp_path_factory.mktemp("data")
    days = {"spring": ("2026-03-02", "2026-03-03"), "autumn": ("2026-09-07",)}
    for seed, (campaign, of_campaign) in enumerate(days.items()):
        camera = folder / campaign / "hall"
        camera.mkdir(parents=True)
        spans = {}
        for number, day in enumerate(of_campaign):
            span = (30 + 10 * number, 75)
            name = f"{day}T08-00-00.mp4"
            with VideoWriter(camera / name, Encoding(rate_hz=Fraction(10), crf=15)) as video:
                for frame, picture in enumerate(pictures(10 * seed + number, span)):
                    video.write(np.repeat(picture[..., None], 3, axis=2), frame * 100_000)
            spans[name] = [span]
        (camera / "labels.json").write_text(json.dumps({"recordings": spans}), encoding="utf-8")
    return folder / "spring", folder / "autumn"
