"""News of scheduled nights in words: their report, that one was missed, that one failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from infra.site import Site
from lake.keys import short_hash
from workspace.notifications.base import Message, plain

MOST_LINES = 20
"""Matters of a report with a line of their own in a message; the page of the night lists them all."""
LONGEST_LINE = 400
STATES = ("analysed", "skipped", "corrupt", "missing")
HOW_TO_SEE = (
    'Look at "afterwatch status" and at what serves the schedule (systemctl status afterwatch-schedule); '
    '"afterwatch run" starts the night by hand.'
)


@dataclass(frozen=True)
class NightNews:
    """What is to be told of a night, the same on every channel.

    Attributes:
        news_id: hexadecimal digits; the same news has the same.
        subject: one line, without control characters.
        intro: a sentence or two.
        lines: what to know, most pressing first.
        told: the same for programs: values that JSON can hold.
    """

    news_id: str
    subject: str
    intro: str
    lines: tuple[str, ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "NightNews":
        """What `dataclasses.asdict` made.

        Raises:
            KeyError: something is not there.
            TypeError: something is of another kind.
        """
        news = cls(told["news_id"], told["subject"], told["intro"], tuple(told["lines"]), told["told"])
        if not all(isinstance(text, str) for text in (news.news_id, news.subject, news.intro, *news.lines)):
            raise TypeError("news of a night are texts")
        return news


def report_news(site: Site, report: Mapping[str, Any]) -> NightNews:
    """News of a night's report.

    Args:
        site: the workspace.
        report: as `NightReport.as_json` gives it and the ledger keeps it.
    """
    name, status = _name(site), str(report["status"])
    began = _clock(datetime.fromisoformat(report["started_at"]), site.settings.zone)
    attention = [str(line) for line in report["attention"]]
    matters = f"{len(attention)} {'matter wants' if len(attention) == 1 else 'matters want'} attention"
    counts = ", ".join(
        f"{step['step']} {step['done']} done" + (f" and {step['failed']} failed" if step["failed"] else "")
        for step in report["steps"]
        if step["done"] or step["failed"]
    )
    sums = coverage_sums(report["coverage"])
    covered = ", ".join(f"{_duration(sums[f'{state}_s'])} {state}" for state in STATES)
    lines = [
        f"Steps: {counts or 'nothing was to be done'}.",
        f"Footage: {_duration(sums['recorded_s'])} recorded: {covered}.",
        f"Events: {report['events']}, alarms: {report['alarms']}.",
        *(f"Attention: {line}" for line in attention[:MOST_LINES]),
    ]
    if len(attention) > MOST_LINES:
        lines.append(f"And {len(attention) - MOST_LINES} more matters.")
    told = {name: report[name] for name in ("run", "status", "started_at", "seconds", "events", "alarms")}
    return _news(
        ("report", str(site.root), report["run"]),
        f"Night {status}: {name}, {began}" + (f", {matters}" if attention else ""),
        f"{name}: the night that began {began} is {status}, after {_duration(report['seconds'])}; {matters}.",
        lines,
        {**told, "coverage": sums, "attention": attention[:MOST_LINES], "attention_count": len(attention)},
    )


def missed_news(site: Site, due_at: datetime, words: str, told: Mapping[str, Any]) -> NightNews:
    """News of a night that was missed.

    Args:
        site: the workspace.
        due_at: when it was to begin.
        words: what is known of it, in a line.
        told: the same for programs.
    """
    name = _name(site)
    return _news(
        ("missed", str(site.root), due_at.astimezone(UTC).isoformat()),
        f"Night missed: {name}, {_clock(due_at, site.settings.zone)}",
        f"{name}: {words}.",
        [HOW_TO_SEE],
        {"status": "missed", **told},
    )


def failure_news(site: Site, began_at: datetime, reason: str) -> NightNews:
    """News of a night that ended without a report."""
    name, began = _name(site), _clock(began_at, site.settings.zone)
    return _news(
        ("failed", str(site.root), began_at.astimezone(UTC).isoformat()),
        f"Night failed: {name}, {began}",
        f"{name}: the night that began {began} ended without a report. What was finished is kept.",
        [reason, HOW_TO_SEE],
        {"status": "failed", "started_at": began_at.astimezone(UTC).isoformat(), "reason": reason},
    )


def night_message(site: Site, channel: str, news: NightNews) -> Message:
    """The message that tells news of a night on a channel, with a link to the page of the night."""
    return Message(
        short_hash(["night", channel, news.news_id]),
        "night",
        _name(site),
        news.subject,
        news.intro,
        pages=(("The night's page", f"{site.settings.notifications.link.rstrip('/')}/night"),),
        lines=news.lines,
        night=news.told,
    )


def coverage_sums(coverage: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds recorded and of each state, of all cameras and days of a report."""
    names = ("recorded_s", *(f"{state}_s" for state in STATES))
    return {name: round(sum(float(line[name]) for line in coverage), 3) for name in names}


def _name(site: Site) -> str:
    return plain(site.settings.site.name)


def _news(key: Sequence[str], subject: str, intro: str, lines: Sequence[str], told: Mapping[str, Any]) -> NightNews:
    shown = tuple(plain(line, LONGEST_LINE) for line in lines)
    return NightNews(short_hash(list(key)), plain(subject, 300), plain(intro, LONGEST_LINE), shown, told)


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours} h {minutes:02d} min" if hours else (f"{minutes} min {left:02d} s" if minutes else f"{left} s")


def _clock(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"
