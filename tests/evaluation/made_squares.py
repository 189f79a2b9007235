"""A small data set in the layout of UCSD: a dark square crosses all the time, in the test clips a bright one as well."""

import json
from pathlib import Path

import cv2

from tests.evaluation.conftest import pictures

FRAMES = 30
SPAN = (12, 24)
"""Frames of each test clip that are anomalous."""


def put_squares(folder: Path, *, train: int = 4, test: int = 2, seed: int = 0) -> Path:
    """Write normal clips and test clips of 30 frames; returns the folder."""
    told = {}
    for number in range(1, train + 1):
        _clip(folder / f"Train/Train{number:03d}", 100 * seed + number, (0, 0))
    for number in range(1, test + 1):
        _clip(folder / f"Test/Test{number:03d}", 100 * seed + 50 + number, SPAN)
        told[f"Test{number:03d}"] = [SPAN[0] + 1, SPAN[1]]
    (folder / "labels.json").write_text(json.dumps({"anomalous": told}), encoding="utf-8")
    return folder


def _clip(folder: Path, seed: int, span: tuple[int, int]) -> None:
    folder.mkdir(parents=True)
    for frame, picture in enumerate(pictures(seed, span, FRAMES), 1):
        cv2.imwrite(str(folder / f"{frame:03d}.png"), picture)
