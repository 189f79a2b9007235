"""Events of messages: which deliveries told an event, and what became of an event that a message linked to."""

from collections.abc import Sequence

from dashboards.event_rows import Ranked
from lake.deliveries import Delivery, ToldEvent, deliveries_of
from workspace.event_files import EventRow
from workspace.notifications.pending import told_event


def told_of(deliveries: Sequence[Delivery], event: EventRow) -> list[Delivery]:
    """The deliveries that told an event, or told it as it stood before its edges moved."""
    return deliveries_of(deliveries, told_event(event))


def told_as(deliveries: Sequence[Delivery], event_id: str) -> ToldEvent | None:
    """An event as a message told it; None where none did."""
    return next((delivery.event for delivery in deliveries if delivery.event.event_id == event_id), None)


def same_now(deliveries: Sequence[Delivery], events: Sequence[Ranked], event_id: str) -> Ranked | None:
    """What became of an event that a message linked to: the one that is there at its place and time now, if any is."""
    told = told_as(deliveries, event_id)
    if told is None:
        return None
    return next((one for one in events if told.is_same(told_event(one.event))), None)
