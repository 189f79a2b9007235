"""Trained weights over real footage: neighbouring frames are close, other scenes are far."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from infra.weights import WeightsFile
from models.encoders.base import Pixels
from models.encoders.build import build
from models.encoders.specs import describe

NAME = "mobilenetv2_100_imagenet1k.safetensors"


def frames(path: Path, numbers: list[int], size: tuple[int, int]) -> Pixels:
    """Frames by number, RGB, squashed to (height, width)."""
    capture = cv2.VideoCapture(str(path))
    kept = []
    for number in range(max(numbers) + 1):
        read, frame = capture.read()
        assert read, f"{path.name} has no frame {number}"
        if number in numbers:
            rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            kept.append(cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_AREA))
    capture.release()
    return np.stack(kept)


@pytest.fixture
def recordings(real_data: Path) -> list[Path]:
    return [next(iter(sorted((real_data / "footage" / camera).glob("2*")))) for camera in ("hall", "lobby", "traffic")]


@pytest.fixture
def mobilenet(real_data: Path) -> WeightsFile:
    path = real_data / "weights" / NAME
    return WeightsFile(
        path,
        hashlib.sha256(path.read_bytes()).hexdigest(),
        options={"pad_type": "same"},
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )


def scattered(vectors: np.ndarray) -> tuple[float, float]:
    """Largest cosine distance within a recording, smallest between recordings; vectors are (recordings, frames, D)."""
    unit = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    distances = 1 - np.einsum("afd,bgd->abfg", unit, unit)
    same = np.eye(len(vectors), dtype=bool)
    return float(distances[same].max()), float(distances[~same].min())


def test_trained_features_tell_scenes_apart(mobilenet: WeightsFile, recordings: list[Path]) -> None:
    encoder = build(describe("timm/mobilenetv2_100", mobilenet), mobilenet, device="cpu")
    assert encoder.dimension == 1280
    vectors = np.stack([encoder.encode(frames(path, [10, 12, 14], encoder.spec.input_size)) for path in recordings])
    near, far = scattered(vectors)
    assert far > 3 * near


def test_handcrafted_appearance_tells_scenes_apart(recordings: list[Path]) -> None:
    encoder = build(describe("handcrafted/appearance"))
    vectors = np.stack([encoder.encode(frames(path, [10, 12, 14], encoder.spec.input_size)) for path in recordings])
    near, far = scattered(vectors)
    assert far > 3 * near


def test_handcrafted_vectors_notice_the_visitor_of_the_lobby(real_data: Path) -> None:
    path = real_data / "footage/lobby/2026-03-02T08-00-00.mp4"
    appearance = build(describe("handcrafted/appearance"))
    # labels.json: a visitor stands at the table from frame 64 to 190, and from 231 on; the table is free between.
    free, free_again, taken = appearance.encode(frames(path, [205, 212, 260], appearance.spec.input_size))
    assert np.linalg.norm(taken - free) > 2 * np.linalg.norm(free_again - free)
