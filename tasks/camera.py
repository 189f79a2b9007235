"""A night seen from one camera: how its footage is grouped into tasks, and what its receipts say."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tasks.plan import FRAMES_SCOPE, DayPlan, ShardPlan
from tasks.receipts import Receipt, ShardOutcome
from tasks.step_plans import DaySteps

MOST_TASKS = 300
"""Embedding tasks that a flow is kept to: the orchestrator's cost is per task, the work is per shard."""
LEAST_GROUP_S = 600.0
"""Seconds of footage that are worth a task of their own."""
DAYS_OF_A_ROUND = 8
"""Days of one camera that a backfill sends on their way before it looks again whether it may go on."""


@dataclass(frozen=True)
class ShardGroup:
    """Shards that one task embeds."""

    label: str
    shards: tuple[ShardPlan, ...]

    @property
    def seconds(self) -> float:
        return sum(shard.seconds for shard in self.shards)


def group_shards(days: Sequence[DayPlan], total_s: float) -> list[ShardGroup]:
    """Group what is to be embedded of one camera, by day, into tasks of a few minutes' work.

    Args:
        days: the camera's days.
        total_s: seconds to be embedded in the whole night, all cameras: the more, the larger the groups.
    """
    most_s = max(LEAST_GROUP_S, total_s / MOST_TASKS)
    groups: list[ShardGroup] = []
    for day in days:
        waiting: list[ShardPlan] = []
        for shard in (shard for shard in day.shards if shard.todo):
            if waiting and sum(item.seconds for item in waiting) + shard.seconds > most_s:
                groups.append(ShardGroup(str(day.place), tuple(waiting)))
                waiting = []
            waiting.append(shard)
        if waiting:
            groups.append(ShardGroup(str(day.place), tuple(waiting)))
    return groups


def best_first(days: Sequence[DayPlan]) -> list[list[DayPlan]]:
    """The days by camera: cameras with least left to do first, so that a night cut short leaves whole cameras done."""
    cameras: dict[str, list[DayPlan]] = {}
    for day in sorted(days, key=lambda day: (day.place.day, day.place.campaign)):
        cameras.setdefault(day.place.camera, []).append(day)
    return sorted(cameras.values(), key=lambda mine: (sum(day.todo_s for day in mine), mine[0].place.camera))


def rounds(days: Sequence[DayPlan], width: int) -> Iterator[list[DayPlan]]:
    """The days in rounds, as a run takes them that may have to stop soon: some days of some cameras each.

    A camera begun is gone on with until it is done, oldest day first, since later days are held against earlier ones.

    Args:
        days: of whatever cameras.
        width: cameras of a round.
    """
    cameras = best_first(days)
    for start in range(0, len(cameras), width):
        together = cameras[start : start + width]
        for first in range(0, max(map(len, together)), DAYS_OF_A_ROUND):
            yield [day for mine in together for day in mine[first : first + DAYS_OF_A_ROUND]]


def embed_receipts(planned: DayPlan, finished: DayPlan, outcomes: Iterable[ShardOutcome]) -> list[Receipt]:
    """What the ledger is told of a day's embedding, a receipt for each scope.

    Args:
        planned: the day as it was before.
        finished: the day as it is now.
        outcomes: of the day's shards that were run.
    """
    mine = {shard.recording.path for shard in planned.shards if shard.todo}
    run = [outcome for outcome in outcomes if outcome.path in mine]
    failed = [f"{outcome.path}: {outcome.message}" for outcome in run if outcome.status == "failed"]
    receipts = []
    for scope in finished.scopes:
        products = finished.products(scope)
        made = [product for product in products if product.exists]
        was_there = sum(product.exists for product in planned.products(scope))
        if len(made) < len(products):
            status = "failed" if failed else "partial"
        else:
            status = "skipped" if was_there == len(products) else "done"
        first = scope == FRAMES_SCOPE
        receipts.append(
            Receipt(
                planned.place,
                "embed",
                scope,
                made[-1].key if made else "",
                # What is there of an unfinished day counts too; its failures are told beside it.
                "partial" if status == "failed" and made else status,
                tuple(path for product in made for path in product.paths),
                tuple(product.key for product in made),
                sum(outcome.rows for outcome in run) if first else 0,
                sum(outcome.seconds for outcome in run) if first else 0.0,
                sum(outcome.decoded_s for outcome in run) if first else 0.0,
                "; ".join(failed),
            )
        )
    return receipts


def step_receipts(steps: DaySteps) -> list[Receipt]:
    """Receipts of a day of which everything was there."""
    return [
        Receipt(steps.place, step.name, step.scope, step.key, "skipped", step.outputs, step.inputs, message=step.remark)
        for step in steps.all
    ]
