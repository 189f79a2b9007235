"""Sending what is pending on every channel, each message recorded as soon as it was accepted.

A run that is killed between acceptance and record sends that message once more, with the same name (`Message-ID`,
`Idempotency-Key`). A digest's name depends on which events it holds, so it is recorded as begun before it is sent.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from infra.errors import AfterwatchError, LakeError
from infra.site import Site
from lake.deliveries import Delivery, Status, deliveries_now, say_deliveries
from workspace.event_files import EventRow
from workspace.notifications.base import Channel, DeliveryError, Message
from workspace.notifications.channels import open_channels
from workspace.notifications.messages import digest_message, digest_message_id, event_message
from workspace.notifications.pending import MessagePlan, events_to_tell, plan_messages, told_event, untold
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
    """

    sent: int = 0
    digests: int = 0
    failed: tuple[str, ...] = ()
    waiting: int = 0


@dataclass
class _Tally:
    sent: int = 0
    digests: int = 0
    waiting: int = 0
    failed: dict[str, None] = field(default_factory=dict)
    """Each told once."""

    def outcome(self) -> NotifyOutcome:
        return NotifyOutcome(self.sent, self.digests, tuple(self.failed), self.waiting)


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
    for channel in channels:
        try:
            _tell(workspace, channel, events, sleep, tally)
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


def planned_messages(workspace: Workspace, channel: str, events: Sequence[EventRow]) -> tuple[Iterator[Message], int]:
    """The messages that a channel would send now, made one by one, and how many events wait for a later run.

    Args:
        workspace: the site.
        channel: name of the channel.
        events: what `events_to_tell` found.
    """
    most = workspace.settings.notifications.most_per_hour
    plan = plan_messages(events, deliveries_now(workspace.ledger), channel, most, datetime.now(UTC))
    return _messages(workspace.site, channel, plan), len(plan.waiting)


def _messages(site: Site, channel: str, plan: MessagePlan) -> Iterator[Message]:
    for message_id, held in plan.resumed:
        yield digest_message(site, message_id, held)
    for event in plan.singles:
        yield event_message(site, channel, event)
    if plan.digest:
        yield digest_message(site, digest_message_id(channel, plan.digest), plan.digest)


def settle(workspace: Workspace, channels: Sequence[Channel], author: str) -> int:
    """Count what is pending on channels as told, without sending it; returns how many events, each on each channel."""
    events, known = events_to_tell(workspace), deliveries_now(workspace.ledger)
    settled = [
        Delivery(channel.name, told_event(event), "", event.day, "settled", attempts=0, author=author)
        for channel in channels
        for event in untold(events, known, channel.name)
    ]
    say_deliveries(workspace.ledger, settled)
    return len(settled)


def _tell(workspace: Workspace, channel: Channel, events: Sequence[EventRow], sleep: Sleep, tally: _Tally) -> None:
    messages, waiting = planned_messages(workspace, channel.name, events)
    tally.waiting += waiting
    for message in messages:
        if message.kind == "digest":
            _record(workspace, channel, message, "begun", 0)
        if not _send(workspace, channel, message, sleep, tally):
            return


def _send(workspace: Workspace, channel: Channel, message: Message, sleep: Sleep, tally: _Tally) -> bool:
    """Send a message and record it; returns whether the channel is worth another."""
    try:
        attempts, refused = deliver(channel, message, workspace.settings.notifications.retries, sleep)
    except DeliveryError as error:
        left = "what it was to tell is still to be told, and the next run tries again"
        about = "" if error.whole_channel or error.passing else f' (message "{message.subject}")'
        tally.failed[f"channel {channel.name}: {error}{about}; {left}"] = None
        return not (error.whole_channel or error.passing)
    _record(workspace, channel, message, "sent", attempts)
    tally.sent += 1
    tally.digests += message.kind == "digest"
    tally.failed.update({f"channel {channel.name}: {line}": None for line in refused})
    return True


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


def _record(workspace: Workspace, channel: Channel, message: Message, status: Status, attempts: int) -> None:
    is_digest = message.kind == "digest"
    events = [shown.event for shown in message.events]
    said_at = datetime.now(UTC)
    say_deliveries(
        workspace.ledger,
        [
            Delivery(
                channel.name,
                told_event(event),
                message.message_id,
                event.day,
                status,
                is_digest,
                attempts,
                said_at=said_at,
            )
            for event in events
        ],
    )
