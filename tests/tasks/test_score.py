"""A camera's day held against its past: references, budgets, events, and days with little or nothing in them."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lake.registry import MAKING
from tasks.plan import DayPlan
from tasks.score import score_day
from tests.tasks.conftest import Processed
from tests.tasks.nights import EAST, HATCH, MONDAY, TUESDAY, configure, say_region, tree
from tests.tasks.planned import plan, steps_of
from tests.tasks.staged import HALL, SNIPPET_S, Staged, days, small, unusual, usual
from tests.workspace.told_cards import says_everything
from workspace.opened import Workspace

SCORED = ("scores", "events", "reasons", "standards", "unusual", "health")


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
    says_everything("novelty", card, "night")
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
    staged.workspace = small(say_region(staged.workspace, HALL, "hatch", HATCH))
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
    models, cards = tree(copied.site.models_folder), cards_of(copied)
    deleted = [name for name in before if name.split("/")[0] in SCORED]
    assert len(deleted) == 6 * 4
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
    anew = tree(copied.site.models_folder)
    assert set(anew) == set(models)
    assert all(anew[name] == models[name] for name in models if not name.endswith("card.json"))
    assert cards_of(copied) == cards


def cards_of(workspace: Workspace) -> list[dict[str, object]]:
    """The cards of all models but for who made them, when and by what code."""
    cards = [workspace.registry.card(*found) for found in workspace.registry.versions()]
    return [{name: value for name, value in card.items() if name not in MAKING} for card in cards]


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
