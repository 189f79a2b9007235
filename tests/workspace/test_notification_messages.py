"""What a message says: the same to people and to programs, whatever names a camera has."""

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workspace.alarmed_site import LINK, alarmed_site, put_events
from tests.workspace.labelled_site import START
from workspace.event_files import EventRow
from workspace.notifications.base import Message, plain
from workspace.notifications.email import mail_of
from workspace.notifications.messages import (
    MOST_LISTED,
    MOST_PICTURE_BYTES,
    NO_PICTURE,
    digest_message,
    digest_message_id,
    event_message,
    keyframe,
    show,
)
from workspace.notifications.webhook import body_of, retry_after_s, signature
from workspace.opened import Workspace

SENDER = Address("Afterwatch", "afterwatch", "example.org")
HOSTILE = 'hall"><script>alert(1)</script>\r\nBcc: all@example.org\u202e\u2028\x00\udc80'


@pytest.fixture
def site(tmp_path: Path) -> Workspace:
    return alarmed_site(tmp_path / "site")


@pytest.fixture
def event(site: Workspace) -> EventRow:
    return put_events(site, [(10.0, 20.5)])[0]


def in_berlin(site: Workspace) -> Workspace:
    file = site.site.root / "afterwatch.toml"
    text = file.read_text(encoding="utf-8")
    assert 'time_zone = "UTC"' in text
    file.write_text(text.replace('time_zone = "UTC"', 'time_zone = "Europe/Berlin"'), encoding="utf-8")
    return Workspace(site.site.root)


def mailed(message: Message) -> EmailMessage:
    """A message as the reader's program gets it."""
    mail = message_from_bytes(mail_of(message, SENDER, [Address("", "ann", "example.org")]).as_bytes(), policy=default)
    assert isinstance(mail, EmailMessage)
    return mail


