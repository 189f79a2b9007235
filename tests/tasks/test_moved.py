"""A moved camera: told with the moment and the way it went, until its regions are drawn on a picture of now."""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from lake.catalogue import connect, select
from lake.current import recordings_now
from lake.promotions import in_service
from tasks.plan import Selection
from tests.tasks.conftest import Processed
from tests.tasks.heads import ENCODER, serve
from tests.tasks.nights import EAST, HATCH, MONDAY, NORTH, TUESDAY, run, say_region
from tests.tasks.planned import keys_of, plan, steps_of
from tests.tasks.views import alter, still_paths, stills_of, turn_away
from workspace.opened import Workspace
from workspace.regions import remove_region
from workspace.regions import say_region as draw
from workspace.search import open_matrices

MORNING = datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
LONG_AGO = datetime(2026, 3, 1, tzinfo=UTC)
PIXELS = 16.0
SHARE = PIXELS / 320


def moved(workspace: Workspace) -> list[dict[str, Any]]:
    sql = "SELECT camera, day, started_at, value FROM health WHERE kind = 'moved' ORDER BY camera, started_at"
    return list(select(connect(workspace.store), sql).to_pylist())


def health_keys(workspace: Workspace) -> dict[tuple[str, str], set[str]]:
    return {(camera, day): keys for (camera, day, step, _), keys in keys_of(workspace).items() if step == "health"}


def again(workspace: Workspace) -> Workspace:
    return Workspace(workspace.site.root)


def test_fixed_cameras_are_not_moved_by_who_passes(processed: Processed) -> None:
    assert moved(processed.workspace) == []
    assert not any("moved" in line for line in processed.night.report.attention)


def test_every_recording_has_its_still(processed: Processed) -> None:
    days = [day for day in plan(processed.workspace) if day.place.camera == EAST]
    stills = stills_of(processed.workspace, EAST)
    assert {still.recording_id for still in stills} == {
        shard.recording.recording_id for day in days for shard in day.shards
    }
    assert all(still.picture.shape == (180, 320) and still.picture.std() > 5 for still in stills)
    held = {reference.path for steps in steps_of(processed.workspace, days) for reference in steps.references}
    assert held == {still_paths(processed.workspace, EAST)[0]}


def test_a_moved_camera_is_told_with_the_moment_and_the_way_it_went(copied: Workspace) -> None:
    turn_away(copied, EAST, PIXELS, MORNING)
    night = run(copied)
    rows = moved(copied)
    assert {(row["camera"], row["day"]) for row in rows} == {(EAST, TUESDAY)}
    assert rows[0]["started_at"] == MORNING
    assert [row["value"] for row in rows] == pytest.approx([SHARE] * len(rows), abs=0.004)
    (line,) = [line for line in night.report.attention if "moved" in line]
    assert line.startswith(f"camera {EAST}: moved by ")
    assert "since 08:00" in line
    assert "heads" not in line
    assert float(line.split("moved by ")[1].split(" %")[0]) == pytest.approx(100 * SHARE, abs=0.4)
    assert night.report.status == "complete"
    assert [item for item in run(again(copied)).report.attention if "moved" in item] == [line], "until it is seen to"


def test_a_camera_that_was_moved_on_an_earlier_day_is_told_with_the_day(copied: Workspace) -> None:
    noon = stills_of(copied, EAST)[1].taken_at
    turn_away(copied, EAST, PIXELS, noon)
    (line,) = [line for line in run(copied).report.attention if "moved" in line]
    assert f"since {noon:%Y-%m-%d %H:%M}" in line


def test_a_camera_that_is_back_in_its_place_is_in_the_health_but_wants_no_attention(copied: Workspace) -> None:
    turn_away(copied, EAST, PIXELS, LONG_AGO, stills_of(copied, EAST)[-1].taken_at)
    turn_away(copied, EAST, -PIXELS, LONG_AGO, stills_of(copied, EAST)[1].taken_at)
    night = run(copied)
    assert moved(copied)
    assert not any("moved" in line for line in night.report.attention)


def test_a_view_that_is_not_the_same_counts_as_moved_by_all_of_it(copied: Workspace) -> None:
    turn_away(copied, EAST, 300, MORNING)
    night = run(copied)
    assert {row["value"] for row in moved(copied)} == {1.0}
    assert any("shows another view" in line for line in night.report.attention)


def test_a_black_view_is_not_called_moved(copied: Workspace) -> None:
    alter(copied, EAST, np.zeros_like, MORNING)
    run(copied)
    assert moved(copied) == []


def test_a_region_drawn_on_a_picture_of_now_is_the_end_of_it(copied: Workspace) -> None:
    turn_away(copied, EAST, PIXELS, MORNING)
    run(copied)
    before = health_keys(copied)
    draw(copied.ledger, EAST, "hatch", HATCH, "tests", MORNING + timedelta(seconds=5))
    after = health_keys(again(copied))
    assert {name for name in before if before[name] != after[name]} == {(EAST, TUESDAY.isoformat())}
    night = run(again(copied))
    assert not any("moved" in line for line in night.report.attention)
    assert moved(copied) == []
    assert {(camera, step) for camera, _, step, _ in night.done()} == {(EAST, "health")}, "the outline is the same"


