"""Which events are to be told on a channel, and in which messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lake.deliveries import Delivery, ToldEvent, deliveries_now
from workspace.event_files import EventFilter, EventRow, read_events
from workspace.opened import Workspace
from workspace.verdicts import verdicts_now

TOLD = ("sent", "settled")
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class MessagePlan:
    """What a channel sends now.

    Attributes:
        resumed: digests that were begun and may have been accepted: name of the message, and its events.
        singles: events with a message of their own, the highest of each day first.
        digest: events that go together in one more message, in order of time; none where every event has its own.
        waiting: events that the next hour's messages will tell.
    """

    resumed: tuple[tuple[str, tuple[EventRow, ...]], ...] = ()
    singles: tuple[EventRow, ...] = ()
    digest: tuple[EventRow, ...] = ()
    waiting: tuple[EventRow, ...] = ()


def told_event(event: EventRow) -> ToldEvent:
    """An event of the lake as deliveries remember it."""
    return ToldEvent(
        event.event_id, event.head, event.campaign, event.camera, event.region, event.started_at, event.ended_at
    )


def pending(workspace: Workspace, channel: str) -> list[EventRow]:
    """The events that are to be told on a channel, in the order in which they are."""
    return untold(events_to_tell(workspace), deliveries_now(workspace.ledger), channel)


def events_to_tell(workspace: Workspace) -> list[EventRow]:
    """The events that count now of what the settings tell, in order of place and time; dismissed ones are not told."""
    settings = workspace.settings
    heads = {alarm.name for alarm in settings.alarms if alarm.notify}
    if settings.notifications.novelty:
        heads.add(settings.novelty.name)
    if not heads:
        return []
    events = [event for event in read_events(workspace, EventFilter(alarms_only=True)) if event.head in heads]
    if not events:
        return []
    verdicts = verdicts_now(workspace)
    said = [(event, verdicts.of(event)) for event in events]
    return [event for event, verdict in said if verdict is None or verdict.confirmed]


def untold(events: Sequence[EventRow], deliveries: Sequence[Delivery], channel: str) -> list[EventRow]:
    """Those of `events` that no delivery of a channel tells, the highest of each camera's day first, then in order of time.

    Of two that are one to a reader (the same alarm, place and time) the higher is told.
    """
    scenes: dict[tuple[str, str, str, str], list[ToldEvent]] = {}
    ids: set[str] = set()

    def remember(told: ToldEvent) -> None:
        ids.add(told.event_id)
        scenes.setdefault(told.scene, []).append(told)

    for delivery in deliveries:
        if delivery.channel == channel and delivery.status in TOLD:
            remember(delivery.event)
    found: list[EventRow] = []
    for event in sorted(events, key=_order):
        told = told_event(event)
        if told.event_id not in ids and not any(other.is_same(told) for other in scenes.get(told.scene, ())):
            remember(told)
            found.append(event)
    return found


def _order(event: EventRow) -> tuple[float, datetime, str, str, str, str, str]:
    rank = float("inf") if event.rank is None else event.rank
    return rank, event.started_at, event.head, event.campaign, event.camera, event.region, event.event_id


def plan_messages(
    events: Sequence[EventRow], deliveries: Sequence[Delivery], channel: str, most_per_hour: int, now: datetime
) -> MessagePlan:
    """Put what is pending into messages.

    Args:
        events: what `events_to_tell` found.
        deliveries: those that count.
        channel: name of the channel.
        most_per_hour: messages that the channel sends in any hour; what is beyond goes together in the last of them.
        now: with a time zone.
    """
    left = untold(events, deliveries, channel)
    mine = [delivery for delivery in deliveries if delivery.channel == channel]
    accepted = {one.message_id for one in mine if one.status == "sent" and one.said_at > now - HOUR}
    room = max(0, most_per_hour - len(accepted))
    begun: dict[str, list[EventRow]] = {}
    for delivery in (one for one in mine if one.status == "begun"):
        begun.setdefault(delivery.message_id, [])
        again = [event for event in left if told_event(event).is_same(delivery.event)]
        begun[delivery.message_id] += again
        left = [event for event in left if event not in again]
    digests = [(name, _in_time(held)) for name, held in begun.items() if held]
    resumed, late = digests[:room], [event for _, held in digests[room:] for event in held]
    room -= len(resumed)
    if len(left) <= room:
        singles, digest, waiting = left, [], late
    elif room:
        singles, digest, waiting = left[: room - 1], left[room - 1 :], late
    else:
        singles, digest, waiting = [], [], [*late, *left]
    return MessagePlan(tuple(resumed), tuple(singles), _in_time(digest), _in_time(waiting))


def _in_time(events: Sequence[EventRow]) -> tuple[EventRow, ...]:
    return tuple(sorted(events, key=lambda event: (event.started_at, *_order(event))))
