"""A camera's day held against its past: references, budgets, events, and days with little or nothing in them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from footage.regions import WHOLE
from footage.sampling import Shard
from lake.keys import Place
from lake.store import rows_of
from tasks.plan import FRAMES_SCOPE, DayPlan, DaySteps, Product, Recording, ShardPlan
from tasks.receipts import Receipt
from tasks.score import score_day
from tasks.steps import plan_camera
from tests.tasks.conftest import Processed
from tests.tasks.nights import EAST, HATCH, MONDAY, TUESDAY, configure, new_site, say_region, tree
from tests.tasks.planned import plan, steps_of
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


class Staged:
    """A site whose embeddings are written as they are wanted, without footage."""

    def __init__(self, folder: Path, novelty: dict[str, Any] | None = None) -> None:
        self.workspace: Workspace = new_site(folder, changes={"novelty": {**NOVELTY, **(novelty or {})}})
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
        scores, events = (self.workspace.store.read_table(path) for path in steps.score.outputs)
        return scores.to_pylist(), events.sort_by("rank").to_pylist()


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


def test_what_is_unlike_the_past_becomes_an_event_in_its_place(tmp_path: Path) -> None:
    staged = Staged(tmp_path / "site")
    staged.add(MONDAY, [(0.0, {"frame": usual(60, 1)})])
    staged.add(TUESDAY, [(0.0, {"frame": usual(30, 2)}), (100.0, {"frame": unusual(usual(30, 3), 20)})])
    steps, receipts = staged.score()[TUESDAY]
    assert [(item.step, item.status, item.message) for item in receipts] == [
        ("health", "done", ""),
        ("fit", "done", ""),
        ("score", "done", ""),
    ]
    scores, events = staged.read(steps)
    assert len(scores) == 60
    top = events[0]
    begin = datetime(2026, 3, 3, 8, tzinfo=UTC) + timedelta(seconds=100 + 20 * SNIPPET_S)
    assert top["alarm"]
    assert (top["rank"], top["version"], top["recording_id"]) == (1, steps.fits[0].key, "2026-03-03-1")
    assert top["started_at"] <= begin < top["ended_at"]
    assert top["peak_us"] == round((20 + 0.5) * SNIPPET_S * 1e6)
    assert top["peak_score"] > top["threshold"]
    best = max(scores, key=lambda row: row["score"])
    assert (best["taken_at"], best["flagged"]) == (begin, True)
    assert best["probability"] > 0.9


def test_what_raised_an_alarm_before_is_no_reference(tmp_path: Path) -> None:
    strange = unusual(usual(60, 1), 30, 31)
    staged = Staged(tmp_path / "site")
    first, second, third = days(3)
    staged.add(first, [(0.0, {"frame": usual(60, 5)})])
    staged.add(second, [(0.0, {"frame": strange})])
    staged.add(third, [(0.0, {"frame": unusual(usual(60, 7), 10)})])
    told = staged.score()
    _, events = staged.read(told[second][0])
    assert events[0]["alarm"]
    steps, _ = told[third]
    _, events = staged.read(steps)
    assert events, "had the alarm been a reference, the same again would look usual"
    assert events[0]["peak_us"] == round(10.5 * SNIPPET_S * 1e6)
    card, arrays = staged.workspace.registry.load("novelty", HALL, steps.fits[0].key)
    assert card["reference"]["nights"] == 2
    flagged = sum(row["flagged"] for row in staged.read(told[second][0])[0])
    left_out = 120 - card["reference"]["snippets"]
    assert 0 < left_out <= flagged + sum(row["flagged"] for row in staged.read(told[first][0])[0])
    assert arrays


@pytest.mark.parametrize("count", [0, 5, 19])
def test_with_too_little_past_a_day_is_compared_with_itself_and_says_so(tmp_path: Path, count: int) -> None:
    staged = Staged(tmp_path / "site")
    if count:
        staged.add(MONDAY, [(0.0, {"frame": usual(count, 1)})])
    staged.add(TUESDAY, [(0.0, {"frame": unusual(usual(60, 2), 40)})])
    steps, receipts = staged.score()[TUESDAY]
    assert {receipt.status for receipt in receipts} == {"done"}
    assert "compared with itself" in receipts[-1].message
    scores, events = staged.read(steps)
    assert {row["version"] for row in scores} == {"self"}
    assert events[0]["peak_us"] == round(40.5 * SNIPPET_S * 1e6)
    if count:
        card, arrays = staged.workspace.registry.load("novelty", HALL, steps.fits[0].key)
        assert not card["usable"]
        assert "too few" in card["remark"]
        assert arrays == {}


def test_a_past_that_cannot_serve_is_no_failure(tmp_path: Path) -> None:
    staged = Staged(tmp_path / "site", {"minimum_reference": 2})
    staged.add(MONDAY, [(0.0, {"frame": usual(2, 1)})])
    staged.add(TUESDAY, [(0.0, {"frame": usual(40, 2)})])
    _, receipts = staged.score()[TUESDAY]
    assert {receipt.status for receipt in receipts} == {"done"}
    assert "compared with itself" in next(receipt.message for receipt in receipts if receipt.step == "fit")


def test_repeated_footage_counts_once_in_the_reference(tmp_path: Path) -> None:
    staged = Staged(tmp_path / "site")
    still = np.repeat(usual(1, 1), 100, axis=0)
    staged.add(MONDAY, [(0.0, {"frame": np.concatenate([still, usual(10, 2)])})])
    staged.add(TUESDAY, [(0.0, {"frame": usual(30, 3)})])
    _, receipts = staged.score()[TUESDAY]
    message = next(receipt.message for receipt in receipts if receipt.step == "fit")
    # What moved on Monday raised an alarm; of a hundred times the same, one is left.
    assert message.startswith("1 different earlier snippets are too few")


@pytest.mark.parametrize("budget", [1.0, 2.0, 3.5])
def test_a_night_raises_at_most_its_budget_of_alarms(tmp_path: Path, budget: float) -> None:
    staged = Staged(tmp_path / "site", {"alarms_per_night": budget})
    staged.add(MONDAY, [(0.0, {"frame": usual(80, 1)})])
    staged.add(TUESDAY, [(0.0, {"frame": unusual(usual(80, 2), *range(5, 80, 10))})])
    steps, _ = staged.score()[TUESDAY]
    _, events = staged.read(steps)
    assert len(events) > math.ceil(budget)
    assert sum(row["alarm"] for row in events) == math.ceil(budget)
    assert [row["rank"] for row in events] == list(range(1, len(events) + 1))
    assert [row["alarm"] for row in events] == sorted((row["alarm"] for row in events), reverse=True)


def test_regions_share_one_ranking_and_one_budget(tmp_path: Path) -> None:
    staged = Staged(tmp_path / "site", {"alarms_per_night": 2.0, "scaling": "none"})
    loud = usual(80, 3) * 100
    staged.add(MONDAY, [(0.0, {"frame": usual(80, 1)})])
    staged.add(TUESDAY, [(0.0, {"frame": unusual(usual(80, 2), 10, by=60)})])
    # The same again on a scale a hundred times larger, as another region's space may be.
    for day, vectors in zip(staged.days, (loud, unusual(usual(80, 4) * 100, 60, by=1000)), strict=True):
        shard = day.shards[0]
        extra = staged._vectors(shard.recording, "hatch", vectors)
        position = staged.days.index(day)
        staged.days[position] = DayPlan(day.place, (replace(shard, products=(*shard.products, extra)),))
    staged.workspace = say_region(staged.workspace, HALL, "hatch", HATCH)
    steps, receipts = staged.score()[TUESDAY]
    assert {receipt.scope for receipt in receipts if receipt.step == "fit"} == {"frame", "hatch"}
    _, events = staged.read(steps)
    assert {row["region"] for row in events[:2]} == {"frame", "hatch"}
    assert events[0]["region"] == "frame", "ranked by how far it stands out of its own region, not by the raw score"
    assert events[0]["peak_score"] < events[1]["peak_score"]
    assert sum(row["alarm"] for row in events) <= 2


def test_events_lie_inside_the_day_and_never_reach_across_a_gap(tmp_path: Path) -> None:
    staged = Staged(tmp_path / "site", {"merge_gap_s": 4.0, "smooth_s": 4.0})
    staged.add(MONDAY, [(0.0, {"frame": usual(80, 1)})])
    ends, begins = unusual(usual(30, 2), 29), unusual(usual(30, 3), 0)
    staged.add(TUESDAY, [(0.0, {"frame": ends}), (3600.0, {"frame": begins})])
    steps, _ = staged.score()[TUESDAY]
    scores, events = staged.read(steps)
    first = min(row["taken_at"] for row in scores)
    last = max(row["taken_at"] for row in scores) + timedelta(seconds=SNIPPET_S)
    assert len(events) >= 2
    gap = first + timedelta(seconds=60), first + timedelta(seconds=3600)
    for row in events:
        assert first <= row["started_at"] <= row["peak_at"] < row["ended_at"] <= last
        assert row["ended_at"] <= gap[0] or row["started_at"] >= gap[1]


def test_a_day_with_next_to_nothing_says_so_and_has_no_events(tmp_path: Path) -> None:
    staged = Staged(tmp_path / "site")
    staged.add(MONDAY, [(0.0, {"frame": usual(7, 1)})])
    steps, receipts = staged.score()[MONDAY]
    assert receipts[-1].status == "done"
    assert "too little footage" in receipts[-1].message
    assert staged.read(steps) == ([], [])


def test_a_day_without_a_snippet_is_scored_as_empty(tmp_path: Path) -> None:
    staged = Staged(tmp_path / "site")
    staged.add(MONDAY, [(0.0, {"frame": usual(60, 1)})])
    staged.add(TUESDAY, [(0.0, {"frame": usual(0, 1)})])
    steps, receipts = staged.score()[TUESDAY]
    assert {receipt.status for receipt in receipts} == {"done"}
    assert staged.read(steps) == ([], [])


def test_a_still_camera_raises_nothing(tmp_path: Path) -> None:
    staged = Staged(tmp_path / "site")
    for day in (MONDAY, TUESDAY):
        staged.add(day, [(0.0, {"frame": np.ones((60, 3), np.float32)})])
    for steps, receipts in staged.score().values():
        assert {receipt.status for receipt in receipts} == {"done"}
        scores, events = staged.read(steps)
        assert events == []
        assert np.isfinite([row["score"] for row in scores]).all()


def test_one_failed_day_is_told_and_does_not_stop_the_task(tmp_path: Path) -> None:
    staged = Staged(tmp_path / "site")
    staged.add(MONDAY, [(0.0, {"frame": usual(60, 1)})])
    day = staged.add(TUESDAY, [(0.0, {"frame": usual(60, 2)})])
    staged.workspace.store.delete(day.products(f"{staged.space}/frame")[0].paths[0])
    steps, receipts = staged.score()[TUESDAY]
    failed = [receipt for receipt in receipts if receipt.status == "failed"]
    assert [receipt.step for receipt in failed] == ["score"]
    assert failed[0].outputs == ()
    assert failed[0].message
    assert not any(staged.workspace.store.exists(path) for path in steps.score.outputs)


def test_two_runs_give_the_same_bytes(copied: Workspace) -> None:
    before = tree(Path(copied.store.location))
    models = tree(copied.site.models_folder)
    deleted = [name for name in before if name.split("/")[0] in ("scores", "events", "health")]
    assert len(deleted) == 12
    for name in deleted:
        copied.store.delete(name)
    for name in models:
        (copied.site.models_folder / name).unlink()
    found = {day.place: day for day in plan(copied)}
    for steps in steps_of(copied, list(found.values())):
        receipts = score_day(copied, found[steps.place], steps)
        assert {receipt.status for receipt in receipts} == {"done"}
        again = score_day(
            copied,
            found[steps.place],
            next(item for item in steps_of(copied, list(found.values())) if item.place == steps.place),
        )
        assert {receipt.status for receipt in again} == {"skipped"}
    assert tree(Path(copied.store.location)) == before
    assert tree(copied.site.models_folder) == models


def test_scores_cover_the_snippets_of_every_judged_region(processed: Processed) -> None:
    workspace = processed.workspace
    days_of = {day.place: day for day in plan(workspace)}
    for steps in steps_of(workspace, list(days_of.values())):
        scores = workspace.store.read_table(steps.score.outputs[0])
        for region in steps.regions:
            embedded = pa.concat_tables([workspace.store.read_table(path) for path in region.snippets])
            mine = scores.filter(pa.compute.equal(scores["region"], region.region))
            key = ("recording_id", "index", "from_us", "to_us")
            expected, found = ({tuple(row[k] for k in key) for row in t.to_pylist()} for t in (embedded, mine))
            assert found == expected
            assert mine.num_rows == embedded.num_rows
        assert {region.region for region in steps.regions} == (
            {"frame", "hatch"} if steps.place.camera == EAST else {"frame"}
        )


def test_only_the_regions_that_are_asked_for_are_judged(copied: Workspace) -> None:
    changed = configure(copied.site.root, {"novelty": {"regions": ["hatch"]}})
    judged = {
        steps.place.camera: {region.region for region in steps.regions} for steps in steps_of(changed, plan(changed))
    }
    assert judged["hall-east"] == {"hatch"}
    assert judged["hall-north"] == set()
    found = {day.place: day for day in plan(changed)}
    for steps in steps_of(changed, list(found.values())):
        receipts = score_day(changed, found[steps.place], steps)
        assert {receipt.status for receipt in receipts} <= {"done", "skipped"}
