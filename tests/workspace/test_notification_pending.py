"""Which alarms are told on a channel, and in how many messages."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.deliveries import Delivery, deliveries_now, say_deliveries
from lake.keys import short_hash
from tests.workspace.alarmed_site import ALARM, alarmed_site, put_events
from tests.workspace.labelled_site import CAMPAIGN, DAY, EAST, NORTH, START
from workspace.event_files import EventRow
from workspace.notifications.pending import MessagePlan, events_to_tell, pending, plan_messages, told_event, untold
from workspace.opened import Workspace
from workspace.verdicts import say_verdict

NOW = datetime(2026, 3, 3, 4, tzinfo=UTC)
SPANS = [(40.0, 45.0), (10.0, 20.0)]


def row(begin_s: float, end_s: float, rank: int = 1, **changes: str) -> EventRow:
    begins, ends = (START + timedelta(seconds=at) for at in (begin_s, end_s))
    event_id = short_hash([begin_s, end_s, rank, changes])[:12]
    camera = changes.get("camera", EAST)
    return EventRow(
        CAMPAIGN, camera, DAY, ALARM, "frame", begins, ends, begins, event_id=event_id, rank=rank, alarm=True
    )


def sent(event: EventRow, message_id: str, before_s: float = 60, channel: str = "email", **changes: object) -> Delivery:
    told = {"said_at": NOW - timedelta(seconds=before_s)} | changes
    return Delivery(channel, told_event(event), message_id, event.day, **told)  # type: ignore[arg-type]  # keywords of one test each


@pytest.fixture
def site(tmp_path: Path) -> Workspace:
    return alarmed_site(tmp_path / "site")


def test_an_event_is_pending_until_its_channel_has_told_it(site: Workspace) -> None:
    found = put_events(site, SPANS)
    assert [event.started_at for event in pending(site, "email")] == [found[1].started_at, found[0].started_at]
    say_deliveries(site.ledger, [Delivery("email", told_event(found[0]), "m", DAY)])
    assert pending(site, "email") == [found[1]]
    assert len(pending(site, "webhook")) == 2


def test_a_run_that_moves_an_edge_tells_nobody_twice(site: Workspace) -> None:
    found = put_events(site, SPANS)
    say_deliveries(site.ledger, [Delivery("email", told_event(event), "m", DAY) for event in found])
    moved = put_events(site, [(38.0, 47.0), (12.0, 14.0), (50.0, 55.0)], version="another")
    assert not {event.event_id for event in moved} & {event.event_id for event in found}
    assert pending(site, "email") == [moved[2]]
    put_events(site, [(12.0, 14.0)], camera=NORTH)
    assert [event.camera for event in pending(site, "email")] == [NORTH, EAST]


def test_only_alarms_that_the_settings_tell_are_told(site: Workspace, tmp_path: Path) -> None:
    put_events(site, SPANS, head="quiet")
    put_events(site, SPANS, head="no longer set")
    put_events(site, SPANS, head="novelty", deviations=4.0)
    assert events_to_tell(site) == []
    with_novelty = alarmed_site(tmp_path / "novelty", "novelty = true")
    put_events(with_novelty, SPANS, head="novelty", deviations=4.0)
    put_events(with_novelty, SPANS, head="novelty", camera=NORTH, alarm=False)
    assert [event.head for event in events_to_tell(with_novelty)] == ["novelty", "novelty"]


@pytest.mark.parametrize("head", [ALARM, "novelty"])
def test_what_somebody_dismissed_is_not_told(tmp_path: Path, head: str) -> None:
    site = alarmed_site(tmp_path / "site", "novelty = true")
    first, second = put_events(site, SPANS, head=head)
    say_verdict(site, first, False, "ann")
    say_verdict(site, second, True, "ann")
    assert pending(site, "email") == [second]


def test_the_highest_of_each_day_come_first_and_then_the_earlier() -> None:
    events = [row(50, 55, 2), row(30, 35, 1), row(10, 15, 2), row(20, 25, 1, camera=NORTH)]
    assert [event.started_at.second for event in untold(events, [], "email")] == [20, 30, 10, 50]


def test_of_two_that_are_one_to_a_reader_the_higher_is_told() -> None:
    first, second = row(10, 20, 2), row(15, 25, 1)
    assert untold([first, second], [], "email") == [second]


def test_every_event_has_its_message_as_long_as_the_hour_has_room() -> None:
    events = [row(10 * at, 10 * at + 5) for at in range(5)]
    assert plan_messages(events, [], "email", 5, NOW) == MessagePlan(singles=tuple(events))
    plan = plan_messages(events, [], "email", 3, NOW)
    assert (plan.singles, plan.digest, plan.waiting) == (tuple(events[:2]), tuple(events[2:]), ())
    assert plan_messages(events, [], "email", 1, NOW) == MessagePlan(digest=tuple(events))


def test_messages_of_the_last_hour_on_the_same_channel_take_room() -> None:
    old = [row(1000 + 10 * at, 1005 + 10 * at) for at in range(6)]
    events = [row(10 * at, 10 * at + 5) for at in range(5)]
    recent = [sent(old[0], "m0"), sent(old[1], "m1", 3599)]
    beside = [sent(old[2], "m2", 3600), sent(old[3], "m3", channel="webhook"), sent(old[4], "m1", 3599, digest=True)]
    settled = [sent(old[5], "", status="settled", attempts=0)]
    plan = plan_messages(events, [*recent, *beside, *settled], "email", 4, NOW)
    assert (plan.singles, plan.digest) == ((events[0],), tuple(events[1:]))
    full = plan_messages(events, recent, "email", 2, NOW)
    assert full == MessagePlan(waiting=tuple(events))


def test_a_digest_that_was_begun_is_sent_again_under_its_name_with_what_is_left_of_it() -> None:
    events = [row(10 * at, 10 * at + 5) for at in range(4)]
    begun = [sent(event, "digest", status="begun", attempts=0, digest=True) for event in events[1:]]
    plan = plan_messages(events, begun, "email", 20, NOW)
    assert plan == MessagePlan(resumed=(("digest", tuple(events[1:])),), singles=(events[0],))
    moved = [events[0], row(11, 16), events[2]]  # one has moved, and one has gone
    again = plan_messages(moved, begun, "email", 20, NOW)
    assert again == MessagePlan(resumed=(("digest", (moved[1], moved[2])),), singles=(events[0],))


@given(
    spans=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 20)), max_size=30),
    told=st.integers(0, 30),
    recent=st.integers(0, 12),
    most=st.integers(1, 10),
)
def test_no_plan_loses_an_event_tells_one_twice_or_exceeds_the_hour(
    spans: list[tuple[int, int]], told: int, recent: int, most: int
) -> None:
    events = [row(begin, begin + length, rank) for rank, (begin, length) in enumerate(spans, start=1)]
    deliveries = [sent(event, f"m{number % max(1, recent)}") for number, event in enumerate(events[:told])]
    plan = plan_messages(events, deliveries, "email", most, NOW)
    planned = [*plan.singles, *plan.digest, *plan.waiting]
    assert not plan.resumed
    assert sorted(planned, key=repr) == sorted(untold(events, deliveries, "email"), key=repr)
    for number, event in enumerate(planned):
        others = [*(told_event(one) for one in planned[:number]), *(one.event for one in deliveries)]
        assert not any(told_event(event).is_same(other) for other in others)
    for event in events:
        known = [*(told_event(one) for one in planned), *(one.event for one in deliveries)]
        assert any(told_event(event).is_same(other) for other in known)
    messages = len(plan.singles) + bool(plan.digest)
    assert messages + len({one.message_id for one in deliveries}) <= most or messages == 0
    assert len(plan.digest) != 1
    assert not plan.waiting or messages == 0


def test_deliveries_are_those_of_the_ledger(site: Workspace) -> None:
    (event,) = put_events(site, [(10.0, 20.0)])
    say_deliveries(site.ledger, [Delivery("email", told_event(event), "m", DAY)])
    (known,) = deliveries_now(site.ledger)
    assert known.event == told_event(event)
