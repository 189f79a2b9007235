"""A workspace whose vectors are made up: two campaigns of one camera, in which a hatch opens a few times."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from afterwatch.workspace_files import make_workspace
from lake.keys import Place
from lake.labels import UseCase
from lake.ledger import RunRow, Statement
from lake.matrix import Matrices
from lake.store import rows_of
from workspace.opened import Workspace
from workspace.session import Review

CAMERA, REGION, SPRING, AUTUMN = "hall-east", "hatch", "spring", "autumn"
CASE = UseCase(CAMERA, REGION, "hatch open")
ENCODER = "handcrafted/appearance"
START = {SPRING: datetime(2026, 3, 2, 8, tzinfo=UTC), AUTUMN: datetime(2026, 9, 7, 8, tzinfo=UTC)}
ROWS = 600
OPEN = {SPRING: [(100, 130), (300, 340), (500, 520)], AUTUMN: [(60, 90), (410, 450)]}
"""Rows, one a second, in which the hatch is open."""
OUTLINE = [[0.2, 0.2], [0.6, 0.2], [0.6, 0.7], [0.2, 0.7]]


def truth(campaign: str) -> NDArray[np.bool_]:
    """bool (ROWS,)."""
    told = np.zeros(ROWS, dtype=np.bool_)
    for first, end in OPEN[campaign]:
        told[first:end] = True
    return told


def make_hall(root: Path, noise: float = 0.1, every: int = 1) -> Workspace:
    """The workspace, with what a night would have left in the lake; there is no footage."""
    workspace = Workspace(make_workspace(root))
    said = Statement(f"{CAMERA}/{REGION}", "inspector", OUTLINE, camera=CAMERA)
    workspace.ledger.say("regions", [said])
    workspace = Workspace(root)
    now = datetime.now(UTC)
    workspace.ledger.append_recordings(_recordings(now), now)
    for campaign in (SPRING, AUTUMN):
        _still(workspace, campaign)
        for region in (REGION, "frame"):
            _embed(workspace, campaign, region, noise, every)
    return workspace


def recording_of(campaign: str, row: int) -> str:
    """Ten minutes of footage lie in two recordings."""
    return f"{campaign}-{'b' if row >= ROWS // 2 else 'a'}"


def review(workspace: Workspace, campaign: str = SPRING) -> Review:
    matrices = Matrices(workspace.store, workspace.ledger, workspace.site.state_folder / "matrices")
    return Review(workspace, matrices, CASE, campaign, workspace.encoder(ENCODER))


def still_picture(campaign: str) -> NDArray[np.uint8]:
    """uint8 (90, 160): boxes in another place in each campaign."""
    random = np.random.default_rng(len(campaign))
    picture = np.full((90, 160), 90, dtype=np.uint8)
    for _ in range(40):
        y, x = int(random.integers(0, 80)), int(random.integers(0, 140))
        picture[y : y + int(random.integers(4, 20)), x : x + int(random.integers(4, 30))] = random.integers(0, 255)
    return picture


def _still(workspace: Workspace, campaign: str) -> None:
    """What the camera showed in the first minutes; each campaign its own."""
    picture = still_picture(campaign)
    place = Place(campaign, CAMERA, START[campaign].date())
    columns: dict[str, Any] = {
        "campaign": campaign,
        "camera": CAMERA,
        "day": place.day,
        "recording_id": [recording_of(campaign, 0)],
        "from_us": [0],
        "to_us": [300_000_000],
        "taken_at": [START[campaign]],
        "height": [90],
        "width": [160],
        "picture": [picture.tobytes()],
    }
    path = f"stills/{place.folder}/still.parquet"
    workspace.store.write_table(path, rows_of("stills", columns))
    now = datetime.now(UTC)
    row = RunRow("run", "embed", campaign, CAMERA, place.day, "frames", "still", "done", now, now, outputs=(path,))
    workspace.ledger.record([row])


def _recordings(seen_at: datetime) -> pa.Table:
    half = ROWS // 2
    rows = [
        {
            "campaign": campaign,
            "camera": CAMERA,
            "day": START[campaign].date(),
            "recording_id": recording_of(campaign, row),
            "path": f"{campaign}/{CAMERA}/{START[campaign] + timedelta(seconds=row):%Y-%m-%dT%H-%M-%S}.mp4",
            "status": "ready",
            "reason": "",
            "started_at": START[campaign] + timedelta(seconds=row),
            "duration_us": half * 1_000_000,
            "frames": half * 10,
            "width": 640,
            "height": 360,
            "codec": "h264",
            "rate_hz": 10.0,
            "variable_rate": False,
            "bytes": 1,
            "mtime_ns": 1,
            "seen_at": seen_at,
        }
        for campaign in (SPRING, AUTUMN)
        for row in (0, half)
    ]
    return rows_of("recordings", {name: [row[name] for row in rows] for name in rows[0]})


def _embed(workspace: Workspace, campaign: str, region: str, noise: float, every: int) -> None:
    spec = workspace.encoder(ENCODER).spec
    random = np.random.default_rng([7, len(campaign), len(region)])
    scene, hatch = np.random.default_rng(1).normal(size=(2, 64))
    drift = np.cumsum(random.normal(scale=0.02, size=(ROWS, 64)), axis=0)
    made = scene + drift + np.outer(truth(campaign), hatch) + random.normal(scale=noise, size=(ROWS, 64))
    half = ROWS // 2
    at_us = [(row % half) * 1_000_000 for row in range(ROWS)]
    place = Place(campaign, CAMERA, START[campaign].date())
    columns: dict[str, Any] = {
        "campaign": campaign,
        "camera": CAMERA,
        "day": place.day,
        "space": spec.space,
        "recording_id": [recording_of(campaign, row) for row in range(ROWS)],
        "region": region,
        "index": [row % half for row in range(ROWS)],
        "from_us": at_us,
        "to_us": [at + 100_000 for at in at_us],
        "taken_at": [START[campaign] + timedelta(seconds=row) for row in range(ROWS)],
        "digest": [f"{row:016x}" for row in range(ROWS)],
        "vector": made.astype(np.float16),
    }
    told = rows_of("embeddings", columns, 64).take(list(range(0, ROWS, every)))
    path = f"embeddings/space={spec.space}/{place.folder}/{region}.parquet"
    workspace.store.write_table(path, told)
    now = datetime.now(UTC)
    scope = f"{spec.space}/{region}"
    workspace.ledger.record(
        [
            RunRow(
                "run",
                "embed",
                campaign,
                CAMERA,
                date.fromisoformat(place.day.isoformat()),
                scope,
                region,
                "done",
                now,
                now,
                outputs=(path,),
            )
        ]
    )
