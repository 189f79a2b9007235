"""Once per event: over runs, over runs that were killed, over channels that fail, and whatever an hour allows."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.errors import LakeError
from lake.deliveries import Delivery, deliveries_now, say_deliveries
from lake.ledger import Ledger
from tests.workspace.alarmed_site import alarmed_site, put_events
from tests.workspace.labelled_site import PLACES, SEEN, START, enter, recording_row
from tests.workspace.listeners import HERE, Hook, mail_server, web_server
from workspace.notifications import sending
from workspace.notifications.base import DeliveryError, Message
from workspace.notifications.messages import MOST_LISTED, NO_PICTURE
from workspace.notifications.pending import pending
from workspace.notifications.sending import LONGEST_WAIT_S, NotifyOutcome, deliver, send_pending, settle
from workspace.opened import Workspace

SPANS = [(10.0, 15.0), (20.0, 25.0), (30.0, 35.0), (40.0, 45.0), (50.0, 55.0)]
MESSAGE = Message("m", "test", "site", "Subject", "Intro.")


class Recorder:
    """A channel that keeps what it was sent; `failures` are raised by the next sends, None by one that goes well.

    Attributes:
        lost: whether a message whose send fails is accepted nevertheless, its answer lost.
    """

    def __init__(self, name: str, failures: Sequence[BaseException | None] = (), lost: bool = False) -> None:
        self.name = name
        self.messages: list[Message] = []
        self.failures = list(failures)
        self.lost = lost

    def send(self, message: Message) -> tuple[str, ...]:
        failure = self.failures.pop(0) if self.failures else None
        if failure is None or self.lost:
            self.messages.append(message)
        if failure is not None:
            raise failure
        return ()

    @property
    def events(self) -> list[list[str]]:
        return [[shown.event.event_id for shown in message.events] for message in self.messages]


def no_wait(seconds: float) -> None:
    """Stands for a sleep."""


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def site(tmp_path: Path) -> Workspace:
    return alarmed_site(tmp_path / "site", "retries = 2\nmost_per_hour = 3")


@pytest.fixture
def hook() -> Iterator[Hook]:
    with web_server() as server:
        yield server


@pytest.fixture
def killed_before_the_record(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets the next record of an accepted message be the end of its process, as it were; later ones go well."""

    def arrange() -> None:
        def ends(ledger: Ledger, deliveries: Sequence[Delivery]) -> None:
            if any(delivery.status == "sent" for delivery in deliveries):
                monkeypatch.setattr(sending, "say_deliveries", say_deliveries)
                raise KeyboardInterrupt
            say_deliveries(ledger, deliveries)

        monkeypatch.setattr(sending, "say_deliveries", ends)

    return arrange


def test_every_event_is_told_once_on_every_channel_by_mail_and_by_post(tmp_path: Path, hook: Hook) -> None:
    with mail_server() as box:
        told = f"""
[[notifications.email]]
host = "{HERE}"
port = {box.port}
security = "none"
sender = "afterwatch@example.org"
recipients = ["ann@example.org"]
[[notifications.webhook]]
url = "{hook.url()}"
"""
        site = alarmed_site(tmp_path / "site", told)
        events = put_events(site, SPANS[:2])
        assert send_pending(site) == NotifyOutcome(sent=4)
        assert send_pending(site) == send_pending(Workspace(site.site.root)) == NotifyOutcome()
    links = [f"alarms?event={event.event_id}" for event in events]
    assert len(box.mails) == len(hook.requests) == 2
    for link, mail, request in zip(links, box.mails, hook.requests, strict=True):
        body = mail.get_body(("plain",))
        assert body is not None and link in body.get_content()
        assert json.loads(request.body)["events"][0]["link"].endswith(link)
    names = [(one.channel, one.status, one.attempts, one.digest) for one in deliveries_now(site.ledger)]
    assert names == [(name, "sent", 1, False) for name in ("email", "email", "webhook", "webhook")]
    assert {f"<{one.message_id}@example.org>" for one in deliveries_now(site.ledger) if one.channel == "email"} == {
        mail["Message-ID"] for mail in box.mails
    }


