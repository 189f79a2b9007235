"""Sending what is pending on every channel, each message recorded as soon as it was accepted.

A run that is killed between acceptance and record sends that message once more, with the same name (`Message-ID`,
`Idempotency-Key`). A digest's name depends on which events it holds, so it is recorded as begun before it is sent, and that is
taken back where it is refused for good: the next run finds other messages for its events.

An event whose picture is not published yet is held, and the next run tells it, with the picture or without.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from infra.errors import AfterwatchError, LakeError
from infra.site import Site
from lake.deliveries import (
    Delivery,
    Held,
    Status,
    ToldEvent,
    held_now,
    say_deliveries,
    say_held,
    take_deliveries_back,
)
from workspace.event_files import EventRow
from workspace.known_recordings import KnownRecordings
from workspace.notifications.base import Channel, DeliveryError, Message
from workspace.notifications.channels import open_channels
from workspace.notifications.messages import digest_message, digest_message_id, event_message, lacks_picture
from workspace.notifications.pending import (
    MessagePlan,
    by_clock,
    events_to_tell,
    plan_messages,
    remembered_event,
    told_event,
    told_now,
    untold,
)
from workspace.opened import Workspace

FIRST_WAIT_S = 1.0
"""Before the second attempt; each further wait is twice as long."""
LONGEST_WAIT_S = 60.0
"""A server that asks for more is left to the next run."""

Sleep = Callable[[float], None]


@dataclass(frozen=True)
class NotifyOutcome:
    """What came of telling the events that were pending.

    Attributes:
        sent: messages that were accepted, digests among them.
        digests: messages of them that told several events.
        failed: what went wrong, a line for each channel and matter; for the report's attention.
        waiting: events that a channel leaves to a later run, because it has sent all that an hour allows.
        held: events that a channel leaves to the next run, because their pictures are not published yet.
    """

    sent: int = 0
    digests: int = 0
    failed: tuple[str, ...] = ()
    waiting: int = 0
    held: int = 0


@dataclass(frozen=True, eq=False)
class PlannedMessages:
    """What a channel would be sent now.

    Attributes:
        messages: made one by one, as they are asked for.
        waiting: how many events wait for the next hour.
        held: events that wait for their picture, and are told by the next run whatever becomes of it.
    """

    messages: Iterator[Message]
    waiting: int
    held: tuple[EventRow, ...]


@dataclass
class _Tally:
    sent: int = 0
    digests: int = 0
    waiting: int = 0
    held: int = 0
    failed: dict[str, None] = field(default_factory=dict)
    """Each told once."""

    def outcome(self) -> NotifyOutcome:
        return NotifyOutcome(self.sent, self.digests, tuple(self.failed), self.waiting, self.held)


def send_pending(
    workspace: Workspace, channels: Sequence[Channel] | None = None, sleep: Sleep = time.sleep
) -> NotifyOutcome:
    """Send what is pending; the caller holds the workspace's lock, so that no other run sends the same.

    Args:
        workspace: the site.
        channels: by which; default: those of the settings. One that fails does not stop another.
        sleep: waits between two attempts, in seconds.
    """
    tally = _Tally()
    channels = open_channels(workspace.settings.notifications) if channels is None else channels
    events = events_to_tell(workspace) if channels else []
    if not events:
        return tally.outcome()
    known = KnownRecordings(workspace.ledger)
    for channel in channels:
        try:
            _Telling(workspace, channel, known, sleep, tally).tell(events)
        except LakeError as error:
            # What cannot be recorded would be told again by the next run, on this channel and every other.
            tally.failed[f"notifications: {error}"] = None
            break
        except AfterwatchError as error:
            tally.failed[f"channel {channel.name}: {error}"] = None
        except Exception as error:  # noqa: BLE001 — whatever a channel meets, the others are told
            # Its words are not ours, and might hold what was sent.
            tally.failed[f"channel {channel.name}: {type(error).__name__}"] = None
    return tally.outcome()


def planned_messages(
    workspace: Workspace, channel: str, events: Sequence[EventRow], known: KnownRecordings
) -> PlannedMessages:
    """The messages that a channel would send now.

    Args:
        workspace: the site.
        channel: name of the channel.
        events: what `events_to_tell` found.
        known: the recordings that they are of.
    """
    most, deliveries = workspace.settings.notifications.most_per_hour, told_now(workspace, known)
    held = _to_hold(workspace, channel, untold(events, deliveries, channel), deliveries, known)
    now_told = [event for event in events if event not in held]
    plan = plan_messages(now_told, deliveries, channel, most, datetime.now(UTC))
    return PlannedMessages(_messages(workspace.site, channel, plan), len(plan.waiting), tuple(held))


def _to_hold(
    workspace: Workspace,
    channel: str,
    events: Sequence[EventRow],
    deliveries: Sequence[Delivery],
    known: KnownRecordings,
) -> list[EventRow]:
    """Those of `events` that lack their picture, but those that a run before this one held, or began to tell."""
    lacking = [event for event in events if lacks_picture(workspace.site, event)]
    if not lacking:
        return []
    met: list[ToldEvent] = [delivery.event for delivery in deliveries if delivery.channel == channel]
    met += [by_clock(held.event, known) for held in held_now(workspace.ledger) if held.channel == channel]
    return [event for event in lacking if not any(told_event(event).is_same(other) for other in met)]


def _messages(site: Site, channel: str, plan: MessagePlan) -> Iterator[Message]:
    for message_id, held in plan.resumed:
        yield digest_message(site, message_id, held)
    for event in plan.singles:
        yield event_message(site, channel, event)
    if plan.digest:
        yield digest_message(site, digest_message_id(channel, plan.digest), plan.digest)


def settle(workspace: Workspace, channels: Sequence[Channel], author: str) -> int:
    """Count what is pending on channels as told, without sending it; returns how many events, each on each channel."""
    events, known = events_to_tell(workspace), KnownRecordings(workspace.ledger)
    deliveries = told_now(workspace, known)
    settled = [
        Delivery(channel.name, remembered_event(event, known), "", event.day, "settled", attempts=0, author=author)
        for channel in channels
        for event in untold(events, deliveries, channel.name)
    ]
    say_deliveries(workspace.ledger, settled)
    return len(settled)


def deliver(channel: Channel, message: Message, retries: int, sleep: Sleep = time.sleep) -> tuple[int, tuple[str, ...]]:
    """Send a message, and again while its channel fails for a time; returns the attempts, and what `Channel.send` tells.

    Args:
        channel: by which.
        message: what.
        retries: attempts after the first.
        sleep: waits between two attempts: 1, 2, 4 … seconds, or as long as the server asks, up to a minute.

    Raises:
        DeliveryError: it was not accepted.
    """
    for attempt in range(1, retries + 2):
        try:
            return attempt, channel.send(message)
        except DeliveryError as error:
            asked_s = error.after_s or 0.0
            if not error.passing or attempt > retries or asked_s > LONGEST_WAIT_S:
                raise
            sleep(max(asked_s, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempt - 1))))
    raise AssertionError("the last attempt returns or raises")


@dataclass(frozen=True, eq=False)
class _Telling:
    """One run's telling by one channel; what comes of it is added to `tally`."""

    workspace: Workspace
    channel: Channel
    known: KnownRecordings
    sleep: Sleep
    tally: _Tally

    def tell(self, events: Sequence[EventRow]) -> None:
        """Tell those of `events` that are pending."""
        plan = planned_messages(self.workspace, self.channel.name, events, self.known)
        self.tally.waiting += plan.waiting
        self.tally.held += len(plan.held)
        self._hold(plan.held)
        for message in plan.messages:
            if message.kind == "digest":
                say_deliveries(self.workspace.ledger, self._deliveries(message, "begun", 0))
            if not self._send(message):
                return

    def _hold(self, events: Sequence[EventRow]) -> None:
        held = [Held(self.channel.name, remembered_event(event, self.known), event.day) for event in events]
        say_held(self.workspace.ledger, held)

    def _send(self, message: Message) -> bool:
        """Send a message and record it; returns whether the channel is worth another."""
        who, failed = f"channel {self.channel.name}", self.tally.failed
        try:
            retries = self.workspace.settings.notifications.retries
            attempts, refused = deliver(self.channel, message, retries, self.sleep)
        except DeliveryError as error:
            left = "what it was to tell is still to be told, and the next run tries again"
            is_final = not (error.whole_channel or error.passing)
            about = f' (message "{message.subject}")' if is_final else ""
            failed[f"{who}: {error}{about}; {left}"] = None
            if is_final and message.kind == "digest":
                take_deliveries_back(self.workspace.ledger, self._deliveries(message, "begun", 0))
            return is_final
        say_deliveries(self.workspace.ledger, self._deliveries(message, "sent", attempts))
        self.tally.sent += 1
        self.tally.digests += message.kind == "digest"
        failed.update({f"{who}: {line}": None for line in refused})
        return True

    def _deliveries(self, message: Message, status: Status, attempts: int) -> list[Delivery]:
        """What is said of a message's events, all at one moment."""
        said_at, is_digest = datetime.now(UTC), message.kind == "digest"
        return [
            Delivery(
                self.channel.name,
                remembered_event(event, self.known),
                message.message_id,
                event.day,
                status,
                is_digest,
                attempts,
                said_at=said_at,
            )
            for event in message.told
        ]
