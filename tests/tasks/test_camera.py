"""A night seen from one camera: groups of shards, the order of cameras, receipts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footage.sampling import Shard
from lake.keys import Place
from tasks.camera import LEAST_GROUP_S, MOST_TASKS, best_first, embed_receipts, group_shards, step_receipts
from tasks.plan import FRAMES_SCOPE, DayPlan, Product, Recording, ShardPlan
from tasks.receipts import Receipt, ShardOutcome
from tests.tasks.conftest import Processed
from tests.tasks.nights import MONDAY
from tests.tasks.planned import plan, steps_of

START = datetime(2026, 3, 2, tzinfo=UTC)


def shard(number: int, seconds: float, *, made: bool = False, camera: str = "hall", day: int = 0) -> ShardPlan:
    place = Place("demo", camera, MONDAY + timedelta(days=day))
    recording = Recording(place, f"{number}", f"{camera}-{day}-{number}.mp4", START, round(seconds * 1e6), 10)
    products = tuple(
        Product(scope, f"{scope}{number}", (f"{scope}/{number}",), made) for scope in (FRAMES_SCOPE, "a/frame")
    )
    return ShardPlan(recording, Shard(0, 0, 10), seconds, products)


def day_of(*shards: ShardPlan) -> DayPlan:
    return DayPlan(shards[0].recording.place, shards)


def made(day: DayPlan, *numbers: int, scopes: tuple[str, ...] = (FRAMES_SCOPE, "a/frame")) -> DayPlan:
    """The day after these shards' products of these scopes were made."""
    shards = []
    for number, item in enumerate(day.shards):
        products = tuple(
            Product(p.scope, p.key, p.paths, p.exists or (number in numbers and p.scope in scopes))
            for p in item.products
        )
        shards.append(ShardPlan(item.recording, item.shard, item.seconds, products))
    return DayPlan(day.place, tuple(shards))


@given(
    st.lists(st.lists(st.tuples(st.floats(0.1, 2000), st.booleans()), min_size=1, max_size=6), max_size=4),
    st.floats(0, 1e6),
)
def test_groups_hold_every_shard_to_do_once_and_never_two_days(
    told: list[list[tuple[float, bool]]], total_s: float
) -> None:
    days = [
        day_of(*(shard(number, seconds, made=there, day=day) for number, (seconds, there) in enumerate(shards)))
        for day, shards in enumerate(told)
    ]
    groups = group_shards(days, total_s)
    grouped = [item for group in groups for item in group.shards]
    assert grouped == [item for day in days for item in day.shards if item.todo]
    most_s = max(LEAST_GROUP_S, total_s / MOST_TASKS)
    for group in groups:
        assert {str(item.recording.place) for item in group.shards} == {group.label}
        assert len(group.shards) == 1 or group.seconds <= most_s


def test_a_night_of_any_length_is_kept_to_some_hundred_tasks() -> None:
    cameras = [[day_of(*(shard(n, 3600.0, camera=f"{c}") for n in range(24)))] for c in range(100)]
    total_s = 100 * 24 * 3600.0
    assert sum(len(group_shards(days, total_s)) for days in cameras) <= 1.5 * MOST_TASKS


def test_cameras_with_least_to_do_come_first_and_their_days_in_order() -> None:
    long = [day_of(shard(0, 500.0, camera="a", day=1)), day_of(shard(0, 500.0, camera="a"))]
    short = [day_of(shard(0, 100.0, camera="b")), day_of(shard(0, 9000.0, made=True, camera="b", day=1))]
    found = best_first([*long, *short])
    assert [(mine[0].place.camera, [day.place.day for day in mine]) for mine in found] == [
        ("b", [MONDAY, MONDAY + timedelta(days=1)]),
        ("a", [MONDAY, MONDAY + timedelta(days=1)]),
    ]
    assert best_first([]) == []


def outcomes(day: DayPlan, *statuses: str) -> list[ShardOutcome]:
    return [
        ShardOutcome(item.recording.path, 0, status, 5, 1.0, item.seconds if status == "done" else 0.0, f"was {status}")
        for item, status in zip(day.shards, statuses, strict=True)
    ]


def told(receipts: list[Receipt]) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {receipt.scope: (receipt.status, receipt.outputs) for receipt in receipts}


def test_a_day_that_was_embedded_is_done_and_its_work_is_told_once() -> None:
    day = day_of(shard(0, 10.0), shard(1, 20.0))
    receipts = embed_receipts(day, made(day, 0, 1), outcomes(day, "done", "done"))
    assert told(receipts) == {
        FRAMES_SCOPE: ("done", ("frames/0", "frames/1")),
        "a/frame": ("done", ("a/frame/0", "a/frame/1")),
    }
    assert sum(receipt.decoded_s for receipt in receipts) == 30.0
    assert sum(receipt.rows for receipt in receipts) == 10
    assert [receipt.inputs for receipt in receipts] == [("frames0", "frames1"), ("a/frame0", "a/frame1")]


def test_a_day_that_was_there_is_skipped() -> None:
    day = day_of(shard(0, 10.0, made=True))
    assert {status for status, _ in told(embed_receipts(day, day, ())).values()} == {"skipped"}


@pytest.mark.parametrize(
    ("statuses", "there", "status", "outputs"),
    [
        (("done", "late"), (0,), "partial", ("frames/0",)),
        (("done", "failed"), (0,), "partial", ("frames/0",)),
        (("late", "late"), (), "partial", ()),
        (("failed", "failed"), (), "failed", ()),
    ],
)
def test_what_is_there_of_an_unfinished_day_counts(
    statuses: tuple[str, ...], there: tuple[int, ...], status: str, outputs: tuple[str, ...]
) -> None:
    day = day_of(shard(0, 10.0), shard(1, 20.0))
    receipts = embed_receipts(day, made(day, *there), outcomes(day, *statuses))
    assert told(receipts)[FRAMES_SCOPE] == (status, outputs)
    failed = "failed" in statuses
    assert all(("was failed" in receipt.message) == failed for receipt in receipts)


def test_other_days_outcomes_are_not_this_days() -> None:
    day, other = day_of(shard(0, 10.0)), day_of(shard(0, 10.0, day=1))
    receipts = embed_receipts(day, made(day, 0), [*outcomes(day, "done"), *outcomes(other, "failed")])
    assert {receipt.message for receipt in receipts} == {""}
    assert sum(receipt.decoded_s for receipt in receipts) == 10.0


def test_receipts_of_a_finished_day_name_every_output(processed: Processed) -> None:
    workspace = processed.workspace
    for steps in steps_of(workspace, plan(workspace)):
        receipts = step_receipts(steps)
        assert {receipt.status for receipt in receipts} == {"skipped"}
        assert [receipt.key for receipt in receipts] == [step.key for step in steps.all]
        assert all(workspace.store.exists(path) for receipt in receipts for path in receipt.outputs)
