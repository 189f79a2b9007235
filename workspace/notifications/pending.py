"""Which events are to be told on a channel, and in which messages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from infra.errors import ConfigurationError
from lake.deliveries import Delivery, ToldEvent, deliveries_now
from workspace.event_files import EventFilter, EventRow, read_events
from workspace.known_recordings import KnownRecordings
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


def remembered_event(event: EventRow, known: KnownRecordings) -> ToldEvent:
    """An event as a new delivery remembers it: with its place in its recording, where that is known."""
    told, began_at = told_event(event), _began_at(event.recording_id, known)
    return told if began_at is None else told.recorded_in(event.recording_id, began_at)


def told_now(workspace: Workspace, known: KnownRecordings) -> list[Delivery]:
    """The deliveries that count, in order of `deliveries_now`; their events' times are those of the clocks as they are now.

    Correcting a camera's `clock_offset_s` moves all that it recorded, and what was told of it stays told.
    """
    found = deliveries_now(workspace.ledger)
    return [replace(delivery, event=by_clock(delivery.event, known)) for delivery in found]


def by_clock(told: ToldEvent, known: KnownRecordings) -> ToldEvent:
    """What was told, its times by its camera's clock as it is now."""
    began_at = _began_at(told.recording_id, known)
    return told if began_at is None else told.by_clock(began_at)


def _began_at(recording_id: str, known: KnownRecordings) -> datetime | None:
    try:
        return known.by_id(recording_id).started_at
    except ConfigurationError:
        return None  # no recording is remembered, or nothing is known of it: true time alone tells what is the same


def pending(workspace: Workspace, channel: str) -> list[EventRow]:
    """The events that are to be told on a channel, in the order in which they are."""
    return untold(events_to_tell(workspace), told_now(workspace, KnownRecordings(workspace.ledger)), channel)


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
    for event in sorted(events, key=order_of):
        told = told_event(event)
        if told.event_id not in ids and not any(other.is_same(told) for other in scenes.get(told.scene, ())):
            remember(told)
            found.append(event)
    return found


def order_of(event: EventRow) -> tuple[float, datetime, str, str, str, str, str]:
    """What events are sorted by to have the highest of each camera's day first."""
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
    digests = [(name, in_time(held)) for name, held in begun.items() if held]
    resumed, late = digests[:room], [event for _, held in digests[room:] for event in held]
    room -= len(resumed)
    if len(left) <= room:
        singles, digest, waiting = left, [], late
    elif room:
        singles, digest, waiting = left[: room - 1], left[room - 1 :], late
    else:
        singles, digest, waiting = [], [], [*late, *left]
    return MessagePlan(tuple(resumed), tuple(singles), in_time(digest), in_time(waiting))


def in_time(events: Sequence[EventRow]) -> tuple[EventRow, ...]:
    """Events in order of time."""
    return tuple(sorted(events, key=lambda event: (event.started_at, *order_of(event))))