def body_text(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    text: str = part.get_content()
    return text


def test_a_message_tells_alarm_camera_region_time_and_probability_in_the_sites_zone(
    site: Workspace, event: EventRow
) -> None:
    there = in_berlin(site)
    message = event_message(there.site, "email", event)
    text = body_text(mailed(message), "plain")
    for line in (
        "Alarm: fight",
        "Camera: hall-east (campaign spring)",
        "Region: whole picture",
        "Time: 2026-03-02 09:00:10 CET to 2026-03-02 09:00:20 CET, 10.5 s",
        "Probability: 0.99, threshold 0.62",
        f"Confirm or dismiss it: {LINK}/alarms?event={event.event_id}",
    ):
        assert line in text.splitlines(), text
    assert message.subject == "Alarm fight: hall-east, 2026-03-02 09:00:10 CET"


def test_an_alarm_of_novelty_tells_how_unusual_it_is_and_links_to_its_page(site: Workspace, event: EventRow) -> None:
    novel = replace(event, head="novelty", deviations=4.25)
    shown = show(novel, site.settings)
    assert ("Unusual by", "4.2 robust standard deviations above the camera's normal") in shown.facts
    assert shown.link == f"{LINK}/anomalies?event={event.event_id}&campaign=spring"
    odd = replace(novel, campaign="north & south/1 \udc80")
    assert show(odd, site.settings).link.endswith(f"?event={event.event_id}&campaign=north%20%26%20south%2F1%20%3F")
    assert (shown.told["probability"], shown.told["deviations"]) == (None, 4.25)
    assert not any("nan" in how for _, how in show(replace(novel, deviations=None), site.settings).facts)


def test_a_mail_carries_the_keyframe_within_its_html(site: Workspace, event: EventRow) -> None:
    mail = mailed(event_message(site.site, "email", event))
    assert mail.get_content_type() == "multipart/alternative"
    (picture,) = [part for part in mail.walk() if part.get_content_type() == "image/jpeg"]
    content = (site.site.root / event.keyframe).read_bytes()
    assert picture.get_content() == content
    assert picture.get_content_disposition() == "inline"
    identity = str(picture["Content-ID"]).strip("<>")
    assert f'<img src="cid:{identity}"' in body_text(mail, "html")
    assert mail["Auto-Submitted"] == "auto-generated"


def test_a_posted_message_is_json_that_says_the_same(site: Workspace, event: EventRow) -> None:
    body = body_of(event_message(site.site, "webhook", event))
    told = json.loads(body)
    (only,) = told["events"]
    assert (told["kind"], told["site"]) == ("event", "site")
    assert {name: only[name] for name in ("event_id", "alarm", "camera", "region", "campaign", "threshold")} == {
        "event_id": event.event_id,
        "alarm": "fight",
        "camera": "hall-east",
        "region": "frame",
        "campaign": "spring",
        "threshold": 0.625,
    }
    assert only["probability"] == only["score"] == event.peak_score
    assert datetime.fromisoformat(only["started_at"]) == START + timedelta(seconds=10)
    assert only["link"] == f"{LINK}/alarms?event={event.event_id}"
    content = (site.site.root / event.keyframe).read_bytes()
    assert told["keyframe"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert body == body_of(event_message(site.site, "webhook", event))


def test_a_message_is_called_by_its_channel_and_event_alone(site: Workspace, event: EventRow) -> None:
    first = event_message(site.site, "email", event)
    assert first.message_id == event_message(in_berlin(site).site, "email", event).message_id
    others = [
        event_message(site.site, "webhook", event),
        event_message(site.site, "email", replace(event, event_id="x")),
    ]
    assert len({first.message_id, *(other.message_id for other in others)}) == 3
    assert mailed(first)["Message-ID"] == f"<{first.message_id}@example.org>"
    other = replace(event, event_id="y")
    assert digest_message_id("email", [event, other]) == digest_message_id("email", [other, event])


def test_a_digest_lists_every_event_with_its_link(site: Workspace) -> None:
    events = put_events(site, [(10.0 * at, 10.0 * at + 5) for at in range(1, 31)])
    message = digest_message(site.site, "d1", events)
    assert message.subject == "30 alarms: fight (30)"
    mail, told = mailed(message), json.loads(body_of(message))
    for event in events:
        assert f"alarms?event={event.event_id}" in body_text(mail, "plain")
        assert f"alarms?event={event.event_id}" in body_text(mail, "html")
    assert [one["event_id"] for one in told["events"]] == [event.event_id for event in events]
    assert told["keyframe"] is None


def test_a_digest_of_very_many_lists_the_highest_and_tells_the_others_by_number(site: Workspace) -> None:
    (event,) = put_events(site, [(10.0, 20.0)])
    moments = [event.started_at + timedelta(minutes=number) for number in range(MOST_LISTED + 40)]
    events = [
        replace(
            event,
            event_id=f"e{number}",
            rank=1 + number % 7,
            head="novelty" if number % 7 == 6 else "fight",
            deviations=4.0,
            started_at=moment,
            ended_at=moment + timedelta(seconds=5),
            peak_at=moment,
        )
        for number, moment in enumerate(moments)
    ]
    message = digest_message(site.site, "d1", events)
    assert message.subject == "140 alarms: fight (120), novelty (20)"
    listed = [shown.event for shown in message.events]
    assert listed == sorted(listed, key=lambda one: one.started_at) and len(listed) == MOST_LISTED
    assert {one.rank for one in listed} == {1, 2, 3, 4, 5} and {one.rank for one in message.more} == {6, 7}
    assert {one.event_id for one in message.told} == {one.event_id for one in events}
    assert message.pages == (("20 more", f"{LINK}/alarms"), ("20 more", f"{LINK}/anomalies?campaign=spring"))
    mail, told = mailed(message), json.loads(body_of(message))
    assert f"20 more:\n{LINK}/alarms" in body_text(mail, "plain").replace("\r\n", "\n")
    assert f'<li><a href="{LINK}/anomalies?campaign=spring">20 more</a></li>' in body_text(mail, "html")
    assert (len(told["events"]), told["more"]) == (MOST_LISTED, 40)
    assert told["text"].splitlines()[-1] == f"20 more: {LINK}/anomalies?campaign=spring"


def test_a_message_says_that_its_picture_is_not_published(site: Workspace, event: EventRow) -> None:
    assert event_message(site.site, "email", event).remark == ""
    assert event_message(site.site, "email", replace(event, keyframe="")).remark == ""
    (site.site.root / event.keyframe).unlink()
    message = event_message(site.site, "email", event)
    assert message.remark == NO_PICTURE
    assert NO_PICTURE in body_text(mailed(message), "plain") and NO_PICTURE in body_text(mailed(message), "html")
    assert json.loads(body_of(message))["text"].endswith(NO_PICTURE)


def test_no_name_becomes_a_header_or_markup(site: Workspace, event: EventRow) -> None:
    named = replace(event, camera=HOSTILE, campaign=HOSTILE, region=HOSTILE, keyframe="")
    for message in (event_message(site.site, "email", named), digest_message(site.site, "d", [named, named])):
        mail = mailed(message)
        assert mail["Bcc"] is None and len(mail.get_all("To", [])) == 1
        assert "\n" not in mail["Subject"] and "\u202e" not in mail["Subject"]
        html = body_text(mail, "html")
        assert "<script" not in html and "&lt;script&gt;" in html
        assert json.loads(body_of(message))["events"][0]["camera"] == HOSTILE


@given(st.text(st.characters(), max_size=300))
def test_a_plain_name_is_one_printable_line(text: str) -> None:
    shown = plain(text)
    assert shown.isprintable() or not shown
    assert len(shown) <= 120 and shown == plain(shown)
    EmailMessage(policy=default)["Subject"] = shown


def test_a_keyframe_is_what_was_published_and_nothing_else(site: Workspace, event: EventRow) -> None:
    published = site.site.root / event.keyframe
    assert keyframe(site.site, event) == published.read_bytes()
    (site.site.root / "outside.jpg").write_bytes(published.read_bytes())
    for away in ("outside.jpg", "published/../outside.jpg", str(site.site.root / "outside.jpg"), ""):
        assert keyframe(site.site, replace(event, keyframe=away)) is None
    published.write_bytes(b"no picture")
    assert keyframe(site.site, event) is None
    published.write_bytes(b"\xff\xd8\xff" + bytes(MOST_PICTURE_BYTES))
    assert keyframe(site.site, event) is None
    published.unlink()
    message = event_message(site.site, "email", event)
    assert message.picture is None
    assert "image/jpeg" not in [part.get_content_type() for part in mailed(message).walk()]


def test_keyframes_can_be_left_out(tmp_path: Path) -> None:
    site = alarmed_site(tmp_path / "without", "keyframes = false")
    (event,) = put_events(site, [(10.0, 20.0)])
    assert event_message(site.site, "email", event).picture is None


def test_the_signature_is_the_hmac_of_the_body() -> None:
    # RFC 4231, test case 2.
    known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert signature(b"what do ya want for nothing?", "Jefe") == f"sha256={known}"
    assert hmac.compare_digest(signature(b"a", "ä"), f"sha256={hmac.digest('ä'.encode(), b'a', 'sha256').hex()}")


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Tue, 03 Mar 2026 04:00:30 GMT", 30.0),
        ("Tue, 03 Mar 2026 03:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("Tue, 03 Mar 99999999999999999999 03:00:00 GMT", None),
    ],
)
def test_a_server_may_say_when_to_come_back(told: str | None, seconds: float | None) -> None:
    assert retry_after_s(told, datetime(2026, 3, 3, 4, tzinfo=UTC)) == seconds
