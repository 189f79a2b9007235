"""A camera whose embeddings are written as a test wants them, without footage."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from footage.regions import WHOLE
from footage.sampling import Shard
from lake.keys import Place
from lake.store import rows_of
from models.layout import Layout
from tasks.plan import FRAMES_SCOPE, DayPlan, Product, Recording, ShardPlan
from tasks.receipts import Receipt
from tasks.score import score_day
from tasks.step_plans import DaySteps
from tasks.steps import plan_camera
from tests.tasks.nights import MONDAY, new_site
from workspace.opened import Workspace

SNIPPET_S = 2.0
HALL = "hall"
NOVELTY = {
    "encoder": "handcrafted/motion",
    "neighbours": 3,
    "minimum_reference": 20,
    "exclusion_s": 4.0,
    "smooth_s": 0.0,
    "minimum_s": 0.0,
    "merge_gap_s": 2.0,
    "floor_mad": 3.0,
    "hysteresis_mad": 1.0,
    "alarms_per_night": 2.0,
}


LAYOUT = Layout(1, 3, (("moving", 1),))
"""Of the vectors of these tests: three cells side by side."""


def small(workspace: Workspace) -> Workspace:
    """The workspace, its encoders making vectors of three values."""
    planned = (replace(item, spec=replace(item.spec, layout=LAYOUT)) for item in workspace.encoders)
    workspace.__dict__["encoders"] = tuple(planned)
    return workspace


class Staged:
    """A site whose embeddings are written as they are wanted, without footage."""

    def __init__(self, folder: Path, novelty: dict[str, Any] | None = None) -> None:
        self.workspace = small(new_site(folder, changes={"novelty": {**NOVELTY, **(novelty or {})}}))
        self.space = self.workspace.encoder("handcrafted/motion").spec.space
        self.days: list[DayPlan] = []

    def add(self, day: date, recordings: Sequence[tuple[float, dict[str, NDArray[np.float32]]]]) -> DayPlan:
        """A day of recordings: seconds after 8 o'clock, and vectors of 2 s each, by region."""
        place = Place("demo", HALL, day)
        shards = []
        for number, (begin_s, vectors) in enumerate(recordings):
            started_at = datetime(day.year, day.month, day.day, 8, tzinfo=UTC) + timedelta(seconds=begin_s)
            told = f"{day.isoformat()}-{number}"
            length_s = SNIPPET_S * max(len(rows) for rows in vectors.values())
            recording = Recording(place, told, f"{told}.mp4", started_at, round(length_s * 1e6), 10)
            products = [self._frames(recording), *(self._vectors(recording, *item) for item in vectors.items())]
            shards.append(ShardPlan(recording, Shard(0, 0, 10), length_s, tuple(products)))
        self.days.append(DayPlan(place, tuple(shards)))
        return self.days[-1]

    def _frames(self, recording: Recording) -> Product:
        paths = tuple(
            f"{table}/{recording.place.folder}/{recording.recording_id}.parquet" for table in ("frames", "coverage")
        )
        columns = {
            **self._place(recording),
            "index": [0, 1],
            "t_us": [0, 1_000_000],
            "taken_at": [recording.started_at, recording.started_at + timedelta(seconds=1)],
            **{name: [50.0, 60.0] for name in ("luminance", "entropy_bits", "sharpness", "motion")},
            "digest": ["", ""],
        }
        self.workspace.store.write_table(paths[0], rows_of("frames", columns))
        return Product(FRAMES_SCOPE, f"f{recording.recording_id}", paths, exists=True)

    def _vectors(self, recording: Recording, region: str, vectors: NDArray[np.float32]) -> Product:
        scope = f"{self.space}/{region}"
        path = f"embeddings/{scope}/{recording.place.folder}/{recording.recording_id}.parquet"
        starts = (np.arange(len(vectors)) * round(SNIPPET_S * 1e6)).tolist()
        columns = {
            **self._place(recording),
            "space": self.space,
            "region": region,
            "index": list(range(len(vectors))),
            "from_us": starts,
            "to_us": [start + round(SNIPPET_S * 1e6) for start in starts],
            "taken_at": [recording.started_at + timedelta(microseconds=start) for start in starts],
            "digest": [f"{number}" for number in range(len(vectors))],
            "vector": vectors.astype(np.float16),
        }
        if len(vectors):
            self.workspace.store.write_table(path, rows_of("embeddings", columns, vectors.shape[1]))
        else:
            self.workspace.store.write_table(path, rows_of("embeddings", columns, 3))
        key = f"{scope}-{recording.recording_id}-{hash(vectors.tobytes())}"
        return Product(scope, key, (path,), True, self.workspace.encoder("handcrafted/motion"), WHOLE)

    def _place(self, recording: Recording) -> dict[str, Any]:
        place = recording.place
        return {
            "campaign": place.campaign,
            "camera": place.camera,
            "day": place.day,
            "recording_id": recording.recording_id,
        }

    def score(self) -> dict[date, tuple[DaySteps, list[Receipt]]]:
        """Plan and score all days in order."""
        found = {}
        for day in self.days:
            for steps in plan_camera(self.workspace, self.days, {item.place for item in self.days}):
                if steps.place == day.place:
                    found[day.place.day] = (steps, score_day(self.workspace, day, steps))
        return found

    def read(self, steps: DaySteps) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Scores and events."""
        scores, events = (self.table(steps, name) for name in ("scores", "events"))
        return scores, sorted(events, key=lambda row: row["rank"])

    def table(self, steps: DaySteps, name: str) -> list[dict[str, Any]]:
        """Rows of one of the tables that scoring writes."""
        (path,) = (path for path in steps.score.outputs if path.startswith(f"{name}/"))
        return list(self.workspace.store.read_table(path).to_pylist())


def usual(count: int, seed: int, dimensions: int = 3) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.normal(0.0, 1.0, (count, dimensions)).astype(np.float32)


def unusual(vectors: NDArray[np.float32], *places: int, by: float = 40.0) -> NDArray[np.float32]:
    """The vectors with some moved far away, each in a direction of its own."""
    moved = vectors.copy()
    for number, place in enumerate(places):
        moved[place] += by * (1 + number)
    return moved


def days(count: int) -> list[date]:
    return [MONDAY + timedelta(days=number) for number in range(count)]
