"""What the channels of notifications have told: append-only statements, one for each channel and event.

An event counts as told on a channel when a delivery there names it, or another event of the same alarm and place whose time
overlaps it: a night that is run again and moves an event's edge tells nobody twice.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal, get_args

from infra.errors import ConfigurationError, UnknownNameError
from infra.table import NAME
from lake.current import statements_now
from lake.ledger import Ledger, Statement

TABLE = "deliveries"
AUTHOR = "afterwatch"
Status = Literal["begun", "sent", "settled"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class ToldEvent:
    """An event as a delivery remembers it, `[started_at, ended_at)` in true time.

    Attributes:
        event_id: as in the table `events`.
        alarm: name of the alarm, or of the novelty head: what scores and events call the head.
        campaign, camera, region: where; the region `frame` is the whole picture.
        started_at, ended_at: with a time zone.
    """

    event_id: str
    alarm: str
    campaign: str
    camera: str
    region: str
    started_at: datetime
    ended_at: datetime

    def __post_init__(self) -> None:
        if not self.event_id:
            raise ConfigurationError("a delivery is about an event, and this names none")
        if self.started_at.tzinfo is None or self.ended_at.tzinfo is None:
            raise ConfigurationError(f"times of an event have a zone, got {self.started_at}; say which")
        if not self.started_at < self.ended_at:
            raise ConfigurationError(f"an event begins before it ends, got {self.started_at} to {self.ended_at}")

    @property
    def scene(self) -> tuple[str, str, str, str]:
        """What two events share that may be one: alarm, campaign, camera and region."""
        return self.alarm, self.campaign, self.camera, self.region

    def is_same(self, other: "ToldEvent") -> bool:
        """Whether telling one tells the other: the same event, or the same alarm and place at an overlapping time."""
        overlaps = self.started_at < other.ended_at and other.started_at < self.ended_at
        return self.event_id == other.event_id or (self.scene == other.scene and overlaps)


@dataclass(frozen=True)
class Delivery:
    """One event on one channel.

    Attributes:
        channel: name of the channel, as in the settings.
        event: what it is about.
        message_id: name of the message that told it: the `Idempotency-Key` of a webhook, the local part of a mail's
            Message-ID. The events of one digest share it.
        day: of the event.
        status: `sent` when the channel's server accepted the message; `begun` of a digest that is about to be sent, so that a
            run that is cut short sends the same one again; `settled` of an event that a person has chosen not to be told.
        digest: whether it was told in one message with others.
        attempts: how often the message was sent; 0 where it was not, or not yet.
        author: who says so: the program, or the person who settled it.
        said_at: when it was accepted, begun or settled.
    """

    channel: str
    event: ToldEvent
    message_id: str
    day: date
    status: Status = "sent"
    digest: bool = False
    attempts: int = 1
    author: str = AUTHOR
    said_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.channel):
            raise ConfigurationError(f'a delivery is by a channel, and "{self.channel}" names none')
        if self.status not in STATUSES:
            raise UnknownNameError("status of a delivery", self.status, STATUSES)
        if not self.author.strip():
            raise ConfigurationError("a delivery has an author; name one")
        if self.attempts < (self.status == "sent"):
            raise ConfigurationError(f"what was sent was sent at least once, got {self.attempts} attempts")

    @property
    def key(self) -> str:
        """What it is about: of two with one key, the newer counts."""
        return f"{self.channel}/{self.event.event_id}"


def say_deliveries(ledger: Ledger, deliveries: Sequence[Delivery]) -> None:
    """Append deliveries, all at once."""
    ledger.say(TABLE, [_statement(delivery) for delivery in deliveries])


def deliveries_now(ledger: Ledger) -> list[Delivery]:
    """The deliveries that count, the oldest first; of those at one time, in order of key."""
    found = [_delivery(row) for row in statements_now(ledger, TABLE)]
    return sorted(found, key=lambda delivery: (delivery.said_at, delivery.key))


def deliveries_of(deliveries: Sequence[Delivery], event: ToldEvent) -> list[Delivery]:
    """Those of `deliveries` that tell `event` or tell it as another of the same time, in their order."""
    return [delivery for delivery in deliveries if delivery.event.is_same(event)]


def _statement(delivery: Delivery) -> Statement:
    event = delivery.event
    value: dict[str, Any] = {
        "channel": delivery.channel,
        "event_id": event.event_id,
        "alarm": event.alarm,
        "region": event.region,
        "started_at": event.started_at.astimezone(UTC).isoformat(),
        "ended_at": event.ended_at.astimezone(UTC).isoformat(),
        **{name: asdict(delivery)[name] for name in ("message_id", "status", "digest", "attempts")},
    }
    author = delivery.author.strip()
    return Statement(delivery.key, author, value, event.campaign, event.camera, delivery.day, delivery.said_at)


def _delivery(row: dict[str, Any]) -> Delivery:
    value = row["value"]
    event = ToldEvent(
        value["event_id"],
        value["alarm"],
        row["campaign"],
        row["camera"],
        value["region"],
        datetime.fromisoformat(value["started_at"]),
        datetime.fromisoformat(value["ended_at"]),
    )
    return Delivery(
        value["channel"],
        event,
        value["message_id"],
        row["day"],
        value["status"],
        value["digest"],
        value["attempts"],
        row["author"],
        row["said_at"],
    )
