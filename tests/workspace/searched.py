"""A workspace to search in: four scenes that cameras saw, embedded by the encoders themselves; there is no footage."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import open_clip  # type: ignore[import-untyped]  # ships no type information
import torch
from numpy.typing import NDArray

from afterwatch.workspace_files import make_workspace
from footage.images import cut
from infra.settings import SETTINGS_FILE
from infra.weights import add_weights
from lake.keys import Place
from lake.ledger import RunRow
from lake.store import rows_of
from models.encoders.base import Encoder
from models.encoders.build import build
from workspace.opened import Workspace

CLIP, APPEARANCE, MOTION = "open_clip/ViT-S-32-alt", "handcrafted/appearance", "handcrafted/motion"
SPRING, AUTUMN, HALL, YARD = "spring", "autumn", "hall-east", "yard"
START = {SPRING: datetime(2026, 3, 2, 8, tzinfo=UTC), AUTUMN: datetime(2026, 9, 7, 8, tzinfo=UTC)}
ROWS = 120
HALF = 50
"""Rows, one a second, in the first of a camera's two recordings."""
EMPTY, CASK, TRUCK, FIRE = range(4)
SEEN: dict[tuple[str, str], list[tuple[int, int, int]]] = {
    (SPRING, HALL): [(CASK, 10, 20), (TRUCK, 30, 34), (CASK, 45, 55)],
    (SPRING, YARD): [(TRUCK, 60, 80)],
    (AUTUMN, HALL): [(CASK, 100, 103), (FIRE, 5, 9)],
}
"""What was to be seen, from row to row; else the place was empty."""
EVENT, CAMERA_EVENT = "e0e0e0e0e0e0", "e1e1e1e1e1e1"
"""An event of the hall's cask, rows 10 to 20, and one of a region that only snippets see."""

Rgb = NDArray[np.uint8]


def at(campaign: str, row: float) -> datetime:
    return START[campaign] + timedelta(seconds=row)


def picture(scene: int, seed: int = 0) -> Rgb:
    """uint8 (240, 320, 3), with a little noise."""
    rgb = np.full((240, 320, 3), 90, dtype=np.uint8)
    cv2.rectangle(rgb, (0, 180), (319, 239), (60, 60, 70), -1)
    if scene == CASK:
        cv2.circle(rgb, (160, 120), 70, (240, 200, 30), -1)
    elif scene == TRUCK:
        cv2.rectangle(rgb, (20, 60), (290, 200), (20, 40, 220), -1)
    elif scene == FIRE:
        rgb[::2] = (255, 80, 0)
    noise = np.random.default_rng(seed).normal(scale=4, size=rgb.shape)
    return np.clip(rgb + noise, 0, 255).astype(np.uint8)


def scene_of(campaign: str, camera: str, row: int) -> int:
    return next((scene for scene, first, end in SEEN[campaign, camera] if first <= row < end), EMPTY)


def make_searched(root: Path, encoders: Sequence[str] = (APPEARANCE, MOTION, CLIP)) -> Workspace:
    """The workspace with what a night would have left in the lake."""
    make_workspace(root)
    if CLIP in encoders:
        _add_clip(root)
    workspace = configure(root, encoders)
    for name in encoders:
        planned = workspace.encoder(name)
        if name == MOTION:
            _embed(workspace, planned.spec.space, SPRING, HALL, "gate", _of_motion())
            continue
        encoder = build(planned.spec, planned.weights, device="cpu")
        shown = {scene: _views(encoder, scene) for scene in range(4)}
        for campaign, camera in SEEN:
            made = np.stack([shown[scene_of(campaign, camera, row)][row % 3] for row in range(ROWS)])
            _embed(workspace, planned.spec.space, campaign, camera, "frame", made)
            if (campaign, camera) == (SPRING, HALL):
                _embed(workspace, planned.spec.space, campaign, camera, "hatch", made[::-1])
    _say_events(workspace)
    return workspace


def _add_clip(root: Path) -> None:
    """Weights of a small CLIP model, untrained, in the layout that open_clip's training writes."""
    torch.manual_seed(1)
    model = open_clip.create_model("ViT-S-32-alt", pretrained_text=False).eval()
    state = {f"module.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 32}, root / "clip.pt")
    add_weights(root / "weights", f"{CLIP}/local", root / "clip.pt", {})


def configure(root: Path, encoders: Sequence[str]) -> Workspace:
    tables = "\n".join(f'[[encoders]]\nname = "{name}"' for name in encoders)
    heads = f'[novelty]\nencoder = "{encoders[0]}"\n[summary]\nencoder = "{encoders[0]}"\n'
    site = '[site]\ntime_zone = "Europe/Rome"\n[compute]\ndevice = "cpu"\n'
    (root / SETTINGS_FILE).write_text(site + heads + tables, encoding="utf-8")
    return Workspace(root)


def _views(encoder: Encoder, scene: int) -> NDArray[np.float32]:
    """Three vectors of a scene, as the night would make them."""
    return encoder.encode(np.stack([cut(picture(scene, seed), encoder.spec.input_size) for seed in range(1, 4)]))


def _of_motion() -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=(ROWS, 256)).astype(np.float32)


def recording_of(campaign: str, camera: str, row: int) -> str:
    return f"{campaign}-{camera}-{'a' if row < HALF else 'b'}"


def _embed(
    workspace: Workspace, space: str, campaign: str, camera: str, region: str, vectors: NDArray[np.float32]
) -> None:
    rows = range(len(vectors))
    inside = [(row if row < HALF else row - HALF) * 1_000_000 for row in rows]
    place = Place(campaign, camera, START[campaign].date())
    columns: dict[str, Any] = {
        "space": space,
        "recording_id": [recording_of(campaign, camera, row) for row in rows],
        "region": region,
        "index": rows,
        "from_us": inside,
        "to_us": [begin + 40_000 for begin in inside],
        "taken_at": [at(campaign, row) for row in rows],
        "digest": "d",
        "vector": vectors.astype(np.float16),
    }
    path = f"embeddings/space={space}/{place.folder}/{region}.parquet"
    workspace.store.write_table(path, rows_of("embeddings", _here(place) | columns, vectors.shape[1]))
    _count(workspace, "embed", place, f"{space}/{region}", path)


def _say_events(workspace: Workspace) -> None:
    place = Place(SPRING, HALL, date(2026, 3, 2))
    columns: dict[str, Any] = {
        "head": "novelty",
        "version": "v1",
        "region": ["frame", "gate"],
        "event_id": [EVENT, CAMERA_EVENT],
        "rank": [1, 2],
        "alarm": True,
        "recording_id": recording_of(SPRING, HALL, 10),
        "started_at": [at(SPRING, 10), at(SPRING, 70)],
        "ended_at": [at(SPRING, 20), at(SPRING, 75)],
        "peak_at": [at(SPRING, 15), at(SPRING, 71)],
        "peak_us": 15_000_000,
        "peak_score": 4.0,
        "threshold": 3.0,
        "deviations": None,
        "keyframe": "",
        "clip": "",
    }
    path = f"events/{place.folder}/e.parquet"
    workspace.store.write_table(path, rows_of("events", _here(place) | columns))
    _count(workspace, "score", place, "novelty", path)


def _here(place: Place) -> dict[str, Any]:
    return {"campaign": place.campaign, "camera": place.camera, "day": place.day}


def _count(workspace: Workspace, step: str, place: Place, scope: str, path: str) -> None:
    now = datetime.now(UTC)
    where = (place.campaign, place.camera, place.day, scope)
    workspace.ledger.record([RunRow("run", step, *where, "k", "done", now, now, outputs=(path,))])
