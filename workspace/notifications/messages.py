"""Messages: events in words, with their picture and the link to their page."""

import os
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

from footage.regions import WHOLE
from infra.settings import Settings
from infra.site import Site
from lake.keys import short_hash
from workspace.event_files import EventRow
from workspace.notifications.base import Message, ShownEvent, plain
from workspace.notifications.pending import in_time, order_of

MOST_PICTURE_BYTES = 2_000_000
JPEG_BEGINS = b"\xff\xd8\xff"
MOST_NAMED = 5
"""Alarms that the subject of a digest names."""
MOST_LISTED = 100
"""Events of a digest with a line of their own: servers refuse messages of megabytes, and nobody reads them."""
NO_PICTURE = "It comes without its picture, which is not published."


def event_message(site: Site, channel: str, event: EventRow) -> Message:
    """The message of one event; what it is called follows from channel and event alone."""
    settings = site.settings
    shown = show(event, settings)
    begins = _clock(event, settings.zone)
    subject = f"Alarm {plain(event.head)}: {plain(event.camera)}, {begins}"
    intro = f"{plain(settings.site.name)}: camera {plain(event.camera)} raised the alarm {plain(event.head)}."
    picture = keyframe(site, event) if settings.notifications.keyframes else None
    return Message(
        event_message_id(channel, event),
        "event",
        plain(settings.site.name),
        plain(subject, 300),
        intro,
        (shown,),
        picture,
        remark=NO_PICTURE if lacks_picture(site, event) else "",
    )


def digest_message(site: Site, message_id: str, events: Sequence[EventRow]) -> Message:
    """The message that tells several events at once: the highest of each camera's day in words, all others by number."""
    settings = site.settings
    counts = Counter(plain(event.head) for event in events)
    named = [f"{name} ({count})" for name, count in counts.most_common(MOST_NAMED)]
    more = len(counts) - len(named)
    subject = f"{len(events)} alarms: {', '.join(named)}{f' and {more} other kinds' if more else ''}"
    intro = (
        f"{plain(settings.site.name)}: {len(events)} alarms together, beyond the {settings.notifications.most_per_hour} "
        "messages that this channel sends in an hour."
    )
    ranked = sorted(events, key=order_of)
    shown = tuple(show(event, settings) for event in in_time(ranked[:MOST_LISTED]))
    rest = tuple(ranked[MOST_LISTED:])
    name = plain(settings.site.name)
    return Message(
        message_id, "digest", name, plain(subject, 300), intro, shown, more=rest, pages=_pages(rest, settings)
    )


def test_message(settings: Settings, channel: str) -> Message:
    """A message that tells no event, to see that a channel works."""
    name = plain(settings.site.name)
    intro = f'{name}: the channel "{channel}" works. Alarms will be told as this message was; nothing has happened.'
    return Message(secrets.token_hex(10), "test", name, f"Test of Afterwatch: {name}", intro)


def event_message_id(channel: str, event: EventRow) -> str:
    """Name of an event's own message on a channel."""
    return short_hash(["event", channel, event.event_id])


def digest_message_id(channel: str, events: Sequence[EventRow]) -> str:
    """Name of a digest on a channel; the order of its events does not count."""
    return short_hash(["digest", channel, *sorted(event.event_id for event in events)])


def _pages(events: Sequence[EventRow], settings: Settings) -> tuple[tuple[str, str], ...]:
    """(How many events, address of the page that lists them), one for each page."""
    counts = Counter(_address(event, settings, {}) for event in events)
    return tuple((f"{count} more", address) for address, count in sorted(counts.items()))


def _address(event: EventRow, settings: Settings, asked: Mapping[str, str]) -> str:
    """Address of the page of an event; that of anomalies shows one campaign at a time, so it is told which."""
    page = "alarms"
    if event.head == settings.novelty.name:
        page, asked = "anomalies", {**asked, "campaign": event.campaign}
    query = "&".join(f"{name}={_quoted(value)}" for name, value in asked.items())
    return f"{settings.notifications.link.rstrip('/')}/{page}{'?' if query else ''}{query}"


def _quoted(text: str) -> str:
    # Names of folders may hold half of a character pair, which no address can.
    return quote(text, safe="", errors="replace")


def show(event: EventRow, settings: Settings) -> ShownEvent:
    """An event in words and as plain values."""
    zone = settings.zone
    is_novelty = event.head == settings.novelty.name
    link = _address(event, settings, {"event": event.event_id})
    region = "whole picture" if event.region == WHOLE.name else plain(event.region)
    begins, ends, peak = (moment.astimezone(zone) for moment in (event.started_at, event.ended_at, event.peak_at))
    length_s = (event.ended_at - event.started_at) / timedelta(seconds=1)
    score = _score(event, is_novelty)
    facts = (
        ("Alarm", plain(event.head)),
        ("Camera", f"{plain(event.camera)} (campaign {plain(event.campaign)})"),
        ("Region", region),
        ("Time", f"{begins:%Y-%m-%d %H:%M:%S %Z} to {ends:%Y-%m-%d %H:%M:%S %Z}, {length_s:.1f} s"),
        ("Peak", f"{peak:%Y-%m-%d %H:%M:%S %Z}"),
        *score,
    )
    line = " · ".join(
        (f"{begins:%Y-%m-%d %H:%M:%S %Z}", *(value for _, value in (facts[0], facts[1], facts[2], *score[:1])))
    )
    told = {
        "event_id": event.event_id,
        "alarm": event.head,
        "campaign": event.campaign,
        "camera": event.camera,
        "region": event.region,
        "day": event.day.isoformat(),
        "started_at": begins.isoformat(),
        "ended_at": ends.isoformat(),
        "peak_at": peak.isoformat(),
        "probability": None if is_novelty else event.peak_score,
        "score": event.peak_score,
        "threshold": event.threshold,
        "deviations": event.deviations,
        "version": event.version,
        "link": link,
    }
    return ShownEvent(event, facts, line, link, told)


def _score(event: EventRow, is_novelty: bool) -> tuple[tuple[str, str], ...]:
    """How sure the head is; an infinite or absent number is left out."""
    if is_novelty:
        if event.deviations is None:
            return ()
        return (("Unusual by", f"{event.deviations:.1f} robust standard deviations above the camera's normal"),)
    if event.peak_score is None:
        return ()
    held = "" if event.threshold is None else f", threshold {event.threshold:.2f}"
    return (("Probability", f"{event.peak_score:.2f}{held}"),)


def _clock(event: EventRow, zone: ZoneInfo) -> str:
    return f"{event.started_at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def keyframe(site: Site, event: EventRow) -> bytes | None:
    """The event's published picture as JPEG; None where there is none, or one too large to send."""
    path = _picture_path(site, event)
    if path is None:
        return None
    try:
        if path.stat().st_size > MOST_PICTURE_BYTES:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    return content if content.startswith(JPEG_BEGINS) else None


def lacks_picture(site: Site, event: EventRow) -> bool:
    """Whether the message of an event is to carry a picture that is not published, or not yet."""
    path = _picture_path(site, event) if site.settings.notifications.keyframes else None
    return path is not None and not path.is_file()


def _picture_path(site: Site, event: EventRow) -> Path | None:
    """Where the event's picture is published, or will be; None where it has none."""
    if not event.keyframe:
        return None
    path = Path(os.path.normpath(site.root / event.keyframe))
    # The name stands in the lake, which others may write: nothing but what was published leaves the machine.
    return path if path.is_relative_to(site.published_folder) else None
