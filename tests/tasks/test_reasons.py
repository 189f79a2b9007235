"""The reasons that events come with."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tasks.plan import DayPlan
from tasks.step_plans import DaySteps
from tests.tasks.nights import HATCH, MONDAY, TUESDAY, say_region
from tests.tasks.staged import HALL, SNIPPET_S, Staged, days, small, unusual, usual

SNIPPET = round(SNIPPET_S * 1_000_000)


def test_an_event_names_its_parts_its_place_and_normal_snippets_apart_in_time(tmp_path: Path) -> None:
    site = Staged(tmp_path / "site", {"exclusion_s": 6.0})
    past = usual(60, 1)
    past[30:36] = [5, 0, 0]  # one moment, six snippets long
    site.add(MONDAY, [(0.0, {"frame": past[:40]}), (200.0, {"frame": past[40:]})])
    strange = usual(40, 2)
    strange[20] = [30, 0, 0]
    site.add(TUESDAY, [(0.0, {"frame": strange})])
    steps, _ = site.score()[TUESDAY]
    _, events = site.read(steps)
    reasons = {row["event_id"]: row for row in site.table(steps, "reasons")}
    assert set(reasons) == {row["event_id"] for row in events}
    assert events[0]["peak_us"] == round(20.5 * SNIPPET)
    top = reasons[events[0]["event_id"]]
    assert (top["head"], top["version"], top["region"]) == ("novelty", steps.fits[0].key, "frame")
    (part,) = top["parts"]
    assert part["name"] == "moving" and part["share"] == pytest.approx(1.0)
    assert (top["x"], top["y"], top["width"], top["height"]) == pytest.approx((0.0, 0.0, 1 / 3, 1.0))
    nearest = top["nearest"]
    assert len(nearest) == 3
    distances = [row["distance"] for row in nearest]
    assert distances == sorted(distances)
    times = sorted((row["taken_at"], row["taken_at"] + timedelta(seconds=SNIPPET_S)) for row in nearest)
    assert all(begin - end >= timedelta(seconds=6) for (_, end), (begin, _) in pairwise(times))
    first = nearest[0]
    assert first["recording_id"] == f"{MONDAY.isoformat()}-0"
    assert 30 * SNIPPET <= first["from_us"] < 36 * SNIPPET
    assert first["to_us"] == first["from_us"] + SNIPPET
    begin = datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert first["taken_at"] == begin + timedelta(microseconds=first["from_us"])


def test_of_a_day_compared_with_itself_the_nearest_are_of_that_day_and_not_of_the_event(tmp_path: Path) -> None:
    site = Staged(tmp_path / "site")
    site.add(MONDAY, [(0.0, {"frame": unusual(usual(60, 2), 40, 41)})])
    steps, _ = site.score()[MONDAY]
    _, events = site.read(steps)
    reasons = {row["event_id"]: row for row in site.table(steps, "reasons")}
    assert events
    for event in events:
        nearest = reasons[event["event_id"]]["nearest"]
        assert 0 < len(nearest) <= 3
        for row in nearest:
            assert row["recording_id"] == f"{MONDAY.isoformat()}-0"
            ends = row["taken_at"] + timedelta(seconds=SNIPPET_S)
            assert ends <= event["started_at"] or row["taken_at"] >= event["ended_at"]


def test_a_place_in_a_region_is_told_in_fractions_of_the_picture(tmp_path: Path) -> None:
    site = Staged(tmp_path / "site")
    strange = usual(60, 3)
    strange[30] = [0, 0, 40]
    for day, vectors in ((MONDAY, usual(80, 1)), (TUESDAY, strange)):
        planned = site.add(day, [(0.0, {"frame": usual(60, 9)})])
        shard = planned.shards[0]
        extra = site._vectors(shard.recording, "hatch", vectors)
        site.days[-1] = DayPlan(planned.place, (replace(shard, products=(*shard.products, extra)),))
    site.workspace = small(say_region(site.workspace, HALL, "hatch", HATCH))
    steps, _ = site.score()[TUESDAY]
    (top,) = (row for row in site.read(steps)[1] if row["region"] == "hatch" and row["rank"] == 1)
    reason = next(row for row in site.table(steps, "reasons") if row["event_id"] == top["event_id"])
    third = (0.72 - 0.35) / 3
    assert (reason["x"], reason["y"]) == pytest.approx((0.35 + 2 * third, 0.4))
    assert (reason["width"], reason["height"]) == pytest.approx((third, 0.5))


def test_what_is_told_of_a_head_names_its_reference(tmp_path: Path) -> None:
    site = Staged(tmp_path / "site")
    site.add(MONDAY, [(0.0, {"frame": usual(80, 1)})])
    site.add(TUESDAY, [(0.0, {"frame": usual(80, 2)})])
    site.add(days(3)[2], [(0.0, {"frame": usual(80, 3)})])
    steps: DaySteps = site.score()[days(3)[2]][0]
    card, arrays = site.workspace.registry.load("novelty", HALL, steps.fits[0].key)
    rows = card["reference"]["snippets"]
    assert [item["recording_id"] for item in card["recordings"]] == [
        f"{day.isoformat()}-0" for day in (MONDAY, TUESDAY)
    ]
    for name in ("recording", "from_us", "to_us"):
        assert arrays[f"reference.{name}"].shape == (rows,)
    assert set(np.unique(arrays["reference.recording"]).tolist()) == {0, 1}