def test_a_channel_that_fails_for_a_time_is_tried_again(site: Workspace) -> None:
    waits: list[float] = []
    put_events(site, SPANS[:1])
    weak = Recorder("weak", [DeliveryError("busy", passing=True), DeliveryError("busy", passing=True, after_s=7)])
    assert send_pending(site, [weak], waits.append) == NotifyOutcome(sent=1)
    assert waits == [1.0, 7.0]
    assert [one.attempts for one in deliveries_now(site.ledger)] == [3]


def test_a_channel_that_stays_away_is_left_to_the_next_run_and_stops_no_other(site: Workspace) -> None:
    put_events(site, SPANS[:2])
    away = Recorder("away", [DeliveryError("host is away", passing=True)] * 3)
    broken = Recorder("broken", [RuntimeError("secret words of a library")])
    well = Recorder("well")
    outcome = send_pending(site, [away, broken, well], no_wait)
    assert (outcome.sent, len(outcome.failed)) == (2, 2)
    assert outcome.failed[0].startswith("channel away: host is away") and "next run" in outcome.failed[0]
    assert outcome.failed[1] == "channel broken: RuntimeError"
    assert not away.failures  # three attempts at the first message, none at the second
    assert send_pending(site, [away, broken, well], no_wait) == NotifyOutcome(sent=4)
    assert well.events == away.events == broken.events


def test_a_message_that_is_refused_does_not_hold_up_the_others(site: Workspace) -> None:
    put_events(site, SPANS[:3])
    picky = Recorder("picky", [None, DeliveryError("too large")])
    outcome = send_pending(site, [picky], no_wait)
    assert outcome.sent == 2
    (line,) = outcome.failed
    assert "too large" in line and "Alarm fight: hall-east, 2026-03-02 08:00:20 UTC" in line
    assert len(pending(site, "picky")) == 1


def test_a_wrong_password_is_tried_once(site: Workspace) -> None:
    put_events(site, SPANS[:3])
    locked = Recorder("locked", [DeliveryError("wrong password", whole_channel=True)] * 5)
    outcome = send_pending(site, [locked], no_wait)
    assert (outcome.sent, len(outcome.failed), len(locked.failures)) == (0, 1, 4)


def test_attempts_wait_longer_each_time_and_never_beyond_the_bound() -> None:
    waits: list[float] = []
    assert deliver(Recorder("a", [DeliveryError("x", passing=True)] * 8), MESSAGE, 8, waits.append)[0] == 9
    assert waits == [1, 2, 4, 8, 16, 32, LONGEST_WAIT_S, LONGEST_WAIT_S]
    for failure, attempts in (
        (DeliveryError("x", passing=True, after_s=LONGEST_WAIT_S + 1), 1),
        (DeliveryError("x", after_s=1), 1),
        (DeliveryError("x", passing=True), 9),
    ):
        waits.clear()
        channel = Recorder("a", [failure] * 9)
        with pytest.raises(DeliveryError):
            deliver(channel, MESSAGE, 8, waits.append)
        assert len(channel.failures) == 9 - attempts


def test_what_is_beyond_the_hour_goes_together_in_its_last_message(site: Workspace) -> None:
    events = put_events(site, SPANS)
    channel = Recorder("email")
    assert send_pending(site, [channel], no_wait) == NotifyOutcome(sent=3, digests=1)
    ids = [event.event_id for event in events]
    assert channel.events == [ids[:1], ids[1:2], ids[2:]]
    assert [message.kind for message in channel.messages] == ["event", "event", "digest"]
    assert {one.event.event_id for one in deliveries_now(site.ledger) if one.digest} == set(ids[2:])
    more = put_events(site, [*SPANS, (70.0, 75.0), (80.0, 85.0)])
    assert send_pending(site, [channel], no_wait) == NotifyOutcome(waiting=2)
    assert len(channel.messages) == 3
    assert [event.event_id for event in pending(site, "email")] == [event.event_id for event in more[-2:]]


def test_an_hour_later_there_is_room_again(site: Workspace) -> None:
    put_events(site, SPANS[:3])
    channel = Recorder("email")
    send_pending(site, [channel], no_wait)
    earlier = datetime.now(UTC) - timedelta(minutes=61)
    put_events(site, [*SPANS[:3], (70.0, 75.0)])
    assert send_pending(site, [channel], no_wait) == NotifyOutcome(waiting=1)
    known = deliveries_now(site.ledger)
    fresh = alarmed_site(site.site.root.parent / "later", "most_per_hour = 3")
    put_events(fresh, [*SPANS[:3], (70.0, 75.0)])
    say_deliveries(
        fresh.ledger, [Delivery("email", one.event, one.message_id, one.day, said_at=earlier) for one in known]
    )
    assert send_pending(fresh, [channel], no_wait) == NotifyOutcome(sent=1)