def test_a_region_drawn_before_the_camera_was_moved_changes_nothing(copied: Workspace) -> None:
    turn_away(copied, EAST, PIXELS, MORNING)
    draw(copied.ledger, EAST, "hatch", HATCH, "tests", stills_of(copied, EAST)[1].taken_at)
    run(again(copied))
    assert {row["day"] for row in moved(copied)} == {TUESDAY}


def test_drawing_again_leaves_earlier_days_as_they_were_judged(copied: Workspace) -> None:
    second = stills_of(copied, EAST)[1].taken_at
    draw(copied.ledger, EAST, "hatch", HATCH, "tests", second)
    before = health_keys(again(copied))
    draw(copied.ledger, EAST, "hatch", HATCH, "tests", MORNING)
    after = health_keys(again(copied))
    assert before[EAST, MONDAY.isoformat()] == after[EAST, MONDAY.isoformat()]
    assert before[EAST, TUESDAY.isoformat()] != after[EAST, TUESDAY.isoformat()]
    remove_region(copied.ledger, EAST, "hatch", "tests")
    assert health_keys(again(copied)) == health_keys(say_region(copied, EAST, "other", HATCH))


def test_other_cameras_are_not_touched(copied: Workspace) -> None:
    before = health_keys(copied)
    draw(copied.ledger, EAST, "hatch", HATCH, "tests", MORNING)
    after = health_keys(again(copied))
    assert all(before[name] == after[name] for name in before if name[0] == NORTH)


def test_a_moved_camera_suspends_its_heads(copied: Workspace) -> None:
    turn_away(copied, EAST, PIXELS, MORNING)
    served = serve(copied, EAST, "hatch")
    night = run(served)
    assert in_service(served.ledger, "retrieval") != {}
    days = select(connect(served.store), "SELECT DISTINCT day FROM scores WHERE head = 'busy'")["day"].to_pylist()
    assert days == [MONDAY]
    (line,) = [line for line in night.report.attention if line.startswith(f"camera {EAST}: moved by")]
    assert f"; heads suspended: {EAST}.hatch.busy —" in line
    told = [receipt for receipt in night.receipts if receipt.step == "retrieve" and receipt.place.day == TUESDAY]
    assert all("suspended for" in receipt.message for receipt in told)


def test_a_head_that_looks_the_way_the_camera_does_now_is_not_called_suspended(copied: Workspace) -> None:
    turn_away(copied, EAST, PIXELS, LONG_AGO, MORNING + timedelta(days=1))
    stills = stills_of(copied, EAST)
    turn_away(copied, EAST, -PIXELS, LONG_AGO, stills[1].taken_at)
    now = stills_of(copied, EAST)[-1].picture
    night = run(serve(serve(copied, EAST, reference=now), EAST, name="other", kind="similarity"))
    (line,) = [line for line in night.report.attention if "moved by" in line]
    assert "suspended" not in line
    assert any(f"{EAST}.frame.other suspended: it can rank" in line for line in night.report.attention)


def test_a_matrix_holds_no_two_outlines_of_a_region(copied: Workspace) -> None:
    space = copied.encoder(ENCODER).spec.space

    def days_of(region: str) -> set[date]:
        block = open_matrices(again(copied)).block(space, "demo", EAST, region)
        return set(block.rows["day"].to_pylist())

    assert days_of("hatch") == {MONDAY, TUESDAY}
    changed = say_region(again(copied), EAST, "hatch", [[0.3, 0.4], *HATCH[1:]])
    assert days_of("hatch") == set()
    run(changed, Selection(camera=EAST, day=TUESDAY))
    assert days_of("hatch") == {TUESDAY}
    time.sleep(1)  # a run is named by the second that it began in
    say_region(changed, EAST, "hatch", HATCH)
    assert days_of("hatch") == set()
    assert days_of("frame") == {MONDAY, TUESDAY}
    run(again(copied))
    assert days_of("hatch") == {MONDAY, TUESDAY}, "found again counts again"


def test_footage_that_was_embedded_before_there_were_stills_is_looked_at_once_more(
    copied: Workspace, decoded: list[str]
) -> None:
    for path in still_paths(copied, NORTH):
        copied.store.delete(path)
    night = run(copied)
    assert sorted(decoded) == sorted(row["path"].rsplit("/", 1)[-1] for row in night.rows if row["camera"] == NORTH)
    assert run(again(copied)).done() == set()
    assert len(decoded) == len(set(decoded))


def test_of_footage_that_is_gone_what_was_made_before_there_were_stills_still_counts(copied: Workspace) -> None:
    for path in still_paths(copied, NORTH):
        copied.store.delete(path)
    rows = [
        {**row, "status": "gone" if row["camera"] == NORTH else row["status"]} for row in recordings_now(copied.ledger)
    ]
    days = [day for day in plan(copied, rows) if day.place.camera == NORTH]
    assert len(days) == 2
    assert all(product.exists for day in days for shard in day.shards for product in shard.products)
    assert all(steps.references == () for steps in steps_of(copied, days))
