"""What was told, by channel and event: the newest word counts, and an event that moved is the same event."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from infra.errors import ConfigurationError, UnknownNameError
from lake.catalogue import connect, select
from lake.deliveries import (
    TABLE,
    Delivery,
    Held,
    ToldEvent,
    deliveries_now,
    deliveries_of,
    held_now,
    say_deliveries,
    say_held,
    take_deliveries_back,
)
from lake.ledger import Ledger, Statement
from lake.store import Store

START = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store)


def event(begin_s: float = 10, end_s: float = 20, event_id: str = "e1", **changes: str) -> ToldEvent:
    told: dict[str, Any] = {"alarm": "fight", "campaign": "spring", "camera": "hall", "region": "frame"} | changes
    times: dict[str, Any] = {
        "started_at": START + timedelta(seconds=begin_s),
        "ended_at": START + timedelta(seconds=end_s),
    }
    return ToldEvent(event_id, **told, **times)


def delivery(after_s: float = 0, **changes: Any) -> Delivery:
    told: dict[str, Any] = {"channel": "email", "event": event(), "message_id": "m1", "day": date(2026, 3, 2)}
    return Delivery(**(told | changes), said_at=START + timedelta(hours=1, seconds=after_s))


def test_what_was_said_is_read_back_as_it_was(ledger: Ledger) -> None:
    assert deliveries_now(ledger) == []
    said = [
        delivery(0, attempts=3),
        delivery(1, channel="webhook", digest=True, status="begun", attempts=0),
        delivery(2, event=event(30, 40, "e2"), status="settled", attempts=0, message_id="", author="ann"),
    ]
    say_deliveries(ledger, said)
    assert deliveries_now(ledger) == said


def test_a_place_in_a_recording_is_remembered_and_told_by_the_clock_as_it_is_now(ledger: Ledger) -> None:
    began_at = START + timedelta(seconds=15)  # within the event
    told = event(10, 20).recorded_in("ea57", began_at)
    say_deliveries(ledger, [delivery(event=told)])
    (known,) = deliveries_now(ledger)
    assert (known.event, known.event.recording_id, known.event.from_us) == (told, "ea57", -5_000_000)
    assert told.by_clock(began_at) == told
    later = told.by_clock(began_at + timedelta(seconds=60))
    assert (later.started_at, later.ended_at) == (event(70, 80).started_at, event(70, 80).ended_at)
    assert not told.is_same(event(70, 80, "e2")) and later.is_same(event(70, 80, "e2"))
    assert event().by_clock(began_at) == event()


def test_a_delivery_that_remembers_no_recording_still_counts(ledger: Ledger) -> None:
    """As the first deliveries were written."""
    value = {
        "channel": "email",
        "event_id": "e1",
        "alarm": "fight",
        "region": "frame",
        "started_at": "2026-03-02T08:00:10+00:00",
        "ended_at": "2026-03-02T08:00:20+00:00",
        "message_id": "m1",
        "status": "sent",
        "digest": False,
        "attempts": 1,
    }
    said_at = START + timedelta(hours=1)
    ledger.say(TABLE, [Statement("email/e1", "afterwatch", value, "spring", "hall", date(2026, 3, 2), said_at)])
    assert deliveries_now(ledger) == [delivery()]


def test_an_event_is_held_until_a_delivery_takes_its_place(ledger: Ledger) -> None:
    held = Held("email", event().recorded_in("ea57", START), date(2026, 3, 2))
    say_held(ledger, [held])
    assert (held_now(ledger), deliveries_now(ledger)) == ([held], [])
    sent = Delivery("email", event(), "m1", date(2026, 3, 2))
    say_deliveries(ledger, [sent])
    assert (held_now(ledger), deliveries_now(ledger)) == ([], [sent])


def test_what_did_not_come_about_counts_no_more(ledger: Ledger) -> None:
    begun = delivery(status="begun", attempts=0, digest=True)
    say_deliveries(ledger, [begun, delivery(event=event(30, 40, "e2"))])
    take_deliveries_back(ledger, [delivery(1, status="begun", attempts=0, digest=True)])
    assert [one.event.event_id for one in deliveries_now(ledger)] == ["e2"]


def test_the_newest_word_on_a_channel_and_event_counts(ledger: Ledger) -> None:
    say_deliveries(ledger, [delivery(0, status="begun", attempts=0, digest=True)])
    say_deliveries(ledger, [delivery(5, digest=True), delivery(4, channel="webhook")])
    assert [(one.channel, one.status) for one in deliveries_now(ledger)] == [("webhook", "sent"), ("email", "sent")]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (event(10, 20, "e2"), True),
        (event(19, 60, "e2"), True),
        (event(0, 11, "e2"), True),
        (event(20, 30, "e2"), False),
        (event(0, 10, "e2"), False),
        (event(500, 600, "e1"), True),
        (event(10, 20, "e2", camera="yard"), False),
        (event(10, 20, "e2", region="door"), False),
        (event(10, 20, "e2", alarm="fall"), False),
        (event(10, 20, "e2", campaign="autumn"), False),
    ],
)
def test_an_event_is_the_same_by_name_or_by_overlapping_time_at_one_place(other: ToldEvent, same: bool) -> None:
    assert event().is_same(other) is same
    assert other.is_same(event()) is same
    assert deliveries_of([delivery()], other) == ([delivery()] if same else [])


def test_the_table_can_be_asked(ledger: Ledger, store: Store) -> None:
    say_deliveries(ledger, [delivery()])
    sql = "SELECT campaign, camera, key, author, value->>'message_id' AS message FROM deliveries"
    (row,) = select(connect(store), sql).to_pylist()
    assert row == {
        "campaign": "spring",
        "camera": "hall",
        "key": "email/e1",
        "author": "afterwatch",
        "message": "m1",
    }


def test_what_is_no_delivery_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="status"):
        delivery(status="lost")
    with pytest.raises(ConfigurationError, match="channel"):
        delivery(channel="a/b")
    with pytest.raises(ConfigurationError, match="at least once"):
        delivery(attempts=0)
    with pytest.raises(ConfigurationError, match="author"):
        delivery(author=" ")
    with pytest.raises(ConfigurationError, match="begins before"):
        event(20, 20)
    with pytest.raises(ConfigurationError, match="zone"):
        replace(event(), started_at=datetime(2026, 3, 2, 8))
    with pytest.raises(ConfigurationError, match="names none"):
        event(event_id="")
    with pytest.raises(ConfigurationError, match="come together"):
        replace(event(), recording_id="ea57")