def test_a_run_killed_before_the_record_tells_once_more_under_the_same_name(
    site: Workspace, killed_before_the_record: Callable[[], None]
) -> None:
    put_events(site, SPANS[:2])
    channel = Recorder("email")
    killed_before_the_record()
    with pytest.raises(KeyboardInterrupt):
        send_pending(site, [channel], no_wait)
    assert send_pending(Workspace(site.site.root), [channel], no_wait) == NotifyOutcome(sent=2)
    first, again, second = (message.message_id for message in channel.messages)
    assert first == again != second
    assert send_pending(site, [channel], no_wait) == NotifyOutcome()


@pytest.mark.parametrize("more", [[], [(70.0, 75.0)]])
def test_a_digest_cut_short_is_told_once_more_under_the_same_name_whatever_comes_beside_it(
    tmp_path: Path, killed_before_the_record: Callable[[], None], more: list[tuple[float, float]]
) -> None:
    site = alarmed_site(tmp_path / "site", "most_per_hour = 1")
    put_events(site, SPANS)
    channel = Recorder("email")
    killed_before_the_record()
    with pytest.raises(KeyboardInterrupt):
        send_pending(site, [channel], no_wait)
    put_events(site, [*SPANS, *more])
    assert send_pending(site, [channel], no_wait) == NotifyOutcome(sent=1, digests=1, waiting=len(more))
    first, again = channel.messages
    assert (first.message_id, first.events) == (again.message_id, again.events)
    assert len(pending(site, "email")) == len(more)


def test_an_answer_that_is_lost_sends_the_same_message_again(site: Workspace) -> None:
    put_events(site, SPANS[:1])
    channel = Recorder("email", [DeliveryError("no answer in time", passing=True)], lost=True)
    assert send_pending(site, [channel], no_wait) == NotifyOutcome(sent=1)
    first, again = channel.messages
    assert first == again


