"""The small workspace after a night that keeps why: standards, reasons, a fitted head, and footage behind it."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from footage.probe import probe
from infra.settings import NoveltyTable
from lake.keys import Place
from lake.ledger import RunRow
from lake.registry import Registry
from lake.schema import TABLES
from lake.store import rows_of
from models.calibration import NormalDistribution
from tests.dashboards.small_site import CAMERA, CAMPAIGN, DAY, NIGHT, RUN, THRESHOLD, Workspace, at, write_video
from workspace.anomalies import event_rule
from workspace.indexes import save_index

MEDIAN, SPREAD = 1.2, 0.2
HEAD = {"head": "novelty", "version": "v1", "region": "frame"}
PLACE = (0.25, 0.25, 0.5, 0.25)


def keep_reasons(workspace: Workspace, camera: str = CAMERA) -> None:
    """Score the camera's day once more, as nights do that keep standards and reasons."""
    place = Place(CAMPAIGN, camera, DAY)
    here: dict[str, Any] = {"campaign": CAMPAIGN, "camera": camera, "day": DAY}
    old = workspace.store.read_table(f"events/{place.folder}/score.parquet")
    peaks = np.asarray(old["peak_score"], dtype=np.float64)
    deviations = pa.array((peaks - MEDIAN) / SPREAD, type=pa.float32())
    events = old.set_column(old.schema.get_field_index("deviations"), "deviations", deviations)
    tables = {
        "events": events.cast(TABLES["events"].schema),
        "standards": rows_of("standards", here | HEAD | _standard()),
        "reasons": rows_of("reasons", here | HEAD | _reasons(camera, events["event_id"].to_pylist())),
    }
    paths = [f"scores/{place.folder}/score.parquet"]
    for name, rows in tables.items():
        paths.append(f"{name}/{place.folder}/again.parquet")
        workspace.store.write_table(paths[-1], rows)
    now = NIGHT + timedelta(hours=1)
    row = RunRow(RUN, "score", CAMPAIGN, camera, DAY, "", "1" * 20, "done", now, now, outputs=tuple(paths))
    workspace.ledger.record([row])
    _fit(workspace, camera)


def give_footage(workspace: Workspace, camera: str = CAMERA) -> None:
    """Two minutes of footage for the camera's first recording."""
    path = workspace.site.footage_root / CAMPAIGN / camera / f"{at(0):%Y-%m-%dT%H-%M-%S}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, 120.0, camera, rate=2)
    save_index(workspace.store, f"{camera}-0", probe(path).index)


def _standard() -> dict[str, Any]:
    return {
        "threshold": [THRESHOLD],
        "source": ["budget"],
        "hysteresis": [SPREAD],
        "median": [MEDIAN],
        "spread": [SPREAD],
        "low": [0.8],
        "high": [1.9],
        "nights": [3],
        "expected_alarms": [0.5],
    }


def _reasons(camera: str, event_ids: list[str]) -> dict[str, Any]:
    parts = [{"name": "speed", "share": 0.7}, {"name": "direction", "share": 0.3}]
    nearest = [
        {
            "recording_id": f"{camera}-0",
            "from_us": second * 1_000_000,
            "to_us": (second + 2) * 1_000_000,
            "taken_at": at(second),
            "distance": 2.5 + second / 100,
        }
        for second in (20, 50)
    ]
    # The last event has no place: its vector knows none.
    known = np.arange(len(event_ids)) < len(event_ids) - 1
    corners = zip(("x", "y", "width", "height"), PLACE, strict=True)
    return {
        "event_id": event_ids,
        "parts": [parts] * len(event_ids),
        **{name: [value if there else None for there in known] for name, value in corners},
        "nearest": [nearest] * len(event_ids),
    }


def _fit(workspace: Workspace, camera: str) -> None:
    scores = np.random.default_rng(3).normal(MEDIAN, SPREAD, 400)
    arrays = {
        f"normal.distribution.{name}": value for name, value in NormalDistribution.fit(scores).to_arrays().items()
    }
    rule = asdict(event_rule(NoveltyTable(), THRESHOLD, SPREAD))
    registry = Registry(workspace.site.models_folder)
    registry.save("novelty", camera, "v1", {"usable": True, "rule": rule}, arrays, author="ada")
