"""The small workspace after a night that measures segments: they lie in the lake, and what is published was chosen of them."""

import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from infra.settings import WeightsOfScores
from lake.keys import Place
from lake.ledger import RunRow
from lake.schema import LOOK_VALUES, TABLES
from lake.weight_sets import COLUMNS
from models.summary.scores import Weights
from tests.dashboards.small_site import (
    CAMERA,
    CAMPAIGN,
    DAY,
    GAP_S,
    NIGHT,
    OTHER,
    PEAKS_S,
    RECORDED_S,
    RUN,
    START,
    Workspace,
    at,
    open_site,
    write_picture,
    write_video,
)
from workspace.opened import Workspace as Opened
from workspace.summaries import MeasuredDay, RankedDay, rank_day, read_measured

SEGMENT_S, BUDGET_S = 4, 24.0
PLACES = {camera: Place(CAMPAIGN, camera, DAY) for camera in (CAMERA, OTHER)}
DARK = 7
"""Number of the segment of each first recording whose pictures are all black."""
SETTINGS, BY_MOTION = Weights(**WeightsOfScores().model_dump()), Weights(0.0, 0.0, 0.0, 1.0)


@pytest.fixture(scope="session")
def measured_night(finished_night: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose segments are measured and published, to copy from."""
    root = tmp_path_factory.mktemp("summaries") / "site"
    shutil.copytree(finished_night, root)
    summarise_site(open_site(root))
    return root


@pytest.fixture
def measured(measured_night: Path, tmp_path: Path) -> Workspace:
    """A workspace whose segments are measured and published, to do with as one likes."""
    shutil.copytree(measured_night, tmp_path / "measured")
    return open_site(tmp_path / "measured")


def summarise_site(workspace: Workspace) -> None:
    """Measure both cameras' days, and publish their summaries and the digest anew."""
    settings = workspace.root / "afterwatch.toml"
    told = settings.read_text(encoding="utf-8")
    settings.write_text(f"{told}\n[summary]\nbudget_s = {BUDGET_S}\ndigest_s = {BUDGET_S}\n", encoding="utf-8")
    entries = []
    for camera, place in PLACES.items():
        measure(workspace, camera)
        entries += publish_summary(workspace, place)
    publish_digest(workspace, entries)


def measure(workspace: Workspace, camera: str, day: date = DAY) -> None:
    """Segments of a camera's day: lively halfway, unusual where an event is, with a look of its own each."""
    place = Place(CAMPAIGN, camera, day)
    path = f"segments/{place.folder}/measured.parquet"
    workspace.store.write_table(path, _segments(camera, day))
    row = RunRow(RUN, "segment", CAMPAIGN, camera, day, "", "s" * 20, "done", NIGHT, NIGHT, outputs=(path,))
    workspace.ledger.record([row])


def _segments(camera: str, day: date) -> pa.Table:
    numbers = np.concatenate([np.arange(RECORDED_S // SEGMENT_S), np.arange(480 // SEGMENT_S)])
    second = np.repeat([0, 1], [RECORDED_S // SEGMENT_S, 480 // SEGMENT_S])
    from_s = numbers * SEGMENT_S
    moment_s = from_s + second * (RECORDED_S + GAP_S)
    rows = len(numbers)
    random = np.random.default_rng(len(camera))
    unusual = np.zeros(rows)
    for number, peak in enumerate(PEAKS_S[camera]):
        unusual += (0.9 - 0.1 * number) * np.exp(-(((moment_s + 2 - peak) / 6) ** 2))
    dynamics = 0.2 + 0.6 * np.exp(-(((moment_s - 500) / 60) ** 2)) + 0.05 * random.random(rows)
    columns = {
        "anomaly": 0.1 + 0.8 * unusual,
        "memorability": 0.3 + 0.1 * random.random(rows),
        "entropy": np.full(rows, 0.5),
        "dynamics": dynamics,
    }
    shift = timedelta(days=(day - DAY).days)
    dark = (numbers == DARK) & (second == 0)
    columns["entropy"][dark] = 0.0
    told: dict[str, Any] = {
        "campaign": [CAMPAIGN] * rows,
        "camera": [camera] * rows,
        "day": [day] * rows,
        "recording_id": [f"{camera}-{part}" for part in second],
        "segment": numbers,
        "from_us": from_s * 1_000_000,
        "to_us": (from_s + SEGMENT_S) * 1_000_000,
        "taken_at": [at(float(moment)) + shift for moment in moment_s],
        "begins_at": ["recording" if number == 0 else "length" for number in numbers],
        "surprise": 4 * unusual,
        "distinctiveness": columns["memorability"],
        "entropy_bits": 8 * columns["entropy"],
        "motion": 20 * dynamics,
        **columns,
        "probability": 1 - 10 ** (-4 * unusual),
        "keyframe_us": [
            None if black else (second + 1) * 1_000_000 for second, black in zip(from_s, dark, strict=True)
        ],
        "look": list(random.standard_normal((rows, LOOK_VALUES)).astype(np.float16)),
    }
    schema = TABLES["segments"].schema
    return pa.table({name: pa.array(told[name]).cast(schema.field(name).type) for name in schema.names}, schema=schema)


def chosen_by(workspace: Workspace, place: Place, weights: Weights = SETTINGS) -> tuple[MeasuredDay, RankedDay]:
    """What a summary of a measured day shows by some weights."""
    work = Opened(workspace.root)
    day = read_measured(work, place)
    summary = work.settings.summary
    return day, rank_day(day, weights, summary.budget_s, summary.similarity_limit)


def publish_summary(workspace: Workspace, place: Place, weights: Weights = SETTINGS) -> list[dict[str, Any]]:
    """Publish a measured day; returns the entries of its summary."""
    day, ranked = chosen_by(workspace, place, weights)
    folder = workspace.day_folder(place.camera)
    entries = []
    for number, choice in enumerate(ranked.selection.choices):
        recording_id, from_us, to_us = day.span(choice.index)
        keyframe = f"keyframes/segment-{number}.jpg"
        write_picture(folder / keyframe, f"{place.camera} {number}", number)
        began = START + timedelta(seconds=(day.segments.from_us[choice.index] / 1e6) - START.timestamp())
        entries.append(
            {
                "at_s": number * float(SEGMENT_S),
                "for_s": float(SEGMENT_S),
                "recording": f"{CAMPAIGN}/{place.camera}/{recording_id}.mp4",
                "recording_id": recording_id,
                "segment": int(day.segments.index[choice.index]),
                "begins_at": "length",
                "from_us": from_us,
                "to_us": to_us,
                "keyframe_us": from_us + 1_000_000,
                "taken_at": began.isoformat(),
                "score": round(float(ranked.scores[choice.index]), 6),
                **{name: round(float(getattr(day.columns, name)[choice.index]), 6) for name in COLUMNS},
                "surprise": 2.5,
                "distinctiveness": 0.25,
                "entropy_bits": 4.0,
                "motion": 7.5,
                "probability": round(float(day.probability[choice.index]), 6),
                "reason": choice.reason,
                "event_id": choice.event_id,
                "keyframe": keyframe,
            }
        )
    write_video(folder / "summary.mp4", len(entries) * SEGMENT_S, place.camera)
    write_picture(folder / "segments.jpg", "figure", 5, size=(360, 640))
    told = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    told |= {
        "duration_s": len(entries) * float(SEGMENT_S),
        "entries": entries,
        "figure": "segments.jpg",
        "weights": {"label": "settings", "values": {name: getattr(weights, name) for name in COLUMNS}},
        "omitted": [],
    }
    (folder / "summary.json").write_text(json.dumps(told), encoding="utf-8")
    return [{**entry, "camera": place.camera} for entry in entries]


def publish_digest(workspace: Workspace, entries: list[dict[str, Any]]) -> Path:
    """The digest of the day: the first of what is given, by time."""
    folder = workspace.site.digests_folder / CAMPAIGN / DAY.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    shown = sorted(entries, key=lambda entry: (entry["taken_at"], entry["camera"]))[:5]
    write_video(folder / "summary.mp4", len(shown) * SEGMENT_S, "digest")
    told = {
        "key": "d",
        "campaign": CAMPAIGN,
        "day": DAY.isoformat(),
        "partial": False,
        "video": "summary.mp4",
        "contact": "",
        "duration_s": len(shown) * float(SEGMENT_S),
        "entries": [
            {**entry, "summary": "h", "summary_at_s": entry["at_s"], "at_s": number * float(SEGMENT_S)}
            for number, entry in enumerate(shown)
        ],
        "omitted": [{"camera": OTHER, "name": "novelty 1", "event_id": f"{OTHER}-event-0"}],
        "left_out": [],
    }
    (folder / "summary.json").write_text(json.dumps(told), encoding="utf-8")
    return folder