def test_what_cannot_be_recorded_stops_every_channel(site: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    put_events(site, SPANS[:3])

    def full(ledger: Ledger, deliveries: Sequence[Delivery]) -> None:
        raise LakeError("the disk is full")

    monkeypatch.setattr(sending, "say_deliveries", full)
    first, second = Recorder("first"), Recorder("second")
    outcome = send_pending(site, [first, second], no_wait)
    assert outcome.failed == ("notifications: the disk is full",)
    assert (len(first.messages), len(second.messages)) == (1, 0)


def test_what_is_settled_is_told_no_more(site: Workspace) -> None:
    put_events(site, SPANS)
    channel, other = Recorder("email"), Recorder("webhook")
    assert settle(site, [channel], "ann") == 5
    assert {(one.status, one.author, one.attempts) for one in deliveries_now(site.ledger)} == {("settled", "ann", 0)}
    put_events(site, [*SPANS, (70.0, 75.0)])
    assert send_pending(site, [channel, other], no_wait) == NotifyOutcome(sent=4, digests=1)
    assert len(channel.messages) == 1


def test_nothing_set_up_tells_nobody(site: Workspace) -> None:
    put_events(site, SPANS)
    assert send_pending(site) == NotifyOutcome()
    assert deliveries_now(site.ledger) == []


def corrected(site: Workspace, seconds: float) -> Workspace:
    """The site after the clock of its cameras was corrected, and all their recordings were taken in again."""
    rows = [
        recording_row(one, started_at=recording_row(one)["started_at"] + timedelta(seconds=seconds)) for one in PLACES
    ]
    enter(site, rows, SEEN + timedelta(days=1))
    return Workspace(site.site.root)


@pytest.mark.parametrize("told_by", ["a message", "a digest", "a person"])
def test_correcting_a_cameras_clock_tells_nothing_again(tmp_path: Path, told_by: str) -> None:
    site = alarmed_site(tmp_path / "site", f"most_per_hour = {1 if told_by == 'a digest' else 20}")
    channel = Recorder("email")
    before = put_events(site, SPANS[:3])
    if told_by == "a person":
        settle(site, [channel], "ann")
    else:
        send_pending(site, [channel], no_wait)
    site = corrected(site, 60)
    after = put_events(site, [(begin + 60, end + 60) for begin, end in SPANS[:3]], version="by the new clock")
    assert not {event.event_id for event in before} & {event.event_id for event in after}
    assert pending(site, "email") == []
    assert settle(site, [channel], "ann") == 0


def test_after_a_correction_an_event_at_the_time_of_an_old_one_is_told(site: Workspace) -> None:
    channel = Recorder("email")
    put_events(site, SPANS[:1])
    send_pending(site, [channel], no_wait)
    site = corrected(site, 60)
    (begin, end), moved = SPANS[0], (SPANS[0][0] + 60, SPANS[0][1] + 60)
    events = put_events(site, [moved, (begin, end)], version="by the new clock")
    assert pending(site, "email") == [event for event in events if event.started_at == START + timedelta(seconds=begin)]


def test_an_event_waits_for_its_picture_until_the_next_run(tmp_path: Path) -> None:
    site = alarmed_site(tmp_path / "site")
    published, late = put_events(site, SPANS[:2])
    (site.site.root / late.keyframe).rename(tmp_path / "late.jpg")
    email, webhook = Recorder("email"), Recorder("webhook")
    assert send_pending(site, [email, webhook], no_wait) == NotifyOutcome(sent=2, held=2)
    assert email.events == webhook.events == [[published.event_id]]
    (tmp_path / "late.jpg").rename(site.site.root / late.keyframe)
    assert send_pending(site, [email], no_wait) == NotifyOutcome(sent=1)
    assert email.messages[-1].picture is not None and email.messages[-1].remark == ""
    (site.site.root / late.keyframe).unlink()
    assert send_pending(Workspace(site.site.root), [webhook], no_wait) == NotifyOutcome(sent=1)
    assert webhook.messages[-1].picture is None and webhook.messages[-1].remark == NO_PICTURE
    assert send_pending(site, [email, webhook], no_wait) == NotifyOutcome()


def test_an_event_that_was_held_is_told_also_where_its_edge_has_moved_since(site: Workspace) -> None:
    channel = Recorder("email")
    put_events(site, [(10.0, 20.0)], picture=False)
    assert send_pending(site, [channel], no_wait) == NotifyOutcome(held=1)
    (moved,) = put_events(site, [(11.0, 20.0)], picture=False, version="another")
    assert send_pending(site, [channel], no_wait) == NotifyOutcome(sent=1)
    assert channel.events == [[moved.event_id]]


def test_without_keyframes_nothing_waits(tmp_path: Path) -> None:
    site = alarmed_site(tmp_path / "site", "keyframes = false")
    put_events(site, SPANS[:1], picture=False)
    channel = Recorder("email")
    assert send_pending(site, [channel], no_wait) == NotifyOutcome(sent=1)
    assert channel.messages[0].remark == ""


def test_a_digest_that_is_refused_is_made_anew_by_the_next_run(site: Workspace) -> None:
    events = put_events(site, SPANS)
    picky = Recorder("picky", [None, None, DeliveryError("too large")])
    outcome = send_pending(site, [picky], no_wait)
    assert (outcome.sent, outcome.digests, len(outcome.failed)) == (2, 0, 1)
    assert {one.status for one in deliveries_now(site.ledger)} == {"sent"}
    later = alarmed_site(site.site.root.parent / "later")  # where there is room for all of them
    put_events(later, SPANS)
    say_deliveries(later.ledger, deliveries_now(site.ledger))
    assert send_pending(later, [picky], no_wait) == NotifyOutcome(sent=3)
    assert picky.events == [[event.event_id] for event in events]


def test_every_event_of_a_digest_counts_as_told_also_those_without_a_line(tmp_path: Path) -> None:
    site = alarmed_site(tmp_path / "site", "most_per_hour = 1")
    put_events(site, [(at * 0.4, at * 0.4 + 0.3) for at in range(MOST_LISTED + 5)])
    channel = Recorder("email")
    assert send_pending(site, [channel], no_wait) == NotifyOutcome(sent=1, digests=1)
    assert len(channel.events[0]) == MOST_LISTED
    assert pending(site, "email") == []
    assert len(deliveries_now(site.ledger)) == MOST_LISTED + 5
