"""What the channels of notifications have told: append-only statements, one for each channel and event.

An event counts as told on a channel when a delivery there names it, or another event of the same alarm and place whose time
overlaps it: a night that is run again and moves an event's edge tells nobody twice. A delivery remembers also where in its
recording the event was, so that it can be told by the camera's clock when that is corrected afterwards.

An event that waits for its picture is held: that is said in the same table, and is no delivery.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, get_args

from infra.errors import ConfigurationError, UnknownNameError
from infra.table import NAME
from lake.current import statements_now
from lake.ledger import Ledger, Statement

TABLE = "deliveries"
AUTHOR = "afterwatch"
Status = Literal["begun", "sent", "settled"]
STATUSES: tuple[Status, ...] = get_args(Status)
HELD = "held"
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class ToldEvent:
    """An event as a delivery remembers it, `[started_at, ended_at)` in true time.

    Attributes:
        event_id: as in the table `events`.
        alarm: name of the alarm, or of the novelty head: what scores and events call the head.
        campaign, camera, region: where; the region `frame` is the whole picture.
        started_at, ended_at: with a time zone.
        recording_id: recording of the peak; empty where that is not remembered.
        from_us: where the event begins in that recording, below 0 where it began before it; None without a recording.
    """

    event_id: str
    alarm: str
    campaign: str
    camera: str
    region: str
    started_at: datetime
    ended_at: datetime
    recording_id: str = ""
    from_us: int | None = None

    def __post_init__(self) -> None:
        if not self.event_id:
            raise ConfigurationError("a delivery is about an event, and this names none")
        if self.started_at.tzinfo is None or self.ended_at.tzinfo is None:
            raise ConfigurationError(f"times of an event have a zone, got {self.started_at}; say which")
        if not self.started_at < self.ended_at:
            raise ConfigurationError(f"an event begins before it ends, got {self.started_at} to {self.ended_at}")
        if bool(self.recording_id) != (self.from_us is not None):
            raise ConfigurationError(
                f'a recording and the place in it come together or not at all, got "{self.recording_id}" and {self.from_us}'
            )

    @property
    def scene(self) -> tuple[str, str, str, str]:
        """What two events share that may be one: alarm, campaign, camera and region."""
        return self.alarm, self.campaign, self.camera, self.region

    def recorded_in(self, recording_id: str, began_at: datetime) -> "ToldEvent":
        """The same, remembering where it is in a recording that began at `began_at`."""
        return replace(self, recording_id=recording_id, from_us=(self.started_at - began_at) // MICROSECOND)

    def by_clock(self, began_at: datetime) -> "ToldEvent":
        """The same, its times as they are where the recording that it remembers began at `began_at`."""
        if self.from_us is None:
            return self
        started_at = began_at + self.from_us * MICROSECOND
        return replace(self, started_at=started_at, ended_at=started_at + (self.ended_at - self.started_at))

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


@dataclass(frozen=True)
class Held:
    """An event that a channel was not told of at once, because its picture was not there yet."""

    channel: str
    event: ToldEvent
    day: date

    @property
    def key(self) -> str:
        """That of the delivery which will take its place."""
        return f"{self.channel}/{self.event.event_id}"


def say_deliveries(ledger: Ledger, deliveries: Sequence[Delivery]) -> None:
    """Append deliveries, all at once."""
    ledger.say(TABLE, [_statement(delivery) for delivery in deliveries])


def take_deliveries_back(ledger: Ledger, deliveries: Sequence[Delivery]) -> None:
    """Say that deliveries that were begun did not come about, all at once."""
    ledger.say(TABLE, [replace(_statement(delivery), value=None) for delivery in deliveries])


def say_held(ledger: Ledger, held: Sequence[Held]) -> None:
    """Append events that are held, all at once."""
    said = [
        Statement(one.key, AUTHOR, _told(one) | {"status": HELD}, one.event.campaign, one.event.camera, one.day)
        for one in held
    ]
    ledger.say(TABLE, said)


def deliveries_now(ledger: Ledger) -> list[Delivery]:
    """The deliveries that count, the oldest first; of those at one time, in order of key."""
    rows = statements_now(ledger, TABLE)
    found = [_delivery(row) for row in rows if row["value"]["status"] != HELD]
    return sorted(found, key=lambda delivery: (delivery.said_at, delivery.key))


def held_now(ledger: Ledger) -> list[Held]:
    """The events that are held and that no delivery has told since, in order of key."""
    rows = [row for row in statements_now(ledger, TABLE) if row["value"]["status"] == HELD]
    found = [Held(row["value"]["channel"], _event(row), row["day"]) for row in rows]
    return sorted(found, key=lambda held: held.key)


def deliveries_of(deliveries: Sequence[Delivery], event: ToldEvent) -> list[Delivery]:
    """Those of `deliveries` that tell `event` or tell it as another of the same time, in their order."""
    return [delivery for delivery in deliveries if delivery.event.is_same(event)]


def _statement(delivery: Delivery) -> Statement:
    event, author = delivery.event, delivery.author.strip()
    told = asdict(delivery)
    value = _told(delivery) | {name: told[name] for name in ("message_id", "status", "digest", "attempts")}
    return Statement(delivery.key, author, value, event.campaign, event.camera, delivery.day, delivery.said_at)


def _told(one: Delivery | Held) -> dict[str, Any]:
    """Channel and event as plain values; campaign, camera and day have columns of their own."""
    event = one.event
    return {
        "channel": one.channel,
        "event_id": event.event_id,
        "alarm": event.alarm,
        "region": event.region,
        "started_at": event.started_at.astimezone(UTC).isoformat(),
        "ended_at": event.ended_at.astimezone(UTC).isoformat(),
        "recording_id": event.recording_id,
        "from_us": event.from_us,
    }


def _delivery(row: dict[str, Any]) -> Delivery:
    value = row["value"]
    return Delivery(
        value["channel"],
        _event(row),
        value["message_id"],
        row["day"],
        value["status"],
        value["digest"],
        value["attempts"],
        row["author"],
        row["said_at"],
    )


def _event(row: dict[str, Any]) -> ToldEvent:
    value = row["value"]
    return ToldEvent(
        value["event_id"],
        value["alarm"],
        row["campaign"],
        row["camera"],
        value["region"],
        datetime.fromisoformat(value["started_at"]),
        datetime.fromisoformat(value["ended_at"]),
        # The first deliveries remembered no recording; they count by true time.
        value.get("recording_id", ""),
        value.get("from_us"),
    )
