"""What the Queue page asks of the nights' queue: what is shown, what comes after it, what was answered, when it was asked."""

from datetime import datetime

from dashboards.snapshot import LakeReader
from workspace.queue_items import STEP, Answered, HeadCount, Queue, QueueItem, counts_of


def narrowed(queue: Queue, campaign: str | None, camera: str | None, head: str | None) -> Queue:
    """The part of a queue that filters leave, in its order; None is all."""
    items = tuple(
        item
        for item in queue.items
        if campaign in (None, item.campaign) and camera in (None, item.camera) and head in (None, item.head)
    )
    names = {item.queue_id for item in items}
    return Queue(items, {name: answered for name, answered in queue.answers.items() if name in names})


def item_called(queue: Queue, queue_id: str) -> QueueItem | None:
    """The item of that name, answered or not; None where there is none."""
    return next((item for item in queue.items if item.queue_id == queue_id), None)


def upcoming(queue: Queue, item: QueueItem) -> tuple[QueueItem, ...]:
    """The items nobody answered but this one: those after it in the order of the queue, then those before it."""
    at = queue.items.index(item)
    return tuple(one for one in (*queue.items[at + 1 :], *queue.items[:at]) if one.queue_id not in queue.answers)


def answered_newest_first(queue: Queue) -> list[tuple[QueueItem, Answered]]:
    """The items something is said of, with what stands."""
    found = [(item, queue.answers[item.queue_id]) for item in queue.items if item.queue_id in queue.answers]
    return sorted(found, key=lambda pair: pair[1].said_at, reverse=True)


def judged(queue: Queue) -> tuple[HeadCount, ...]:
    """The heads of which something was answered yes or no; whoever skips teaches nothing."""
    return tuple(count for count in counts_of(queue) if count.relevant + count.irrelevant)


def last_asked(lake: LakeReader) -> datetime | None:
    """When a night last looked for something to ask; UTC, None where none ever did."""
    rows = lake.rows("SELECT max(finished_at) AS asked_at FROM runs WHERE step = ? AND status <> 'failed'", (STEP,))
    asked_at = rows["asked_at"][0] if len(rows) else None
    return None if asked_at is None or asked_at != asked_at else asked_at.to_pydatetime()
